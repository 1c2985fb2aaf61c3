"""The regression on standard scores against a density written with SciPy and least squares."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from bayesrun.errors import DataError
from bayesrun.models.multiple_regression import build
from bayesrun.types import Dataset
from model_oracles import assert_density, assert_ints_are_safe, default_data, mode


@pytest.fixture(scope="module")
def crime():
    """Predictors in units of their own, to see that the model standardises them."""
    d = default_data("multiple_regression")
    return Dataset({"y": d["y"], "X": 3.0 + d["X"] * [10.0, 0.1]}, coords=d.coords)


def scores(x):
    return (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)


def test_log_density(crime):
    def expected(v):
        mu = v["a"] + scores(crime["X"]) @ v["beta"]
        np.testing.assert_allclose(v["mu"], mu, rtol=1e-9)
        return (
            stats.norm.logpdf(v["a"], 0, 0.2)
            + stats.norm.logpdf(v["beta"], 0, 0.5).sum()
            + stats.expon.logpdf(v["sigma"])
            + stats.norm.logpdf(crime["y"], mu, v["sigma"]).sum()
        )

    assert_density(build(crime), expected)


def test_mode_is_least_squares(crime):
    fit = sm.OLS(crime["y"], sm.add_constant(scores(crime["X"]))).fit()
    found = mode(build(crime, a_sigma=1e6, beta_sigma=1e6, sigma_rate=1e-9))
    np.testing.assert_allclose([found["a"], *found["beta"]], fit.params, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found["sigma"], np.sqrt(fit.ssr / len(crime["y"])), rtol=1e-6)


def test_a_constant_predictor_is_refused(crime):
    x = np.column_stack([crime["X"][:, 0], np.ones(len(crime["y"]))])
    with pytest.raises(DataError, match="X has a column with one value only"):
        build(Dataset({"y": crime["y"], "X": x}, coords=crime.coords))


def test_ints_are_safe(crime):
    assert_ints_are_safe(build, crime, a_mean=36, a_sigma=36, beta_mean=100, beta_sigma=36, sigma_rate=36)
