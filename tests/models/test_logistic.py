"""The logistic model against a density written with SciPy, maximum likelihood and quadrature."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit, log_expit

from bayesrun.models.logistic import build
from bayesrun.types import Dataset
from model_oracles import assert_density, assert_ints_are_safe, assert_moments, default_data, draw, mode


def small():
    x = np.array([-2.0, -1.2, -0.5, 0.1, 0.4, 0.9, 1.5, 2.2])
    return Dataset({"y": np.array([0, 0, 1, 0, 1, 1, 0, 1]), "X": x[:, None]}, coords={"predictor": ("x",)})


def test_log_density():
    d = default_data("logistic")

    def expected(v):
        p = expit(v["alpha"] + d["X"] @ v["beta"])
        np.testing.assert_allclose(v["p"], p, rtol=1e-12)
        return (
            stats.norm.logpdf(v["alpha"], 0, 2.5)
            + stats.norm.logpdf(v["beta"], 0, 2.5).sum()
            + stats.bernoulli.logpmf(d["y"], p).sum()
        )

    assert_density(build(d), expected)


def test_ints_are_safe():
    assert_ints_are_safe(build, small(), alpha_mean=36, alpha_sigma=36, beta_mean=100, beta_sigma=36)


def test_mode_is_maximum_likelihood_on_spector():
    d = default_data("logistic")
    fit = sm.Logit(d["y"], sm.add_constant(d["X"])).fit(disp=0, tol=1e-12)
    found = mode(build(d, alpha_sigma=1e6, beta_sigma=1e6))
    np.testing.assert_allclose([found["alpha"], *found["beta"]], fit.params, rtol=1e-5)


@pytest.mark.parametrize("log_odds", [-800.0, 800.0])
def test_density_is_finite_where_p_rounds_to_0_or_1(log_odds):
    d = small()
    model = build(d)
    value = model.compile_logp(vars=model.observed_RVs)({"alpha": np.array(log_odds), "beta": np.zeros(1)})
    np.testing.assert_allclose(value, -800.0 * (d["y"] != (log_odds > 0)).sum(), rtol=1e-12)


def test_draws_agree_with_quadrature():
    d = small()
    grid = np.linspace(-25.0, 25.0, 1001)
    alpha, beta = grid[:, None, None], grid[None, :, None]
    sign = 2 * d["y"] - 1
    log_post = log_expit(sign * (alpha + beta * d["X"][:, 0])).sum(axis=-1)
    log_post += stats.norm.logpdf(grid, 0, 2.5)[:, None] + stats.norm.logpdf(grid, 0, 2.5)[None, :]
    weight = np.exp(log_post - log_post.max())
    weight /= weight.sum()
    moments = {}
    for name, axis in {"alpha": 1, "beta": 0}.items():
        mass = weight.sum(axis=axis)
        mean = float(mass @ grid)
        moments[name] = (mean, float(np.sqrt(mass @ (grid - mean) ** 2)))
    assert_moments(draw(build(d), "pymc", seed=7), moments)
