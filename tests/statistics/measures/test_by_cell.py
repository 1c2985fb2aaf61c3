"""Tables of a study are its measures group by group, count what failed, and refuse what does not fit together."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayesrun.errors import StoreError
from bayesrun.statistics import measures
from bayesrun.statistics.measures import errors_table, failures_table, measures_table, parse_decisions
from bayesrun.statistics.measures.names import CLASSES, ERROR_COLUMNS, FAILURE_COLUMNS, MEASURE_COLUMNS
from fake_studies import LEVELS, fake_study

POSITIVE = parse_decisions(["positive: P(beta > 0 | y) > 0.95"])


@pytest.fixture(scope="module")
def study():
    return fake_study(cells=2, variables=3, replicates=300, failing=0.1, seed=3)


@pytest.fixture(scope="module")
def table(study):
    return measures_table(study["estimates"], study["fits"], LEVELS, POSITIVE)


def of(table, cell, variable, measure, level=None, analysis="all"):
    rows = table[(table["cell"] == cell) & (table["variable"] == variable) & (table["measure"] == measure)]
    rows = rows[rows["analysis"] == analysis]
    rows = rows[rows["level"].isna()] if level is None else rows[rows["level"] == level]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize("analysis", ["all", "converged"])
def test_every_row_is_the_measure_of_its_group(study, table, analysis):
    estimates = study["estimates"].merge(study["fits"][["cell", "replicate", "converged"]])
    if analysis == "converged":
        estimates = estimates[estimates["converged"]]
    checked = 0
    for (cell, variable), part in estimates.groupby(["cell", "variable"]):
        h, t, s = (part[name].to_numpy() for name in ("mean", "truth", "sd"))
        expected = {
            ("bias", None): measures.bias(h, t),
            ("empirical_se", None): measures.empirical_se(h, t),
            ("mse", None): measures.mse(h, t),
            ("rmse", None): measures.rmse(h, t),
            ("mae", None): measures.mae(h, t),
            ("model_se", None): measures.model_se(s),
            ("relative_error_model_se", None): measures.relative_error_model_se(h, t, s),
            ("z_score", None): measures.z_score(h, t, s),
            ("contraction", None): measures.contraction(s, 1.0),
            ("mcmc_error_share", None): measures.mcmc_error_share(part["mcse_mean"], h, t),
            ("decision:positive", None): measures.rate(part["decision_positive"]),
        }
        for level in LEVELS:
            low, high = part[f"lower_{level:g}"].to_numpy(), part[f"upper_{level:g}"].to_numpy()
            expected |= {
                ("coverage", level): measures.coverage(low, high, t),
                ("bias_eliminated_coverage", level): measures.bias_eliminated_coverage(low, high, h, t),
                ("miss_left", level): measures.miss_left(low, high, t),
                ("miss_right", level): measures.miss_right(low, high, t),
                ("width", level): measures.width(low, high),
                ("interval_score", level): measures.interval_score(low, high, t, level),
            }
        for (measure, level), estimate in expected.items():
            row = of(table, cell, variable, measure, level, analysis)
            for name in ("value", "mcse", "lower", "upper", "n"):
                assert row[name] == pytest.approx(getattr(estimate, name), rel=1e-9, abs=1e-12), (measure, name)
            checked += 1
    assert checked == 2 * 4 * (11 + 6 * len(LEVELS))


def test_the_table_has_its_columns_in_order_and_each_row_once(study, table):
    assert tuple(table.columns) == MEASURE_COLUMNS
    assert not table.duplicated(["cell", "variable", "measure", "level", "analysis"]).any()
    assert table["n"].dtype.kind == "i"
    assert list(dict.fromkeys(table["cell"])) == list(study["design"]["cell"])
    assert not table["value"].isna().any()
    first = table[(table["variable"] == "sigma") & (table["analysis"] == "all")]["measure"]
    assert list(dict.fromkeys(first))[:3] == ["bias", "empirical_se", "mse"]


def test_counts_are_those_of_fits_with_output(study, table):
    for cell, part in study["fits"].groupby("cell"):
        assert of(table, cell, "sigma", "bias")["n"] == (part["status"] == "done").sum()
        passed = ((part["status"] == "done") & part["converged"]).sum()
        assert of(table, cell, "sigma", "bias", analysis="converged")["n"] == passed
        came_back = part[part["status"] != "missing"]
        failed = (came_back["status"] == "failed").sum()
        row = of(table, cell, "", "failure")
        low, high = measures.wilson(failed, len(came_back))
        assert (row["value"], row["n"]) == (failed / len(came_back), len(came_back))
        assert (row["lower"], row["upper"]) == (pytest.approx(low), pytest.approx(high))
        stuck = ((came_back["status"] == "done") & ~came_back["converged"]).sum()
        assert of(table, cell, "", "nonconvergence")["value"] == stuck / len(came_back)


def test_order_of_rows_and_other_cells_change_nothing(study, table):
    estimates, fits = study["estimates"], study["fits"]
    mixed = measures_table(
        estimates.sample(frac=1, random_state=1), fits.sample(frac=1, random_state=2), LEVELS, POSITIVE
    )
    keys = ["cell", "variable", "measure", "level", "analysis"]
    own, other = (part.sort_values(keys).reset_index(drop=True) for part in (table, mixed))
    pd.testing.assert_frame_equal(own, other, rtol=1e-9)
    cell = study["design"]["cell"][1]
    alone = measures_table(estimates[estimates["cell"] == cell], fits[fits["cell"] == cell], LEVELS, POSITIVE)
    there = table[table["cell"] == cell].reset_index(drop=True)
    pd.testing.assert_frame_equal(there, alone.reset_index(drop=True), rtol=1e-9)


def test_medians_are_measured_where_they_are_wanted(study, table):
    swapped = study["estimates"].assign(median=study["estimates"]["mean"], mean=0.0)
    found = measures_table(swapped, study["fits"], LEVELS, POSITIVE, point="median")
    own = table[table["measure"] != "mcmc_error_share"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, own)


def test_cells_of_very_different_size(study):
    estimates, fits = study["estimates"], study["fits"]
    first = study["design"]["cell"][0]
    few = estimates[(estimates["cell"] == first) | (estimates["replicate"] < 3)]
    found = measures_table(few, fits, LEVELS)
    assert of(found, study["design"]["cell"][1], "sigma", "bias")["n"] <= 3
    whole = measures_table(estimates, fits, LEVELS)
    assert of(found, first, "sigma", "rmse")["value"] == of(whole, first, "sigma", "rmse")["value"]


def test_missing_estimates_truths_and_priors(study):
    estimates, fits = study["estimates"].copy(), study["fits"]
    estimates.loc[estimates["variable"] == "sigma", "truth"] = np.nan
    estimates.loc[estimates["variable"] == "beta[x1]", "prior_sd"] = np.nan
    estimates.loc[(estimates["variable"] == "beta[x2]") & (estimates["replicate"] < 100), "mean"] = np.nan
    found = measures_table(estimates, fits, LEVELS)
    names = {label: set(part["measure"]) for label, part in found.groupby("variable")}
    assert names["sigma"] == {"model_se", "contraction", "width", "decision:positive"}
    assert "contraction" not in names["beta[x1]"]
    assert "bias" in names["beta[x1]"]
    cell = study["design"]["cell"][0]
    done = fits[(fits["cell"] == cell) & (fits["status"] == "done")]["replicate"]
    assert of(found, cell, "beta[x2]", "bias")["n"] == (done >= 100).sum()
    assert of(found, cell, "beta[x2]", "model_se")["n"] == len(done)


def test_nothing_converged_is_said():
    study = fake_study(replicates=20)
    fits = study["fits"].assign(converged=False)
    cell = study["design"]["cell"][0]
    row = of(measures_table(study["estimates"], fits, LEVELS), cell, "sigma", "bias", analysis="converged")
    assert row["n"] == 0
    assert np.isnan(row["value"])


def test_a_fixed_truth_has_a_relative_bias():
    study = fake_study(replicates=50, fixed=True)
    found = measures_table(study["estimates"], study["fits"], LEVELS)
    row = of(found, study["design"]["cell"][0], "sigma", "relative_bias")
    part = study["estimates"][study["estimates"]["variable"] == "sigma"]
    assert row["value"] == pytest.approx(((part["mean"] - 0.5) / 0.5).mean())


def test_power_and_errors_are_split_by_truth():
    rng = np.random.default_rng(1)
    truth = np.repeat([0.0, 0.4, -0.4], 4000)
    mean = truth + rng.normal(0, 0.2, truth.size)
    rows = pd.DataFrame(
        {
            "cell": "a",
            "replicate": np.arange(truth.size),
            "variable": "beta[x1]",
            "truth": truth,
            "mean": mean,
            "sd": 0.2,
        }
    )
    fits = pd.DataFrame({"cell": "a", "replicate": np.arange(truth.size), "status": "done", "converged": True})
    cut = stats.norm.ppf(0.95)
    rows["decision_up"] = (mean > 0.2 * cut).astype(float)
    rows["decision_off"] = (np.abs(mean) > 0.2 * stats.norm.ppf(0.975)).astype(float)
    rules = parse_decisions(["up: P(beta > 0 | y) > 0.95", "off: interval of beta excludes 0"])
    found = measures_table(rows, fits, (), rules)
    expected = {
        "power:up": (4000, stats.norm.sf(cut - 2)),
        "type_1_error:up": (8000, (0.05 + stats.norm.sf(cut + 2)) / 2),
        "decision:up": (12000, (0.05 + stats.norm.sf(cut + 2) + stats.norm.sf(cut - 2)) / 3),
        "power:off": (8000, stats.norm.sf(1.96 - 2) + stats.norm.cdf(-1.96 - 2)),
        "type_1_error:off": (4000, 0.05),
    }
    for measure, (n, value) in expected.items():
        row = of(found, "a", "beta[x1]", measure)
        assert row["n"] == n
        assert abs(row["value"] - value) < 4 * np.sqrt(value * (1 - value) / n)
    moved = measures_table(rows, fits, (), rules, {"beta": 0.4})
    assert of(moved, "a", "beta[x1]", "power:off")["n"] == 8000
    assert of(moved, "a", "beta[x1]", "type_1_error:off")["n"] == 4000
    assert "power:up" not in set(moved["measure"])
    unknown = measures_table(rows, fits, ())
    assert {name for name in unknown["measure"] if ":" in name} == {"decision:up", "decision:off"}
    # no side is made up for a rule that is not known: of P(beta > 0 | y) > 0.95 both sides would be power
    without = measures_table(rows, fits, (), nulls={"beta": 0.0})
    assert {name for name in without["measure"] if ":" in name} == {"decision:up", "decision:off"}


def test_failures_are_counted_by_class_zeros_included():
    reasons = ["error"] * 3 + ["timeout"] * 2 + ["oom", "lost", "gone"]
    fits = pd.DataFrame(
        {
            "cell": ["a"] * 20 + ["b"] * 5 + ["c"] * 2,
            "status": ["failed"] * 8 + ["missing"] * 2 + ["done"] * 15 + ["missing"] * 2,
            "reason": [*reasons, *[""] * 19],
            "converged": pd.array([None] * 10 + [False] * 4 + [True] * 11 + [None] * 2, dtype="boolean"),
            "degenerate": [True] + [False] * 10 + [True] + [False] * 15,
        }
    )
    found = failures_table(fits)
    assert tuple(found.columns) == FAILURE_COLUMNS
    assert list(found["class"]) == list(CLASSES) * 3
    counts = {cell: dict(zip(part["class"], part["count"], strict=True)) for cell, part in found.groupby("cell")}
    assert counts["a"] == {
        "error": 4, "timeout": 2, "oom": 1, "lost": 1, "missing": 2, "non_converged": 4, "degenerate": 2,
    }  # fmt: skip
    assert counts["b"] == dict.fromkeys(CLASSES, 0)
    n = {cell: dict(zip(part["class"], part["n"], strict=True)) for cell, part in found.groupby("cell")}
    assert n["a"] == dict.fromkeys(CLASSES, 18) | {"missing": 20}
    assert n["c"] == dict.fromkeys(CLASSES, 0) | {"missing": 2}
    rates = found[found["n"] > 0]
    expected = measures.wilson(rates["count"], rates["n"])
    assert np.allclose(rates["lower"], expected[0])
    assert np.allclose(rates["upper"], expected[1])
    assert (rates["upper"] > rates["lower"]).all()
    assert found[found["n"] == 0][["rate", "lower", "upper"]].isna().all(axis=None)


def test_failures_of_studies_without_any(study):
    fits = study["fits"]
    clean = fits[fits["status"] == "done"].assign(converged=True).drop(columns="degenerate")
    found = failures_table(clean)
    assert (found["count"] == 0).all()
    assert (found["upper"] > 0).all()


def test_empty_tables(study):
    found = measures_table(study["estimates"].iloc[:0], study["fits"].iloc[:0], LEVELS)
    assert found.empty
    assert tuple(found.columns) == MEASURE_COLUMNS
    assert failures_table(study["fits"].iloc[:0]).empty
    nothing_done = study["fits"].assign(status="failed", reason="error")
    only_failures = measures_table(study["estimates"].iloc[:0], nothing_done, LEVELS)
    assert set(only_failures["measure"]) == {"failure", "nonconvergence"}


def test_what_does_not_fit_together_is_refused(study):
    estimates, fits = study["estimates"], study["fits"]
    with pytest.raises(StoreError, match=r"estimates has no column lower_0\.99, upper_0\.99"):
        measures_table(estimates, fits, [0.99])
    with pytest.raises(StoreError, match="fits has no column converged"):
        measures_table(estimates, fits.drop(columns="converged"), LEVELS)
    with pytest.raises(StoreError, match="estimates has 5 rows more than once"):
        measures_table(pd.concat([estimates, estimates.iloc[:5]]), fits, LEVELS)
    with pytest.raises(StoreError, match="fits has 1 rows more than once"):
        measures_table(estimates, pd.concat([fits, fits.iloc[:1]]), LEVELS)
    with pytest.raises(StoreError, match="rows of fits that the table fits does not have"):
        measures_table(estimates, fits[fits["replicate"] > 0], LEVELS)
    with pytest.raises(StoreError, match="status 'running'"):
        failures_table(fits.assign(status="running"))


def test_what_reads_the_same_but_for_its_numbers_is_one_row_with_a_fit_to_do_again():
    said = ["ValueError: scale -1.5 < 0", "KeyError: 'x1'", "ValueError: scale -0.2 < 0", "KeyError: 'x2'", "", ""]
    frame = pd.DataFrame(
        {
            "cell": ["b", "b", "b", "a", "b", "a"],
            "replicate": [0, 1, 2, 0, 3, 1],
            "key": list("uvwxyz"),
            "status": ["failed"] * 4 + ["done", "missing"],
            "reason": ["error"] * 4 + ["", ""],
            "failures": said,
        }
    )
    found = errors_table(frame)
    assert found.to_dict("list") == {
        "cell": ["b", "b", "a"],
        "reason": ["error"] * 3,
        "message": ["ValueError: scale # < #", "KeyError: 'x1'", "KeyError: 'x2'"],
        "count": [2, 1, 1],
        "example": [said[0], said[1], said[3]],
        "replicate": [0, 1, 0],
        "key": ["u", "v", "x"],
    }
    nothing = errors_table(frame[frame["status"] != "failed"])
    assert nothing.empty
    assert list(nothing.columns) == list(ERROR_COLUMNS)
