"""Why fits are made anew, from what is known of two cells: the plainest difference first, and nothing made up."""

import dataclasses

import numpy as np
import pytest

from bayesrun.errors import StoreError
from bayesrun.planning.batches import expand
from bayesrun.planning.reasons import MOVED, differences, reasons
from bayesrun.types import Cell, CheckedCell, Dataset, SamplerOptions, Simulation, Target

PARTS = {"mu": ("a", "b"), "y": ("c", "d")}


def checked(label: str = "m/d/nuts", options: dict | None = None, model: dict | None = None, **fields) -> CheckedCell:
    cell = Cell(
        label,
        Target("m", "m.build", {"sigma": 1.0} | (model or {})),
        Target("d", "d.read"),
        Target("nuts", "nuts.sample"),
        SamplerOptions(**options or {}),
    )
    given = {
        "data_hash": "d0",
        "fingerprint": "-g",
        "sampler_version": 1,
        "kind": "nuts",
        "conditioned": "c",
        "parts": PARTS,
    }
    return CheckedCell(cell, **given | fields)


SIMULATION = Simulation(Target("m", "m.build", {"sigma": 1.0}), "-g")


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (checked(), [MOVED]),
        (checked(model={"sigma": 2.5}, fingerprint="-h"), ["sigma 1 -> 2.5"]),
        (checked(model={"tau": 2.5}, fingerprint="-h"), ["tau none -> 2.5"]),
        (checked(model={"sigma": 2.5}), [MOVED]),  # it reaches nothing
        (checked(options={"draws": 10}), ["draws 1000 -> 10"]),
        (checked(options={"extra": {"cores": 2}}, same_draws=("cores",)), [MOVED]),
        (checked(sampler_version=2), ["nuts version 1 -> 2"]),
        (checked(conditioned="e"), ["data"]),
        (checked(fingerprint="-h", parts={"mu": ("a", "b"), "y": ("x", "d")}), ["the model's y"]),
        (checked(fingerprint="-h", parts={"mu": ("a", "b"), "y": ("c", "x")}), ["the model's y"]),
        (checked(fingerprint="-h", parts={"mu": ("a", "b"), "z": ("c", "d")}), ["variable y renamed to z"]),
        (checked(fingerprint="-h", parts=PARTS | {"z": ("e", "f")}), ["variable z is new"]),
        (checked(fingerprint="-h", parts={"y": ("c", "d")}), ["variable mu is gone"]),
        (checked(fingerprint="s-g"), ["source code that no graph shows"]),
        (checked(fingerprint="-h", parts={}), ["the model"]),
        (checked(fingerprint="-h"), ["coords, dims, starts or the order of variables"]),
        (checked(simulation=SIMULATION), ["simulated data"]),
    ],
)
def test_what_differs_is_named(new, told):
    assert differences(checked(), new) == told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fingerprint": "-h", "generator": Target("m", "m.build", {"sigma": 3.0})}, ["generator sigma 1 -> 3"]),
        ({"identity": {"kind": "fixed", "mu": 1}}, ["truth"]),
        ({"design": Target("d", "d.make")}, ["covariates that are drawn anew"]),
        ({"fingerprint": "-h"}, ["generator"]),
    ],
)
def test_simulated_data_are_told_apart_by_what_they_are_drawn_from(change, told):
    old, new = (checked(simulation=one) for one in (SIMULATION, dataclasses.replace(SIMULATION, **change)))
    assert differences(old, new) == told


def test_a_cell_of_an_older_format_is_not_compared():
    assert differences(checked(conditioned="", parts={}), checked(options={"draws": 10})) == [
        "stored in an older format"
    ]


THEN = {"pymc": "6.4.1", "pytensor": "3.0", "jax": "1"}
NOW = {"pymc": "6.5.0", "pytensor": "3.0", "jax": "2"}


