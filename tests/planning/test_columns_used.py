"""Only the columns that a model uses are checked and stored: which these are is found by building it."""

from __future__ import annotations

import dataclasses
import sys
import types
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest

from bayesrun.errors import ConfigError
from bayesrun.planning.columns_read import columns_named, noted
from bayesrun.planning.fingerprint import graph_digest
from bayesrun.planning.keys import fit_key
from bayesrun.planning.preflight import Checked, check
from bayesrun.report.comparison import Fitted, loo_comparisons
from bayesrun.types import Cell, Dataset, Role, SamplerOptions, Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = """y,x1,x2,g,name,visit,mixed,never
1.5,1,5,a,Ann,2024-01-31,1,
2.5,2,,b,Bo,,two,
0.5,,7,a,Cy,never,3,
3.5,4,1,b,,2024-01-02,4,
2.0,5,2,a,Ed,2024-01-03,5,
"""
TABLE = "bayesrun.data.read"


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A user's module to put builders in."""
    module = types.ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", module)

    def add(function: Callable[..., Any], name: str = "build") -> Callable[..., Any]:
        function.__module__ = "mine"
        setattr(module, name, function)
        return function

    module.add = add  # type: ignore[attr-defined]
    return module


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "a.csv").write_text(ROWS)
    return str(tmp_path / "a.csv")


def cell(path: str, model: str = "build", **how: Any) -> Cell:
    return Cell(
        model, Target(model, f"mine.{model}"), Target("a", TABLE, {"path": path} | how),
        Target("nuts", "bayesrun.samplers.nuts.sample"), SamplerOptions(),
    )  # fmt: skip


def regression(data: Dataset, *columns: Any) -> pm.Model:
    with pm.Model() as model:
        mu = pm.Normal("mu") + sum(0.1 * np.asarray(column, dtype=float) for column in columns)
        pm.Normal("y", mu, 1.0, observed=data["y"])
    return model


def stored(found: Checked, label: str = "build") -> set[str]:
    return set(found.datasets[label])


READERS: dict[str, tuple[Callable[[Dataset], Any], set[str]]] = {
    "an item": (lambda data: [data["x1"]], {"x1"}),
    "an attribute": (lambda data: [data.arrays["x1"]], {"x1"}),
    "get": (lambda data: [data.arrays.get("x1"), *([data.arrays["x2"]] if "x3" in data else [])], {"x1"}),
    "labels": (lambda data: [0.0 * len(data.labels("g") or ())], {"g"}),
    "coords of an array": (lambda data: [0.0 * len(data.coords["g"])], set()),
    "those whose name says so": (lambda data: [data[name] for name in data if name.startswith("x")], {"x1", "x2"}),
    "one that is named and not read": (lambda data: [data["x1"]] if "name" in data else [], {"x1", "name"}),
}


@pytest.mark.parametrize(("read", "used"), READERS.values(), ids=READERS)
def test_what_is_stored_is_what_the_builder_reads(
    models: Any, path: str, read: Callable[[Dataset], Any], used: set[str]
) -> None:
    models.add(lambda data: regression(data, *read(data)))
    found = check([cell(path, drop_missing=True)])
    one = found.cells[0]
    if "name" in used:  # without it the model would be another one, so that all columns stay
        assert stored(found) == {"y", "x1", "x2", "g", "name", "visit", "mixed", "never"}
        return
    assert stored(found) == {"y"} | used == set(one.used)
    assert set(one.left_out) == {"x1", "x2", "g", "name", "visit", "mixed", "never"} - used
    assert one.data_hash == found.datasets["build"].digest()
    again = models.build(found.datasets["build"])
    assert one.fingerprint.endswith(graph_digest(again, found.datasets["build"]))


WHOLE: dict[str, Callable[[Dataset], Any]] = {
    "dict": dict,
    "unpacked": lambda data: {**data},
    "items": lambda data: dict(data.items()),
    "values": lambda data: list(data.values()),
    "arrays unpacked": lambda data: {**data.arrays},
    "dict of arrays": lambda data: dict(data.arrays),
    "arrays joined": lambda data: data.arrays | {},  # type: ignore[operator]
    "a copy": lambda data: data.arrays.copy(),  # type: ignore[attr-defined]
    "a frame": lambda data: pd.DataFrame({name: list(data[name]) for name in data}),
    "a frame of arrays": lambda data: pd.DataFrame(data.arrays),
    "its digest": lambda data: data.digest(),
    "a replaced one": lambda data: dataclasses.replace(data, name="other").arrays.items(),
}


