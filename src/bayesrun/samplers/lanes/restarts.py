"""Which chains of a fit are begun again, since nothing that they explore can hold mass beside what the others explore.

Where a chain stays, the distribution restricted to that region has log mass E[lp] + H, with lp the log density and H
the entropy (the identity behind variational inference: Wainwright and Jordan 2008, doi:10.1561/2200000001, section
3.6). A region of lower density can hold as much mass only by being wider: H grows by the logarithm of the ratio of
widths, for each coordinate. The typical set itself spreads little: of d normal coordinates lp has standard deviation
sqrt(d/2). So a chain whose lp is below another's by more than its own widths make up for, and by a large allowance
more, is in no mode that has mass, however it moves: it is still on its way from an unlucky start, or stuck. A mode of
lower density that is wide enough to matter has its widths counted and stays: of what has mass nothing may be thrown
out (Yao, Vehtari and Gelman 2022, JMLR 23:79). Another start is drawn like the first one; Stan and PyMC do that only
where the density or its gradient is not finite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["MOST", "Look", "hopeless", "look"]

MOST = 3
"""Other starts that a chain may have. Where all are hopeless, the best of them and of the first one is kept."""
SHORTEST = 100
"""Transitions of a warm-up below which it has no early part."""
EARLY, LEAST, LATEST = 4, 150, 2
"""A chain is looked at after the fourth part of its warm-up but after no fewer transitions, in which most chains that
start far away arrive; in a short warm-up after its half."""
PART = 5
"""What is looked at is the last of so many parts."""
NEGLIGIBLE = 50.0
"""Logarithm of a ratio of masses beyond which the smaller one is nothing: e^-50 is 2e-22."""
ALLOWANCE = np.log(100.0)
"""For each coordinate: a width that few correlated transitions tell may be off by a factor of ten, and correlations may
make another ten of what is filled."""


@dataclass(frozen=True)
class Look:
    """The transitions that decide, counted from 0: from `first` to before `last`."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many they are."""
        return self.last - self.first


def look(tune: int) -> Look | None:
    """Say when chains with a warm-up of some length are looked at; None: never."""
    if tune < SHORTEST:
        return None
    last = max(tune // EARLY, min(LEAST, tune // LATEST))
    return Look(last - last // PART, last)


def hopeless(lp: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Say by how much each chain is further below another one than any mode with mass can be.

    Parameters
    ----------
    lp
        Log densities of the transitions that decide, dims (chain, transition).
    z
        Positions in the unconstrained space, dims (chain, transition, coordinate).

    Returns
    -------
    array
        Dims (chain,): how far its median log density is below that of the chain that shows it to be hopeless, or 0.
    """
    middle = np.median(lp, axis=1)
    with np.errstate(divide="ignore"):
        widths = np.log(z.std(axis=1))  # minus infinity where a chain never moved, which makes up for nothing
    bound = NEGLIGIBLE + ALLOWANCE * z.shape[2]
    return np.array([_hopeless(m, w, middle, widths, bound) for m, w in zip(middle, widths, strict=True)])


def _hopeless(own: float, width: np.ndarray, middle: np.ndarray, widths: np.ndarray, bound: float) -> float:
    below = middle - own
    with np.errstate(invalid="ignore"):
        wider = width - widths  # NaN between two that never moved
    made_up = np.where(wider > 0, wider, 0.0).sum(axis=1)
    return float(below[below - made_up > bound].max(initial=0.0))
