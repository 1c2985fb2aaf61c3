"""Bands and p-values of ranks by simulation: the check of the exact ones, and slower.

Nothing else in bayesrun uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesrun.errors import ConfigError
from bayesrun.statistics.calibration.counts import evaluation_points
from bayesrun.statistics.calibration.recursion import SAME, statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

__all__ = ["simulated_gamma", "simulated_gammas", "simulated_p_value"]

CHUNK = 2_000_000
"""Counts that are held at a time."""


def simulated_gammas(n: int, L: int, simulations: int, rng: np.random.Generator) -> Floats:
    """Simulate the statistic of `observed_gamma` for calibrated ranks.

    Parameters
    ----------
    n
        Number of ranks.
    L
        Largest possible rank.
    simulations
        How many sets of n ranks.
    rng
        Draws the ranks.

    Returns
    -------
    array
        Dims (simulation).

    Raises
    ------
    ConfigError
        As for `evaluation_points`.
    """
    points = evaluation_points(n, L)
    z, share = points[1:-1] / (L + 1), np.diff(points) / (L + 1)
    found = []
    step = max(1, CHUNK // points.size)
    for start in range(0, simulations, step):
        counts = rng.multinomial(n, share, size=min(step, simulations - start))
        found.append(statistics(np.cumsum(counts, axis=1)[:, :-1], n, z))
    return np.concatenate(found)


def simulated_gamma(gammas: Floats, alpha: float = 0.05) -> float:
    """Largest simulated value whose p-value (1 + #{gamma_m <= gamma}) / (M + 1) is at most alpha.

    Parameters
    ----------
    gammas
        From `simulated_gammas`. Dims (simulation).
    alpha
        Probability that calibrated ranks leave the band anywhere, at most.

    Returns
    -------
    float
        The simulated counterpart of `Gamma.gamma`.

    Raises
    ------
    ConfigError
        If there are too few simulations to have such a value.
    """
    values, first = np.unique(gammas, return_inverse=True)
    p = (1 + np.cumsum(np.bincount(first))) / (gammas.size + 1)
    if p[0] > alpha:
        raise ConfigError(
            f"{gammas.size} simulations are too few for level {alpha}: more than {2 / alpha:.0f} are needed"
        )
    return float(values[np.flatnonzero(p <= alpha)[-1]])


def simulated_p_value(gamma: float, gammas: Floats) -> float:
    """Share of simulated sets of ranks that depart as far as the observed one, which counts as one of them.

    Parameters
    ----------
    gamma
        From `bands.observed_gamma`.
    gammas
        From `simulated_gammas`. Dims (simulation).

    Returns
    -------
    float
        (1 + #{gamma_m <= gamma}) / (M + 1).
    """
    return float((1 + np.sum(gammas <= gamma * (1.0 + SAME))) / (gammas.size + 1))
