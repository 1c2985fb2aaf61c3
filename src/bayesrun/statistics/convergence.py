"""Draws of many scalars -> moments, intervals, R-hat, effective sample sizes and their Monte Carlo errors, in one pass.

It judges nothing, and knows nothing of names, trees or samplers: arrays in, arrays out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numba
import numpy as np
from scipy.fft import next_fast_len
from scipy.special import ndtri

from bayesrun.base.large_arrays import let_go

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    type Floats = NDArray[np.float64]
    type Integers = NDArray[np.int64]

__all__ = ["MIN_DRAWS", "TAIL", "Summaries", "bfmi", "summarise"]

TAIL = (0.05, 0.95)
"""Quantiles whose smaller effective sample size is the tail ESS (Vehtari et al. 2021, doi:10.1214/20-BA1221)."""

MIN_DRAWS = 4
"""Draws of a chain below which R-hat and ESS are not defined: each half needs a variance."""

RESOLUTION = float(np.finfo(np.float64).resolution)
"""Range of a series below which it counts as constant and all its draws as effective, as in ArviZ."""

DIRECT = 256
"""Lags that are summed one by one; a series that needs more of them, and has four times as many, is transformed."""

BLOCK = 2**17
"""Draws of several series that are sorted together: few enough to stay in a cache of some MiB with their order."""

MOMENTS = ("mean", "second", "fourth")
"""The mean, and the second and fourth moment about it."""

MEASURES = ("ess_bulk", "ess_mean", "ess_sd", "ess_low", "ess_high", "rhat")
BULK, OF_MEAN, OF_SD, LOW, HIGH, RHAT = range(len(MEASURES))


@dataclass(frozen=True)
class Summaries:
    """What draws say, an entry for each series: the shape is (...) of draws with dims (..., chain, draw).

    Parameters
    ----------
    mean, sd, median, smallest, largest
        Of the draws of all chains; sd divides by n - 1.
    lower, upper
        Bounds of the intervals, dims (..., probability).
    rhat
        The larger of the rank-normalised R-hat of the draws and of their distances to the median.
    ess_bulk, ess_tail, ess_mean
        Effective draws: for location, for the worse of the two `TAIL` quantiles, for the mean.
    mcse_mean, mcse_sd
        Monte Carlo standard errors of mean and sd, in the unit of the draws.
    """

    mean: Floats
    sd: Floats
    median: Floats
    smallest: Floats
    largest: Floats
    lower: Floats
    upper: Floats
    rhat: Floats
    ess_bulk: Floats
    ess_tail: Floats
    ess_mean: Floats
    mcse_mean: Floats
    mcse_sd: Floats


def summarise(
    draws: ArrayLike,
    probs: Sequence[float] = (),
    kind: Literal["eti", "hdi"] = "eti",
    chains: Literal["markov", "whole", "independent"] = "markov",
) -> Summaries:
    """Compute everything that is asked of draws, sorting each series once.

    Parameters
    ----------
    draws
        Numbers with dims (..., chain, draw).
    probs
        Probabilities of the intervals, in (0, 1].
    kind
        ``eti``: from quantile (1 - p) / 2 to quantile (1 + p) / 2, linear between order statistics; ``hdi``:
        the narrowest interval between draws that are floor(p n) apart in order.
    chains
        ``markov``: R-hat and ESS of halves of chains (Vehtari et al. 2021, doi:10.1214/20-BA1221), where ESS
        sums autocorrelations over Geyer's initial monotone sequence (1992, doi:10.1214/ss/1177011137).
        ``whole``: chains are samples without an order; R-hat compares them whole, and there is no ESS.
        ``independent``: all draws are effective, which gives Monte Carlo errors, and there is no R-hat.

    Returns
    -------
    Summaries
        The values of arviz_stats 1.3, but exact where nothing varies, which it leaves to rounding: there sd is
        0, and R-hat is NaN, or infinite if chains differ and none of them moves. NaN where undefined: all of a
        series with a NaN (no half of an hdi); moments of infinite draws; R-hat of one chain; R-hat, ESS and
        Monte Carlo errors of chains shorter than `MIN_DRAWS`.

    Raises
    ------
    ValueError
        If there is no draw or fewer than two dims, or a probability is not in (0, 1].

    Examples
    --------
    >>> found = summarise(np.random.default_rng(1).standard_normal((18, 4, 1000)), probs=(0.5, 0.89))
    >>> found.rhat.shape, found.lower.shape
    ((18,), (18, 2))
    """
    values = np.asarray(draws, dtype=np.float64)
    if values.ndim < 2 or values.shape[-1] * values.shape[-2] == 0:
        raise ValueError(f"draws have dims (..., chain, draw) and at least one draw, got shape {values.shape}")
    if not all(0 < prob <= 1 for prob in probs):
        raise ValueError(f"probabilities of intervals are in (0, 1], got {tuple(probs)}")
    shape, (n_chains, n_draws) = values.shape[:-2], values.shape[-2:]
    series = np.ascontiguousarray(values).reshape(-1, n_chains * n_draws)
    count, size = series.shape
    step = max(1, BLOCK // size)
    points, bounds = np.empty((3, count)), np.empty((2, count, len(probs)))
    moments, measures = np.empty((count, len(MOMENTS))), np.full((count, len(MEASURES)), np.nan)
    with np.errstate(all="ignore"):  # infinite draws, and series that do not vary
        for start in range(0, count, step):
            part = slice(start, start + step)
            let_go(series)
            order = np.argsort(series[part], axis=1)
            ordered = np.empty(order.shape)
            _sort(series[part], order, ordered, moments[part])
            points[:, part] = ordered[:, 0], ordered[:, -1], _median(ordered)
            for i, prob in enumerate(probs):
                bounds[:, part, i] = _narrowest(ordered, prob) if kind == "hdi" else _central(ordered, prob)
            if chains != "independent" and n_draws >= MIN_DRAWS:
                _compare((ordered, order), moments[part, 0], n_chains, 2 if chains == "markov" else 1, measures[part])
        if chains == "independent" and n_draws >= MIN_DRAWS:
            measures[:, [OF_MEAN, OF_SD]] = size
        if chains == "whole":
            measures[:, :RHAT] = np.nan
        mean, second, fourth = moments.T
        variance = second * size / (size - 1)
        excess = np.maximum(fourth - second**2, 0.0)  # rounding, where there are two values
        found = {
            **dict(zip(("smallest", "largest", "median"), points, strict=True)),
            "mean": mean,
            "sd": np.sqrt(variance),
            "rhat": measures[:, RHAT] if n_chains > 1 else np.full(count, np.nan),
            "ess_bulk": measures[:, BULK],
            "ess_tail": np.minimum(measures[:, LOW], measures[:, HIGH]),
            "ess_mean": measures[:, OF_MEAN],
            "mcse_mean": np.sqrt(variance / measures[:, OF_MEAN]),
            "mcse_sd": np.sqrt(excess / measures[:, OF_SD] / second / 4),
        }
    broken = np.isnan(points[1])
    for column in (*found.values(), *bounds):
        column[broken] = np.nan
    lower, upper = bounds.reshape(2, *shape, len(probs))
    return Summaries(**{name: column.reshape(shape) for name, column in found.items()}, lower=lower, upper=upper)


def bfmi(energy: ArrayLike) -> Floats:
    """Estimate the Bayesian fraction of missing information (Betancourt 2016, arXiv:1604.00695).

    Parameters
    ----------
    energy
        Total energy of each draw, dims (..., chain, draw).

    Returns
    -------
    ndarray
        Mean squared change of the energy over its variance, dims (..., chain); NaN for a constant energy.
    """
    values = np.asarray(energy, dtype=np.float64)
    with np.errstate(all="ignore"):  # an energy that never changes
        return np.asarray(np.square(np.diff(values, axis=-1)).mean(axis=-1) / values.var(axis=-1, ddof=1))


def _median(ordered: Floats) -> Floats:
    size = ordered.shape[1]
    return np.asarray((ordered[:, (size - 1) // 2] + ordered[:, size // 2]) / 2)


def _central(ordered: Floats, prob: float) -> tuple[Floats, Floats]:
    edge = (1 - prob) / 2
    return _quantile(ordered, edge), _quantile(ordered, 1 - edge)


def _quantile(ordered: Floats, prob: float) -> Floats:
    """Take a quantile of type 7 (Hyndman, Fan 1996, doi:10.1080/00031305.1996.10473566), rounded as in numpy."""
    where = (ordered.shape[1] - 1) * prob
    below = min(int(where), ordered.shape[1] - 2)
    if below < 0:
        return ordered[:, 0]
    share, left, right = where - below, ordered[:, below], ordered[:, below + 1]
    return np.asarray(left + (right - left) * share if share < 0.5 else right - (right - left) * (1 - share))


def _narrowest(ordered: Floats, prob: float) -> tuple[Floats, Floats]:
    size = ordered.shape[1]
    apart = min(int(prob * size), size - 1)
    first = np.argmin(ordered[:, apart:] - ordered[:, : size - apart], axis=1)
    rows = np.arange(len(ordered))
    return ordered[rows, first], ordered[rows, first + apart]


def _compare(series: tuple[Floats, Integers], mean: Floats, n_chains: int, pieces: int, measures: Floats) -> None:
    """Fill in `MEASURES` from sorted values and their order."""
    ordered, order = series
    place, length = _places(n_chains, ordered.shape[1] // n_chains, pieces)
    used = int(place.max()) + 1
    where = order if used == len(place) else place[order]
    marks = np.stack([mean, *(_quantile(ordered, prob) for prob in TAIL)], axis=1)
    slots = 1 + len(ordered) * (len(MEASURES) - 1) * (length > 4 * DIRECT)
    rows = np.empty((slots, used // length, length))
    _measure(ordered, where, marks, _normal_scores(used), rows, measures)
    slow = measures < 0
    measures[slow] = [_by_transform(rows[-int(slot) - 1]) for slot in measures[slow]]


def _by_transform(rows: Floats) -> float:
    """Get the ESS of rows, dims (piece of a chain, draw), from autocovariances by Fourier transforms."""
    length, means = rows.shape[1], rows.mean(axis=1, keepdims=True)
    centred, size = rows - means, next_fast_len(2 * rows.shape[1], real=True)
    power = sum(np.abs(np.fft.rfft(row, size)) ** 2 for row in centred)
    lagged = np.fft.irfft(power, size)[:length] / rows.size
    return float(_effective(centred.ravel(), lagged, length, lagged[0], float(means.var(ddof=1))))


@lru_cache(maxsize=16)
def _places(n_chains: int, n_draws: int, pieces: int) -> tuple[Integers, int]:
    """Say where a draw goes when chains are cut into pieces of a length; -1: the middle one of an odd number."""
    length = n_draws // pieces
    place = np.full((n_chains, n_draws), -1)
    row = np.arange(n_chains * pieces * length).reshape(n_chains, pieces, length)
    for piece in range(pieces):
        start = piece * (n_draws - length)
        place[:, start : start + length] = row[:, piece]
    return place.ravel(), length


@lru_cache(maxsize=16)
def _normal_scores(size: int) -> Floats:
    """List the normal scores of the ranks 1, 1.5, 2, ..., size of as many draws (Blom 1958)."""
    ranks = np.arange(2, 2 * size + 1) / 2
    return np.asarray(ndtri((ranks - 3 / 8) / (size + 1 / 4)))


# Sums may be reordered, but NaN and infinity keep their meaning.
_compiled = numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
_compiled_and_kept = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})


@_compiled_and_kept
def _sort(series: Floats, order: Integers, ordered: Floats, moments: Floats) -> None:
    """Fill in sorted values and `MOMENTS`, from sums of distances that cancel exactly where nothing varies."""
    size = series.shape[1]
    for i in range(len(series)):
        x, out = series[i], ordered[i]
        for j in range(size):
            out[j] = x[order[i, j]]
        shift = out[0] if math.isfinite(out[0]) else 0.0
        total, second, fourth = 0.0, 0.0, 0.0
        for j in range(size):
            total += x[j] - shift
        mean = shift + total / size
        for j in range(size):
            square = (x[j] - mean) * (x[j] - mean)
            second += square
            fourth += square * square
        moments[i, 0], moments[i, 1], moments[i, 2] = mean, second / size, fourth / size


@_compiled_and_kept
def _measure(ordered: Floats, where: Integers, marks: Floats, scores: Floats, rows: Floats, measures: Floats) -> None:
    """Fill in `MEASURES`.

    `ordered` and `where`, dims (series, rank), are sorted values and their places in a row of `rows`, dims
    (slot, piece of a chain, draw), or -1; `marks`, dims (series, 3), are the mean and the quantiles `TAIL`.
    Where an ESS needs too many lags, it is minus a slot, from 1, that keeps what it is the ESS of.
    """
    used, length, slot = rows[0].size, rows.shape[2], 0
    values, kept, folded, centred = np.empty(used), np.empty(used), np.empty(used), np.empty(used)
    index, turned, none = np.empty(used, np.int64), np.empty(used, np.int64), np.empty(0)
    for i in range(len(ordered)):
        if math.isnan(ordered[i, -1]):
            continue
        filled = 0
        for j in range(ordered.shape[1]):
            if where[i, j] >= 0:
                kept[filled], index[filled], values[where[i, j]] = ordered[i, j], where[i, j], ordered[i, j]
                filled += 1
        median = (kept[(used - 1) // 2] + kept[used // 2]) / 2
        for what in range(RHAT + math.isfinite(median)):
            flat = rows[slot].reshape(used)
            if what == BULK:
                _score(kept, index, scores, flat)
            elif what == RHAT:
                _fold(kept, index, median, folded, turned)
                _score(folded, turned, scores, flat)
            else:
                _transform(values, what, marks[i], flat)
            within, between = _centre(flat, length, centred)
            if what in (BULK, RHAT):
                rhat = math.sqrt((length - 1) / length * (1 + between / within))
                measures[i, RHAT] = rhat if what == BULK or rhat > measures[i, RHAT] else measures[i, RHAT]
            if what != RHAT:
                ess = used if _is_constant(flat) else _effective(centred, none, length, within, between)
                slot += ess < 0
                measures[i, what] = -slot if ess < 0 else ess


@_compiled
def _transform(values: Floats, what: int, marks: Floats, out: Floats) -> None:
    for j in range(len(values)):
        if what == OF_MEAN:
            out[j] = values[j]
        elif what == OF_SD:
            out[j] = (values[j] - marks[0]) * (values[j] - marks[0])
        else:
            out[j] = 1.0 if values[j] <= marks[what - LOW + 1] else 0.0


@_compiled
def _score(ordered: Floats, index: Integers, scores: Floats, out: Floats) -> None:
    """Put the normal score of each value's rank to its place, the one of the average rank where values are tied."""
    first, last = 0, len(ordered) - 1
    for j in range(len(ordered)):
        if j < last and ordered[j + 1] == ordered[j]:
            continue
        for tied in range(first, j + 1):
            out[index[tied]] = scores[first + j]
        first = j + 1


