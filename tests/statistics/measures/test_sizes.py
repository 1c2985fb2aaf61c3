"""Numbers of replicates are the published ones, and rounds end when, and not before, the precision is there."""

import math

import numpy as np
import pandas as pd
import pytest

from bayesrun.errors import ConfigError, StoreError
from bayesrun.statistics.measures import (
    check_targets,
    measures_table,
    needed,
    next_round,
    precision,
    reached,
    replicates_for_mean,
    replicates_for_sd,
    replicates_for_share,
    wilson,
)
from bayesrun.statistics.measures.names import MEASURE_COLUMNS


def test_published_numbers():
    assert replicates_for_share(0.005, 0.95) == 1900
    assert replicates_for_share(0.005) == 10_000
    assert replicates_for_share(0.01, 0.95) == 475
    assert replicates_for_share(0.01) == 2500
    assert replicates_for_sd(0.05) == 201
    assert replicates_for_mean(0.005, 0.2) == 1600
    assert replicates_for_mean(0.1, 0.0) == 1


def test_numbers_that_make_no_sense_are_refused():
    for mcse in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="positive number"):
            replicates_for_share(mcse)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        replicates_for_share(0.01, 1.2)
    with pytest.raises(ConfigError, match="SD of a pilot"):
        replicates_for_mean(0.01, math.nan)


def table(*rows):
    """Rows of (measure, level, value, mcse, n); cell and variable are fixed."""
    whole = [("a", "mu", measure, level, value, mcse, 0.0, 0.0, n, "all") for measure, level, value, mcse, n in rows]
    return pd.DataFrame(whole, columns=list(MEASURE_COLUMNS))


def coverage(share, n):
    return ("coverage", 0.95, share, math.sqrt(share * (1 - share) / n), n)


def test_all_covered_is_not_precision():
    assert not reached(table(coverage(1.0, 60)), {"coverage": 0.01}, minimum=10)
    assert reached(table(coverage(1.0, 200)), {"coverage": 0.01}, minimum=10)
    low, high = wilson(200, 200)
    held = precision(table(coverage(1.0, 200)), {"coverage": 0.01})
    assert held["error"][0] == pytest.approx((high - low) / (2 * 1.96))


def test_the_minimum_counts():
    pilot = table(("bias", np.nan, 0.1, 0.001, 40))
    assert reached(pilot, {"bias": 0.01}, minimum=40)
    assert not reached(pilot, {"bias": 0.01}, minimum=41)


def test_all_targets_and_all_rows_have_to_be_there():
    pilot = table(coverage(0.95, 2000), ("bias", np.nan, 0.1, 0.02, 2000))
    assert reached(pilot, {"coverage": 0.005})
    assert not reached(pilot, {"coverage": 0.005, "bias": 0.01})
    assert not reached(pilot, {"coverage": 0.005, "rmse": 10.0})
    other = pilot.assign(cell="b", mcse=0.1)
    assert not reached(pd.concat([pilot, other.assign(n=150)]), {"coverage": 0.005})
    missing = table(("bias", np.nan, 0.1, np.nan, 500))
    assert not reached(missing, {"bias": 100.0})


def test_checks_and_other_analyses_have_no_target():
    pilot = table(coverage(0.95, 2000))
    bad = table(coverage(0.5, 50))
    assert reached(pd.concat([pilot, bad.assign(variable="log_likelihood"), bad.assign(analysis="converged")]),
                   {"coverage": 0.005})  # fmt: skip


def test_power_means_the_rules_with_a_null_value_or_all_rules():
    rule = ("decision:up", np.nan, 0.5, 0.05, 100)
    power = ("power:up", np.nan, 0.5, 0.01, 2500)
    assert set(precision(table(rule, power), {"power": 0.01})["measure"]) == {"power:up"}
    assert set(precision(table(rule), {"power": 0.01})["measure"]) == {"decision:up"}
    assert set(precision(table(rule, power), {"decision:up": 0.01})["measure"]) == {"decision:up"}
    assert precision(table(rule), {"type_1_error": 0.01}).empty


