"""Normal means with a normal prior: bias, coverage, width, scores and power are known exactly."""

import math

import numpy as np
import pytest
from scipy import stats

from bayesrun.statistics import measures

N = 20_000
TAU, NOISE = 1.5, 0.8
WEIGHT = TAU**2 / (TAU**2 + NOISE**2)
SD = math.sqrt(WEIGHT) * NOISE


def posterior(truth, seed):
    """Posterior means of one observation each."""
    return WEIGHT * (truth + np.random.default_rng(seed).normal(0, NOISE, N))


def close(found, expected):
    """Whether an estimate is within four of its standard errors of what is known."""
    return abs(found.value - expected) < 4 * max(found.mcse, 1e-12)


@pytest.mark.parametrize("truth", [-2.0, 0.0, 0.5, 3.0])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.89, 0.95])
def test_fixed_truth_has_the_exact_frequentist_coverage(truth, level):
    h, half = posterior(truth, 1), stats.norm.ppf(0.5 + level / 2) * SD
    low, high = h - half, h + half
    offset, spread = (WEIGHT - 1) * truth, WEIGHT * NOISE
    left, right = stats.norm.sf((half - offset) / spread), stats.norm.cdf((-half - offset) / spread)
    assert close(measures.coverage(low, high, truth), 1 - left - right)
    assert close(measures.miss_left(low, high, truth), left)
    assert close(measures.miss_right(low, high, truth), right)
    eliminated = measures.bias_eliminated_coverage(low, high, h, truth)
    assert close(eliminated, 2 * stats.norm.cdf(half / spread) - 1)
    assert measures.width(low, high).value == pytest.approx(2 * half)
    assert measures.width(low, high).mcse == pytest.approx(0, abs=1e-12)
    beyond = sum(_mean_beyond(sign * offset - half, spread) for sign in (1, -1))
    assert close(measures.interval_score(low, high, truth, level), 2 * half + 2 / (1 - level) * beyond)


@pytest.mark.parametrize("truth", [-2.0, 0.0, 3.0])
def test_fixed_truth_has_the_exact_bias_and_spread(truth):
    h, s = posterior(truth, 2), np.full(N, SD)
    offset, spread = (WEIGHT - 1) * truth, WEIGHT * NOISE
    assert close(measures.bias(h, truth), offset)
    assert close(measures.empirical_se(h, truth), spread)
    assert close(measures.mse(h, truth), offset**2 + spread**2)
    assert close(measures.rmse(h, truth), math.sqrt(offset**2 + spread**2))
    assert close(measures.relative_error_model_se(h, truth, s), 100 * (SD / spread - 1))
    assert close(measures.z_score(h, truth, s), offset / SD)
    folded = stats.foldnorm(abs(offset) / spread, scale=spread).mean()
    assert close(measures.mae(h, truth), folded)
    if truth:
        assert close(measures.relative_bias(h, truth), WEIGHT - 1)
    else:
        assert math.isnan(measures.relative_bias(h, truth).value)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.89, 0.95])
def test_truth_from_the_prior_is_covered_as_often_as_stated(level):
    truth = np.random.default_rng(3).normal(0, TAU, N)
    h, half = posterior(truth, 4), stats.norm.ppf(0.5 + level / 2) * SD
    low, high = h - half, h + half
    assert close(measures.coverage(low, high, truth), level)
    assert close(measures.bias_eliminated_coverage(low, high, h, truth), level)
    assert close(measures.miss_left(low, high, truth), (1 - level) / 2)
    score = 2 * half + 4 / (1 - level) * _mean_beyond(-half, SD)
    assert close(measures.interval_score(low, high, truth, level), score)


def test_truth_from_the_prior_leaves_no_bias():
    truth = np.random.default_rng(5).normal(0, TAU, N)
    h, s = posterior(truth, 6), np.full(N, SD)
    assert close(measures.bias(h, truth), 0.0)
    assert close(measures.empirical_se(h, truth), SD)
    assert close(measures.relative_error_model_se(h, truth, s), 0.0)
    assert close(measures.z_score(h, truth, s), 0.0)
    assert measures.contraction(s, TAU).value == pytest.approx(WEIGHT)
    assert math.isnan(measures.relative_bias(h, truth).value)


def test_monte_carlo_error_of_draws_is_the_share_that_was_added():
    truth, rng = np.random.default_rng(7).normal(0, TAU, N), np.random.default_rng(8)
    m = SD / math.sqrt(25)
    h = posterior(truth, 9) + rng.normal(0, m, N)
    assert close(measures.mcmc_error_share(np.full(N, m), h, truth), (1 / 25) / (1 + 1 / 25))


@pytest.mark.parametrize("truth", [0.0, 1.5])
def test_power_and_type_1_error_are_exact(truth):
    h = posterior(truth, 10)
    yes = (stats.norm.sf(0, h, SD) > 0.95).astype(float)
    exact = stats.norm.sf((stats.norm.ppf(0.95) * SD - WEIGHT * truth) / (WEIGHT * NOISE))
    assert close(measures.rate(yes), exact)


def test_shrinkage_gains_precision_exactly():
    truth, rng = 0.4, np.random.default_rng(11)
    y = truth + rng.normal(0, NOISE, N)
    found = measures.relative_precision(WEIGHT * y, y, truth)
    assert found.value == pytest.approx(100 * (1 / WEIGHT**2 - 1))
    assert found.mcse == pytest.approx(0.0, abs=1e-4)


def test_paired_loss_of_shrinkage_is_exact():
    truth, rng = 0.4, np.random.default_rng(12)
    y = truth + rng.normal(0, NOISE, N)
    found = measures.paired_contrast((WEIGHT * y - truth) ** 2, (y - truth) ** 2)
    assert close(found, ((WEIGHT - 1) * truth) ** 2 + (WEIGHT**2 - 1) * NOISE**2)
    # d = (a e + b)^2 - e^2 with a = WEIGHT, b = (WEIGHT - 1) truth: its variance over e ~ N(0, NOISE^2)
    a, b = WEIGHT, (WEIGHT - 1) * truth
    variance = 2 * (a**2 - 1) ** 2 * NOISE**4 + 4 * a**2 * b**2 * NOISE**2
    assert found.mcse == pytest.approx(math.sqrt(variance / N), rel=0.03)


def _mean_beyond(mean, sd):
    """Mean of max(x, 0) for normal x."""
    return mean * stats.norm.cdf(mean / sd) + sd * stats.norm.pdf(mean / sd)
