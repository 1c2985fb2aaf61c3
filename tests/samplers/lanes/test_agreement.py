"""Densities in JAX that are not PyMC's are found by points; healthy ones, whatever their rounding, are left alone."""

from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.jax.dispatch import jax_funcify

from bayesrun.errors import FitError
from bayesrun.samplers.lanes import agreement
from bayesrun.samplers.lanes.agreement import AnotherDensity, by_itself, by_program
from bayesrun.samplers.lanes.density import derive
from bayesrun.samplers.lanes.engine import fits
from bayesrun.samplers.lanes.program import Settings, program
from bayesrun.types import Dataset, SamplerOptions

pytestmark = [
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning"),
    pytest.mark.usefixtures("quick_compilation"),
]

rng = np.random.default_rng(3)
Y = rng.normal(1.0, 1.0, 15)
X = rng.normal(size=(15, 100))


class Same(Op):
    """Gives what it gets; what JAX makes of it is a test's."""

    __props__ = ("in_jax",)

    def __init__(self, in_jax):
        self.in_jax = in_jax

    def make_node(self, x):
        x = pt.as_tensor(x)
        return Apply(self, [x], [x.type()])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = inputs[0].copy()

    def pullback(self, inputs, outputs, cotangents):
        return list(cotangents)

    L_op = pullback

    def infer_shape(self, node, shapes):
        return shapes


jax_funcify.register(Same, lambda op, **_: op.in_jax)


def sloped(slope):
    """The identity in JAX with another derivative."""

    @jax.custom_jvp
    def same(x):
        return x

    same.defjvp(lambda primals, tangents: (primals[0], slope(primals[0]) * tangents[0]))
    return same


def regression(in_jax, *, n=3, where=slice(None), scale=1.0):
    """A linear regression whose coefficients go through an op."""
    op = Same(in_jax)
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 1.0, shape=n)
        through = pt.set_subtensor(b[where], op(b[where]))
        pm.Normal("y", scale * pt.dot(X[:, :n], through), 1.0, observed=Y)
    return model


def checked(model, *visited, program_of=None):
    """Compare at the points that a fit compares at."""
    density = derive(model, [])
    evaluate = (lambda: by_itself(density)) if program_of is None else lambda: program_of(density)
    density.agreement.at_start(evaluate)
    for z in visited:
        density.agreement.where_visited(z, evaluate)


def identity(x):
    return x


