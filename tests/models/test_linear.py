"""The linear model against a density written with SciPy, least squares and the conjugate posterior."""

import numpy as np
import statsmodels.api as sm
from scipy import stats

from bayesrun.models.linear import build
from bayesrun.types import Dataset
from model_oracles import assert_density, assert_ints_are_safe, assert_moments, default_data, draw, mode


def data(seed=3, n=40):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 2))
    y = 0.5 + x @ np.array([1.0, -2.0]) + 0.8 * rng.standard_normal(n)
    return Dataset({"y": y, "X": x}, coords={"predictor": ("a", "b")})


def test_log_density():
    d = data()

    def expected(v):
        mu = v["alpha"] + d["X"] @ v["beta"]
        return (
            stats.norm.logpdf(v["alpha"], 0.5, 10).sum()
            + stats.norm.logpdf(v["beta"], -0.5, 5).sum()
            + stats.halfnorm.logpdf(v["sigma"], scale=2)
            + stats.norm.logpdf(d["y"], mu, v["sigma"]).sum()
        )

    assert_density(build(d, alpha_mean=0.5, beta_mean=-0.5, sigma_scale=2.0), expected)


def test_ints_are_safe():
    assert_ints_are_safe(build, data(), alpha_mean=36, alpha_sigma=36, beta_mean=100, beta_sigma=36, sigma_scale=36)


def test_mode_is_least_squares_on_engel():
    d = default_data("linear")
    fit = sm.OLS(d["y"], sm.add_constant(d["X"])).fit()
    found = mode(build(d, alpha_sigma=1e6, beta_sigma=1e6, sigma_scale=1e6))
    np.testing.assert_allclose([found["alpha"], *found["beta"]], fit.params, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found["sigma"], np.sqrt(fit.ssr / len(d["y"])), rtol=1e-6)
    np.testing.assert_allclose(found["mu"], fit.fittedvalues, rtol=1e-6, atol=1e-8)


def test_draws_agree_with_the_closed_form_under_weak_priors():
    two = data()
    d = Dataset({"y": two["y"], "X": two["X"][:, :1]}, coords={"predictor": ("a",)})
    fit = sm.OLS(d["y"], sm.add_constant(d["X"])).fit()
    tree = draw(build(d, alpha_sigma=1e3, beta_sigma=1e3, sigma_scale=1e3), "pymc", seed=5)
    # flat priors on the coefficients and on sigma give Student's t with n - k - 1 degrees of freedom, k = 2
    free = len(d["y"]) - 3
    spread = np.sqrt(np.diag(fit.normalized_cov_params) * fit.ssr / (free - 2))
    assert_moments(tree, dict(zip(["alpha", "beta"], zip(fit.params, spread, strict=True), strict=True)))
