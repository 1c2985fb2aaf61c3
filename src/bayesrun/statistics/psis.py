"""Pareto-smoothed importance sampling: log ratios -> log weights, Pareto k, and leave-one-out densities.

It finds no densities and judges no k. Vehtari, Simpson, Gelman, Yao, Gabry (2024, JMLR 25:72).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
from scipy.special import logsumexp

from bayesrun.base.large_arrays import columns

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    type Floats = NDArray[np.float64]
    type Integers = NDArray[np.int64]

__all__ = ["LeaveOneOut", "good_k", "leave_one_out", "smooth", "tail_length"]

MIN_TAIL = 5
"""Draws of a tail below which no Pareto distribution is fitted to it."""

PRIOR_DRAWS, PRIOR_K = 10, 0.5
"""Weight, in draws, and mean of the prior that keeps k of short tails steady (Vehtari et al. 2024)."""

NEGLIGIBLE = 10 * float(np.finfo(np.float64).eps)
"""Weight of a point of the grid below which it is left out."""

BLOCK = 2**20
"""Numbers that are worked on together, so that a long table needs little memory beside itself."""


@dataclass(frozen=True)
class LeaveOneOut:
    """Leave-one-out prediction of each term, dims (term).

    Parameters
    ----------
    elpd
        Log predictive density of the observation, given all others.
    p
        Log predictive density given all observations, less `elpd`: the effective number of parameters.
    pareto_k
        Shape of the tail of the importance ratios; NaN if they have no tail that can be fitted.
    """

    elpd: Floats
    p: Floats
    pareto_k: Floats


def tail_length(draws: int, reff: float = 1.0) -> int:
    """Count the largest ratios that make up the tail.

    Parameters
    ----------
    draws
        How many there are.
    reff
        Effective draws of a draw.

    Returns
    -------
    int
        3 sqrt(draws / reff), or a fifth of the draws where fewer than 225 are effective.
    """
    return int(3 * math.sqrt(draws / reff)) if draws * reff > 225 else draws // 5


def good_k(draws: int) -> float:
    """Bound the Pareto k up to which estimates are reliable: min(1 - 1 / log10(draws), 0.7)."""
    return min(1 - 1 / math.log10(draws), 0.7) if draws > 1 else 0.7


def smooth(log_ratios: ArrayLike, reff: float = 1.0) -> tuple[Floats, Floats]:
    """Replace the largest importance ratios by quantiles of a Pareto distribution that is fitted to them.

    Parameters
    ----------
    log_ratios
        log p - log q of draws from q, up to a constant; dims (..., draw). -inf is a ratio of 0.
    reff
        Effective draws of a draw.

    Returns
    -------
    tuple of ndarray
        Log weights, which sum to 1 on the natural scale, dims (..., draw); and Pareto k, dims (...), by the
        empirical Bayes estimate of Zhang and Stephens (2009, doi:10.1198/tech.2009.08017) with a weak prior.
        k is NaN, and nothing is smoothed, if a quarter of the tail is no larger than its smallest ratio; both
        are NaN if a ratio is NaN or infinite. The values of arviz_stats 1.3.

    Raises
    ------
    ValueError
        If there are fewer than 25 draws, or the largest ratios are all equal: then there is no tail.
    """
    ratios = np.asarray(log_ratios, dtype=np.float64)
    flat = np.ascontiguousarray(ratios).reshape(-1, ratios.shape[-1])
    weights, k = np.empty(flat.shape), np.empty(len(flat))
    _smooth(flat, _tails(flat, reff), weights, k)
    return weights.reshape(ratios.shape), k.reshape(ratios.shape[:-1])


def leave_one_out(terms: ArrayLike, reff: float = 1.0, correction: ArrayLike | None = None) -> LeaveOneOut:
    """Estimate the density of each observation given all others (Vehtari, Gelman, Gabry 2017).

    Parameters
    ----------
    terms
        Log-likelihood of each observation, dims (draw, term).
    reff
        Effective draws of a draw.
    correction
        For draws from an approximation q of the posterior, log p - log q, dims (draw), up to a constant
        (Magnusson et al. 2019, arXiv:1904.10679).

    Returns
    -------
    LeaveOneOut
        The values of arviz_stats 1.3, doi:10.1007/s11222-016-9696-4.

    Raises
    ------
    ValueError
        As for `smooth`.
    """
    table = np.asarray(terms, dtype=np.float64)
    draws, count = table.shape
    elpd, mean, k = np.empty(count), np.empty(count), np.empty(count)
    step = max(1, BLOCK // max(draws, 1))
    for wide, rows in columns(table):
        for start in range(wide.start, wide.stop, step):
            part = slice(start, min(start + step, wide.stop))
            block = rows[start - wide.start : part.stop - wide.start]
            if correction is None:
                _leave_out(block, _tails(-block, reff), elpd[part], mean[part], k[part])
            else:
                weights, k[part] = smooth(np.asarray(correction, dtype=np.float64) - block, reff)
                elpd[part] = logsumexp(weights + block, axis=1)
                mean[part] = logsumexp(block, axis=1) - math.log(draws)
    return LeaveOneOut(elpd, mean - elpd, k)


def _tails(ratios: Floats, reff: float) -> Integers:
    """Order the largest ratios, and before them the one that cuts them off: dims (row, rank)."""
    draws = ratios.shape[1]
    length = tail_length(draws, reff)
    if length < MIN_TAIL:
        raise ValueError(f"a tail of {length} of {draws} draws, and it needs {MIN_TAIL}: draw at least 25")
    largest = np.argpartition(ratios, draws - length - 1, axis=1)[:, draws - length - 1 :]
    values = np.take_along_axis(ratios, largest, axis=1)
    order = np.argsort(values, axis=1)
    least, most = np.take_along_axis(values, order[:, [1, -1]], axis=1).T
    with np.errstate(invalid="ignore"):  # infinite ratios
        equal = int((most - least < np.finfo(np.float64).tiny).sum())
    if equal:
        raise ValueError(f"the {length} largest of {draws} ratios are all equal, in {equal} of {len(ratios)} terms")
    return np.take_along_axis(largest, order, axis=1)


# Sums may be reordered, but NaN and infinity keep their meaning.
_compiled = numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
_compiled_and_kept = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})


@_compiled_and_kept
def _smooth(ratios: Floats, tails: Integers, weights: Floats, k: Floats) -> None:
    """Fill in log weights, dims (row, draw), and Pareto k, dims (row)."""
    draws, size = ratios.shape[1], tails.shape[1]
    tail, excess, grid = np.empty(size), np.empty(size - 1), np.empty((2, 30 + int(math.sqrt(size - 1))))
    for i in range(len(ratios)):
        out, largest, total = weights[i], ratios[i, tails[i, size - 1]], 0.0
        for j in range(size):
            tail[j] = ratios[i, tails[i, j]] - largest
        k[i] = _smooth_tail(tail, excess, grid)
        for j in range(draws):
            out[j] = ratios[i, j] - largest
        for j in range(size):
            out[tails[i, j]] = tail[j]
        for j in range(draws):
            total += math.exp(out[j])
        for j in range(draws):
            out[j] -= math.log(total)


@_compiled_and_kept
def _leave_out(terms: Floats, tails: Integers, elpd: Floats, mean: Floats, k: Floats) -> None:
    """Fill in log means of exp(term), with smoothed weights exp(-term) and with equal ones, and k; dims (row).

    Weight times density is the same for all draws outside the tail, and one is the inverse of the other: one
    exponential a draw is enough.
    """
    draws, size = terms.shape[1], tails.shape[1]
    tail, excess, grid = np.empty(size), np.empty(size - 1), np.empty((2, 30 + int(math.sqrt(size - 1))))
    for i in range(len(terms)):
        term, least = terms[i], terms[i, tails[i, size - 1]]
        weights, densities, product, most = 0.0, 0.0, 0.0, 0.0
        for j in range(draws):
            weight = math.exp(least - term[j])
            weights += weight
            densities += 1 / weight
        for j in range(size):
            tail[j] = least - term[tails[i, j]]
            weights -= math.exp(tail[j])
        k[i] = _smooth_tail(tail, excess, grid)
        for j in range(size):
            weights += math.exp(tail[j])
            most = max(most, tail[j] + term[tails[i, j]] - least)
        for j in range(size):
            product += math.exp(tail[j] + term[tails[i, j]] - least - most)
        elpd[i] = least + most + math.log((product + (draws - size) * math.exp(-most)) / weights)
        mean[i] = least + math.log(densities / draws) if densities < math.inf else _log_mean(term)


@_compiled
def _log_mean(term: Floats) -> float:
    most, total = -math.inf, 0.0
    for j in range(len(term)):
        most = max(most, term[j])
    for j in range(len(term)):
        total += math.exp(term[j] - most)
    return most + math.log(total / len(term))


@_compiled
def _smooth_tail(tail: Floats, excess: Floats, grid: Floats) -> float:
    """Replace log ratios less the largest, ascending and behind the one that cuts them off; get the Pareto k."""
    length, cutoff = len(excess), math.exp(tail[0])
    for j in range(length):
        excess[j] = math.exp(tail[j + 1]) - cutoff
    shape, scale = _fit(excess, grid)
    if math.isfinite(shape):
        for j in range(length):
            q = -math.log1p(-(j + 0.5) / length)
            value = math.log(cutoff + scale * (math.expm1(shape * q) / shape if shape != 0 else q))
            tail[j + 1] = value if not value > 0 else 0.0
    return shape if tail[length] <= 0 else math.nan


@_compiled
def _fit(x: Floats, grid: Floats) -> tuple[float, float]:
    """Estimate shape and scale of a generalised Pareto distribution from ascending x.

    The shape is averaged over a grid of b = shape / scale, weighted by the profile likelihood; rows of `grid` are
    scratch for b and its log-likelihood.
    """
    size, points, most = len(x), grid.shape[1], -math.inf
    quartile = x[int(size / 4 - 0.5)]
    if quartile <= x[0]:
        return math.nan, math.nan
    for g in range(points):
        b = (1 - math.sqrt(points / (g + 0.5))) / (3 * quartile) + 1 / x[-1]
        shape = _mean_log(x, b)
        likelihood = size * (math.log(-b / shape) - shape - 1)
        grid[0, g], grid[1, g] = b, likelihood if not math.isnan(likelihood) else -math.inf
        most = max(most, grid[1, g])
    total, kept, mean = 0.0, 0.0, 0.0
    for g in range(points):
        total += math.exp(grid[1, g] - most)
    for g in range(points):
        weight = math.exp(grid[1, g] - most) / total
        if weight >= NEGLIGIBLE:
            kept += weight
            mean += weight * grid[0, g]
    b = mean / kept
    shape = _mean_log(x, b)
    posterior = (size * shape + PRIOR_DRAWS * PRIOR_K) / (size + PRIOR_DRAWS)
    return (posterior, -shape / b) if not math.isnan(posterior) else (math.inf, math.nan)


@_compiled
def _mean_log(x: Floats, b: float) -> float:
    """Mean of log(1 - b x), with one logarithm for as many factors as a number can hold."""
    total, product = 0.0, 1.0
    for j in range(len(x)):
        factor = 1 - b * x[j]
        if 1e-200 < product * factor < 1e200:
            product *= factor
        else:
            total += math.log(product)
            product = factor
    return (total + math.log(product)) / len(x)
