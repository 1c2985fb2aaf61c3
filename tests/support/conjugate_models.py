"""Models whose posterior is known, and one with every kind of transform, for whatever draws."""

import numpy as np
import pymc as pm
from scipy import stats

from bayesrun.types import Dataset

INTERPRETED = {"mode": "FAST_COMPILE"}
PRIOR_SD, NOISE_SD = 2.0, 1.5
FIRST = Dataset({"y": np.array([0.3, 1.9, -0.4, 2.2, 1.1])}, coords={"obs": tuple("abcde")})
SECOND = Dataset({"y": np.array([-3.0, -1.0, -2.0, -4.0, -2.5])}, coords={"obs": tuple("abcde")})


def conjugate(data):
    """theta ~ N(0, 2), y ~ N(theta, 1.5): the posterior and the evidence are known, and ADVI's family holds it."""
    with pm.Model(coords={"obs": data.coords["obs"]}) as model:
        theta = pm.Normal("theta", 0.0, PRIOR_SD)
        pm.Deterministic("double", 2.0 * theta)
        pm.Normal("y", theta, NOISE_SD, observed=data["y"], dims="obs")
    return model


def exact(data):
    """Mean and SD of theta, and the log evidence."""
    y = data["y"]
    precision = 1 / PRIOR_SD**2 + y.size / NOISE_SD**2
    covariance = NOISE_SD**2 * np.eye(y.size) + PRIOR_SD**2
    evidence = stats.multivariate_normal(np.zeros(y.size), covariance).logpdf(y)
    return y.sum() / NOISE_SD**2 / precision, precision**-0.5, evidence


def constrained(data):
    """A simplex, a Cholesky factor, a scale and two observed variables: every kind of transform."""
    with pm.Model(coords={"part": list("xyz"), "obs": data.coords["obs"]}) as model:
        scale = pm.HalfNormal("scale", 2.0)
        share = pm.Dirichlet("share", np.array([2.0, 3.0, 4.0]), dims="part")
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=pm.Exponential.dist(1.0, shape=2))
        pm.Normal("y", share[0] + chol[1, 0], scale, observed=data["y"], dims="obs")
        pm.Multinomial("counts", 12, share, observed=np.array([2, 3, 7]))
        pm.Data("known", np.arange(3.0), dims="part")
    return model


def counted(data):
    """k ~ Binomial(10, 0.5), y ~ N(k, 1): no gradient."""
    with pm.Model() as model:
        k = pm.Binomial("k", 10, 0.5)
        pm.Normal("y", 1.0 * k, 1.0, observed=data["y"])
    return model
