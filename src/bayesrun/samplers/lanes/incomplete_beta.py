"""The regularised incomplete beta function in JAX with a derivative in each of its arguments, which JAX's own has not.

It is in the distribution functions of Student's t, beta, binomial and negative binomial variables, and so in every
likelihood that is censored, truncated or a hurdle of one of these.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.scipy.special import digamma, gammaln
from pytensor.link.jax.dispatch import jax_funcify
from pytensor.scalar.math import BetaInc

__all__ = ["betainc", "shape_derivatives"]

STEPS = 5000
"""Terms of the continued fraction at most; 520 are the most that was met with arguments up to 1e5."""


class _Fraction(NamedTuple):
    """The state of Lentz's evaluation of a continued fraction and of its derivatives.

    Attributes
    ----------
    step
        Which term follows.
    going
        Where it has not converged. What has converged stays as it is, whatever the other elements do.
    value, ratio, inverse
        The fraction so far; the ratio of two numerators in a row; that of two denominators, inverted.
    log_slopes, ratio_slopes, inverse_slopes
        Derivatives in both shapes: of the logarithm of the fraction, and of the two ratios.
    """

    step: jax.Array
    going: jax.Array
    value: jax.Array
    ratio: jax.Array
    inverse: jax.Array
    log_slopes: tuple[jax.Array, jax.Array]
    ratio_slopes: tuple[jax.Array, jax.Array]
    inverse_slopes: tuple[jax.Array, jax.Array]


def shape_derivatives(a: jax.Array, b: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Differentiate I_x(a, b) in its two shapes.

    The continued fraction (DLMF 8.17.22, https://dlmf.nist.gov/8.17.E22) is differentiated term by term, which Boik and
    Robison-Cox (1998, doi:10.18637/jss.v003.i01) do for another one of the same function. It is evaluated by Lentz's
    method on the side where it converges fast; the logarithm of the factor in front of it has a derivative in closed
    form. What is small is therefore accurate too: an error is relative to the derivative, not to I.

    Parameters
    ----------
    a, b
        Shapes, positive. The derivative in a shape that is 0 is NaN, that in the other one 0.
    x
        Between 0 and 1; at these two ends the derivatives are 0.

    Returns
    -------
    tuple of arrays
        The derivatives in a and in b.
    """
    a, b, x = jnp.broadcast_arrays(a, b, x)
    lower = x < (a + 1.0) / (a + b + 2.0)
    inside = (x > 0.0) & (x < 1.0) & (a > 0.0) & (b > 0.0) & jnp.isfinite(a) & jnp.isfinite(b)
    p, q = jnp.where(lower, a, b), jnp.where(lower, b, a)
    p, q, x_in = (jnp.where(inside, value, 0.5) for value in (p, q, x))
    y = jnp.where(lower, x_in, 1.0 - x_in)
    log_x, log_rest = jnp.log(x_in), jnp.log1p(-x_in)
    log_y, log_1_y = jnp.where(lower, log_x, log_rest), jnp.where(lower, log_rest, log_x)
    front = jnp.exp(p * log_y + q * log_1_y - gammaln(p + 1.0) - gammaln(q) + gammaln(p + q))
    of_sum = digamma(p + q)
    of_front = log_y - digamma(p + 1.0) + of_sum, log_1_y - digamma(q) + of_sum
    fraction = _fraction(p, q, y, of_front)
    integral = front / fraction.value
    in_p, in_q = (integral * (own - slope) for own, slope in zip(of_front, fraction.log_slopes, strict=True))
    slopes = jnp.where(lower, in_p, -in_q), jnp.where(lower, in_q, -in_p)
    known = (a >= 0.0) & (b >= 0.0) & (x >= 0.0) & (x <= 1.0)
    in_a, in_b = (
        jnp.where(inside, slope, jnp.where(known & (shape != 0.0), 0.0, jnp.nan))
        for slope, shape in zip(slopes, (a, b), strict=True)
    )
    return in_a, in_b


