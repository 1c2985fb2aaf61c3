"""Small multiples over cells and quantities: which panels a figure has, in what order, and what it leaves out.

It draws frames and titles; what is inside a panel is drawn by the module of that figure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.figures.canvas import CHAIN_COLOURS, blank, safe_text
from bayesrun.figures.reading import ordered, small

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bayesrun.figures.reading import Pair

    type Floats = NDArray[np.float64]

__all__ = [
    "BLUE",
    "GREY",
    "MAX_PANELS",
    "ORANGE",
    "SHARES",
    "WIDE_SHARES",
    "Drawing",
    "Facets",
    "Scale",
    "cell_grid",
    "choose",
    "evenly",
    "grid",
    "heading",
    "overlay",
    "same_height",
    "short_cells",
    "span",
]

MAX_PANELS = 12
"""Panels in one figure whose titles are read: three rows of four."""

MATRIX_CELLS, MATRIX_QUANTITIES = 6, 4
"""The most rows and columns with which cells become rows, so that one quantity is compared down a column."""

LEGEND_LINE = 0.085
"""Height of a line of a legend below the curves, as a share of theirs."""

BLUE, ORANGE, GREY = CHAIN_COLOURS[0], CHAIN_COLOURS[1], "0.45"
"""What is as it should be, what is not, and what is said beside."""


@dataclass(frozen=True)
class Drawing:
    """A figure with what is said about it.

    Parameters
    ----------
    figure
        The drawing.
    title
        A few words.
    caption
        How to read it, and what it leaves out; sentences.
    """

    figure: Figure
    title: str
    caption: str


@dataclass(frozen=True)
class Scale:
    """Limits and ticks of an axis that all panels have in common."""

    limits: tuple[float, float]
    ticks: tuple[float, ...]


SHARES = Scale((0.0, 1.0), (0.0, 0.5, 1.0))
WIDE_SHARES = Scale((-0.02, 1.02), (0.0, 0.5, 1.0))
"""The scale of shares, levels and fractional ranks; the wide one for curves that are vertical at an end."""


@dataclass(frozen=True)
class Facets:
    """The panels of a figure.

    Parameters
    ----------
    pairs
        Cell and quantity of each panel, in the order of the tables.
    total
        How many there are, shown or not.
    matrix
        Whether each cell has a row of its own.
    small_first
        Whether scalars of small variables were chosen before all others.
    """

    pairs: tuple[Pair, ...]
    total: int
    matrix: bool = False
    small_first: bool = False

    def selection(self, criterion: str) -> str:
        """Say which panels these are, as a sentence with a space after it; nothing if all are there."""
        if len(self.pairs) == self.total:
            return ""
        kind = "quantities" if len({cell for cell, _ in self.pairs}) == 1 else "panels (cell and quantity)"
        first = "first those of small variables, then " if self.small_first else ""
        return f"Shown are {len(self.pairs)} of {self.total} {kind}: {first}those with {criterion}. "


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Choose positions of at most so many of `count` things, evenly spaced, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp)) if count else np.arange(0)


def span(values: Floats, tail: float = 0.005, margin: float = 0.05) -> tuple[float, float]:
    """Limits of an axis that a few wild values cannot stretch.

    Parameters
    ----------
    values
        What is drawn, any shape, NaN allowed.
    tail
        Share of the values that may be outside on either side.
    margin
        Room on either side, as a share of the range.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.quantile(finite, [tail, 1.0 - tail]))
    # limits closer than rounding can tell apart are refused by matplotlib with a warning
    room = margin * (high - low) or 0.5 * max(abs(low), 1e-12)
    return low - room, high + room


def choose(pairs: Sequence[Pair], badness: Mapping[Pair, float], *, small_first: bool = False) -> Facets:
    """Choose the panels of a figure: all that fit, otherwise the worst.

    Parameters
    ----------
    pairs
        Every cell and quantity that could be shown.
    badness
        The larger, the sooner it is shown; missing or NaN comes last.
    small_first
        Whether scalars of small variables come before all others, or what is derived for each of many observations
        would hide the parameters.
    """
    cells, quantities = ordered([cell for cell, _ in pairs]), ordered([variable for _, variable in pairs])
    matrix = 1 < len(cells) <= MATRIX_CELLS and 2 < len(quantities) <= MATRIX_QUANTITIES
    if matrix or len(pairs) <= MAX_PANELS:
        return Facets(tuple(pairs), len(pairs), matrix)
    score = {pair: badness.get(pair, math.nan) for pair in pairs}
    early = small(quantities) if small_first else set()
    worst = sorted(
        pairs, key=lambda pair: (pair[1] not in early, math.inf if math.isnan(score[pair]) else -score[pair])
    )
    kept = set(worst[:MAX_PANELS])
    return Facets(tuple(pair for pair in pairs if pair in kept), len(pairs), small_first=bool(early))


