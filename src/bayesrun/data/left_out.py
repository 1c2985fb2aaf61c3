"""Rows that are left out because something is missing in them, and the line that says how many and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.data.hints import listed, missing
from bayesrun.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bayesrun.data.parts import Part, Slot
    from bayesrun.types import Dataset

__all__ = ["LeftOut", "leave_out"]


@dataclass(frozen=True)
class LeftOut:
    """What was left out: a line for people, and the rows; see `Origin.gaps`."""

    notes: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()


def leave_out(
    table: Dataset, slots: Sequence[Slot], used: Sequence[Slot], labels: np.ndarray | None, index: str | None
) -> tuple[np.ndarray | None, LeftOut]:
    """Leave out the rows in which a used column is missing or infinite.

    Parameters
    ----------
    table
        What the columns come from.
    slots
        Whose parts are changed: all that have the rows of the used ones.
    used
        Those among them whose gaps count.
    labels
        Of the rows, dims (obs,); None: the table has none.
    index
        The column of the labels, where gaps in it count too.

    Returns
    -------
    labels : numpy.ndarray, optional
        Of the rows that are left; their numbers in the table, where there were no labels and rows were left out.
    told : LeftOut
        What was left out.

    Raises
    ------
    DataError
        If no row is left, or columns differ in length.
    """
    parts = [part for slot in used for part in slot.parts if part.dims]
    if not parts:
        return labels, LeftOut()
    dim = parts[0].dims[:1]
    counted = [part for part in parts if part.dims[:1] == dim]
    if len({len(part.values) for part in counted}) > 1:
        raise DataError(
            f"data.drop_missing: {listed(part.column for part in counted)} differ in length; rows do not match"
        )
    gaps = {part.column: _gaps(part) for part in counted}
    count = len(counted[0].values)
    if index is not None and labels is not None and len(labels) == count:
        gaps[index] = missing(labels)
    keep = ~np.any(list(gaps.values()), axis=0)
    if not keep.any():
        raise DataError(
            f"data.drop_missing=true leaves no row: each of {count} rows misses one of {listed(gaps)}. Choose fewer "
            "columns with data.columns, or a model that uses fewer"
        )
    if labels is None and dim[0] in table.coords:
        labels = np.array(table.coords[dim[0]], dtype=object)
    told = LeftOut((_line(gaps, keep, table.origin.absent),), _names(keep, labels))
    for part in (part for slot in slots for part in slot.parts):
        if part.dims[:1] == dim and len(part.values) == count:
            _cut(part, keep)
    if labels is None and not keep.all():
        # the rows that are left keep their numbers, by which LOO knows whether two models saw the same ones
        labels = np.arange(count)
    return labels[keep] if labels is not None and len(labels) == count else labels, told


def _gaps(part: Part) -> np.ndarray:
    absent = part.values < 0 if part.levels is not None else missing(part.values)
    found: np.ndarray = absent.reshape(len(absent), -1).any(axis=1)
    return found


def _cut(part: Part, keep: np.ndarray) -> None:
    part.values = part.values[keep]
    part.written = part.written[keep] if part.written is not None else None
    if part.levels is not None and not part.ordered:
        there = np.unique(part.values[part.values >= 0])
        coded = np.searchsorted(there, part.values)
        part.values = np.where(part.values < 0, -1, coded).astype(part.values.dtype)
        part.levels = tuple(part.levels[code] for code in there)


def _names(keep: np.ndarray, labels: np.ndarray | None) -> tuple[str, ...]:
    gone = ~keep
    inside = gone & (np.arange(len(keep)) < np.flatnonzero(keep)[-1]) & (np.arange(len(keep)) > np.argmax(keep))
    names: Iterable[object] = (
        [f"row {row}" for row in np.flatnonzero(inside) + 1] if labels is None else labels[gone].tolist()
    )
    return tuple(str(name) for name in names)


def _line(gaps: Mapping[str, np.ndarray], keep: np.ndarray, absent: Mapping[str, str]) -> str:
    """Say how many rows are used, and how many are not because of which column."""
    if keep.all():
        return f"all {len(keep)} rows used: none is without {listed(gaps)}"
    why = listed(
        f"{int(gap.sum())} without {column}{_words(absent.get(column, 'infinite'))}"
        for column, gap in gaps.items()
        if gap.any()
    )
    several = int((np.sum(list(gaps.values()), axis=0) > 1).sum())
    both = f"; {several} of them without several" if several else ""
    return f"{int(keep.sum())} of {len(keep)} rows used: {why}{both}"


def _words(absent: str) -> str:
    """Show which words stand for what is missing; that it is blank needs no word."""
    return f" ({absent})" if "'" in absent or absent == "infinite" else ""
