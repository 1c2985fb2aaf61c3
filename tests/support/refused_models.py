"""Models that some samplers cannot take: random batches, simulators, ops without a gradient, or without one in JAX."""

import warnings
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor.tensor as pt
from jax import lax
from pytensor import scan, wrap_jax
from pytensor.compile.ops import wrap_py
from pytensor.conditional.op import ifelse
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.scan.utils import until

X = np.linspace(-1.0, 1.0, 40)
Y = 0.5 + X + 0.3 * np.sin(9 * X)


def _square(a):
    return np.asarray(a**2)


SQUARE = wrap_py(itypes=[pt.dscalar], otypes=[pt.dscalar])(_square)


class Cubed(Op):
    """A user's op; its gradient is what the class below makes of it."""

    __props__ = ()

    def make_node(self, a):
        a = pt.as_tensor(a)
        return Apply(self, [a], [a.type()])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = np.asarray(inputs[0] ** 3)


class WithGradient(Cubed):
    def pullback(self, inputs, outputs, cotangents):
        return [3 * inputs[0] ** 2 * cotangents[0]]


class Unwritten(Cubed):
    def pullback(self, inputs, outputs, cotangents):
        raise NotImplementedError("its derivative is not written yet")


class Broken(Cubed):
    def pullback(self, inputs, outputs, cotangents):
        raise ValueError("wants a matrix")


def _line(mean: Callable[[Any], Any]) -> pm.Model:
    with pm.Model() as model:
        a = pm.Normal("a", 0.5, 1.0)
        pm.Normal("y", mean(a) + X, 1.0, observed=Y)
    return model


def plain(data=None):
    return _line(lambda a: a)


def minibatch(data=None, *, with_size: bool = True, y: np.ndarray = Y):
    """One array of which each evaluation sees another part."""
    with pm.Model() as model, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a = pm.Normal("a")
        part = pm.Minibatch(y, batch_size=10)
        pm.Normal("y", a, 1.0, observed=part, total_size=len(y) if with_size else None)
    return model


def minibatch_pair(data=None):
    x, y = pm.Minibatch(X, Y, batch_size=10)
    with pm.Model() as model:
        a = pm.Normal("a")
        b = pm.Normal("b")
        pm.Normal("y", a + b * x, 1.0, observed=y, total_size=len(Y))
    return model


def minibatch_predictor(data=None):
    """Predictors of a batch with a Potential as likelihood."""
    x, y = pm.Minibatch(X, Y, batch_size=10)
    with pm.Model() as model:
        a = pm.Normal("a")
        pm.Potential("fit", pm.logp(pm.Normal.dist(a * x, 1.0), y).sum())
    return model


def noisy_potential(data=None):
    """A random number that is no variable of the model."""
    with pm.Model() as model:
        a = pm.Normal("a")
        pm.Potential("p", -((a - pm.Normal.dist(0.0, 1.0)) ** 2))
        pm.Normal("y", a, 1.0, observed=Y)
    return model


def simulator(data=None):
    with pm.Model() as model:
        a = pm.Normal("a")
        pm.Simulator("y", _draw, a, sum_stat="sort", epsilon=1.0, observed=Y)
    return model


def simulator_beside(data=None):
    with pm.Model() as model:
        a = pm.Normal("a")
        pm.Simulator("y", _draw, a, sum_stat="mean", epsilon=1.0, observed=Y)
        pm.Normal("z", a, 1.0, observed=Y[:9])
    return model


def simulator_minibatch(data=None):
    with pm.Model() as model:
        a = pm.Normal("a")
        pm.Simulator("s", _draw, a, sum_stat="mean", epsilon=1.0, observed=Y)
        pm.Normal("y", a, 1.0, observed=pm.Minibatch(Y, batch_size=5), total_size=40)
    return model


def _draw(rng, a, size=None):
    return rng.normal(a, 1.0, size=size)


