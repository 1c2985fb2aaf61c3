"""Figures of what became of the fits of a study: failures, and what the others took and gave, by cell.

Failures are drawn also where there are none: that is a finding too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesrun.figures.canvas import CHAIN_COLOURS, blank, safe_text, tidy
from bayesrun.figures.facets import BLUE, Drawing, short_cells
from bayesrun.figures.reading import column, ordered
from bayesrun.statistics.measures.names import REASONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

__all__ = ["CLASSES", "count_outcomes", "failure_shares", "time_and_ess"]

CLASSES = ("converged", "not converged", *REASONS, "missing")
"""What may become of a planned fit; each has exactly one of these."""

COLOURS = ("#7FB7D9", "#E6C34A", CHAIN_COLOURS[1], CHAIN_COLOURS[3], "#8C4B8C", "#5A5A5A", "0.88")
MOST_CELLS = 30
ENOUGH_ESS = 400.0
"""Bulk ESS from which the posterior mean has little error of its own, doi:10.1214/20-BA1221."""

LOG_RATIO = 20.0


def count_outcomes(fits: pd.DataFrame, cells: Sequence[str] = ()) -> dict[str, dict[str, int]]:
    """Count what became of the planned fits of each cell, zeros included.

    Parameters
    ----------
    fits
        Columns cell, status (done, failed or missing), reason, converged.
    cells
        Cells that are counted even if the table has no fit of them, first.

    Returns
    -------
    dict
        Cell to class to count; the classes are `CLASSES`. A failure of another reason counts as error.
    """
    counts = {cell: dict.fromkeys(CLASSES, 0) for cell in cells}
    if fits.empty:
        return counts
    names = fits["cell"].astype(str).to_numpy(dtype=object)
    for cell, kind in zip(names, _classes(fits), strict=True):
        counts.setdefault(cell, dict.fromkeys(CLASSES, 0))[kind] += 1
    return counts


def failure_shares(design: pd.DataFrame, fits: pd.DataFrame) -> Drawing | None:
    """Draw the share of the planned fits of each cell that converged, did not, failed or are missing.

    Parameters
    ----------
    design
        Column cell.
    fits
        As for `count_outcomes`.

    Returns
    -------
    Drawing or None
        One bar a cell, at most 30: those with the most failures where there are more. None without a cell.
    """
    counts = count_outcomes(fits, _cells(design))
    if not counts:
        return None
    bad = {cell: _share(found, CLASSES[2:]) + 0.001 * _share(found, CLASSES[1:2]) for cell, found in counts.items()}
    worst = set(sorted(counts, key=lambda cell: -bad[cell])[:MOST_CELLS])
    shown = [cell for cell in counts if cell in worst]
    title = "What became of the fits"
    figure, (axes,) = _cell_rows(title, shown, 1, right=2.7, below=0.8)
    for row, cell in enumerate(shown):
        total, left = sum(counts[cell].values()), 0.0
        for kind, colour in zip(CLASSES, COLOURS, strict=True):
            share = counts[cell][kind] / total if total else 0.0
            axes.barh(row, share, 0.7, left, color=colour, label=kind if row == 0 else None)
            left += share
        axes.text(1.01, row, _said(counts[cell]), fontsize=7.5, va="center", transform=axes.get_yaxis_transform())
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("share of the planned fits", fontsize=9)
    figure.legend(
        loc="lower center", ncols=len(CLASSES), frameon=False, fontsize=7.5, handlelength=1.0, columnspacing=1.0
    )
    caption = (
        (
            f"Shown are the {len(shown)} cells with the most failures, of {len(counts)}. "
            if len(shown) < len(counts)
            else ""
        )
        + "Converged: the gate passed. Fits that did not converge are in the main analysis; the table has the analysis "
        "without them."
    )
    return Drawing(figure, title, caption)


def time_and_ess(design: pd.DataFrame, fits: pd.DataFrame) -> Drawing | None:
    """Draw how long fits took, their smallest bulk ESS and both in one, by cell.

    Parameters
    ----------
    design
        Column cell.
    fits
        Columns cell, status, seconds, ess_bulk_min.

    Returns
    -------
    Drawing or None
        Quantiles over the done fits of each cell, at most 30 cells. None without a done fit.
    """
    done = fits[(fits["status"] == "done").to_numpy(dtype=bool)] if not fits.empty else fits
    if done.empty:
        return None
    cells = ordered([*_cells(design), *done["cell"].astype(str)])
    shown = cells[:MOST_CELLS]
    seconds, ess = column(done, "seconds"), column(done, "ess_bulk_min")
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(seconds > 0, ess / seconds, np.nan)
    title = "Time and effective sample size of the fits"
    figure, panels = _cell_rows(title, shown, 3)
    names = done["cell"].astype(str).to_numpy(dtype=object)
    quantities = (("seconds a fit", seconds), ("smallest bulk ESS", ess), ("ESS a second", rate))
    for axes, (label, values) in zip(panels, quantities, strict=True):
        _quantile_rows(axes, [values[(names == cell) & np.isfinite(values)] for cell in shown])
        axes.set_xlabel(label, fontsize=9)
    if np.isfinite(ess).any():
        panels[1].axvline(ENOUGH_ESS, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
    caption = (
        (f"Shown are the first {len(shown)} of {len(cells)} cells. " if len(shown) < len(cells) else "")
        + "Of the done fits: median (dot), the middle half (thick), the middle 90 % (thin), smallest and largest "
        f"(ticks). Dashed: an ESS of {ENOUGH_ESS:.0f}. ESS is not defined for variational fits."
    )
    return Drawing(figure, title, caption)


def _classes(fits: pd.DataFrame) -> list[str]:
    """Class of each fit."""
    status = fits["status"].astype(str).to_numpy(dtype=object)
    converged = fits["converged"].to_numpy(dtype=bool, na_value=False) if "converged" in fits.columns else status == ""
    reason = fits["reason"].astype(str).to_numpy(dtype=object) if "reason" in fits.columns else status
    found = []
    for state, why, passed in zip(status, reason, converged, strict=True):
        if state == "done":
            found.append("converged" if passed else "not converged")
        elif state == "failed":
            found.append(why if why in REASONS else "error")
        else:
            found.append("missing")
    return found


def _cells(design: pd.DataFrame) -> list[str]:
    return [str(cell) for cell in design["cell"]] if "cell" in design.columns else []


def _share(counts: dict[str, int], kinds: Sequence[str]) -> float:
    return sum(counts[kind] for kind in kinds) / max(sum(counts.values()), 1)


def _said(counts: dict[str, int]) -> str:
    """Say in words how many are not as they should be."""
    failed = sum(counts[reason] for reason in REASONS)
    words = [f"{failed} failed", f"{counts['not converged']} not converged"]
    if counts["missing"]:
        words.append(f"{counts['missing']} missing")
    return f"{', '.join(words)} of {sum(counts.values())}"


def _cell_rows(
    title: str, cells: Sequence[str], columns: int, *, right: float = 0.2, below: float = 0.55
) -> tuple[Figure, list[Axes]]:
    """Make columns of panels with one row for each cell; `right` and `below` are margins in inches."""
    names = short_cells(cells)
    words = [safe_text(names[cell], 34) for cell in cells]
    left = 0.3 + 0.066 * max(len(word) for word in words)
    width, height = left + 2.7 * max(columns, 2) + right, 0.3 * len(cells) + below + 0.5
    figure = blank(width, height, title, layout=None)
    figure.suptitle(title, fontsize=11, y=1.0 - 0.12 / height, va="top")
    figure.subplots_adjust(
        left=left / width, right=1.0 - right / width, bottom=below / height, top=1.0 - 0.42 / height, wspace=0.1
    )
    panels = list(figure.subplots(1, columns, squeeze=False, sharey=True)[0])
    for axes in panels:
        tidy(axes)
        axes.set_ylim(len(cells) - 0.4, -0.6)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(cells)), words, fontsize=8)
    return figure, panels


def _quantile_rows(axes: Axes, rows: Sequence[Floats]) -> None:
    there = [values for values in rows if values.size]
    if not there:
        axes.text(0.5, 0.5, "not defined", transform=axes.transAxes, ha="center", va="center", color="0.5", fontsize=9)
        axes.set_xticks([])
        return
    for row, values in enumerate(rows):
        if not values.size:
            continue
        low, inner, middle, inner_top, top = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
        axes.plot([values.min(), values.max()], [row, row], "|", color=BLUE, markersize=6, alpha=0.7)
        axes.plot([low, top], [row, row], color=BLUE, linewidth=1.0)
        axes.plot([inner, inner_top], [row, row], color=BLUE, linewidth=4.0, solid_capstyle="butt")
        axes.plot(middle, row, "o", color="white", markeredgecolor=BLUE, markersize=4.5)
    smallest, largest = min(v.min() for v in there), max(v.max() for v in there)
    if smallest > 0 and largest / smallest > LOG_RATIO:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    else:
        axes.set_xlim(left=min(0.0, smallest))
        axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", color="0.94", linewidth=0.8)
    axes.set_axisbelow(True)
