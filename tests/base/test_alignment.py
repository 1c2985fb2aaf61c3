"""A truth belongs to its own estimate: dims in another order, labels in another order, and what cannot be matched."""

import datetime

import numpy as np
import pymc as pm
import pytest
import xarray as xr

from bayesrun.base.alignment import Layout, aligned, entries, match, model_layouts, posterior_layouts
from bayesrun.base.netcdf_names import dim_of_tree

GRID = np.arange(9.0).reshape(3, 3)
LINE = np.array([10.0, 20.0, 30.0])
DAYS = [datetime.date(2020, 1, day) for day in (1, 2, 3)]


def layout(dims, *labels) -> Layout:
    found = []
    for given in labels:
        found.append(None if given is None else np.empty(len(given), dtype=object))
        if given is not None:
            found[-1][:] = list(given)
    return Layout(dims, tuple(found))


def line(labels, dim="g") -> Layout:
    return layout((dim,), labels)


def test_dims_and_labels_in_another_order():
    own = layout(("col", "row"), ["a", "b", "c"], ["x", "y", "z"])
    wanted = layout(("row", "col"), ["z", "x", "y"], ["a", "b", "c"])
    found = match(GRID, own, wanted, (3, 3))
    np.testing.assert_array_equal(found.values, GRID.T[[2, 0, 1]])
    assert (found.lacking, found.refused) == ("", "")


def test_three_dims_of_which_one_has_no_labels():
    values = np.arange(24.0).reshape(2, 3, 4)
    own = layout(("a", "b", "c"), ["p", "q"], None, range(4))
    wanted = layout(("c", "a", "b"), range(4), ["q", "p"], range(3))
    found = match(values, own, wanted, (4, 2, 3))
    np.testing.assert_array_equal(found.values, values.transpose(2, 0, 1)[:, ::-1])


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        (line("abc"), line("abc")),
        (line("abc"), line("abc", "h")),
        (line("abc"), line(None)),
        (line("abc"), line(None, None)),
        (line(None), line(None, "h")),
        (line("abc"), line(range(3), "h")),
        (line([1, 2, 3]), line(["1", "2", "3"])),
        (line([1, 2, 3]), line([1.0, 2.0, 3.0])),
        (line([1, 2, 3]), line(range(3))),  # counted from 1, and not at all
        (line(DAYS), line([f"{day}T00:00:00.000000000" for day in DAYS])),
        (line([("a", 1), ("a", 2), ("b", 1)]), line([("a", 1), ("a", 2), ("b", 1)])),
        (line("aab"), line("aab")),
        (line("aab"), line(None)),
    ],
)  # fmt: skip
def test_what_is_in_the_same_order_stays(own, wanted):
    for left, right in ((own, wanted), (wanted, own)):
        found = match(LINE, left, right, (3,))
        np.testing.assert_array_equal(found.values, LINE)
        assert (found.lacking, found.refused) == ("", "")


def test_numbers_as_labels_are_labels():
    found = match(LINE, line([2, 0, 1]), line(range(3)), (3,))
    np.testing.assert_array_equal(found.values, [20.0, 30.0, 10.0])


def test_labels_from_0_of_which_the_other_side_has_some_are_labels_where_both_are_given():
    """Lags 1 to 3 are no lags 0 to 2; after a posterior was written nobody knows whether 0 to 2 were given."""
    lags, lagged = line([1, 2, 3]), line([0, 1, 2])
    reason = "1, 2, 3 along g; wanted 0, 1, 2 along g"
    assert match(LINE, lags, lagged, (3,), stated=True).refused == reason
    np.testing.assert_array_equal(match(LINE, lags, lagged, (3,)).values, LINE)
    for own, wanted in (
        (lags, line(None)), (line("abc"), lagged), (line([10, 20, 30]), lagged), (lagged, lagged),
        (lags, line([0, 1, 2], "h")),
    ):  # fmt: skip
        found = match(LINE, own, wanted, (3,), stated=True)
        np.testing.assert_array_equal(found.values, LINE)
        assert (found.lacking, found.refused) == ("", "")


@pytest.mark.parametrize(
    ("own", "wanted", "reason"),
    [
        (line("abc"), line("acb", "h"), "a, b, c along g; wanted a, c, b along h"),
        (line("abc"), line("ABC"), "a, b, c along g; wanted A, B, C along g"),
        (line("abc"), line("abd"), "a, b, c along g; wanted a, b, d along g"),
        (line([2, 0, 1]), line(None), "2, 0, 1 along g; wanted 3 entries without labels along g"),
        (line([2, 0, 1]), line(None, None), "2, 0, 1 along g; wanted 3 entries without labels"),
        (line("aab"), line("aba"), "a, a, b along g; wanted a, b, a along g"),
    ],
)
def test_contradictions(own, wanted, reason):
    assert match(LINE, own, wanted, (3,)).refused == reason


