"""Datasets of unequal length made equally long, to share a program in which the further rows count for nothing.

The rows are copies of a dataset's last one, so that they are as valid as that, and a mask takes their terms out of the
log density. That is right of a model into which rows enter by terms of their own alone. It is never assumed: `alone`
holds every dataset against its own model. This module compiles and evaluates nothing.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from bayesrun.samplers.lanes.graphs import Survey, replace_leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytensor.graph.basic import Variable

    from bayesrun.types import Dataset

__all__ = ["Layout", "Padding", "in_place", "pad", "padded_length", "rows_of"]

OBS: Final = "obs"
SHORTEST: Final = 64
"""The least length: with fewer rows a program is hardly faster, and compiling one takes as long as several fits."""

type Layout = tuple[tuple[tuple[int, int], ...], ...]
"""Of each term of a log density the axes along which it has padded rows, and its length along these."""


@dataclass(frozen=True, eq=False)
class Padding:
    """One dataset made longer.

    Parameters
    ----------
    dataset
        With the further rows.
    further
        How many these are.
    surveyed
        The builder's model of it.
    values
        Of each leaf of that model. They are made of the leaves of the dataset's own model, so that a number that the
        builder works out of the data is that of the dataset itself.
    """

    dataset: Dataset
    further: int
    surveyed: Survey
    values: tuple[np.ndarray, ...]

    def masks(self, lengths: Sequence[int]) -> tuple[np.ndarray, ...]:
        """Say along axes of some lengths which elements belong to the dataset."""
        return tuple(np.arange(length) < length - self.further for length in lengths)


def rows_of(dataset: Dataset) -> int | None:
    """Return how many rows a dataset has; None where its arrays have none, or do not agree."""
    found = {array.shape[axis] for _, array, axis in _along_rows(dataset)}
    return found.pop() if len(found) == 1 else None


def padded_length(rows: int) -> int:
    """Return the length that so many rows are padded to: more than they are, and at most half as many again, or 64.

    It follows from the dataset alone. These are 64, 96, 128, 192, 256, 384 and so on.
    """
    steps = chain.from_iterable((SHORTEST << i, 3 * (SHORTEST << i) // 2) for i in range(60))
    return next(length for length in steps if length > rows)


def pad(dataset: Dataset, own: Survey, survey_of: Callable[[Dataset], Survey]) -> Padding | None:
    """Make a dataset longer.

    Parameters
    ----------
    dataset
        At least two rows.
    own
        Its own model.
    survey_of
        Builds the model of a dataset.

    Returns
    -------
    Padding or None
        None where there are no rows, or the models of both have not the same leaves, but for their lengths.
    """
    rows = rows_of(dataset)
    if rows is None or rows < 2:
        return None
    further = padded_length(rows) - rows
    longer = _longer(dataset, further)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # which the dataset's own model gave
            surveyed = survey_of(longer)
        pairs = list(zip(own.leaves, surveyed.leaves, strict=True))
    except Exception:  # noqa: BLE001 - a user's builder may raise anything, and the model of these rows is not wanted
        return None
    if len(own.form) != len(surveyed.form) or any(
        (a.observed, a.start, a.value.dtype, a.infinite) != (b.observed, b.start, b.value.dtype, b.infinite)
        for a, b in pairs
    ):
        return None
    values = [_filled(a.value, b.value.shape, further) for a, b in pairs]
    known = tuple(value for value in values if value is not None)
    return Padding(longer, further, surveyed, known) if len(known) == len(values) else None


def in_place(padding: Padding, surveyed: Survey, others: dict[int, Variable]) -> None:
    """Put the values of a padding in the place of the leaves of a model that is built of its dataset.

    Parameters
    ----------
    padding
        Has the values.
    surveyed
        Built for this alone: its graph is changed.
    others
        Index of a leaf to the variable that takes its place instead.
    """
    import pytensor.tensor as pt

    fixed: dict[int, Variable] = {
        i: pt.constant(value)
        for i, (leaf, value) in enumerate(zip(surveyed.leaves, padding.values, strict=True))
        if i not in others and not np.array_equal(leaf.value, value, equal_nan=value.dtype.kind == "f")
    }
    replace_leaves(surveyed, fixed | others)


def _along_rows(dataset: Dataset) -> Iterator[tuple[str, np.ndarray, int]]:
    for name, array in dataset.arrays.items():
        dims = dataset.dims.get(name, (OBS,))
        yield from ((name, array, axis) for axis, dim in enumerate(dims[: array.ndim]) if dim == OBS)


def _longer(dataset: Dataset, further: int) -> Dataset:
    arrays = dict(dataset.arrays)
    for name, _, axis in _along_rows(dataset):
        arrays[name] = _longer_along(arrays[name], axis, further)
    labels = dataset.coords.get(OBS)
    coords = dict(dataset.coords) | ({OBS: (*labels, *labels[-1:] * further)} if labels else {})
    return replace(dataset, arrays=arrays, coords=coords)


def _longer_along(array: np.ndarray, axis: int, further: int) -> np.ndarray:
    length = array.shape[axis]
    return np.take(array, [*range(length), *[length - 1] * further], axis=axis)


def _filled(value: np.ndarray, shape: tuple[int, ...], further: int) -> np.ndarray | None:
    """Make an array as long as another one along the axes on which that has further rows; None: it is no such one."""
    if value.ndim != len(shape):
        return None
    for axis, length in enumerate(shape):
        if length == value.shape[axis]:
            continue
        if length != value.shape[axis] + further or not value.shape[axis]:
            return None
        value = _longer_along(value, axis, further)
    return value