@_compiled
def _fold(ordered: Floats, index: Integers, median: float, folded: Floats, turned: Integers) -> None:
    """Order by distance to the median: merge what is below it, backwards, with what is above."""
    used, right = len(ordered), 0
    while right < used and ordered[right] < median:
        right += 1
    left = right - 1
    for j in range(used):
        if right == used or (left >= 0 and median - ordered[left] < ordered[right] - median):
            folded[j], turned[j] = median - ordered[left], index[left]
            left -= 1
        else:
            folded[j], turned[j] = ordered[right] - median, index[right]
            right += 1


@_compiled
def _is_constant(values: Floats) -> bool:
    least, most, j = values[0], values[0], 0
    while j < len(values) and not most - least >= RESOLUTION:
        least, most = min(least, values[j]), max(most, values[j])
        j += 1
    return bool(most - least < RESOLUTION)


@_compiled
def _centre(flat: Floats, length: int, centred: Floats) -> tuple[float, float]:
    """Subtract each row's mean; get the mean variance of a row (over n) and the variance of the means (over m - 1)."""
    count = len(flat) // length
    within, mean_of_means, spread = 0.0, 0.0, 0.0
    for r in range(count):
        row, out = flat[r * length : (r + 1) * length], centred[r * length : (r + 1) * length]
        shift, total, squares = row[0], 0.0, 0.0
        for t in range(length):
            total += row[t] - shift
        mean = shift - flat[0] + total / length
        for t in range(length):
            out[t] = row[t] - shift - total / length
            squares += out[t] * out[t]
        within += squares / length / count
        step = mean - mean_of_means
        mean_of_means += step / (r + 1)
        spread += step * (mean - mean_of_means)
    return within, spread / max(count - 1, 1)


