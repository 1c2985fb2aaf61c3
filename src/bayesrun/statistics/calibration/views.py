"""What figures of ranks show: the ECDF difference with its band, the histogram, coverage at all levels.

It draws nothing, and only the band of the ECDF difference is simultaneous.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayesrun.errors import ConfigError
from bayesrun.statistics.calibration.bands import band
from bayesrun.statistics.calibration.counts import checked_ranks, counts_below

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    type Floats = NDArray[np.float64]

__all__ = [
    "FEWEST_PER_BIN",
    "EcdfDifference",
    "RankHistogram",
    "coverage_from_ranks",
    "ecdf_difference",
    "rank_histogram",
]

MOST_BINS = 20
FEWEST_PER_BIN = 5
POINTWISE = 0.95


@dataclass(frozen=True, eq=False)
class EcdfDifference:
    """The ECDF of ranks less that of uniform ranks, with its simultaneous band.

    Parameters
    ----------
    z
        Evaluation points as shares of the L + 1 ranks, from 0 to 1. Dims (K + 1).
    difference
        F(z) - z. Dims (K + 1).
    lower, upper
        Limits of what is inside, themselves inside, as F(z) - z. Dims (K + 1).
    attained
        Probability that calibrated ranks are inside everywhere.
    """

    z: Floats
    difference: Floats
    lower: Floats
    upper: Floats
    attained: float

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Where the difference is outside of the band. Dims (K + 1)."""
        rounding = 1e-12
        return (self.difference < self.lower - rounding) | (self.difference > self.upper + rounding)


@dataclass(frozen=True, eq=False)
class RankHistogram:
    """Counts of ranks in bins of equally many ranks, with the binomial band of a single bin.

    Parameters
    ----------
    edges
        Bin edges as shares of the L + 1 ranks. Dims (bin + 1).
    counts
        Ranks in each bin. Dims (bin).
    expected
        Ranks in each bin on average, if they are uniform.
    lower, upper
        Where the count of one bin lies with probability 0.95 or more; not simultaneous. Dims (bin).
    """

    edges: Floats
    counts: NDArray[np.int64]
    expected: float
    lower: Floats
    upper: Floats


def ecdf_difference(ranks: ArrayLike, L: int, alpha: float = 0.05, folder: Path | None = None) -> EcdfDifference:
    """Work out the ECDF difference of ranks and its simultaneous band.

    Parameters
    ----------
    ranks
        Dims (replicate), in 0..L.
    L
        Largest possible rank.
    alpha
        Probability that calibrated ranks leave the band anywhere, at most.
    folder
        See `bands.find_gamma`.

    Returns
    -------
    EcdfDifference
        It leaves the band if and only if the p-value of the ranks is at most alpha.

    Raises
    ------
    ConfigError
        If there are no ranks, or some are not in 0..L, or alpha is not in (0, 1).

    References
    ----------
    Säilynoja, Bürkner, Vehtari (2022), Graphical test for discrete uniformity, doi:10.1007/s11222-022-10090-6.
    """
    whole = checked_ranks(ranks, L)
    found = band(whole.size, L, alpha, folder)
    counts = counts_below(whole, np.rint(found.z * (L + 1)).astype(np.int64))
    return EcdfDifference(
        z=found.z,
        difference=counts / whole.size - found.z,
        lower=found.lower / whole.size - found.z,
        upper=found.upper / whole.size - found.z,
        attained=found.attained,
    )


def rank_histogram(ranks: ArrayLike, L: int, bins: int | None = None) -> RankHistogram:
    """Count ranks in bins that hold equally many possible ranks.

    Parameters
    ----------
    ranks
        Dims (replicate), in 0..L.
    L
        Largest possible rank.
    bins
        How many are wanted; None: 20, or fewer with less than five ranks expected in each. Taken is the divisor of
        L + 1 that comes closest as a ratio: with L + 1 prime there is none but L + 1 itself.

    Returns
    -------
    RankHistogram
        With the binomial band of each bin.

    Raises
    ------
    ConfigError
        If there are no ranks, or some are not in 0..L, or bins is smaller than two.

    References
    ----------
    Talts, Betancourt, Simpson, Vehtari, Gelman (2018), doi:10.48550/arXiv.1804.06788.
    """
    from scipy.stats import binom

    whole = checked_ranks(ranks, L)
    if bins is not None and bins < 2:
        raise ConfigError(f"a histogram of ranks needs two bins or more, and got bins = {bins}")
    taken = histogram_bins(whole.size, L, bins)
    tail = 0.5 * (1.0 - POINTWISE)
    low, high = binom.ppf([tail, 1.0 - tail], whole.size, 1.0 / taken)
    return RankHistogram(
        edges=np.linspace(0.0, 1.0, taken + 1),
        counts=np.bincount(whole // ((L + 1) // taken), minlength=taken).astype(np.int64),
        expected=whole.size / taken,
        lower=np.full(taken, float(low)),
        upper=np.full(taken, float(high)),
    )


def histogram_bins(n: int, L: int, bins: int | None = None) -> int:
    """Count the bins of `rank_histogram`: the divisor of L + 1 that comes closest to what is wanted, as a ratio.

    Parameters
    ----------
    n
        Number of ranks.
    L
        Largest possible rank.
    bins
        How many are wanted; None: see `wanted_bins`.
    """
    wanted = wanted_bins(n) if bins is None else bins
    divisors = [d for d in range(2, L + 2) if (L + 1) % d == 0]
    return min(divisors, key=lambda d: abs(math.log(d / wanted)))


def wanted_bins(n: int) -> int:
    """Count the bins that n ranks can fill: 20, or fewer with less than five ranks expected in each."""
    return max(2, min(MOST_BINS, n // FEWEST_PER_BIN))


def coverage_from_ranks(ranks: ArrayLike, L: int, levels: ArrayLike | None = None) -> pd.DataFrame:
    """Coverage of central intervals between draws, for every level that L draws can give.

    Parameters
    ----------
    ranks
        Dims (replicate), in 0..L.
    L
        Largest possible rank.
    levels
        Interval probabilities; each is answered by the closest one that L draws can give exactly. None: all of these.

    Returns
    -------
    DataFrame
        Columns level (the exact probability, (L + 1 - 2 j)/(L + 1) for the interval from the j-th smallest to the j-th
        largest draw), coverage, mcse, lower, upper (Wilson, 95 %) and n.

    Raises
    ------
    ConfigError
        If there are no ranks, or some are not in 0..L.

    Notes
    -----
    Central intervals can cover as often as they should while calibration is bad, because errors on both sides
    cancel: show the ECDF difference beside it.
    """
    from statsmodels.stats.proportion import proportion_confint

    whole = checked_ranks(ranks, L)
    cut = np.arange((L + 1) // 2 + (L + 1) % 2)[::-1]
    exact = (L + 1 - 2 * cut) / (L + 1)
    if levels is not None:
        wanted = np.atleast_1d(np.asarray(levels, dtype=float))
        nearest = np.abs(exact[None, :] - wanted[:, None]).argmin(axis=1)
        cut, exact = cut[nearest], exact[nearest]
    depth = np.sort(np.minimum(whole, L - whole))
    hits = whole.size - np.searchsorted(depth, cut)
    share = hits / whole.size
    lower, upper = proportion_confint(hits, whole.size, method="wilson")
    return pd.DataFrame(
        {
            "level": exact,
            "coverage": share,
            "mcse": np.sqrt(share * (1.0 - share) / whole.size),
            "lower": lower,
            "upper": upper,
            "n": whole.size,
        }
    )
