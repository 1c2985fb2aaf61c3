"""Columns on their way into arrays, and the dataset that they make up; choosing them is the part of `columns`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.dates import choices, dates_key, look_like_dates
from bayesrun.base.spelling import EXACT, known_order
from bayesrun.data.hints import labels_key, missing, override
from bayesrun.data.number_marks import doubt, looks_like_number
from bayesrun.data.words import ABSENT, is_number
from bayesrun.errors import DataError
from bayesrun.types import Origin

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bayesrun.types import Dataset

__all__ = ["OBS", "PREDICTOR", "Part", "Slot", "assemble", "codes", "example", "holds_text", "is_plain", "texts"]

OBS, PREDICTOR = "obs", "predictor"


@dataclass
class Part:
    """One column on its way into an array.

    `levels` are the labels of a column that came already coded, `written` the cells of a column of numbers as the file
    has them, `changed` names what was done to its numbers, and `meant` says that the user wants labels of it.
    """

    column: str
    values: np.ndarray
    dims: tuple[str, ...]
    levels: tuple[Any, ...] | None = None
    written: np.ndarray | None = None
    ordered: bool = False
    changed: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = 1.0
    scaled: bool = False
    meant: bool = False


@dataclass
class Slot:
    """One array in the making; a matrix has one part for each of its columns."""

    name: str
    parts: list[Part]
    matrix: bool = False


def codes(
    values: np.ndarray, written: np.ndarray | None = None, name: str = "a column"
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Code values as 0..K-1 in the order of the sorted distinct values, or of no and yes.

    Parameters
    ----------
    values
        Text, numbers or booleans, dims (obs,).
    written
        How the file writes the numbers. Where that says more than the numbers do (``01``, ``1.10``, ``1e1``), the
        labels are the text, in the order of the numbers.
    name
        Of the column, for the message.

    Returns
    -------
    coded : numpy.ndarray
        int64, dims (obs,); -1 where a value is missing.
    labels : tuple
        The K distinct values, text as str, whole numbers as int.

    Raises
    ------
    DataError
        If the values are floats so large that neighbouring labels are one.
    """
    absent = missing(values)
    there = values[~absent]
    if written is None and there.dtype.kind == "f" and (abs(there) >= EXACT).any():
        raise DataError(
            f"{name} is meant as labels, and its numbers are as large as {abs(there).max():.17g}: fractions of that "
            "size, as which a column with gaps or of unsigned numbers is read, do not tell neighbours apart. Write "
            "them as text in the file"
        )
    # a float column of whole numbers is an integer column that once had a gap
    if there.dtype.kind == "f" and np.array_equal(there, np.round(there)):
        there = there.astype(np.int64)
    if written is not None and not is_plain(there, written[~absent]):
        there = written[~absent]
    if there.dtype.kind in "OSUT":
        there = np.array([str(value) for value in there], dtype=str)
    distinct, inverse = np.unique(there, return_inverse=True)
    labels = tuple(distinct.tolist())
    if distinct.dtype.kind == "U" and all(is_number(label) for label in labels):
        labels = tuple(sorted(labels, key=lambda label: (float(label), label)))
    labels = known_order(labels) or labels
    place = np.array([labels.index(label) for label in distinct.tolist()], dtype=np.int64)
    coded = np.full(values.shape, -1, dtype=np.int64)
    coded[~absent] = place[inverse]
    return coded, labels


def is_plain(numbers: np.ndarray, written: np.ndarray) -> bool:
    """Whether numbers say all that the file writes: ``1`` is plain, ``01`` and ``1.10`` are not."""
    seen = dict(zip(written.tolist(), numbers.tolist(), strict=True))
    return all(word is None or str(number) == word for word, number in seen.items())


def _refuse_mixed(part: Part, used: bool = True) -> None:
    """Refuse a column of numbers with text among them: coding it as labels would make other numbers of it."""
    if not used:
        return
    there = [(row, str(value)) for row, value in enumerate(part.values.flat, start=1) if value is not None]
    words = [(row, value) for row, value in there if not looks_like_number(value)]
    if not there or 2 * len(words) > len(there):
        return
    labels = f"say that they are labels: {labels_key(part.column)}"
    told = None if words else doubt(value for _, value in there)
    if told is not None:
        raise DataError(f"column {part.column} holds numbers whose marks are in doubt: {told}. Say which, or {labels}")
    row, value = words[0] if words else there[0]
    stands = f', or that it stands for a missing value: \'data.missing=["","{value}"]\'' if words else ""
    raise DataError(
        f"column {part.column} holds text among numbers: {value!r} in row {row} (the first row is 1); correct the "
        f"file, or {labels}{stands}"
    )


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


