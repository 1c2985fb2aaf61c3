"""The polynomial model against a density written with SciPy and least squares."""

import numpy as np
import pytest
from scipy import stats

from bayesrun.errors import ConfigError
from bayesrun.models.polynomial import build
from model_oracles import assert_density, assert_ints_are_safe, default_data, mode


@pytest.fixture(scope="module")
def women():
    return default_data("polynomial")


@pytest.mark.parametrize("degree", [1, 2, 4])
def test_log_density(women, degree):
    z = (women["x"] - women["x"].mean()) / women["x"].std(ddof=1)

    def expected(v):
        mu = v["a"] + sum(v[f"b{k}"] * z**k for k in range(1, degree + 1))
        np.testing.assert_allclose(v["mu"], mu, rtol=1e-9)
        return (
            stats.norm.logpdf(v["a"], 178, 100)
            + stats.lognorm.logpdf(v["b1"], 1)
            + sum(stats.norm.logpdf(v[f"b{k}"]) for k in range(2, degree + 1))
            + stats.uniform.logpdf(v["sigma"], 0, 50)
            + stats.norm.logpdf(women["y"], mu, v["sigma"]).sum()
        )

    assert_density(build(women, degree=degree), expected)


def test_mode_is_least_squares(women):
    z = (women["x"] - women["x"].mean()) / women["x"].std(ddof=1)
    # a log-normal prior of log SD s moves the mode of b1 by about -Var(b1) / b1: nothing here
    found = mode(
        build(women, a_sigma=1e6, b1_sigma=1e3, b_sigma=1e6),
        {"a": np.array(women["y"].mean()), "b1_log__": np.log(10.0), "sigma_interval__": np.array(-4.0)},
    )
    exact = np.polynomial.polynomial.polyfit(z, women["y"], 2)
    residual = women["y"] - np.polynomial.polynomial.polyval(z, exact)
    variance = (residual**2).mean() * np.linalg.inv(np.vander(z, 3).T @ np.vander(z, 3))
    tolerance = 2 * np.sqrt(variance[1, 1]) ** 2 / exact[1]
    np.testing.assert_allclose([found["a"], found["b1"], found["b2"]], exact, atol=tolerance)
    np.testing.assert_allclose(found["sigma"], np.sqrt((residual**2).mean()), rtol=1e-3)


@pytest.mark.parametrize("degree", [0, 1.5, -2])
def test_a_degree_that_is_no_positive_whole_number_is_refused(women, degree):
    with pytest.raises(ConfigError, match=r"model\.degree=.*: want a whole number of at least 1"):
        build(women, degree=degree)


def test_ints_are_safe(women):
    assert_ints_are_safe(
        build, women, a_mean=178, a_sigma=100, b1_mu=1, b1_sigma=36, b_mean=36, b_sigma=36, sigma_upper=100
    )
