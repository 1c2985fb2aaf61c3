"""Guarded densities: gradients that are finite where PyMC's are, and the same ones where JAX's were finite before."""

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest

from bayesrun.samplers.lanes.density import _compiled, _optimised, _placed, _unflatten
from bayesrun.samplers.lanes.guards import Guarded, guarded, log1mexp, may_be_guarded
from model_oracles import PLAIN

pytestmark = pytest.mark.usefixtures("quick_compilation")

RNG = np.random.default_rng(7)
X = RNG.normal(size=12)
Y = np.clip(1.0 + 2.0 * X, 0.0, 3.0)


def switched(branch):
    def likelihood():
        u = pm.Normal("b", 0.0, 2.0) + X
        pm.Normal("y", branch(u), 1.0, observed=Y)

    return likelihood


def division():
    x = np.where(np.arange(12) < 3, 0.0, X)
    b = pm.Normal("b", 0.0, 2.0)
    pm.Normal("y", pt.switch(pt.eq(x, 0.0), b, pt.sin(b * x) / x), 1.0, observed=Y)


def nested(u):
    return pt.where(u > 1, pt.log(u), pt.where(u > 0, pt.sqrt(u) - 1, pt.where(u > -1, -1 - pt.log1p(u + 1), u)))


def loop():
    def step(x, total):
        return pt.switch(total + x > 0, pt.sqrt(total + x), 0.0)

    sums = pytensor.scan(
        step, sequences=[pt.as_tensor(X[:6])], outputs_info=[pm.Normal("b", 0.0, 2.0)], return_updates=False
    )
    pm.Normal("y", sums, 1.0, observed=Y[:6])


def censored_normal():
    pm.Censored("y", pm.Normal.dist(pm.Normal("mu", 0.0, 3.0), pm.HalfNormal("s")), lower=0.0, upper=3.0, observed=Y)


def censored_weibull():
    dist = pm.Weibull.dist(pm.HalfNormal("a", 2.0), pm.HalfNormal("b"))
    pm.Censored("y", dist, lower=None, upper=3.1, observed=Y + 0.1)


def rounded_normal():
    def likelihood(mu, s, size):
        return pt.round(pm.Normal.dist(mu, s, size=size))

    pm.CustomDist("y", pm.Normal("mu", 0.0, 2.0), pm.HalfNormal("s"), dist=likelihood, observed=np.round(Y))


def ordered_probit():
    cut = pm.Normal("cut", 0.0, 1.5, shape=2, transform=pm.distributions.transforms.ordered, initval=[-1.0, 1.0])
    pm.OrderedProbit("y", eta=pm.Normal("b") * X, cutpoints=cut, observed=np.digitize(Y, [0.5, 2.0]))


def mixture_of_supports():
    parts = [pm.LogNormal.dist(0.0, pm.HalfNormal("a", 3.0)), pm.Normal.dist(0.0, pm.HalfNormal("b", 3.0))]
    pm.Mixture("y", pm.Dirichlet("w", np.ones(2)), parts, observed=X)


def differences_of_exponentials():
    pm.Potential("l", pm.math.log1mexp(-pt.exp(pm.Normal("d", -37.0, 20.0))))


def both_gradients(likelihood):
    """At points around the start, some of them far: JAX's two forms, and PyMC's gradient where it is asked for."""
    with pm.Model() as model:
        likelihood()
    first = list(model.initial_point().values())
    start = np.concatenate([np.ravel(value) for value in first])
    z = pt.vector("z", shape=start.shape)
    parts = dict(zip(model.value_vars, _unflatten(z, [np.shape(v) for v in first]), strict=True))
    (log_density,) = _placed([model.logp()], parts)
    graph = _optimised([z], [], [log_density])
    unit = np.random.default_rng(3).uniform(-1.0, 1.0, (24, start.size))
    where = start + unit * np.repeat([1.0, 4.0, 8.0], 8)[:, None]
    forms = []
    for form in (graph, guarded(graph)):
        function = _compiled(form)
        found = jax.jit(jax.vmap(jax.value_and_grad(lambda z, function=function: function(z)[0])))(where)
        forms.append(tuple(map(np.asarray, found)))
    exact = pytensor.function([z], pytensor.grad(log_density, z), mode=PLAIN)

    def by_pymc(which):
        with np.errstate(all="ignore"):
            return np.array([exact(point) for point in where[which]])

    return *forms, by_pymc


@pytest.mark.parametrize(
    "likelihood",
    [
        switched(lambda u: pm.math.switch(u > 0, pm.math.sqrt(u), 0)),
        switched(lambda u: pt.switch(u > 0, u**0.3, 0.0)),
        switched(nested),
        division,
        loop,
        censored_normal,
        pytest.param(censored_weibull, marks=pytest.mark.slow),
        pytest.param(rounded_normal, marks=pytest.mark.slow),
        pytest.param(ordered_probit, marks=pytest.mark.slow),
        mixture_of_supports,
        differences_of_exponentials,
    ],
)
def test_gradients_are_pymcs_where_they_were_not_finite_and_as_before_elsewhere(likelihood):
    (before, bare), (after, slopes), by_pymc = both_gradients(likelihood)
    np.testing.assert_allclose(after, before, rtol=1e-9)
    known, fine = np.isfinite(before), np.isfinite(bare).all(1)
    assert (known & ~fine).any()
    assert np.isfinite(slopes[known]).all()
    for which, expected in ((known & fine, bare[known & fine]), (known & ~fine, by_pymc(known & ~fine))):
        largest = np.abs(expected).max(axis=1, initial=1.0, keepdims=True)
        np.testing.assert_allclose(slopes[which] / largest, expected.reshape(-1, slopes.shape[1]) / largest, atol=1e-9)


def test_a_derivative_that_is_infinite_where_it_counts_stays_so():
    b = pt.vector("b", shape=(1,))
    function = _compiled(guarded(_optimised([b], [], [pt.switch(b > -1.0, pt.sqrt(b), 0.0).sum()])))
    assert jax.grad(lambda z: function(z)[0])(jnp.zeros(1)) == np.inf
    assert jax.grad(lambda z: function(z)[0])(jnp.full(1, -2.0)) == 0.0


def test_what_only_adds_and_chooses_has_no_second_form():
    b, x = pt.vector("b", shape=(3,)), pt.vector("x", shape=(3,))
    for output, bent in ((pt.switch(b > x, b - x, 0.0).sum(), False), ((b - pt.exp(x)).sum(), False), (b @ b, False)):
        assert may_be_guarded(_optimised([b], [x], [output])) == bent
    assert may_be_guarded(_optimised([b], [x], [pt.exp(b - x).sum()]))


def test_log1mexp_has_its_derivative_at_both_ends():
    x = np.array([-1e-20, -1e-3, -0.7, -50.0, -800.0])
    np.testing.assert_allclose(log1mexp(x), np.log(-np.expm1(x)), rtol=1e-14, atol=1e-16)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(jax.vmap(jax.grad(log1mexp))(x), -1.0 / np.expm1(-x), rtol=1e-14)


def test_the_op_has_its_value_in_numpy_too():
    x = pt.vector("x", shape=(2,))
    found = Guarded(pt.sqrt(x).owner.op)(x).eval({x: np.array([4.0, 9.0])}, mode="FAST_COMPILE")
    np.testing.assert_allclose(found, [2.0, 3.0])