@pytest.mark.parametrize("take", WHOLE.values(), ids=WHOLE)
def test_who_takes_the_whole_table_uses_all_of_it(take: Callable[[Dataset], Any]) -> None:
    data = Dataset({"y": np.arange(3.0), "z": np.arange(3), "g": np.array(["a", "b", "c"])})
    seen, read = noted(data)
    assert (len(seen), list(seen), "z" in seen, read.arrays) == (3, ["y", "z", "g"], True, set())
    take(seen)
    assert read.arrays == {"y", "z", "g"}


def test_all_coords_may_be_given_to_a_model(models: Any, path: str) -> None:
    def build(data: Dataset) -> pm.Model:
        with pm.Model(coords=data.coords) as model:
            effect = pm.Normal("effect", dims="g")
            pm.Normal("y", effect[data["g"]], 1.0, observed=data["y"], dims="obs")
        return model

    models.add(build)
    found = check([cell(path)])
    assert stored(found) == {"y", "g"}
    assert "Ann" in found.datasets["build"].coords["name"]  # it is a part of the model


def test_a_gap_stops_only_the_model_that_uses_its_column(models: Any, path: str) -> None:
    models.add(lambda data: regression(data, data["x1"]), "first")
    models.add(lambda data: regression(data, data["x1"], np.linalg.inv(np.diag(data["x2"]))[0]), "second")
    models.add(lambda data: regression(data), "none")
    with pytest.raises(ConfigError) as caught:
        check([cell(path, "first"), cell(path, "second"), cell(path, "none")])
    first, second, third = str(caught.value).splitlines()
    assert first.startswith("model=first data=a: x1 has 1 value that is missing or infinite: row 3 ")
    assert second.startswith("model=second data=a: x1 has 1 value")  # and not what numpy says of it
    assert third.startswith("x2 has 1 value that is missing or infinite: row 2 ")
    assert "Leave such rows out: data.drop_missing=true" in third


def test_rows_go_by_what_each_model_uses_and_loo_knows(models: Any, path: str) -> None:
    models.add(lambda data: regression(data, data["x1"]), "first")
    models.add(lambda data: regression(data, data["x2"]), "second")
    models.add(lambda data: regression(data, data["x1"] ** 2), "like_first")
    models.add(lambda data: regression(data), "none")
    names = ("first", "second", "like_first", "none")
    found = check([cell(path, name, drop_missing=True) for name in names])
    notes = {one.cell.label: one.notes for one in found.cells}
    assert notes == {
        "first": ("data=a: 4 of 5 rows used: 1 without x1",),
        "second": ("data=a: 4 of 5 rows used: 1 without x2",),
        "like_first": ("data=a: 4 of 5 rows used: 1 without x1",),
        "none": ("data=a: all 5 rows used: none is without y",),
    }
    assert found.datasets["first"].coords["obs"] == (0, 1, 3, 4)
    assert found.datasets["second"].coords["obs"] == (0, 2, 3, 4)
    fits = [
        Fitted(label=one.cell.label, key=one.cell.label, posterior=(one.fingerprint, one.cell.label),
               observed=one.observed, n_terms=len(found.datasets[one.cell.label]["y"]),
               sampler="nuts", sampler_path="s", kind="nuts")
        for one in found.cells
    ]  # fmt: skip
    groups: dict[str, list[str]] = {}
    for fit in fits:
        groups.setdefault(repr((fit.observed.values, fit.observed.members)), []).append(fit.label)
    assert sorted(groups.values()) == [["first", "like_first"], ["none"], ["second"]]
    _, apart = loo_comparisons([fit for fit in fits if fit.label != "like_first"], lambda key: None)  # type: ignore[arg-type, return-value]
    assert apart