def _fraction(p: jax.Array, q: jax.Array, y: jax.Array, of_front: tuple[jax.Array, jax.Array]) -> _Fraction:
    """Evaluate 1 + d1 / (1 + d2 / (1 + ...)) until neither it nor its derivatives change beyond rounding."""
    one, zero = jnp.ones_like(y), jnp.zeros_like(y)
    none = (zero, zero)
    start = _Fraction(jnp.int32(1), jnp.ones(y.shape, bool), one, one, zero, none, none, none)
    rounding = jnp.finfo(y.dtype).eps

    def unfinished(state: _Fraction) -> jax.Array:
        return state.going.any() & (state.step < STEPS)

    def add(state: _Fraction) -> _Fraction:
        term, *of_term = _term(state.step, p, q, y)
        ratio, inverse = 1.0 + term / state.ratio, 1.0 / (1.0 + term * state.inverse)
        ratio_slopes, inverse_slopes, changes = [], [], []
        for slope, of_ratio, of_inverse in zip(of_term, state.ratio_slopes, state.inverse_slopes, strict=True):
            ratio_slopes.append((slope - term * of_ratio / state.ratio) / state.ratio)
            inverse_slopes.append(-inverse * inverse * (slope * state.inverse + term * of_inverse))
            changes.append(ratio_slopes[-1] / ratio + inverse_slopes[-1] / inverse)
        factor = ratio * inverse
        log_slopes = tuple(old + change for old, change in zip(state.log_slopes, changes, strict=True))
        going = jnp.abs(factor - 1.0) > 2.0 * rounding
        for change, slope, own in zip(changes, log_slopes, of_front, strict=True):
            going = going | (jnp.abs(change) > rounding * (jnp.abs(slope) + jnp.abs(own)))
        new = (state.value * factor, ratio, inverse, log_slopes, tuple(ratio_slopes), tuple(inverse_slopes))
        kept = jax.tree.map(lambda after, before: jnp.where(state.going, after, before), new, tuple(state[2:]))
        return _Fraction(state.step + 1, state.going & going, *kept)

    found: _Fraction = lax.while_loop(unfinished, add, start)
    return found


def _term(step: jax.Array, p: jax.Array, q: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return a term of the continued fraction and its derivatives in p and q."""
    m = (step // 2).astype(y.dtype)
    even = step % 2 == 0
    first = jnp.where(m == 0.0, 1.0, p + m)  # for m = 0 the factor p is above and below
    top = jnp.where(even, m * (q - m), -first * (p + q + m))
    bottom = jnp.where(even, p + 2.0 * m - 1.0, p + 2.0 * m + 1.0) * jnp.where(m == 0.0, 1.0, p + 2.0 * m)
    term = top * y / bottom
    in_p = jnp.where(even, 0.0, 1.0 / (p + q + m) + jnp.where(m == 0.0, 0.0, 1.0 / first))
    in_p = in_p - jnp.where(even, 1.0 / (p + 2.0 * m - 1.0), 1.0 / (p + 2.0 * m + 1.0))
    in_p = in_p - jnp.where(m == 0.0, 0.0, 1.0 / (p + 2.0 * m))
    return term, term * in_p, jnp.where(even, m, -first) * y / bottom


def _value(a: jax.Array, b: jax.Array, x: jax.Array) -> jax.Array:
    """Return I_x(a, b) as JAX computes it."""
    value: jax.Array = jax.scipy.special.betainc(a, b, x)
    return value


def _betainc_jvp(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[jax.Array, jax.Array]:
    a, b, x = (jnp.asarray(primal, dtype=jnp.result_type(float, *primals)) for primal in primals)
    value = betainc(a, b, x)
    slope = jnp.zeros_like(value)
    of_a, of_b, of_x = tangents
    if type(of_x) is not SymbolicZero:  # only what is asked for: the shapes of many likelihoods are constants
        _, slope = jax.jvp(lambda x: jax.scipy.special.betainc(a, b, x), (x,), (of_x,))
    if type(of_a) is not SymbolicZero or type(of_b) is not SymbolicZero:
        slopes = shape_derivatives(a, b, x)
        for tangent, own in zip((of_a, of_b), slopes, strict=True):
            slope = slope if type(tangent) is SymbolicZero else slope + own * tangent
    return value, slope


betainc = jax.custom_jvp(_value)
betainc.defjvp(_betainc_jvp, symbolic_zeros=True)
jax_funcify.register(BetaInc, lambda op, **_: betainc)  # noqa: ARG005 (PyTensor passes it)
