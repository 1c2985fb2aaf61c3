"""One table as several datasets: the levels of a column, and the rows of one of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bayesrun.data.hints import listed, missing, nearest, typed
from bayesrun.data.parts import OBS, codes
from bayesrun.data.words import same_label
from bayesrun.errors import DataError

if TYPE_CHECKING:
    from bayesrun.types import Dataset

__all__ = ["levels_of", "rows_of"]

FEW_ROWS: Final = 3
"""A table of so many rows may have a level for each."""


def levels_of(table: Dataset, by: str) -> tuple[tuple[str, ...], int]:
    """List the levels of a column in their order, and count the rows that have none.

    Parameters
    ----------
    table
        The columns of a file; `by` may also be a dim that has labels.
    by
        The column.

    Raises
    ------
    DataError
        If there is no such column, or hardly two rows have the same level.
    """
    labels, coded, _ = _coded(table, by)
    used = [label for code, label in enumerate(labels) if (coded == code).any()]
    count, absent = int(coded.size), int((coded < 0).sum())
    if not used:
        raise DataError(f"data.by: {by} is missing in all {count} rows; wanted a level for each dataset")
    if by in table.arrays and count > FEW_ROWS and 2 * len(used) > count:
        raise DataError(
            f"data.by: {by} has {len(used)} levels in {count} rows, and each would be a dataset; wanted a column that "
            "many rows have the same level of"
        )
    return tuple(str(label) for label in used), absent


def rows_of(table: Dataset, by: str, level: Any) -> Dataset:
    """Return the rows of one level of a column, as a table of its own.

    Parameters
    ----------
    table
        The columns of a file.
    by
        The column, or a dim that has labels, which is then gone.
    level
        The level as text, or as YAML made it of a text.

    Raises
    ------
    DataError
        If the column or the level is not there.
    """
    labels, coded, dim = _coded(table, by)
    same = [code for code, label in enumerate(labels) if same_label(label, level)]
    if len(same) > 1:
        twins = [str(labels[code]) for code in same]
        raise DataError(
            f"data.level: {level!r} is a number, and {by} has {listed(twins)}, which are this number; say which as "
            f"text, such as \"data.level='{twins[0]}'\""
        )
    code = same[0] if same else None
    if code is None or not (coded == code).any():
        near = nearest(str(level), map(str, labels))
        hint = f"did you mean {typed('data.level', near)}? " if near else ""
        raise DataError(f"data.level: {by} has no level {str(level)!r}; {hint}There are {listed(labels)}")
    keep = coded == code
    single = by not in table.arrays  # of a dim with labels, one place is left
    arrays, dims = dict(table.arrays), {name: tuple(table.dims.get(name, (OBS,))) for name in table.arrays}
    for name, array in table.arrays.items():
        if dim not in dims[name]:
            continue
        axis = dims[name].index(dim)
        arrays[name] = np.compress(keep, array, axis=axis)
        if single:
            arrays[name] = arrays[name][(slice(None),) * axis + (0,)]
            dims[name] = tuple(other for other in dims[name] if other != dim)
    coords = dict(table.coords)
    if dim in coords and dim not in table.arrays:
        coords |= {dim: tuple(label for label, there in zip(coords[dim], keep, strict=True) if there)}
        if single:
            del coords[dim]
    for name in arrays:
        if dim in table.dims.get(name, (OBS,)) and table.labels(name) is not None and name not in table.ordered:
            there = np.unique(arrays[name][arrays[name] >= 0])
            coords[name] = tuple(coords[name][place] for place in there)
            arrays[name] = np.where(arrays[name] < 0, -1, np.searchsorted(there, arrays[name]))
    return replace(table, arrays=arrays, dims=dims, coords=coords, origin=_origin(table, arrays, dim, keep))


def _origin(table: Dataset, arrays: dict[str, np.ndarray], dim: str, keep: np.ndarray) -> Any:
    """Carry how the columns came about; how often a word stood for a missing value is no longer known."""
    gaps = {name for name, array in arrays.items() if (missing(array) | _without_label(table, name, array)).any()}
    origin = table.origin
    return replace(
        origin,
        absent={name: re.sub(r"\b\d+ ", "", told) for name, told in origin.absent.items() if name in gaps},
        written={
            name: words[keep] if dim in table.dims.get(name, (OBS,)) else words
            for name, words in origin.written.items()
        },
    )


def _without_label(table: Dataset, name: str, array: np.ndarray) -> np.ndarray:
    return array < 0 if table.labels(name) is not None else np.zeros(array.shape, dtype=bool)


def _coded(table: Dataset, by: str) -> tuple[tuple[Any, ...], np.ndarray, str]:
    """Return the levels of a column, its codes and its dim."""
    if not isinstance(by, str):
        raise DataError(f"data.by: got {by!r}; wanted the name of one column: data.by=COLUMN")
    if by not in table.arrays and by in table.coords:
        return tuple(table.coords[by]), np.arange(len(table.coords[by])), by
    if by not in table.arrays and by in table.dim_names():
        sizes = [
            size
            for name, array in table.arrays.items()
            for dim, size in zip(table.dims.get(name, (OBS,)), array.shape, strict=False)
            if dim == by
        ]
        return tuple(range(max(sizes, default=0))), np.arange(max(sizes, default=0)), by
    if by not in table.arrays:
        known = [*table.arrays, *(dim for dim in table.coords if dim not in table.arrays)]
        near = nearest(by, known)
        hint = f"did you mean {typed('data.by', near)}? " if near else ""
        raise DataError(f"data.by: the data have no column {by!r}; {hint}There are {listed(known)}")
    if same := table.origin.twins.get(by):
        raise DataError(f"data.by: the file has {len(same)} columns that all come down to {by!r}; rename them")
    values, dims = table.arrays[by], tuple(table.dims.get(by, (OBS,)))
    if values.ndim != 1:
        raise DataError(f"data.by: {by} has dims ({', '.join(dims)}); wanted one level for each row")
    known_labels = table.labels(by)
    if known_labels is not None:
        return tuple(known_labels), values, dims[0]
    coded, labels = codes(values, table.origin.written.get(by), by)
    return labels, coded, dims[0]
