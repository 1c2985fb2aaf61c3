"""Studies that are in and out of their bounds, and the chance that a good one is called bad."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayesrun.command.pipelines import Gates, held, missing_fits
from bayesrun.command.pipelines.bounds import coverage_p
from bayesrun.errors import StoreError
from bayesrun.statistics.calibration import calibration_table
from bayesrun.statistics.measures import failures_table
from bayesrun.store.folder import Store
from bayesrun.store.table_marks import made_of, mark_tables, outdated, read_table
from fake_studies import fake_states
from fake_trees import fake_outcome, fake_summary, fake_tree

if TYPE_CHECKING:
    from pathlib import Path

CELL = "hierarchical/eight_schools/numpyro"


def study(
    folder: Path,
    *,
    coverage: dict[str, float] | None = None,
    n: int = 500,
    level: float = 0.95,
    failed: int = 0,
    not_converged: int = 0,
    missing: int = 0,
    narrow: bool = False,
    kind: str = "sbc",
    ranks: bool = True,
    alpha: float = 0.001,
    max_failed: float = 0.05,
) -> Store:
    """Write the tables of a study of one cell with real ranks: uniform, or piled at both ends."""
    store = Store(folder / "study")
    store.write_study({"study": {"kind": kind, "alpha": alpha, "max_failed": max_failed}})
    status = ["failed"] * failed + ["missing"] * missing + ["done"] * (n - failed - missing)
    converged = [s == "done" and i < n - not_converged for i, s in enumerate(status)]
    fits = pd.DataFrame({"cell": CELL, "status": status, "reason": "error", "converged": converged})
    store.write_table("failures", failures_table(fits), index=False)
    rows = [
        {"cell": CELL, "variable": name, "measure": "coverage", "level": level, "value": value, "n": n, "analysis": a}
        for name, value in (coverage or {"mu": level}).items()
        for a in ("all", "converged")
    ]
    store.write_table("measures", pd.DataFrame(rows), index=False)
    if ranks:
        uniform = (np.arange(n) + 0.5) / n
        drawn = stats.norm.cdf(1.5 * stats.norm.ppf(uniform)) if narrow else uniform
        estimates = pd.DataFrame(
            {"cell": CELL, "variable": "mu", "rank": np.floor(100 * drawn).astype(int), "n_ranks": 99}
        )
        store.write_table("calibration", calibration_table(estimates, alpha), index=False)
    wrong = kind == "sbc" and (narrow or not ranks)
    store.write_table("states", fake_states(fits, max_failed, "fail" if wrong else "pass"), index=False)
    mark_tables(store, {})
    return store


def test_study_within_its_bounds(tmp_path: Path) -> None:
    found = held(study(tmp_path, failed=10, not_converged=15), Gates())
    assert found.out == ()
    assert (found.cells, found.fits, found.fails_itself) == (1, 500, False)


def test_failed_and_not_converged_fits_count_together_and_by_class(tmp_path: Path) -> None:
    found = held(study(tmp_path, failed=10, not_converged=16), Gates())
    assert found.out == (
        f"{CELL}: 26 of 500 fits failed or did not converge, more than a share of 0.05 (10 error, 16 non_converged)",
    )
    assert found.fails_itself


def test_share_is_of_the_fits_that_were_tried(tmp_path: Path) -> None:
    store = study(tmp_path, failed=5, missing=420)
    assert missing_fits(store) == 420
    assert "5 of 80 fits" in held(store, Gates()).failures[0]


def test_failed_calibration_is_told_in_the_words_of_the_study(tmp_path: Path) -> None:
    (clause,) = held(study(tmp_path, narrow=True), Gates()).out
    assert clause.startswith(
        f"{CELL} is not calibrated: 1 of 1 quantity departs: mu (posterior too narrow, adjusted p "
    )
    assert clause.endswith("(Holm, level 0.001, 500 replicates)")


def test_replicates_that_could_not_be_judged_within_the_bound_are_no_departure(tmp_path: Path) -> None:
    """As the study's own command: a fit that failed among 500 is no alarm, though no one says "is calibrated"."""
    store = study(tmp_path)
    table = pd.read_parquet(store.tables / "calibration.parquet").assign(planned=510, calibrated=False)
    store.write_table("calibration", table, index=False)
    mark_tables(store, {})
    found = held(store, Gates())
    assert found.calibration == ()
    assert not found.fails_itself


def test_calibration_that_is_not_asked_for_is_not_judged_but_explains_the_exit_code(tmp_path: Path) -> None:
    found = held(study(tmp_path, narrow=True), Gates(calibrated=False))
    assert found.out == ()
    assert found.fails_itself
    assert not held(study(tmp_path, narrow=True, kind="recovery"), Gates(calibrated=False)).fails_itself


def test_calibration_that_cannot_be_judged_does_not_pass(tmp_path: Path) -> None:
    found = held(study(tmp_path, ranks=False), Gates())
    assert found.out == (f"{CELL}: there is no test of calibration, which needs truth drawn from the prior and ranks",)
    assert found.fails_itself  # there is output, and nothing can be said of it
    assert not held(study(tmp_path, ranks=False, kind="recovery"), Gates(calibrated=False)).fails_itself
    assert not held(study(tmp_path, ranks=False, missing=500), Gates()).fails_itself


