"""Chains whose log density stays far below that of the others: which one, how far, since when, and whether it moves.

Chains that draw from one distribution have log densities of one distribution, whose standard deviation is about
sqrt(d/2) in d dimensions. It judges nothing: such a chain may be stuck, on its way, or in another mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

__all__ = ["CLIMBING", "MOVING", "STUCK", "Apart", "chains_apart"]

STUCK, CLIMBING, MOVING = 0, 1, 2
"""What a chain does where it is: it stays at few points, it still gains log density, or it moves as others do."""
MULTIPLE: Final = 10.0
"""How many standard deviations of the others' log density are far: more than draws of one distribution come to, with
heavy tails and few effective draws too."""
SMALLEST: Final = float(np.sqrt(0.5))
"""Standard deviation of the log density of one normal coordinate, taken for smaller ones."""
QUARTILES: Final = 1.349
"""Distance of the quartiles of a normal distribution, in standard deviations."""
GAIN: Final = 3.0
"""Standard deviations that a chain gains from its first quarter to its last if it is still climbing."""
FEW: Final = 0.05
"""Share of distinct draws below which a chain hardly moves."""
SHORTEST: Final = 8
"""Draws of a chain below which nothing is said."""


@dataclass(frozen=True)
class Apart:
    """A chain that sits apart.

    Parameters
    ----------
    chain
        Its number, counted from 0.
    below
        How far its median log density is below that of the others.
    since
        The draw from which on it has been there, counted from 0.
    moves
        `STUCK`, `CLIMBING` or `MOVING`.
    """

    chain: int
    below: float
    since: int
    moves: int


def chains_apart(lp: np.ndarray) -> list[Apart]:
    """Find the chains that sit apart, those furthest below first.

    Parameters
    ----------
    lp
        Log densities at the draws in the unconstrained space, dims (chain, draw). A chain is compared with the one that
        is in the middle of the others.
    """
    if lp.shape[0] < 2 or lp.shape[1] < SHORTEST or not np.isfinite(lp).all():
        return []
    middles = np.median(lp, axis=1)
    found = []
    for chain, own in enumerate(lp):
        others = np.delete(np.arange(len(lp)), chain)
        other = others[np.argsort(middles[others])[len(others) // 2]]
        spread = max(float(np.subtract(*np.quantile(lp[other], (0.75, 0.25)))) / QUARTILES, SMALLEST)
        near = own >= middles[other] - MULTIPLE * spread
        if middles[chain] >= middles[other] - MULTIPLE * spread:
            continue
        since = int(near.nonzero()[0].max() + 1) if near.any() else 0
        # one that comes near now and then has been apart all the time that it is told of
        since = since if since < lp.shape[1] // 2 else 0
        found.append(Apart(chain, float(middles[other] - middles[chain]), since, _moves(own[since:], spread)))
    return sorted(found, key=lambda one: -one.below)


def _moves(lp: np.ndarray, spread: float) -> int:
    if len(np.unique(lp)) <= max(FEW * len(lp), 1.0):
        return STUCK
    quarter = max(len(lp) // 4, 1)
    gained = float(np.median(lp[-quarter:]) - np.median(lp[:quarter]))
    return CLIMBING if gained > GAIN * spread else MOVING
