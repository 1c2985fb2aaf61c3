"""What the marks in the numbers of a csv file mean: decimals or thousands, as all its cells together decide.

A file has one way of writing numbers. Where more than one way explains all of its cells, columns that it would read
differently stay text, and who uses one is asked.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from bayesrun.data.words import absent_words, is_number
from bayesrun.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

__all__ = ["Marks", "applied", "doubt", "looks_like_number"]

APOSTROPHES: Final = "'\u2019"
BLANKS: Final = " \u00a0\u202f\u2009"
"""A blank, also one that does not break or is narrow."""
_LOOK: Final = re.compile(rf"[+-]?[.,]?\d[\d.,{APOSTROPHES}{BLANKS}]*([eE][+-]?\d+)?")
_GROUPED: Final = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
_MEANT: Final = {"decimal": "decimals", "thousands": "thousands"}
_NAMES: Final = {",": "','", ".": "'.'", " ": "' '", "'": "an apostrophe"}


@dataclass(frozen=True)
class Marks:
    """One way of writing numbers: the mark before decimals, and the one between thousands, or none."""

    decimal: str = "."
    thousands: str = ""

    def form(self) -> re.Pattern[str]:
        """Give the pattern of such numbers; a group of thousands never begins with 0."""
        of = {" ": f"[{BLANKS}]", "'": f"[{APOSTROPHES}]"}.get(self.thousands, re.escape(self.thousands))
        whole = rf"(\d+|[1-9]\d{{0,2}}({of}\d{{3}})+)" if self.thousands else r"\d+"
        return re.compile(rf"[+-]?({whole}({re.escape(self.decimal)}\d*)?|{re.escape(self.decimal)}\d+)([eE][+-]?\d+)?")

    def plain(self, word: str) -> str:
        """Write a number as Python reads it."""
        if self.thousands:
            signs = {" ": BLANKS, "'": APOSTROPHES}.get(self.thousands, self.thousands)
            word = re.sub(f"[{re.escape(signs)}]", "", word)
        return word.replace(self.decimal, ".")

    def proved(self, words: Iterable[str]) -> bool:
        """Whether a word has the mark of thousands twice, or that of decimals after it: no other way explains it."""
        if self.thousands == "'":
            return True
        of = f"[{BLANKS}]" if self.thousands == " " else re.escape(self.thousands)
        both = re.compile(rf"[+-]?[1-9]\d{{0,2}}({of}\d{{3}})+({of}\d{{3}}|{re.escape(self.decimal)}\d*)")
        return any(both.fullmatch(word) for word in words)


PLAIN: Final = Marks()
WAYS: Final = (
    PLAIN, Marks(","), Marks(".", ","), Marks(",", "."), Marks(".", " "), Marks(",", " "), Marks(".", "'"),
    Marks(",", "'"),
)  # fmt: skip
"""Ways of writing numbers, the simpler ones first."""


@dataclass(frozen=True)
class Found:
    """A frame with its numbers, its words as Python reads them, and what was found."""

    frame: pd.DataFrame
    words: pd.DataFrame
    notes: tuple[str, ...] = ()
    found: Mapping[str, str] = field(default_factory=dict)


def looks_like_number(text: str) -> bool:
    """Whether a text is a number, or is one in some way of writing them."""
    return is_number(text) or any(way.form().fullmatch(text.strip()) for way in WAYS)


def doubt(words: Iterable[str]) -> str | None:
    """Say how to state what the marks of a column of numbers mean; None where it has no marks in doubt."""
    there = list(dict.fromkeys(word.strip() for word in words))
    ways = [way for way in WAYS if there and _explains(way, there)]
    read = {way: [float(way.plain(word)) for word in there] for way in ways}
    for one, other in itertools.combinations(ways, 2):
        for word, mine, its in zip(there, read[one], read[other], strict=True):
            if mine != its:
                return f"{word!r} is {mine:.15g} with {_typed(one, other)}, and {its:.15g} with {_typed(other, one)}"
    if not ways or PLAIN in ways:
        return None
    word = next(word for word in there if not is_number(word))
    return f"{word!r} is {ways[0].plain(word)} with {_typed(ways[0])}"


def applied(
    frame: pd.DataFrame,
    words: pd.DataFrame,
    separator: str,
    decimal: str | None,
    thousands: str | None,
    missing: str | Sequence[str] | None,
) -> Found:
    """Make numbers of the columns whose marks are decided, by the file or by the user.

    Parameters
    ----------
    frame, words
        The same table: with the numbers that pandas reads, and as the file writes it.
    separator
        Between its columns.
    decimal, thousands
        As the user says; None: what the whole file decides.
    missing
        Words that stand for a missing value.

    Raises
    ------
    DataError
        If what the user says is no mark.
    """
    _check(decimal, thousands)
    gone = absent_words(missing, text=False)
    given = decimal is not None or thousands is not None
    columns = _columns(frame, words, gone, given or separator == ";")
    marked = {place: there for place, there in columns.items() if any(not word.isdigit() for word in there)}
    stated = [
        way
        for way in WAYS
        if decimal in (None, way.decimal) and (thousands is None or way.thousands == _sign(thousands))
    ]
    # a column that no way explains, such as one of dates, decides nothing
    whole = [there for there in marked.values() if any(_explains(way, there) for way in WAYS)]
    ways = [way for way in stated if all(_explains(way, there) for there in whole)] or (stated if given else [])
    if not marked or not ways:
        return Found(frame, words)
    way = ways[0]
    frame, words, changed = frame.copy(), words.copy(), dict[str, str]()
    for place, there in columns.items():
        if not given and (_differ(ways, there) or _unproved(way, there, whole)):
            frame.isetitem(place, words.iloc[:, place].array)
        else:
            changed |= _read(frame, words, place, there, way, gone)
    found = _needed(way, changed)
    if given or not changed:
        return Found(frame, words)
    told = " and ".join(f"{_NAMES[sign]} for {_MEANT[key]}" for key, sign in found.items())
    word, plain = next(iter(changed.items()))
    return Found(frame, words, (f"numbers read with {told}, for example {word!r} as {plain}",), found)


def _columns(frame: pd.DataFrame, words: pd.DataFrame, gone: frozenset[str], every: bool) -> dict[int, list[str]]:
    """Return the distinct words of columns of numbers; none where all are as pandas reads them, unless for `every`."""
    numeric = [_is_numeric(frame, place) for place in range(frame.shape[1])]
    found = {
        place: there
        for place, plain in enumerate(numeric)
        if not plain and (there := _numbers(words, place, gone, plain))
    }
    if not every and not found:
        return {}
    return found | {
        place: there for place, plain in enumerate(numeric) if plain and (there := _numbers(words, place, gone, plain))
    }


def _read(
    frame: pd.DataFrame, words: pd.DataFrame, place: int, there: Sequence[str], way: Marks, gone: frozenset[str]
) -> dict[str, str]:
    """Read a column in one way, in place; return the words that this changed."""
    numeric = _is_numeric(frame, place)
    fitting = {word: way.plain(word) for word in there if way.form().fullmatch(word)}
    if 2 * len(fitting) < len(there):
        if numeric:  # as the user says, these are no numbers
            frame.isetitem(place, words.iloc[:, place].array)
        return {}
    changed = {word: plain for word, plain in fitting.items() if word != plain}
    if numeric and not changed:
        return {}
    column = np.array([fitting.get(word.strip(), word) for word in words.iloc[:, place]], dtype=object)
    words.isetitem(place, column)
    frame.isetitem(place, _as_numbers(column, gone) if len(fitting) == len(there) else column)
    return changed


def _needed(way: Marks, changed: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of the data config that would say what changed words."""
    found = {}
    if way.decimal != "." and any(way.decimal in word for word in changed):
        found["decimal"] = way.decimal
    if way.thousands and any(plain != word.replace(way.decimal, ".") for word, plain in changed.items()):
        found["thousands"] = way.thousands
    return found


