"""What a builder holds itself gives way to drawn values, in the model alone, and to nothing of another shape."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest

from bayesrun.errors import ConfigError
from bayesrun.simulate import simulator
from bayesrun.simulate.arrays import observed_values
from bayesrun.simulate.builders import bound_builder, held, is_held, with_held
from bayesrun.types import Dataset
from own_values_models import X, Y, good_counts, good_data, good_global, good_table

NONE = Dataset({})


def of_cast():
    with pm.Model() as model:
        n = pm.Data("n", np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]))
        p = pm.Beta("p", 1.0, 1.0)
        pm.Bernoulli("y_obs", p, observed=pt.cast(n, "int64"), shape=7)
    return model


def within_graph():
    with pm.Model() as model:
        y = pm.Data("y", Y)
        mu = pm.Normal("mu")
        pm.Normal("y_obs", mu, 1.0, observed=pt.log(y + 1.0), shape=8)
    return model


def both(data):
    """Observes an array of the data, and one of its own."""
    with pm.Model() as model:
        mu = pm.Normal("mu")
        pm.Normal("a", mu, 1.0, observed=data["a"])
        pm.Normal("b", mu, 1.0, observed=X)
    return model


@pytest.mark.parametrize("function", [good_global, good_data, good_table, good_counts, of_cast])
def test_drawn_values_are_observed_in_the_place_of_those_that_are_held(function, interpreted):
    build = bound_builder(function, {})
    model = build(NONE)
    before = observed_values(model)["y_obs"].copy()
    base = with_held(model, NONE)
    (name,) = base.arrays
    assert is_held(name)
    ready = simulator(build, base)
    assert ready.replaced == (name,)
    drawn = [ready.draw(seed).dataset for seed in range(6)]
    assert len({one[name].tobytes() for one in drawn}) > 3
    for one in drawn:
        again = build(one)
        np.testing.assert_allclose(observed_values(again)["y_obs"], one[name], rtol=1e-12)
        point = again.initial_point()
        density = again.compile_logp()(point)
        assert np.isfinite(density)
    np.testing.assert_array_equal(observed_values(build(NONE))["y_obs"], before)


def test_parameters_reach_a_builder_with_and_without_data():
    wide, narrow = (bound_builder(good_data, {"scale": scale})(NONE) for scale in (100.0, 1.0))
    assert wide.compile_logp()({"mu": 3.0}) != narrow.compile_logp()({"mu": 3.0})


def test_arrays_of_the_data_and_held_ones_are_told_apart(interpreted):
    data = Dataset({"a": np.array([0.1, 0.2])})
    build = bound_builder(both, {})
    model = build(data)
    assert held(model, data) == ["b"]
    base = with_held(model, data)
    ready = simulator(build, base)
    assert sorted(ready.replaced) == sorted(base.arrays)
    one = ready.draw(1).dataset
    for variable, values in observed_values(build(one)).items():
        np.testing.assert_array_equal(values, one[variable] if variable == "a" else one["b (held by the model)"])


def test_what_cannot_be_exchanged_is_refused():
    build = bound_builder(good_global, {})
    with pytest.raises(ConfigError, match=r"holds what y_obs observes, in shape \(8,\), and values of shape \(3,\)"):
        build(Dataset({"y_obs (held by the model)": np.zeros(3)}))
    with pytest.raises(ConfigError, match="y_obs observes what is worked out within the model"):
        bound_builder(within_graph, {})(Dataset({"y_obs (held by the model)": np.zeros(8)}))
