"""Ranks of the truth among posterior draws, and the posterior probability below the truth.

It judges nothing, and it does not decide how many draws are ranked: L is one for a whole study.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.large_arrays import parts
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["NO_RANK", "low_ess_share", "probability_below", "rank_truth", "thin"]

NO_RANK = -1
"""Rank where there is none: the truth is unknown, or a draw is not a number."""


def thin(draws: ArrayLike, L: int) -> NDArray[np.float64]:
    """Keep L of the pooled draws, evenly spaced.

    Chains are pooled one after the other, so that neighbours in the pooled sequence are neighbours in a chain and
    an even spacing is what removes their correlation; every chain keeps its share.

    Parameters
    ----------
    draws
        Dims (..., chain, draw).
    L
        Draws to keep.

    Returns
    -------
    array
        Dims (..., L).

    Raises
    ------
    ConfigError
        If L is not positive or there are fewer than L draws.
    """
    pooled = _pooled(draws)
    total = pooled.shape[-1]
    if L < 1:
        raise ConfigError(f"the truth is to be ranked among L = {L} draws, and L has to be 1 or more: set study.ranks")
    if total < L:
        raise ConfigError(
            f"the truth is to be ranked among L = {L} draws, and the fit has {total} (all chains): "
            f"raise sampler.draws or sampler.chains, or lower study.ranks for the whole study"
        )
    return pooled[..., (2 * np.arange(L) + 1) * total // (2 * L)]


def rank_truth(draws: ArrayLike, truth: ArrayLike, L: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rank true values among L draws of their posterior.

    r = #{theta_l < truth}, and a uniform integer in 0..#{theta_l = truth} is added, so that r is uniform on 0..L
    for discrete quantities too, if the draws come from the posterior.

    Parameters
    ----------
    draws
        Dims (..., chain, draw), of any number of scalars.
    truth
        Dims (...).
    L
        Draws that the truth is ranked among, see `thin`: one number for all fits of a study.
    rng
        Breaks ties. Each scalar takes one number from it, whatever the draws are.

    Returns
    -------
    array of int
        Dims (...), in 0..L; -1 where the truth or any draw, kept or not, is NaN.

    Raises
    ------
    ConfigError
        If L is not positive or there are fewer than L draws.

    References
    ----------
    Talts, Betancourt, Simpson, Vehtari, Gelman (2018), Validating Bayesian inference algorithms with
    simulation-based calibration, doi:10.48550/arXiv.1804.06788. Ties: Modrák et al. (2023), Simulation-based
    calibration checking for Bayesian computation, doi:10.1214/23-BA1404.
    """
    kept, value = thin(draws, L), np.asarray(truth, dtype=float)
    below = np.sum(kept < value[..., None], axis=-1, dtype=np.int64)
    ties = np.sum(kept == value[..., None], axis=-1, dtype=np.int64)
    ranks = below + np.floor(rng.random(below.shape) * (ties + 1)).astype(np.int64)
    unknown = np.isnan(value) | np.isnan(_pooled(draws)).any(axis=-1)
    return np.where(unknown, NO_RANK, ranks)


def probability_below(draws: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Work out the posterior probability below the truth, from all draws.

    Draws that equal the truth count by half, so that the probability is as often above as below one half for a
    discrete quantity too.

    Parameters
    ----------
    draws
        Dims (..., chain, draw).
    truth
        Dims (...).

    Returns
    -------
    array
        Dims (...), in [0, 1]; NaN where the truth or any draw is NaN.
    """
    pooled, value = _pooled(draws), np.asarray(truth, dtype=float)[..., None]
    if pooled.ndim == 1:
        return _share_below(pooled, value)
    found = np.empty(pooled.shape[:-1])
    for part in parts(pooled):
        found[part] = _share_below(pooled[part], value[part])
    return found


def _share_below(pooled: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.mean(pooled < value, axis=-1) + 0.5 * np.mean(pooled == value, axis=-1)
    unknown = np.isnan(value[..., 0]) | np.isnan(pooled).any(axis=-1)
    return np.where(unknown, np.nan, share)


def low_ess_share(ess_tail: ArrayLike, L: int) -> float:
    """Share of fits whose tail-ESS is smaller than L: their L draws are not nearly independent.

    Parameters
    ----------
    ess_tail
        Tail-ESS of one quantity, one for each fit; NaN where it is not defined.
    L
        Draws that the truth is ranked among.

    Returns
    -------
    float
        Share of the fits that have one; NaN if none has.
    """
    known = np.asarray(ess_tail, dtype=float)
    known = known[~np.isnan(known)]
    return float(np.mean(known < L)) if known.size else float("nan")


def _pooled(draws: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(draws, dtype=float)
    return array.reshape(*array.shape[:-2], array.shape[-2] * array.shape[-1])
