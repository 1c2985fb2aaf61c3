"""Derivatives of the incomplete beta function against those of mpmath in 50 digits, and the likelihoods that need them.

`incomplete_beta.csv` has shapes from 1e-3 to 1e5, with x at the mean, some standard deviations beside it, and near both
ends. Its derivatives are central differences of order 4 (step 1e-14) of the continued fraction DLMF 8.17.22, which
agrees with `mpmath.betainc` to 49 digits; all in mpmath 1.4.1 with 50 digits.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import special

from bayesrun.samplers.lanes.density import derive
from bayesrun.samplers.lanes.incomplete_beta import betainc, shape_derivatives
from model_oracles import PLAIN

pytestmark = pytest.mark.usefixtures("quick_compilation")

TABLE = np.genfromtxt(Path(__file__).with_suffix("").with_name("incomplete_beta.csv"), delimiter=",", names=True)
A, B, X = TABLE["a"], TABLE["b"], TABLE["x"]
BOUNDS = ((60.0, 1e-10), (2e3, 2e-9), (2e5, 2e-7))
"""Largest relative error by the larger shape: that of the logarithm of gamma(a + b), which JAX rounds to 16 digits."""


@pytest.mark.parametrize(("largest", "bound"), BOUNDS)
def test_derivatives_in_the_shapes_are_those_of_mpmath(largest, bound):
    rows = np.maximum(A, B) <= largest
    found = jax.jit(shape_derivatives)(A[rows], B[rows], X[rows])
    assert rows.sum() > 200
    for slope, name in zip(found, ("in_a", "in_b"), strict=True):
        np.testing.assert_allclose(slope, TABLE[name][rows], rtol=bound, atol=1e-290)


def test_pytensors_own_are_those_of_mpmath_or_not_finite_at_extreme_shapes():
    """What `sampler=nuts` goes by; where it is not finite, a trajectory ends as a divergence, which is told."""
    a, b, x = pt.dvectors("a", "b", "x")
    gradients = pytensor.grad(pt.betainc(a, b, x).sum(), [a, b])
    found = pytensor.function([a, b, x], gradients)(A, B, X)
    smallest = np.minimum(A, B)
    for slope, name in zip(found, ("in_a", "in_b"), strict=True):
        finite = np.isfinite(slope)
        assert finite[(smallest > 0.01) & (smallest < 2e4)].all()
        for least, bound in ((0.0, 2e-3), (0.05, 1e-4), (0.5, 1e-6)):
            rows = finite & (smallest >= least) & (np.abs(TABLE[name]) > 1e-290)
            np.testing.assert_allclose(slope[rows], TABLE[name][rows], rtol=bound)


def test_half_of_all_errors_are_rounding():
    found = jax.jit(shape_derivatives)(A, B, X)
    for slope, name in zip(found, ("in_a", "in_b"), strict=True):
        known = np.abs(TABLE[name]) > 1e-290
        assert np.median(np.abs(slope / TABLE[name] - 1.0)[known]) < 1e-12


def test_value_and_derivative_in_x_are_those_of_scipy():
    rows = (np.maximum(A, B) <= 60.0) & (X < 0.9999)  # SciPy's value has 8 digits next to 1
    value, slope = jax.vmap(jax.value_and_grad(betainc, argnums=2))(A[rows], B[rows], X[rows])
    np.testing.assert_allclose(value, special.betainc(A[rows], B[rows], X[rows]), rtol=1e-10)
    a, b, x = A[rows], B[rows], X[rows]
    expected = np.exp((a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - special.betaln(a, b))
    np.testing.assert_allclose(slope, expected, rtol=1e-10)


def test_an_element_does_not_depend_on_the_others():
    """Lanes stop at terms of their own, so that a chain's gradient is the same whichever chains run beside it."""
    derivatives = jax.jit(shape_derivatives)
    first = derivatives(A[:64], B[:64], X[:64])
    for i in (0, 31, 63):
        others = [np.where(np.arange(64) == i, column[i], column[300:364]) for column in (A, B, X)]
        np.testing.assert_array_equal([one[i] for one in derivatives(*others)], [one[i] for one in first])


