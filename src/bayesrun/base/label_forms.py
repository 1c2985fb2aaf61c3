"""Labels and values as the text that a file holds, with what it takes to make the same objects of it again.

It knows arrays only, no names and no files. What it cannot make again comes back as its text.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import re
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["as_form", "from_form", "is_one_axis", "label_array", "told_apart"]

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""What the texts of a file cannot hold: they end at the first zero, and are UTF-8."""

type Form = Any
"""What a kind of labels is made of, as JSON holds it."""


def is_one_axis(labels: Sequence[Any]) -> bool:
    """Whether xarray makes one axis of labels by itself: none of them holds others, and none is missing."""
    return not any(isinstance(label, tuple | list | set | dict | np.ndarray) or _is_missing(label) for label in labels)


def label_array(labels: Iterable[Any]) -> np.ndarray:
    """Make an array of labels that xarray takes, dims (label,).

    Parameters
    ----------
    labels
        Any objects. What NumPy makes one axis of stays as NumPy has it (a text and a number are both text); others are
        kept as they are. Where one is missing (None, NaN), or cannot be looked for in a dict, all become their text.
    """
    listed = list(labels)
    try:
        array = np.array(listed)
    except ValueError:  # tuples of different lengths
        array = np.empty(0)
    if array.shape == (len(listed),) and array.dtype.kind not in "OVfcmM":
        return array
    missing = any(map(_is_missing, listed))
    if array.shape == (len(listed),) and array.dtype.kind not in "OV" and not missing:
        return array
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    if missing or not all(map(_hashable, listed)):
        array[:] = [str(label) for label in listed]
    return array


def _is_missing(label: Any) -> bool:
    """Whether a label is not equal to itself, or xarray makes such a one of it: NaN, NaT, None and pandas' NA."""
    if label is None or type(label).__name__ == "NAType":
        return True
    return isinstance(label, float | np.floating | np.datetime64 | datetime.date) and bool(label != label)


def _hashable(label: Any) -> bool:
    try:
        hash(label)
    except TypeError:
        return False
    return True


def shown(label: Any) -> str:
    """Say a label in letters that a file takes, none of which a figure takes for mathematics."""
    text = UNSTORABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), str(label))
    return text.replace("$", "\N{FULLWIDTH DOLLAR SIGN}") if text.count("$") > 1 else text


def as_form(values: np.ndarray, *, distinct: bool) -> tuple[np.ndarray, Mapping[str, Any] | None] | tuple[None, None]:
    """Make values of a dtype that a file holds.

    Parameters
    ----------
    values
        Any.
    distinct
        Whether they are labels, of which no two may be the same.

    Returns
    -------
    array
        Of the same shape; None where `values` do as they are.
    how
        What `from_form` needs; None where the array says all.
    """
    if values.dtype.kind == "U" and _all_plain(values, distinct=distinct):
        return None, None
    if values.dtype.kind == "f" and not distinct:
        wide = np.float32 if values.dtype.itemsize < 4 else np.float64
        return values.astype(wide), {"dtype": values.dtype.str}
    flat = list(values.ravel()) if values.dtype.kind in "Mm" else values.ravel().tolist()
    said = [shown(value) for value in flat]
    texts = told_apart(said) if distinct else said
    if texts == flat:
        return None, None
    if values.dtype.kind == "f" and texts == said and len(set(flat)) == len(flat):
        return values.astype(np.float64), {"dtype": values.dtype.str}
    array = np.array(texts, dtype=object).reshape(values.shape)
    pairs = [_form(value) for value in flat]
    kinds = {kind for kind, _ in pairs}
    of_array = {} if values.dtype.kind in "OV" else {"dtype": values.dtype.str}
    if len(kinds) == 1 and all(form == text for (_, form), text in zip(pairs, texts, strict=True)):
        return array, {"kind": kinds.pop(), **of_array}
    return array, {"labels": pairs, **of_array}


def _all_plain(texts: np.ndarray, *, distinct: bool) -> bool:
    """Whether texts are stored as they are, for which it is enough to look at all of them at once."""
    flat = texts.ravel().tolist()
    joined = "".join(flat)
    return not UNSTORABLE.search(joined) and joined.count("$") < 2 and (not distinct or len(set(flat)) == len(flat))


def told_apart(texts: Sequence[str]) -> list[str]:
    """Put a number behind a text that was there before."""
    taken, found = set(texts), []
    if len(taken) == len(texts):
        return list(texts)
    seen: set[str] = set()
    for text in texts:
        name, number = text, 2
        while name in seen or (name != text and name in taken):
            name, number = f"{text} ({number})", number + 1
        seen.add(name)
        found.append(name)
    return found


