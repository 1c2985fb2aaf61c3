"""Figures of calibration: ranks of the truth against their band, and symmetry of variational posteriors.

It draws what calibration has judged and judges nothing itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.rounding import probability
from bayesrun.figures.facets import (
    BLUE,
    ORANGE,
    SHARES,
    WIDE_SHARES,
    Drawing,
    cell_grid,
    choose,
    grid,
    heading,
    overlay,
    same_height,
)
from bayesrun.figures.reading import column, facts, groups, number, ranked, ranks_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesrun.figures.reading import Pair

    type Floats = NDArray[np.float64]

__all__ = ["ecdf_by_cell", "ecdf_differences", "rank_histograms", "symmetry"]

MOST_BINS = 20
FEWEST_PER_BIN = 5
MOST_NAMED = 5
USUAL_ALPHA = 0.05


def ecdf_differences(estimates: pd.DataFrame, calibration: pd.DataFrame) -> Drawing | None:
    """Draw the difference between the ECDF of the ranks and a uniform's, with its simultaneous band.

    Parameters
    ----------
    estimates
        Columns cell, variable, rank (-1 where there is none), n_ranks.
    calibration
        Columns cell, variable, p_value, calibrated, shape; may be empty.

    Returns
    -------
    Drawing or None
        One panel for each cell and quantity, the 12 with the smallest p-value where there are more. None if
        there is no rank.

    References
    ----------
    Säilynoja, Bürkner, Vehtari (2022), doi:10.1007/s11222-022-10090-6.
    """
    from bayesrun.statistics.calibration import ecdf_difference

    found, judged = groups(ranked(estimates)), facts(calibration)
    if not found:
        return None
    facets = choose(list(found), _badness(judged))
    title, alpha = "Ranks of the truth: ECDF less uniform", _alpha(judged)
    figure, shown = grid(title, facets, xlabel="fractional rank", ylabel="ECDF difference", xscale=WIDE_SHARES)
    for pair, axes in shown.items():
        curve = ecdf_difference(*ranks_of(found[pair]), alpha)
        axes.fill_between(curve.z, curve.lower, curve.upper, color="0.88", linewidth=0)
        axes.axhline(0.0, color="0.6", linewidth=0.6)
        axes.plot(curve.z, curve.difference, color=ORANGE if curve.outside.any() else BLUE, linewidth=1.2)
        _shape(axes, judged.get(pair))
    caption = (
        f"{facets.selection('the smallest p-values')}Grey: {1.0 - alpha:.0%} of calibrated curves stay inside "
        "everywhere (simultaneous band). One arch above 0: posterior shifted high; below 0: shifted low; up, then "
        "down: too narrow; down, then up: too wide. p is of one quantity; the table has it adjusted for all of "
        "them (Holm)."
    )
    return Drawing(figure, title, caption)


def ecdf_by_cell(estimates: pd.DataFrame, calibration: pd.DataFrame) -> Drawing | None:
    """Draw the ECDF differences of all quantities of a cell over each other, one panel a cell.

    Parameters
    ----------
    estimates, calibration
        As for `ecdf_differences`.

    Returns
    -------
    Drawing or None
        The quantities farthest outside their band are named, at most five a panel. None if there is no rank.
    """
    from bayesrun.statistics.calibration import ecdf_difference

    alpha = _alpha(facts(calibration))
    found = {pair: ecdf_difference(*ranks_of(part), alpha) for pair, part in groups(ranked(estimates)).items()}
    if not found:
        return None
    outside = {
        pair: float(np.max(np.maximum(curve.difference - curve.upper, curve.lower - curve.difference)))
        for pair, curve in found.items()
    }
    leaves = {pair for pair, curve in found.items() if curve.outside.any()}
    title = "Ranks of the truth, all quantities of a cell: ECDF less uniform"
    labels = {"xlabel": "fractional rank", "ylabel": "ECDF difference", "criterion": "curves farthest outside"}
    figure, panels, selection = cell_grid(title, outside, **labels)
    for cell, axes in panels.items():
        own = {variable: curve for (other, variable), curve in found.items() if other == cell}
        widest = max(own.values(), key=lambda curve: float(np.max(curve.upper)))
        axes.fill_between(widest.z, widest.lower, widest.upper, color="0.88", linewidth=0)
        worst = sorted((v for v in own if (cell, v) in leaves), key=lambda v: -outside[cell, v])
        overlay(axes, {variable: (curve.z, curve.difference) for variable, curve in own.items()}, worst[:MOST_NAMED])
        heading(axes, f"{len(worst)} of {len(own)} leave the band", alarm=bool(worst))
    same_height(list(panels.values()))
    caption = (
        f"{selection}Grey area: {1.0 - alpha:.0%} of calibrated curves stay inside everywhere, for the "
        "quantity with the fewest replicates; the others leave it by chance. The table has p-values adjusted for the "
        "number of quantities (Holm). Thin grey lines: the quantities that are not named."
    )
    return Drawing(figure, title, caption)


def rank_histograms(estimates: pd.DataFrame, calibration: pd.DataFrame) -> Drawing | None:
    """Draw histograms of the ranks, with the binomial band of each bin.

    Parameters
    ----------
    estimates, calibration
        As for `ecdf_differences`.

    Returns
    -------
    Drawing or None
        One panel for each cell and quantity, the 12 with the smallest p-value where there are more.

    References
    ----------
    Talts, Betancourt, Simpson, Vehtari, Gelman (2018), arXiv:1804.06788.
    """
    from bayesrun.statistics.calibration import rank_histogram

    found, judged = groups(ranked(estimates)), facts(calibration)
    if not found:
        return None
    facets = choose(list(found), _badness(judged))
    title = "Ranks of the truth: histograms"
    figure, shown = grid(title, facets, xlabel="fractional rank", ylabel="replicates in a bin", xscale=SHARES)
    for pair, axes in shown.items():
        bins = rank_histogram(*ranks_of(found[pair]))
        _bars(axes, bins.counts, bins.lower, bins.upper)
        _shape(axes, judged.get(pair))
    caption = (
        f"{facets.selection('the smallest p-values')}Grey: where the count of a single bin lies with probability "
        "95 % (not simultaneous: some bars may leave it). The ECDF difference decides."
    )
    return Drawing(figure, title, caption)


def symmetry(estimates: pd.DataFrame, table: pd.DataFrame) -> Drawing | None:
    """Draw where the truth lies in variational posteriors: the histogram should be symmetric, not flat.

    Parameters
    ----------
    estimates
        Columns cell, variable, rank, p_truth (posterior probability below the truth).
    table
        What the test of symmetry found: columns as of calibration. Drawn are its cells and quantities; without a
        table those that have a probability but no rank.

    Returns
    -------
    Drawing or None
        One panel for each cell and quantity, the 12 with the smallest p-value where there are more.

    References
    ----------
    Yao, Vehtari, Simpson, Gelman (2018), Yes, but did it work?, section 3 (VSBC), arXiv:1802.02538.
    """
    judged, known = facts(table), estimates[np.isfinite(column(estimates, "p_truth"))]
    if judged:
        found = {pair: part for pair, part in groups(known).items() if pair in judged}
    else:
        found = groups(known[~(column(known, "rank") >= 0)])
    if not found:
        return None
    facets = choose(list(found), _badness(judged))
    title = "Variational posteriors: is the truth as often below as above?"
    label = "posterior probability below the truth"
    figure, shown = grid(title, facets, xlabel=label, ylabel="replicates in a bin", xscale=SHARES)
    for pair, axes in shown.items():
        p = column(found[pair], "p_truth")
        bins = max(2, min(MOST_BINS, p.size // FEWEST_PER_BIN))
        counts, edges = np.histogram(p, bins, (0.0, 1.0))
        axes.locator_params(axis="y", integer=True)
        axes.stairs(counts, edges, fill=True, color=BLUE, alpha=0.55)
        axes.stairs(counts[::-1], edges, color=ORANGE, linewidth=1.2)
        axes.set_ylim(0.0, 1.08 * max(1, int(counts.max())))
        _shape(axes, judged.get(pair))
    caption = (
        f"{facets.selection('the smallest p-values')}Orange line: the same histogram mirrored. Where both "
        "agree the centre of the approximation is unbiased; approximations that are too narrow pile up at both ends. "
        "Too much mass below one half: the approximation lies above the truth too often. The test asks for symmetry "
        "only."
    )
    return Drawing(figure, title, caption)


def _alpha(judged: Mapping[Pair, Mapping[str, object]]) -> float:
    """Level of the tests in the table; 0.05 without a table."""
    return next((level for row in judged.values() if 0.0 < (level := number(row, "level")) < 1.0), USUAL_ALPHA)


def _badness(judged: Mapping[Pair, Mapping[str, object]]) -> dict[Pair, float]:
    return {pair: -number(row, "p_value") for pair, row in judged.items()}


def _shape(axes: Axes, row: Mapping[str, object] | None) -> None:
    """Write the shape in words and the p-value above a panel."""
    if row is None:
        return
    shape, p = row.get("shape"), number(row, "p_value")
    words = [str(shape).removeprefix("posterior ")] if isinstance(shape, str) and shape else []
    fine = bool(row.get("calibrated", True)) or number(row, "p_holm") > number(row, "level")
    if fine and p <= number(row, "level"):
        words = ["outside, but not after Holm"]
    if math.isfinite(p):
        words.append(f"p {probability(p)}" if p < 0.001 else f"p = {probability(p)}")
    heading(axes, ", ".join(words), alarm=not fine)


def _bars(axes: Axes, counts: NDArray[np.int64], lower: Floats, upper: Floats) -> None:
    edges = np.linspace(0.0, 1.0, counts.size + 1)
    axes.fill_between(edges, np.append(lower, lower[-1]), np.append(upper, upper[-1]), step="post", color="0.85", lw=0)
    outside = (counts < lower) | (counts > upper)
    for hit, colour in ((outside, ORANGE), (~outside, BLUE)):
        # one patch for all bars: two hundred single ones take a third of a second
        axes.stairs(np.where(hit, counts, 0), edges, fill=True, color=colour, alpha=0.6)
    axes.vlines(edges[1:-1], 0.0, np.maximum(counts[1:], counts[:-1]), color="white", linewidth=0.8)
    axes.locator_params(axis="y", integer=True)
    axes.set_ylim(0.0, 1.08 * max(1.0, float(counts.max()), float(upper.max())))
