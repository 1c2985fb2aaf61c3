"""Designs: columns have the laws that are stated, stay when others are added, and every mistake is named."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from bayesrun.base.imports import bind
from bayesrun.data import check_values, conform, load, save
from bayesrun.data.design import design, redrawn
from bayesrun.errors import ConfigError, DataError
from bayesrun.types import Dataset, Role, Target
from places import CONF

DESIGN = CONF / "data" / "design.yaml"
BIG = 4000
SIGNIFICANT = 1e-4  # each test has a fixed seed
TWO: dict[str, Any] = {"x1": "normal", "x2": "normal"}


def configured(**changes: Any) -> Dataset:
    params = yaml.safe_load(DESIGN.read_text())
    assert params.pop("_target_") == "bayesrun.data.design.design"
    return design(**params | changes)


def test_the_config_lists_every_parameter():
    params = yaml.safe_load(DESIGN.read_text())
    target = Target("design", params.pop("_target_"), params)
    assert set(params) == set(inspect.signature(design).parameters)
    assert bind("data", design, target, 0).params == params


def test_the_shipped_design_has_an_array_for_every_role(tmp_path):
    data = configured(n=30)
    assert {name: (a.shape, a.dtype.kind) for name, a in data.items()} == {
        "X": ((30, 2), "f"), "x": ((30,), "f"), "group": ((30,), "i"), "se": ((30,), "f"),
        "censoring_time": ((30,), "f"), "y": ((30,), "i"), "time": ((30,), "f"), "event": ((30,), "i"),
    }  # fmt: skip
    assert data.coords["predictor"] == ("x1", "x2")
    assert data.coords["group"] == tuple(f"group{number}" for number in range(1, 9))
    assert set(np.bincount(data["group"])) == {3, 4}
    check_values(data)
    save(data, tmp_path / "d.nc")
    assert load(tmp_path / "d.nc").digest() == data.digest()


@pytest.mark.parametrize(
    ("recipe", "law"),
    [
        ("normal", stats.norm()),
        ({"kind": "normal", "mean": 3, "sd": 0.5}, stats.norm(3, 0.5)),
        ("uniform", stats.uniform()),
        ({"kind": "uniform", "low": -1, "high": 4}, stats.uniform(-1, 5)),
    ],
)
def test_numbers_have_their_law(recipe, law):
    data = design(BIG, {"x": recipe})
    assert stats.kstest(data["x"], law.cdf).pvalue > SIGNIFICANT


@pytest.mark.parametrize("correlation", [None, 0.3])
def test_levels_have_their_probabilities(correlation):
    shares = [0.5, 0.3, 0.2]
    recipe = {"kind": "categorical", "levels": ["low", "mid", "high"], "probabilities": shares}
    data = design(BIG, {"g": recipe, **TWO}, correlation=correlation)
    assert data.coords["g"] == ("low", "mid", "high")
    assert stats.chisquare(np.bincount(data["g"]), np.array(shares) * BIG).pvalue > SIGNIFICANT


def test_numeric_levels_stay_numbers():
    covariates = {
        "dose": {"kind": "categorical", "levels": [0, 2.5, 5]},
        "arm": {"kind": "categorical", "levels": [0, 1]},
    }
    data = design(50, covariates, columns={"X": ["dose", "arm"], "arm": "arm"})
    assert set(data["X"][:, 0]) == {0.0, 2.5, 5.0}
    assert data["arm"].dtype == np.int64
    assert set(data["arm"]) == {0, 1}
    assert "arm" not in data.coords


@pytest.mark.parametrize(
    ("n", "probabilities", "counts"),
    [
        (10, None, [4, 3, 3]),
        (11, [0.5, 0.25, 0.25], [5, 3, 3]),
        (9, None, [3, 3, 3]),
        (10, [1.0, 0.0, 0.0], [10, 0, 0]),
    ],
)
def test_balanced_levels_have_their_share_of_the_rows(n, probabilities, counts):
    recipe = {"kind": "categorical", "levels": 3, "probabilities": probabilities, "balanced": True}
    for seed in range(5):
        found = np.bincount(design(n, {"g": recipe}, seed=seed)["g"], minlength=3).tolist()
        assert sorted(found, reverse=True) == sorted(counts, reverse=True)
        assert sum(found) == n
        assert np.abs(np.array(found) - np.array(counts)).max() <= 1


def test_balanced_levels_are_in_no_order():
    recipe = {"kind": "categorical", "levels": 2, "balanced": True}
    rows = np.array([design(10, {"g": recipe}, seed=seed)["g"] for seed in range(400)])
    assert np.abs(rows.mean(axis=0) - 0.5).max() < 4 * 0.5 / np.sqrt(400)


def test_normal_covariates_have_the_stated_correlation():
    covariates = TWO | {"x3": {"kind": "normal", "mean": 5, "sd": 2}, "c": {"kind": "constant", "value": 1}}
    data = design(BIG, covariates, correlation={"x1": {"x2": 0.7}, "x2": {"x3": -0.4}})
    found = np.corrcoef([data[name] for name in ("x1", "x2", "x3")])
    wanted = np.array([[1.0, 0.7, 0.0], [0.7, 1.0, -0.4], [0.0, -0.4, 1.0]])
    # the standard error of a correlation is (1 - r^2) / sqrt(n)
    assert (np.abs(found - wanted) <= 4 * (1 - wanted**2) / np.sqrt(BIG) + 1e-12).all()
    assert stats.kstest(data["x3"], stats.norm(5, 2).cdf).pvalue > SIGNIFICANT


def test_uniform_covariates_have_the_correlation_of_the_copula():
    data = design(BIG, {"a": "uniform", "b": "uniform"}, correlation=0.6)
    wanted = 6 / np.pi * np.arcsin(0.6 / 2)
    assert abs(np.corrcoef(data["a"], data["b"])[0, 1] - wanted) < 4 / np.sqrt(BIG)
    assert stats.kstest(data["a"], stats.uniform.cdf).pvalue > SIGNIFICANT


def test_a_category_may_be_correlated_with_a_number():
    covariates = {"x": "normal", "arm": {"kind": "categorical", "levels": [0, 1], "balanced": True}}
    data = design(BIG, covariates, correlation={"x": {"arm": 0.5}})
    # E(x | upper half of a score) = r sqrt(2 / pi)
    difference = data["x"][data["arm"] == 1].mean() - data["x"][data["arm"] == 0].mean()
    assert abs(difference - 2 * 0.5 * np.sqrt(2 / np.pi)) < 4 * 2 / np.sqrt(BIG)
    alone = design(BIG, covariates, correlation=0.5)  # one number is for normal and uniform covariates only
    assert abs(alone["x"][alone["arm"] == 1].mean()) < 4 / np.sqrt(BIG / 2)


def test_one_correlation_for_all_numbers():
    data = design(BIG, TWO | {"x3": "normal"}, correlation=0.5)
    found = np.corrcoef([data[name] for name in ("x1", "x2", "x3")])
    assert np.abs(found[np.triu_indices(3, 1)] - 0.5).max() < 4 * 0.75 / np.sqrt(BIG)


def test_the_same_design_is_the_same_dataset():
    assert configured().digest() == configured().digest() == configured(redraw=True).digest()
    assert configured(seed=1).digest() != configured().digest()


def test_other_covariates_and_more_rows_change_none_that_are_there():
    few = design(20, {"x1": "normal", "u": "uniform"})
    more = design(50, {"z": "normal", "u": "uniform", "x1": "normal"})
    for name in ("x1", "u"):
        np.testing.assert_array_equal(more[name][:20], few[name])
    assert abs(np.corrcoef(more["z"], more["x1"])[0, 1]) < 4 / np.sqrt(50)


def test_a_design_is_redrawn_with_the_seed_of_a_replicate():
    params = yaml.safe_load(DESIGN.read_text())
    target = Target("mine", params.pop("_target_"), params | {"redraw": True})
    first, second = redrawn(target, 1), redrawn(target, 2)
    assert first.digest() == redrawn(target, 1).digest() != second.digest()
    assert first.name == "mine"
    assert {name: (a.shape, a.dtype) for name, a in first.items()} == {
        name: (a.shape, a.dtype) for name, a in second.items()
    }
    assert not np.array_equal(first["X"], second["X"])
    np.testing.assert_array_equal(first["y"], second["y"])


def own_design(n: int, seed: int = 0, redraw: bool = True) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).normal(size=n)}


def fixed_design(n: int, redraw: bool = True) -> dict[str, np.ndarray]:
    return {"x": np.arange(float(n))}


def test_a_function_of_the_users_is_redrawn_if_it_takes_a_seed(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    found = redrawn(Target("own", "test_design.own_design", {"n": 4, "redraw": True}), 3)
    np.testing.assert_array_equal(found["x"], own_design(4, seed=3)["x"])
    with pytest.raises(ConfigError, match=r"data.redraw: test_design.fixed_design has no parameter seed"):
        redrawn(Target("own", "test_design.fixed_design", {"n": 4, "redraw": True}), 3)


@pytest.mark.parametrize(
    ("kind", "roles"),
    [
        ("real", ["real"]),
        ("positive", ["positive", "real"]),
        ("count", ["count", "real"]),
        ("binary", ["binary", "count", "real"]),
    ],
)
@pytest.mark.parametrize("n", [2, 3, 50])
def test_placeholders_are_what_models_ask_for(kind, roles, n):
    data = design(n, {"x": "normal"}, outcome={"y": kind})
    for role in roles:
        conform(data, {"y": Role(role, "outcome"), "x": Role("real", "predictor")})  # type: ignore[arg-type]


def test_censored_times_end_where_observation_does():
    covariates = {"end": {"kind": "uniform", "low": 1.0, "high": 9.0}}
    outcome = {"time": {"kind": "positive", "event": "seen", "until": "end"}}
    data = design(10, covariates, outcome=outcome)
    assert data["seen"].tolist() == [0, 1] * 5
    assert (data["time"] > 0).all()
    np.testing.assert_array_equal(data["time"] < data["end"], data["seen"] == 1)
    np.testing.assert_array_equal(data["time"][::2], data["end"][::2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 1}, "data.n: got 1; wanted at least 2"),
        ({"covariates": {"x1": "nromal"}}, "data.covariates.x1.kind: got 'nromal'; did you mean normal"),
        ({"covariates": {"x1": {"mean": 1}}}, "data.covariates.x1.kind: got None; wanted normal, uniform"),
        ({"covariates": {"x1": {"kind": "normal", "sdd": 1}}}, "x1.sdd: unknown key; did you mean sd\\? normal takes"),
        ({"covariates": {"x1": {"kind": "normal", "sd": 0}}}, "x1.sd: got 0; wanted a number above 0"),
        ({"covariates": {"x1": {"kind": "normal", "mean": "high"}}}, "x1.mean: got 'high'; wanted a finite number"),
        ({"covariates": {"x1": {"kind": "uniform", "low": 2}}}, "x1: got low 2 and high 1; wanted low below high"),
        ({"covariates": {"x1": "constant"}}, "x1.value: a constant needs one"),
        ({"covariates": {"x1": "categorical"}}, "x1.levels: got None; wanted how many"),
        ({"covariates": {"x1": {"kind": "categorical", "levels": 1}}}, "x1.levels: got .*; wanted how many"),
        ({"covariates": {"x1": {"kind": "categorical", "levels": ["a", "a"]}}}, "a list of different levels"),
        (
            {"covariates": {"x1": {"kind": "categorical", "levels": 2, "probabilities": [0.5, 0.4]}}},
            r"x1.probabilities: got \[0.5, 0.4\]; wanted 2 numbers of at least 0 that add up to 1",
        ),
        (
            {"covariates": {"x1": {"kind": "categorical", "levels": 2, "probabilities": [1.5, -0.5]}}},
            "wanted 2 numbers of at least 0",
        ),
        ({"covariates": {"x1": {"kind": "categorical", "levels": 2, "balanced": 1}}}, "balanced: got 1; wanted true"),
        ({"correlation": 1.0}, "data.correlation: got 1.0; wanted a number between -1 and 1"),
        (
            {"correlation": {"x1": {"X2": 0.2}}},
            r"x1.X2: X2 is no covariate that varies; did you mean x2\? There are x1, x2",
        ),
        ({"correlation": {"x1": {"x1": 0.2}}}, "one number for each pair of different covariates"),
        ({"correlation": {"x1": {"x2": 0.2}, "x2": {"x1": 0.3}}}, "one number for each pair of different"),
        (
            {"covariates": TWO | {"x3": "normal"}, "correlation": {"x1": {"x2": 0.9, "x3": 0.9}, "x2": {"x3": -0.9}}},
            "no covariates can have together",
        ),
        ({"columns": {"X": ["x1", "x9"]}}, "the data have no column 'x9', wanted for X"),
        ({"outcome": {"x1": "real"}}, "data.outcome.x1: x1 is a covariate already"),
        ({"outcome": {"y": "cuont"}}, "data.outcome.y.kind: got 'cuont'; did you mean count"),
        ({"outcome": {"y": {"kind": "positive", "event": "e"}}}, "data.outcome.y: got one of event and until"),
        (
            {"outcome": {"y": {"kind": "positive", "event": "e", "until": "end"}}},
            "data.outcome.y.until: the design has no array 'end'; it has x1, x2",
        ),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(DataError, match=message):
        design(**{"n": 10, "covariates": TWO} | changes)
