"""Text that spreadsheets take for a formula, made harmless in the tables that people open in one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["without_formulas"]

_FORMULA = re.compile(r"[=@\t\r]|[+-](?!\.?\d|inf\b|\s|$)")
"""How a formula begins; a number with a sign, or a sign alone, is none."""


def without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before each text of a table that a spreadsheet would work out as a formula.

    Parameters
    ----------
    frame
        Any table; names of columns and the index are looked at too.

    Returns
    -------
    pandas.DataFrame
        The table itself where nothing in it looks like a formula.

    References
    ----------
    OWASP, "CSV Injection", https://owasp.org/www-community/attacks/CSV_Injection
    """
    columns, index = _labels(frame.columns), _labels(frame.index)
    texts = [place for place, kind in enumerate(frame.dtypes) if not _is_number(kind)]
    changed = {place: values for place in texts if (values := _cells(frame.iloc[:, place])) is not None}
    if not changed and columns is frame.columns and index is frame.index:
        return frame
    found = frame.copy()
    for place, values in changed.items():
        found.isetitem(place, values)
    found.columns, found.index = columns, index
    return found


def _is_number(kind: Any) -> bool:
    return getattr(kind, "kind", "O") in "biufcmM"


def _cells(column: pd.Series) -> list[Any] | None:
    values = list(column)
    return list(map(_plain, values)) if any(map(_is_formula, values)) else None


def _labels(index: pd.Index) -> pd.Index:
    levels = getattr(index, "levels", [index])
    if not any(_is_formula(label) for level in levels for label in level):
        return index
    return index.map(lambda label: tuple(map(_plain, label)) if isinstance(label, tuple) else _plain(label))


def _is_formula(value: Any) -> bool:
    return isinstance(value, str) and _FORMULA.match(value) is not None


def _plain(value: Any) -> Any:
    return f"'{value}" if _is_formula(value) else value
