"""Named transforms of one column, and standardisation; nothing is estimated beyond means and SDs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesrun.data.hints import missing, nearest, rows
from bayesrun.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["TRANSFORMS", "apply", "sought", "standardise"]


def _centre(values: np.ndarray) -> np.ndarray:
    centred: np.ndarray = values - values[np.isfinite(values)].mean()
    return centred


def _scale_by_mean(values: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = values / values[np.isfinite(values)].mean()
    return scaled


TRANSFORMS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "centre": _centre,
    "scale_by_mean": _scale_by_mean,
}
"""Transforms by name: natural log, log(1 + x), square root, minus the mean, divided by the mean.
``is:LABEL`` is another one: 1 where a column has that label as the file writes it, 0 elsewhere."""

# below (or at, for log) these the result is not a number
_LOWER: Mapping[str, float] = {"log": 0.0, "log1p": -1.0, "sqrt": 0.0}
_LABEL = "is:"


def apply(name: str, values: np.ndarray, transform: str) -> np.ndarray:
    """Apply one named transform to a column.

    Parameters
    ----------
    name
        What the column is called, for messages.
    values
        Dims (obs, ...); NaN stays NaN, and a text that is missing stays missing.
    transform
        A name in `TRANSFORMS`, or ``is:LABEL``.

    Returns
    -------
    numpy.ndarray
        Same dims, float64.

    Raises
    ------
    DataError
        For an unknown transform, text where numbers are needed, and values outside the domain.
    """
    label = sought(transform)
    if label is not None:
        return _equals(name, values, label)
    if transform not in TRANSFORMS:
        near = nearest(transform, TRANSFORMS)
        hint = f"did you mean {near}? " if near else ""
        raise DataError(
            f"data.transform.{name}: there is no transform {transform!r}; {hint}"
            f"There are {', '.join(TRANSFORMS)} and is:LABEL"
        )
    if values.dtype.kind not in "fiub":
        raise DataError(
            f"data.transform.{name}: {transform} needs numbers, and {name} holds text such as {str(values.flat[0])!r}"
        )
    numbers = values.astype(np.float64)
    lower = _LOWER.get(transform, -np.inf)
    outside = numbers < lower if transform == "sqrt" else numbers <= lower
    # an infinite value is reported as missing later, with its remedy
    outside &= np.isfinite(numbers)
    if outside.any():
        sign = ">=" if transform == "sqrt" else ">"
        raise DataError(
            f"data.transform.{name}: {transform} needs values {sign} {lower:g}; got {numbers[outside].flat[0]:g} in "
            f"{rows(outside.reshape(len(outside), -1).any(axis=1))}. Leave those rows out or choose another transform"
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        return TRANSFORMS[transform](numbers)


def sought(transform: str) -> str | None:
    """Return the label that ``is:LABEL`` names; None for other transforms."""
    return transform.removeprefix(_LABEL) if transform.startswith(_LABEL) else None


def _equals(name: str, values: np.ndarray, label: str) -> np.ndarray:
    absent = missing(values)
    texts = values.astype(str)
    hit = texts == label
    if not hit.any():
        labels = sorted({str(text) for text in texts[~absent]})
        near = nearest(label, labels)
        hint = f"did you mean {near!r}? " if near else ""
        raise DataError(
            f"data.transform.{name}: no row of {name} is {label!r}; {hint}It has "
            f"{', '.join(repr(text) for text in labels[:8])}{', ...' if len(labels) > 8 else ''}"
        )
    return np.where(absent, np.nan, hit.astype(np.float64))


def standardise(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Scale a column to mean 0 and standard deviation 1.

    The standard deviation has n - 1 in its denominator, as pandas' ``std`` does. NaN and infinite values
    take no part in either. A constant column keeps scale 1, so that it is still found to be constant.

    Parameters
    ----------
    values
        Dims (obs, ...).

    Returns
    -------
    scaled : numpy.ndarray
        Same dims: ``(values - mean) / scale``.
    mean, scale : float
        In the units of `values`; ``scaled * scale + mean`` gives them back.
    """
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        return numbers, 0.0, 1.0
    mean = float(finite.mean())
    constant = finite.size < 2 or finite.min() == finite.max()
    scale = 1.0 if constant else float(finite.std(ddof=1))
    return (numbers - mean) / scale, mean, scale
