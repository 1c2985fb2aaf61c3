"""Whether the numbers of a dataset arrive in a model as they are; it changes none.

PyMC casts what it is given without a word: whole numbers to 32 bits, where larger ones wrap, and the observed values
of a distribution of whole numbers to such, where fractions are cut off.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pymc as pm

__all__ = ["Given", "casts", "is_masked", "lost", "masked", "watched"]

ROUNDING: Final = 1e-6
"""Share of the standard deviation that single precision may move a number by."""

type Given = list[tuple[str, np.ndarray, np.ndarray | None]]
"""Name of a variable, what the model's code gave PyMC, and what PyMC keeps of it; None: what the model observes."""


@contextmanager
def watched() -> Iterator[Given]:
    """Note what a model's code hands over to PyMC while it is built."""
    import pymc.data
    from pymc.distributions import distribution
    from pymc.model.core import Model

    given: Given = []
    waiting: list[np.ndarray] = []
    observe, convert, convert_observed = Model.make_obs_var, pymc.data.convert_data, distribution.convert_observed_data

    def observed(self: Any, rv: Any, data: Any, *arguments: Any, **options: Any) -> Any:
        values = _numbers(data)
        given.extend((str(rv.name), before, None) for before in [*waiting, *([] if values is None else [values])])
        waiting.clear()
        return observe(self, rv, data, *arguments, **options)

    def converted_observed(data: Any) -> Any:
        # a distribution converts what it is given before the model sees it
        before = _numbers(data)
        waiting.extend([] if before is None else [before])
        return convert_observed(data)

    def converted(data: Any) -> Any:
        kept = convert(data)
        before, after = _numbers(data), _numbers(kept)
        if before is not None and after is not None:
            given.append(("pm.Data", before, after))
        return kept

    Model.make_obs_var, pymc.data.convert_data = observed, converted
    distribution.convert_observed_data = converted_observed
    try:
        yield given
    finally:
        Model.make_obs_var, pymc.data.convert_data = observe, convert
        distribution.convert_observed_data = convert_observed


@contextmanager
def masked() -> Iterator[list[np.ma.MaskedArray[Any, Any]]]:
    """Note the arrays with gaps that a model's code hands over to be observed as such, which PyMC draws."""
    from pymc.distributions import distribution

    given: list[np.ma.MaskedArray[Any, Any]] = []
    convert = distribution.convert_observed_data

    def converted(data: Any) -> Any:
        given.extend([data] if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data) else [])
        return convert(data)

    distribution.convert_observed_data = converted
    try:
        yield given
    finally:
        distribution.convert_observed_data = convert


def is_masked(array: np.ndarray, given: Iterable[np.ma.MaskedArray[Any, Any]]) -> bool:
    """Whether the gaps of an array are those of one that was handed over as such."""
    if array.dtype.kind != "f":
        return False
    gaps = np.isnan(array)
    return any(
        one.shape == array.shape
        and np.array_equal(np.ma.getmaskarray(one), gaps)
        and np.array_equal(np.asarray(one.data)[~gaps], array[~gaps])
        for one in given
    )


def casts(model: pm.Model, given: Given, arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Find numbers that a model has otherwise than they were given, or than the dataset has them.

    Parameters
    ----------
    model
        What was built.
    given
        What `watched` noted meanwhile.
    arrays
        The arrays of the dataset that it was built on.

    Returns
    -------
    list of str
        One line for each variable: what the dataset has, what the model has, the remedy.
    """
    held = _held(model)
    found: dict[str, None] = {}
    for name, before, kept in given:
        after = held.get(name) if kept is None else kept
        if after is not None and (told := lost(before, after)):
            found[f"{name} {told}"] = None
    if found:
        return list(found)
    for name, after in held.items():
        alike = {source: array for source, array in arrays.items() if _alike(array, after)}
        if any(_equal(array, after) for array in alike.values()):
            continue
        for source, array in alike.items():
            via = _via(array, after)
            told = lost(array, after, rounded=via == "float32") if via else None
            found |= {f"{name} is made of {source} and {told}": None} if told else {}
    return list(found)


def lost(before: np.ndarray, after: np.ndarray, *, rounded: bool = False) -> str | None:
    """Say what a cast lost, or None.

    Parameters
    ----------
    before, after
        Numbers of the same shape; those of another shape are no cast.
    rounded
        Whether `after` went through single precision, whatever its dtype.
    """
    if not _alike(before, after):
        return None
    wanted = before.astype(np.float64) if "f" in (before.dtype.kind, after.dtype.kind) else before
    wrong = (wanted != after) & ~(_nan(wanted) | _nan(after))
    rounded = rounded or after.dtype in (np.float32, np.float16)
    if rounded and wrong.any():
        spread = float(np.nanstd(wanted)) or float(np.nanmax(np.abs(wanted)))
        wrong &= np.abs(wanted - after) > ROUNDING * spread
    if not wrong.any():
        return None
    place = int(np.flatnonzero(wrong.ravel())[0])
    told = f"has {after.ravel()[place]:.15g} where the data have {before.ravel()[place]:.15g} (value {place + 1})"
    if rounded:
        return f"{told}: single precision is too coarse for them; hand over float64"
    if not np.array_equal(wanted[wrong], np.round(wanted[wrong])):
        return (
            f"{told}: whole numbers are made of fractions, as for the counts of a Poisson; give it counts (of a rate, "
            "the counts and the exposure as an offset), or take a distribution of real numbers"
        )
    return (
        f"{told}: whole numbers are kept in 32 bits or fewer, and larger ones wrap; hand over floats, "
        "data[...].astype(float), or count in a larger unit"
    )


def _held(model: pm.Model) -> dict[str, np.ndarray]:
    """Values of the observed variables and of the data of a model."""
    from pymc.pytensorf import extract_obs_data

    found = {}
    for rv in model.observed_RVs:
        try:
            found[str(rv.name)] = np.asarray(extract_obs_data(model.rvs_to_values[rv]))
        except TypeError:  # made within the graph: nothing was handed over
            continue
    for shared in model.data_vars:
        values = getattr(shared, "get_value", lambda: None)()
        if values is not None:
            found[str(shared.name)] = np.asarray(values)
    return found


def _numbers(data: Any) -> np.ndarray | None:
    """Give numbers that were handed over as an array; None for what is none, or has gaps to be drawn."""
    if hasattr(data, "get_value"):
        data = data.get_value(borrow=True)
    elif hasattr(data, "owner"):
        return None
    try:
        values = np.asarray(data)
    except (TypeError, ValueError):
        return None
    masked = isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data)
    return values if values.dtype.kind in "fiub" and not masked else None


def _nan(values: np.ndarray) -> np.ndarray:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=bool)


def _alike(array: np.ndarray, after: np.ndarray) -> bool:
    return array.shape == after.shape and array.dtype.kind in "fiub" and array.size > 0


def _equal(array: np.ndarray, after: np.ndarray) -> bool:
    return bool((np.asarray(array == after) | (_nan(array) & _nan(after))).all())


def _via(array: np.ndarray, after: np.ndarray) -> str | None:
    """Name the dtype through which numbers became what a model has; None where they did not by a cast."""
    with np.errstate(invalid="ignore", over="ignore"):
        for dtype in ("int64", "int32", "int16", "float32"):
            if np.array_equal(array.astype(dtype).astype(after.dtype), after, equal_nan=after.dtype.kind == "f"):
                return dtype
    return None
