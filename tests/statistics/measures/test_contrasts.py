"""Methods are compared on the same replicates, with the error of the differences."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayesrun.errors import ConfigError, StoreError
from bayesrun.statistics import measures
from bayesrun.statistics.measures import contrasts_table
from bayesrun.statistics.measures.names import CONTRAST_COLUMNS

N = 5000
LEVEL = 0.8


def method(cell, y, truth, weight, sd, seen):
    """Estimates of one method: shrunken observations with an interval of its own."""
    half = stats.norm.ppf(0.5 + LEVEL / 2) * sd
    h = weight * y
    rows = pd.DataFrame(
        {"cell": cell, "replicate": np.arange(N), "variable": "mu", "truth": truth, "mean": h, "sd": sd}
    )
    rows["lower_0.8"], rows["upper_0.8"] = h - half, h + half
    return rows[seen]


@pytest.fixture(scope="module")
def study():
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 1, N)
    y = truth + rng.normal(0, 0.5, N)
    seen = {cell: rng.uniform(size=N) > 0.1 for cell in "abc"}
    weights = {"a": (1.0, 0.5), "b": (0.8, 0.45), "c": (0.9, 0.7)}
    estimates = pd.concat([method(cell, y, truth, *weights[cell], seen[cell]) for cell in "abc"], ignore_index=True)
    fits = pd.concat(
        [
            pd.DataFrame(
                {
                    "cell": cell,
                    "replicate": np.arange(N),
                    "status": np.where(seen[cell], "done", "failed"),
                    "converged": seen[cell] & (rng.uniform(size=N) > 0.2),
                    "elpd_loo": np.where(seen[cell], -20.0 + y + 0.3 * "abc".index(cell), np.nan),
                }
            )
            for cell in "abc"
        ],
        ignore_index=True,
    )
    return estimates, fits, y, truth, seen, weights


def row_of(table, cell, measure, analysis="all", level=None):
    rows = table[(table["cell"] == cell) & (table["measure"] == measure) & (table["analysis"] == analysis)]
    rows = rows[rows["level"].isna()] if level is None else rows[rows["level"] == level]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize("analysis", ["all", "common"])
def test_contrasts_by_hand(study, analysis):
    estimates, fits, y, truth, seen, weights = study
    table = contrasts_table(estimates, fits, "a", [LEVEL], [["b", "a", "c"]])
    assert tuple(table.columns) == CONTRAST_COLUMNS
    assert set(table["reference"]) == {"a"}
    passed = fits.pivot(index="replicate", columns="cell", values="converged").all(axis=1).to_numpy()
    for cell in "bc":
        pair = seen["a"] & seen[cell] if analysis == "all" else passed
        error = {name: weights[name][0] * y[pair] - truth[pair] for name in ("a", cell)}
        half = {name: stats.norm.ppf(0.5 + LEVEL / 2) * weights[name][1] for name in ("a", cell)}
        over = {name: np.maximum(np.abs(error[name]) - half[name], 0) for name in error}
        losses = {
            ("squared_error", None): {name: e**2 for name, e in error.items()},
            ("absolute_error", None): {name: np.abs(e) for name, e in error.items()},
            ("miss", LEVEL): {name: (over[name] > 0).astype(float) for name in error},
            ("interval_score", LEVEL): {name: 2 * half[name] + 2 / (1 - LEVEL) * over[name] for name in error},
            ("negative_elpd", None): {name: 20 - y[pair] - 0.3 * "abc".index(name) for name in error},
        }
        for (measure, level), loss in losses.items():
            d = loss[cell] - loss["a"]
            row = row_of(table, cell, measure, analysis, level)
            assert row["n"] == pair.sum()
            assert row["value"] == pytest.approx(d.mean(), abs=1e-12)
            assert row["mcse"] == pytest.approx(d.std(ddof=1) / math.sqrt(pair.sum()), abs=1e-12)
            assert row["upper"] - row["lower"] == pytest.approx(2 * 1.96 * row["mcse"], abs=1e-12)
        gain = measures.relative_precision(error[cell] + truth[pair], error["a"] + truth[pair], truth[pair])
        row = row_of(table, cell, "relative_precision", analysis)
        assert (row["value"], row["mcse"]) == (pytest.approx(gain.value), pytest.approx(gain.mcse))


def test_contrasts_are_what_is_known(study):
    estimates, fits = study[:2]
    table = contrasts_table(estimates, fits, None, [LEVEL], [["a", "b"]])
    row = row_of(table, "b", "squared_error")
    # e = w (t + x) - t with t ~ N(0, 1), x ~ N(0, 0.5): E e^2 = (1 - w)^2 + w^2 / 4
    assert abs(row["value"] - (0.2**2 + 0.8**2 / 4 - 0.25)) < 4 * row["mcse"]
    spread = {"a": 0.5, "b": math.sqrt(0.2**2 + 0.8**2 / 4)}
    half = {name: stats.norm.ppf(0.5 + LEVEL / 2) * sd for name, sd in (("a", 0.5), ("b", 0.45))}
    outside = {name: 2 * stats.norm.sf(half[name] / spread[name]) for name in "ab"}
    row = row_of(table, "b", "miss", level=LEVEL)
    assert abs(row["value"] - (outside["b"] - outside["a"])) < 4 * row["mcse"]


def test_pairs_tell_more_than_two_separate_studies(study):
    estimates, fits = study[:2]
    row = row_of(contrasts_table(estimates, fits, "a", [LEVEL], [["a", "b"]]), "b", "absolute_error")
    alone = measures.measures_table(estimates, fits, [LEVEL])
    mae = alone[(alone["measure"] == "mae") & (alone["analysis"] == "all") & alone["cell"].isin(["a", "b"])]
    assert row["mcse"] < 0.6 * math.hypot(*mae["mcse"])


def test_the_joint_log_likelihood_is_not_compared(study):
    estimates, fits = study[:2]
    extra = estimates.assign(variable="log_likelihood", truth=np.arange(len(estimates)) * 1.0)
    table = contrasts_table(pd.concat([estimates, extra]), fits, "c", [LEVEL], [["a", "c"]])
    assert set(table["variable"]) == {"mu", ""}
    pd.testing.assert_frame_equal(table, contrasts_table(estimates, fits, "c", [LEVEL], [["a", "c"]]))


def test_medians_are_compared_where_they_are_wanted(study):
    estimates, fits = study[:2]
    medians = estimates.assign(median=estimates["mean"], mean=0.0)
    found = contrasts_table(medians, fits, "a", [LEVEL], [["a", "b"]], "median")
    pd.testing.assert_frame_equal(found, contrasts_table(estimates, fits, "a", [LEVEL], [["a", "b"]]))


def test_only_quantities_of_both_are_compared(study):
    estimates, fits = study[:2]
    renamed = estimates.assign(variable=np.where(estimates["cell"] == "c", "tau", estimates["variable"]))
    table = contrasts_table(renamed, fits, "a", [LEVEL], [["a", "b", "c"]])
    assert set(table[table["cell"] == "c"]["measure"]) == {"negative_elpd"}
    assert set(table[table["cell"] == "b"]["variable"]) == {"mu", ""}
    assert list(table["variable"])[-1] == ""


def test_no_common_replicates_are_said(study):
    estimates, fits = study[:2]
    never = fits.assign(converged=fits["converged"] & (fits["cell"] != "c"))
    table = contrasts_table(estimates, never, "a", [LEVEL], [["a", "b", "c"]])
    row = row_of(table, "b", "squared_error", "common")
    assert row["n"] == 0
    assert np.isnan(row["value"])
    fewer = contrasts_table(estimates, never, "a", [LEVEL], [["a", "b"], ["c"]])
    assert row_of(fewer, "b", "squared_error", "common")["n"] > 0


def test_a_cell_may_be_compared_in_several_groups(study):
    estimates, fits = study[:2]
    table = contrasts_table(estimates, fits, None, [LEVEL], [["a", "b"], ["c", "b"]])
    assert {tuple(pair) for pair in table[["cell", "reference"]].to_numpy()} == {("b", "a"), ("b", "c")}


def test_without_groups_or_output_there_is_nothing(study):
    estimates, fits = study[:2]
    for groups in ([], [["a"]], [[]]):
        table = contrasts_table(estimates, fits, None, [LEVEL], groups)
        assert table.empty
        assert tuple(table.columns) == CONTRAST_COLUMNS
    assert contrasts_table(estimates.iloc[:0], fits.drop(columns="elpd_loo"), None, [LEVEL], [["a", "b"]]).empty


def test_mistakes_are_refused(study):
    estimates, fits = study[:2]
    with pytest.raises(ConfigError, match="no cell 'd'"):
        contrasts_table(estimates, fits, None, [LEVEL], [["a", "d"]])
    with pytest.raises(ConfigError, match="reference 'c' is in no group"):
        contrasts_table(estimates, fits, "c", [LEVEL], [["a", "b"]])
    with pytest.raises(ConfigError, match="all references of the same group"):
        contrasts_table(estimates, fits, ["a", "b"], [LEVEL], [["a", "b", "c"]])
    with pytest.raises(ConfigError, match="together in two groups"):
        contrasts_table(estimates, fits, "a", [LEVEL], [["a", "b"], ["a", "b", "c"]])
    other = estimates.assign(truth=estimates["truth"] + 0.1 * (estimates["cell"] == "b"))
    with pytest.raises(ConfigError, match="only cells that saw the same simulated datasets"):
        contrasts_table(other, fits, "a", [LEVEL], [["a", "b"]])
    with pytest.raises(StoreError, match="estimates has 1 rows more than once"):
        contrasts_table(pd.concat([estimates, estimates.iloc[:1]]), fits, "a", [LEVEL], [["a", "b"]])
