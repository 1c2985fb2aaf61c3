"""A second form of a density, through whose gradient 0 is handed on as 0; values stay as they are.

The branch of a switch that is not taken gets 0 from the gradient of what follows, and so does a term that is rounded
to nothing. JAX multiplies that with the derivative in the branch. Where this is infinite the product is NaN, and so is
the whole gradient, although the density is smooth there: the distribution function of a normal variable is a switch
between two forms, each of which is infinite far out in the other's region. Here 0 times anything is 0. Where a
gradient is finite anyhow, this changes nothing: 0 times what is finite is 0, and what is not finite does not become so
again on the way back. It costs time and another rounding, so it is for those fits alone that met such a gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.jax.dispatch import jax_funcify
from pytensor.scalar import basic as ps
from pytensor.scalar.math import Log1mexp
from pytensor.scan.op import Scan
from pytensor.tensor.elemwise import Elemwise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from pytensor.graph.basic import Variable
    from pytensor.graph.fg import FunctionGraph

__all__ = ["guarded", "log1mexp", "may_be_guarded"]

STRAIGHT = (ps.Add, ps.Sub, ps.Neg, ps.Cast, ps.Identity, ps.Second, ps.Switch, ps.Abs, ps.Maximum, ps.Minimum, ps.Clip)
"""What hands 0 on as 0 by itself."""


class Guarded(Op):  # type: ignore[misc]  # PyTensor is not typed
    """An elementwise op through whose gradient 0 is handed on as 0."""

    __props__ = ("inner",)

    def __init__(self, inner: Elemwise) -> None:
        self.inner = inner

    def make_node(self, *inputs: Variable) -> Apply:
        """Take and give what the op does."""
        return Apply(self, list(inputs), [out.type() for out in self.inner.make_node(*inputs).outputs])

    def perform(self, node: Apply, inputs: list[np.ndarray], outputs: list[list[Any]]) -> None:
        """Compute the op."""
        self.inner.perform(self.inner.make_node(*node.inputs), inputs, outputs)


def may_be_guarded(graph: FunctionGraph) -> bool:
    """Whether the second form of a graph is another one."""
    return bool(_bent(graph, graph.inputs[:1]))


def guarded(graph: FunctionGraph) -> FunctionGraph:
    """Return the second form of a graph whose first input is the position of a chain."""
    copy = graph.clone()
    _guard(copy, copy.inputs[:1])
    return copy


def _guard(graph: FunctionGraph, inputs: Sequence[Variable]) -> None:
    """Put guarded ops in the place of those that depend on some inputs, those of loops included."""
    for node in _bent(graph, inputs):
        op = Guarded(node.op)
        if isinstance(node.op, Scan):
            step = node.op.fgraph.unfreeze()
            _guard(step, step.inputs)
            op = node.op.clone_with_inner_graph(step)
        graph.replace_all(list(zip(node.outputs, op.make_node(*node.inputs).outputs, strict=True)))


def _bent(graph: FunctionGraph, inputs: Sequence[Variable]) -> list[Apply]:
    """Return what depends on some inputs, and not by adding or choosing alone, in the order of computation."""
    moving: set[Variable] = set(inputs)
    found = []
    for node in graph.toposort():
        if moving.isdisjoint(node.inputs):
            continue
        moving.update(node.outputs)
        elementwise = isinstance(node.op, Elemwise) and not isinstance(node.op.scalar_op, STRAIGHT)
        number = elementwise and len(node.outputs) == 1 and node.outputs[0].dtype.startswith("float")
        if number or isinstance(node.op, Scan):
            found.append(node)
    return found


def _stopping(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Return an elementwise function that hands 0 on as 0."""

    def forward(*values: jax.Array) -> tuple[jax.Array, Any]:
        value, pull = jax.vjp(function, *values)
        return value, pull

    def backward(pull: Any, slope: jax.Array) -> tuple[Any, ...]:
        return tuple(
            jnp.where(slope == 0.0, 0.0, one) if jnp.issubdtype(one.dtype, jnp.floating) else one for one in pull(slope)
        )

    same = jax.custom_vjp(lambda *values: function(*values))
    same.defvjp(forward, backward)

    def spread(*values: jax.Array) -> jax.Array:
        # before, and not after: the sum over what a value is repeated for would mix NaN in
        found: jax.Array = same(*jnp.broadcast_arrays(*map(jnp.asarray, values)))
        return found

    return spread


def _log1mexp(x: jax.Array) -> jax.Array:
    value: jax.Array = jnp.where(x < jnp.log(0.5), jnp.log1p(-jnp.exp(x)), jnp.log(-jnp.expm1(x)))
    return value


def _log1mexp_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    return log1mexp(x), -dx / jnp.expm1(-x)


log1mexp = jax.custom_jvp(_log1mexp)
log1mexp.defjvp(_log1mexp_jvp)


def _funcify(op: Guarded, node: Apply, **options: Any) -> Callable[..., jax.Array]:
    if isinstance(op.inner.scalar_op, Log1mexp):  # a switch inside JAX, where no guard gets
        return _stopping(log1mexp)
    return _stopping(jax_funcify(op.inner, node=op.inner.make_node(*node.inputs), **options))


jax_funcify.register(Guarded, _funcify)
