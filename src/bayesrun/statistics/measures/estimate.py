"""An estimate with its Monte Carlo standard error, made of means or shares over replicates.

It knows nothing of what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    type Floats = NDArray[np.float64]
    type Integers = NDArray[np.int64]
    type Flags = NDArray[np.bool_]

__all__ = [
    "NORMAL",
    "Estimate",
    "average",
    "complete",
    "each",
    "mean_of",
    "rate",
    "variance_of",
    "wilson",
    "with_error",
]

NORMAL = 1.96
"""Half width of a 95 % interval in standard errors."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A performance measure and how precisely the replicates tell it.

    Every field has the dims of the input without the last one, replicate; of a one-dimensional input it is a number.

    Parameters
    ----------
    value
        The measure. NaN where it is not defined.
    mcse
        Its Monte Carlo standard error, in the same unit. NaN with fewer than two replicates, except for shares.
    lower, upper
        95 % interval of the measure over simulation studies: value -+ 1.96 mcse, and Wilson's for shares.
    n
        Replicates used: those in which everything that the measure needs is a finite number.
    """

    value: Floats
    mcse: Floats
    lower: Floats
    upper: Floats
    n: Integers


def complete(*inputs: ArrayLike) -> tuple[list[Floats], Flags]:
    """Bring inputs to one shape, and find the replicates in which none of them is missing.

    Parameters
    ----------
    inputs
        Numbers with dims (..., replicate), or that broadcast to them (a fixed truth).

    Returns
    -------
    list of array
        Dims (..., replicate), as floats, with zeros for replicates that are not used.
    array of bool
        Dims (..., replicate): all inputs are finite.

    Raises
    ------
    ValueError
        If the inputs have no dim in common, or no dim at all.
    """
    arrays = np.broadcast_arrays(*(np.asarray(values, dtype=np.float64) for values in inputs))
    if arrays[0].ndim == 0:
        raise ValueError("got single numbers: measures are taken over replicates, the last dim of an array")
    used = np.isfinite(arrays[0])
    for values in arrays[1:]:
        used = used & np.isfinite(values)
    return [np.where(used, values, 0.0) for values in arrays], used


def each(measure: Callable[..., ArrayLike], *inputs: ArrayLike) -> Floats:
    """Work out a number for each replicate in which no input is missing.

    Parameters
    ----------
    measure
        Takes the inputs as arrays of one shape, and returns a number or a truth value for each element.
    inputs
        As for `complete`.

    Returns
    -------
    array
        Dims (..., replicate); NaN where an input is missing.

    Raises
    ------
    ValueError
        As for `complete`.
    """
    values, used = complete(*inputs)
    return np.where(used, measure(*values), np.nan)


def average(values: ArrayLike) -> Estimate:
    """Mean over replicates, with sd / sqrt(n).

    Parameters
    ----------
    values
        Dims (..., replicate); NaN where there is none.

    Returns
    -------
    Estimate
        In the unit of the values.

    Raises
    ------
    ValueError
        If `values` has no dim.
    """
    (x,), used = complete(values)
    n = used.sum(axis=-1)
    mean = mean_of(x, used)
    return with_error(mean, np.sqrt(variance_of(x, used) / np.maximum(n, 1)), n)


def rate(events: ArrayLike) -> Estimate:
    """Share of replicates in which something happened, with sqrt(p (1 - p) / n) and Wilson's interval.

    Parameters
    ----------
    events
        0 or 1, dims (..., replicate); NaN where it is not known.

    Returns
    -------
    Estimate
        At a share of 0 or 1 the Wald error is 0, but the interval is not.

    Raises
    ------
    ValueError
        If `events` has no dim, or has other values than 0, 1 and NaN.

    References
    ----------
    Morris, White, Crowther (2019), table 6, doi:10.1002/sim.8086.
    """
    (x,), used = complete(events)
    if not np.isin(x, (0.0, 1.0)).all():
        raise ValueError("events are 0 or 1, or NaN where it is not known")
    n = used.sum(axis=-1)
    share = mean_of(x, used)
    lower, upper = wilson(x.sum(axis=-1), n)
    return Estimate(share, _number(np.sqrt(share * (1.0 - share) / np.maximum(n, 1))), lower, upper, n)


def wilson(count: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """95 % interval of a probability, never of width 0.

    Parameters
    ----------
    count
        How often it happened, any shape.
    n
        Out of how many.

    Returns
    -------
    lower, upper
        In [0, 1]; NaN where n is 0.

    References
    ----------
    Wilson (1927), doi:10.1080/01621459.1927.10502953; recommended by Brown, Cai, DasGupta (2001),
    doi:10.1214/ss/1009213286.
    """
    x, size = np.asarray(count, dtype=np.float64), np.asarray(n, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = x / size
        centre = (x + NORMAL**2 / 2) / (size + NORMAL**2)
        half = NORMAL * size / (size + NORMAL**2) * np.sqrt(share * (1 - share) / size + (NORMAL / (2 * size)) ** 2)
    # at 0 and 1 the end is exactly there; rounding would leave the share itself outside
    lower = np.where(x == 0, 0.0, centre - half) + 0 * share
    upper = np.where(x == size, 1.0, centre + half) + 0 * share
    return _number(lower), _number(upper)


def with_error(value: Floats, mcse: Floats, n: Integers) -> Estimate:
    """Make an estimate whose interval is value -+ 1.96 mcse. Dims (...) of all three."""
    return Estimate(_number(value), _number(mcse), _number(value - NORMAL * mcse), _number(value + NORMAL * mcse), n)


def mean_of(x: Floats, used: Flags) -> Floats:
    """Mean over the used replicates; dims (..., replicate) to (...). NaN where there are none."""
    n = used.sum(axis=-1)
    total = np.where(used, x, 0.0).sum(axis=-1)
    return _number(np.where(n > 0, total / np.maximum(n, 1), np.nan))


def variance_of(x: Floats, used: Flags) -> Floats:
    """Variance over the used replicates, over n - 1; dims (..., replicate) to (...). NaN for fewer than two."""
    n = used.sum(axis=-1)
    # distances to one of the values, so that equal values have a variance of exactly 0
    first = np.take_along_axis(x, used.argmax(axis=-1, keepdims=True), axis=-1) if x.shape[-1] else 0.0
    moved = np.where(used, x - first, 0.0)
    centre = moved.sum(axis=-1, keepdims=True) / np.maximum(n, 1)[..., None]
    squares = np.where(used, (moved - centre) ** 2, 0.0).sum(axis=-1)
    return _number(np.where(n > 1, squares / np.maximum(n - 1, 1), np.nan))


def _number(x: Floats) -> Floats:
    """Turn an array without dims into a number."""
    plain: Floats = np.asarray(x, dtype=np.float64)[()]
    return plain
