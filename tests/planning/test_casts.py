"""What a model observes is what the dataset has: casts of PyMC are found, and gaps only where a model looks."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest

from bayesrun.errors import ConfigError, DataError
from bayesrun.planning.model_check import build
from bayesrun.types import Dataset, Target

if TYPE_CHECKING:
    from collections.abc import Callable

N = 30
RNG = np.random.default_rng(8)
ARRAYS: dict[str, np.ndarray] = {
    "big": (2e9 + 1e9 * RNG.random(N)).astype(np.int64),
    "shares": 5.0 * RNG.random(N),
    "x": RNG.standard_normal(N),
    "k": RNG.poisson(3.0, N),
    "far": 1e8 + RNG.standard_normal(N),
    "seen": RNG.random(N) < 0.5,
    "gaps": np.where(np.arange(N) == 3, np.nan, 1.0),
}


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Dataset], Any]], pm.Model]:
    """Build a user's model as preflight does."""
    module = types.ModuleType("users_arrivals")
    monkeypatch.setitem(sys.modules, "users_arrivals", module)

    def make(inside: Callable[[Dataset], Any]) -> pm.Model:
        def model(data: Dataset) -> pm.Model:
            with pm.Model() as found:
                inside(data)
            return found

        model.__module__ = "users_arrivals"
        module.model = model  # type: ignore[attr-defined]
        dims = {name: ("obs",) for name in ARRAYS}
        return build(Target("users", "users_arrivals.model"), Dataset(ARRAYS, dims)).model

    return make


def normal(values: Any) -> None:
    pm.Normal("y", pm.Normal("mu"), 1.0, observed=values)


def poisson(values: Any) -> None:
    pm.Poisson("y", pm.Gamma("mu", 1.0, 1.0), observed=values)


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        (lambda d: normal(d["big"]), r"y has -\d+ where the data have 2\d+ .*wrap; hand over floats"),
        (lambda d: normal(pd.Series(d["big"])), "wrap"),
        (lambda d: normal(d["k"] * 10**9), "wrap"),
        (lambda d: pm.Normal("y", pm.Normal("b") * pm.Data("x", d["big"]), observed=d["x"]), "pm.Data has -.*wrap"),
        (lambda d: normal(pm.Data("y_data", d["big"])), "wrap"),
        (lambda d: poisson(d["shares"]), r"whole numbers are made of fractions.*offset"),
        (lambda d: poisson(d["shares"] / 2), "fractions"),
        (lambda d: poisson(d["shares"][:9]), "fractions"),
        (lambda d: poisson(pm.Data("y_data", d["shares"])), "fractions"),
        (lambda d: poisson(d["shares"].astype(int)), "y is made of shares and .* fractions"),
        (lambda d: pm.NegativeBinomial("y", 2.0, pm.Gamma("a", 1.0, 1.0), observed=d["shares"]), "fractions"),
        (lambda d: pm.Bernoulli("y", pm.Beta("p", 1.0, 1.0), observed=d["shares"] / 5), "fractions"),
        (lambda d: normal(d["far"].astype("float32")), "y is made of far and .* single precision is too coarse"),
        (lambda d: normal(pm.Data("y_data", d["far"].astype("float32"))), "single precision"),
    ],
)
def test_numbers_that_a_cast_changes_are_refused(built: Any, inside: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        built(inside)


@pytest.mark.parametrize(
    "inside",
    [
        lambda d: normal(d["big"].astype(float)),
        lambda d: normal(d["k"]),
        lambda d: normal(np.log(d["shares"])),
        lambda d: normal(d["x"].astype("float32")),
        lambda d: normal(d["shares"].tolist()),
        lambda d: poisson(d["k"]),
        lambda d: poisson(d["k"].astype(float)),
        lambda d: poisson(np.round(d["shares"])),
        lambda d: poisson(pm.Data("y_data", d["k"])),
        lambda d: pm.Bernoulli("y", pm.Beta("p", 1.0, 1.0), observed=d["seen"]),
        lambda d: normal(np.ma.masked_invalid(d["x"])),
    ],
)
def test_numbers_that_arrive_are_let_through(built: Any, inside: Any) -> None:
    assert [v.name for v in built(inside).observed_RVs] == ["y"]


def test_gaps_count_where_a_model_looks(built: Any) -> None:
    with pytest.raises(DataError, match="gaps has 1 value that is missing or infinite: row 4"):
        built(lambda d: normal(d["x"] * d["gaps"]))
    with pytest.raises(DataError, match="gaps has 1 value"):
        built(lambda d: normal(pd.DataFrame(dict(d))["x"]))


def test_a_variable_that_is_called_like_a_dim_is_refused(built: Any) -> None:
    def inside(data: Dataset) -> None:
        pm.Normal("y", pm.Normal("chain"), 1.0, observed=data["x"])

    with pytest.raises(ConfigError, match="chain is a variable and a dim of draws"):
        built(inside)


def test_pymc_is_left_as_it_was(built: Any) -> None:
    from pymc.model.core import Model

    before = Model.make_obs_var
    built(lambda d: normal(d["x"]))
    with pytest.raises(DataError):
        built(lambda d: normal(d["big"]))
    assert Model.make_obs_var is before
