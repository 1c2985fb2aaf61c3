"""Pareto smoothing against ArviZ, known tails and exact leave-one-out densities."""

import numpy as np
import pytest
import xarray as xr
from arviz_stats import loo, loo_approximate_posterior
from arviz_stats.base import array_stats
from scipy import stats
from scipy.special import logsumexp

from bayesrun.statistics import psis
from bayesrun.statistics.psis import good_k, leave_one_out, smooth, tail_length

RATIOS = {
    "nearly equal": lambda rng, size: 1e-3 * rng.standard_normal(size),
    "light": lambda rng, size: rng.standard_normal(size),
    "heavy": lambda rng, size: 3 * rng.standard_normal(size),
    "beyond any fit": lambda rng, size: 1e4 * np.abs(rng.standard_cauchy(size)),
    "pareto": lambda rng, size: np.log1p(rng.pareto(1.0, size)),
    "bounded": lambda rng, size: -rng.exponential(1.0, size),
    "ties": lambda rng, size: np.round(2 * rng.standard_normal(size)),
    "far from zero": lambda rng, size: 1000 + 1e-8 * rng.standard_normal(size),
    "half of them zero": lambda rng, size: np.where(rng.random(size) < 0.5, -np.inf, rng.standard_normal(size)),
}


NOISE = 1e-6
"""Of k where the ratios are their own rounding: to change each by its last bit moves k by 2e-5, in ArviZ as here."""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # ArviZ' own, about ratios that are zero
@pytest.mark.parametrize("reff", [0.05, 0.6, 1.0, 1.7])
@pytest.mark.parametrize("size", [25, 60, 226, 1000, 4000])
@pytest.mark.parametrize("kind", RATIOS)
def test_weights_and_k_agree_with_arviz(kind, size, reff):
    ratios = RATIOS[kind](np.random.default_rng([size, len(kind)]), (2, size))
    weights, k = smooth(ratios, reff)
    expected, expected_k = array_stats.psislw(-ratios, r_eff=reff)
    np.testing.assert_allclose(k, expected_k, rtol=1e-6, atol=NOISE if kind == "far from zero" else 1e-9)
    # Which of tied ratios gets which of the smoothed ones is a matter of sorting.
    np.testing.assert_allclose(np.sort(weights), np.sort(expected), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(logsumexp(weights, axis=-1), 0, atol=1e-9)


def tree(terms):
    dims = ("chain", "draw", *(f"dim{i}" for i in range(terms.ndim - 2)))
    return xr.DataTree.from_dict({"/log_likelihood": xr.Dataset({"y": (dims, terms)})})


@pytest.mark.filterwarnings("ignore:.*")  # ArviZ' own, about k
@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 3.0, 100.0])
@pytest.mark.parametrize("reff", [0.2, 1.0])
def test_leave_one_out_agrees_with_arviz(scale, reff):
    terms = scale * np.random.default_rng(1).standard_normal((4, 250, 6)) - 100 * scale
    found = leave_one_out(terms.reshape(1000, 6), reff)
    expected = loo(tree(terms), pointwise=True, reff=reff)
    np.testing.assert_allclose(found.elpd, expected.elpd_i, rtol=1e-9)
    np.testing.assert_allclose(found.pareto_k, expected.pareto_k, rtol=1e-9)
    assert found.p.sum() == pytest.approx(expected.p, rel=1e-9)
    assert good_k(1000) == expected.good_k


@pytest.mark.filterwarnings("ignore:.*")
def test_draws_of_an_approximation_are_corrected_as_in_arviz():
    rng = np.random.default_rng(2)
    terms, log_p, log_q = (
        rng.standard_normal((1, 1000, 6)),
        rng.standard_normal((1, 1000)),
        rng.standard_normal((1, 1000)),
    )
    found = leave_one_out(terms[0], correction=(log_p - log_q)[0])
    expected = loo_approximate_posterior(tree(terms), log_p[0], log_q[0], pointwise=True)
    np.testing.assert_allclose(found.elpd, expected.elpd_i, rtol=1e-9)
    np.testing.assert_allclose(found.pareto_k, expected.pareto_k, rtol=1e-9)
    assert found.p.sum() == pytest.approx(expected.p, rel=1e-9)


