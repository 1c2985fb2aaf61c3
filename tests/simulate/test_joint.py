"""Observed and simulated data as one dataset, and the models for which that is no posterior given both."""

import numpy as np
import pymc as pm
import pytest

from bayesrun.data import shipped
from bayesrun.errors import ConfigError
from bayesrun.models import ar1, hierarchical
from bayesrun.simulate import check_joint, joined, simulator
from bayesrun.types import Dataset


def schools() -> Dataset:
    return shipped(table="eight_schools", columns={"y": "effect", "sigma": "standard_error", "group": "school"})


def test_observations_are_below_each_other_and_groups_stay():
    base = schools()
    ready = simulator(hierarchical.build, base)
    simulated = ready.draw(3).dataset
    both = joined(base, simulated, ready.replaced)
    np.testing.assert_array_equal(both["y"], [*base["y"], *simulated["y"]])
    np.testing.assert_array_equal(both["sigma"], np.tile(base["sigma"], 2))
    np.testing.assert_array_equal(both["group"], np.tile(base["group"], 2))
    assert both.coords["group"] == base.coords["group"]
    check_joint(hierarchical.build, base, simulated, both)


def test_a_time_series_is_no_sum():
    rng = np.random.default_rng(1)
    base = Dataset({"y": rng.normal(size=30)}, {"y": ("obs",)})
    ready = simulator(ar1.build, base)
    simulated = ready.draw(3).dataset
    with pytest.raises(ConfigError, match="not independent given the parameters"):
        check_joint(ar1.build, base, simulated, joined(base, simulated, ready.replaced))


def effects(data):
    with pm.Model() as model:
        effect = pm.Normal("effect", shape=len(data["y"]))
        pm.Normal("y_obs", effect, 1.0, observed=data["y"])
    return model


def scaled(data):
    with pm.Model() as model:
        mu = pm.Normal("mu", sigma=float(len(data["y"])))
        pm.Normal("y_obs", mu, 1.0, observed=data["y"])
    return model


def picky(data):
    if len(data["y"]) > 4:
        raise ConfigError("wanted at most four")
    return scaled(data)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (effects, "has other parameters for the observed and simulated data together"),
        (scaled, "not independent given the parameters"),
        (picky, "cannot be built on the observed and simulated data together: wanted at most four"),
    ],
)
def test_models_that_change_with_the_number_of_observations(build, message):
    base, simulated = Dataset({"y": np.arange(3.0)}), Dataset({"y": np.arange(3.0) ** 2})
    with pytest.raises(ConfigError, match=message):
        check_joint(build, base, simulated, joined(base, simulated, ["y"]))


def test_a_matrix_of_distances_cannot_be_joined():
    base = Dataset({"y": np.arange(3.0), "distance": np.ones((3, 3))}, {"y": ("obs",), "distance": ("obs", "obs")})
    with pytest.raises(ConfigError, match="distance has the observations as columns"):
        joined(base, base, ["y"])
