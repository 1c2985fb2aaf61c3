"""Outcomes that are partly missing: which part is drawn as what, in fits and in simulated data."""

import numpy as np
import pymc as pm
import pytest

from bayesrun.errors import ConfigError, DataError
from bayesrun.planning.model_check import build
from bayesrun.simulate import refusal, simulator
from bayesrun.simulate.arrays import candidates, filled
from bayesrun.simulate.builders import bound_builder
from bayesrun.simulate.refusals import imputed
from bayesrun.types import Dataset, Target

GAPS = Dataset({"y": np.array([0.5, np.nan, 1.5, -0.3, np.nan]), "x": np.arange(5.0)}, {"y": ("obs",), "x": ("obs",)})


def masked(data):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 2.0)
        pm.Normal("y_obs", mu + data["x"], 1.0, observed=np.ma.masked_invalid(data["y"]))
    return model


def plain(data):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 2.0)
        pm.Normal("y_obs", mu + data["x"], 1.0, observed=data["y"])
    return model


def censored(data):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 2.0)
        dist = pm.Normal.dist(mu + data["x"], 1.0)
        pm.Censored("y_obs", dist, lower=None, upper=20.0, observed=np.ma.masked_invalid(data["y"]))
    return model


def joint(data):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 2.0)
        pm.MvNormal("y_obs", mu + data["x"], 0.5 * np.eye(5) + 0.5, observed=np.ma.masked_invalid(data["y"]))
    return model


def target(name: str) -> Target:
    return Target(name, f"{__name__}.{name}")


@pytest.mark.parametrize("name", ["masked", "censored", "joint"])
def test_gaps_are_drawn_where_the_builder_says_so(name):
    found = build(target(name), GAPS)
    assert imputed(found.model) == ["y_obs"]
    (note,) = found.notes
    assert note == (
        f"model={name}: 2 of the values that y_obs observes are missing and drawn with the parameters, as "
        "y_obs_unobserved; LOO is over the others"
    )


def test_gaps_that_nobody_spoke_of_are_refused_with_both_remedies():
    with pytest.raises(DataError, match="y has 2 values that are missing") as told:
        build(target("plain"), GAPS)
    assert "Leave such rows out: data.drop_missing=true" in str(told.value)
    assert "draw what is missing of y_obs as a parameter: observed=np.ma.masked_invalid(data[...])" in str(told.value)


def test_gaps_of_another_column_are_refused_all_the_same():
    with pytest.raises(DataError, match="x has 1 value that is missing"):
        build(target("masked"), Dataset({**GAPS.arrays, "x": np.array([0.0, 1.0, np.nan, 3.0, 4.0])}, GAPS.dims))


def test_what_is_missing_is_truth_and_the_rest_is_data(interpreted):
    build_model = bound_builder(masked, {})
    model = build_model(GAPS)
    assert candidates(model, GAPS) == {"y_obs_observed": ["y"]}
    ready = simulator(build_model, GAPS)
    assert ready.replaced == ("y",)
    assert ready.unknown == ("y_obs",)
    drawn = [ready.draw(seed) for seed in range(400)]
    gaps = np.isnan(GAPS["y"])
    rows = np.stack([one.dataset["y"] - GAPS["x"] - one.truth["mu"] for one in drawn])
    np.testing.assert_array_equal(np.isnan(rows), np.tile(gaps, (400, 1)))
    missing = np.stack([one.truth["y_obs_unobserved"] - GAPS["x"][gaps] - one.truth["mu"] for one in drawn])
    for noise in (rows[:, ~gaps], missing):  # standard normal, each of its own
        assert abs(noise.mean()) < 4 / noise.size**0.5
        assert abs(noise.std() - 1) < 4 / (2 * noise.size) ** 0.5
    both = np.corrcoef(np.column_stack([rows[:, ~gaps], missing]).T)
    assert np.abs(both - np.eye(5)).max() < 4 / 400**0.5


@pytest.mark.parametrize("function", [joint, censored])
def test_a_distribution_that_does_not_come_apart_is_refused(function, interpreted):
    (reason,) = refusal(bound_builder(function, {}), GAPS)
    assert reason.startswith("y_obs is partly missing, and PyMC does not part its distribution")
    with pytest.raises(ConfigError, match="leave those rows out"):
        simulator(bound_builder(function, {}), GAPS)


def test_draws_fill_what_was_there():
    np.testing.assert_array_equal(
        filled(GAPS["y"], np.array([1.0, 2.0, 3.0])), np.array([1.0, np.nan, 2.0, 3.0, np.nan])
    )
    np.testing.assert_array_equal(filled(GAPS["x"], np.ones(5)), np.ones(5))
    assert filled(GAPS["y"], np.ones(2)).shape == (2,)
