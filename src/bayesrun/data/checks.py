"""Checks of a dataset against what a model asks for; they change nothing but form: dtypes, shapes, dims, codes.

Everything that a table can have wrong is found here, before any worker starts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.dates import choices, look_like_dates
from bayesrun.base.spelling import known_order
from bayesrun.data.hints import event_key, listed, missing, nearest, override, rows
from bayesrun.data.parts import OBS, PREDICTOR, codes, is_plain
from bayesrun.data.series import REMEDY, in_time
from bayesrun.errors import DataError
from bayesrun.types import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bayesrun.types import Dataset

__all__ = ["check_roles", "check_values", "conform"]

_DROP = "Leave such rows out: data.drop_missing=true"


def conform(dataset: Dataset, roles: Mapping[str, Role], used: Iterable[str] | None = None) -> Dataset:
    """Check a dataset and bring it into the form that models rely on.

    Parameters
    ----------
    dataset
        Any dataset.
    roles
        What the model asks for, by array name: the DATA of its module. Empty: only the checks that hold for any
        model are made. Arrays that no role names are kept as they are.
    used
        Without roles the arrays that are checked; None: all of them.

    Returns
    -------
    Dataset
        By kind of role: real (not constant) and positive float64, dims (obs,); count and binary int64, dims
        (obs,); category int64 codes, dims (obs,), with the labels in ``coords[name]``; predictors float64, dims
        (obs, predictor), turned round where the file has them the other way. The observations of the first role's
        array are called ``obs`` whatever they were called. Every dim has coords: 0, 1, ... where there were none. Two
        labels of a binary array are coded 1 for the event, which is stated or known (no, yes). The rows of a series
        are in the order of its index.

    Raises
    ------
    DataError
        With every finding, one line each.
    """
    present = {name: role for name, role in roles.items() if name in dataset.arrays}
    _check_there(dataset, roles)
    dataset = _named_dims(dataset, present)
    series = [name for name, role in present.items() if role.series]
    check_values(dataset, present or used, series)
    for name in series:
        dataset = in_time(dataset, name, dataset.dims[name][0])
    arrays, dims, coords = dict(dataset.arrays), dict(dataset.dims), dict(dataset.coords)
    findings = _other_units(dataset, present)
    notes = []
    for name, role in present.items():
        try:
            arrays[name], labels = _formed(dataset, name, role)
        except DataError as error:
            findings.append(str(error))
            continue
        if role.kind == "category":
            coords[name] = labels
        elif role.kind == "predictors":
            along = dims[name]
            other = next((dim for dim in along if dim != OBS), None)
            dims[name] = (along[0] if other is None else OBS, other or _free(PREDICTOR, dims))
            coords[dims[name][1]] = labels
        elif labels:
            coords[name] = labels
            notes.append(f"{name}: 1 is {labels[1]!r}, the event, and 0 is {labels[0]!r}")
    if findings:
        raise DataError("\n".join(findings))
    coords = {dim: tuple(range(n)) for dim, n in _sizes(arrays, dims, present).items() if dim not in coords} | coords
    return replace(dataset, arrays=arrays, dims=dims, coords=coords).noted(*notes)


def _sizes(
    arrays: Mapping[str, np.ndarray], dims: Mapping[str, tuple[str, ...]], present: Iterable[str]
) -> dict[str, int]:
    """Lengths of dims: those of arrays with a role, and where none has one, what all others agree on."""
    found: dict[str, set[int]] = {}
    for name, array in arrays.items():
        for dim, length in zip(dims[name], array.shape, strict=False):
            found.setdefault(dim, set()).add(length)
    known = {dim: n for name in present for dim, n in zip(dims[name], arrays[name].shape, strict=True)}
    return {dim: known.get(dim, min(lengths)) for dim, lengths in found.items() if dim in known or len(lengths) == 1}


def check_roles(dataset: Dataset, roles: Mapping[str, Role]) -> None:
    """Check that a dataset has what a model asks for, as `conform` does, and give nothing back.

    Raises
    ------
    DataError
        With every finding, one line each.
    """
    conform(dataset, roles)


def check_values(dataset: Dataset, names: Iterable[str] | None = None, series: Iterable[str] = ()) -> None:
    """Check what holds for any model: there are data, they are finite, and arrays agree on their dims.

    Parameters
    ----------
    dataset
        Any dataset.
    names
        Arrays that are checked; None: all of them. At others nothing is looked at.
    series
        Those whose rows are a series, of which none can be left out.

    Raises
    ------
    DataError
        With every finding, one line each.
    """
    if not dataset.arrays and names is None:
        raise DataError("the data have no columns; check data.path and data.columns")
    checked = {name: dataset.arrays[name] for name in (dataset.arrays if names is None else names)}
    findings = [
        f"{name} is empty: it has shape {a.shape}; check data.path" for name, a in checked.items() if not a.size
    ]
    lengths: dict[str, dict[int, str]] = {}
    for name, array in checked.items():
        along = _dims(dataset, name)
        if len(along) != array.ndim:
            findings.append(
                f"{name} has {array.ndim} axes and the dims ({', '.join(along)}); wanted one dim for each axis"
            )
            continue
        for dim, length in zip(along, array.shape, strict=True):
            lengths.setdefault(dim, {}).setdefault(length, name)
    for dim, found in lengths.items():
        if len(found) > 1:
            text = ", ".join(f"{name} has {length}" for length, name in found.items())
            findings.append(
                f"arrays differ in length along {dim}: {text}. Give every array one value for each of the same {dim}"
            )
        elif len(dataset.coords.get(dim, ())) not in (0, *found):
            (length,) = found
            findings.append(
                f"{dim} has {len(dataset.coords[dim])} labels for {length} values; wanted one label for each"
            )
    if not findings:
        findings = [text for name in checked for text in _missing(dataset, name, REMEDY if name in series else _DROP)]
    if findings:
        raise DataError("\n".join(findings))


def _dims(dataset: Dataset, name: str) -> tuple[str, ...]:
    array = dataset.arrays[name]
    along = tuple(dataset.dims.get(name, ()))
    if along or array.ndim == 0:
        return along
    return (OBS, *(f"{name}_dim_{axis}" for axis in range(1, array.ndim)))


def _missing(dataset: Dataset, name: str, remedy: str) -> list[str]:
    values = dataset.arrays[name]
    # a code of -1 stands for a label that is not there
    absent = values < 0 if dataset.labels(name) is not None else missing(values)
    if not absent.any():
        return []
    by_row = absent.reshape(len(absent), -1).any(axis=1) if absent.ndim else absent.reshape(1)
    word = "value that is" if absent.sum() == 1 else "values that are"
    where = ""
    if absent.ndim == 2:
        labels = dataset.coords.get(_dims(dataset, name)[1], tuple(range(absent.shape[1])))
        where = f" of {listed(label for label, bad in zip(labels, absent.any(axis=0), strict=True) if bad)}"
    words = f", which the file writes as {dataset.origin.absent[name]}" if name in dataset.origin.absent else ""
    return [f"{name} has {int(absent.sum())} {word} missing or infinite{where}: {rows(by_row)}{words}. {remedy}"]


def _check_there(dataset: Dataset, roles: Mapping[str, Role]) -> None:
    absent = {name: role for name, role in roles.items() if name not in dataset.arrays and not role.optional}
    if not absent:
        return
    # what undoes a standardisation has no observations and is no candidate
    along = {name: _dims(dataset, name)[:1] for name in dataset.arrays}
    there = [name for name, dim in along.items() if dim and dim == next(iter(along.values()))]
    lines = [
        f"the model needs {name}, which the data do not have: {_kind(role)}, {role.doc}"
        for name, role in absent.items()
    ]
    mapping: dict[str, str | list[str]] = {}
    for name, role in roles.items():
        if not role.optional or name in there:
            column = name if name in there else nearest(name, there) or "COLUMN"
            single = name in there or role.kind != "predictors"
            mapping[name] = column if single else ["COLUMN", "COLUMN"] if column == "COLUMN" else [column]
    lines.append(f"The data have {listed(there)}. Say which column is what: {override(mapping)}")
    optional = [f"{name} ({role.doc})" for name, role in roles.items() if role.optional and name not in there]
    if optional:
        lines.append(f"Optional: {', '.join(optional)}")
    raise DataError("\n".join(lines))


def _kind(role: Role) -> str:
    return {
        "real": "numbers",
        "positive": "numbers above 0",
        "count": "whole numbers from 0",
        "binary": "0 or 1",
        "category": "labels",
        "predictors": "a column or a list of columns of numbers",
    }[role.kind]


def _named_dims(dataset: Dataset, present: Mapping[str, Role]) -> Dataset:
    """Spell out the dims of every array, and call the observations ``obs``."""
    dims = {name: _dims(dataset, name) for name in dataset.arrays}
    # a matrix may have its observations second
    first = next((dims[name][0] for name in present if len(dims[name]) == 1), None) or next(
        (dims[name][0] for name in present if dims[name]), OBS
    )
    apart = [name for name in present if dims[name] and first not in dims[name]]
    if apart:
        told = ", ".join(f"{name} ({', '.join(dims[name])})" for name in apart)
        raise DataError(f"the observations are along {first}, which {told} does not have; wanted the same observations")
    taken = {dim for along in dims.values() for dim in along} | set(dataset.arrays)
    if first != OBS and OBS not in taken:
        dims = {name: tuple(OBS if dim == first else dim for dim in along) for name, along in dims.items()}
        dataset = replace(
            dataset, coords={OBS if dim == first else dim: labels for dim, labels in dataset.coords.items()}
        )
    return replace(dataset, dims=dims)


def _other_units(dataset: Dataset, present: Mapping[str, Role]) -> list[str]:
    """Find arrays that have the unit of another one, where the config changed one of them: by numbers of its own."""
    changed = dataset.origin.changed
    return [
        f"{name} has the unit of {role.unit}, and the config does not change both by the same numbers ({role.unit}: "
        f"{changed.get(role.unit, 'as it is')}; {name}: {changed.get(name, 'as it is')}). Take {role.unit} and {name} "
        "out of data.standardize and data.transform, or bring both to another unit in the file"
        for name, role in present.items()
        # a mean that is taken off changes no unit
        if role.unit is not None
        and role.unit in present
        and (changed.get(role.unit, "centre") != "centre" or name in changed)
    ]


def _free(name: str, dims: Mapping[str, tuple[str, ...]]) -> str:
    taken = {dim for along in dims.values() for dim in along}
    return name if name not in taken else next(f"{name}_{i}" for i in range(2, 99) if f"{name}_{i}" not in taken)


def _formed(dataset: Dataset, name: str, role: Role) -> tuple[np.ndarray, tuple[Any, ...]]:
    values, along = dataset.arrays[name], _dims(dataset, name)
    if role.kind == "predictors":
        return _predictors(dataset, name)
    if values.ndim != 1:
        raise DataError(
            f"{name} has dims ({', '.join(along)}); wanted one value for each observation. {_other(name)}"
            + (f", or take a cell for each label of a dim: data.by={along[-1]}" if values.ndim > 1 else "")
        )
    if role.kind == "category":
        return _category(dataset, name)
    if role.kind == "binary" and (dataset.labels(name) or values.dtype.kind in "OSUT"):
        labels = dataset.labels(name)
        coded, labels = (values, labels) if labels else codes(values)
        if len(labels) == 2:
            return _event(name, coded, labels, stated=name in dataset.ordered)
    numbers = _numbers(dataset, name, role)
    if role.kind == "positive":
        remedy = _remedy(dataset, name, "Leave those rows out, or change the unit or the column")
        _refuse(numbers <= 0, numbers, name, "above 0", remedy)
    if role.kind == "real" and len(numbers) > 1 and (numbers == numbers[0]).all():
        raise DataError(
            f"{name} is constant over all {len(numbers)} rows: nothing can be learned from it. {_other(name)}"
        )
    if role.kind == "binary":
        _refuse(~np.isin(numbers, (0, 1)), numbers, name, "0 or 1", _remedy(dataset, name, _other(name)))
    if role.kind == "count":
        wrong = (numbers < 0) | (numbers != np.round(numbers))
        _refuse(wrong, numbers, name, "whole numbers 0, 1, 2, ...", _remedy(dataset, name, _other(name)))
    return numbers.astype(np.int64 if role.kind in ("binary", "count") else np.float64), ()


def _event(name: str, coded: np.ndarray, labels: tuple[Any, ...], stated: bool) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Code the event as 1; which label that is has to be stated, unless everybody knows."""
    if stated:
        return coded, labels
    known = known_order(labels)
    if known is None:
        raise DataError(
            f"{name} has the labels {labels[0]!r} and {labels[1]!r}, and nothing says which one is 1, the event. State "
            f"it: {event_key(name)}, with the label of what {name} is to be 1 for"
        )
    return (coded if known == labels else 1 - coded), known


