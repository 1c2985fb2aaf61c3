"""Every shipped model on the data that its config chooses."""

import importlib
import inspect

import numpy as np
import pymc as pm
import pytensor
import pytest

from bayesrun.errors import ConfigError, DataError
from bayesrun.models.inputs import number, obs_labels, positive, standard_scores
from bayesrun.types import Dataset
from model_oracles import PLAIN, default_data, model_config
from places import CONF

# The noncentered form is every builder's default; the centred one mixes better where each group is known precisely
# (Papaspiliopoulos, Roberts and Skoeld 2007, doi:10.1214/088342307000000014), as each of the 30 rats is.
FOR_ITS_DATA = {("varying_effects", "parameterization"): "centered"}

NAMES = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))


def target(name):
    module, function = model_config(name)[1].rsplit(".", 1)
    return getattr(importlib.import_module(module), function)


def test_all_models_of_the_reference_are_there():
    assert set(NAMES) >= {
        "ar1", "formula", "hierarchical", "linear", "logistic", "meta_analysis", "multiple_regression", "polynomial",
        "survival", "varying_effects", "varying_slopes",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_config_states_every_parameter_with_its_default(name):
    parameters = dict(inspect.signature(target(name)).parameters)
    parameters.pop("data")
    config = model_config(name)[2]
    assert list(config) == list(parameters)
    for key, parameter in parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            assert config[key] == FOR_ITS_DATA.get((name, key), parameter.default)
            assert type(config[key]) is type(parameter.default)


@pytest.mark.parametrize("name", NAMES)
def test_default_data_conform_and_the_density_is_finite(name):
    _, _, params = model_config(name)
    model = target(name)(default_data(name), **params)
    point = model.initial_point()
    assert np.isfinite(model.compile_logp(mode=PLAIN)(point))
    assert np.isfinite(model.compile_dlogp(mode=PLAIN)(point)).all()
    assert not model.potentials
    for variable in [*model.free_RVs, *model.deterministics, *model.observed_RVs]:
        assert variable.ndim == len(model.named_vars_to_dims.get(variable.name, ()))
    for dims in model.named_vars_to_dims.values():
        assert set(dims) <= set(model.coords)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "formula"])
def test_a_scale_that_is_not_positive_is_refused(name):
    scale = next(key for key in model_config(name)[2] if key.endswith(("_sigma", "_scale", "_rate", "_upper")))
    if name == "ar1":
        scale = "mu_sigma"
    with pytest.raises(ConfigError, match=rf"model\.{scale}=-1.0: want a number above 0"):
        target(name)(default_data(name), **{scale: -1.0})


@pytest.mark.parametrize("value", [36, 2.5, np.int8(3), np.float32(0.5)])
@pytest.mark.parametrize("policy", ["custom", "numpy+floatX"])
def test_numbers_are_double_precision_in_a_graph(value, policy):
    with pytensor.config.change_flags(cast_policy=policy):
        assert pm.Normal.dist(0.0, positive("mu_sigma", value)).owner.inputs[-1].dtype == "float64"


def test_other_values_are_refused():
    with pytest.raises(ConfigError, match=r"model\.mu_mean='x': want a finite number"):
        number("mu_mean", "x")
    with pytest.raises(ConfigError, match=r"model\.mu_sigma=nan"):
        positive("mu_sigma", float("nan"))


def test_labels_and_standard_scores():
    data = Dataset({"y": np.zeros(3)})
    assert list(obs_labels(data, "y")) == [0, 1, 2]
    assert list(obs_labels(Dataset({"y": np.zeros(2)}, coords={"obs": ("a", "b")}), "y")) == ["a", "b"]
    np.testing.assert_allclose(standard_scores(np.array([1.0, 2.0, 3.0]), "x"), [-1.0, 0.0, 1.0])
    with pytest.raises(DataError, match="X has a column with one value only"):
        standard_scores(np.array([[1.0, 2.0], [1.0, 3.0]]), "X")
