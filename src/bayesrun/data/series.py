"""Rows of a series in the order of time: sorted by their index, and refused where some are missing.

It fills nothing in.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bayesrun.data.hints import listed
from bayesrun.data.words import is_number
from bayesrun.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesrun.types import Dataset

__all__ = ["REMEDY", "in_time"]

REMEDY: Final = (
    "A series has no rows to spare: leaving some out would join distant times. Fill the gaps by what is known of them, "
    "cut the series to a stretch without gaps, or write a model of your own that draws the missing values"
)
ROUNDING: Final = 1e-6
"""Share of a step by which times may be off, as decimal fractions of a year are."""

_QUARTER = re.compile(r"(\d{4})-?[Qq]([1-4])")
_DATE = re.compile(r"\d{4}-\d{2}(-\d{2})?([T ].*)?")


def in_time(dataset: Dataset, name: str, dim: str) -> Dataset:
    """Sort a dataset by the index of a series, and refuse a series with gaps.

    Without an index the rows count as equally spaced, in the order of the file.

    Parameters
    ----------
    dataset
        Any dataset.
    name
        The array that is the series.
    dim
        Dim of its rows; its coords are the index.

    Raises
    ------
    DataError
        If rows were left out between others, the index says no order, or times are missing in it.
    """
    labels = dataset.coords.get(dim, ())
    plain = not labels or tuple(labels) == tuple(range(len(labels)))
    gaps = dataset.origin.gaps
    if gaps and all(gap.startswith("row ") for gap in gaps):
        raise DataError(f"{name} is a series, and {listed(gaps)} were left out of it (the first row is 1). {REMEDY}")
    if plain:
        return dataset.noted(f"{name}: its rows are taken as equally spaced times, in the order of the file")
    times, unit = _times(name, (*labels, *gaps))
    times, gone = times[: len(labels)], times[len(labels) :]
    inside = [gap for gap, time in zip(gaps, gone, strict=True) if times.min() < time < times.max()]
    if inside:
        raise DataError(f"{name} is a series, and {len(inside)} of its times are missing: {listed(inside)}. {REMEDY}")
    order = np.argsort(times, kind="stable")
    _refuse_gaps(name, times[order], labels, order, unit)
    if (order == np.arange(len(order))).all():
        return dataset
    arrays, coords = dict(dataset.arrays), dict(dataset.coords)
    for other, along in dataset.dims.items():
        for axis, own in enumerate(along):
            if own == dim:
                arrays[other] = np.take(arrays[other], order, axis=axis)
    coords[dim] = tuple(labels[place] for place in order)
    written = {name: words[order] for name, words in dataset.origin.written.items()}
    origin = replace(dataset.origin, written=written)
    return replace(dataset, arrays=arrays, coords=coords, origin=origin).noted(
        f"{name}: its rows were sorted by their index"
    )


def _times(name: str, labels: Sequence[Any]) -> tuple[np.ndarray, str]:
    """Read labels as times: numbers, months or days, with the unit that they are counted in."""
    texts = [str(label).strip() for label in labels]
    if all(is_number(text) for text in texts):
        return np.array([float(text) for text in texts]), ""
    quarters = [_QUARTER.fullmatch(text) for text in texts]
    if all(quarters):
        return np.array([4.0 * int(q[1]) + int(q[2]) for q in quarters if q]), "quarter"
    try:
        if all(_DATE.fullmatch(text) for text in texts):
            return _dates(np.array([text.replace(" ", "T") for text in texts], dtype="datetime64[s]"))
    except ValueError:
        pass
    raise DataError(
        f"{name} is a series, and its index holds {texts[0]!r}, which says no time; wanted numbers, dates such as "
        "2024-01-31, or quarters such as 2024Q1: data.index=COLUMN. If the rows are in the order of time and equally "
        "spaced, leave the index out: data.index=null"
    )


def _dates(seconds: np.ndarray) -> tuple[np.ndarray, str]:
    """Count dates in months where all are the first, the last, or the same day of a month; in days elsewhere."""
    days, months = seconds.astype("datetime64[D]"), seconds.astype("datetime64[M]")
    midnight = bool((days.astype("datetime64[s]") == seconds).all())
    day = (days - months.astype("datetime64[D]")).astype(int)
    last = bool(((months + np.timedelta64(1, "M")).astype("datetime64[D]") - days == np.timedelta64(1, "D")).all())
    if midnight and len(set(months.tolist())) == len(months) and (last or len(set(day.tolist())) == 1):
        return months.astype(int).astype(float), "month"
    if midnight and len(set(days.tolist())) == len(days) and np.is_busday(days).all():
        return np.busday_count(days.min(), days).astype(float), "working day"
    return seconds.astype(int) / 86400.0, "day"


def _refuse_gaps(name: str, times: np.ndarray, labels: Sequence[Any], order: np.ndarray, unit: str) -> None:
    if len(times) < 2:
        return
    steps = np.diff(times)
    step = float(np.median(steps)) if (steps < 0.5 * np.median(steps)).any() else float(steps.min())
    if step > 0 and np.allclose(steps, step, rtol=ROUNDING, atol=ROUNDING * step):
        return
    wide = np.flatnonzero(~np.isclose(steps, step, rtol=ROUNDING, atol=ROUNDING * step))
    whole = step > 0 and np.allclose(steps / step, np.round(steps / step), atol=1e-3)
    if not whole:
        first, second = labels[order[wide[0]]], labels[order[wide[0] + 1]]
        raise DataError(
            f"{name} is a series, and its times are not equally spaced, for example from {first} to {second}; wanted "
            "equal steps. If the index is no time, leave it out: data.index=null"
        )
    count = int(np.round(steps / step).sum()) - len(steps)
    if unit:
        told = listed(f"those between {labels[order[place]]} and {labels[order[place + 1]]}" for place in wide)
    else:
        gone = [times[place] + step * k for place in wide for k in range(1, round(steps[place] / step))]
        told = listed(f"{time:.15g}" for time in gone)
    raise DataError(f"{name} is a series, and {count} of its times are missing: {told}. {REMEDY}")