def assemble(
    table: Dataset, slots: list[Slot], labels: np.ndarray | None, coded: set[int], used: Collection[str]
) -> Dataset:
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
    used
        Names of the slots of which it is said what is wrong with them; others are there as they can be, text as text.

    Raises
    ------
    DataError
        If columns of a used matrix hold text or differ in shape, and if a name would be taken twice.
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
            arrays[slot.name] = _stacked(slot, slot.name in used)
            dims[slot.name] = (first.dims[0], dim)
            coords[dim] = tuple(part.column for part in slot.parts)
        else:
            dims[slot.name] = first.dims
    levels: dict[str, tuple[Any, ...]] = {}
    along = {OBS, PREDICTOR} | {dim for names in dims.values() for dim in names}
    for slot in slots:
        if slot.matrix:
            continue
        first = slot.parts[0]
        if slot.name in along and holds_text(first):
            # coords of that name label the dim, so these labels stay text
            _refuse_mixed(replace(first, values=texts(first)), slot.name in used)
            arrays[slot.name] = texts(first)
            continue
        arrays[slot.name], found = _coded_if(slot.name in used, first, id(first) in coded)
        levels |= {slot.name: found} if found is not None else {}
    along_any = dict.fromkeys(dim for names in dims.values() for dim in names)
    coords = {dim: table.coords[dim] for dim in along_any if dim in table.coords} | coords | levels
    if labels is not None:
        of = next((slot for slot in slots if slot.name in used and slot.parts[0].dims), slots[0])
        dim = of.parts[0].dims[0]
        coords[dim] = tuple(labels.tolist())
    for slot, name, values, own in _undo(slots, dims):
        if name in arrays and slot.name not in used:
            continue
        if name in arrays:
            raise DataError(
                f"data.standardize: {name} is a column already, and would also hold what undoes the standardisation; "
                f"choose columns by name: {override({'y': 'COLUMN'})}"
            )
        arrays[name], dims[name] = values, own
    order = {slot.name: None for slot in slots}
    arrays = {name: arrays[name] for name in order | dict.fromkeys(arrays)}
    ordered = tuple(slot.name for slot in slots if slot.parts[0].ordered and slot.name in levels)
    return replace(
        table,
        arrays=arrays,
        dims=dims,
        coords=coords,
        ordered=ordered,
        origin=_origin(table, slots, arrays, levels, used, coded),
    )


def _origin(
    table: Dataset,
    slots: list[Slot],
    arrays: Mapping[str, np.ndarray],
    levels: Mapping[str, tuple[Any, ...]],
    used: Collection[str],
    coded: set[int],
) -> Origin:
    """Carry from columns to arrays how they came about."""
    told = {name: labels for name, labels in levels.items() if name in used}
    single = {slot.name: slot.parts[0] for slot in slots if not slot.matrix}
    absent = {
        slot.name: "; ".join(
            f"{part.column}: {table.origin.absent[part.column]}" if slot.matrix else table.origin.absent[part.column]
            for part in slot.parts
            if part.column in table.origin.absent
        )
        for slot in slots
    }
    words = {
        name: part.written
        for name, part in single.items()
        if part.written is not None
        and not part.changed
        and arrays[name].dtype.kind in "fiub"
        and name not in levels
        and not is_plain(_whole(part.values), part.written)
    }
    changed = {slot.name: ", ".join(dict.fromkeys(c for part in slot.parts for c in part.changed)) for slot in slots}
    return Origin(
        notes=(
            *(_alike(name, labels, arrays[name]) for name, labels in told.items() if _doubtful(labels)),
            *(note for name, labels in told.items() for note in _near(name, labels)),
            *(
                _dated(name, labels)
                for name, labels in told.items()
                if not single[name].meant and look_like_dates(labels)
            ),
        ),
        changed={name: text for name, text in changed.items() if text},
        absent={name: text for name, text in absent.items() if text},
        written=words,
        meant=tuple(slot.name for slot in slots if any(part.meant or id(part) in coded for part in slot.parts)),
    )


def _whole(values: np.ndarray) -> np.ndarray:
    """Numbers as a file without gaps would have them: whole ones as integers."""
    absent = missing(values)
    if values.dtype.kind != "f" or not np.array_equal(values[~absent], np.round(values[~absent])):
        return values
    return np.array([None if gap else int(value) for value, gap in zip(values, absent, strict=True)], dtype=object)