def short_cells(cells: Sequence[str]) -> dict[str, str]:
    """Name cells by what sets them apart: ``linear/design/nuts n=20`` is ``nuts n=20`` among its like."""
    split = {cell: [*cell.split(" ")[0].split("/"), *cell.split(" ")[1:]] for cell in cells}
    if len(split) < 2 or len({len(words) for words in split.values()}) > 1:
        return {cell: cell for cell in split}
    differs = [len(set(words)) > 1 for words in zip(*split.values(), strict=True)]
    return {
        cell: " ".join(word for word, keep in zip(words, differs, strict=True) if keep) for cell, words in split.items()
    }


def grid(
    title: str, facets: Facets, *, xlabel: str, ylabel: str, xscale: Scale | None = None, yscale: Scale | None = None
) -> tuple[Figure, dict[Pair, Axes]]:
    """Make the panels of a figure with their titles.

    Margins are set in inches, as in `canvas.panels`; each panel has room for a second line of title. Ticks take most
    of the time of a drawing, so panels inside have none where all have one scale.

    Parameters
    ----------
    title
        Title of the figure.
    facets
        The panels, at least one.
    xlabel, ylabel
        What is on the axes of all panels.
    xscale, yscale
        The scale of all panels; None: each panel has its own, set by what is drawn.
    """
    cells, quantities = ordered([c for c, _ in facets.pairs]), ordered([v for _, v in facets.pairs])
    columns = len(quantities) if facets.matrix else _columns(len(facets.pairs))
    rows = len(cells) if facets.matrix else math.ceil(len(facets.pairs) / columns)
    high, gap = (1.9 if len(facets.pairs) == 1 else 1.4), (0.8 if xscale is None else 0.6)
    width, height = max(3.0 * columns + 0.6, 5.2), high * rows + gap * (rows - 1) + 1.45
    figure = blank(width, height, title, layout=None)
    figure.suptitle(safe_text(title, 120), fontsize=11, y=1.0 - 0.12 / height, va="top")
    figure.subplots_adjust(
        left=0.85 / width,
        right=1.0 - 0.15 / width,
        bottom=0.62 / height,
        top=1.0 - 0.83 / height,
        hspace=gap / high,
        wspace=0.28 if yscale is None else 0.1,
    )
    places = {
        pair: place for place in range(rows * columns) if (pair := _at(facets, place, columns, cells, quantities))
    }
    names = short_cells(cells)
    shown: dict[Pair, Axes] = {}
    for pair, place in places.items():
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
        axes.set_title(
            safe_text(f"{names[pair[0]]}  {pair[1]}" if len(cells) > 1 else pair[1], 44), fontsize=9, loc="left", pad=14
        )
        last, first = place + columns not in places.values(), place % columns == 0
        _scale(axes, "x", xscale, ticks=last)
        _scale(axes, "y", yscale, ticks=first)
        shown[pair] = axes
    _axis_names(figure, xlabel, ylabel)
    return figure, shown


def _scale(axes: Axes, which: Literal["x", "y"], scale: Scale | None, *, ticks: bool) -> None:
    if scale is None:
        axes.locator_params(axis=which, nbins=4)
        return
    axes.set(**{f"{which}lim": scale.limits, f"{which}ticks": scale.ticks if ticks else ()})


