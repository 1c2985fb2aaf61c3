"""Wording that the messages about data share; it judges nothing."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.messages import few

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "event_key",
    "keep_key",
    "labels_key",
    "listed",
    "missing",
    "nearest",
    "order_key",
    "override",
    "rows",
    "typed",
]

# A message is a few lines: beyond this many names or rows it says how many there are
_SHOWN_NAMES = 20
_SHOWN_ROWS = 5


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like `name`, whatever its case, or None."""
    by_lower = {other.lower(): other for other in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def listed(names: Iterable[object]) -> str:
    """Write names in a row, the first 20 of them."""
    texts = [str(name) for name in names]
    return few(texts, _SHOWN_NAMES) or "none"


def rows(bad: np.ndarray) -> str:
    """Say which entries of a mask are true.

    Parameters
    ----------
    bad
        Boolean, dims (obs,).

    Returns
    -------
    str
        The first five row numbers, counted from 1.
    """
    numbers = np.flatnonzero(bad) + 1
    more = ", ..." if len(numbers) > _SHOWN_ROWS else ""
    word = "row" if len(numbers) == 1 else "rows"
    return f"{word} {', '.join(str(number) for number in numbers[:_SHOWN_ROWS])}{more} (the first row is 1)"


def missing(values: np.ndarray) -> np.ndarray:
    """Find what is not there: NaN and infinite numbers, None among texts.

    Parameters
    ----------
    values
        Any array.

    Returns
    -------
    numpy.ndarray
        Boolean, same shape.
    """
    if values.dtype.kind in "fc":
        return ~np.isfinite(values)
    if values.dtype.kind == "O":
        return np.array([value is None or value != value for value in values.ravel()], dtype=bool).reshape(values.shape)
    return np.zeros(values.shape, dtype=bool)


def override(mapping: Mapping[str, str | list[str]]) -> str:
    """Write a column mapping as it is typed: ``'data.columns={y:price,X:[size,age]}'``, quotes included."""
    parts = [
        f"{_word(role)}:[{','.join(map(_word, columns))}]"
        if isinstance(columns, list)
        else f"{_word(role)}:{_word(columns)}"
        for role, columns in mapping.items()
    ]
    return f"'data.columns={{{','.join(parts)}}}' (the quotes keep the shell off the braces)"


def event_key(name: str) -> str:
    """Write how the event of two labels is stated: ``'data.event={y:LABEL}'``, quotes included."""
    return f"'data.event={{{_word(name)}:LABEL}}'"


def keep_key(names: Iterable[str]) -> str:
    """Write how columns are kept that no model uses: ``'data.keep=[age,sex]'``, quotes included."""
    return f"'data.keep=[{','.join(map(_word, names))}]'"


def labels_key(name: str) -> str:
    """Write how a column is said to hold labels: ``'data.categories=[age]'``, quotes included."""
    return f"'data.categories=[{_word(name)}]'"


def typed(key: str, name: object) -> str:
    """Write a key and a name as they are typed; one with blanks and the like needs quotes for the shell."""
    text = f"{key}={name}"
    return text if re.fullmatch(r"[\w.=-]+", text) else f"'{text}'"


def order_key(name: str, labels: Iterable[object]) -> str:
    """Write how an order of labels is stated: ``'data.order={pain:[low,medium,high]}'``, quotes included."""
    return f"'data.order={{{_word(name)}:[{','.join(_word(str(label)) for label in labels)}]}}'"


def _word(name: str) -> str:
    """Quote a name that Hydra would not read as a plain string."""
    plain = re.fullmatch(r"[A-Za-z_][\w.-]*", name) and name.lower() not in ("null", "true", "false", "nan", "inf")
    return name if plain else '"' + name.replace('"', '\\"') + '"'
