"""Splines in JAX are SciPy's, with their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytest
from scipy.interpolate import InterpolatedUnivariateSpline, UnivariateSpline

from bayesrun.samplers.lanes.density import derive
from bayesrun.samplers.lanes.splines import in_jax

KNOTS = np.sort(np.random.default_rng(1).uniform(-2.0, 3.0, 15))
AT = np.concatenate([np.linspace(-3.0, 4.0, 101), KNOTS[[0, -1]]])


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
@pytest.mark.parametrize("outside", ["extrapolate", "zeros", "const"])
def test_values_and_derivatives_are_those_of_scipy(degree, outside):
    spline = InterpolatedUnivariateSpline(KNOTS, np.cos(KNOTS), k=degree, ext=outside)
    with jax.enable_x64():
        function = in_jax(spline)
        np.testing.assert_allclose(function(jnp.asarray(AT)), spline(AT), rtol=1e-9, atol=1e-9)
        if degree == 1:
            return  # at a knot there are two
        inside = np.linspace(KNOTS[0], KNOTS[-1], 101)[1:-1]
        slopes = jax.vmap(jax.grad(function))(jnp.asarray(inside))
        np.testing.assert_allclose(slopes, spline.derivative()(inside), rtol=1e-7, atol=1e-7)


def test_a_smoothing_spline_has_fewer_knots_and_one_that_raises_has_no_form():
    spline = UnivariateSpline(KNOTS, np.cos(KNOTS) + 0.01 * np.arange(15), s=0.1, ext=1)
    with jax.enable_x64():
        np.testing.assert_allclose(in_jax(spline)(jnp.asarray(AT)), spline(AT), rtol=1e-9, atol=1e-9)
    with pytest.raises(NotImplementedError, match="raises beyond its knots"):
        in_jax(UnivariateSpline(KNOTS, KNOTS, ext="raise"))


def interpolated() -> pm.Model:
    grid = np.linspace(-3.0, 5.0, 41)
    with pm.Model() as model:
        mu = pm.Interpolated("mu", grid, np.exp(-0.5 * (grid - 0.5) ** 2))
        pm.Normal("y", mu, 1.0, observed=[0.3, 1.1])
    return model


@pytest.mark.filterwarnings("ignore:Numba will use object mode", "ignore:SplineWrapper should implement:FutureWarning")
def test_an_interpolated_density_is_that_of_pymc():
    model, density = interpolated(), derive(interpolated(), [])
    (name,) = (value.name for value in model.value_vars)
    value, slope = model.compile_logp(), model.compile_dlogp()
    with jax.enable_x64():
        prepared = density.prepare(())
        for z in (-1.03, 0.21, 2.07):
            found = jax.value_and_grad(density.log_density)(jnp.array([z]), prepared)
            np.testing.assert_allclose(found[0], value({name: z}), rtol=1e-10)
            np.testing.assert_allclose(found[1], slope({name: z}), rtol=1e-8)
