"""Reads the tables of a simulation study for its figures: columns, groups, levels of intervals, what is estimated.

It computes no measure and draws nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.statistics.measures.names import CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]
    type Ranks = NDArray[np.int64]

__all__ = [
    "USUAL_LEVEL",
    "Pair",
    "column",
    "estimands",
    "facts",
    "fixed_truth",
    "groups",
    "interval",
    "interval_levels",
    "number",
    "ordered",
    "ranked",
    "ranks_of",
    "small",
    "widest_level",
]

type Pair = tuple[str, str]
"""A cell and a quantity."""

USUAL_LEVEL = 0.95
FEW = 4


def groups(frame: pd.DataFrame) -> dict[Pair, pd.DataFrame]:
    """Split a table with columns cell and variable by both, in the order of the table."""
    if frame.empty or not {"cell", "variable"} <= set(frame.columns):
        return {}
    parts = frame.groupby(["cell", "variable"], sort=False, observed=True)
    return {(str(cell), str(variable)): part for (cell, variable), part in parts}


def column(frame: pd.DataFrame, name: str) -> Floats:
    """Read a column as floats, infinities as NaN; all NaN where the table lacks it."""
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    values = frame[name].to_numpy(dtype=float, na_value=np.nan).copy()
    values[~np.isfinite(values)] = np.nan
    return values


def ordered(values: Sequence[str]) -> list[str]:
    """Distinct values in the order of their first appearance."""
    return list(dict.fromkeys(values))


def small(labels: Iterable[str]) -> set[str]:
    """Scalars of variables that have at most four: parameters, rather than what is derived for each observation."""
    distinct = set(labels)
    sizes = Counter(label.partition("[")[0] for label in distinct)
    return {label for label in distinct if sizes[label.partition("[")[0]] <= FEW}


def interval_levels(estimates: pd.DataFrame) -> dict[float, tuple[str, str]]:
    """Levels p with columns ``lower_p`` and ``upper_p``, ascending, and the names of these columns."""
    found = {}
    for name in estimates.columns:
        start, _, level = str(name).partition("_")
        upper = f"upper_{level}"
        if start == "lower" and upper in estimates.columns:
            try:
                found[float(level)] = (str(name), upper)
            except ValueError:
                continue
    return dict(sorted(found.items()))


def interval(part: pd.DataFrame, level: float) -> tuple[Floats, Floats]:
    """Read the ends of the intervals of a level; NaN where there is no such level."""
    names = interval_levels(part).get(level)
    if names is None:
        return np.full(len(part), np.nan), np.full(len(part), np.nan)
    return column(part, names[0]), column(part, names[1])


def estimands(estimates: pd.DataFrame) -> pd.DataFrame:
    """Rows of estimates with a finite truth, mean and SD, without the quantities that only test calibration."""
    if estimates.empty or "variable" not in estimates.columns:
        return estimates.iloc[:0]
    known = np.isfinite(column(estimates, "truth")) & np.isfinite(column(estimates, "mean"))
    known &= column(estimates, "sd") > 0
    return estimates[known & ~estimates["variable"].isin(CHECKS).to_numpy()]


def fixed_truth(estimates: pd.DataFrame) -> set[str]:
    """Quantities whose truth is the same in all replicates of every cell that has more than one."""
    parts = groups(estimates)
    moves = {pair[1] for pair, part in parts.items() if len(part) > 1 and np.ptp(column(part, "truth")) > 0}
    repeats = {pair[1] for pair, part in parts.items() if len(part) > 1}
    return repeats - moves


def widest_level(estimates: pd.DataFrame) -> float:
    """Level of the intervals that are drawn: 0.95 where there is one, otherwise the largest; NaN without any."""
    levels = list(interval_levels(estimates))
    return USUAL_LEVEL if USUAL_LEVEL in levels else max(levels, default=math.nan)


def facts(calibration: pd.DataFrame) -> dict[Pair, Mapping[str, object]]:
    """Read what calibration found of each cell and quantity: column to value."""
    rows = ((pair, part.iloc[0]) for pair, part in groups(calibration).items())
    return {pair: {str(name): value for name, value in row.items()} for pair, row in rows}


def number(row: Mapping[str, object], name: str) -> float:
    """Read a number; NaN where it is missing or something else."""
    value = row.get(name)
    return float(value) if isinstance(value, (int, float, np.floating, np.integer)) else math.nan


def ranked(estimates: pd.DataFrame) -> pd.DataFrame:
    """Rows of estimates that have a rank."""
    return estimates[(column(estimates, "rank") >= 0) & (column(estimates, "n_ranks") > 0)]


def ranks_of(part: pd.DataFrame) -> tuple[Ranks, int]:
    """Ranks of rows that all have one, and the largest possible rank L."""
    return part["rank"].to_numpy(dtype=np.int64), int(part["n_ranks"].max())
