"""Simultaneous bands for the ECDF of ranks, and the p-value of all ranks of a quantity together.

Both are exact; `simulated` has others to check them. It reads no tables and knows nothing of studies.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.errors import ConfigError
from bayesrun.statistics.calibration.counts import checked_ranks, counts_below, evaluation_points
from bayesrun.statistics.calibration.recursion import SAME, leaving, limits, neighbours, statistics

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    type Floats = NDArray[np.float64]
    type Integers = NDArray[np.int64]

__all__ = ["Band", "Gamma", "band", "find_gamma", "global_p_value", "observed_gamma"]

NEGLIGIBLE = 1e-18
"""Share of gamma below which a term of the recursion does not count."""


@dataclass(frozen=True)
class Gamma:
    """Where a simultaneous band is cut, and how often calibrated ranks stay inside.

    Parameters
    ----------
    gamma
        Largest value that the statistic of `observed_gamma` can take with which no more than alpha of calibrated
        studies have this or a smaller one.
    attained
        Probability that all points are inside. At least 1 - alpha: the next narrower band has less.
    """

    gamma: float
    attained: float


@dataclass(frozen=True, eq=False)
class Band:
    """A simultaneous band for the ECDF of ranks.

    Parameters
    ----------
    z
        Evaluation points as shares of the L + 1 ranks, from 0 to 1. Dims (K + 1).
    lower, upper
        Smallest and largest number of ranks below each point that is inside, 0..N. Dims (K + 1).
    gamma, attained
        See `Gamma`.
    """

    z: Floats
    lower: Integers
    upper: Integers
    gamma: float
    attained: float


def observed_gamma(ranks: ArrayLike, L: int) -> float:
    """How far the ECDF of ranks departs from uniform at its worst point, as a two-sided binomial probability.

    gamma = 2 min_k min(P(X_k <= x_k), P(X_k >= x_k)) with x_k ranks below b_k and X_k ~ Binomial(N, z_k).

    Parameters
    ----------
    ranks
        Dims (replicate), in 0..L.
    L
        Largest possible rank.

    Returns
    -------
    float
        In (0, 2); small values are departures. `global_p_value` says how small is unusual.

    Raises
    ------
    ConfigError
        As for `checked_ranks`.

    References
    ----------
    Säilynoja, Bürkner, Vehtari (2022), Graphical test for discrete uniformity, doi:10.1007/s11222-022-10090-6.
    """
    whole = checked_ranks(ranks, L)
    points = evaluation_points(whole.size, L)
    counts = counts_below(whole, points)[1:-1]
    return float(statistics(counts[None, :], whole.size, points[1:-1] / (L + 1))[0])


@lru_cache(maxsize=4096)
def global_p_value(n: int, L: int, gamma: float) -> float:
    """Probability that n calibrated ranks depart as far as `gamma` or farther, exactly.

    Parameters
    ----------
    n
        Number of ranks.
    L
        Largest possible rank.
    gamma
        From `observed_gamma`.

    Returns
    -------
    float
        In [0, 1]. It is at most a with probability at most a.

    Raises
    ------
    ConfigError
        As for `evaluation_points`.

    Notes
    -----
    Binomial steps P(x_{k+1} | x_k) along the points are Poisson ones given that all n ranks are below L + 1, and
    those need one convolution a point. Summed is what leaves the band for the first time, not what stays, so that
    tiny p-values keep their digits.

    References
    ----------
    Säilynoja, Bürkner, Vehtari (2022), doi:10.1007/s11222-022-10090-6.
    """
    points = evaluation_points(n, L)
    lower, upper = limits(n, points[1:-1] / (L + 1), gamma)
    return leaving(n, points, lower, upper, max(NEGLIGIBLE * gamma, 1e-300))


def find_gamma(n: int, L: int, alpha: float = 0.05, folder: Path | None = None) -> Gamma:
    """Find where the simultaneous band with probability 1 - alpha is cut.

    Parameters
    ----------
    n
        Number of ranks.
    L
        Largest possible rank.
    alpha
        Probability that calibrated ranks leave the band anywhere, at most.
    folder
        Where what was found is kept for other processes; None: in this process only.

    Returns
    -------
    Gamma
        With it, ranks leave the band if and only if their p-value is at most alpha.

    Raises
    ------
    ConfigError
        As for `evaluation_points`, and if alpha is not in (0, 1).

    References
    ----------
    Säilynoja, Bürkner, Vehtari (2022), doi:10.1007/s11222-022-10090-6.
    """
    if not 0.0 < alpha < 1.0:
        raise ConfigError(f"the level of a test is in (0, 1), and got {alpha}: set study.alpha, usually to 0.05")
    if folder is None:
        return _search(n, L, alpha)
    path = folder / f"gamma-{n}-{L}-{evaluation_points(n, L).size - 1}-{float(alpha)!r}.json"
    found = _read(path)
    if found is None:
        found = _search(n, L, alpha)
        _write(path, found)
    return found


def band(n: int, L: int, alpha: float = 0.05, folder: Path | None = None) -> Band:
    """Make the simultaneous band with probability 1 - alpha for the ECDF of n ranks.

    Parameters
    ----------
    n, L, alpha, folder
        See `find_gamma`.

    Returns
    -------
    Band
        Of numbers of ranks below each point; divide by n for the ECDF.

    Raises
    ------
    ConfigError
        As for `find_gamma`.
    """
    found = find_gamma(n, L, alpha, folder)
    z = evaluation_points(n, L) / (L + 1)
    lower, upper = limits(n, z[1:-1], found.gamma)
    ends = np.array([0]), np.array([n])
    return Band(
        z=z,
        lower=np.concatenate([ends[0], lower, ends[1]]),
        upper=np.concatenate([ends[0], upper, ends[1]]),
        gamma=found.gamma,
        attained=found.attained,
    )


@lru_cache(maxsize=1024)
def _search(n: int, L: int, alpha: float) -> Gamma:
    """Bisect over the values that the statistic can take, until the best and the first that is too large are next."""
    points = evaluation_points(n, L)
    z = points[1:-1] / (L + 1)

    def outside(gamma: float) -> float:
        return leaving(n, points, *limits(n, z, gamma), NEGLIGIBLE * alpha)

    # by the union bound over the points this is small enough, and no value exceeds 2
    good, following = neighbours(n, z, alpha / z.size)
    bad, left = 2.0, outside(good)
    while following < bad * (1.0 - SAME):
        middle, after = neighbours(n, z, math.sqrt(following * bad))
        probability = outside(middle)
        if probability <= alpha:
            good, following, left = middle, after, probability
        else:
            bad = middle
    return Gamma(gamma=good, attained=1.0 - left)


def _read(path: Path) -> Gamma | None:
    """Read what another process found; a file that is not whole counts as absent, because it can be made again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Gamma(gamma=float(found["gamma"]), attained=float(found["attained"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, found: Gamma) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".gamma-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(found), file)
    os.replace(name, path)