def test_no_correction_is_a_constant_one():
    terms = np.random.default_rng(3).standard_normal((500, 4))
    plain, corrected = leave_one_out(terms, 0.8), leave_one_out(terms, 0.8, np.full(500, 7.0))
    for name in ("elpd", "p", "pareto_k"):
        np.testing.assert_allclose(getattr(corrected, name), getattr(plain, name), rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("tail", [0.2, 0.5, 1.0])
def test_k_is_the_shape_of_the_tail(tail):
    """Ratios with P(r > x) ~ x^(-1/k); the mean estimate is drawn to 0.5 by a prior of ten draws."""
    ratios = stats.pareto(1 / tail).rvs((200, 4000), random_state=np.random.default_rng(4))
    k = smooth(np.log(ratios))[1]
    length = tail_length(4000)
    expected = (tail * length + 10 * 0.5) / (length + 10)
    assert k.mean() == pytest.approx(expected, abs=4 * k.std(ddof=1) / np.sqrt(200) + 0.02)


def test_leave_one_out_of_normal_means_is_exact_up_to_its_error():
    """y_i ~ N(theta, 1), flat prior: the density of y_i given the others is N(mean of others, 1 + 1 / (n - 1))."""
    rng = np.random.default_rng(5)
    y = rng.standard_normal(20)
    exact = [stats.norm.logpdf(y[i], np.delete(y, i).mean(), np.sqrt(1 + 1 / 19)) for i in range(20)]
    runs = []
    for _ in range(30):
        theta = y.mean() + rng.standard_normal((2000, 1)) / np.sqrt(20)
        runs.append(leave_one_out(stats.norm.logpdf(y, theta)).elpd)
    error = np.std(runs, axis=0, ddof=1) / np.sqrt(30)
    assert (np.abs(np.mean(runs, axis=0) - exact) < 4.5 * error + 1e-4).all()


def test_many_terms_go_in_parts(monkeypatch):
    terms = np.random.default_rng(6).standard_normal((300, 50))
    whole = leave_one_out(terms)
    monkeypatch.setattr(psis, "BLOCK", 2000)
    parts = leave_one_out(np.asfortranarray(terms))
    for name in ("elpd", "p", "pareto_k"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name), err_msg=name)


def test_terms_of_any_size_have_finite_densities():
    """Ratios that are 0 or overflow as numbers; an observation that no draw explains is told by its k."""
    rng = np.random.default_rng(7)
    terms = np.column_stack(
        [1e5 * rng.standard_normal(1000), -np.exp(300 * rng.random(1000)), rng.standard_normal(1000)]
    )
    found = leave_one_out(terms)
    assert np.isfinite(found.elpd).all()
    assert np.isfinite(found.p).all()
    assert not (found.pareto_k[:2] < 0.7).any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_ratios_that_are_no_numbers_have_no_weights(value):
    ratios = np.random.default_rng(8).standard_normal((2, 100))
    ratios[0, 3] = value
    weights, k = smooth(ratios)
    assert np.isnan(weights[0]).all()
    assert np.isnan(k[0])
    np.testing.assert_array_equal(weights[1], smooth(ratios[1])[0])
    assert k[1] == smooth(ratios[1])[1]


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        (np.arange(24.0), "draw at least 25"),
        (np.zeros(100), "20 largest of 100 ratios are all equal"),
        (np.where(np.arange(100) < 50, 0.0, 1.0), "all equal"),
    ],
)
def test_ratios_without_a_tail_are_refused(ratios, said):
    with pytest.raises(ValueError, match=said):
        smooth(ratios)
    with pytest.raises(ValueError, match=said):
        leave_one_out(-ratios[:, None])


def test_thresholds_of_k():
    """min(1 - 1 / log10(draws), 0.7) of Vehtari et al. (2024)."""
    assert good_k(100) == pytest.approx(0.5)
    assert good_k(2200) == pytest.approx(0.7, abs=0.001)
    assert good_k(10**6) == 0.7
    assert good_k(1) == 0.7
