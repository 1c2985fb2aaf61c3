"""Columns of dates: what their cells say, and time since the first of them. That they are dates is never assumed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["CATEGORY", "as_time", "choices", "dates_key", "look_like_dates"]

CATEGORY: Final = "category"
SECONDS: Final[Mapping[str, float]] = {
    "seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0, "weeks": 7 * 86400.0, "years": 365.25 * 86400.0,
}  # fmt: skip
"""Units of time; a year is a Julian one."""

ISO: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)?\s?(Z|[+-]\d{2}(:?\d{2})?)?", re.IGNORECASE
)
DAYS: Final = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%y", "%d/%m/%y",
    "%m/%d/%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d%b%Y", "%d %B %Y", "%d. %B %Y", "%b %d, %Y", "%B %d, %Y",
    "%b %d %Y", "%b %Y", "%B %Y", "%Y-%m", "%Y/%m", "%m/%Y",
)  # fmt: skip
TIMES: Final = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
EARLIEST, LATEST = 1600, 2200
"""Years beyond which four digits are rather a number than a year."""


def look_like_dates(words: Iterable[Any]) -> bool:
    """Whether all of several texts are dates in one way of writing them."""
    there = list(dict.fromkeys(str(word).strip() for word in words if word is not None))
    return bool(there) and bool(_ways(there))


def choices(name: str, word: str, *, labels: bool = True) -> str:
    """Ask how a column of dates counts."""
    other = f", or as labels, one for each date: {dates_key(name, CATEGORY)}" if labels else ""
    return (
        f"{name} holds dates such as {word!r}, and nothing says how they count. As time since the first: "
        f"{dates_key(name, 'days')} (or {', '.join(unit for unit in SECONDS if unit != 'days')}){other}"
    )


def as_time(name: str, values: np.ndarray, wanted: Any) -> tuple[np.ndarray, str]:
    """Count time since the first date, or since one that is given.

    Parameters
    ----------
    name
        Of the column, for messages.
    values
        Texts, None where one is missing; dims (obs,).
    wanted
        A unit, or a mapping of ``unit``, ``since`` (a date) and ``format`` (as strptime has it).

    Returns
    -------
    time : numpy.ndarray
        float64, NaN where a date is missing.
    told : str
        What was counted.

    Raises
    ------
    DataError
        If a cell is no date, or the cells can be read in several ways.
    """
    given = dict(wanted) if isinstance(wanted, Mapping) else {"unit": wanted}
    unit, since, form = given.pop("unit", "days"), given.pop("since", None), given.pop("format", None)
    if given or unit not in SECONDS:
        hint = did_you_mean(str(unit), [*SECONDS, CATEGORY]) if unit not in SECONDS else ""
        raise DataError(
            f"data.dates.{name}: got {wanted!r}; {hint}wanted {', '.join(SECONDS)} or {CATEGORY}, or a mapping of "
            "unit, since and format"
        )
    words = [None if value is None or value != value else str(value).strip() for value in values]
    there = list(dict.fromkeys(word for word in words if word is not None))
    found = _ways(there) if form is None else {form: _read(there, form)}
    stamps = _one_way(name, there, found)
    first = min(stamps.values()) if since is None else _since(name, str(since), found)
    scale = SECONDS[unit] * 1e6
    time = np.array([np.nan if word is None else (stamps[word] - first) / scale for word in words], dtype=np.float64)
    return time, f"{unit} since {_written(first)}"


def _one_way(name: str, words: Sequence[str], found: Mapping[str, Sequence[int | None]]) -> dict[str, int]:
    """Return the time of each word in microseconds, where all ways in which they can be read agree."""
    read = [[(word, stamp) for word, stamp in zip(words, stamps, strict=True)] for stamps in found.values()]
    wrong = next((word for way in read for word, stamp in way if stamp is None), None)
    if not read or wrong is not None:
        example = wrong if wrong is not None else _no_date(words)
        raise DataError(
            f"data.dates.{name}: {example!r} is no date that can be read with the others; say how they are written: "
            + dates_key(name, '{unit: days, format: "%d.%m.%Y"}')
        )
    if any(way != read[0] for way in read[1:]):
        forms = list(found)
        told = " or ".join(f"{_written(int(way[0][1] or 0))} ({form})" for form, way in zip(forms, read, strict=True))
        raise DataError(
            f"data.dates.{name}: {words[0]!r} can be {told}; say which: "
            + dates_key(name, f'{{unit: days, format: "{forms[0]}"}}')
        )
    return {word: int(stamp) for word, stamp in read[0] if stamp is not None}


def dates_key(name: str, way: str) -> str:
    """Write how a column of dates counts: ``'data.dates={visit: days}'``, quotes included."""
    word = name if re.fullmatch(r"[A-Za-z_][\w-]*", name) else '"' + name.replace('"', '\\"') + '"'
    return f"'data.dates={{{word}: {way}}}'"


def _no_date(words: Sequence[str]) -> str:
    return next((word for word in words if not _ways([word])), words[0] if words else "")


def _since(name: str, since: str, found: Mapping[str, Any]) -> int:
    for form in (*found, *_ways([since])):
        if (stamp := _read([since], form)[0]) is not None:
            return stamp
    raise DataError(f"data.dates.{name}.since: got {since!r}; wanted a date such as 2020-01-01")


def _ways(words: Sequence[str]) -> dict[str, list[int]]:
    """Return the ways in which all words can be read as dates, with what each then is, in microseconds."""
    if not words or not all(any(sign.isdigit() for sign in word) for word in words[:10]):
        return {}
    forms = ["ISO8601"] if ISO.fullmatch(words[0]) else [day + time for day in DAYS for time in TIMES]
    found: dict[str, list[int]] = {}
    for form in forms:
        if form != "ISO8601" and not _is_written(words[0], form):
            continue
        if form == "ISO8601" and not all(ISO.fullmatch(word) for word in words):
            continue
        stamps = _read(words, form)
        if all(stamp is not None for stamp in stamps):
            found[form] = [stamp for stamp in stamps if stamp is not None]
    return found


def _is_written(word: str, form: str) -> bool:
    """Whether one word is written in a way: quick, before all are read."""
    try:
        datetime.strptime(word, form)
    except ValueError:
        return False
    return True


def _read(words: Sequence[str], form: str) -> list[int | None]:
    import pandas as pd

    try:
        read = pd.to_datetime(pd.Series(list(words), dtype=object), format=form, errors="coerce", utc=True)
    except ValueError as error:
        raise DataError(f"data.dates: {form!r} is no format of dates ({error}); wanted one such as %d.%m.%Y") from None
    years = read.dt.year
    plain = read.notna() & (years >= EARLIEST) & (years <= LATEST)
    stamps = read.dt.as_unit("us").astype("int64")
    return [int(stamp) if there else None for stamp, there in zip(stamps, plain, strict=True)]


def _written(stamp: int) -> str:
    text = str(np.datetime64(stamp, "us").astype("datetime64[s]"))
    return text.removesuffix("T00:00:00").replace("T", " ")