@pytest.mark.parametrize(
    "wanted",
    [
        layout(("row", "b"), None, None),  # row is the second of the one and the first of the other
        layout(("a", "b"), "abc", None),  # two dims of other names, so that either could be meant
    ],
)
def test_contradictions_of_dims(wanted):
    assert "wanted" in match(GRID, layout(("col", "row"), None, None), wanted, (3, 3)).refused


def test_other_lengths_are_matched_by_label_as_far_as_they_go():
    fewer = match(LINE, line("abc"), line("ca"), (2,))
    np.testing.assert_array_equal(fewer.values, [30.0, 10.0])
    assert (fewer.lacking, fewer.refused) == ("", "")
    more = match(LINE.astype(int), line("abc"), line("adbc"), (4,))
    np.testing.assert_array_equal(more.values, [10.0, np.nan, 20.0, 30.0])
    assert more.lacking == "a, b, c along g; wanted a, d, b, c along g"


def test_other_lengths_without_labels_are_not_known():
    for own, wanted, shape in (
        (line(None), line(None), (2,)),
        (line(range(3)), line(range(2)), (2,)),
        (line("abc"), layout((),), ()),
        (layout((None,), None), layout((None, None), None, None), (3, 2)),
    ):  # fmt: skip
        found = match(LINE, own, wanted, shape)
        assert found.values is None
        assert found.lacking
        assert not found.refused


def test_an_axis_of_one_entry_may_be_missing():
    assert match(np.array(3.0), layout(()), line(["x"]), (1,)).values.tolist() == [3.0]
    assert match(np.array([3.0]), line(["x"]), layout(()), ()).values.tolist() == 3.0
    own, wanted = layout(("g", "p"), "abc", ["x"]), line("cab")
    assert match(LINE[:, None], own, wanted, (3,)).values.tolist() == [30.0, 10.0, 20.0]


def test_layouts_of_a_model_and_of_its_posterior_are_one():
    with pm.Model(coords={"g": ["a", "b"], "n": [3, 1]}) as model:
        pm.Normal("both", dims=("g", "n"))
        pm.Normal("plain", shape=(2, 2))
        pm.Deterministic("one", pm.Normal("z") * 2.0)
    draws = {
        "both": (("chain", "draw", "g", "n"), np.zeros((1, 4, 2, 2))),
        "one": (("chain", "draw"), np.zeros((1, 4))),
    }
    draws["plain"] = (("chain", "draw", "plain_dim_0", "plain_dim_1"), np.zeros((1, 4, 2, 2)))
    posterior = xr.Dataset(draws, {"g": ["a", "b"], "n": [3, 1], "plain_dim_0": [0, 1], "plain_dim_1": [0, 1]})
    built, stored = model_layouts(model), posterior_layouts(posterior)
    for name in ("both", "plain", "one"):
        assert built[name].dims == stored[name].dims
        for left, right in zip(built[name].labels, stored[name].labels, strict=True):
            assert left is right is None or left.tolist() == right.tolist()
    truth = {"both": GRID[:2, :2], "plain": GRID[1:, 1:], "elsewhere": LINE, "one": LINE}
    found = aligned(truth, {**built, "one": line(None)}, posterior.assign_coords(n=[1, 3]))
    np.testing.assert_array_equal(found["both"], GRID[:2, 1::-1])
    np.testing.assert_array_equal(found["plain"], GRID[1:, 1:])
    np.testing.assert_array_equal(found["elsewhere"], LINE)
    assert "one" not in found


def test_a_replicate_with_fewer_levels_has_the_truths_of_those_it_has():
    """The labels of a fit may follow its own data, such as the categories that were seen."""
    posterior = xr.Dataset({"cut": (("chain", "draw", "level"), np.zeros((1, 4, 2)))}, {"level": ["c", "b"]})
    found = aligned({"cut": LINE}, {"cut": line("abc", "level")}, posterior)
    np.testing.assert_array_equal(found["cut"], [30.0, 20.0])
    counted = posterior.assign_coords(level=[0, 1])
    assert aligned({"cut": LINE}, {"cut": line(range(3), "level")}, counted) == {}


def test_a_dim_with_a_slash_is_that_of_its_model():
    draws = np.zeros((2, 3, 2))
    posterior = xr.Dataset({"b": (("chain", "draw", dim_of_tree("country/region")), draws)})
    assert posterior_layouts(posterior)["b"].dims == ("country/region",)


def test_labels_that_are_there_twice_are_told_apart():
    layout = Layout(("k",), (np.array(["a", "b", "a"]),))
    assert entries(layout, (3,)) == [("a",), ("b",), ("a (2)",)]
