"""Shared variables in the place of what differs: the same log density, the same values, and no other graph."""

import functools
import importlib

import numpy as np
import pymc as pm
import pytest
from pymc.backends.arviz import find_observations
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import ancestors

from bayesrun.samplers.lanes.graphs import survey
from bayesrun.samplers.lanes.shared_data import share_data
from bayesrun.simulate import simulator
from bayesrun.types import Dataset
from model_oracles import PLAIN, default_data, model_config

SIMULATED = ("hierarchical", "linear", "logistic", "meta_analysis", "ar1", "multiple_regression", "survival")


def shared(model):
    """Values of the shared variables that a log density is computed from."""
    found = {v for v in ancestors([model.logp()]) if isinstance(v, SharedVariable)}
    return [v.get_value() for v in found]


def regression(data):
    with pm.Model() as model:
        slope = pm.Normal("slope", 0.0, 1.0)
        pm.Normal("y", slope * data["x"], 1.0, observed=data["y"])
    return model


def simple(*y, x=(1.0, 2.0, 3.0)):
    return Dataset({"x": np.array(x), "y": np.array(y)})


@pytest.mark.parametrize("name", SIMULATED)
def test_the_log_density_stays_and_takes_its_data_from_shared_variables(name):
    _, target, params = model_config(name)
    module, function = target.rsplit(".", 1)
    build = functools.partial(getattr(importlib.import_module(module), function), **params)
    base = default_data(name)
    if name == "survival":
        base = Dataset({**base.arrays, "censoring_time": base["time"] + 1.0}, base.dims, base.coords)
    dataset = simulator(build, base).draw(3).dataset
    plain = build(dataset)
    model = share_data(build(dataset), survey(build(base)))
    assert shared(model)
    for key, value in find_observations(plain).items():
        np.testing.assert_array_equal(find_observations(model)[key], value)
    point = plain.initial_point()
    assert {k: v.shape for k, v in point.items()} == {k: v.shape for k, v in model.initial_point().items()}
    np.testing.assert_allclose(model.compile_logp(mode=PLAIN)(point), plain.compile_logp(mode=PLAIN)(point), rtol=1e-12)
    np.testing.assert_allclose(
        model.compile_dlogp(mode=PLAIN)(point), plain.compile_dlogp(mode=PLAIN)(point), rtol=1e-9
    )


def test_what_does_not_differ_stays_constant():
    model = share_data(regression(simple(1.0, 2.0, 3.0)), survey(regression(simple(0.0, 0.0, 0.0))))
    (value,) = shared(model)
    np.testing.assert_array_equal(value, [1.0, 2.0, 3.0])
    constants = [v.data for v in ancestors([model.logp()]) if isinstance(v, Constant) and np.shape(v.data) == (3,)]
    assert any(np.array_equal(value, [1.0, 2.0, 3.0]) for value in constants)  # x, which is the same in both


def test_a_model_of_another_form_is_left_alone():
    def build(data):
        with pm.Model() as model:
            mu = pm.Normal("mu", 0.0, 1.0)
            if data["y"].max() > 2.0:
                mu = mu + pm.Normal("more", 0.0, 1.0)
            pm.Normal("y", mu, 1.0, observed=data["y"])
        return model

    assert not shared(share_data(build(simple(0.0, 1.0, 3.0)), survey(build(simple(0.0, 1.0, 1.5)))))
    assert shared(share_data(build(simple(0.0, 1.0, 2.0)), survey(build(simple(0.0, 1.0, 1.5)))))


@pytest.mark.filterwarnings("ignore:Data in y contains missing values:pymc.exceptions.ImputationWarning")
def test_missing_values_and_where_they_are():
    def build(data):
        with pm.Model() as model:
            mu = pm.Normal("mu", 0.0, 1.0)
            pm.Normal("y", mu, 1.0, observed=np.ma.masked_invalid(data["y"]))
        return model

    def missing(*y):
        return Dataset({"y": np.array(y)})

    base = survey(build(missing(0.5, np.nan, 1.0, 2.0)))
    for y in [(1.5, np.nan, 0.0, 1.0), (1.5, 3.0, np.nan, 1.0)]:
        plain, model = build(missing(*y)), share_data(build(missing(*y)), base)
        point = plain.initial_point()
        np.testing.assert_allclose(model.compile_logp(mode=PLAIN)(point), plain.compile_logp(mode=PLAIN)(point))
        assert list(find_observations(model)) == ["y_observed"]
        np.testing.assert_array_equal(find_observations(model)["y_observed"], [v for v in y if v == v])


def test_an_infinite_bound_that_decides_a_transform_stays():
    def build(data):
        with pm.Model() as model:
            mu = pm.TruncatedNormal("mu", 0.0, 1.0, lower=data["low"], upper=np.full(3, np.inf), shape=3)
            pm.Normal("y", mu, 1.0, observed=data["y"])
        return model

    def data(low):
        return Dataset({"low": np.full(3, low), "y": np.array([1.0, 2.0, 3.0]) + low})

    plain, model = build(data(-1.0)), share_data(build(data(-1.0)), survey(build(data(0.0))))
    point = plain.initial_point()
    assert list(point) == ["mu_interval__"]
    np.testing.assert_allclose(model.compile_logp(mode=PLAIN)(point), plain.compile_logp(mode=PLAIN)(point))
    assert sorted(value[0] for value in shared(model)) == [-1.0, 0.0]
