"""Performance measures of point estimates, each with its Monte Carlo standard error.

Errors are estimate minus truth, so that a truth that varies between replicates needs no other formula. What is
measured of posterior SDs is in `spreads`, and of intervals in `intervals`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from bayesrun.statistics.measures.estimate import Estimate, average, complete, each, mean_of, variance_of, with_error

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bayesrun.statistics.measures.estimate import Flags, Floats

__all__ = [
    "NEAR_ZERO_OF_ERRORS",
    "NEAR_ZERO_OF_TRUTHS",
    "bias",
    "empirical_se",
    "mae",
    "mse",
    "paired_contrast",
    "relative_bias",
    "rmse",
]

NEAR_ZERO_OF_ERRORS = 0.01
"""Share of the SD of errors below which a truth is near 0: 10,000 replicates would leave an MCSE above 100 %."""

NEAR_ZERO_OF_TRUTHS = 0.1
"""Share of the median truth below which the smallest one is near 0: the truths then have a density at 0 as far as
the replicates tell, and the mean of 1 / truth need not exist."""


def bias(estimate: ArrayLike, truth: ArrayLike) -> Estimate:
    """Mean error, with sqrt(sum((e - ebar)^2) / (n (n - 1))).

    Parameters
    ----------
    estimate
        Point estimates, dims (..., replicate).
    truth
        True values, dims (..., replicate); a fixed one may be a number.

    Returns
    -------
    Estimate
        In the unit of the estimates. The error contains the Monte Carlo error of the draws.

    Raises
    ------
    ValueError
        If the inputs do not broadcast, or have no dim.

    References
    ----------
    Morris, White, Crowther (2019), table 6, doi:10.1002/sim.8086. The error is computed from errors, not from
    estimates, whose spread contains the truth's where it is drawn.
    """
    return average(each(np.subtract, estimate, truth))


def relative_bias(estimate: ArrayLike, truth: ArrayLike) -> Estimate:
    """Mean of error / truth, a share of the truth; not defined near a truth of 0.

    Parameters
    ----------
    estimate, truth
        As for `bias`.

    Returns
    -------
    Estimate
        NaN where truths are near 0: the smallest is below 0.01 SDs of the errors or below 0.1 of the median one,
        or truths of both signs are there.

    Raises
    ------
    ValueError
        As for `bias`.

    References
    ----------
    Siepe et al. (2024), doi:10.1037/met0000695.
    """
    (h, t), used = complete(estimate, truth)
    spread = np.sqrt(np.nan_to_num(np.asarray(variance_of(h - t, used))))
    size = np.where(used, np.abs(t), np.inf)
    middle = _lower_median(size, used)
    smallest = size.min(axis=-1, initial=np.inf)
    near = (smallest <= NEAR_ZERO_OF_ERRORS * spread) | (smallest <= NEAR_ZERO_OF_TRUTHS * middle)
    near |= (np.where(used, t, 0.0) > 0).any(axis=-1) & (np.where(used, t, 0.0) < 0).any(axis=-1)
    defined = used & ~near[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(defined, (h - t) / t, np.nan)
    return average(ratio)


def empirical_se(estimate: ArrayLike, truth: ArrayLike, error: Literal["robust", "normal"] = "robust") -> Estimate:
    """SD of the estimates where the truth is fixed, and of the errors where it varies.

    Parameters
    ----------
    estimate, truth
        As for `bias`.
    error
        ``robust``: (E / 2) sqrt((kappa - 1) / n) with the kurtosis kappa = m4 / m2^2 of the errors; ``normal``:
        E / sqrt(2 (n - 1)), too small where errors have heavy tails.

    Returns
    -------
    Estimate
        In the unit of the estimates.

    Raises
    ------
    ValueError
        As for `bias`, or for an unknown kind of error.

    References
    ----------
    Morris, White, Crowther (2019), table 6, doi:10.1002/sim.8086 (normal); the delta method on the variance of a
    sample variance, mu4 / n - sigma^4 / n (robust).
    """
    if error not in ("robust", "normal"):
        raise ValueError(f"error is 'robust' or 'normal', got {error!r}")
    (h, t), used = complete(estimate, truth)
    n = used.sum(axis=-1)
    spread = np.sqrt(variance_of(h - t, used))
    if error == "normal":
        return with_error(spread, spread / np.sqrt(2.0 * np.maximum(n - 1, 1)), n)
    return with_error(spread, spread / 2 * np.sqrt(_kurtosis_less_one(h - t, used) / np.maximum(n, 1)), n)


def mse(estimate: ArrayLike, truth: ArrayLike) -> Estimate:
    """Mean squared error, with sqrt(sum((e^2 - M)^2) / (n (n - 1))).

    Parameters
    ----------
    estimate, truth
        As for `bias`.

    Returns
    -------
    Estimate
        In the squared unit of the estimates.

    Raises
    ------
    ValueError
        As for `bias`.

    References
    ----------
    Morris, White, Crowther (2019), table 6, doi:10.1002/sim.8086.
    """
    return average(each(lambda h, t: (h - t) ** 2, estimate, truth))


def rmse(estimate: ArrayLike, truth: ArrayLike) -> Estimate:
    """Root mean squared error, with the jackknife error over replicates.

    Parameters
    ----------
    estimate, truth
        As for `bias`.

    Returns
    -------
    Estimate
        In the unit of the estimates. R_(i) = sqrt((n M - e_i^2) / (n - 1)) leaves replicate i out; the error is
        sqrt((n - 1) / n sum((R_(i) - Rbar)^2)).

    Raises
    ------
    ValueError
        As for `bias`.

    References
    ----------
    Efron, Stein (1981), doi:10.1214/aos/1176345462; for Monte Carlo errors Koehler, Brown, Haneuse (2009),
    doi:10.1198/tast.2009.0030.
    """
    (h, t), used = complete(estimate, truth)
    n = used.sum(axis=-1)
    squares = np.where(used, (h - t) ** 2, 0.0)
    rest = np.maximum(squares.sum(axis=-1, keepdims=True) - squares, 0.0)
    without = np.sqrt(rest / np.maximum(n - 1, 1)[..., None])
    jackknife = (n - 1) ** 2 / np.maximum(n, 1) * variance_of(without, used)
    return with_error(np.sqrt(mean_of(squares, used)), np.sqrt(jackknife), n)


def mae(estimate: ArrayLike, truth: ArrayLike) -> Estimate:
    """Mean absolute error, with sd(abs(e)) / sqrt(n).

    Parameters
    ----------
    estimate, truth
        As for `bias`.

    Returns
    -------
    Estimate
        In the unit of the estimates.

    Raises
    ------
    ValueError
        As for `bias`.
    """
    return average(each(lambda h, t: np.abs(h - t), estimate, truth))


def paired_contrast(loss: ArrayLike, reference: ArrayLike) -> Estimate:
    """Mean difference of a loss to that of a reference method on the same datasets, with sd(d) / sqrt(n).

    Parameters
    ----------
    loss
        Any loss for each replicate, dims (..., replicate): squared or absolute error, interval score, 1 for a miss,
        minus elpd.
    reference
        That of the reference, in the same order of replicates.

    Returns
    -------
    Estimate
        Negative: the method loses less than the reference.

    Raises
    ------
    ValueError
        As for `bias`.

    References
    ----------
    Siepe et al. (2024), doi:10.1037/met0000695: methods on the same datasets are compared in pairs.
    """
    return average(each(np.subtract, loss, reference))


def _lower_median(size: Floats, used: Flags) -> Floats:
    """Median of the used entries, the lower one of two; infinite entries are the unused ones."""
    place = np.maximum((used.sum(axis=-1) - 1) // 2, 0)
    if not size.shape[-1]:
        return np.full(size.shape[:-1], np.inf)
    ordered = np.sort(size, axis=-1)
    found: Floats = np.take_along_axis(ordered, np.asarray(place)[..., None], axis=-1)[..., 0]
    return np.where(np.isfinite(found), found, 0.0)


def _kurtosis_less_one(x: Floats, used: Flags) -> Floats:
    """m4 / m2^2 - 1 with central moments over n; 0 where nothing varies."""
    centre = mean_of(x, used)
    square = np.where(used, (x - np.asarray(centre)[..., None]) ** 2, 0.0)
    second = np.asarray(mean_of(square, used))
    scaled = square / np.where(second > 0, second, 1.0)[..., None]
    return np.where(second > 0, np.maximum(np.asarray(mean_of(scaled**2, used)) - 1.0, 0.0), 0.0)
