"""Performance measures of posterior SDs and of the spread of errors, each with its Monte Carlo standard error.

What is measured of point estimates alone is in `points`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesrun.statistics.measures.estimate import Estimate, average, complete, mean_of, variance_of, with_error

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bayesrun.statistics.measures.estimate import Floats

__all__ = [
    "contraction",
    "mcmc_error_share",
    "model_se",
    "relative_error_model_se",
    "relative_precision",
    "z_score",
]


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
        As for `points.bias`.
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
        As for `points.bias`.

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
        As for `points.bias`.

    Returns
    -------
    Estimate
        Positive: the method's errors vary less. The error is 200 (E_ref / E)^2 sqrt((1 - rho^2) / (n - 1)), rho the
        correlation of the errors. NaN where the errors of either do not vary.

    Raises
    ------
    ValueError
        As for `points.bias`.

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
        As for `points.bias`.
    sd
        Posterior SDs, dims (..., replicate). Replicates with an SD of 0 have no z-score.

    Returns
    -------
    Estimate
        In posterior SDs.

    Raises
    ------
    ValueError
        As for `points.bias`.

    References
    ----------
    Schad, Betancourt, Vasishth (2021), doi:10.1037/met0000275.
    """
    (h, t, s), used = complete(estimate, truth, sd)
    used &= s > 0
    return average(np.where(used, (h - t) / np.where(used, s, 1.0), np.nan))


def contraction(sd: ArrayLike, prior_sd: ArrayLike, prior_mcse: ArrayLike = 0.0) -> Estimate:
    """Mean of 1 - sd^2 / prior variance: 0 where data say nothing beyond the prior, near 1 where they say it all.

    Parameters
    ----------
    sd
        Posterior SDs, dims (..., replicate).
    prior_sd
        Prior SDs, dims (..., replicate) or a number. Replicates with a prior SD of 0, or an infinite one, have no
        contraction.
    prior_mcse
        Monte Carlo standard errors of the prior SDs, dims as theirs; of 0 where they are known.

    Returns
    -------
    Estimate
        A share, negative where the posterior is wider than the prior. An error of the prior SD is the same in all
        replicates: 2 mean(sd^2 / prior variance) times its relative error, in quadrature with that of the mean.

    Raises
    ------
    ValueError
        As for `points.bias`.

    References
    ----------
    Schad, Betancourt, Vasishth (2021), doi:10.1037/met0000275.
    """
    (s, prior), used = complete(sd, prior_sd)
    used &= (prior > 0) & np.isfinite(prior)
    there = np.where(used, prior, 1.0)
    ratio = np.where(used, (s / there) ** 2, np.nan)
    found = average(1.0 - ratio)
    shared = 2.0 * mean_of(np.where(used, ratio * np.nan_to_num(np.asarray(prior_mcse)) / there, 0.0), used)
    return with_error(found.value, np.hypot(found.mcse, shared), found.n)


def mcmc_error_share(mcse_mean: ArrayLike, estimate: ArrayLike, truth: ArrayLike) -> Estimate:
    """Share of the empirical variance that is Monte Carlo error of the fits' own draws: mean(m^2) / E^2.

    Parameters
    ----------
    mcse_mean
        Monte Carlo standard errors m of the posterior means, dims (..., replicate).
    estimate, truth
        As for `points.bias`.

    Returns
    -------
    Estimate
        Near 0 where every fit has enough draws: 0.0025 for an ESS of 400. The error is that of a ratio of means
        by the delta method. NaN where the errors do not vary.

    Raises
    ------
    ValueError
        As for `points.bias`.
    """
    (m, h, t), used = complete(mcse_mean, estimate, truth)
    n = used.sum(axis=-1)
    error = h - t
    spread = _positive(variance_of(error, used))
    share = mean_of(m**2, used) / spread
    away = (error - np.asarray(mean_of(error, used))[..., None]) ** 2
    influence = m**2 - np.asarray(share)[..., None] * away
    return with_error(share, np.sqrt(variance_of(influence, used) / np.maximum(n, 1)) / spread, n)


def _positive(variance: Floats) -> Floats:
    """Leave out variances of 0, by which nothing can be divided."""
    return np.where(variance > 0, variance, np.nan)
