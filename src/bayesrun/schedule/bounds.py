"""A study held against the bounds of its pipeline: one clause for each bound that it leaves.

It reads the tables that the study wrote, and works none of them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from bayesrun.schedule.pipeline import Gates
    from bayesrun.store import Store

__all__ = ["Held", "held", "missing_fits"]

REASONS = ("error", "timeout", "oom", "lost")
FAILED = (*REASONS, "non_converged")
"""Classes of the table of failures that count against ``max_failed``; degenerate data are no fault of a fit."""

ALL = "all"
"""The analysis that is judged: every fit with output, so that leaving fits out cannot repair a study."""

MOST_NAMED = 3


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
        If a table is missing.
    """
    study: Mapping[str, Any] = store.read_study().get("study", {})
    failures = _table(store, "failures")
    cells = [str(cell) for cell in dict.fromkeys(failures["cell"])]
    failing = tuple(_failing(failures, float(study["max_failed"])))
    uncalibrated = _uncalibrated(store)
    asked = (*uncalibrated, *_untested(store, cells)) if gates.calibrated else ()
    measures = _table(store, "measures") if gates.coverage else None
    planned = failures.loc[failures["class"] == "missing", "n"].sum()
    return Held(
        failures=failing,
        calibration=asked,
        coverage=() if measures is None else tuple(_uncovered(measures, cells, gates.coverage, float(study["alpha"]))),
        fails_itself=bool(failing or (study["kind"] == "sbc" and _fails(store, failures, uncalibrated))),
        cells=len(cells),
        fits=int(planned),
    )


def _table(store: Store, name: str) -> pd.DataFrame:
    found = _table_or_none(store, name)
    if found is None:
        raise StoreError(f"{store.tables} has no {name}.parquet; make it: bayesrun report {store.root}")
    return found


def _table_or_none(store: Store, name: str) -> pd.DataFrame | None:
    import pandas as pd

    path = store.tables / f"{name}.parquet"
    return pd.read_parquet(path) if path.exists() else None


def _failing(failures: pd.DataFrame, most: float) -> Iterator[str]:
    for cell, part in failures.groupby("cell", sort=False):
        rows = part[part["class"].isin(FAILED) & (part["count"] > 0)]
        tried = int(part.loc[part["class"] == FAILED[0], "n"].sum())
        count = int(rows["count"].sum())
        if tried and count / tried > most:
            told = ", ".join(f"{n} {name}" for n, name in zip(rows["count"], rows["class"], strict=True))
            yield f"{cell}: {count} of {tried} fits failed or did not converge, more than a share of {most:g} ({told})"


def _uncalibrated(store: Store) -> tuple[str, ...]:
    from bayesrun.calibration import verdicts

    table = _table_or_none(store, "calibration")
    if table is None or table.empty:
        return ()
    return tuple(verdict.sentence.rstrip(".") for verdict in verdicts(table) if verdict.departs)


def _untested(store: Store, cells: list[str]) -> Iterator[str]:
    """Name the cells that calibration cannot be judged in: what cannot be judged does not pass."""
    table = _table_or_none(store, "calibration")
    known = set() if table is None else set(table["cell"])
    for cell in cells:
        if cell not in known:
            yield f"{cell}: there is no test of calibration, which needs truth drawn from the prior and ranks"


def _fails(store: Store, failures: pd.DataFrame, uncalibrated: tuple[str, ...]) -> bool:
    """Whether a study of calibration fails: a quantity departs, or a cell has output of which nothing can be judged."""
    there = [
        str(cell)
        for cell, part in failures.groupby("cell", sort=False)
        if part.loc[part["class"].isin(REASONS), "count"].sum() < part.loc[part["class"] == REASONS[0], "n"].sum()
    ]
    return bool(uncalibrated) or any(_untested(store, there))


def _uncovered(measures: pd.DataFrame, cells: list[str], bounds: Mapping[float, float], alpha: float) -> Iterator[str]:
    covered = measures[(measures["measure"] == "coverage") & (measures["analysis"] == ALL)]
    for cell in cells:
        part = covered[(covered["cell"] == cell) & (covered["n"] > 0)]
        parts = {level: part[np.isclose(part["level"].to_numpy(dtype=float), level)] for level in bounds}
        for level, rows in parts.items():
            if rows.empty:
                yield f"{cell}: coverage of {level:g} intervals was not measured; add {level:g} to study.levels"
        yield from _beyond_chance(cell, parts, bounds, alpha)


def _beyond_chance(
    cell: str, parts: Mapping[float, pd.DataFrame], bounds: Mapping[float, float], alpha: float
) -> Iterator[str]:
    """Test all quantities and levels of a cell as one family, and name the worst."""
    import pandas as pd

    from bayesrun.calibration import holm

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
        f"{level:g} intervals of {variable} hold {value:.3g} of {n:g} truths (adjusted p {_p(p)})"
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


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-4 else "< 0.0001"
