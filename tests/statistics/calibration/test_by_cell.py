"""Tables and verdicts: columns, families, what is left out, and sentences for people."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from bayesrun.errors import ConfigError
from bayesrun.statistics.calibration import (
    CALIBRATION_COLUMNS,
    NO_DEPARTURE,
    calibration_table,
    find_gamma,
    global_p_value,
    holm,
    observed_gamma,
    pot_c,
    symmetry_table,
    verdicts,
)

L = 99


def ranked(cell: str, variable: str, ranks: np.ndarray, **more: object) -> pd.DataFrame:
    return pd.DataFrame({"cell": cell, "variable": variable, "rank": ranks, "n_ranks": L, **more})


def uniform(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.arange(n) * (L + 1) // n)


LOW = np.random.default_rng(1).integers(0, 50, 200)


def test_columns_and_types_with_rows_and_without() -> None:
    table = calibration_table(ranked("a", "mu", uniform(200)))
    empty = calibration_table(ranked("a", "mu", np.full(200, -1)))
    for found in (table, empty, symmetry_table(ranked("a", "mu", LOW, p_truth=np.nan))):
        assert tuple(found.columns) == CALIBRATION_COLUMNS
        assert found["calibrated"].dtype == bool
        assert found["n"].dtype == found["n_ranks"].dtype == np.int64
    assert len(table) == 1
    assert len(empty) == 0
    assert verdicts(empty) == ()


def test_one_row_says_what_the_functions_say() -> None:
    rng = np.random.default_rng(3)
    truth, mean, sd = rng.normal(size=200), rng.normal(size=200), rng.uniform(0.5, 1.0, 200)
    ess = np.where(np.arange(200) < 30, 80.0, 300.0)
    study = ranked("a", "mu", LOW, truth=truth, mean=mean, sd=sd, prior_sd=2.0, ess_tail=ess)
    (row,) = calibration_table(study).to_dict("records")
    assert row["n"] == 200
    assert row["n_ranks"] == L
    assert row["p_value"] == row["p_holm"] == global_p_value(200, L, observed_gamma(LOW, L))
    assert row["gamma"] == find_gamma(200, L).gamma
    assert row["shape"] == "posterior shifted high"
    assert not row["calibrated"]
    assert row["potc_p"] < 0.01
    z = (mean - truth) / sd
    assert (row["z_mean"], row["z_mcse"]) == pytest.approx((z.mean(), z.std(ddof=1) / np.sqrt(200)))
    share = 1 - sd**2 / 4
    assert (row["contraction"], row["contraction_mcse"]) == pytest.approx(
        (share.mean(), share.std(ddof=1) / np.sqrt(200))
    )
    assert row["low_ess_share"] == pytest.approx(0.15)


def test_each_cell_is_a_family_of_its_own() -> None:
    rng = np.random.default_rng(8)
    parts = [ranked(c, f"v{i}", rng.binomial(L, 0.5, 60)) for c, count in (("a", 4), ("b", 1)) for i in range(count)]
    parts += [ranked("a", "fine", uniform(100))]
    table = calibration_table(pd.concat(parts))
    for _, part in table.groupby("cell"):
        assert part["p_holm"].tolist() == holm(part["p_value"]).tolist()
        assert part["calibrated"].tolist() == (part["p_holm"] > 0.05).tolist()
    assert table["variable"].tolist() == ["v0", "v1", "v2", "v3", "fine", "v0"]


def test_adding_a_cell_changes_no_row_of_another() -> None:
    one = ranked("a", "mu", LOW)
    both = pd.concat([ranked("b", "mu", uniform(90)), one])
    first, second = calibration_table(one, seed=3), calibration_table(both, seed=3)
    pd.testing.assert_frame_equal(first, second[second["cell"] == "a"].reset_index(drop=True))


def test_the_seed_decides_the_second_opinion_only() -> None:
    study = ranked("a", "mu", uniform(90) // 2 + 20)
    one, same, other = (calibration_table(study, seed=seed) for seed in (1, 1, 2))
    assert one["potc_p"].tolist() == same["potc_p"].tolist() != other["potc_p"].tolist()
    assert one["p_value"].tolist() == other["p_value"].tolist()


def test_fits_without_a_rank_are_left_out_and_counted() -> None:
    ranks = np.concatenate([uniform(100), np.full(20, -1)])
    assert calibration_table(ranked("a", "mu", ranks))["n"].tolist() == [100]


def test_a_quantity_with_a_truth_and_no_rank_is_not_calibrated() -> None:
    broken = ranked("a", "tau", np.full(100, -1), truth=1.0, n_ranks=L)
    unknown = ranked("a", "derived", np.full(100, -1), truth=np.nan)
    table = calibration_table(pd.concat([ranked("a", "mu", uniform(100), truth=0.0), broken, unknown]))
    assert table["variable"].tolist() == ["mu", "tau"]
    assert table["calibrated"].tolist() == [True, False]
    assert table["p_holm"].tolist()[0] == table["p_value"].tolist()[0]
    (verdict,) = verdicts(table)
    assert not verdict.calibrated
    assert "tau (no ranks)" in verdict.sentence


def test_cells_without_ranks_are_left_out() -> None:
    variational = ranked("advi", "mu", np.full(100, -1), truth=0.0)
    table = calibration_table(pd.concat([variational, ranked("nuts", "mu", uniform(100), truth=0.0)]))
    assert table["cell"].tolist() == ["nuts"]


def test_integer_columns_may_be_nullable() -> None:
    study = ranked("a", "mu", uniform(100)).astype({"rank": "Int64", "n_ranks": "Int64"})
    study["mean"] = pd.array([pd.NA] * 100, dtype="Float64")
    assert calibration_table(study)["calibrated"].tolist() == [True]


def test_constant_draws_have_no_z_score() -> None:
    table = calibration_table(ranked("a", "mu", uniform(100), truth=0.0, mean=0.0, sd=0.0, prior_sd=np.nan))
    assert table[["z_mean", "z_mcse", "contraction", "contraction_mcse"]].isna().all(axis=None)


def test_more_than_one_L_in_a_cell_is_refused() -> None:
    study = ranked("a", "mu", uniform(100))
    study.loc[:9, "n_ranks"] = 199
    with pytest.raises(ConfigError, match="among 99 and 199 draws"):
        calibration_table(study)


def test_ranks_beyond_L_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"not whole numbers in 0\.\.99"):
        calibration_table(ranked("a", "mu", np.array([100, 5])))


@pytest.mark.parametrize("level", [0.0, 1.0, 5.0])
def test_impossible_levels_are_refused(level: float) -> None:
    with pytest.raises(ConfigError, match=r"study\.alpha"):
        calibration_table(ranked("a", "mu", np.full(3, -1)), level=level)
    with pytest.raises(ConfigError, match=r"study\.alpha"):
        symmetry_table(ranked("a", "mu", np.full(3, -1)), level=level)


def test_symmetry_of_several_quantities() -> None:
    rng = np.random.default_rng(5)
    fine, high = rng.beta(0.5, 0.5, 300), rng.beta(0.5, 0.9, 300)
    parts = [ranked("advi", name, np.full(300, -1), p_truth=p) for name, p in (("mu", fine), ("tau", high))]
    parts[1].loc[:4, "p_truth"] = np.nan
    table = symmetry_table(pd.concat([*parts, ranked("advi", "derived", np.full(3, -1), p_truth=np.nan)]))
    assert table["variable"].tolist() == ["mu", "tau"]
    assert table["shape"].tolist() == [NO_DEPARTURE, "centre biased high"]
    assert table["n"].tolist() == [300, 295]
    assert table["p_holm"].tolist() == holm(table["p_value"]).tolist()
    (verdict,) = verdicts(table)
    assert not verdict.calibrated
    assert "tau (centre biased high, adjusted p < 0.0001)" in verdict.sentence
    assert verdict.remarks == ()
    (centred,) = verdicts(table[:1])
    assert centred.sentence.startswith("advi has the right centre, whatever its width: no bias seen in 1 quantity (")


# ---- Holm


def test_holm_by_hand() -> None:
    # Holm's steps: 0.005 * 4, 0.01 * 3, 0.03 * 2, then 0.04 * 1 is not below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).size == 0


@pytest.mark.parametrize("size", [1, 4, 25])
def test_holm_is_that_of_statsmodels(size: int) -> None:
    p = np.random.default_rng(size).beta(0.3, 1.0, size).round(2)  # with ties
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_leaves_out_what_was_not_tested() -> None:
    assert holm([np.nan, 0.01, 0.5])[1:].tolist() == [0.02, 0.5]
    assert np.isnan(holm([np.nan, 0.01])[0])


# ---- POT-C


def test_pot_c_has_about_its_level_with_uniform_ranks_and_the_known_L() -> None:
    rng = np.random.default_rng(6)
    p = np.array([pot_c(rng.integers(0, 20, 200), 19, rng) for _ in range(600)])
    assert 0.02 < np.mean(p <= 0.05) < 0.11


def test_pot_c_sees_ranks_that_never_reach_L() -> None:
    # normalising by the largest rank that was seen would make these uniform
    assert pot_c(np.random.default_rng(7).integers(0, 51, 500), 100, np.random.default_rng(8)) < 1e-6


# ---- verdicts


def test_sentences() -> None:
    fine = pd.concat([ranked("a/b/nuts", name, uniform(200)) for name in ("mu", "log_likelihood")])
    (verdict,) = verdicts(calibration_table(fine))
    assert verdict.calibrated
    assert verdict.sentence == (
        "a/b/nuts is calibrated: no departure seen in 2 quantities (smallest adjusted p 1; Holm, level 0.05, "
        "200 replicates)."
    )
    assert verdict.remarks == ()
    names = ("mu", "sigma", "beta[x1]", "beta[x2]", "log_likelihood")
    poor = pd.concat([ranked("c", name, LOW[place:]) for place, name in enumerate(names)] + [fine])
    first, second = verdicts(calibration_table(poor))
    assert not first.calibrated
    assert first.sentence.startswith("c is not calibrated: 5 of 5 quantities depart: ")
    assert first.sentence.endswith(" and 2 more (Holm, level 0.05, 196 to 200 of 200 replicates).")
    assert first.sentence.count("posterior shifted high, adjusted p < 0.0001") == 3
    assert second.calibrated


def test_one_quantity_is_one() -> None:
    fine, poor = (verdicts(calibration_table(ranked("a", "mu", ranks)))[0].sentence for ranks in (uniform(90), LOW))
    assert fine.startswith("a is calibrated: no departure seen in 1 quantity (")
    assert poor.startswith("a is not calibrated: 1 of 1 quantity departs: mu (posterior shifted high")
    both = pd.concat([ranked("a", "mu", LOW), ranked("a", "log_likelihood", uniform(len(LOW)))])
    (one_of_two,) = verdicts(calibration_table(both))
    assert one_of_two.sentence.startswith("a is not calibrated: 1 of 2 quantities departs: mu (posterior shifted high")


def test_few_ranks_and_small_tail_ess_are_remarked() -> None:
    study = pd.concat(
        [
            ranked("a", "mu", uniform(40), ess_tail=np.where(np.arange(40) < 4, 50.0, 400.0)),
            ranked("a", "log_likelihood", uniform(40), ess_tail=400.0),
        ]
    )
    (verdict,) = verdicts(calibration_table(study))
    assert verdict.calibrated
    few, low = verdict.remarks
    assert few == "only 40 replicates: below 50 only gross faults are seen; raise study.replicates"
    assert low.startswith("tail-ESS is below L = 99 in up to 10 % of fits (mu)")


def test_a_second_opinion_that_disagrees_is_remarked() -> None:
    table = calibration_table(pd.concat([ranked("a", name, uniform(100)) for name in ("mu", "log_likelihood")]))
    table.loc[0, "potc_p"] = 0.001
    (verdict,) = verdicts(table)
    assert verdict.calibrated
    assert verdict.remarks == (
        "POT-C sees a departure that the band does not see, in mu: look at the ends of the ECDF",
    )


@pytest.mark.parametrize(("n", "among", "told"), [(30, 100, "101, with 0.3 of 30"), (100, 100, "101, with 1.0 of 100")])
def test_bins_that_are_too_fine_are_remarked(n: int, among: int, told: str) -> None:
    """101 is prime: the histogram can have no fewer bins of equally many ranks."""
    ranks = np.arange(n) * (among + 1) // n
    (verdict,) = verdicts(calibration_table(ranked("a", "log_likelihood", ranks).assign(n_ranks=among)))
    (fine,) = [remark for remark in verdict.remarks if "bins" in remark]
    assert fine.startswith(f"the 101 possible ranks make equal bins only by {told} replicates in each: ")
    assert "study.ranks" in fine


@pytest.mark.parametrize(
    ("n", "among"), [(1, 99), (30, 99), (40, 99), (60, 99), (80, 99), (200, 99), (2000, 99), (600, 100), (30, 77)]
)
def test_bins_that_can_be_read_are_not(n: int, among: int) -> None:
    ranks = np.arange(n) * (among + 1) // n
    (verdict,) = verdicts(calibration_table(ranked("a", "log_likelihood", ranks).assign(n_ranks=among)))
    assert not [remark for remark in verdict.remarks if "bins" in remark]