def _doubtful(labels: tuple[Any, ...]) -> list[str]:
    return [label for label in labels if isinstance(label, str) and label.strip() in ABSENT]


def _alike(name: str, labels: tuple[Any, ...], coded: np.ndarray) -> str:
    """Say that a label may have been meant as missing."""
    told = ", ".join(f"{label!r} in {int((coded == labels.index(label)).sum())} rows" for label in _doubtful(labels))
    words = ",".join(f'"{word}"' for word in ("", *_doubtful(labels)))
    return f"{name}: {told} taken as a label; if it stands for a missing value: 'data.missing=[{words}]'"


def _dated(name: str, labels: tuple[Any, ...]) -> str:
    """Say that dates are taken as labels."""
    return f"{name}: {len(labels)} dates are labels here; as time since the first: {dates_key(name, 'days')}"


def _near(name: str, labels: tuple[Any, ...]) -> list[str]:
    """Say that labels differ by blanks or case alone: they are two, as they are written."""
    same: dict[str, list[str]] = {}
    for label in labels:
        same.setdefault(str(label).strip().casefold(), []).append(str(label))
    twins = [f"{' and '.join(map(repr, words))}" for words in same.values() if len(words) > 1]
    return [f"{name}: {', '.join(twins)} are different labels, as they are written"] if twins else []


def _coded(part: Part, wanted: bool) -> tuple[np.ndarray, tuple[Any, ...] | None]:
    if part.levels is not None:
        coded, known = part.values.astype(np.int64), None if part.ordered else known_order(part.levels)
        if known is None or known == part.levels:
            return coded, part.levels
        return np.where(coded < 0, -1, 1 - coded), known
    if wanted or holds_text(part):
        if not wanted:
            _refuse_mixed(part)
        return codes(part.values, part.written, part.column)
    return part.values, None


def _coded_if(used: bool, part: Part, wanted: bool) -> tuple[np.ndarray, tuple[Any, ...] | None]:
    """Code a column; one that is not used stays text where it cannot be."""
    try:
        return _coded(part, wanted)
    except DataError:
        if used:
            raise
        return texts(part), None


def _stacked(slot: Slot, used: bool) -> np.ndarray:
    try:
        return _stack(slot)
    except DataError:
        if used:
            raise
        return texts(slot.parts[0])


def _stack(slot: Slot) -> np.ndarray:
    text = [part for part in slot.parts if holds_text(part)]
    dates = next((part for part in text if look_like_dates(part.levels or part.values)), None)
    if dates is not None:
        way = "model=formula takes labels too"
        raise DataError(f"{slot.name} takes numbers, and {choices(dates.column, example(dates), labels=False)}; {way}")
    if text:
        rest: list[str] = [part.column for part in slot.parts if not holds_text(part)]
        raise DataError(
            f"{slot.name} takes numbers, and column {text[0].column!r} holds text such as {example(text[0])!r}. "
            f"Leave it out: add {override({slot.name: rest or ['COLUMN']})}, "
            "give it to the model as a group, or use model=formula"
        )
    if matrix := next((part for part in slot.parts if part.values.ndim > 1), None):
        raise DataError(
            f"{slot.name}: {matrix.column} has dims ({', '.join(matrix.dims)}); wanted one value for each observation. "
            f"A cell for each label of one of them: data.by={matrix.dims[0]}; all in one: write them as one long dim"
        )
    if len({part.dims for part in slot.parts}) > 1:
        told = ", ".join(f"{part.column} ({', '.join(part.dims)})" for part in slot.parts)
        raise DataError(f"{slot.name}: its columns differ in their dims ({told}); they must have the same observations")
    if len({part.values.shape for part in slot.parts}) > 1:
        shapes = ", ".join(f"{part.column} {part.values.shape}" for part in slot.parts)
        raise DataError(
            f"{slot.name}: its columns differ in shape ({shapes}); they must have one value for each observation"
        )
    return np.column_stack([part.values.astype(np.float64) for part in slot.parts])


def _undo(
    slots: list[Slot], dims: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[Slot, str, np.ndarray, tuple[str, ...]]]:
    for slot in slots:
        if not any(part.scaled for part in slot.parts):
            continue
        for word in ("mean", "scale"):
            values = np.array([getattr(part, word) for part in slot.parts], dtype=np.float64)
            yield (
                slot,
                f"{slot.name}_{word}",
                values if slot.matrix else values[0].reshape(()),
                dims[slot.name][1:2] if slot.matrix else (),
            )
