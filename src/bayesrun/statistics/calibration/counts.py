"""Ranks as whole numbers: which are possible, and how many lie below the points where their ECDF is evaluated.

It works out no probability.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    type Integers = NDArray[np.int64]

__all__ = ["checked_ranks", "counts_below", "evaluation_points"]

ALL_POINTS_BELOW = 50
"""With fewer ranks than this the ECDF is evaluated at every possible rank."""


def checked_ranks(ranks: ArrayLike, L: int) -> Integers:
    """Turn ranks into integers, and refuse those that L draws cannot give.

    Parameters
    ----------
    ranks
        Dims (replicate).
    L
        Largest possible rank, known from how the ranks were made and never guessed from them.

    Returns
    -------
    array of int
        Dims (replicate).

    Raises
    ------
    ConfigError
        If there are no ranks, or some are not whole numbers in 0..L.
    """
    given = np.asarray(ranks, dtype=float).ravel()
    if given.size == 0:
        raise ConfigError("there are no ranks: calibration needs simulated data whose truth is drawn from the prior")
    wrong = ~((given >= 0) & (given <= L) & (given == np.floor(given)))
    if wrong.any():
        raise ConfigError(
            f"{int(wrong.sum())} of {given.size} ranks are not whole numbers in 0..{L} (the first is "
            f"{given[wrong][0]:g}): leave out fits without a rank, and give the L that the ranks were made with"
        )
    return given.astype(np.int64)


def evaluation_points(n: int, L: int) -> Integers:
    """Ranks b_k = floor(k (L + 1) / K), k = 0..K, below which ranks are counted.

    Parameters
    ----------
    n
        Number of ranks.
    L
        Largest possible rank.

    Returns
    -------
    array of int
        Dims (K + 1), from 0 to L + 1, with K = min(L + 1, n) for 50 ranks and more, otherwise K = L + 1.

    Raises
    ------
    ConfigError
        If there are no ranks or L is not positive.
    """
    if n < 1 or L < 1:
        raise ConfigError(f"got {n} ranks among L = {L} draws: at least one rank and one draw are needed")
    count = min(L + 1, n) if n >= ALL_POINTS_BELOW else L + 1
    return np.arange(count + 1, dtype=np.int64) * (L + 1) // count


def counts_below(ranks: Integers, points: Integers) -> Integers:
    """Count the ranks below each point. Dims (replicate) and (K + 1) to (K + 1)."""
    return np.searchsorted(np.sort(ranks), points, side="left").astype(np.int64)