def _remedy(dataset: Dataset, name: str, otherwise: str) -> str:
    """Name what made numbers unfit: a standardisation that was meant for other columns."""
    if "standardize" in dataset.origin.changed.get(name, ""):
        return f"data.standardize scaled {name} too; name the columns that are meant: 'data.standardize=[COLUMN]'"
    return otherwise


def _other(name: str) -> str:
    return f"Choose another column: add {override({name: 'COLUMN'})}"


def _refuse(wrong: np.ndarray, values: np.ndarray, name: str, wanted: str, remedy: str) -> None:
    if wrong.any():
        raise DataError(f"{name} must be {wanted}; got {values[wrong][0]:g} in {rows(wrong)}. {remedy}")


def _numbers(dataset: Dataset, name: str, role: Role) -> np.ndarray:
    values = dataset.arrays[name]
    labels = dataset.labels(name)
    if labels is None and values.dtype.kind in "fiub":
        return values.astype(np.float64)
    texts = np.array([str(labels[code]) for code in values] if labels else [str(value) for value in values])
    odd = np.array([not _is_number(text) for text in texts])
    if not odd.any():
        odd[:] = True
    example = f"{str(texts[odd][0])!r} in {rows(odd)}"
    if look_like_dates(texts):
        raise DataError(f"{name} must be {_kind(role)}, and {choices(name, str(texts[0]), labels=False)}")
    if role.kind == "binary":
        remedy = f"State which of two labels is 1: {event_key(name)}" if len(set(texts)) == 2 else _other(name)
    elif odd.all():
        remedy = _other(name)
    else:
        words = ",".join(f'"{word}"' for word in ("", *dict.fromkeys(texts[odd])))
        remedy = f"Correct those cells of the file; if they stand for missing values: 'data.missing=[{words}]'"
    raise DataError(f"{name} must be {_kind(role)} and holds text: {example}. {remedy}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _category(dataset: Dataset, name: str) -> tuple[np.ndarray, tuple[Any, ...]]:
    values = dataset.arrays[name]
    labels = dataset.labels(name)
    written = dataset.origin.written.get(name)
    if labels is None and written is not None and not is_plain(values, written):
        values, labels = codes(values, written)
    if labels is None:
        if values.dtype.kind == "f" and (values != np.round(values)).any():
            odd = values != np.round(values)
            raise DataError(
                f"{name} must be labels or whole numbers; got {values[odd][0]:g} in {rows(odd)}. If these are "
                f"labels: 'data.categories=[{name}]'. {_other(name)}"
            )
        values, labels = codes(values, name=name)
    elif values.size and values.max() >= len(labels):
        raise DataError(
            f"{name} has the code {values.max()} and {len(labels)} labels; wanted codes below {len(labels)}"
        )
    used = np.unique(values)
    if len(used) < 2:
        raise DataError(
            f"{name} has one level, {labels[used[0]]!r}, in all {len(values)} rows; wanted at least two. "
            f"{_other(name)}, or take a model without groups"
        )
    return values.astype(np.int64), labels


def _predictors(dataset: Dataset, name: str) -> tuple[np.ndarray, tuple[Any, ...]]:
    values, along = dataset.arrays[name], _dims(dataset, name)
    if values.ndim == 1:
        matrix = _numbers(dataset, name, Role("predictors", ""))[:, None]
        labels: tuple[Any, ...] = (name,)
    elif values.ndim == 2 and values.dtype.kind in "fiub":
        turned = along[0] != OBS and along[1] == OBS
        matrix = (values.T if turned else values).astype(np.float64)
        labels = tuple(dataset.coords.get(along[0] if turned else along[1], range(matrix.shape[1])))
    else:
        text = f"dims ({', '.join(along)})" if values.dtype.kind in "fiub" else f"text such as {str(values.flat[0])!r}"
        raise DataError(
            f"{name} has {text}; wanted numbers with dims (obs, predictor): {override({name: ['COLUMN', 'COLUMN']})}"
        )
    constant = (matrix == matrix[0]).all(axis=0)
    if constant.any():
        rest = [str(label) for label, bad in zip(labels, constant, strict=True) if not bad]
        which = listed(label for label, bad in zip(labels, constant, strict=True) if bad)
        if len(matrix) == 1:
            raise DataError(f"{name} has one row, from which no slope can be learned; wanted two or more")
        raise DataError(
            f"{name} has constant predictors: {which}. The model has an intercept already; leave them out: "
            f"add {override({name: rest or ['COLUMN']})}"
        )
    return matrix, labels
