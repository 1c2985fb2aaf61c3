"""Starts of models whose initial point is random, drawn by PyMC; a density has the start of every other model."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from pymc.initial_point import make_initial_point_fn

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesrun.samplers.lanes.graphs import Survey

__all__ = ["drawn_start"]


def drawn_start(surveyed: Survey, seed: int | tuple[int, ...], *, jittered: bool = False) -> np.ndarray:
    """Draw a start.

    Parameters
    ----------
    surveyed
        The survey of the dataset's own model.
    seed
        Of the fit; with the number of the chain where each chain has a start of its own.
    jittered
        Move the start by U(-1, 1) in the unconstrained space.

    Returns
    -------
    array
        Dims (coordinate,): the free variables in the unconstrained space, in the model's order.
    """
    own = np.random.SeedSequence(seed).generate_state(1)[0]
    point = _initial_point(surveyed, jittered)(int(own))
    return np.concatenate([np.ravel(value) for value in point.values()], dtype=np.float64)


@lru_cache(maxsize=8)
def _initial_point(surveyed: Survey, jittered: bool) -> Callable[[int], dict[str, np.ndarray]]:
    model = surveyed.model
    found: Callable[[int], dict[str, np.ndarray]] = make_initial_point_fn(
        model=model, jitter_rvs=set(model.free_RVs) if jittered else set(), return_transformed=True
    )
    return found
