"""Figures of coverage: of all nominal levels, and of single intervals.

It draws; what coverage amounts to with its error is in the table of measures.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.rounding import plus_minus
from bayesrun.figures.facets import (
    BLUE,
    ORANGE,
    Drawing,
    Scale,
    cell_grid,
    choose,
    evenly,
    grid,
    heading,
    overlay,
    same_height,
    span,
)
from bayesrun.figures.reading import (
    column,
    estimands,
    groups,
    interval,
    interval_levels,
    ranked,
    ranks_of,
    widest_level,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

__all__ = ["COVERAGE_WARNING", "coverage_levels", "zip_plot"]

COVERAGE_WARNING = (
    "Central intervals can cover exactly as often as they should while calibration is bad "
    "(errors on both sides cancel): read this beside the ECDF difference."
)

MOST_NAMED = 5
MOST_INTERVALS = 250

CENTILES = Scale((0.0, 101.0), (0.0, 50.0, 100.0))


def coverage_levels(estimates: pd.DataFrame) -> Drawing | None:
    """Draw coverage less nominal level over all nominal levels, one panel a cell, one line a quantity.

    Parameters
    ----------
    estimates
        Columns cell, variable, rank, n_ranks; where there is no rank: truth and ``lower_p``, ``upper_p`` for the
        levels p.

    Returns
    -------
    Drawing or None
        The quantities farthest from their nominal level are named. None if nothing can be covered.
    """
    curves = {pair: curve for pair, part in groups(estimates).items() if (curve := _coverage(part)) is not None}
    if not curves:
        return None
    worst = {pair: _excess(*curve) for pair, curve in curves.items()}
    title = "Coverage of central intervals, less the nominal level"
    labels = {"xlabel": "nominal level", "ylabel": "coverage - level", "criterion": "the largest differences"}
    figure, panels, selection = cell_grid(title, worst, **labels)
    for cell, axes in panels.items():
        own = {variable: curve for (other, variable), curve in curves.items() if other == cell}
        _coverage_band(axes, min(count for _, _, count in own.values()))
        named = sorted(own, key=lambda variable: -worst[cell, variable])[:MOST_NAMED]
        overlay(axes, {variable: (level, covered - level) for variable, (level, covered, _) in own.items()}, named)
    same_height(list(panels.values()))
    caption = (
        f"{selection}Grey area: 95 % of calibrated studies at each level (not "
        "simultaneous), for the quantity with the fewest replicates. Named are the quantities farthest off, at most "
        f"{MOST_NAMED} a cell. With a fixed truth a Bayesian interval need not reach its level. {COVERAGE_WARNING}"
    )
    return Drawing(figure, title, caption)


def zip_plot(estimates: pd.DataFrame) -> Drawing | None:
    """Draw the intervals sorted by the size of their z-score, those that miss the truth in orange.

    Parameters
    ----------
    estimates
        Columns cell, variable, truth, mean, sd, and ``lower_p``, ``upper_p`` for the levels p.

    Returns
    -------
    Drawing or None
        One panel for each cell and quantity, the 12 with the coverage farthest from the level where there are
        more. None without intervals.

    References
    ----------
    Morris, White, Crowther (2019), section 6.1, doi:10.1002/sim.8086.
    """
    known = estimands(estimates)
    level = widest_level(known)
    found = groups(known[np.isfinite(interval(known, level)).all(axis=0)])
    if not found:
        return None
    covered = {pair: _covered(part, level) for pair, part in found.items()}
    facets = choose(
        list(found), {pair: abs(float(hit.mean()) - level) for pair, hit in covered.items()}, small_first=True
    )
    title = f"Zip plot: {level:.0%} intervals sorted by |z|"
    figure, shown = grid(title, facets, xlabel="interval less truth", ylabel="centile of |z|", yscale=CENTILES)
    thinned = False
    for pair, axes in shown.items():
        thinned = _zip(axes, found[pair], covered[pair], level) or thinned
    caption = (
        f"{facets.selection('the coverage farthest from the level')}Each line is an interval less the truth, the most "
        f"wrong on top; orange ones miss the truth. They should begin at the dashed line ({level:.0%}). "
        "Orange on one side only: bias. Orange that begins lower: intervals too narrow. "
        + (f"At most {MOST_INTERVALS} intervals a panel are drawn, evenly chosen. " if thinned else "")
        + "The axis leaves out the outermost 0.5 %."
    )
    return Drawing(figure, title, caption)


def _zip(axes: Axes, part: pd.DataFrame, covers: NDArray[np.bool_], level: float) -> bool:
    """Draw one panel; return whether intervals were left out."""
    truth = column(part, "truth")
    low, high = interval(part, level)
    z = np.abs(column(part, "mean") - truth) / column(part, "sd")
    order = np.argsort(z, kind="stable")
    kept = evenly(order.size, MOST_INTERVALS)
    centile = 100.0 * (kept + 0.5) / order.size
    rows = order[kept]
    low, high, hit = (low - truth)[rows], (high - truth)[rows], covers[rows]
    thick = 0.8 if kept.size > 80 else 1.4
    axes.hlines(centile[hit], low[hit], high[hit], color=BLUE, linewidth=thick, alpha=0.6)
    axes.hlines(centile[~hit], low[~hit], high[~hit], color=ORANGE, linewidth=thick)
    axes.axvline(0.0, color="k", linewidth=0.7)
    axes.axhline(100.0 * level, color="0.3", linewidth=0.7, linestyle="--")
    axes.set_xlim(*span(np.concatenate([low, high])))
    share = float(covers.mean())
    error = math.sqrt(share * (1.0 - share) / covers.size)
    # at coverage 0 or 1 this error is 0 and says nothing, so the alarm takes the one at the nominal level
    alarm = abs(share - level) > 3.0 * math.sqrt(level * (1.0 - level) / covers.size)
    heading(axes, f"coverage {plus_minus(share, error)}, n = {covers.size}", alarm=alarm)
    return kept.size < order.size


def _coverage(part: pd.DataFrame) -> tuple[Floats, Floats, int] | None:
    """Nominal levels, coverage at them and replicates; from ranks all levels, otherwise those with intervals."""
    there = ranked(part)
    if len(there):
        ranks, total = ranks_of(there)
        depth = np.minimum(ranks, total - ranks)
        inner = np.arange(total // 2 + 1)
        level = (total + 1 - 2 * inner) / (total + 1)
        covered = 1.0 - np.searchsorted(np.sort(depth), inner) / depth.size
        return level[::-1], covered[::-1], int(depth.size)
    truth = column(part, "truth")
    levels, shares, most = [], [], 0
    for nominal, (lower, upper) in interval_levels(part).items():
        low, high = column(part, lower), column(part, upper)
        known = np.isfinite(truth) & np.isfinite(low) & np.isfinite(high)
        if known.any():
            levels.append(nominal)
            shares.append(float(((low <= truth) & (truth <= high))[known].mean()))
            most = max(most, int(known.sum()))
    return (np.array(levels), np.array(shares), most) if levels else None


def _excess(level: Floats, covered: Floats, count: int) -> float:
    """Largest distance to the nominal level, in its standard errors."""
    error = np.sqrt(np.clip(level * (1.0 - level), 0.25 / count, None) / count)
    return float(np.max(np.abs(covered - level) / error))


def _coverage_band(axes: Axes, count: int) -> None:
    from scipy.stats import binom

    at = np.linspace(0.0, 1.0, 101)
    low, high = binom.ppf([[0.025], [0.975]], count, at) / count
    # the quantile of an impossible event is -1
    low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
    axes.fill_between(at, low - at, high - at, color="0.88", linewidth=0)


def _covered(part: pd.DataFrame, level: float) -> NDArray[np.bool_]:
    truth = column(part, "truth")
    low, high = interval(part, level)
    return (low <= truth) & (truth <= high)