def _at(facets: Facets, position: int, columns: int, cells: Sequence[str], quantities: Sequence[str]) -> Pair | None:
    if not facets.matrix:
        return facets.pairs[position] if position < len(facets.pairs) else None
    pair = (cells[position // columns], quantities[position % columns])
    return pair if pair in facets.pairs else None


def heading(axes: Axes, text: str, *, alarm: bool = False) -> None:
    """Write the second line of a panel's title: what the panel shows, in words."""
    axes.annotate(
        safe_text(text, 48),
        (0.0, 1.0),
        (0.0, 3.0),
        "axes fraction",
        "offset points",
        fontsize=8,
        color=ORANGE if alarm else GREY,
        va="bottom",
        ha="left",
    )


def overlay(axes: Axes, curves: Mapping[str, tuple[Floats, Floats]], named: Sequence[str]) -> None:
    """Draw curves over each other, the named ones in colour on top of the others."""
    axes.axhline(0.0, color="0.6", linewidth=0.6)
    for variable, (x, y) in curves.items():
        if variable not in named:
            axes.plot(x, y, color="0.6", linewidth=0.6, alpha=0.8)
    ranked = [variable for variable in curves if variable in named]
    for variable, colour in zip(ranked, CHAIN_COLOURS, strict=False):
        x, y = curves[variable]
        marker, label = ("o" if x.size < 10 else ""), safe_text(variable, 24)
        axes.plot(x, y, color=colour, linewidth=1.2, marker=marker, markersize=4, label=label)
    if ranked:
        axes.legend(frameon=False, fontsize=7, loc="lower left", ncols=2, borderaxespad=0.0)


def cell_grid(
    title: str, badness: Mapping[Pair, float], *, xlabel: str, ylabel: str, criterion: str
) -> tuple[Figure, dict[str, Axes], str]:
    """Make one panel a cell, at most 12: those with the largest badness of any quantity.

    Parameters
    ----------
    title
        Title of the figure.
    badness
        Every cell and quantity that could be shown; the larger, the sooner its cell is.
    xlabel, ylabel
        What is on the axes of all panels.
    criterion
        What a large badness means, in words.

    Returns
    -------
    figure
        The figure.
    axes
        Cell to panel.
    selection
        A sentence with a space after it that says which cells these are; empty if all are there.
    """
    cells = ordered([cell for cell, _ in badness])
    score = {cell: max(bad for pair, bad in badness.items() if pair[0] == cell) for cell in cells}
    kept = set(sorted(cells, key=lambda cell: -score[cell])[:MAX_PANELS])
    shown = [cell for cell in cells if cell in kept]
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    several = len(shown) > 1
    high, gap, top = 2.2, 0.6, 0.83 if several else 0.5
    width, height = max(4.0 * columns + 0.4, 6.4), high * rows + gap * (rows - 1) + top + 0.6
    figure = blank(width, height, title, layout=None)
    figure.suptitle(title, fontsize=11, y=1.0 - 0.12 / height, va="top")
    figure.subplots_adjust(
        left=0.8 / width,
        right=1.0 - 0.15 / width,
        bottom=0.6 / height,
        top=1.0 - top / height,
        hspace=gap / high,
        wspace=0.08,
    )
    names = short_cells(shown)
    found = {}
    for place, cell in enumerate(shown):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        _scale(axes, "x", WIDE_SHARES, ticks=place + columns >= len(shown))
        axes.locator_params(axis="y", nbins=5)
        if several:
            axes.set_title(safe_text(names[cell], 44), fontsize=9, loc="left", pad=14)
        found[cell] = axes
    _axis_names(figure, xlabel, ylabel)
    left_out = len(shown) < len(cells)
    return figure, found, f"Shown are the {len(shown)} cells with {criterion}, of {len(cells)}. " if left_out else ""


def same_height(panels: Sequence[Axes]) -> None:
    """Give drawn panels of a figure one vertical scale, with room for their legends and ticks at the left only."""
    lows, highs = zip(*(axes.get_ylim() for axes in panels), strict=True)
    low, high = min(lows), max(highs)
    lines = max(_legend_lines(axes) for axes in panels)
    for axes in panels:
        axes.set_ylim(low - (high - low) * LEGEND_LINE * lines, high)
        spec = axes.get_subplotspec()
        if spec is not None and not spec.is_first_col():
            axes.set_yticks(())


def _legend_lines(axes: Axes) -> int:
    legend = axes.get_legend()
    return math.ceil(len(legend.get_texts()) / 2) if legend is not None else 0


def _axis_names(figure: Figure, xlabel: str, ylabel: str) -> None:
    figure.supxlabel(xlabel, fontsize=9, y=0.12 / figure.get_figheight(), va="bottom")
    figure.supylabel(ylabel, fontsize=9, x=0.12 / figure.get_figwidth())


def _columns(count: int) -> int:
    """Choose panels a row: at most four, and no nearly empty last row."""
    return {5: 3, 6: 3, 9: 3}.get(count, min(4, count))