def wrapped_python(data=None):
    return _line(SQUARE)


def wrapped_python_potential(data=None):
    with pm.Model() as model:
        a = pm.Normal("a")
        b = pm.Normal("b")
        pm.Potential("p", -SQUARE(a))
        pm.Normal("y", b, 1.0, observed=Y)
    return model


def with_gradient(data=None):
    return _line(WithGradient())


def unwritten_gradient(data=None):
    return _line(Unwritten())


def broken_gradient(data=None):
    return _line(Broken())


def without_gradient(data=None):
    return _line(Cubed())


def wrapped_jax(data=None):
    return _line(wrap_jax(lambda a: jnp.tanh(a)))


def of_data_alone(data=None):
    """An op without gradient that only data go through."""
    return _line(lambda a: a + SQUARE(pt.as_tensor(2.0)))


def discrete_and_wrapped(data=None):
    with pm.Model() as model:
        a = pm.Normal("a")
        k = pm.Poisson("k", 3.0)
        pm.Normal("y", SQUARE(a) + k, 1.0, observed=Y)
    return model


def looped(data=None):
    """Steps of a fixed number, which both take."""
    return _line(lambda a: scan(lambda s: 0.5 * s, outputs_info=[a], n_steps=4, return_updates=False)[-1])


def until_small(data=None):
    """Steps until something is small: reverse mode needs a length that JAX does not know."""

    def step(s):
        return 0.5 * s, until(abs(s) < 0.1)

    return _line(lambda a: scan(step, outputs_info=[a], n_steps=50, return_updates=False)[-1])


def inverse_gamma_quantile(data=None):
    return _line(lambda a: pt.gammaincinv(pt.exp(a), 0.3))


def inverse_beta_quantile(data=None):
    return _line(lambda a: pt.betaincinv(pt.exp(a), 2.0, 0.3))


def while_in_jax(data=None):
    """A loop of JAX's own, which has a value and no derivative in reverse mode."""
    return _line(wrap_jax(lambda a: lax.while_loop(lambda s: s > 1.0, lambda s: 0.5 * s, jnp.abs(a))))


def data_in_jax(data=None):
    """Such a loop that only data go through."""
    halved = wrap_jax(lambda x: lax.while_loop(lambda s: s > 1.0, lambda s: 0.5 * s, x))
    return _line(lambda a: a + halved(pt.as_tensor(3.0)))


def branch(data=None):
    return _line(lambda a: ifelse(pt.gt(a, 0), a, 2 * a))


def sorted_values(data=None):
    with pm.Model() as model:
        a = pm.Normal("a", shape=3)
        pm.Normal("y", pt.sort(a)[0], 1.0, observed=Y)
    return model


def boolean_mask(data=None):
    """A shape that depends on the parameters."""
    with pm.Model() as model:
        a = pm.Normal("a", shape=3)
        pm.Normal("y", a[a > -10.0].sum(), 1.0, observed=Y)
    return model


def bessel(data=None):
    return _line(lambda a: pt.kv(1.0, pt.exp(a)))


def matrix(data=None):
    """A GP's likelihood, with decompositions of its covariance."""
    with pm.Model() as model:
        ell = pm.LogNormal("ell")
        gp = pm.gp.Marginal(cov_func=pm.gp.cov.ExpQuad(1, ls=ell))
        gp.marginal_likelihood("y", X[:, None], Y, sigma=0.3)
    return model


def weighted(data=None):
    """A likelihood to the power of one half."""
    with pm.Model() as model:
        a = pm.Normal("a")
        pm.CustomDist(
            "y", a, logp=lambda value, a: 0.5 * pm.logp(pm.Normal.dist(a, 1.0), value), random=None, observed=Y
        )
    return model


def scaled(data=None):
    with pm.Model() as model:
        a = pm.Normal("a")
        pm.Normal("y", a, 1.0, observed=Y, total_size=400)
    return model
