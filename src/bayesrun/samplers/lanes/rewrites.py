"""Rewrites that make log densities cheaper without changing them beyond rounding; they know nothing of a model.

In double precision XLA's logarithms cost four to six times an exponential, so a likelihood with a link function is
bound by the softplus that it computes: here once instead of twice, by a series, and with a derivative that shares its
exponential.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pytensor.tensor as pt
from jax import lax
from pytensor.graph.basic import Apply, Constant
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import in2out, node_rewriter
from pytensor.link.jax.dispatch import jax_funcify
from pytensor.scalar import basic as ps
from pytensor.scalar.math import Sigmoid, Softplus
from pytensor.tensor.elemwise import Elemwise

import bayesrun.samplers.lanes.incomplete_beta
import bayesrun.samplers.lanes.splines  # noqa: F401  (PyTensor learns of both there)

if TYPE_CHECKING:
    from pytensor.graph.basic import Variable
    from pytensor.graph.fg import FunctionGraph

__all__ = ["simplify", "softplus", "substitute"]

NEVER_NEGATIVE = (ps.Exp, Sigmoid, Softplus, ps.Sqr, ps.Abs)
TERMS = {"float64": 17, "float32": 8}
"""Of the series in `softplus`: the next one is below the rounding of the sum."""


def _scalar_op(variable: Variable) -> Any:
    node = variable.owner
    return node.op.scalar_op if node is not None and isinstance(node.op, Elemwise) else None


def _constant(variable: Variable) -> float | None:
    """Return the number that a variable is everywhere, if it is a constant."""
    if not isinstance(variable, Constant) or not variable.data.size:
        return None
    first = variable.data.flat[0]
    return float(first) if (variable.data == first).all() else None


def _certain(graph: FunctionGraph, node: Apply) -> list[Variable] | None:  # noqa: ARG001 (PyTensor passes it)
    """Answer whether a probability is between 0 and 1, or an exponential or a square not below 0."""
    if not isinstance(node.op.scalar_op, (ps.GE, ps.LE)):
        return None
    low, high = node.inputs if isinstance(node.op.scalar_op, ps.LE) else reversed(node.inputs)
    floor, ceiling = _constant(low), _constant(high)
    not_negative = floor is not None and floor <= 0 and isinstance(_scalar_op(high), NEVER_NEGATIVE)
    at_most_one = ceiling is not None and ceiling >= 1 and isinstance(_scalar_op(low), Sigmoid)
    if not (not_negative or at_most_one):
        return None
    return [pt.alloc(np.bool_(True), *node.outputs[0].shape)]


def _choose_first(graph: FunctionGraph, node: Apply) -> list[Variable] | None:  # noqa: ARG001 (PyTensor passes it)
    """Turn switch(c, f(a), f(b)) into f(switch(c, a, b)), which computes f once."""
    if not isinstance(node.op.scalar_op, ps.Switch):
        return None
    condition, one, other = node.inputs
    if _scalar_op(one) is None or _scalar_op(one) != _scalar_op(other) or len(one.owner.inputs) != 1:
        return None
    (a,), (b,) = one.owner.inputs, other.owner.inputs
    if a.type != b.type or a.type.shape != node.outputs[0].type.shape or None in a.type.shape:
        return None
    return [one.owner.op(pt.switch(condition, a, b))]


def simplify(graph: FunctionGraph) -> None:
    """Remove checks that cannot fail, and branches that compute the same function twice."""
    rules = [node_rewriter([Elemwise])(rule) for rule in (_certain, _choose_first)]
    in2out(*rules, name="cheaper_densities").rewrite(graph)


class FastSoftplus(Op):  # type: ignore[misc]  # PyTensor is not typed
    """log(1 + exp(x)) as `softplus` computes it."""

    __props__ = ()

    def make_node(self, x: Variable) -> Apply:
        """Take a tensor and give one like it."""
        return Apply(self, [x], [x.type()])

    def perform(self, node: Apply, inputs: list[np.ndarray], outputs: list[list[Any]]) -> None:  # noqa: ARG002
        """Compute it in NumPy."""
        outputs[0][0] = np.logaddexp(0.0, inputs[0])


def substitute(graph: FunctionGraph) -> None:
    """Put `softplus` in the place of PyTensor's, after all other rewrites."""
    for node in graph.toposort():
        if isinstance(_scalar_op(node.outputs[0]), Softplus) and node.outputs[0].dtype == "float64":
            graph.replace(node.outputs[0], FastSoftplus()(node.inputs[0]))


def _softplus(x: jax.Array) -> jax.Array:
    """Return log(1 + exp(x)), accurate to rounding for any x.

    With e = exp(-abs(x)) it is max(x, 0) + log(1 + e), and log(1 + e) = 2 artanh(s) for s = e / (2 + e), which is at
    most 1/3, so that a short series is exact. The barriers keep XLA from computing it within a sum over the
    observations, where it does not use the vector units.
    """
    barred: jax.Array = lax.optimization_barrier(_value(x, jnp.exp(-jnp.abs(x))))
    return barred


def _value(x: jax.Array, e: jax.Array) -> jax.Array:
    s = e / (2.0 + e)
    square = s * s
    terms = TERMS.get(s.dtype.name, TERMS["float64"])
    series = jnp.full_like(s, 2.0 / (2 * terms - 1))
    for k in range(terms - 2, -1, -1):
        series = series * square + 2.0 / (2 * k + 1)
    return jnp.maximum(x, 0.0) + s * series


def _softplus_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    e = jnp.exp(-jnp.abs(x))
    value, slope = lax.optimization_barrier((_value(x, e), jnp.where(x >= 0, 1.0, e) / (1.0 + e)))
    return value, slope * dx


softplus = jax.custom_jvp(_softplus)
softplus.defjvp(_softplus_jvp)
jax_funcify.register(FastSoftplus, lambda op, **_: softplus)  # noqa: ARG005 (PyTensor passes it)