def test_rows_with_equal_values_are_not_taken_for_the_same(models: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("y,a,b\n1,,1\n1,2,\n2,3,3\n3,4,4\n")
    models.add(lambda data: regression(data, data["a"]), "first")
    models.add(lambda data: regression(data, data["b"]), "second")
    first, second = check([cell(str(tmp_path / "a.csv"), m, drop_missing=True) for m in ("first", "second")]).cells
    assert first.observed.values == second.observed.values  # 1, 2, 3 in both
    assert first.observed.members != second.observed.members


def test_what_is_read_only_after_rows_are_gone_counts_too(models: Any, path: str) -> None:
    def build(data: Dataset) -> pm.Model:
        x1 = data["x1"]
        return regression(data, x1) if np.isnan(x1).any() else regression(data, x1, data["x2"])

    models.add(build)
    found = check([cell(path, drop_missing=True)])
    assert stored(found) == {"y", "x1", "x2"}
    assert found.cells[0].notes == ("data=a: 3 of 5 rows used: 1 without x1, 1 without x2",)


def test_a_hook_for_pointwise_terms_reads_too(models: Any, path: str) -> None:
    models.add(lambda data: regression(data, data["x1"]))
    models.pointwise = lambda model, data: {"y": pm.logp(model["y"], data["y"]) + 0.0 * data["x2"]}
    found = check([cell(path, drop_missing=True)])
    assert stored(found) == {"y", "x1", "x2"}
    assert found.cells[0].notes == ("data=a: 3 of 5 rows used: 1 without x1, 1 without x2",)


def test_roles_are_used_and_what_is_read_beside_them(models: Any, path: str) -> None:
    models.DATA = {"y": Role("real", "outcome"), "g": Role("category", "group", optional=True)}
    models.add(lambda data: regression(data, data["x2"]))
    found = check([cell(path, drop_missing=True)])
    assert stored(found) == {"y", "g", "x2"}
    assert found.cells[0].notes == ("data=a: 4 of 5 rows used: 1 without x2",)


def test_what_is_kept_refits_nothing(models: Any, path: str) -> None:
    def lambdas(data: Dataset) -> pm.Model:
        with pm.Model() as model:
            pm.Normal("y", pm.Normal("mu"), 1.0, observed=np.log(data["y"]))
        return model

    models.add(lambdas)
    with open(path) as file:
        lines = file.read().splitlines()
    logs = ["log_y", *(repr(float(np.log(float(line.split(",")[0])))) for line in lines[1:])]
    with open(path, "w") as file:
        file.write("\n".join(f"{line},{log}" for line, log in zip(lines, logs, strict=True)) + "\n")
    found = {str(keep): check([cell(path, keep=keep)]) for keep in (None, ["name", "log_y"], "all")}
    none, some, whole = found.values()
    assert len({fit_key(one.cells[0], 1, 0) for one in found.values()}) == 1
    assert stored(none) == {"y"}
    assert stored(some) == {"y", "name", "log_y"}
    assert (len(stored(whole)), whole.cells[0].left_out) == (9, ())
    assert {one.cells[0].used for one in found.values()} == {("y",)}
    assert len({one.cells[0].observed for one in found.values()}) == 1
    with pytest.raises(ConfigError, match=r"data\.keep: there is no array or column 'nam'; did you mean 'name'\?"):
        check([cell(path, keep=["nam"])])


def test_columns_of_a_function_of_the_users_may_be_anything(models: Any) -> None:
    def rows() -> dict[str, Any]:
        return {
            "y": [1.0, 2.0, 4.0], "things": [object(), None, {}], "ragged": [[1], [1, 2], []],
            "when": np.array(["2024-01-01", "NaT", "2024-01-03"], dtype="datetime64[D]"), "short": [1.0],
        }  # fmt: skip

    models.add(rows, "rows")
    models.add(lambda data: regression(data))
    own = dataclasses.replace(cell(""), data=Target("own", "mine.rows"))
    found = check([own])
    assert stored(found) == {"y"}
    assert set(found.cells[0].left_out) == {"things", "ragged", "when", "short"}
    kept = dataclasses.replace(own, data=Target("own", "mine.rows", {"keep": ["when"]}))
    assert stored(check([kept])) == {"y", "when"}
    assert check([kept]).cells[0].observed == found.cells[0].observed


def test_simulated_data_keep_what_any_of_their_models_uses(models: Any, path: str) -> None:
    models.add(lambda data: regression(data, data["x1"]), "first")
    models.add(lambda data: regression(data, data["g"]), "second")
    models.add(lambda data: regression(data, data["x2"]), "generator")
    cells = [cell(path, name, drop_missing=True) for name in ("first", "second")]
    found = check(cells, simulated=True, generator=Target("generator", "mine.generator"))
    assert stored(found, "first") == stored(found, "second") == {"y", "x1", "g", "x2"}
    assert len({one.data_hash for one in found.cells}) == 1
    assert found.cells[0].notes == ("data=a: 3 of 5 rows used: 1 without x1, 1 without x2",)
    alone = check(cells[:1], simulated=True)
    assert stored(alone, "first") == {"y", "x1"}
    design = Target("design", "bayesrun.data.design.design", {"n": 8, "covariates": {"x1": "normal", "x2": "normal"}})
    made = check([dataclasses.replace(cells[0], data=design)], simulated=True)
    assert stored(made, "first") == {"y", "x1", "x2"}


def test_a_quantity_says_in_its_text_which_columns_it_needs() -> None:
    def quantity(draws: Any, table: Any) -> Any:
        inner = table["age"] if "sex" in table else draws["b"]
        return draws["a"] * inner * table["a b"].mean() + table["age"]

    assert columns_named(quantity) == ["age", "a b"]
    assert columns_named(len) == []
