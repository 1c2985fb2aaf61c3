"""Which arrays of a dataset a model observes, and datasets with other values in their place.

Which array it is, is found by comparing values; `simulator` proves it by building the model on drawn data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant

from bayesrun.simulate.programs import evaluated
from bayesrun.types import Dataset

if TYPE_CHECKING:
    import pymc as pm

__all__ = ["FromDraws", "candidates", "degenerate", "equal", "filled", "observed_values", "replaced"]

type FromDraws = Callable[[Dataset, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def observed_values(model: pm.Model) -> dict[str, np.ndarray]:
    """Return what a model is conditioned on: name of the observed variable to its values."""
    found: dict[str, np.ndarray] = {}
    waiting: dict[str, Any] = {}
    for rv in model.observed_RVs:
        value = model.rvs_to_values[rv]
        if isinstance(value, Constant):
            found[str(rv.name)] = np.asarray(value.data)
        elif isinstance(value, SharedVariable):
            found[str(rv.name)] = np.asarray(value.get_value())
        else:
            waiting[str(rv.name)] = value
    if waiting:
        found |= dict(zip(waiting, evaluated(list(waiting.values())), strict=True))
    return {str(rv.name): found[str(rv.name)] for rv in model.observed_RVs}


def candidates(model: pm.Model, data: Dataset) -> dict[str, list[str]]:
    """Find the arrays that hold the values of each observed variable.

    Parameters
    ----------
    model
        Built on `data`.
    data
        Its dataset.

    Returns
    -------
    dict
        Name of the observed variable to the names of all arrays that equal its values; none where the model observes
        values that it worked out, and several where arrays are alike.
    """
    values = observed_values(model)
    return {
        name: [array for array in data if equal(data[array], value) or equal(_without_gaps(data[array], value), value)]
        for name, value in values.items()
    }


def filled(array: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Put drawn values where an array has any, if it has gaps, which stay."""
    if array.shape == drawn.shape or array.dtype.kind != "f":
        return drawn
    there = ~np.isnan(array)
    if drawn.shape != (int(there.sum()),):
        return drawn
    found = array.copy()
    found[there] = drawn
    return found


def _without_gaps(array: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Values of an array with gaps in one row, as PyMC observes them, where that row is as long as `value`."""
    if array.dtype.kind != "f" or value.ndim != 1 or array.shape == value.shape:
        return array
    there = ~np.isnan(array)
    return array[there] if int(there.sum()) == value.size else array


def replaced(data: Dataset, arrays: Mapping[str, np.ndarray]) -> Dataset:
    """Put drawn arrays in the place of those of a dataset.

    Parameters
    ----------
    data
        Kept but for the arrays that are replaced: covariates, dims, coords and name.
    arrays
        Name to values. Counts stay whole numbers, truths stay truths and reals float64, so that all datasets of a
        study have the same form. An array that is new gets the dims of one that is as long.
    """
    new = {name: _like(data.arrays.get(name), values) for name, values in arrays.items()}
    dims = dict(data.dims)
    for name, values in new.items():
        if name not in data.arrays:
            alike = [dims[other] for other in dims if np.shape(data.arrays[other]) == values.shape]
            dims |= {name: alike[0]} if alike else {}
    return replace(data, arrays={**data.arrays, **new}, dims=dims)


def _like(old: np.ndarray | None, drawn: np.ndarray) -> np.ndarray:
    """Give drawn values the kind of number that the dataset had, where that loses nothing."""
    kind = drawn.dtype.kind if old is None else old.dtype.kind
    whole = drawn.dtype.kind in "biu"
    if kind == "b" and whole and np.isin(drawn, (0, 1)).all():
        return drawn.astype(np.bool_)
    return drawn.astype(np.int64 if kind in "biu" and whole else np.float64)


def degenerate(drawn: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> str:
    """Say what makes drawn data useless for a fit; empty where nothing does.

    Parameters
    ----------
    drawn
        Observed variables.
    truth
        Free variables and Deterministics.
    """
    found = []
    for name, values in [*drawn.items(), *truth.items()]:
        bad = ~np.isfinite(values)
        if bad.any():
            found.append(f"{name} is not finite in {int(bad.sum())} of {values.size} values")
    for name, values in drawn.items():
        if values.size > 1 and np.isfinite(values).all() and (values == values.flat[0]).all():
            found.append(f"all {values.size} values of {name} are {float(values.flat[0]):g}")
    return "; ".join(found)


def equal(array: np.ndarray, held: np.ndarray) -> bool:
    """Whether an array of a dataset is what a model holds, up to the model's own precision."""
    if array.dtype.kind not in "biuf" or array.shape != held.shape:
        return False
    with np.errstate(invalid="ignore"):  # a column that the model does not read may have gaps
        return bool(np.array_equal(array.astype(held.dtype), held, equal_nan=held.dtype.kind == "f"))
