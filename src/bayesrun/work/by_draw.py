"""What PyMC works out draw by draw, collected in arrays that are kept in a file where they are large."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.large_arrays import empty, let_go

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["collected"]

VISIT = 64
"""Draws after which what was collected is let go of."""
COLLECTS = "_DefaultTrace"
"""What PyMC collects in; where a version has no such thing, it collects in memory."""


class _Collection:
    """Values by name, one for each draw; it stands for PyMC's own, which is in memory."""

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.trace_dict: dict[str, np.ndarray] = {}

    def insert(self, name: str, value: Any, draw: int) -> None:
        """Keep the value of a draw."""
        if name not in self.trace_dict:
            of_all = (self.samples, *np.shape(value)), np.array(value).dtype
            self.trace_dict |= empty({name: of_all})
        self.trace_dict[name][draw] = value
        if draw % VISIT == 0 or draw == self.samples - 1:
            let_go(self.trace_dict[name])


@contextmanager
def collected() -> Iterator[None]:
    """Let PyMC collect in arrays that may be in a file meanwhile."""
    from pymc.backends import arviz
    from pymc.sampling import forward

    own = {module: getattr(module, COLLECTS) for module in (arviz, forward) if hasattr(module, COLLECTS)}
    for module in own:
        setattr(module, COLLECTS, _Collection)
    try:
        yield
    finally:
        for module, known in own.items():
            setattr(module, COLLECTS, known)
