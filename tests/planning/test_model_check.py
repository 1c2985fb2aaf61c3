"""Shapes that are fixed in a builder are refused with the dataset that they do not suit, before any fit."""

import sys
import zipfile

import numpy as np
import pymc as pm
import pytest

from bayesrun.errors import ConfigError
from bayesrun.planning.model_check import build, check_other, source_of
from bayesrun.types import Dataset, Target

N = 6


def data(n: int) -> Dataset:
    return Dataset({"y": np.linspace(-1.0, 1.0, n)}, {"y": ("obs",)})


def labelled(dataset):
    with pm.Model(coords={"obs": range(N)}) as model:
        mu = pm.Normal("mu")
        pm.Normal("y_obs", mu, 1.0, observed=dataset["y"], dims="obs")
    return model


def derived(dataset):
    with pm.Model(coords={"obs": range(N)}) as model:
        mu = pm.Normal("mu")
        eta = pm.Deterministic("eta", mu + pm.math.exp(dataset["y"]), dims="obs")
        pm.Normal("y_obs", eta, 1.0, observed=dataset["y"])
    return model


def derived_open(dataset):
    """The length is in mutable data, so that it is not known before it is evaluated."""
    with pm.Model(coords={"obs": range(N)}) as model:
        y = pm.Data("y", dataset["y"])
        mu = pm.Normal("mu")
        eta = pm.Deterministic("eta", mu + y, dims="obs")
        pm.Normal("y_obs", eta, 1.0, observed=dataset["y"])
    return model


def effects(dataset):
    with pm.Model() as model:
        e = pm.Normal("e", shape=N)
        pm.Normal("y_obs", e, 1.0, observed=dataset["y"])
    return model


def effects_open(dataset):
    with pm.Model() as model:
        e = pm.Normal("e", shape=N)
        pm.Normal("y_obs", e + pm.Data("x", 0 * dataset["y"]), 1.0, observed=dataset["y"])
    return model


def weighted(dataset):
    weights = np.ones(N) + dataset["y"]
    with pm.Model() as model:
        mu = pm.Normal("mu")
        pm.Normal("y_obs", mu, weights**2 + 0.1, observed=dataset["y"])
    return model


def counted(dataset):
    """Everything is as long as the data."""
    with pm.Model(coords={"obs": range(len(dataset["y"]))}) as model:
        e = pm.Normal("e", dims="obs")
        eta = pm.Deterministic("eta", e + pm.Data("x", dataset["y"]), dims="obs")
        pm.Normal("y_obs", eta, 1.0, observed=dataset["y"], dims="obs")
    return model


def drawn(dataset):
    with pm.Model() as model:
        mu = pm.Normal("mu")
        pm.CustomDist("y_obs", mu, random=lambda mu, rng, size: rng.normal(mu, size=size), observed=dataset["y"])
    return model


def target(name: str) -> Target:
    return Target(name, f"{__name__}.{name}")


FIXED = [
    ("labelled", "y_obs has 12 values along dim 'obs', which has 6 coords; give one coord for each value"),
    ("derived", "eta has 12 values along dim 'obs', which has 6 coords"),
    ("derived_open", "eta has 12 values along dim 'obs', which has 6 coords"),
    ("effects", r"its log density cannot be .*shapes"),
    ("effects_open", r"its log density cannot be .*shapes"),
    ("weighted", r"failed: ValueError: operands .* \(line \d+ of .*test_model_check\.py\)"),
]


@pytest.mark.parametrize(("name", "message"), FIXED)
def test_a_length_that_is_fixed_in_a_builder_is_refused_with_other_data(name, message):
    build(target(name), data(N))
    check_other(target(name), data(N), "as long as it wants")
    with pytest.raises(ConfigError, match=f"model={name}: .*{message}.*simulated data, 12 rows, as this study fits it"):
        check_other(target(name), data(2 * N), "simulated data")


@pytest.mark.parametrize("name", [name for name, _ in FIXED if name != "effects_open"])
def test_it_is_refused_as_the_dataset_of_a_cell(name):
    with pytest.raises(ConfigError, match=f"model={name}: "):
        build(target(name), data(2 * N))


def test_a_fit_of_what_can_only_be_drawn_is_refused():
    with pytest.raises(ConfigError, match="y_obs is a CustomDist without logp: it can be drawn, as study"):
        build(target("drawn"), data(N))


def test_what_is_counted_from_the_data_goes_with_any():
    build(target("counted"), data(N))
    for n in (1, N, 2 * N):
        check_other(target("counted"), data(n), "simulated data")


def test_the_source_of_a_model_is_known_where_it_can_be_read(tmp_path, monkeypatch):
    own, shipped = Target("own", "tiny_models.build"), Target("linear", "bayesrun.models.linear.build")
    assert len(source_of(own)) == 16
    assert source_of(shipped) == "bayesrun.models.linear.build"
    with zipfile.ZipFile(tmp_path / "models.zip", "w") as archive:
        archive.writestr("zipped_model.py", "def build(data):\n    return None\n")
    monkeypatch.syspath_prepend(str(tmp_path / "models.zip"))
    assert source_of(Target("zipped", "zipped_model.build")) == ""
    sys.modules.pop("zipped_model")
