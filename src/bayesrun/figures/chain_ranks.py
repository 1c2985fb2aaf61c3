"""Ranks of the draws of several chains: how far each chain is from the others, and how far it may be.

It draws nothing; `one_fit` shows what it computes.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

__all__ = ["BAND", "rank_band", "rank_differences", "thin"]

BAND = 0.95
"""Probability that all of several equal chains stay inside the band."""

POINTS = 51
SIMULATIONS = 500
BAND_SEED = 20220219
MIN_KEPT = 20


def thin(values: Floats) -> Floats:
    """Keep every n-th draw, so that what is kept is nearly independent, and at least 20 of a chain.

    Parameters
    ----------
    values
        Draws of one scalar, dims (chain, draw).

    Returns
    -------
    Array with dims (chain, draw)
        About as many draws as the bulk effective sample size.
    """
    from arviz_stats import ess

    effective = float(ess(values, method="bulk"))
    step = round(values.size / effective) if math.isfinite(effective) and effective > 0 else 1
    return values[:, :: max(1, min(step, values.shape[1] // MIN_KEPT))]


def rank_differences(values: Floats, at: Floats) -> Floats:
    """Share of each chain's draws among the lowest of all draws, less the share of a uniform.

    Parameters
    ----------
    values
        Draws of one scalar, dims (chain, draw).
    at
        Fractional ranks z in [0, 1], dims (point,).

    Returns
    -------
    Array with dims (chain, point)
        F(z) - z; positive where a chain has more low values than the others.
    """
    rank = np.argsort(np.argsort(values, axis=None, kind="stable")).reshape(values.shape)
    below = np.stack([np.searchsorted(chain, at * values.size - 0.5) for chain in np.sort(rank, axis=1)])
    difference: Floats = below / values.shape[1] - at
    return difference


@lru_cache(maxsize=64)
def rank_band(chains: int, draws: int) -> tuple[Floats, Floats]:
    """Simulate the simultaneous band of the rank differences of equal chains.

    The count of one chain's draws among the lowest z of all is hypergeometric (Säilynoja, Bürkner and
    Vehtari 2022, doi:10.1007/s11222-022-10090-6, section 4). Its standard deviation is scaled until all
    chains stay inside at all points with probability 0.95, by 500 simulations with a fixed seed.

    Parameters
    ----------
    chains, draws
        How many chains, and independent draws in each.

    Returns
    -------
    at
        Fractional ranks, dims (point,).
    half
        Half width of the band, dims (point,).
    """
    total = chains * draws
    count = np.unique(np.linspace(0, total, min(POINTS, draws + 1)).astype(int))
    at = count / total
    spread = np.sqrt(at * (1.0 - at) * (total - draws) / (draws * max(total - 1, 1)))
    rng = np.random.default_rng(BAND_SEED)
    width = np.diff(count)
    largest = np.empty(SIMULATIONS)
    for simulation in range(SIMULATIONS):
        left = np.full(chains, draws)
        reached = np.zeros((chains, count.size))
        for point, many in enumerate(width):
            taken = rng.multivariate_hypergeometric(left, many)
            left -= taken
            reached[:, point + 1] = reached[:, point] + taken
        largest[simulation] = np.max(np.abs(reached / draws - at)[:, 1:-1] / spread[1:-1])
    return at, float(np.quantile(largest, BAND)) * spread