WRONG = {
    "a sign": (lambda x: -x, {}),
    "right at the start alone": (lambda x: x + 0.1 * x**3, {}),
    "in a tail": (lambda x: jnp.where(x > 1.5, 1.5, x), {"n": 20}),
    "in one of a hundred": (lambda x: 1.01 * x, {"n": 100, "where": slice(17, 18)}),
    "minus infinity": (lambda x: jnp.where(x > 0.5, jnp.inf, x), {}),
    "not a number": (lambda x: jnp.where(x > 0.5, jnp.nan, x), {}),
}
WRONG_SLOPE = {
    "a sign": (lambda x: -jnp.ones_like(x), {}),
    "none": (jnp.zeros_like, {}),
    "one percent": (lambda x: jnp.full_like(x, 1.01), {}),
    "right at the start alone": (lambda x: 1.0 + 0.1 * x**2, {}),
    "in a tail": (lambda x: jnp.where(x > 1.5, 0.5, 1.0), {"n": 20}),
    "in one of a hundred": (lambda x: jnp.full_like(x, 1.1), {"n": 100, "where": slice(17, 18)}),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_density_is_found(fault):
    in_jax, options = WRONG[fault]
    with pytest.raises(AnotherDensity, match=r"log density of y in JAX is .* where PyMC's own is .*sampler=nuts"):
        checked(regression(in_jax, **options))


@pytest.mark.parametrize("fault", WRONG_SLOPE)
def test_a_wrong_gradient_is_found(fault):
    slope, options = WRONG_SLOPE[fault]
    message = r"gradient of the log density in b in JAX is .* where PyMC's own is .*, at b=\[.*sampler=nuts"
    with pytest.raises(AnotherDensity, match=message):
        checked(regression(sloped(slope), **options))


@pytest.mark.parametrize("options", [{}, {"n": 100}, {"scale": 1e6}])
def test_a_healthy_twin_is_left_alone(options):
    model = regression(identity, **options)
    checked(model, np.zeros((2, 5, options.get("n", 3))))


def test_a_fault_where_chains_settle_is_found_there():
    """The data are ten prior standard deviations out, where no start and no draw from the prior comes."""

    def far_out(in_jax):
        with pm.Model() as model:
            mu = pm.Normal("mu", 0.0, 1.0)
            pm.Normal("y", Same(in_jax)(mu), 0.01, observed=np.full(20, 10.0))
        return model

    at = np.linspace(9.5, 10.0, 20).reshape(2, 10, 1)
    checked(far_out(identity), at)
    for wrong in (lambda x: jnp.where(x > 8.0, 8.0, x), sloped(lambda x: jnp.where(x > 8.0, -1.0, 1.0))):
        with pytest.raises(AnotherDensity, match=r"mu=9\.5"):
            checked(far_out(wrong), at)


def test_what_was_found_is_said_again():
    density = derive(regression(lambda x: -x), [])
    for _ in range(2):
        with pytest.raises(AnotherDensity, match="log density of y"):
            density.agreement.at_start(lambda: by_itself(density))
    with pytest.raises(AnotherDensity, match="log density of y"):
        density.agreement.where_visited(np.zeros((1, 3)), lambda: by_itself(density))


def test_points_are_looked_at_once():
    density = derive(regression(identity), [])
    made = []

    def evaluate():
        made.append(1)
        return by_itself(density)

    for _ in range(3):
        density.agreement.at_start(evaluate)
    for _ in range(3):
        density.agreement.where_visited(np.zeros((1, 3)), evaluate)
    assert len(made) == 2


def rounded():
    """A dispersion so large that the terms of the negative binomial are lost in those that they are differences of."""
    with pm.Model() as model:
        alpha = pm.LogNormal("alpha", 20.0, 8.0)
        pm.NegativeBinomial("y", mu=5.0, alpha=alpha, observed=np.arange(8))
    return model


def flat():
    with pm.Model() as model:
        a = pm.Flat("a")
        pm.Poisson("y", pt.exp(a), observed=np.arange(8))
    return model


def without_support():
    """Half of all points are outside of the support, where both are minus infinity."""
    with pm.Model() as model:
        a = pm.Normal("a", 0.0, 1.0)
        pm.Poisson("y", a, observed=np.arange(8))
    return model


def kinked():
    """A gradient that jumps."""
    with pm.Model() as model:
        a = pm.Laplace("a", 0.0, 1.0, shape=4)
        pm.AsymmetricLaplace("y", kappa=1.0, mu=pt.maximum(a.sum(), 0.0), b=0.01, observed=Y)
    return model


def unstable():
    """PyMC is right only with its rewrites: the logarithm of one minus a sigmoid."""
    with pm.Model() as model:
        a = pm.Normal("a", 0.0, 30.0)
        pm.Potential("p", pt.log(1.0 - pt.sigmoid(a)))
    return model


def underflowing():
    """Densities far out that are no double: minus infinity in JAX before it is in SciPy."""
    with pm.Model() as model:
        a = pm.Normal("a", 0.0, 30.0)
        pm.Potential("p", pt.log(pt.exp(-(a**2)) + pt.erfc(a)))
    return model


def steep():
    """A million rows: a thousandth of a unit is a standard deviation."""
    with pm.Model() as model:
        a = pm.Normal("a", 0.0, 1.0)
        pm.Binomial("y", n=10**6, logit_p=a, observed=300_000)
    return model


def singular():
    """Matrices that have no Cholesky factor at some points: PyMC raises, JAX has NaN."""
    with pm.Model() as model:
        a = pm.Normal("a", 0.0, 1.0)
        matrix = pt.stack([pt.stack([1.0, a]), pt.stack([a, 1.0])])
        pm.MvNormal("y", np.zeros(2), cov=matrix, observed=np.array([0.3, 0.4]))
    return model


@pytest.mark.parametrize(
    "build", [rounded, flat, without_support, kinked, unstable, underflowing, steep, singular], ids=lambda f: f.__name__
)
def test_rounding_is_no_fault(build):
    """At four times as many points as a fit looks at."""
    with several_points(4):
        checked(build())


@contextmanager
def several_points(times):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("STARTS", "PRIOR"):
            patch.setattr(agreement, name, times * getattr(agreement, name))
        yield


def test_missing_gradients_are_no_fault():
    """Where JAX has no gradient and PyMC has, another form of the density is tried: the value is what counts here."""
    checked(regression(sloped(lambda x: jnp.where(x > 0.0, jnp.nan, 1.0))))


def test_a_program_is_read_as_it_is():
    """What the lanes compute is what the density is."""
    density = derive(regression(identity), [])
    compiled = program(density, Settings(4, 4, 20, 20, 0.8, 5), ())
    points = np.random.default_rng(1).normal(size=(7, 3))
    found, expected = by_program(compiled, ())(points), by_itself(density)(points)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_a_fit_fails_before_it_draws(precision):
    """Every dataset of the form, in one sentence."""

    def build(data):
        with pm.Model() as model:
            mu = pm.Normal("mu", 0.0, 1.0)
            pm.Normal("y", Same(WRONG["right at the start alone"][0])(mu), 1.0, observed=data["y"])
        return model

    options = SamplerOptions(draws=50, tune=50, chains=2, precision=precision)
    found = dict(fits(build, [Dataset({"y": Y}), Dataset({"y": Y + 1.0})], [1, 2], options))
    assert sorted(found) == [0, 1]
    for error in found.values():
        assert type(error) is FitError
        assert "log density" in str(error)
        assert "sampler=nuts" in str(error)
