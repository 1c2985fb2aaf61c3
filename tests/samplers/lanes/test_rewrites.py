"""Cheaper forms of log densities: the same numbers, with the work gone that they are meant to save."""

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from pytensor.graph.fg import FunctionGraph
from pytensor.tensor.elemwise import Elemwise
from scipy import special

from bayesrun.samplers.lanes import rewrites
from bayesrun.samplers.lanes.density import _optimised

pytestmark = pytest.mark.usefixtures("double_precision")


def test_softplus_is_exact_everywhere():
    x = np.concatenate([np.linspace(-700.0, 700.0, 4001), np.linspace(-1.0, 1.0, 2001), [1e300, -1e300]])
    np.testing.assert_allclose(rewrites.softplus(x), np.logaddexp(0.0, x), rtol=1e-15)
    slope = jax.vmap(jax.grad(rewrites.softplus))(x)
    np.testing.assert_allclose(slope, special.expit(x), rtol=1e-15, atol=0.0)
    assert np.isnan(rewrites.softplus(jnp.nan))


def test_softplus_op_has_its_value_in_numpy_too():
    x = pt.vector("x", shape=(3,))
    found = rewrites.FastSoftplus()(x).eval({x: np.array([-1.0, 0.0, 2.0])}, mode="FAST_COMPILE")
    np.testing.assert_allclose(found, np.logaddexp(0.0, [-1.0, 0.0, 2.0]))


def names(graph):
    return [
        type(n.op.scalar_op).__name__ if isinstance(n.op, Elemwise) else type(n.op).__name__ for n in graph.toposort()
    ]


def test_logistic_likelihood_has_one_softplus_and_no_sigmoid():
    with pm.Model() as model:
        eta = pm.Normal("eta", shape=4)
        pm.Bernoulli("y", logit_p=eta, observed=np.array([0, 1, 1, 0]))
    graph = _optimised(model.value_vars, [], [model.logp()])
    assert names(graph).count("FastSoftplus") == 1
    assert not {"Sigmoid", "Softplus"} & set(names(graph))


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        (lambda x: pt.ge(pt.sigmoid(x), 0), False),
        (lambda x: pt.le(pt.sigmoid(x), 1), False),
        (lambda x: pt.le(0, pt.exp(x)), False),
        (lambda x: pt.ge(x**2, -1.0), False),
        (lambda x: pt.gt(pt.exp(x), 0), True),  # it underflows to 0
        (lambda x: pt.ge(pt.sigmoid(x), 0.5), True),
        (lambda x: pt.le(pt.exp(x), 1), True),
        (lambda x: pt.ge(x, 0), True),
    ],
)
def test_only_what_cannot_fail_is_dropped(condition, kept):
    x = pt.vector("x", shape=(3,))
    graph = _optimised([x], [], [condition(x)])
    assert bool({"GE", "LE", "GT", "LT"} & set(names(graph))) == kept


def test_branches_of_other_shapes_are_left():
    x, y = pt.vector("x", shape=(3,)), pt.scalar("y")
    graph = FunctionGraph([x, y], [pt.switch(pt.gt(x, 0), pt.exp(y), pt.exp(2 * y))], clone=True)
    rewrites.simplify(graph)
    assert names(graph).count("Exp") == 2