def test_coverage_that_was_not_measured_does_not_pass(tmp_path: Path) -> None:
    found = held(study(tmp_path), Gates(coverage={0.9: 0.0}))
    assert found.out == (f"{CELL}: coverage of 0.9 intervals was not measured; add 0.9 to study.levels",)


def test_coverage_is_told_with_the_worst_first(tmp_path: Path) -> None:
    values = {"mu": 0.9, "tau": 0.95, "theta[A]": 0.8, "theta[B]": 0.85, "theta[C]": 0.88}
    (clause,) = held(study(tmp_path, coverage=values), Gates()).out
    assert clause.startswith(
        f"{CELL} does not cover as it should: 0.95 intervals of theta[A] hold 0.8 of 500 truths (adjusted p < 0.0001), "
    )
    assert clause.endswith(" and 1 more")
    assert "tau" not in clause


def test_too_much_coverage_is_out_too(tmp_path: Path) -> None:
    assert held(study(tmp_path, coverage={"mu": 1.0}), Gates()).coverage
    assert held(study(tmp_path, coverage={"mu": 1.0}, n=50), Gates()).coverage == ()


def test_tolerance_is_beside_chance(tmp_path: Path) -> None:
    store = study(tmp_path, coverage={"mu": 0.9})
    assert held(store, Gates(coverage={0.95: 0.0})).coverage
    assert held(store, Gates(coverage={0.95: 0.03})).coverage == ()


def test_more_quantities_ask_for_more(tmp_path: Path) -> None:
    one = {"mu": 0.912}  # its own p is between 0.001 / 20 and 0.001
    assert 0.001 / 20 < coverage_p(0.912, 500, 0.95, 0.0) < 0.001
    assert held(study(tmp_path, coverage=one), Gates()).coverage
    assert held(study(tmp_path, coverage=one | {f"x{i}": 0.95 for i in range(19)}), Gates()).coverage == ()


def test_p_value_of_coverage_is_the_doubled_binomial_tail() -> None:
    tail = sum(math.comb(10, k) * 0.95**k * 0.05 ** (10 - k) for k in range(8))
    assert coverage_p(0.7, 10, 0.95, 0.0) == pytest.approx(2 * tail, rel=1e-12)
    assert coverage_p(1.0, 10, 0.8, 0.0) == pytest.approx(2 * 0.8**10, rel=1e-12)
    assert coverage_p(1.0, 10, 0.8, 0.2) == 1.0


@pytest.mark.parametrize(
    ("n", "level", "within"), [(50, 0.95, 0.0), (500, 0.5, 0.0), (500, 0.95, 0.03), (60, 0.8, 0.1)]
)
def test_p_value_of_coverage_keeps_its_level(n: int, level: float, within: float) -> None:
    counts = np.arange(n + 1)
    p = np.array([coverage_p(k / n, n, level, within) for k in counts])
    for true in {level - within, level, level + within}:
        chance = stats.binom.pmf(counts, n, true)
        for alpha in (0.001, 0.01, 0.1):
            assert chance[p <= alpha].sum() <= alpha + 1e-12


def test_study_without_tables_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    store = Store(tmp_path / "study")
    store.write_study({"study": {"kind": "sbc", "alpha": 0.001, "max_failed": 0.05}})
    with pytest.raises(StoreError, match=r"has no failures\.parquet; make it: bayesrun report"):
        held(store, Gates())


def test_tables_that_do_not_follow_from_the_fits_are_not_judged(tmp_path: Path) -> None:
    """A fit that was lost, a table that was changed, one of an earlier command: what they say may be untrue."""
    store = study(tmp_path)
    outcome = store.write_fit(fake_outcome("k0"), fake_tree(), fake_summary(fake_tree()))
    mark_tables(store, {"k0": made_of(outcome), "k1": made_of(None)})
    assert outdated(store) == ""
    assert held(store, Gates()).out == ()
    summary = store.fit_folder("k0") / "summary.parquet"
    content = summary.read_bytes()
    summary.unlink()
    with pytest.raises(StoreError, match=r"is not judged: 1 of 2 fits are not those that its tables were made of"):
        held(store, Gates())
    summary.write_bytes(content)
    assert outdated(store) == ""
    store.write_table("symmetry", pd.DataFrame({"cell": [CELL]}), index=False)
    assert outdated(store) == "symmetry.parquet is of another command"
    store.remove_table("symmetry")
    path = store.tables / "calibration.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    assert outdated(store) == "calibration.parquet was changed after it was written"
    with pytest.raises(
        StoreError, match=r"calibration\.parquet cannot be read as a table .*; make it: bayesrun report"
    ):
        read_table(store, "calibration")
    path.unlink()
    assert outdated(store) == "calibration.parquet is missing"
    path.write_bytes(content)
    assert outdated(store) == ""
    (store.tables / "findings.json").unlink()
    assert outdated(store) == "it is not known what its tables were made of"
