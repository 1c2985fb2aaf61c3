"""Any table as text: numbers rounded by their errors, flags in words, nothing left blank.

It knows the columns of the tables of a simulation study and computes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.rounding import ABSENT, plain, plus_minus, probability, rounded, share
from bayesrun.figures.facets import short_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["LABELS", "MOST_ROWS", "Grid", "distinct", "floats_of", "frame_grid", "left_out", "texts_of"]

MOST_ROWS = 200

LONG = 48
"""Letters from which a column of words may wrap."""

LABELS = {
    "empirical_se": "empirical SE",
    "rmse": "RMSE",
    "mse": "MSE",
    "mae": "MAE",
    "model_se": "model SE",
    "relative_error_model_se": "model SE error, %",
    "z_score": "mean z",
    "p_value": "p",
    "p_holm": "p (Holm)",
    "potc_p": "p (POT-C)",
    "z_mean": "mean z",
    "n_ranks": "L",
    "low_ess_share": "tail-ESS < L",
    "non_converged": "not converged",
}
P_VALUES = ("p_value", "p_holm", "potc_p")
SHARES = ("rate", "low_ess_share")


@dataclass(frozen=True)
class Grid:
    """A table of text.

    Parameters
    ----------
    title
        A few words.
    head
        Names of the columns.
    rows
        Text of the cells, as many a row as there are columns.
    words
        Positions of the columns that hold words; the others hold numbers.
    caption
        What the numbers are; where there are no rows, why.
    left_out
        What is not shown and where it is; empty if all is.
    """

    title: str
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    words: tuple[int, ...] = ()
    caption: str = ""
    left_out: str = ""

    @property
    def long(self) -> tuple[int, ...]:
        """Positions of the columns of words that may wrap."""
        return tuple(place for place in self.words if any(len(row[place]) > LONG for row in self.rows))


def frame_grid(title: str, name: str, frame: pd.DataFrame, most: int = MOST_ROWS) -> Grid:
    """Write a table with numbers rounded by their errors.

    Parameters
    ----------
    title
        A few words.
    name
        Name of the table: its file is ``tables/NAME.csv``.
    frame
        Any table. A column with an error (``value`` and ``mcse``, ``z_mean`` and ``z_mcse``) becomes one column, and
        so do ``lower`` and ``upper``.
    most
        Rows that are shown.
    """
    part = frame.iloc[:most]
    names = [str(column) for column in part.columns]
    partners = {column: error for column in names if (error := _error_of(column, names))}
    hidden = {*partners.values(), *(("upper",) if {"lower", "upper"} <= set(names) else ())}
    columns: dict[str, list[str]] = {}
    words = []
    cells = short_cells(distinct(frame, "cell")) if name != "design" else {}
    for column in names:
        if column in hidden:
            continue
        if column == "lower" and "upper" in names:
            errors = floats_of(part, "mcse") if "mcse" in names else np.full(len(part), math.nan)
            ends = zip(floats_of(part, "lower"), floats_of(part, "upper"), errors, strict=True)
            columns["95 % interval"] = [_interval(low, high, error) for low, high, error in ends]
        elif column in partners:
            pairs = zip(floats_of(part, column), floats_of(part, partners[column]), strict=True)
            columns[LABELS.get(column, column)] = [plus_minus(value, error) for value, error in pairs]
        else:
            if not _is_number(part, column):
                words.append(len(columns))
            texts = texts_of(part, column)
            named = [cells.get(text, text) for text in texts] if column in ("cell", "reference") else texts
            columns[LABELS.get(column, column)] = named
    rows = tuple(zip(*columns.values(), strict=True)) if columns else ()
    return Grid(title, tuple(columns), rows, tuple(words), "", left_out(len(part), len(frame), "rows", name))


def distinct(frame: pd.DataFrame | None, name: str) -> list[str]:
    """Distinct values of a column as text; nothing where it is missing."""
    if frame is None or name not in frame.columns:
        return []
    return [str(value) for value in frame[name].unique()]


def left_out(shown: int, total: int, what: str, name: str = "fits") -> str:
    """Say how much of a table is not shown and where it is; nothing if all is."""
    return f"The first {shown:,} of {total:,} {what}; all are in tables/{name}.csv." if shown < total else ""


def _error_of(column: str, names: Sequence[str]) -> str:
    """Name of the column with the standard error of a column; empty where there is none."""
    if column == "value":
        return "mcse" if "mcse" in names else ""
    return next((name for name in (f"{column}_mcse", f"{column.removesuffix('_mean')}_mcse") if name in names), "")


def _interval(low: float, high: float, error: float) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return ABSENT
    return f"[{rounded(low, error)}, {rounded(high, error)}]"


def _is_number(frame: pd.DataFrame, name: str) -> bool:
    return frame[name].dtype.kind in "iuf"


def texts_of(frame: pd.DataFrame, name: str) -> list[str]:
    """Write a column: numbers rounded, flags as yes and no, what is missing as a dash."""
    if name not in frame.columns:
        return [ABSENT] * len(frame)
    if name in P_VALUES:
        return [probability(value) for value in floats_of(frame, name)]
    if name in SHARES:
        return [share(value) for value in floats_of(frame, name)]
    column = frame[name]
    return [ABSENT if gone else _text(value) for value, gone in zip(column, column.isna(), strict=True)]


def _text(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return str(value)
    if isinstance(value, (float, np.floating)):
        return plain(float(value))
    return str(value) or ABSENT


def floats_of(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Read a column as floats; NaN where it is missing."""
    if name not in frame.columns:
        return np.full(len(frame), math.nan)
    return frame[name].to_numpy(dtype=float, na_value=math.nan)
