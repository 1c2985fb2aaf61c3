"""The unpooled model against a density written with SciPy and a least-squares line for each category."""

import numpy as np
import pytest
from scipy import stats

from bayesrun.models.varying_slopes import build
from model_oracles import assert_density, assert_ints_are_safe, default_data, mode


@pytest.fixture(scope="module")
def grunfeld():
    return default_data("varying_slopes")


def test_log_density(grunfeld):
    x = grunfeld["x"] - grunfeld["x"].mean()
    firm = grunfeld["group"]

    def expected(v):
        mu = v["a"][firm] + v["b"][firm] * x
        np.testing.assert_allclose(v["mu"], mu, rtol=1e-9)
        return (
            stats.norm.logpdf(v["a"], 1, 0.2).sum()
            + stats.norm.logpdf(v["b"], 0, 0.3).sum()
            + stats.expon.logpdf(v["sigma"], scale=0.5)
            + stats.norm.logpdf(grunfeld["y"], mu, v["sigma"]).sum()
        )

    assert_density(build(grunfeld, sigma_rate=2.0), expected)


def test_mode_is_one_line_for_each_firm(grunfeld):
    found = mode(build(grunfeld, a_sigma=1e6, b_sigma=1e6, sigma_rate=1e-9))
    x = grunfeld["x"] - grunfeld["x"].mean()
    rss = 0.0
    for code in range(len(grunfeld.coords["group"])):
        rows = grunfeld["group"] == code
        (intercept, slope), (rest, *_) = np.polynomial.polynomial.polyfit(x[rows], grunfeld["y"][rows], 1, full=True)
        np.testing.assert_allclose([found["a"][code], found["b"][code]], [intercept, slope], rtol=1e-5, atol=1e-7)
        rss += rest[0]
    np.testing.assert_allclose(found["sigma"], np.sqrt(rss / len(x)), rtol=1e-6)


def test_groups_are_labelled(grunfeld):
    model = build(grunfeld)
    assert model.named_vars_to_dims["a"] == ("group",)
    assert "General Motors" in model.coords["group"]


def test_ints_are_safe(grunfeld):
    assert_ints_are_safe(build, grunfeld, a_mean=100, a_sigma=36, b_mean=36, b_sigma=36, sigma_rate=36)
