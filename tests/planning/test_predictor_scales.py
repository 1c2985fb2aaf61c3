"""Predictors that samplers find hard are named before the fit, and those that are scaled or centred are not."""

import numpy as np
import pymc as pm
import pytest

from bayesrun.models import formula, linear, logistic, multiple_regression
from bayesrun.planning.predictor_scales import scale_warnings
from bayesrun.types import Dataset

ROWS = 60
RNG = np.random.default_rng(1)
COLUMNS = {
    "year": 2000.0 + 10.0 * RNG.standard_normal(ROWS),
    "income": 42000.0 + 9000.0 * RNG.standard_normal(ROWS),
    "age": 50.0 + 10.0 * RNG.standard_normal(ROWS),
    "acidity": 0.5 * RNG.standard_normal(ROWS),
}


def dataset(*names):
    arrays = {"y": RNG.integers(0, 2, ROWS).astype(float)}
    arrays |= {"X": np.column_stack([COLUMNS[name] for name in names]), **COLUMNS}
    dims = dict.fromkeys(arrays, ("obs",)) | {"X": ("obs", "predictor")}
    return Dataset(arrays=arrays, dims=dims, coords={"predictor": names}, name="table")


def own(data, *, centred=False, intercept=True, shared=False):
    """A model of somebody's own: intercepts of groups, a slope and an exposure that is no predictor."""
    group = np.arange(ROWS) % 5
    with pm.Model(coords={"obs": range(ROWS), "group": range(5)}) as model:
        z = pm.Normal("z", 0.0, 1.0, dims="group")
        alpha = pm.Deterministic("alpha", pm.Normal("mu", 0.0, 1.0) + pm.HalfNormal("tau", 1.0) * z, dims="group")
        x = data["year"] - data["year"].mean() if centred else data["year"]
        slope = pm.Normal("b", 0.0, 1.0) * (pm.Data("x", x) if shared else x)
        rate = data["income"] * pm.math.exp(alpha[group] + slope if intercept else slope)
        pm.Poisson("events", rate, observed=np.ones(ROWS, dtype=int))
    return model


@pytest.mark.parametrize("module", [linear, logistic])
def test_spreads_far_apart_are_said_with_both_columns(module):
    data = dataset("income", "acidity", "age")
    (line,) = scale_warnings(module.build(data), data)
    wide, narrow = (f"{COLUMNS[name].std():.4g}" for name in ("income", "acidity"))
    assert f"the standard deviation of X[income] is {wide}, that of X[acidity] {narrow}" in line
    assert line.endswith("'data.standardize=[income,acidity]', or other units")


def test_a_column_far_from_zero_is_said_beside_an_intercept():
    data = dataset("year", "age")
    (line,) = scale_warnings(linear.build(data), data)
    assert line.startswith("X[year] is far from 0 beside the spread (X[year]: mean ")
    assert "'data.standardize=[year]', or the mean subtracted in the model" in line
    for shared in (False, True):
        (line,) = scale_warnings(own(data, shared=shared), data)
        assert line.startswith("X[year] is far from 0")
    assert scale_warnings(own(data, intercept=False), data) == []


def test_what_is_no_column_is_named_after_its_coefficient():
    data = dataset("age")
    with pm.Model() as model:
        x = 5000.0 + np.random.default_rng(3).standard_normal(ROWS)
        pm.Normal("y", pm.Normal("a", 0.0, 1.0) + pm.Normal("b", 0.0, 1.0) * x, 1.0, observed=data["y"])
    (line,) = scale_warnings(model, data)
    assert line.startswith("the predictor of b is far from 0")
    assert "data.standardize" not in line


def test_models_that_scale_or_centre_and_healthy_columns_get_no_word():
    raw, healthy = dataset("income", "acidity", "year"), dataset("age", "acidity")
    assert scale_warnings(multiple_regression.build(raw), raw) == []
    assert scale_warnings(formula.build(raw, formula="y ~ year + age"), raw) == []  # Bambi centres
    assert scale_warnings(own(raw, centred=True), raw) == []
    assert scale_warnings(linear.build(healthy), healthy) == []
    (line,) = scale_warnings(formula.build(raw, formula="y ~ income + acidity"), raw)
    assert "that of X[acidity]" in line
