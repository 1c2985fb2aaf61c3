"""Columns on their way into arrays, and the dataset that they make up; choosing them is the part of `columns`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.data.hints import missing, override
from bayesrun.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bayesrun.types import Dataset

__all__ = ["OBS", "PREDICTOR", "Part", "Slot", "assemble", "codes", "example", "holds_text", "texts"]

OBS, PREDICTOR = "obs", "predictor"


@dataclass
class Part:
    """One column on its way into an array: `levels` are the labels of a column that came already coded."""

    column: str
    values: np.ndarray
    dims: tuple[str, ...]
    levels: tuple[Any, ...] | None = None
    mean: float = 0.0
    scale: float = 1.0
    scaled: bool = False


@dataclass
class Slot:
    """One array in the making; a matrix has one part for each of its columns."""

    name: str
    parts: list[Part]
    matrix: bool = False


def codes(values: np.ndarray) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Code values as 0..K-1 in the order of the sorted distinct values.

    Parameters
    ----------
    values
        Text, numbers or booleans, dims (obs,).

    Returns
    -------
    coded : numpy.ndarray
        int64, dims (obs,); -1 where a value is missing.
    labels : tuple
        The K distinct values, text as str, whole numbers as int.
    """
    absent = missing(values)
    there = values[~absent]
    # a float column of whole numbers is an integer column that once had a gap
    if there.dtype.kind == "f" and np.array_equal(there, np.round(there)):
        there = there.astype(np.int64)
    if there.dtype.kind in "OSUT":
        there = np.array([str(value) for value in there], dtype=str)
    distinct, inverse = np.unique(there, return_inverse=True)
    coded = np.full(values.shape, -1, dtype=np.int64)
    coded[~absent] = inverse
    return coded, tuple(distinct.tolist())


def _refuse_mixed(part: Part) -> None:
    """Refuse a column of numbers with text among them: coding it as labels would make other numbers of it."""
    there = [(row, str(value)) for row, value in enumerate(part.values.flat, start=1) if value is not None]
    words = [(row, value) for row, value in there if not _numeric(value)]
    if there and (2 * len(words) <= len(there) or all(_numeric(value.replace(",", "")) for _, value in there)):
        row, value = words[0] if words else there[0]
        raise DataError(
            f"column {part.column} holds text among numbers: {value!r} in row {row} (the first row is 1); correct the "
            f"file, or say that they are labels: 'data.categories=[{part.column}]'"
        )


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def holds_text(part: Part) -> bool:
    """Whether a column holds labels rather than numbers."""
    return part.levels is not None or part.values.dtype.kind in "OSUT"


def example(part: Part) -> str:
    """Give a text that a column of labels holds, for messages."""
    return str(next((value for value in texts(part).flat if value is not None), ""))


def texts(part: Part) -> np.ndarray:
    """Undo the codes of a column that came with labels."""
    if part.levels is None:
        return part.values
    return np.array([part.levels[code] if code >= 0 else None for code in part.values], dtype=object)


def assemble(table: Dataset, slots: list[Slot], labels: np.ndarray | None, coded: set[int]) -> Dataset:
    """Code, stack and label.

    Parameters
    ----------
    table
        What the columns come from: its coords, name and citation are kept.
    slots
        The arrays wanted.
    labels
        Of the observations, dims (obs,); None: those of the table, if it has any.
    coded
        The `id` of each part that is coded although it holds numbers.

    Raises
    ------
    DataError
        If columns of a matrix hold text or differ in shape, and if a name would be taken twice.
    """
    arrays: dict[str, np.ndarray] = {}
    dims: dict[str, tuple[str, ...]] = {}
    coords: dict[str, tuple[Any, ...]] = {}
    matrices = 0
    for slot in slots:
        first = slot.parts[0]
        if slot.matrix:
            # the first matrix owns the plain name; another one needs labels of its own
            dim = PREDICTOR if matrices == 0 else f"{PREDICTOR}_{slot.name}"
            matrices += 1
            arrays[slot.name] = _stack(slot)
            dims[slot.name] = (first.dims[0], dim)
            coords[dim] = tuple(part.column for part in slot.parts)
        else:
            dims[slot.name] = first.dims
            arrays[slot.name], levels = _coded(first, id(first) in coded)
            if levels is not None:
                if slot.name in first.dims:
                    raise DataError(
                        f"the column {slot.name!r} of labels has the name of a dimension; use it with "
                        f"data.index={slot.name}, or under another name: {override({'group': slot.name})}"
                    )
                coords[slot.name] = levels
    used = dict.fromkeys(dim for names in dims.values() for dim in names)
    coords = {dim: table.coords[dim] for dim in used if dim in table.coords} | coords
    if labels is not None:
        dim = slots[0].parts[0].dims[0]
        coords[dim] = tuple(labels.tolist())
    for name, values, along in _undo(slots, dims):
        if name in arrays:
            raise DataError(
                f"data.standardize: {name} is a column already, and would also hold what undoes the standardisation; "
                f"choose columns by name: {override({'y': 'COLUMN'})}"
            )
        arrays[name], dims[name] = values, along
    return replace(table, arrays=arrays, dims=dims, coords=coords)


def _coded(part: Part, wanted: bool) -> tuple[np.ndarray, tuple[Any, ...] | None]:
    if part.levels is not None:
        return part.values.astype(np.int64), part.levels
    if wanted or holds_text(part):
        if not wanted and part.levels is None:
            _refuse_mixed(part)
        return codes(part.values)
    return part.values, None


def _stack(slot: Slot) -> np.ndarray:
    text = [part for part in slot.parts if holds_text(part)]
    if text:
        rest: list[str] = [part.column for part in slot.parts if not holds_text(part)]
        raise DataError(
            f"{slot.name} takes numbers, and column {text[0].column!r} holds text such as {example(text[0])!r}. "
            f"Leave it out: add {override({slot.name: rest or ['COLUMN']})}, "
            "give it to the model as a group, or use model=formula"
        )
    if len({part.values.shape for part in slot.parts}) > 1:
        shapes = ", ".join(f"{part.column} {part.values.shape}" for part in slot.parts)
        raise DataError(
            f"{slot.name}: its columns differ in shape ({shapes}); they must have one value for each observation"
        )
    return np.column_stack([part.values.astype(np.float64) for part in slot.parts])


def _undo(slots: list[Slot], dims: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, np.ndarray, tuple[str, ...]]]:
    for slot in slots:
        if not any(part.scaled for part in slot.parts):
            continue
        for word in ("mean", "scale"):
            values = np.array([getattr(part, word) for part in slot.parts], dtype=np.float64)
            yield (
                f"{slot.name}_{word}",
                values if slot.matrix else values[0].reshape(()),
                dims[slot.name][1:2] if slot.matrix else (),
            )
