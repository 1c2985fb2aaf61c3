"""The AR(1) model against a density written with NumPy, its covariance matrix, and quadrature."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats
from scipy.linalg import toeplitz

from bayesrun.errors import ConfigError, DataError
from bayesrun.models.ar1 import build, pointwise
from bayesrun.types import Dataset
from model_oracles import PLAIN, assert_density, assert_ints_are_safe, assert_moments, default_data, draw, points


@pytest.fixture(scope="module")
def nile():
    return default_data("ar1")


@pytest.fixture(scope="module")
def exact(nile):
    """Mean and SD of the parameters by quadrature on a grid that holds all the posterior mass."""
    y = nile["y"]
    mu = np.linspace(-2.0, 2.0, 201)[:, None, None]
    phi = np.linspace(-0.4, 0.999, 201)[None, :, None]
    sigma = np.linspace(0.5, 1.6, 151)[None, None, :]
    centred = y - mu
    squares = (centred[..., 1:] - phi * centred[..., :-1]) ** 2  # (mu, phi, time)
    deviance = (squares.sum(axis=-1) + ((1 - phi[..., 0] ** 2) * (y[0] - mu[..., 0]) ** 2))[..., None]
    log_post = -len(y) * np.log(sigma) + 0.5 * np.log(1 - phi**2) - 0.5 * deviance / sigma**2
    log_post = log_post + stats.norm.logpdf(mu, 0, 10) + stats.halfnorm.logpdf(sigma)
    weight = np.exp(log_post - log_post.max())
    weight /= weight.sum()
    moments = {}
    for name, values in {"mu": mu, "phi": phi, "sigma": sigma}.items():
        mean = float((weight * values).sum())
        moments[name] = (mean, float(np.sqrt((weight * (values - mean) ** 2).sum())))
    return moments


def covariance(n, phi, sigma):
    return sigma**2 / (1 - phi**2) * toeplitz(phi ** np.arange(n))


def test_log_density_is_that_of_the_stationary_gaussian_process(nile):
    def expected(v):
        n = len(nile["y"])
        series = stats.multivariate_normal(np.full(n, v["mu"]), covariance(n, v["phi"], v["sigma"]))
        return (
            stats.norm.logpdf(v["mu"], 0, 10)
            + stats.uniform.logpdf(v["phi"], -1, 2)
            + stats.halfnorm.logpdf(v["sigma"])
            + series.logpdf(nile["y"])
        )

    assert_density(build(nile), expected)


def test_pointwise_terms(nile):
    model = build(nile)
    terms = pointwise(model, nile)
    assert set(terms) == {"y_obs"}
    pointwise_fn = model.compile_fn(
        model.replace_rvs_by_values([terms["y_obs"]])[0], inputs=model.value_vars, mode=PLAIN
    )
    whole = model.compile_logp(vars=[model["y_obs"]], mode=PLAIN)
    y = nile["y"]
    for point, v in points(model, seed=3):
        mean = np.concatenate([[v["mu"]], v["mu"] + v["phi"] * (y[:-1] - v["mu"])])
        spread = np.full(len(y), v["sigma"])
        spread[0] = v["sigma"] / np.sqrt(1 - v["phi"] ** 2)
        found = pointwise_fn(point)
        np.testing.assert_allclose(found, stats.norm.logpdf(y, mean, spread), rtol=1e-9)
        np.testing.assert_allclose(found.sum(), whole(point), rtol=1e-9)


def test_simulated_series_are_stationary():
    n, draws, mu, phi, sigma = 4, 4000, 3.0, 0.8, 0.5
    model = pm.do(build(Dataset({"y": np.zeros(n)})), {"mu": mu, "phi": phi, "sigma": sigma})
    y = pm.draw(model["y_obs"], draws=draws, random_seed=31)
    exact = covariance(n, phi, sigma)
    variance = np.diag(exact)
    error_mean = np.sqrt(variance / draws)
    error_cov = np.sqrt((np.outer(variance, variance) + exact**2) / draws)
    assert (abs(y.mean(axis=0) - mu) < 4 * error_mean).all()
    assert (abs(np.cov(y.T) - exact) < 4 * error_cov).all()


@pytest.mark.parametrize("sampler", ["pymc", "numpyro"])
def test_draws_agree_with_quadrature(nile, exact, sampler):
    assert_moments(draw(build(nile), sampler, seed=33, draws=500), exact)


def test_ints_are_safe(nile):
    assert_ints_are_safe(build, nile, mu_mean=100, mu_sigma=36, phi_lower=-1, phi_upper=1, sigma_scale=36)


@pytest.mark.parametrize(("lower", "upper"), [(-1.2, 1.0), (0.5, 0.5), (0.0, 1.1)])
def test_bounds_beyond_stationarity_are_refused(nile, lower, upper):
    with pytest.raises(ConfigError, match="want -1 <= phi_lower < phi_upper <= 1"):
        build(nile, phi_lower=lower, phi_upper=upper)


def test_one_point_is_refused():
    with pytest.raises(DataError, match="at least 2 points; y has 1"):
        build(Dataset({"y": np.zeros(1)}))
