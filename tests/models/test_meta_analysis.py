"""The meta-analysis against metafor's published fit of the BCG trials, quadrature and a density written with SciPy."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

from bayesrun.errors import DataError
from bayesrun.models.meta_analysis import build, typical_variance
from bayesrun.types import Dataset
from model_oracles import assert_density, assert_ints_are_safe, assert_moments, default_data, draw, normal_effects

WEAK = {"mu_sigma": 100.0, "tau_scale": 1000.0}
# metafor 4, rma(yi, vi, data=escalc("RR", ...dat.bcg)), REML: estimate, tau^2 and I^2
ESTIMATE, TAU2, I2 = -0.7145, 0.3132, 0.9222


@pytest.fixture(scope="module")
def bcg():
    return default_data("meta_analysis")


def restricted_log_likelihood(y, se, tau):
    weight = 1 / (se**2 + tau**2)
    mean = (weight @ y) / weight.sum()
    return 0.5 * (np.log(weight).sum() - np.log(weight.sum()) - weight @ (y - mean) ** 2), mean


def test_log_density_and_heterogeneity(bcg):
    def expected(v):
        theta = v["mu"] + v["tau"] * v["eta"]
        np.testing.assert_allclose(v["theta"], theta, rtol=1e-12)
        weight = 1 / bcg["se"] ** 2
        q_excess = weight.sum() - (weight**2).sum() / weight.sum()
        typical = (len(weight) - 1) / q_excess
        np.testing.assert_allclose(v["I2"], v["tau"] ** 2 / (v["tau"] ** 2 + typical), rtol=1e-12)
        return (
            stats.norm.logpdf(v["mu"], 0, 1)
            + stats.halfcauchy.logpdf(v["tau"], scale=0.5)
            + stats.norm.logpdf(v["eta"]).sum()
            + stats.norm.logpdf(bcg["y"], theta, bcg["se"]).sum()
        )

    assert_density(build(bcg), expected)


def test_the_data_and_the_typical_variance_give_metafors_fit(bcg):
    # with flat priors the marginal posterior of tau is the restricted likelihood, so that its mode is REML
    found = minimize_scalar(
        lambda tau: -restricted_log_likelihood(bcg["y"], bcg["se"], tau)[0], bounds=(0.01, 3), method="bounded"
    )
    assert found.x**2 == pytest.approx(TAU2, abs=5e-5)
    assert restricted_log_likelihood(bcg["y"], bcg["se"], found.x)[1] == pytest.approx(ESTIMATE, abs=5e-5)
    assert found.x**2 / (found.x**2 + typical_variance(bcg["se"])) == pytest.approx(I2, abs=5e-5)


def test_draws_agree_with_quadrature_and_are_near_metafor(bcg):
    def prior(mu, tau):
        return stats.norm.logpdf(mu, 0, WEAK["mu_sigma"]) + stats.halfcauchy.logpdf(tau, scale=WEAK["tau_scale"])

    moments = normal_effects(bcg["y"], bcg["se"], prior, spread=(8.0, 50.0))
    typical = typical_variance(bcg["se"])
    exact = {
        "mu": moments(lambda mu, tau: mu + 0 * tau),
        "tau": moments(lambda mu, tau: tau + 0 * mu),
        "I2": moments(lambda mu, tau: tau**2 / (tau**2 + typical) + 0 * mu),
    }
    tree = draw(build(bcg, **WEAK), "pymc", seed=21)
    assert_moments(tree, exact)
    # metafor's standard error of the estimate is 0.18: the posterior mean is the same to a tenth of it
    assert exact["mu"][0] == pytest.approx(ESTIMATE, abs=0.018)
    assert exact["I2"][0] == pytest.approx(I2, abs=0.03)


def test_equal_errors_have_their_own_variance():
    assert typical_variance(np.full(5, 0.3)) == pytest.approx(0.09)


def test_one_study_is_refused():
    with pytest.raises(DataError, match="at least 2 studies"):
        build(Dataset({"y": np.zeros(1), "se": np.ones(1)}))


def test_a_repeated_study_is_refused():
    study = np.array([0, 1, 0])
    data = Dataset({"y": np.zeros(3), "se": np.ones(3), "study": study}, coords={"study": ("Aronson", "Hart")})
    with pytest.raises(DataError, match="several rows have study Aronson"):
        build(data)


def test_studies_are_labelled(bcg):
    assert str(build(bcg).coords["study"][0]).startswith("Aronson")
    bare = Dataset({"y": bcg["y"], "se": bcg["se"]})
    assert list(build(bare).coords["study"]) == list(range(13))


def test_ints_are_safe(bcg):
    assert_ints_are_safe(build, bcg, mu_mean=100, mu_sigma=36, tau_scale=36)
