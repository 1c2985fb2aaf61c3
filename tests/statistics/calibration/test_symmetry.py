"""VSBC: the exact test of symmetry, its level, and what approximations it finds biased."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from bayesrun.errors import ConfigError
from bayesrun.statistics.calibration import probability_below, symmetry_shape, symmetry_test


def ks_distance(p: np.ndarray) -> float:
    p, mirrored = np.round(p, 12), np.round(1 - p, 12)
    return max(abs(float(np.mean(p <= at) - np.mean(mirrored <= at))) for at in np.concatenate([p, mirrored]))


def test_statistic_is_the_kolmogorov_smirnov_distance_of_p_and_its_mirror() -> None:
    rng = np.random.default_rng(1)
    for n in (1, 2, 7, 50, 333):
        for p in (rng.uniform(size=n), rng.beta(0.4, 0.6, n), rng.integers(0, 1025, n) / 1024):
            found = symmetry_test(p)
            assert max(found.high, found.low) == pytest.approx(ks_distance(p))


@pytest.mark.parametrize(
    "p", [[0.1, 0.6, 0.75, 0.2, 0.45], [0.1, 0.1, 0.9, 0.3, 0.7, 0.2], [0.5, 0.25, 0.75, 0.25, 1.0]]
)
def test_p_value_is_that_of_all_ways_to_flip_the_sides(p: list[float]) -> None:
    given = np.array(p)
    observed = ks_distance(given)
    flips = [np.where(side, given, 1 - given) for side in itertools.product([False, True], repeat=given.size)]
    extreme = [ks_distance(flipped) >= observed - 1e-9 for flipped in flips]
    assert symmetry_test(given).p_value == pytest.approx(np.mean(extreme))


@pytest.mark.parametrize("shape", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("steps", [None, 100])
def test_level_holds_for_any_symmetric_distribution(shape: float, steps: int | None) -> None:
    # 0.3: approximations that are much too narrow, 4: too wide; with steps: from few draws, so with ties
    rng = np.random.default_rng(2)
    p = rng.beta(shape, shape, (800, 120))
    p = p if steps is None else np.round(p * steps) / steps
    found = np.array([symmetry_test(row).p_value for row in p])
    for level in (0.01, 0.05, 0.2):
        assert np.mean(found <= level) < level + 3.5 * np.sqrt(level * (1 - level) / 800)
    assert np.mean(found <= 0.2) > 0.13  # discrete, but not useless


def test_the_two_sample_p_value_would_reject_too_often() -> None:
    # the reason for the exact one: the samples p and 1 - p are mirror images
    p = np.random.default_rng(3).uniform(size=(600, 150))
    naive = np.array([stats.ks_2samp(row, 1 - row, method="asymp").pvalue for row in p])
    assert np.mean(naive <= 0.05) > 0.08


@pytest.mark.parametrize(("offset", "words"), [(0.3, "centre biased high"), (-0.3, "centre biased low")])
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_a_biased_centre_is_found_whatever_the_width(offset: float, words: str, scale: float) -> None:
    truth = np.random.default_rng(4).normal(size=800)
    found = symmetry_test(stats.norm.cdf(truth, offset, scale))
    assert found.p_value < 1e-4
    assert symmetry_shape(found) == words


def test_a_narrow_approximation_with_the_right_centre_passes() -> None:
    truth = np.random.default_rng(5).normal(size=2000)
    assert symmetry_test(stats.norm.cdf(truth, 0.0, 0.3)).p_value > 0.05


def test_a_normal_approximation_at_the_mode_of_a_skewed_posterior_lies_too_low() -> None:
    # Poisson counts with a Gamma(2, 1) prior of the rate: the posterior is Gamma(2 + y, 2), with its mode at (1 + y)/2
    rng = np.random.default_rng(6)
    rate = rng.gamma(2.0, 1.0, 1500)
    y = rng.poisson(rate)
    mode, sd = (1 + y) / 2, np.sqrt(1 + y) / 2
    found = symmetry_test(probability_below(rng.normal(mode[:, None, None], sd[:, None, None], (1500, 1, 400)), rate))
    assert found.p_value < 1e-6
    assert symmetry_shape(found) == "centre biased low"
    exact = rng.gamma(2.0 + y[:, None, None], 0.5, (1500, 1, 400))
    assert symmetry_test(probability_below(exact, rate)).p_value > 0.01


def test_asymmetry_without_a_side() -> None:
    # the outer truths lie below, the inner ones above
    p = np.concatenate([np.full(300, 0.05), np.full(100, 0.95), np.full(100, 0.4), np.full(500, 0.6)])
    found = symmetry_test(p)
    assert found.p_value < 1e-6
    assert symmetry_shape(found) == "asymmetric, centre biased neither way"


def test_one_half_is_on_neither_side() -> None:
    assert symmetry_test(np.full(50, 0.5)).p_value == 1.0
    assert symmetry_test([0.5] * 30 + [0.1] * 8).p_value == pytest.approx(2 * 0.5**8)


def test_tiny_p_values_keep_their_digits() -> None:
    assert symmetry_test(np.linspace(0.01, 0.4, 200)).p_value == pytest.approx(2 * 0.5**200)


@pytest.mark.parametrize(("p", "words"), [([], "no probabilities"), ([0.2, 1.2], "first is 1.2"), ([np.nan], "nan")])
def test_what_is_no_probability_is_refused(p: list[float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        symmetry_test(p)
