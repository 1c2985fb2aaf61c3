"""SciPy's splines in JAX, as PyMC's interpolated densities have them: the same polynomials and derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import jax.numpy as jnp
import numpy as np
from pymc.distributions.dist_math import SplineWrapper
from pytensor.link.jax.dispatch import jax_funcify
from scipy.interpolate import BSpline, PPoly

if TYPE_CHECKING:
    from collections.abc import Callable

    import jax
    from scipy.interpolate import UnivariateSpline

__all__ = ["in_jax"]

OUTSIDE: dict[int, Literal["extrapolate", "zeros", "raise", "const"]] = {
    0: "extrapolate",
    1: "zeros",
    2: "raise",
    3: "const",
}
"""What SciPy's splines are beyond their knots, by its numbers."""


def in_jax(spline: UnivariateSpline) -> Callable[[jax.Array], jax.Array]:
    """Return a spline as a function of JAX.

    Parameters
    ----------
    spline
        Of any degree.

    Returns
    -------
    Callable
        Takes an array of any shape and returns the values of the spline there.

    Raises
    ------
    NotImplementedError
        If it raises beyond its knots, which no compiled function can.
    """
    knots, coefficients, degree = spline._eval_args
    outside = OUTSIDE[int(spline.ext)]
    if outside == "raise":
        raise NotImplementedError("a spline that raises beyond its knots has no form in JAX; make it with ext='zeros'")
    pieces = PPoly.from_spline(BSpline(knots, coefficients, degree))
    kept = np.flatnonzero(np.diff(pieces.x) > 0)  # knots at the ends are there several times
    begins, ends = pieces.x[kept], pieces.x[kept + 1]
    powers = pieces.c[:, kept]

    def evaluate(x: jax.Array) -> jax.Array:
        inside = jnp.clip(x, begins[0], ends[-1]) if outside == "const" else x
        place = jnp.clip(jnp.searchsorted(begins, inside, side="right") - 1, 0, len(begins) - 1)
        own = jnp.asarray(powers, dtype=x.dtype)[:, place]
        beside = inside - jnp.asarray(begins, dtype=x.dtype)[place]
        value = own[0]
        for coefficient in own[1:]:
            value = value * beside + coefficient
        return jnp.where((x < begins[0]) | (x > ends[-1]), 0.0, value) if outside == "zeros" else value

    return evaluate


def _of_spline(op: SplineWrapper, **_: Any) -> Callable[[jax.Array], jax.Array]:
    return in_jax(op.spline)


jax_funcify.register(SplineWrapper, _of_spline)
