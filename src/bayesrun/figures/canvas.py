"""Empty figures and what every drawing on them shares: panels, colours, safe labels, atomic PNG files.

Nothing here is global: figures are made without pyplot, so that nothing leaks in a worker that draws for
hours.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import sys
import warnings
from typing import TYPE_CHECKING

from bayesrun.store.whole_files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Literal

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CHAIN_COLOURS", "blank", "footer", "panels", "safe_text", "save", "tidy", "unloaded_aside", "whole_ticks"]

DPI = 100
CHAIN_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999")
"""Distinct also for colour-blind readers (Okabe and Ito, 2008)."""


ARRAY_LIBRARIES = ("jax", "torch", "tensorflow")


@contextlib.contextmanager
def unloaded_aside() -> Iterator[None]:
    """Hide libraries that were announced and not loaded.

    arviz_base puts a stand-in for JAX into `sys.modules`, which loads JAX when it is asked for anything. matplotlib
    asks it whether a list is one of its arrays, and the first figure takes a second or two more.
    """
    lazy = getattr(importlib.util, "_LazyModule", ())
    hidden = {name: sys.modules[name] for name in ARRAY_LIBRARIES if isinstance(sys.modules.get(name), lazy)}
    for name in hidden:
        del sys.modules[name]
    try:
        yield
    finally:
        for name, module in hidden.items():
            sys.modules.setdefault(name, module)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, in one step under its final name."""
    with warnings.catch_warnings():
        # a label in a script that the font lacks is drawn as boxes, which hurts nobody
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        write_atomically(path, lambda aside: figure.savefig(aside, dpi=DPI))


def safe_text(label: str, width: int = 30) -> str:
    """Make a label safe for matplotlib: no mathematics by accident, not wider than its panel."""
    short = label if len(label) <= width else label[: width - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return short.replace("$", r"\$")


def blank(
    width: float, height: float, title: str, left_out: int = 0, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """Make a figure of so many inches, with a title that says how many scalars it leaves out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    more = f" ({left_out} more scalars not shown)" if left_out else ""
    figure.suptitle(title + more, fontsize=11)
    return figure


def panels(title: str, labels: list[str], left_out: int, *, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """Make a grid of small panels, one for each label, at most four in a row.

    Margins are set in inches: solving a layout for 24 panels takes longer than drawing them.
    """
    columns = min(4, len(labels))
    rows = math.ceil(len(labels) / columns)
    width, height = max(3.1 * columns, 6.2), 1.6 * rows + 1.1
    figure = blank(width, height, title, left_out, layout=None)
    figure.subplots_adjust(
        left=0.6 / width,
        right=1.0 - 0.15 / width,
        bottom=0.6 / height,
        top=1.0 - 0.65 / height,
        hspace=0.45,
        wspace=0.12 if sharey else 0.25,
    )
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=sharey)
    for axes in grid.flat[len(labels) :]:
        axes.remove()
    shown = list(grid.flat[: len(labels)])
    for position, (axes, label) in enumerate(zip(shown, labels, strict=True)):
        axes.set_title(safe_text(label), fontsize=9)
        tidy(axes, ticks=5)
        axes.tick_params(labelsize=7, labelbottom=position + columns >= len(labels))
    return figure, shown


def footer(figure: Figure, text: str) -> None:
    """Write one line below all panels."""
    figure.text(0.5, 0.12 / figure.get_figheight(), text, ha="center", va="bottom", fontsize=9)


def tidy(axes: Axes, *, ticks: int | None = None) -> None:
    """Remove the frame above and to the right, shrink the tick labels, and limit their number."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    if ticks is not None:
        axes.locator_params(nbins=ticks)


def whole_ticks(axes: Axes) -> None:
    """Label an x axis that counts something with whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