def from_form(values: np.ndarray, how: Mapping[str, Any]) -> np.ndarray:
    """Undo `as_form`: equal values where their kind is known, and their text where it is not."""
    if "labels" in how or "kind" in how:
        flat = values.ravel().tolist()
        pairs = how.get("labels") or [(how.get("kind", "text"), text) for text in flat]
        array = np.empty(len(flat), dtype=object)
        array[:] = [
            text if kind == "text" else KINDS[kind][1](form) for text, (kind, form) in zip(flat, pairs, strict=True)
        ]
        values = array.reshape(values.shape)
    return values.astype(np.dtype(how["dtype"])) if "dtype" in how else values


def _form(label: Any) -> tuple[str, Form]:
    """Tell the kind of a label, and what it is made of; one that cannot be made again is text."""
    kind = _kind(label)
    if kind == "text":
        return kind, str(label)
    make, remake = KINDS[kind]
    form = make(label)
    try:
        again = remake(form)
    except (ArithmeticError, LookupError, OSError, TypeError, ValueError):  # a zone that only its own machine knows
        return "text", str(label)
    same = again == label or (label != label and again != again)  # NaN is not equal to itself
    return (kind, form) if same else ("text", str(label))


def _kind(label: Any) -> str:
    if isinstance(label, np.datetime64 | np.timedelta64):
        return "datetime64" if isinstance(label, np.datetime64) else "timedelta64"
    if isinstance(label, np.generic):
        label = label.item()
    name = type(label).__name__
    home = type(label).__module__.partition(".")[0]
    if name not in KINDS or home not in ("builtins", "datetime", "decimal", "fractions", "uuid", "pandas"):
        return "text"  # a class of the user's, of which nothing is known
    return name if name not in HOLDERS or all(_kind(part) != "text" for part in label) else "text"


def _parts(label: Iterable[Any]) -> Form:
    return [_form(part) for part in label]


def _made(form: Form) -> Iterable[Any]:
    return (KINDS[kind][1](part) for kind, part in form)


def _pandas(name: str) -> Callable[..., Any]:
    def make(*words: Any, **named: Any) -> Any:
        import pandas as pd

        return getattr(pd, name)(*words, **named)

    return make


def _stamp_form(label: Any) -> Form:
    zone = _zone(label)
    return [label.isoformat() if zone is None else label.tz_convert("UTC").isoformat(), zone]


def _stamp(form: Form) -> Any:
    text, zone = form
    stamp = _pandas("Timestamp")(text)
    return stamp if zone is None else stamp.tz_convert(zone)


def _moment(form: Form) -> datetime.datetime:
    text, zone, fold = form
    moment = datetime.datetime.fromisoformat(text)
    if zone is None:
        return moment.replace(fold=fold)
    from zoneinfo import ZoneInfo

    return moment.astimezone(ZoneInfo(zone))


def _zone(label: Any) -> str | None:
    """Name the zone of a time; None where its text says all: it has none, or a distance from UTC."""
    return getattr(label.tzinfo, "key", None) or getattr(label.tzinfo, "zone", None)


def _interval(form: Form) -> Any:
    (left, right), closed = form
    return _pandas("Interval")(*_made([left, right]), closed=closed)


HOLDERS = frozenset({"tuple", "frozenset"})

KINDS: Mapping[str, tuple[Callable[[Any], Form], Callable[[Form], Any]]] = {
    "str": (str, str),
    "bool": (bool, bool),
    "int": (str, int),
    "float": (repr, float),
    "complex": (repr, complex),
    "NoneType": (lambda _: None, lambda _: None),
    "bytes": (bytes.hex, bytes.fromhex),
    "tuple": (_parts, lambda form: tuple(_made(form))),
    "frozenset": (lambda label: sorted(_parts(label), key=str), lambda form: frozenset(_made(form))),
    "date": (str, datetime.date.fromisoformat),
    "time": (str, datetime.time.fromisoformat),
    "datetime": (lambda label: [label.isoformat(), _zone(label), label.fold], _moment),
    "timedelta": (
        lambda label: [label.days, label.seconds, label.microseconds],
        lambda form: datetime.timedelta(*form),
    ),
    "Decimal": (str, decimal.Decimal),
    "Fraction": (str, fractions.Fraction),
    "UUID": (str, uuid.UUID),
    "datetime64": (lambda label: [str(label), label.dtype.str], lambda form: np.datetime64(form[0]).astype(form[1])),
    "timedelta64": (
        lambda label: [int(label.astype(np.int64)), label.dtype.str],
        lambda f: np.int64(f[0]).astype(f[1]),
    ),
    "Timestamp": (_stamp_form, _stamp),
    "Timedelta": (lambda label: [label.value, "ns"], lambda form: _pandas("Timedelta")(form[0], unit=form[1])),
    "NaTType": (lambda _: None, lambda _: _pandas("Timestamp")("NaT")),
    "Period": (
        lambda label: [label.ordinal, label.freqstr],
        lambda form: _pandas("Period")(ordinal=form[0], freq=form[1]),
    ),
    "Interval": (lambda label: [_parts([label.left, label.right]), label.closed], _interval),
}
"""Name of a class to what its labels are made of, and how one is made of that."""
