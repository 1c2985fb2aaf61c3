"""Priors from the scales of the data: as rstanarm states them, against SciPy, least squares and changes of unit."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from bayesrun.errors import DataError
from bayesrun.models import linear, logistic, multiple_regression, polynomial, varying_effects, varying_slopes
from bayesrun.types import Dataset
from model_oracles import assert_density, mode


def table(n=50, *, binary=False, unit=1.0, shift=0.0):
    """Predictors in raw units, far from 0 and from each other, and an outcome."""
    rng = np.random.default_rng(5)
    X = np.column_stack([2000.0 + 10.0 * rng.standard_normal(n), 0.2 * rng.standard_normal(n)])
    y = 118.0 + 0.5 * (X[:, 0] - 2000.0) + 20.0 * X[:, 1] + 10.7 * rng.standard_normal(n)
    y = (y > 118.0).astype(np.int64) if binary else unit * y + shift
    return Dataset({"y": y, "X": X}, coords={"predictor": ("year", "acid")})


def test_the_densities_are_those_that_rstanarm_states():
    d = table()
    m, s, of = d["y"].mean(), d["y"].std(ddof=1), d["X"].std(axis=0, ddof=1)

    def expected(v):
        mu = v["alpha_at_mean"] + (d["X"] - d["X"].mean(axis=0)) @ v["beta"]
        return (
            stats.norm.logpdf(v["alpha_at_mean"], m, 2.5 * s)
            + stats.norm.logpdf(v["beta"], 0.0, 2.5 * s / of).sum()
            + stats.expon.logpdf(v["sigma"], scale=s)
            + stats.norm.logpdf(d["y"], mu, v["sigma"]).sum()
        )

    assert_density(linear.scaled(d), expected)

    def standard(v):
        z = (d["X"] - d["X"].mean(axis=0)) / of
        return (
            stats.norm.logpdf(v["a"], m, 2.5 * s)
            + stats.norm.logpdf(v["beta"], 0.0, 2.5 * s).sum()
            + stats.expon.logpdf(v["sigma"], scale=s)
            + stats.norm.logpdf(d["y"], v["a"] + z @ v["beta"], v["sigma"]).sum()
        )

    assert_density(multiple_regression.scaled(d), standard)
    b = table(binary=True)

    def binary(v):
        log_odds = v["alpha_at_mean"] + (b["X"] - b["X"].mean(axis=0)) @ v["beta"]
        return (
            stats.norm.logpdf(v["alpha_at_mean"], 0.0, 2.5)
            + stats.norm.logpdf(v["beta"], 0.0, 2.5 / of).sum()
            - np.logaddexp(0.0, np.where(b["y"] == 1, -log_odds, log_odds)).sum()
        )

    assert_density(logistic.scaled(b), binary)


def test_raw_units_are_estimated_as_by_least_squares():
    """The mode is near least squares (sigma too, which the default prior of an outcome near 1 pulls down)."""
    d = table()
    fit = sm.OLS(d["y"], sm.add_constant(d["X"])).fit()
    found = mode(linear.scaled(d))
    np.testing.assert_allclose(found["alpha"], fit.params[0], rtol=0.03)
    np.testing.assert_allclose(found["beta"], fit.params[1:], atol=0.15 * fit.bse[1:].max(), rtol=0.03)
    assert abs(found["sigma"] / np.sqrt(fit.scale) - 1.0) < 0.05
    assert mode(linear.build(d))["sigma"] < 0.9 * found["sigma"]


def test_a_change_of_unit_changes_nothing_else():
    one, other = (mode(linear.scaled(table(unit=unit, shift=shift))) for unit, shift in ((1.0, 0.0), (50.0, -7.0)))
    for name in ("beta", "sigma"):
        np.testing.assert_allclose(other[name], 50.0 * one[name], rtol=1e-3)
    np.testing.assert_allclose(other["alpha_at_mean"], 50.0 * one["alpha_at_mean"] - 7.0, rtol=1e-3)


def test_what_is_worked_out_is_written_for_people():
    d = table()
    s, of = d["y"].std(ddof=1), d["X"].std(axis=0, ddof=1)
    assert linear.scaled_priors(d) == [
        f"alpha_at_mean ~ Normal({d['y'].mean():.4g}, {2.5 * s:.4g})",
        f"beta[year] ~ Normal(0, {2.5 * s / of[0]:.4g}), beta[acid] ~ Normal(0, {2.5 * s / of[1]:.4g})",
        f"sigma ~ Exponential(rate {1 / s:.4g})",
    ]
    assert logistic.scaled_priors(table(binary=True))[0] == "alpha_at_mean ~ Normal(0, 2.5)"
    assert multiple_regression.scaled_priors(d)[1] == f"every beta ~ Normal(0, {2.5 * s:.4g})"


def grouped(n=90, unit=1.0, of_x=1.0):
    """Three categories with lines of their own, in raw units: y near 500, x near 30."""
    rng = np.random.default_rng(11)
    group, x = np.arange(n) % 3, 30.0 + 8.0 * rng.standard_normal(n)
    y = np.array([480.0, 500.0, 540.0])[group] + np.array([2.0, 3.0, 5.0])[group] * (x - 30.0)
    y = unit * (y + 25.0 * rng.standard_normal(n))
    return Dataset({"y": y, "x": of_x * x, "group": group}, coords={"group": ("a", "b", "c")})


def scales(d):
    return d["y"].mean(), d["y"].std(ddof=1), d["x"].std(ddof=1)


def test_the_density_of_a_polynomial_has_the_scale_of_each_power():
    d = grouped()
    m, s, of_x = scales(d)
    z = (d["x"] - d["x"].mean()) / of_x
    powers = np.column_stack([z, z**2, z**3])

    def expected(v):
        b = np.array([v["b1"], v["b2"], v["b3"]])
        return (
            stats.norm.logpdf(v["a_at_mean"], m, 2.5 * s)
            + stats.norm.logpdf(b, 0.0, 2.5 * s / powers.std(axis=0, ddof=1)).sum()
            + stats.expon.logpdf(v["sigma"], scale=s)
            + stats.norm.logpdf(d["y"], v["a_at_mean"] + (powers - powers.mean(axis=0)) @ b, v["sigma"]).sum()
        )

    assert_density(polynomial.scaled(d, degree=3), expected)
    fit = sm.OLS(d["y"], sm.add_constant(powers)).fit()
    found = mode(polynomial.scaled(d, degree=3))
    near = np.array([found[name] for name in ("a", "b1", "b2", "b3")])
    assert (abs(near - fit.params) < 0.2 * fit.bse).all()
    assert abs(found["sigma"] / np.sqrt(fit.scale) - 1.0) < 0.05
    assert polynomial.scaled_priors(d, degree=1) == [
        f"a_at_mean ~ Normal({m:.4g}, {2.5 * s:.4g})", f"b1 ~ Normal(0, {2.5 * s:.4g})",
        f"sigma ~ Exponential(rate {1 / s:.4g})",
    ]  # fmt: skip


def test_every_category_has_an_intercept_and_a_slope_as_rstanarm_states_them():
    d = grouped()
    m, s, of_x = scales(d)

    def expected(v):
        mu = v["a"][d["group"]] + v["b"][d["group"]] * (d["x"] - d["x"].mean())
        return (
            stats.norm.logpdf(v["a"], m, 2.5 * s).sum()
            + stats.norm.logpdf(v["b"], 0.0, 2.5 * s / of_x).sum()
            + stats.expon.logpdf(v["sigma"], scale=s)
            + stats.norm.logpdf(d["y"], mu, v["sigma"]).sum()
        )

    assert_density(varying_slopes.scaled(d), expected)
    found = mode(varying_slopes.scaled(d))
    dummies = np.eye(3)[d["group"]]
    fit = sm.OLS(d["y"], np.hstack([dummies, dummies * (d["x"] - d["x"].mean())[:, None]])).fit()
    assert (abs(np.concatenate([found["a"], found["b"]]) - fit.params) < 0.2 * fit.bse).all()


@pytest.mark.parametrize("parameterization", ["centered", "noncentered"])
def test_groups_have_the_scales_of_the_data_too(parameterization):
    d = grouped()
    m, s, of_x = scales(d)

    def expected(v):
        rate = np.array([1.0, of_x]) / s
        mu = v["a"][d["group"]] + v["b"][d["group"]] * (d["x"] - d["x"].mean())
        total = (
            stats.norm.logpdf(v["alpha"], m, 2.5 * s)
            + stats.norm.logpdf(v["beta"], 0.0, 2.5 * s / of_x)
            + stats.expon.logpdf(v["sd"], scale=1 / rate).sum()
            + stats.beta.logpdf(v["rho_unit"], 1.0, 1.0)
            + stats.expon.logpdf(v["sigma"], scale=s)
            + stats.norm.logpdf(d["y"], mu, v["sigma"]).sum()
        )
        if parameterization == "noncentered":
            return total + stats.norm.logpdf(v["z"]).sum()
        rho = 2.0 * v["rho_unit"] - 1.0
        slope = v["beta"] + v["sd"][1] * rho * (v["a"] - v["alpha"]) / v["sd"][0]
        return (
            total
            + stats.norm.logpdf(v["a"], v["alpha"], v["sd"][0]).sum()
            + stats.norm.logpdf(v["b"], slope, v["sd"][1] * np.sqrt(1.0 - rho**2)).sum()
        )

    assert_density(varying_effects.scaled(d, parameterization=parameterization), expected)
    told = varying_effects.scaled_priors(d, parameterization=parameterization)
    assert told[2:4] == [
        f"sd[intercept] ~ Exponential(rate {1 / s:.4g})", f"sd[slope] ~ Exponential(rate {of_x / s:.4g})"
    ]  # fmt: skip


def test_an_outcome_of_one_value_is_refused():
    d = table()
    still = Dataset({"y": np.full(50, 3.0), "X": d["X"]}, coords=d.coords)
    with pytest.raises(DataError, match="y has one value only"):
        linear.scaled(still)
