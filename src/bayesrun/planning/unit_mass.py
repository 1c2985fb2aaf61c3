"""Whether the terms of a likelihood are densities: worked out by quadrature, where a graph does not show it.

A density that a user writes may be a product with a number, such as ``-(z**2 + log(2 pi s**2)) / 2``, and so may a
power of a density, which integrates to 1 at no more than single values of the parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import Mode
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.traversal import ancestors

if TYPE_CHECKING:
    import pymc as pm
    from pytensor.graph.basic import Variable

__all__ = ["integrate_to_one"]

POINTS: Final = (0.0, 0.37)
"""Steps from the start, in the unconstrained space, at which terms are integrated; shorter ones where data spread less
than 1, so that densities stay near the data."""
GRID: Final = np.linspace(-12.0, 12.0, 4001)
"""The value is their sinh in standard deviations of what is observed: out to 80,000 of these, 0.006 near the middle."""
ACCURACY: Final = 0.01
MOST: Final = 1000
"""Observed values up to which terms are integrated."""


def integrate_to_one(model: pm.Model, rv: Variable[Any, Any], term: Variable[Any, Any], observed: np.ndarray) -> bool:
    """Say whether terms are log densities of their values, at two points of the parameters.

    Parameters
    ----------
    model
        Any PyMC model.
    rv
        An observed variable of it.
    term
        Its terms, one for each observed value.
    observed
        These values.

    Returns
    -------
    bool
        False too where it cannot be worked out: of whole numbers, of many values, of what lies far from the data.
    """
    value = model.rvs_to_values[rv]
    if not rv.type.dtype.startswith("float") or value not in set(ancestors([term])):
        return False
    if not 0 < observed.size <= MOST or not np.isfinite(observed).all():
        return False
    middle = float(np.median(observed))
    spread = float(np.std(observed)) or abs(middle) or 1.0
    grid = middle + spread * np.sinh(GRID)
    weights = spread * np.cosh(GRID) * (GRID[1] - GRID[0])
    given = pt.tensor(dtype=rv.type.dtype, shape=(None, *observed.shape))
    at = model.initial_point()
    values = np.broadcast_to(grid.reshape(-1, *(1,) * observed.ndim), (len(grid), *observed.shape)).astype(given.dtype)
    try:
        densities = pytensor.function(
            [given, *model.value_vars],
            pt.exp(vectorize_graph(term, {value: given})),
            mode=Mode(linker="py", optimizer=None),
            on_unused_input="ignore",
        )
        with np.errstate(all="ignore"):
            found = [
                densities(
                    values, *(np.asarray(at[v.name] + step * min(1.0, spread), v.dtype) for v in model.value_vars)
                )
                for step in POINTS
            ]
    except Exception:  # noqa: BLE001 - a density of the user's may raise anything beyond its support
        return False
    return all(
        density.shape == values.shape
        and bool((np.abs(np.tensordot(weights, np.nan_to_num(density, posinf=np.inf), 1) - 1.0) < ACCURACY).all())
        for density in found
    )
