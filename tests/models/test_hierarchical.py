"""The hierarchical model against quadrature on eight schools, and densities written with SciPy."""

import numpy as np
import pytest
from scipy import stats

from bayesrun.errors import ConfigError
from bayesrun.models.hierarchical import build
from bayesrun.types import Dataset
from model_oracles import (
    assert_density,
    assert_ints_are_safe,
    assert_moments,
    default_data,
    draw,
    normal_effects,
)


@pytest.fixture(scope="module")
def schools():
    return default_data("hierarchical")


@pytest.fixture(scope="module")
def exact(schools):
    """Mean and SD of mu and tau under N(0, 5) and HalfCauchy(5)."""

    def prior(mu, tau):
        return stats.norm.logpdf(mu, 0, 5) + stats.halfcauchy.logpdf(tau, scale=5)

    # the posterior of tau falls like tau^-10, so that nothing is lost above 2000
    moments = normal_effects(schools["y"], schools["sigma"], prior, spread=(40.0, 2000.0))
    return {"mu": moments(lambda mu, tau: mu + 0 * tau), "tau": moments(lambda mu, tau: tau + 0 * mu)}


def grouped(seed=4):
    rng = np.random.default_rng(seed)
    group = np.array([0, 2, 1, 1, 0, 2, 2, 1, 0, 0])
    return Dataset({"y": rng.standard_normal(10) + group, "group": group}, coords={"group": ("a", "b", "c")})


def test_quadrature_gives_the_published_moments(exact):
    np.testing.assert_allclose(exact["mu"], (4.397, 3.318), atol=5e-4)
    np.testing.assert_allclose(exact["tau"], (3.598, 3.220), atol=5e-4)


@pytest.mark.parametrize(("sampler", "seed"), [("pymc", 11), ("numpyro", 12)])
def test_draws_agree_with_quadrature(schools, exact, sampler, seed):
    tree = draw(build(schools, mu_sigma=5.0, tau_scale=5.0), sampler, seed, draws=2000, accept=0.95)
    assert_moments(tree, exact)
    assert list(tree["posterior"]["theta"]["group"].values) == list("ABCDEFGH")


@pytest.mark.parametrize("parameterization", ["noncentered", "centered"])
def test_log_density_with_known_errors(schools, parameterization):
    def expected(v):
        theta = v["theta"]
        if parameterization == "noncentered":
            np.testing.assert_allclose(theta, v["mu"] + v["tau"] * v["theta_raw"], rtol=1e-12)
            groups = stats.norm.logpdf(v["theta_raw"]).sum()
        else:
            groups = stats.norm.logpdf(theta, v["mu"], v["tau"]).sum()
        return (
            stats.norm.logpdf(v["mu"], 1, 5)
            + stats.halfcauchy.logpdf(v["tau"], scale=2.5)
            + groups
            + stats.norm.logpdf(schools["y"], theta[schools["group"]], schools["sigma"]).sum()
        )

    assert_density(build(schools, mu_mean=1.0, parameterization=parameterization), expected)


def test_log_density_with_an_estimated_error():
    d = grouped()

    def expected(v):
        theta = v["mu"] + v["tau"] * v["theta_raw"]
        return (
            stats.norm.logpdf(v["mu"], 0, 5)
            + stats.halfcauchy.logpdf(v["tau"], scale=2.5)
            + stats.halfnorm.logpdf(v["sigma_y"], scale=3)
            + stats.norm.logpdf(v["theta_raw"]).sum()
            + stats.norm.logpdf(d["y"], theta[d["group"]], v["sigma_y"]).sum()
        )

    assert_density(build(d, sigma_scale=3.0), expected)


def test_ints_are_safe():
    assert_ints_are_safe(build, grouped(), mu_mean=100, mu_sigma=36, tau_scale=36, sigma_scale=36)


def test_an_unknown_parameterization_is_refused():
    with pytest.raises(ConfigError, match=r"model\.parameterization='centred': want noncentered or centered"):
        build(grouped(), parameterization="centred")
