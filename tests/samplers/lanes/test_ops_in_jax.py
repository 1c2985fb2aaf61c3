"""Every function of numbers that PyTensor has: JAX has its value and the derivative of it, or has neither."""

import jax
import jax.numpy as jnp
import numpy as np
import pytensor.tensor as pt
import pytest
from pytensor import scalar
from pytensor.graph.fg import FunctionGraph
from pytensor.link.jax.dispatch import jax_funcify
from pytensor.tensor.elemwise import Elemwise

from bayesrun.planning.sampler_needs import DIFFERENTIABLE
from bayesrun.samplers.lanes.engine import prepare_jax

POINTS = {1: (0.3, 1.7, -0.6), 2: (2.3, 0.4), 3: (2.3, 1.4, 0.4), 4: (2.3, 1.4, 0.7, 0.4)}
"""Arguments by how many there are: for those of one, each is another point."""
MISSING = (NotImplementedError, AttributeError)
"""What is raised where JAX has no value."""


def ops():
    """Each once, with names of its own where functions share a class."""
    found = {str(op): op for module in (scalar, scalar.math) for op in vars(module).values() if _is_op(op)}
    return [found[name] for name in sorted(found)]


def _is_op(op):
    return isinstance(op, scalar.ScalarOp) and (op.nin > 0 or type(op).__name__ in DIFFERENTIABLE)


def in_jax(op, arguments):
    """Return the function of these numbers; None where its value is no float."""
    inputs = [pt.dscalar() for _ in arguments]
    try:
        output = Elemwise(op)(*inputs)
    except (TypeError, AssertionError):  # of whole numbers alone
        return None
    if isinstance(output, list) or output.dtype != "float64":  # neither truth nor rounding has a slope
        return None
    prepare_jax()
    compiled = jax_funcify(FunctionGraph(inputs, [output], clone=True))
    return lambda *values: jnp.asarray(compiled(*values)[0])


@pytest.mark.slow
@pytest.mark.parametrize("op", ops(), ids=str)
def test_what_jax_has_the_value_of_it_has_the_derivative_of(op):
    count = op.nin if op.nin > 0 else 2
    compared = 0
    points = [(x,) for x in POINTS[1]] if count == 1 else [POINTS[count]]
    for point in points:
        try:
            function = in_jax(op, point)
            value = None if function is None else function(*point)
        except MISSING:
            assert type(op).__name__ not in DIFFERENTIABLE
            return
        if value is None or not jnp.isfinite(value):
            continue
        for i, x in enumerate(point):
            step = 1e-5 * np.eye(len(point))[i]
            beside = [float(function(*(np.array(point) + k * step))) for k in (-2, -1, 1, 2)]
            if not np.isfinite(beside).all():
                continue
            slope = (beside[0] - 8 * beside[1] + 8 * beside[2] - beside[3]) / 1.2e-4
            found = jax.grad(function, argnums=i)(*map(jnp.float64, point))
            np.testing.assert_allclose(
                found, slope, rtol=1e-7, atol=1e-8, err_msg=f"{op} at {point}, argument {i}, {x}"
            )
            compared += 1
    assert compared or function is None