def test_needed_without_a_pilot():
    assert needed({"coverage": 0.01}) == 2500
    assert needed({"power": 0.01, "empirical_se": 0.01}) == 5001
    with pytest.raises(ConfigError, match="only a pilot tells"):
        needed({"bias": 0.01})


def test_needed_by_a_pilot():
    pilot = table(("bias", np.nan, 0.3, 0.02, 100), ("empirical_se", np.nan, 0.2, 0.014, 100), coverage(0.95, 100))
    assert needed({"bias": 0.005}, pilot) == replicates_for_mean(0.005, 0.2)
    assert needed({"empirical_se": 0.01}, pilot) == math.ceil(100 * 7**2)
    centre = (95 + 1.96**2 / 2) / (100 + 1.96**2)
    assert needed({"coverage": 0.01}, pilot) == replicates_for_share(0.01, centre)
    assert needed({"bias": 0.005, "coverage": 0.01}, pilot) == 1600
    with pytest.raises(ConfigError, match="the pilot has no rmse"):
        needed({"rmse": 0.1}, pilot)


def test_rounds_have_bounds():
    pilot = table(("bias", np.nan, 0.3, 0.02, 100))
    targets = {"bias": 0.005}
    assert next_round(0, None, targets, 5000) == 100
    assert next_round(0, None, targets, 60) == 60
    assert next_round(100, pilot, targets, 5000) == 200
    assert next_round(1000, pilot.assign(n=1000, mcse=0.2 / math.sqrt(1000)), targets, 5000) == 600
    assert next_round(1000, pilot.assign(n=1000, mcse=0.2 / math.sqrt(1000)), targets, 1300) == 300
    assert next_round(1590, pilot.assign(n=1590, mcse=0.2 / math.sqrt(1590)), targets, 5000) == 159
    assert next_round(1600, pilot.assign(n=1600, mcse=0.005), targets, 5000) == 0
    assert next_round(100, pilot, targets, 100) == 0
    half = pilot.assign(n=1000, mcse=0.2 / math.sqrt(1000))
    assert next_round(2000, half, targets, 50_000) == 1200
    nothing = table(("rmse", np.nan, 0.3, 0.02, 100))
    assert next_round(100, nothing, targets, 5000) == 200


def test_rounds_end_at_the_precision_that_was_asked_for():
    rng = np.random.default_rng(1)
    targets = {"coverage": 0.01, "bias": 0.01, "empirical_se": 0.03}
    done, parts, measured, sizes = 0, [], None, []
    while added := next_round(done, measured, targets, 20_000):
        truth = rng.normal(size=added)
        h = truth + rng.normal(0, 0.4, added)
        rows = {
            "cell": "a",
            "replicate": done + np.arange(added),
            "variable": "mu",
            "truth": truth,
            "mean": h,
            "sd": 0.4,
        }
        parts.append(pd.DataFrame(rows).assign(**{"lower_0.95": h - 0.784, "upper_0.95": h + 0.784}))
        done += added
        sizes.append(added)
        fits = pd.DataFrame({"cell": "a", "replicate": np.arange(done), "status": "done", "converged": True})
        measured = measures_table(pd.concat(parts), fits, [0.95])
    assert reached(measured, targets)
    assert 0.9 * replicates_for_mean(0.01, 0.4) < done < 1.3 * replicates_for_mean(0.01, 0.4)
    assert len(sizes) <= 6


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ({}, "is empty"),
        ({"covrage": 0.01}, "did you mean coverage?"),
        ({"bias:up": 0.01}, "no measure 'bias:up'"),
        ({"power:": 0.01}, "no measure 'power:'"),
        ({"bias": 0.0}, r"study.target_mcse.bias: got 0.0"),
        ({"bias": True}, "got True"),
        ({"bias": "small"}, "got 'small'"),
    ],
)
def test_targets_that_make_no_sense_are_refused(targets, words):
    with pytest.raises(ConfigError) as caught:
        check_targets(targets)
    assert words in str(caught.value)


def test_a_table_without_its_columns_is_refused():
    with pytest.raises(StoreError, match="measures has no column mcse"):
        reached(table(coverage(0.9, 200)).drop(columns="mcse"), {"coverage": 0.01})
