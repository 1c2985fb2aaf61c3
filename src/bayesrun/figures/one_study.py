"""All figures of a simulation study, as PNG files; it draws and judges nothing.

Which figures there are follows from the tables: what a study has no numbers for is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesrun.base.messages import in_one_line
from bayesrun.errors import StoreError
from bayesrun.figures import coverage, nested, outcomes, performance, recovery, sbc
from bayesrun.figures.canvas import save, unloaded_aside
from bayesrun.figures.facets import MATRIX_CELLS, MATRIX_QUANTITIES, MAX_PANELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pandas as pd

    from bayesrun.figures.facets import Drawing

__all__ = ["StudyFigure", "study_figures"]


@dataclass(frozen=True)
class StudyFigure:
    """A figure of a study.

    Parameters
    ----------
    name
        Name of the file without suffix, and anchor in the report.
    title
        A few words.
    path
        The PNG file; None where the figure could not be drawn.
    caption
        How to read it and what it leaves out, or why it could not be drawn.
    failed
        Why it could not be drawn, in one line; empty where it could.
    """

    name: str
    title: str
    path: Path | None
    caption: str
    failed: str = ""


def study_figures(kind: str, tables: Mapping[str, pd.DataFrame], folder: Path) -> list[StudyFigure]:
    """Draw every figure that applies to a study.

    Parameters
    ----------
    kind
        ``sbc``, ``recovery`` or ``power``. Ranks are drawn for ``sbc``, and for others where there is a table of
        calibration.
    tables
        ``design`` (one row a cell), ``fits`` (one row a planned fit), ``estimates`` (one row a fit and scalar),
        ``measures``, ``calibration`` and ``symmetry`` (one row a cell and quantity); a missing table counts as empty.
    folder
        Where the files go; it is made. Files of an earlier call are overwritten, and removed where a figure does
        not apply any more.

    Returns
    -------
    list of StudyFigure
        In the order in which they should be read. A figure that does not apply is left out, one that broke is
        there without a file.

    Raises
    ------
    StoreError
        If the folder cannot be written to.
    """
    import pandas as pd

    empty = pd.DataFrame()
    design, fits, estimates, measures, judged, centred = (
        tables.get(name, empty) for name in ("design", "fits", "estimates", "measures", "calibration", "symmetry")
    )
    ranks = kind == "sbc" or not judged.empty
    drawings: dict[str, Callable[[], Drawing | None]] = {
        "failures": lambda: outcomes.failure_shares(design, fits),
        "ecdf_cells": lambda: sbc.ecdf_by_cell(estimates, judged) if ranks and _overlaid(estimates) else None,
        "ecdf_difference": lambda: sbc.ecdf_differences(estimates, judged) if ranks else None,
        "rank_histogram": lambda: sbc.rank_histograms(estimates, judged) if ranks else None,
        "symmetry": lambda: sbc.symmetry(estimates, centred) if ranks else None,
        "coverage_levels": lambda: coverage.coverage_levels(estimates),
        "z_contraction": lambda: recovery.z_contraction(estimates, judged),
        "bias_coverage": lambda: performance.bias_and_coverage(measures),
        "decisions": lambda: performance.decisions(measures),
        "nested_loop": lambda: nested.nested_loop(design, measures),
        "recovery": lambda: recovery.recovery_scatter(estimates),
        "recovery_fixed": lambda: recovery.recovery_strips(estimates),
        "zip": lambda: coverage.zip_plot(estimates),
        "time_ess": lambda: outcomes.time_and_ess(design, fits),
    }
    with unloaded_aside():
        return [figure for name, draw in drawings.items() for figure in _drawn(name, draw, folder)]


def _overlaid(estimates: pd.DataFrame) -> bool:
    """Whether several cells have so many quantities that not each has a panel of its own."""
    if estimates.empty or not {"cell", "variable"} <= set(estimates.columns):
        return False
    cells, quantities = estimates["cell"].nunique(), estimates["variable"].nunique()
    matrix = cells <= MATRIX_CELLS and quantities <= MATRIX_QUANTITIES
    return bool(cells > 1 and cells * quantities > MAX_PANELS and not matrix)


def _drawn(name: str, draw: Callable[[], Drawing | None], folder: Path) -> Iterator[StudyFigure]:
    path = folder / f"{name}.png"
    try:
        drawing = draw()
        if drawing is None:
            path.unlink(missing_ok=True)
        else:
            save(drawing.figure, path)
            yield StudyFigure(name, drawing.title, path, drawing.caption)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - a study is worth more than its pictures
        path.unlink(missing_ok=True)
        title, why = name.replace("_", " ").capitalize(), in_one_line(error)
        yield StudyFigure(name, title, None, f"This figure could not be drawn: {why}", why)
