"""Performance measures of point estimates and posterior SDs, each with its Monte Carlo standard error.

Errors are estimate minus truth, so that a truth that varies between replicates needs no other formula. What is
measured of intervals is in `intervals`; tables are made in `tables`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from bayesrun.measures.estimate import Estimate, average, complete, mean_of, variance_of, with_error

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bayesrun.measures.estimate import Flags, Floats

__all__ = [
    "NEAR_ZERO_OF_ERRORS",
    "NEAR_ZERO_OF_TRUTHS",
    "bias",
    "contraction",
    "empirical_se",
    "mae",
    "mcmc_error_share",
    "model_se",
    "mse",
    "paired_contrast",
    "relative_bias",
    "relative_error_model_se",
    "relative_precision",
    "rmse",
    "z_score",
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
    (h, t), used = complete(estimate, truth)
    return average(np.where(used, h - t, np.nan))


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
    (h, t), used = complete(estimate, truth)
    return average(np.where(used, (h - t) ** 2, np.nan))


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
    (h, t), used = complete(estimate, truth)
    return average(np.where(used, np.abs(h - t), np.nan))


def model_se(sd: ArrayLike) -> Estimate:
    """Root mean square S of the posterior SDs, with sqrt(Var(s^2) / (4 n S^2)).

    Parameters
    ----------
    sd
        Posterior SDs, dims (..., replicate).

    Returns
    -------
    Estimate
        In the unit of the SDs.

    Raises
    ------
    ValueError
        If `sd` has no dim.

    References
    ----------
    Morris, White, Crowther (2019), table 6, doi:10.1002/sim.8086.
    """
    (s,), used = complete(sd)
    n = used.sum(axis=-1)
    square = mean_of(s**2, used)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(variance_of(s**2, used) / (4.0 * np.maximum(n, 1) * square))
    return with_error(np.sqrt(square), error, n)


def relative_error_model_se(estimate: ArrayLike, truth: ArrayLike, sd: ArrayLike) -> Estimate:
    """How much larger the model SE S is than the empirical SE E, in percent: 100 (S / E - 1).

    Parameters
    ----------
    estimate, truth
        As for `bias`.
    sd
        Posterior SDs, dims (..., replicate).

    Returns
    -------
    Estimate
        Negative: the posterior is narrower than the estimates spread. The error is
        100 (S / E) sqrt(Var(s^2) / (4 n S^4) + 1 / (2 (n - 1))). NaN where the errors do not vary.

    Raises
    ------
    ValueError
        As for `bias`.

    References
    ----------
    Morris, White, Crowther (2019), table 6, doi:10.1002/sim.8086.
    """
    (h, t, s), used = complete(estimate, truth, sd)
    n = used.sum(axis=-1)
    square, spread = mean_of(s**2, used), _positive(variance_of(h - t, used))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt(square / spread)
        share = variance_of(s**2, used) / (4.0 * np.maximum(n, 1) * square**2)
    error = 100.0 * ratio * np.sqrt(share + 1.0 / (2.0 * np.maximum(n - 1, 1)))
    return with_error(100.0 * (ratio - 1.0), error, n)


def relative_precision(estimate: ArrayLike, reference: ArrayLike, truth: ArrayLike) -> Estimate:
    """Gain in precision over a reference method on the same datasets, in percent: 100 ((E_ref / E)^2 - 1).

    Parameters
    ----------
    estimate
        Point estimates of the method, dims (..., replicate).
    reference
        Those of the reference, of the same datasets in the same order.
    truth
        As for `bias`.

    Returns
    -------
    Estimate
        Positive: the method's errors vary less. The error is 200 (E_ref / E)^2 sqrt((1 - rho^2) / (n - 1)), rho the
        correlation of the errors. NaN where the errors of either do not vary.

    Raises
    ------
    ValueError
        As for `bias`.

    References
    ----------
    White (2010), doi:10.1177/1536867X1001000305; Morris, White, Crowther (2019), table 6, doi:10.1002/sim.8086.
    rho of errors: estimates share the truth, and are correlated by it where it is drawn.
    """
    (h, r, t), used = complete(estimate, reference, truth)
    n = used.sum(axis=-1)
    own, other = h - t, r - t
    own_square, other_square = _positive(variance_of(own, used)), _positive(variance_of(other, used))
    # both scaled to SD 1, so that the correlation of errors of any size neither overflows nor vanishes
    own = own / np.asarray(np.sqrt(own_square))[..., None]
    other = other / np.asarray(np.sqrt(other_square))[..., None]
    rho = (variance_of(own + other, used) - variance_of(own - other, used)) / 4.0
    ratio = other_square / own_square
    error = 200.0 * ratio * np.sqrt(np.maximum(1.0 - rho**2, 0.0) / np.maximum(n - 1, 1))
    return with_error(100.0 * (ratio - 1.0), error, n)


def z_score(estimate: ArrayLike, truth: ArrayLike, sd: ArrayLike) -> Estimate:
    """Mean of (estimate - truth) / sd: positive where the posterior is shifted high.

    Parameters
    ----------
    estimate, truth
        As for `bias`.
    sd
        Posterior SDs, dims (..., replicate). Replicates with an SD of 0 have no z-score.

    Returns
    -------
    Estimate
        In posterior SDs.

    Raises
    ------
    ValueError
        As for `bias`.

    References
    ----------
    Schad, Betancourt, Vasishth (2021), doi:10.1037/met0000275.
    """
    (h, t, s), used = complete(estimate, truth, sd)
    used &= s > 0
    return average(np.where(used, (h - t) / np.where(used, s, 1.0), np.nan))


def contraction(sd: ArrayLike, prior_sd: ArrayLike) -> Estimate:
    """Mean of 1 - sd^2 / prior variance: 0 where data say nothing beyond the prior, near 1 where they say it all.

    Parameters
    ----------
    sd
        Posterior SDs, dims (..., replicate).
    prior_sd
        Prior SDs, dims (..., replicate) or a number. Replicates with a prior SD of 0 have no contraction.

    Returns
    -------
    Estimate
        A share, negative where the posterior is wider than the prior.

    Raises
    ------
    ValueError
        As for `bias`.

    References
    ----------
    Schad, Betancourt, Vasishth (2021), doi:10.1037/met0000275.
    """
    (s, prior), used = complete(sd, prior_sd)
    used &= prior > 0
    return average(np.where(used, 1.0 - (s / np.where(used, prior, 1.0)) ** 2, np.nan))


def mcmc_error_share(mcse_mean: ArrayLike, estimate: ArrayLike, truth: ArrayLike) -> Estimate:
    """Share of the empirical variance that is Monte Carlo error of the fits' own draws: mean(m^2) / E^2.

    Parameters
    ----------
    mcse_mean
        Monte Carlo standard errors m of the posterior means, dims (..., replicate).
    estimate, truth
        As for `bias`.

    Returns
    -------
    Estimate
        Near 0 where every fit has enough draws: 0.0025 for an ESS of 400. The error is that of a ratio of means
        by the delta method. NaN where the errors do not vary.

    Raises
    ------
    ValueError
        As for `bias`.
    """
    (m, h, t), used = complete(mcse_mean, estimate, truth)
    n = used.sum(axis=-1)
    error = h - t
    spread = _positive(variance_of(error, used))
    share = mean_of(m**2, used) / spread
    away = (error - np.asarray(mean_of(error, used))[..., None]) ** 2
    influence = m**2 - np.asarray(share)[..., None] * away
    return with_error(share, np.sqrt(variance_of(influence, used) / np.maximum(n, 1)) / spread, n)


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
    (own, other), used = complete(loss, reference)
    return average(np.where(used, own - other, np.nan))


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


def _positive(variance: Floats) -> Floats:
    """Leave out variances of 0, by which nothing can be divided."""
    return np.where(variance > 0, variance, np.nan)
