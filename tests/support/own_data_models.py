"""Models of the kinds that have no data, hold their own, or write their likelihood as a Potential."""

import numpy as np
import pymc as pm

Y = np.array([1.2, 0.4, -0.3, 2.2, 1.9, 0.8, 1.1, -0.5])
PRIOR_SD, NOISE = 2.0, 1.0


def funnel(*, scale: float = 3.0) -> pm.Model:
    """A density alone: v ~ N(0, scale), x = z exp(v / 2)."""
    with pm.Model() as model:
        v = pm.Normal("v", 0.0, scale)
        z = pm.Normal("z", 0.0, 1.0, shape=2)
        pm.Deterministic("x", z * pm.math.exp(v / 2))
    return model


def banana(data=None) -> pm.Model:
    """A density that is a Potential."""
    del data
    with pm.Model() as model:
        x = pm.Normal("x", 0.0, 1.0)
        y = pm.Flat("y")
        pm.Potential("curve", -0.5 * ((y - x**2) / 0.5) ** 2)
    return model


def potential() -> pm.Model:
    """The likelihood of `own` as a Potential."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, PRIOR_SD)
        pm.Potential("likelihood", pm.logp(pm.Normal.dist(mu, NOISE), Y).sum())
    return model


def own() -> pm.Model:
    """Holds its data."""
    with pm.Model(coords={"obs": range(len(Y))}) as model:
        mu = pm.Normal("mu", 0.0, PRIOR_SD)
        pm.Normal("y_obs", mu, NOISE, observed=Y, dims="obs")
    return model


def posterior() -> tuple[float, float]:
    """Mean and SD of mu, in closed form."""
    precision = 1 / PRIOR_SD**2 + len(Y) / NOISE**2
    return Y.sum() / NOISE**2 / precision, precision**-0.5


def read() -> pm.Model:
    """Reads its data from a file."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, PRIOR_SD)
        pm.Normal("y_obs", mu, NOISE, observed=np.loadtxt("held.txt"))
    return model


MISSING = np.array([False, True, False, False, True, False, False, False])


def missing() -> pm.Model:
    """`own`, with two values missing."""
    with pm.Model(coords={"obs": range(len(Y))}) as model:
        mu = pm.Normal("mu", 0.0, PRIOR_SD)
        pm.Normal("y_obs", mu, NOISE, observed=np.ma.masked_array(Y, MISSING), dims="obs")
    return model


def posterior_of_the_rest() -> tuple[float, float]:
    """Mean and SD of mu of `missing`, in closed form: what is missing says nothing of it."""
    there = Y[~MISSING]
    precision = 1 / PRIOR_SD**2 + len(there) / NOISE**2
    return there.sum() / NOISE**2 / precision, precision**-0.5
