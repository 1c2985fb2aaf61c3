"""A study held against the bounds of its pipeline: one clause for each bound that it leaves.

It reads the tables that the study wrote, and works none of them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.digits import against, exact
from bayesrun.base.verb_hints import verb
from bayesrun.errors import StoreError
from bayesrun.store.table_marks import outdated, read_table
from bayesrun.store.turns import whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from bayesrun.command.pipelines.definition import Gates
    from bayesrun.store.folder import Store

__all__ = ["Held", "held", "missing_fits"]

REASONS = ("error", "timeout", "oom", "lost")
FAILED = (*REASONS, "non_converged")
"""Classes of the table of failures that count against ``max_failed``; degenerate data are no fault of a fit."""

ALL = "all"
"""The analysis that is judged: every fit with output, so that leaving fits out cannot repair a study."""

MOST_NAMED = 3

SMALLEST_P = 0.0001
"""A p-value that is told; a smaller one is said to be smaller."""


@dataclass(frozen=True)
class Held:
    """What came out when a study was held against its bounds.

    Parameters
    ----------
    failures, calibration, coverage
        One clause for each cell that is out of bounds.
    fails_itself
        Whether the study's own command has a reason to exit with 1.
    cells, fits
        How many there are.
    """

    failures: tuple[str, ...] = ()
    calibration: tuple[str, ...] = ()
    coverage: tuple[str, ...] = ()
    fails_itself: bool = False
    cells: int = 0
    fits: int = 0

    @property
    def out(self) -> tuple[str, ...]:
        """All clauses; empty if the study is within its bounds."""
        return (*self.calibration, *self.coverage, *self.failures)


def missing_fits(store: Store) -> int:
    """How many planned fits did not come back.

    Raises
    ------
    StoreError
        If the study has no table of failures.
    """
    with whole(store.root):
        table = _table(store, "failures")
    return int(table.loc[table["class"] == "missing", "count"].sum())


def held(store: Store, gates: Gates) -> Held:
    """Hold a study against its bounds.

    Parameters
    ----------
    store
        Folder of a simulation study whose command has ended.
    gates
        Which questions are asked. Levels and shares are those that the study was run with, ``study.alpha`` and
        ``study.max_failed``, so that its report and this agree.

    Returns
    -------
    Held
        Clauses in the order calibration, coverage, failures.

    Raises
    ------
    StoreError
        If a table is missing, or the tables do not follow from the fits as they are.
    """
    with whole(store.root):
        _table(store, "failures")  # a study without tables is told so
        why = outdated(store)
        if why:
            raise StoreError(f"{store.root} is not judged: {why}; make its tables: {verb('report', store.root)}")
        return _held(store, gates)


def _held(store: Store, gates: Gates) -> Held:
    study: Mapping[str, Any] = store.read_study().get("study", {})
    failures = _table(store, "failures")
    cells = [str(cell) for cell in dict.fromkeys(failures["cell"])]
    failing = tuple(_failing(failures, float(study["max_failed"])))
    states = _table(store, "states")
    asked = (*_uncalibrated(store), *_untested(store, cells)) if gates.calibrated else ()
    measures = _table(store, "measures") if gates.coverage else None
    planned = failures.loc[failures["class"] == "missing", "n"].sum()
    return Held(
        failures=(*failing, *_gated(states)),
        calibration=asked,
        coverage=() if measures is None else tuple(_uncovered(measures, cells, gates.coverage, float(study["alpha"]))),
        fails_itself=bool((states["state"] == "fail").any()),
        cells=len(cells),
        fits=int(planned),
    )


def _table(store: Store, name: str) -> pd.DataFrame:
    found = read_table(store, name)
    if found is None:
        raise StoreError(f"{store.tables} has no {name}.parquet; make it: {verb('report', store.root)}")
    return found


def _failing(failures: pd.DataFrame, most: float) -> Iterator[str]:
    for cell, part in failures.groupby("cell", sort=False):
        rows = part[part["class"].isin(FAILED) & (part["count"] > 0)]
        tried = int(part.loc[part["class"] == FAILED[0], "n"].sum())
        count = int(rows["count"].sum())
        if tried and count / tried > most:
            told = ", ".join(f"{n} {name}" for n, name in zip(rows["count"], rows["class"], strict=True))
            share = f"more than a share of {exact(most)}"
            yield f"{cell}: {count} of {tried} fits failed or did not converge, {share} ({told})"


def _uncalibrated(store: Store) -> tuple[str, ...]:
    from bayesrun.statistics.calibration import verdicts

    table = read_table(store, "calibration")
    if table is None or table.empty:
        return ()
    return tuple(verdict.sentence.rstrip(".") for verdict in verdicts(table) if verdict.departs or verdict.blind)


def _untested(store: Store, cells: list[str]) -> Iterator[str]:
    """Name the cells that calibration cannot be judged in: what cannot be judged does not pass."""
    table = read_table(store, "calibration")
    known = set() if table is None else set(table["cell"])
    for cell in cells:
        if cell not in known:
            yield f"{cell}: there is no test of calibration, which needs truth drawn from the prior and ranks"


def _gated(states: pd.DataFrame) -> Iterator[str]:
    """Name the cells in which a verdict did not pass, and gate.fail says that it has to."""
    out = states[states["strict"] & (states["failed"] + states["not_converged"] > 0)]
    for cell, failed, unsure in out[["cell", "failed", "not_converged"]].itertuples(index=False):
        yield f"{cell}: {failed} fits failed and {unsure} did not pass their gate, and gate.fail=true"


def _uncovered(measures: pd.DataFrame, cells: list[str], bounds: Mapping[float, float], alpha: float) -> Iterator[str]:
    covered = measures[(measures["measure"] == "coverage") & (measures["analysis"] == ALL)]
    for cell in cells:
        part = covered[(covered["cell"] == cell) & (covered["n"] > 0)]
        parts = {level: part[np.isclose(part["level"].to_numpy(dtype=float), level)] for level in bounds}
        for level, rows in parts.items():
            if rows.empty:
                told = exact(level)
                yield f"{cell}: coverage of {told} intervals was not measured; add {told} to study.levels"
        yield from _beyond_chance(cell, parts, bounds, alpha)


def _beyond_chance(
    cell: str, parts: Mapping[float, pd.DataFrame], bounds: Mapping[float, float], alpha: float
) -> Iterator[str]:
    """Test all quantities and levels of a cell as one family, and name the worst."""
    import pandas as pd

    from bayesrun.statistics.calibration import holm

    rows = pd.concat([part.assign(level=level, within=bounds[level]) for level, part in parts.items()])
    if rows.empty:
        return
    p = [coverage_p(v, n, level, w) for v, n, level, w in rows[["value", "n", "level", "within"]].to_numpy(dtype=float)]
    rows = rows.assign(p_holm=holm(np.array(p))).sort_values("p_holm", kind="stable")
    out = rows[rows["p_holm"] <= alpha]
    if out.empty:
        return
    worst = out.head(MOST_NAMED)
    named = [
        f"{exact(level)} intervals of {variable} hold {against(value, level)} of {n:.0f} truths "
        f"(adjusted p {against(p, alpha, '.2g') if p >= SMALLEST_P else f'< {SMALLEST_P}'})"
        for variable, (level, value, n, p) in zip(
            worst["variable"], worst[["level", "value", "n", "p_holm"]].to_numpy(dtype=float), strict=True
        )
    ]
    more = f" and {len(out) - MOST_NAMED} more" if len(out) > MOST_NAMED else ""
    yield f"{cell} does not cover as it should: {', '.join(named)}{more}"


def coverage_p(value: float, n: float, level: float, within: float) -> float:
    """p-value of a coverage in [level - within, level + within], by the exact binomial law of the count.

    Parameters
    ----------
    value
        Share of the truths that were covered.
    n
        Truths.
    level
        Nominal coverage.
    within
        How far the true coverage may be from it.

    Returns
    -------
    float
        Twice the smaller of both tails, each at the end of the interval next to it, at most 1: two-sided and exact in
        the sense that it is at most alpha with a probability of at most alpha.

    References
    ----------
    Clopper, Pearson (1934), doi:10.1093/biomet/26.4.404: the interval that this test inverts to.
    """
    from scipy.stats import binom

    count = round(value * n)
    few = float(binom.cdf(count, n, max(level - within, 0.0)))
    many = float(binom.sf(count - 1, n, min(level + within, 1.0)))
    return min(1.0, 2.0 * min(few, many))
