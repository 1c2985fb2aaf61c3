"""Panels, short names, axis limits and readings of tables that all figures of studies share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesrun.base.rounding import ABSENT, plain, plus_minus, probability, rounded, share
from bayesrun.figures.facets import choose, evenly, short_cells, span
from bayesrun.figures.reading import column, estimands, fixed_truth, groups, interval_levels, small, widest_level


def pairs(cells: int, quantities: int) -> list[tuple[str, str]]:
    return [(f"c{i}", f"v{j}") for i in range(cells) for j in range(quantities)]


@pytest.mark.parametrize(
    ("cells", "quantities", "shown", "matrix"),
    [(1, 1, 1, False), (1, 12, 12, False), (1, 30, 12, False), (6, 4, 24, True), (6, 2, 12, False), (6, 30, 12, False)],
)
def test_panels_fit_or_the_worst_are_chosen(cells: int, quantities: int, shown: int, matrix: bool) -> None:
    every = pairs(cells, quantities)
    facets = choose(every, {pair: float(place) for place, pair in enumerate(every)})
    assert (len(facets.pairs), facets.matrix) == (shown, matrix)
    # in the order of the table, whatever chose them
    assert list(facets.pairs) == every[-shown:]
    assert (facets.selection("the largest") == "") == (shown == len(every))


def test_what_has_no_badness_comes_last() -> None:
    every = pairs(1, 20)
    facets = choose(every, dict.fromkeys(every, float("nan")) | {every[19]: -1.0})
    assert every[19] in facets.pairs
    assert list(facets.pairs[:11]) == every[:11]


def test_parameters_are_not_hidden_by_what_is_derived_for_each_observation() -> None:
    labels = ["alpha", "beta[x1]", "beta[x2]", *(f"mu[{i}]" for i in range(50)), "sigma"]
    assert small(labels) == {"alpha", "beta[x1]", "beta[x2]", "sigma"}
    assert small(f"mu[{i}]" for i in range(50)) == set()
    every = [("c", label) for label in labels]
    badness = {pair: float("mu" in pair[1]) for pair in every}
    assert ("c", "alpha") not in choose(every, badness).pairs
    facets = choose(every, badness, small_first=True)
    assert [label for _, label in facets.pairs if "mu" not in label] == ["alpha", "beta[x1]", "beta[x2]", "sigma"]
    assert len(facets.pairs) == 12
    assert "first those of small variables, then those with a reason" in facets.selection("a reason")


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["linear/d/nuts n=2", "linear/d/numpyro n=2"], ["nuts", "numpyro"]),
        (["linear/d/nuts n=2", "linear/d/nuts n=3"], ["n=2", "n=3"]),
        (["a/d/nuts n=2", "b/d/nuts n=3"], ["a n=2", "b n=3"]),
        (["linear/d/nuts"], ["linear/d/nuts"]),
        (["linear/d/nuts", "linear/d/nuts n=3"], ["linear/d/nuts", "linear/d/nuts n=3"]),
    ],
)
def test_cells_are_named_by_what_sets_them_apart(cells: list[str], names: list[str]) -> None:
    assert list(short_cells(cells).values()) == names


def test_evenly_has_both_ends() -> None:
    assert evenly(0, 5).size == 0
    assert evenly(1, 5).tolist() == [0]
    assert evenly(4, 5).tolist() == [0, 1, 2, 3]
    kept = evenly(1000, 7)
    assert (kept[0], kept[-1], kept.size) == (0, 999, 7)


def test_limits_are_not_stretched_by_a_few_and_never_empty() -> None:
    low, high = span(np.append(np.linspace(0, 1, 999), 1e9))
    assert -0.1 < low < 0
    assert 1 < high < 1.1
    assert span(np.full(3, np.nan)) == (0.0, 1.0)
    for value in (0.0, 1e-300, -5.0, 1e12):
        low, high = span(np.full(4, value))
        assert low < value < high


def test_tables_are_read_as_they_are() -> None:
    frame = pd.DataFrame({"cell": ["b", "a", "b"], "variable": "v", "x": [1.0, np.inf, 2.0]})
    assert list(groups(frame)) == [("b", "v"), ("a", "v")]
    np.testing.assert_array_equal(column(frame, "x"), [1.0, np.nan, 2.0])
    assert np.isnan(column(frame, "not there")).all()
    assert np.isinf(frame["x"]).any()
    assert groups(pd.DataFrame()) == {}


def test_levels_are_found_by_their_columns() -> None:
    frame = pd.DataFrame(columns=["lower_0.95", "upper_0.95", "lower_0.5", "upper_0.5", "lower_0.8", "lower_bound"])
    assert list(interval_levels(frame)) == [0.5, 0.95]
    assert widest_level(frame) == 0.95
    assert np.isnan(widest_level(pd.DataFrame()))


def test_truth_is_fixed_if_it_does_not_move_within_a_cell() -> None:
    frame = pd.DataFrame(
        {
            "cell": ["a", "a", "b", "b"] * 2,
            "variable": ["x"] * 4 + ["log_likelihood"] * 4,
            "truth": [1.0, 1.0, 2.0, 2.0, -1.0, -2.0, -3.0, -4.0],
            "mean": 0.0,
            "sd": 1.0,
        }
    )
    assert fixed_truth(frame) == {"x"}
    assert set(estimands(frame)["variable"]) == {"x"}
    assert fixed_truth(frame.iloc[[0]]) == set()
    assert estimands(pd.DataFrame()).empty


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.01234, 0.0031, "0.012 ± 0.003"),
        (0.01234, 0.00147, "0.0123 ± 0.0015"),
        (0.95, 0.0097, "0.950 ± 0.010"),
        (-0.0001, 0.02, "0.00 ± 0.02"),
        (1234.5, 260.0, "1200 ± 300"),
        (3.2, 1.96, "3 ± 2"),
        (123456.0, 98765.0, "120000 ± 100000"),
        (1.0, 0.0, "1"),
        (0.123456, float("nan"), "0.123"),
        (1e-12, 3e-10, "0.000000 ± 3e-10"),
        (7.7e8, 2e7, "7.7e+08 ± 2e+07"),
        (float("nan"), 0.1, ABSENT),
        (float("inf"), float("nan"), ABSENT),
        (2.5e-9, 3e-10, "2.5e-09 ± 3e-10"),
    ],
)
def test_numbers_are_rounded_by_their_error(value: float, error: float, text: str) -> None:
    assert plus_minus(value, error) == text


def test_other_numbers() -> None:
    assert [plain(v) for v in (0.0, 20.0, 0.12345, 1e9, float("nan"))] == ["0", "20", "0.123", "1e+09", ABSENT]
    assert [probability(v) for v in (0.5, 0.0004, float("nan"))] == ["0.500", "< 0.001", ABSENT]
    assert [share(v) for v in (0.0, 0.0004, 0.051, 1.0)] == ["0.0 %", "< 0.1 %", "5.1 %", "100.0 %"]
    assert share(float("nan")) == ABSENT
    assert [rounded(0.98765, 0.02), rounded(0.98765, 0.0), rounded(float("nan"), 1.0)] == ["0.99", "0.988", ABSENT]