def test_ends_and_what_is_no_shape():
    a = np.array([2.0, 2.0, 0.0, 2.0, -1.0, np.nan, 2.0])
    b = np.array([3.0, 3.0, 3.0, 0.0, 3.0, 3.0, 3.0])
    x = np.array([0.0, 1.0, 0.5, 0.5, 0.5, 0.5, np.nan])
    in_a, in_b = shape_derivatives(a, b, x)
    np.testing.assert_array_equal(in_a, [0.0, 0.0, np.nan, 0.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(in_b, [0.0, 0.0, 0.0, np.nan, np.nan, np.nan, np.nan])


def test_in_single_precision_and_for_whole_numbers():
    rows = (np.maximum(A, B) <= 60.0) & (np.minimum(A, B) >= 0.1) & (np.abs(TABLE["in_a"]) > 1e-20) & (X < 0.9999)
    narrow = [jnp.asarray(column[rows], jnp.float32) for column in (A, B, X)]
    found = jax.vmap(jax.grad(betainc))(*narrow)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, TABLE["in_a"][rows], rtol=3e-3)
    assert jax.grad(betainc, argnums=2)(2, 3, 0.3) == pytest.approx(12 * 0.3 * 0.7**2)


def test_one_variable_in_two_arguments_and_forward():
    """The distribution function of Student's t has half the degrees of freedom in both shapes."""

    def both(nu):
        return betainc(nu / 2.0, nu / 2.0, 0.3)

    in_a, in_b = shape_derivatives(jnp.array(2.5), jnp.array(2.5), jnp.array(0.3))
    assert jax.grad(both)(5.0) == pytest.approx(float(in_a + in_b) / 2, rel=1e-14)
    assert jax.jvp(both, (5.0,), (1.0,))[1] == jax.grad(both)(5.0)


def test_shapes_that_are_constants_cost_nothing():
    traced = str(jax.make_jaxpr(jax.grad(betainc, argnums=2))(2.0, 3.0, 0.3))
    assert "while" not in traced
    assert "while" in str(jax.make_jaxpr(jax.grad(betainc))(2.0, 3.0, 0.3))


RNG = np.random.default_rng(3)
REAL = np.clip(RNG.normal(1.0, 2.0, 9), 0.0, 3.0)
COUNTS = RNG.integers(1, 6, 9)
SHARES = np.clip(RNG.random(9), 0.1, 0.9)


def student():
    return pm.StudentT.dist(nu=pm.Gamma("nu", 2.0, 0.1), mu=pm.Normal("mu", 0.0, 3.0), sigma=pm.HalfNormal("s"))


def beta():
    return pm.Beta.dist(pm.HalfNormal("a", 2.0), pm.HalfNormal("b", 2.0))


def negative_binomial():
    return pm.NegativeBinomial.dist(mu=pm.HalfNormal("mu", 3.0), alpha=pm.HalfNormal("alpha", 3.0))


def binomial():
    return pm.Binomial.dist(10, pm.Beta("p", 1.0, 1.0))


LIKELIHOODS = {
    "censored t": lambda: pm.Censored("y", student(), lower=0.0, upper=3.0, observed=REAL),
    "truncated beta": lambda: pm.Truncated("y", beta(), lower=0.05, upper=0.95, observed=SHARES),
    "truncated negative binomial": lambda: pm.Truncated("y", negative_binomial(), lower=1, observed=COUNTS),
    "censored binomial": lambda: pm.Censored("y", binomial(), lower=1, upper=5, observed=COUNTS),
    "hurdle negative binomial": lambda: pm.HurdleNegativeBinomial(
        "y", psi=pm.Beta("psi", 1.0, 1.0), mu=pm.HalfNormal("mu", 3.0), alpha=pm.HalfNormal("alpha", 3.0),
        observed=np.where(SHARES > 0.5, COUNTS, 0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_densities_and_gradients_are_pymcs(name):
    def build():
        with pm.Model() as model:
            LIKELIHOODS[name]()
        return model

    model, density = build(), derive(build(), [])
    both = jax.jit(jax.vmap(jax.value_and_grad(lambda z: density.log_density(z, density.prepare(())))))
    z = pt.vector("z", shape=(density.size,))
    parts = dict(zip(model.value_vars, z, strict=True))
    log_density = pytensor.graph.clone_replace(model.logp(), parts, rebuild_strict=False)
    exact = pytensor.function([z], [log_density, pytensor.grad(log_density, z)], mode=PLAIN)
    points = np.random.default_rng(1).normal(0.3, 0.6, (4, density.size))
    values, slopes = both(points)
    for point, value, slope in zip(points, values, slopes, strict=True):
        expected = exact(point)
        np.testing.assert_allclose(value, expected[0], rtol=1e-10)
        np.testing.assert_allclose(slope, expected[1], rtol=1e-8, atol=1e-8)
