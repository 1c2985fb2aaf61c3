"""From the columns of a table to the arrays that a model asks for; it reads no file.

The order of work is fixed: choose columns, drop rows, transform, order labels, standardise, code categories, stack.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.dates import CATEGORY, as_time
from bayesrun.data.hints import listed, missing, nearest, override, rows, typed
from bayesrun.data.label_order import set_event, set_order
from bayesrun.data.left_out import LeftOut, leave_out
from bayesrun.data.levels import levels_of, rows_of
from bayesrun.data.parts import OBS, PREDICTOR, Part, Slot, assemble, example, holds_text, is_plain, texts
from bayesrun.data.transforms import apply, sought, standardise
from bayesrun.errors import DataError

if TYPE_CHECKING:
    from bayesrun.types import Dataset

__all__ = ["Arrangement", "Table", "arrange", "check_kept"]


@dataclass(frozen=True)
class Arrangement:
    """How the arrays of a dataset are made from the columns of a table.

    Parameters
    ----------
    columns
        Array name to a column, or to a list of columns, which become a matrix with dims (obs, predictor).
        None: every column becomes an array of its own name.
    index
        Column whose values label the observations; they become ``coords["obs"]``.
    categories
        Arrays (or columns) to be coded although they hold numbers.
    transform
        Array (or column of a matrix) to one transform, or to a list of them, applied in this order.
    standardize
        Arrays (or columns of a matrix) scaled to mean 0 and SD 1. True: every numeric column with more than
        two distinct values that is no category.
    drop_missing
        Whether to leave out rows in which a column that is used is missing or infinite.
    event
        Array (or column) of two labels to the one that is the event: it is coded 1, the other 0.
    order
        Array (or column) of labels to all of them in their order: they are coded 0..K-1.
    keep
        Arrays and columns that are there for quantities, although no model uses them, or ``all``; a column that is not
        chosen is as the file has it.
    dates
        Array (or column) of dates to the unit in which time since the first of them is counted (days, years, ...), or
        to ``category``.
    by, level
        A column, and the level of it whose rows are the dataset.
    """

    columns: Mapping[str, str | list[str]] | None = None
    index: str | None = None
    categories: str | list[str] | None = None
    transform: Mapping[str, str | list[str]] | None = None
    standardize: bool | str | list[str] = False
    drop_missing: bool = False
    event: Mapping[str, Any] | None = None
    order: Mapping[str, Sequence[Any]] | None = None
    keep: str | Sequence[str] | None = None
    dates: Mapping[str, Any] | None = None
    by: str | None = None
    level: Any = None


@dataclass(frozen=True)
class Table:
    """A table that was read, and how its arrays are made once it is known which of them are used."""

    whole: Dataset
    how: Arrangement

    def arrays(self, used: Collection[str] | None = None) -> Dataset:
        """Make the dataset; see `arrange`."""
        return arrange(self.whole, self.how, used)


def arrange(table: Dataset, how: Arrangement, used: Collection[str] | None = None) -> Dataset:
    """Make a dataset from a table.

    Text becomes int64 codes, with the sorted labels in ``coords[array name]`` (a categorical column of a file
    keeps its own order, and no comes before yes). Text that is called like a dim stays text. For an array ``y``
    that was standardised, ``y_mean`` and ``y_scale`` hold what undoes it: dims () for a column, (predictor,) for a
    matrix.

    Parameters
    ----------
    table
        Columns as arrays whose first dim is the observations; object arrays hold text, with None where it is
        missing. Its coords label dims, or are the labels of a column that is already coded.
    how
        What is wanted.
    used
        Arrays that a model uses: gaps in them leave rows out, with those in the index, and what is wrong with them is
        said. Others are there as far as they can be made, and nothing is said of them. None: all chosen arrays are.

    Raises
    ------
    DataError
        If a column is not there or cannot be used as asked.
    """
    if how.by is not None:
        table = _one_level(table, how.by, how.level)
    chosen = _choose(table, how.columns, used)
    strict = [slot for slot in chosen if used is None or _is_used(slot, used, how)]
    checked = {id(part) for slot in strict for part in slot.parts}
    _refuse_nested(table, [part.column for slot in strict for part in slot.parts])
    kept = _kept(table, chosen, how.keep)
    slots = [*chosen, *(Slot(name, [_part(table, name)]) for name in kept if not _is_among(name, chosen))]
    labels = _index(table, how.index)
    counted = _count_time(chosen, how, checked)
    dropped = LeftOut()
    if how.drop_missing and strict:
        labels, dropped = leave_out(table, slots, strict, labels, None if used is None else how.index)
    if labels is not None and how.index is not None and strict:
        _check_labels(how.index, labels)
    _transform(chosen, how, checked)
    _rank(chosen, how, checked)
    categories = [part for name in _names(how.categories) for part in _resolve(chosen, name, "categories")]
    for part in _to_standardise(chosen, how.standardize, categories):
        if holds_text(part):
            if id(part) not in checked:
                continue
            raise DataError(f"data.standardize: {part.column} holds text such as {example(part)!r}; wanted numbers")
        part.values, part.mean, part.scale = standardise(part.values)
        part.scaled, part.changed = True, (*part.changed, "standardize")
    found = assemble(table, slots, labels, {id(part) for part in categories}, {slot.name for slot in strict})
    origin = replace(found.origin, gaps=dropped.rows, keep=tuple(kept), read=table.origin.read)
    return replace(found, origin=origin).noted(*table.origin.notes, *counted, *dropped.notes, *_scaled(how, strict))


def _one_level(table: Dataset, by: str, level: Any) -> Dataset:
    if level is None:
        known, _ = levels_of(table, by)
        raise DataError(f"data.by={by} parts the rows, and data.level says which are wanted: {listed(known)}")
    return rows_of(table, by, level)


def _is_used(slot: Slot, used: Collection[str], how: Arrangement) -> bool:
    if slot.name in used:
        return True
    wanted = how.standardize
    scaled = wanted is True or (
        wanted is not False and bool({slot.name, *(p.column for p in slot.parts)} & {*_names(wanted)})
    )
    return scaled and (f"{slot.name}_mean" in used or f"{slot.name}_scale" in used)


def _is_among(name: str, slots: list[Slot]) -> bool:
    return any(slot.name == name for slot in slots)


def _kept(table: Dataset, chosen: list[Slot], keep: str | Sequence[str] | None) -> list[str]:
    """Return the names of arrays, and of columns that are not chosen, which are to be kept."""
    names = [slot.name for slot in chosen]
    columns = {part.column for slot in chosen for part in slot.parts}
    known = list(dict.fromkeys([*names, *(c for c in table.arrays if c not in columns)]))
    if keep == "all":
        return known
    known += [column for column in table.arrays if column not in known]
    check_kept(_names(keep), known)
    return _names(keep)


def check_kept(names: Iterable[str], known: Sequence[str]) -> None:
    """Refuse names to be kept that the data do not have.

    Raises
    ------
    DataError
        With the nearest name.
    """
    for name in names:
        if name not in known:
            near = nearest(str(name), known)
            hint = f"did you mean {near!r}? " if near else ""
            raise DataError(f"data.keep: there is no array or column {name!r}; {hint}There are {listed(known)}")


def _doubtful(part: Part, checked: set[int]) -> contextlib.AbstractContextManager[None]:
    """Pass over what is wrong with a column that nobody uses."""
    return contextlib.nullcontext() if id(part) in checked else contextlib.suppress(DataError)


def _transform(slots: list[Slot], how: Arrangement, checked: set[int]) -> None:
    for name, wanted in (how.transform or {}).items():
        for part in _resolve(slots, name, "transform"):
            with _doubtful(part, checked):
                for transform in _names(wanted):
                    label = sought(transform)
                    cells = texts(part) if label is None else _cells(part, label)
                    part.values, part.levels = apply(name, cells, transform), None
                    part.written = part.written if label is None else None
                    part.changed = (*part.changed, transform)


def _cells(part: Part, label: str) -> np.ndarray:
    """Give the cells as the file writes them where it writes this label: 1.1 is another one than 1.10."""
    written = None if part.changed else part.written
    return written if written is not None and label in written.tolist() else texts(part)


def _count_time(slots: list[Slot], how: Arrangement, checked: set[int]) -> list[str]:
    """Make time of dates, or note that they are labels; return what is said of them."""
    notes = []
    for name, wanted in (how.dates or {}).items():
        for part in _resolve(slots, name, "dates"):
            if wanted == CATEGORY:
                part.meant = True
                continue
            with _doubtful(part, checked):
                if not holds_text(part):
                    raise DataError(f"data.dates: {part.column} holds numbers; wanted a column of dates")
                part.values, told = as_time(part.column, texts(part), wanted)
                part.levels, part.written, part.changed = None, None, (*part.changed, told)
                notes += [f"{part.column}: {told}"] if id(part) in checked else []
    return notes


def _rank(slots: list[Slot], how: Arrangement, checked: set[int]) -> None:
    for name, event in (how.event or {}).items():
        for part in _resolve(slots, name, "event"):
            with _doubtful(part, checked):
                set_event(name, part, event)
    for name, order in (how.order or {}).items():
        for part in _resolve(slots, name, "order"):
            with _doubtful(part, checked):
                set_order(name, part, order)


def _scaled(how: Arrangement, slots: list[Slot]) -> list[str]:
    """Say what data.standardize=true chose."""
    names = [part.column if slot.matrix else slot.name for slot in slots for part in slot.parts if part.scaled]
    return [f"data.standardize=true scaled {listed(names)}"] if how.standardize is True and names else []


def _names(value: str | Sequence[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _choose(table: Dataset, columns: Mapping[str, str | list[str]] | None, used: Collection[str] | None) -> list[Slot]:
    if columns is None:
        _refuse_twins(table, [name for name in table.arrays if used is None or name in used])
        return [Slot(name, [_part(table, name)]) for name in table.arrays]
    if not isinstance(columns, Mapping):
        raise DataError(f"data.columns: got {columns!r}; wanted a mapping: {override({'y': 'COLUMN'})}")
    unknown = {c: role for role, value in columns.items() for c in _names(value) if not _has(table, c)}
    if unknown:
        near = {column: nearest(column, _known(table)) for column in unknown}
        lines = [
            f"the data have no column {column!r}, wanted for {role}"
            + (f"; did you mean {near[column]!r}?" if near[column] else "")
            for column, role in unknown.items()
        ]
        fixed: dict[str, str | list[str]] = {
            role: value if isinstance(value, str) and not near.get(value) else _replaced(value, near)
            for role, value in columns.items()
        }
        lines.append(f"There are {listed(_known(table))}. Type {override(fixed)}")
        raise DataError("\n".join(lines))
    for role in columns:
        if role in (OBS, PREDICTOR):
            raise DataError(
                f"data.columns: {role!r} is the name of a dimension; labels of the observations are data.index=COLUMN"
            )
    _refuse_twins(table, [column for value in columns.values() for column in _names(value)])
    for role, value in columns.items():
        if twice := [column for column in _names(value) if _names(value).count(column) > 1]:
            raise DataError(
                f"data.columns.{role} names {twice[0]!r} {len(twice)} times; wanted each column once: "
                f"{override({role: list(dict.fromkeys(_names(value)))})}"
            )
    slots = []
    for role, value in columns.items():
        if not _names(value):
            raise DataError(f"data.columns.{role}: got {value!r}; wanted a column or a list of columns")
        slots.append(Slot(role, [_part(table, column) for column in _names(value)], matrix=not isinstance(value, str)))
    return slots


def _refuse_twins(table: Dataset, chosen: Iterable[str]) -> None:
    for column in chosen:
        if same := table.origin.twins.get(column):
            raise DataError(
                f"the file has {len(same)} columns that all come down to {column!r}: {', '.join(map(repr, same))}; "
                f"only one would be read. Rename them in the file, or choose others: {override({'y': 'COLUMN'})}"
            )


def _refuse_nested(table: Dataset, used: Iterable[str]) -> None:
    for column in used:
        if column in table.origin.nested:
            raise DataError(
                f"column {column} holds {table.origin.nested[column]} in its cells; wanted one value in each. "
                f"Write a row or a column for each of their values, or choose others: {override({'y': 'COLUMN'})}"
            )


def _replaced(value: str | list[str], near: Mapping[str, str | None]) -> str | list[str]:
    fixed = [near.get(column) or column for column in _names(value)]
    return fixed[0] if isinstance(value, str) else fixed


def _known(table: Dataset) -> list[str]:
    return list(table.arrays) + [dim for dim in table.coords if dim not in table.arrays]


def _has(table: Dataset, column: str) -> bool:
    return column in table.arrays or column in table.coords


def _part(table: Dataset, column: str) -> Part:
    if column in table.arrays:
        dims = table.dims.get(column, (OBS,))
        levels = table.labels(column)
        return Part(
            column, table.arrays[column], dims, levels, table.origin.written.get(column), column in table.ordered
        )
    labels = table.coords[column]
    text = any(isinstance(label, str) for label in labels)
    return Part(column, np.array(labels, dtype=object if text else None), (column,))


def _index(table: Dataset, index: str | None) -> np.ndarray | None:
    if index is None:
        return None
    if not _has(table, index):
        near = nearest(index, _known(table))
        hint = f"did you mean {typed('data.index', near)}? " if near else ""
        raise DataError(f"data.index: the data have no column {index!r}; {hint}There are {listed(_known(table))}")
    _refuse_twins(table, [index])
    part = _part(table, index)
    return texts(part) if part.written is None or is_plain(part.values, part.written) else part.written


def _check_labels(index: str, values: np.ndarray) -> None:
    absent = missing(values)
    if absent.any():
        raise DataError(f"data.index: {index} is missing in {rows(absent)}; labels of observations must all be there")
    _, first = np.unique(values.astype(str), return_index=True)
    if len(first) < len(values):
        repeated = np.ones(len(values), dtype=bool)
        repeated[first] = False
        raise DataError(
            f"data.index: {index} repeats values, for example in {rows(repeated)}; labels of observations must differ. "
            "Leave it out: data.index=null"
        )


def _resolve(slots: list[Slot], name: str, option: str) -> list[Part]:
    for slot in slots:
        if slot.name == name:
            return slot.parts
    parts = [part for slot in slots for part in slot.parts if part.column == name]
    if parts:
        return parts
    known = [*(slot.name for slot in slots), *(part.column for slot in slots for part in slot.parts)]
    known = list(dict.fromkeys(known))
    near = nearest(name, known)
    hint = f"did you mean {near!r}? " if near else ""
    raise DataError(f"data.{option}: there is no array or chosen column {name!r}; {hint}There are {listed(known)}")


def _to_standardise(slots: list[Slot], wanted: bool | str | list[str], categories: list[Part]) -> Iterator[Part]:
    if wanted is False:
        return
    parts: Iterable[Part]
    if wanted is True:
        coded = {id(part) for part in categories}
        parts = [
            p for slot in slots for p in slot.parts if id(p) not in coded and not holds_text(p) and _varied(p.values)
        ]
    else:
        parts = [part for name in _names(wanted) for part in _resolve(slots, name, "standardize")]
    # one column may be named by its array and by itself
    yield from {id(part): part for part in parts}.values()


def _varied(values: np.ndarray) -> bool:
    return values.dtype.kind in "fiu" and len(np.unique(values[~missing(values)])) > 2
