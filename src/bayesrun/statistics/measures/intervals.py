"""Performance measures of intervals, and the losses of single replicates that methods are compared by.

Intervals are taken as they are given, equal-tailed or of highest density. It makes none from draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesrun.statistics.measures.estimate import Estimate, average, complete, each, mean_of, rate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bayesrun.statistics.measures.estimate import Floats

__all__ = [
    "bias_eliminated_coverage",
    "coverage",
    "interval_score",
    "interval_scores",
    "miss_left",
    "miss_right",
    "misses",
    "width",
]


def coverage(lower: ArrayLike, upper: ArrayLike, truth: ArrayLike) -> Estimate:
    """Share of intervals that contain the truth, ends included.

    Parameters
    ----------
    lower, upper
        Ends of the intervals, dims (..., replicate).
    truth
        True values, dims (..., replicate); a fixed one may be a number.

    Returns
    -------
    Estimate
        Over truths drawn from the prior, of a right fit of the right model, the nominal level exactly; for a fixed
        truth a Bayesian interval need not have it.

    Raises
    ------
    ValueError
        If the inputs do not broadcast, or have no dim.

    References
    ----------
    Morris, White, Crowther (2019), table 6, doi:10.1002/sim.8086.
    """
    return rate(each(lambda low, high, t: (low <= t) & (t <= high), lower, upper, truth))


def bias_eliminated_coverage(lower: ArrayLike, upper: ArrayLike, estimate: ArrayLike, truth: ArrayLike) -> Estimate:
    """Share of intervals that contain truth + bias: what coverage would be if only the width could be wrong.

    Parameters
    ----------
    lower, upper, truth
        As for `coverage`.
    estimate
        Point estimates, dims (..., replicate); the bias is their mean error.

    Returns
    -------
    Estimate
        For a fixed truth, truth + bias is the mean of the estimates.

    Raises
    ------
    ValueError
        As for `coverage`.

    References
    ----------
    Morris, White, Crowther (2019), section 5.2 and table 6, doi:10.1002/sim.8086.
    """
    (low, high, h, t), used = complete(lower, upper, estimate, truth)
    moved = t + np.asarray(mean_of(h - t, used))[..., None]
    return rate(np.where(used, (low <= moved) & (moved <= high), np.nan))


def miss_left(lower: ArrayLike, upper: ArrayLike, truth: ArrayLike) -> Estimate:
    """Share of intervals with the truth to their left, truth < lower: intervals that lie too high.

    Parameters
    ----------
    lower, upper, truth
        As for `coverage`.

    Returns
    -------
    Estimate
        With `miss_right` and `coverage` it sums to 1.

    Raises
    ------
    ValueError
        As for `coverage`.
    """
    return rate(each(lambda low, _, t: t < low, lower, upper, truth))


def miss_right(lower: ArrayLike, upper: ArrayLike, truth: ArrayLike) -> Estimate:
    """Share of intervals with the truth to their right, truth > upper: intervals that lie too low.

    Parameters
    ----------
    lower, upper, truth
        As for `coverage`.

    Returns
    -------
    Estimate
        See `miss_left`.

    Raises
    ------
    ValueError
        As for `coverage`.
    """
    return rate(each(lambda _, high, t: t > high, lower, upper, truth))


def width(lower: ArrayLike, upper: ArrayLike) -> Estimate:
    """Mean width of the intervals, with sd / sqrt(n).

    Parameters
    ----------
    lower, upper
        As for `coverage`.

    Returns
    -------
    Estimate
        In the unit of the ends.

    Raises
    ------
    ValueError
        As for `coverage`.
    """
    return average(each(lambda low, high: high - low, lower, upper))


def interval_score(lower: ArrayLike, upper: ArrayLike, truth: ArrayLike, level: float) -> Estimate:
    """Mean interval score, with sd / sqrt(n): narrow intervals are good, misses cost by their distance.

    Parameters
    ----------
    lower, upper, truth
        As for `coverage`.
    level
        Probability of the intervals, in (0, 1).

    Returns
    -------
    Estimate
        In the unit of the ends; smaller is better.

    Raises
    ------
    ValueError
        As for `coverage`, or if `level` is not in (0, 1).

    References
    ----------
    Gneiting, Raftery (2007), section 6.2, doi:10.1198/016214506000001437.
    """
    return average(interval_scores(lower, upper, truth, level))


def interval_scores(lower: ArrayLike, upper: ArrayLike, truth: ArrayLike, level: float) -> Floats:
    """(U - L) + (2 / a) (L - t) if t < L + (2 / a) (t - U) if t > U, with a = 1 - level, for each replicate.

    Parameters
    ----------
    lower, upper, truth, level
        As for `interval_score`.

    Returns
    -------
    array
        Dims (..., replicate); NaN where an input is missing.

    Raises
    ------
    ValueError
        As for `interval_score`.
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval is in (0, 1), got {level!r}")

    def score(low: Floats, high: Floats, t: Floats) -> Floats:
        outside = np.maximum(low - t, 0.0) + np.maximum(t - high, 0.0)
        return np.asarray(high - low + 2.0 / (1.0 - level) * outside)

    return each(score, lower, upper, truth)


def misses(lower: ArrayLike, upper: ArrayLike, truth: ArrayLike) -> Floats:
    """1 where the interval does not contain the truth, for each replicate.

    Parameters
    ----------
    lower, upper, truth
        As for `coverage`.

    Returns
    -------
    array
        0 or 1, dims (..., replicate); NaN where an input is missing.

    Raises
    ------
    ValueError
        As for `coverage`.
    """
    return each(lambda low, high, t: (t < low) | (t > high), lower, upper, truth)
