"""Eight schools as users write them, and datasets of it whose truth comes from the prior."""

import numpy as np
import pymc as pm

from bayesrun.types import Dataset

SCHOOLS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def eight_schools(data):
    with pm.Model() as model:
        mu, tau = pm.Normal("mu", 0.0, 5.0), pm.HalfCauchy("tau", 5.0)
        eta = pm.Normal("eta", 0.0, 1.0, shape=8)
        theta = pm.Deterministic("theta", mu + tau * eta)
        pm.Normal("y", theta, ERRORS, observed=data["y"])
    return model


def centred_schools(data):
    with pm.Model() as model:
        mu, tau = pm.Normal("mu", 0.0, 5.0), pm.HalfCauchy("tau", 5.0)
        theta = pm.Normal("theta", mu, tau, shape=8)
        pm.Normal("y", theta, ERRORS, observed=data["y"])
    return model


def simulated(n, seed=0):
    """Datasets of eight schools whose truth comes from the prior, as in simulation-based calibration."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(rng.normal(0, 5, (n, 1)), abs(5 * rng.standard_cauchy((n, 1))), (n, 8))
    return [Dataset({"y": row}) for row in theta + ERRORS * rng.standard_normal((n, 8))]