def _check(decimal: str | None, thousands: str | None) -> None:
    if decimal not in (None, ".", ","):
        raise DataError(f"data.decimal: got {decimal!r}; wanted \"data.decimal=','\" or \"data.decimal='.'\"")
    if thousands is not None and _sign(thousands) not in ("", ",", ".", " ", "'"):
        raise DataError(
            f"data.thousands: got {thousands!r}; wanted ',', '.', ' ', an apostrophe, or '' for none: "
            "\"data.thousands='.'\""
        )
    if decimal is not None and decimal == thousands:
        raise DataError(f"data.decimal and data.thousands: got {decimal!r} for both; wanted two marks")


def _sign(thousands: str) -> str:
    if thousands and thousands in BLANKS:
        return " "
    return "'" if thousands and thousands in APOSTROPHES else thousands


def _is_numeric(frame: pd.DataFrame, place: int) -> bool:
    from pandas.api import types

    return bool(types.is_numeric_dtype(frame.iloc[:, place].dtype))


def _numbers(words: pd.DataFrame, place: int, gone: frozenset[str], numeric: bool) -> list[str]:
    """Return the distinct words of a column of which at least half look like numbers.

    Of one that pandas reads as numbers a single word is enough, if its point cannot be for thousands.
    """
    there = [word for word in dict.fromkeys(str(w).strip() for w in words.iloc[:, place].unique()) if word not in gone]
    if numeric:
        decisive = next((word for word in there if "." in word and not _GROUPED.fullmatch(word)), None)
        return there if decisive is None else [decisive]
    looking = sum(1 for word in there if _LOOK.fullmatch(word))
    return there if there and 2 * looking >= len(there) else []


def _explains(way: Marks, words: Iterable[str]) -> bool:
    form = way.form()
    return all(form.fullmatch(word) for word in words)


def _differ(ways: Sequence[Marks], words: Sequence[str]) -> bool:
    """Whether ways that are left read a column differently."""
    fitting = [way for way in ways if _explains(way, words)]
    return any(float(way.plain(word)) != float(fitting[0].plain(word)) for way in fitting[1:] for word in words)


def _unproved(way: Marks, words: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether a column has dots or blanks for thousands that nothing in the file shows to be such.

    Files of decimal commas have columns of another origin, with a point and three decimals.
    """
    if way.thousands not in (".", " ") or any(map(way.proved, columns)):
        return False
    return any(way.plain(word) != word.replace(way.decimal, ".") for word in words)


def _as_numbers(words: Iterable[str], gone: frozenset[str]) -> np.ndarray:
    there = [None if word.strip() in gone else word.strip() for word in words]
    if None not in there and all(re.fullmatch(r"[+-]?\d{1,18}", str(word)) for word in there):
        return np.array([int(str(word)) for word in there], dtype=np.int64)
    return np.array([np.nan if word is None else float(word) for word in there], dtype=np.float64)


def _typed(way: Marks, other: Marks = PLAIN) -> str:
    """Write what states a way, as against another one."""
    parts = []
    if "," in (way.decimal, other.decimal) and (way.decimal != other.decimal or not way.thousands):
        parts.append(f"\"data.decimal='{way.decimal}'\"")
    if way.thousands:
        parts.append('"data.thousands=\'"' if way.thousands == "'" else f"\"data.thousands='{way.thousands}'\"")
    return " ".join(parts)