@pytest.mark.parametrize(
    ("change", "now", "told"),
    [
        ({}, NOW, "the graph is another one with pymc 6.5.0 (drawn with 6.4.1)"),
        (
            {},
            NOW | {"pytensor": "3.1"},
            "the graph is another one with pymc 6.5.0 and pytensor 3.1 (drawn with 6.4.1 and 3.0)",
        ),
        ({}, THEN | {"jax": "2"}, "the model's y"),  # it makes no graph
        ({}, {}, "the model's y"),
        ({"source": "t"}, NOW, "the model's y"),  # the user's own edit is the plainer reason
        ({"source": ""}, NOW, "the model's y"),
        ({"model": {"sigma": 2.0}}, NOW, "sigma 1 -> 2"),
        ({"options": {"draws": 10}}, NOW, "draws 1000 -> 10"),
    ],
)
def test_an_upgrade_that_changes_the_graph_is_the_reason_where_nothing_of_the_users_differs(change, now, told):
    old = checked(source="s")
    new = checked(**{"fingerprint": "-h", "parts": {"mu": ("a", "b"), "y": ("x", "d")}, "source": "s"} | change)
    assert differences(old, new, drawn_with=lambda: (THEN, now)) == [told]


def test_an_upgrade_is_the_reason_for_a_generator_too_and_for_none_that_stays():
    recipes = (SIMULATION, dataclasses.replace(SIMULATION, fingerprint="-h"))
    old, new = (checked(simulation=one, source="s") for one in recipes)
    assert differences(old, new, drawn_with=lambda: (THEN, NOW)) == [
        "the graph is another one with pymc 6.5.0 (drawn with 6.4.1)"
    ]
    assert differences(old, old, drawn_with=lambda: (THEN, NOW)) == [MOVED]


def test_a_seed_comes_first():
    assert differences(checked(), checked(options={"draws": 10}), (1, 2)) == ["seed 1 -> 2", "draws 1000 -> 10"]


Y, X = np.array([1.0, 2.0, 3.0]), np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
OLD = Dataset({"y": Y, "X": X})


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (Dataset({"y": Y + np.array([0, 0.5, 0]), "X": X}), ["data: y, row 2 (2 -> 2.5)"]),
        (Dataset({"y": Y, "X": X + np.array([[0, 0], [1, 0], [0, 1]])}), ["data: X, rows 2, 3"]),
        (Dataset({"y": Y[:2], "X": X[:2]}), ["data: 2 rows instead of 3"]),
        (Dataset({"y": Y[::-1], "X": X[::-1]}), ["data: rows in another order"]),
        (Dataset({"y": Y[::-1], "X": X}), ["data: y, rows in another order"]),
        (Dataset({"y": Y, "X": X, "z": Y}), ["data: z is new"]),
        (Dataset({"y": Y}), ["data: X is gone"]),
        (None, ["data"]),
    ],
)
def test_rows_of_the_data_are_named(new, told):
    assert differences(checked(), checked(conditioned="e", data_hash="d1"), (0, 0), lambda: OLD, lambda: new) == told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({}, {}, ["data"]),  # models that hold their own
        ({"n": np.array(3)}, {"n": np.array(4)}, ["data: n, 3 -> 4"]),
        ({"n": np.array(3), "y": Y}, {"n": np.array(3), "y": Y[:2]}, ["data: 2 rows instead of 3"]),
        ({"y": Y, "X": X}, {"y": Y, "X": X[:, :1]}, ["data: X, shape (3, 1) instead of shape (3, 2)"]),
        ({"y": np.array(1.0)}, {"y": Y}, ["data: y, 3 rows instead of one number"]),
    ],
)
def test_datasets_without_rows_are_told_apart_too(old, new, told):
    was, now = Dataset(old), Dataset(new)
    assert differences(checked(), checked(conditioned="e", data_hash="d1"), (0, 0), lambda: was, lambda: now) == told


def gone(digest):
    raise StoreError(f"{digest} is gone")


def test_a_cell_like_none_and_one_that_is_there_have_no_reason():
    stored = [checked(), checked("m/d/nuts draws=9", {"draws": 9})]
    another = dataclasses.replace(checked().cell, label="n/d/nuts", model=Target("n", "n.build"))
    other = dataclasses.replace(checked(), cell=another, fingerprint="-n")
    cells = [stored[0], checked("m/d/nuts draws=5", {"draws": 5}), other]
    plan = expand(cells, 0, lambda key: None)
    found = reasons(plan, cells, stored, data={}, read=gone)
    assert found == {"m/d/nuts draws=5": "draws 1000 -> 5"}


def test_of_several_that_are_alike_the_nearest_is_told():
    stored = [checked("a", {"draws": 9, "tune": 9}), checked("b", {"draws": 9})]
    cells = [checked("c", {"draws": 5})]
    assert reasons(expand(cells, 0, lambda key: None), cells, stored, data={}, read=gone) == {"c": "draws 9 -> 5"}
