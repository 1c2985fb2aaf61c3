"""Terms of a likelihood that integrate to 1 over the observed value, and such that do not."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest

from bayesrun.planning.unit_mass import integrate_to_one

NOISE = np.array([0.3, -1.1, 0.8, 2.1, -0.4, 0.1])
X = np.array([1.0, 2.0, 0.5, -1.0, 0.0, 0.25])
LOG_2_PI = np.log(2 * np.pi)


def normal(v, mu, s):
    return -0.5 * (((v - mu) / s) ** 2 + LOG_2_PI) - pt.log(s)


def judged(terms, middle: float = 0.0, spread: float = 1.0, whole: bool = False) -> bool:
    """Judge terms of a regression of values that lie around `middle`."""
    y = np.round(middle + spread * NOISE) if whole else middle + spread * NOISE
    with pm.Model() as model:
        mu = pm.Normal("mu", middle, spread) + pm.Normal("b", 0.0, spread) * X
        s = pm.HalfNormal("s", spread)
        pm.CustomDist("y", mu, s, logp=terms, observed=y.astype(int) if whole else y)
    (rv,) = model.observed_RVs
    return integrate_to_one(model, rv, model.logp(vars=[rv], sum=False)[0], y)


@pytest.mark.parametrize(("middle", "spread"), [(0.0, 1.0), (1000.0, 3.0), (-5.0, 1e-3), (2e6, 1e5)])
def test_densities_of_any_scale_integrate_to_one(middle, spread):
    assert judged(normal, middle, spread)
    assert not judged(lambda v, mu, s: 0.5 * normal(v, mu, s), middle, spread)


@pytest.mark.parametrize(
    "terms",
    [
        lambda v, mu, s: -(2 * pt.log1p(((v - mu) / s) ** 2) + 2 * pt.log(np.pi * s)) / 2,  # Cauchy
        lambda v, mu, s: -pt.abs(v - mu) / s - pt.log(2 * s),
        lambda v, mu, s: pt.switch(v > mu, -(v - mu) / s - pt.log(s), -np.inf),
        lambda v, mu, s: normal(v, mu, s / pt.sqrt(pt.constant(np.arange(1.0, 7.0)))),
    ],
)
def test_densities_with_tails_edges_and_known_variances(terms):
    assert judged(terms)


@pytest.mark.parametrize(
    "terms",
    [
        lambda v, mu, s: np.arange(1.0, 7.0) * normal(v, mu, s),
        lambda v, mu, s: (np.arange(6) > 2) * normal(v, mu, s),
        lambda v, mu, s: 0.9 * normal(v, mu, s),
        lambda v, mu, s: normal(v, mu, s) + pt.log(s),
        lambda v, mu, s: -((v - mu) ** 2),
        lambda v, mu, s: normal(pt.zeros_like(v), mu, s) + 0.0 * v,
    ],
)
def test_weights_powers_and_kernels_do_not(terms):
    assert not judged(terms)


def test_whole_numbers_are_not_judged():
    assert not judged(lambda v, mu, s: pm.logp(pm.Poisson.dist(3.0), v) + 0.0 * mu * s, whole=True)
