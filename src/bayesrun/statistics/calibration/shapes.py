"""Readings of ranks in words: which way a posterior departs from the truth that was drawn.

It reads a shape where a test has found a departure; whether there is one is for `bands` to say.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from bayesrun.statistics.calibration.counts import checked_ranks, counts_below

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["NO_DEPARTURE", "NO_RANKS", "rank_shape", "shift_and_width"]

NO_DEPARTURE = "no departure seen"
NO_RANKS = "no ranks"

SEEN = 1.96
"""A component smaller than this many of its standard errors is not read."""

MINOR = 0.3
"""Nor is one that is smaller than this share of the other: ranks beyond the last draw are cut off at 0 and L, so that a
strong shift changes their spread, too."""

ONE_ARCH = 0.95
"""Where the areas above and below 0 differ by more than this share of their sum the ECDF difference is one arch."""


def shift_and_width(ranks: ArrayLike, L: int) -> tuple[float, float]:
    """Measure how far ranks are shifted and how far they are spread, each in its standard errors.

    Parameters
    ----------
    ranks
        Dims (replicate), in 0..L.
    L
        Largest possible rank.

    Returns
    -------
    shift
        Positive: ranks are too small, the posterior lies above the truth.
    width
        Positive: ranks lie at both ends, the posterior is too narrow.

    Raises
    ------
    ConfigError
        If there are no ranks, or some are not in 0..L.

    Notes
    -----
    The mean and the variance of the normal scores of the fractional ranks, (r + 1/2)/(L + 1), held against those of
    uniform ranks. A normal posterior that is shifted by d of its SDs has scores of mean -d, and one whose SD is
    too small by a factor c has scores of SD 1/c, so that the one does not look like the other; the plain mean and
    variance of the ranks do not tell a strong shift from a narrow posterior.

    References
    ----------
    Cook, Gelman, Rubin (2006), Validation of software for Bayesian models using posterior quantiles,
    doi:10.1198/106186006X136976.
    """
    whole = checked_ranks(ranks, L)
    scores = ndtri((np.arange(L + 1) + 0.5) / (L + 1))
    variance = float(np.mean(scores**2))
    error = math.sqrt(float(np.mean((scores**2 - variance) ** 2)))
    root, own = math.sqrt(whole.size), scores[whole]
    shift = -root * float(np.mean(own)) / math.sqrt(variance)
    # with one draw every rank is equally far from the middle, and there is no width
    return shift, root * (float(np.var(own)) - variance) / error if error > 0 else 0.0


def rank_shape(ranks: ArrayLike, L: int) -> str:
    """Read the ECDF difference of ranks that are not uniform.

    Parameters
    ----------
    ranks
        Dims (replicate), in 0..L.
    L
        Largest possible rank.

    Returns
    -------
    str
        ``posterior shifted high`` (one arch above 0) or ``low`` (below), ``posterior too narrow`` (up, then down) or
        ``too wide`` (down, then up), or both joined (``posterior shifted high and too narrow``), the larger component
        first. If it is none of these: where the difference is largest (``other shape, most at z = 0.12``).

    Raises
    ------
    ConfigError
        If there are no ranks, or some are not in 0..L.
    """
    shift, width = shift_and_width(ranks, L)
    points = np.arange(1, L + 1)
    z = points / (L + 1)
    difference = counts_below(checked_ranks(ranks, L), points) / np.size(ranks) - z
    one_arch = abs(float(difference.sum())) > ONE_ARCH * float(np.abs(difference).sum())
    sizes = {"shifted high" if shift > 0 else "shifted low": abs(shift)}
    if not one_arch or abs(width) > abs(shift):
        sizes["too narrow" if width > 0 else "too wide"] = abs(width)
    least = max(SEEN, MINOR * max(sizes.values()))
    read = sorted((word for word, size in sizes.items() if size >= least), key=lambda word: -sizes[word])
    if read:
        return "posterior " + " and ".join(read)
    return f"other shape, most at z = {z[np.argmax(np.abs(difference) / np.sqrt(z * (1 - z)))]:.2f}"