@_compiled_and_kept
def _effective(centred: Floats, lagged: Floats, length: int, within: float, between: float) -> float:
    """Sum autocorrelations until Geyer's sequence stops, from autocovariances if there are any; -1: too many lags."""
    of_row, total = within * length / (length - 1), within + between
    rho = np.empty(length + 2)
    even, odd, t = 1.0, 0.0, -1
    while t < 0 or (t < length - 3 and even + odd > 0):
        if len(lagged) > 0:
            of_even, of_odd = lagged[t + 1], lagged[t + 2]
        elif t <= DIRECT or length <= 4 * DIRECT:
            of_even, of_odd = _lagged(centred, length, t + 1)
        else:
            return -1.0
        even = 1 - (of_row - of_even) / total if t > 0 else 1.0
        odd = 1 - (of_row - of_odd) / total
        positive = even + odd >= 0
        rho[t + 1], rho[t + 2] = even if positive else 0.0, odd if positive else 0.0
        t += 2
    last = t - 2
    if even > 0:
        rho[last + 1] = even
    for k in range(1, last - 1, 2):
        if rho[k + 1] + rho[k + 2] > rho[k - 1] + rho[k]:
            rho[k + 1] = (rho[k - 1] + rho[k]) / 2
            rho[k + 2] = rho[k + 1]
    tau = rho[last + 1] - 1
    for k in range(last + 1):
        tau += 2 * rho[k]
    shortest = 1 / math.log10(len(centred))
    return len(centred) / (shortest if tau < shortest else tau) if not math.isnan(odd) else math.nan


@_compiled
def _lagged(centred: Floats, length: int, lag: int) -> tuple[float, float]:
    """Autocovariances at a lag and at the next, the mean over rows."""
    first, second = 0.0, 0.0
    for start in range(0, len(centred), length):
        row, ahead = centred[start : start + length], centred[start + lag : start + length]
        for t in range(len(ahead) - 1):
            first += row[t] * ahead[t]
            second += row[t] * ahead[t + 1]
        first += row[len(ahead) - 1] * ahead[-1]
    return first / len(centred), second / len(centred)
