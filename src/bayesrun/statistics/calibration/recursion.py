"""The exact distribution of the ECDF of uniform ranks, along its evaluation points.

It is arithmetic only: what is a band and what is a p-value is said in `bands`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtr, bdtrc, gammaln

if TYPE_CHECKING:
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]
    type Integers = NDArray[np.int64]

__all__ = ["SAME", "at_least", "leaving", "limits", "neighbours", "statistics"]

SAME = 1e-9
"""Relative difference up to which two probabilities are one: F at z and 1 - F at 1 - z differ by rounding only."""


def statistics(counts: Integers, n: int, z: Floats) -> Floats:
    """Work out 2 min_k min(P(X_k <= x_k), P(X_k >= x_k)) with X_k ~ Binomial(n, z_k), one for each set of ranks.

    Parameters
    ----------
    counts
        Ranks below each inner evaluation point. Dims (set, K - 1).
    n
        Ranks in a set.
    z
        Inner evaluation points as shares of the L + 1 ranks. Dims (K - 1).

    Returns
    -------
    array
        Dims (set), in (0, 2).
    """
    low = bdtr(counts.astype(float), n, z)
    return np.asarray(2.0 * np.minimum(low, at_least(counts, n, z)).min(axis=-1))


def at_least(counts: Integers, n: int, z: Floats) -> Floats:
    """Work out P(X >= count) for X ~ Binomial(n, z). Dims (..., K - 1)."""
    return np.asarray(np.where(counts <= 0, 1.0, bdtrc(np.maximum(counts - 1, 0).astype(float), n, z)))


def limits(n: int, z: Floats, gamma: float) -> tuple[Integers, Integers]:
    """Find the smallest and the largest counts that depart less than `gamma` does.

    Parameters
    ----------
    n, z
        See `statistics`.
    gamma
        Value of the statistic that is just outside.

    Returns
    -------
    lower, upper
        Dims (K - 1). Where no count is inside, `lower` is the larger.
    """
    cut = 0.5 * gamma * (1.0 + SAME)
    lower = _first_above(cut, n, z)
    return lower, n - _first_above(cut, n, 1.0 - z)


def _first_above(cut: float, n: int, z: Floats) -> Integers:
    """Find the smallest x with P(X <= x) > cut for X ~ Binomial(n, z), by bisection at all points together."""
    low, high = np.full(z.size, -1), np.full(z.size, n)
    while (open_ := high - low > 1).any():
        middle = (low[open_] + high[open_]) // 2
        above = bdtr(middle.astype(float), n, z[open_]) > cut
        high[open_] = np.where(above, middle, high[open_])
        low[open_] = np.where(above, low[open_], middle)
    return high


def leaving(n: int, points: Integers, lower: Integers, upper: Integers, tiny: float) -> float:
    """Work out the probability that uniform ranks are outside of limits at any evaluation point.

    Parameters
    ----------
    n
        Number of ranks.
    points
        From `counts.evaluation_points`. Dims (K + 1).
    lower, upper
        From `limits`. Dims (K - 1).
    tiny
        Poisson probabilities up to this do not count.

    Returns
    -------
    float
        In [0, 1], with a relative error of rounding only, however small it is.

    Notes
    -----
    The number of ranks below each point is a Markov chain with binomial steps (Säilynoja et al. 2022). Its paths have
    the probabilities of a Poisson process that is known to have n events at the end, whose steps do not depend on the
    state: one convolution a point. What leaves the limits is summed with the probability of reaching the end from
    there, because one less what stays would have no digits left for small probabilities.
    """
    total = int(points[-1])
    log_factorial = gammaln(np.arange(n + 1) + 1.0)
    widths = np.diff(points)
    steps = {int(width): _poisson(n, n * width / total, log_factorial, tiny) for width in np.unique(widths)}
    inside, start, left = np.ones(1), 0, 0.0
    for width, point, low, high in zip(widths[:-1], points[1:-1], lower, upper, strict=True):
        spread = np.convolve(inside, steps[int(width)])[: n - start + 1]
        first, last = max(int(low) - start, 0), max(int(high) - start + 1, 0)
        last = max(first, last)
        for out, at in ((spread[:first], start), (spread[last:], start + last)):
            if out.size:
                rest = n - np.arange(at, at + out.size)
                mean = n * (total - int(point)) / total
                left += float(out @ np.exp(rest * math.log(mean) - mean - log_factorial[rest]))
        inside, start = spread[first:last], start + first
        if inside.size == 0:
            break
    return min(1.0, left / math.exp(n * math.log(n) - n - log_factorial[n]))


def _poisson(n: int, mean: float, log_factorial: Floats, tiny: float) -> Floats:
    """Work out the probabilities of 0, 1, ... up to the last that is not negligible, at most n."""
    probability = np.exp(np.arange(n + 1) * math.log(mean) - mean - log_factorial)
    return probability[: int(np.flatnonzero(probability > tiny)[-1]) + 1]


def neighbours(n: int, z: Floats, gamma: float) -> tuple[float, float]:
    """Find the largest value of the statistic at any point that is at most `gamma`, and the next larger one.

    Parameters
    ----------
    n, z
        See `statistics`.
    gamma
        Any number in (0, 2).

    Returns
    -------
    at_most, following
        The first is 0 where no value is as small.
    """
    lower, upper = limits(n, z, gamma)
    below = np.where(lower > 0, bdtr(np.maximum(lower - 1, 0).astype(float), n, z), 0.0)
    beyond = np.where(upper < n, at_least(upper + 1, n, z), 0.0)
    inside = np.minimum(bdtr(lower.astype(float), n, z), at_least(upper, n, z))
    return 2.0 * float(np.maximum(below, beyond).max()), 2.0 * float(inside.min())
