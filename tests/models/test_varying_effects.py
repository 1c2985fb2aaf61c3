"""The correlated effects against a density written with SciPy, and their implied covariance."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats
from scipy.integrate import quad

from bayesrun.errors import ConfigError
from bayesrun.models.varying_effects import build
from model_oracles import assert_density, assert_ints_are_safe, default_data


@pytest.fixture(scope="module")
def rats():
    return default_data("varying_effects")


@pytest.mark.parametrize("parameterization", ["noncentered", "centered"])
def test_log_density(rats, parameterization):
    x = rats["x"] - rats["x"].mean()
    rat = rats["group"]
    eta = 3.0
    normaliser = quad(lambda r: (1 - r**2) ** (eta - 1), -1, 1)[0]

    def expected(v):
        s, rho = v["sd"], v["rho"]
        covariance = np.array([[s[0] ** 2, rho * s[0] * s[1]], [rho * s[0] * s[1], s[1] ** 2]])
        centre = np.array([v["alpha"], v["beta"]])
        if parameterization == "noncentered":
            effects = centre[:, None] + np.linalg.cholesky(covariance) @ v["z"]
            np.testing.assert_allclose([v["a"], v["b"]], effects, rtol=1e-9)
            prior_of_effects = stats.norm.logpdf(v["z"]).sum()
        else:
            effects = np.array([v["a"], v["b"]])
            prior_of_effects = stats.multivariate_normal(centre, covariance).logpdf(effects.T).sum()
        mu = effects[0, rat] + effects[1, rat] * x
        np.testing.assert_allclose(v["mu"], mu, rtol=1e-9, atol=1e-12)
        return (
            stats.norm.logpdf([v["alpha"], v["beta"]]).sum()
            + stats.expon.logpdf(s, scale=0.5).sum()
            # the LKJ density of rho = 2 u - 1, as a density of u
            + (eta - 1) * np.log(1 - rho**2)
            - np.log(normaliser)
            + np.log(2)
            + prior_of_effects
            + stats.expon.logpdf(v["sigma"])
            + stats.norm.logpdf(rats["y"], mu, v["sigma"]).sum()
        )

    assert_density(build(rats, lkj_eta=eta, sd_rate=2.0, parameterization=parameterization), expected)


def test_drawn_effects_have_the_stated_covariance(rats):
    sd, rho, draws = np.array([0.5, 2.0]), -0.6, 300
    model = pm.do(build(rats), {"alpha": 1.0, "beta": -1.0, "sd": sd, "rho_unit": (rho + 1) / 2})
    a, b = pm.draw([model["a"], model["b"]], draws=draws, random_seed=51)
    n = a.size
    assert abs(a.mean() - 1.0) < 4 * sd[0] / np.sqrt(n)
    assert abs(b.mean() + 1.0) < 4 * sd[1] / np.sqrt(n)
    assert abs(a.std() - sd[0]) < 4 * sd[0] / np.sqrt(2 * n)
    assert abs(b.std() - sd[1]) < 4 * sd[1] / np.sqrt(2 * n)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1] - rho) < 4 * (1 - rho**2) / np.sqrt(n)


def test_the_correlation_has_the_prior_of_pymcs_lkj():
    chol = pm.LKJCholeskyCov.dist(eta=2.0, n=2, sd_dist=pm.Exponential.dist(1.0, size=2))
    theirs = pm.draw(chol[1][0, 1], draws=4000, random_seed=52)
    ours = stats.beta(2.0, 2.0, loc=-1, scale=2)
    assert stats.kstest(theirs, ours.cdf).pvalue > 1e-4


def test_an_unknown_parameterization_is_refused(rats):
    with pytest.raises(ConfigError, match=r"model\.parameterization='centred': want noncentered or centered"):
        build(rats, parameterization="centred")


def test_ints_are_safe(rats):
    assert_ints_are_safe(
        build, rats, alpha_mean=36, alpha_sigma=36, beta_mean=36, beta_sigma=36, sd_rate=36, lkj_eta=36, sigma_rate=36
    )
