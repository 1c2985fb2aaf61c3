"""Ranks of the truth: thinning, ties, what has no rank."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayesrun.errors import ConfigError
from bayesrun.statistics.calibration import low_ess_share, observed_gamma, probability_below, rank_truth, thin
from bayesrun.statistics.calibration.bands import global_p_value


def test_thinning_keeps_what_is_there_when_all_draws_are_wanted() -> None:
    draws = np.arange(24.0).reshape(4, 6)
    assert thin(draws, 24).tolist() == list(range(24))


def test_thinning_takes_as_many_from_every_chain() -> None:
    # one after the other: every fourth of interleaved chains would be one chain only
    draws = np.repeat(np.arange(4.0), 100).reshape(4, 100)
    assert np.bincount(thin(draws, 100).astype(int)).tolist() == [25, 25, 25, 25]


@pytest.mark.parametrize("chains", [1, 3, 4])
@pytest.mark.parametrize("length", [1, 7, 40])
def test_thinned_draws_are_evenly_spaced(chains: int, length: int) -> None:
    total = chains * length
    draws = np.arange(float(total)).reshape(chains, length)
    for L in range(1, total + 1):
        kept = thin(draws, L)
        assert kept.shape == (L,)
        gaps = np.diff(kept)
        assert L == 1 or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)
        assert abs(kept[0] - (total - 1 - kept[-1])) <= 1
    with pytest.raises(ConfigError, match=f"L = {total + 1} draws, and the fit has {total} "):
        thin(draws, total + 1)


def test_rank_is_the_number_of_kept_draws_below_the_truth() -> None:
    rng = np.random.default_rng(1)
    draws, truth = rng.normal(size=(7, 4, 50)), rng.normal(size=7)
    ranks = rank_truth(draws, truth, 40, rng)
    assert ranks.tolist() == [int((thin(d, 40) < t).sum()) for d, t in zip(draws, truth, strict=True)]
    assert ranks.dtype == np.int64


def test_any_leading_dims() -> None:
    draws, truth = np.zeros((2, 3, 4, 25)), np.array([[-1.0, 1.0, -1.0], [1.0, -1.0, 1.0]])
    assert rank_truth(draws, truth, 99, np.random.default_rng(1)).tolist() == [[0, 99, 0], [99, 0, 99]]
    assert rank_truth(draws[0, 0], 1.0, 99, np.random.default_rng(1)).item() == 99
    assert probability_below(draws, truth).tolist() == [[0, 1, 0], [1, 0, 1]]


@pytest.mark.parametrize("L", [0, -3])
def test_rank_among_no_draws_is_refused(L: int) -> None:
    with pytest.raises(ConfigError, match=r"has to be 1 or more: set study\.ranks"):
        rank_truth(np.zeros((1, 4, 10)), np.zeros(1), L, np.random.default_rng(1))


def test_too_few_draws_are_refused_with_a_remedy() -> None:
    with pytest.raises(ConfigError, match=r"raise sampler\.draws or sampler\.chains, or lower study\.ranks"):
        rank_truth(np.zeros((1, 4, 10)), np.zeros(1), 41, np.random.default_rng(1))


def test_nan_has_no_rank_even_where_thinning_would_drop_it() -> None:
    draws = np.random.default_rng(1).normal(size=(4, 2, 50))
    draws[1, 0, 0] = np.nan
    truth = np.array([0.0, 0.0, np.nan, 0.0])
    assert not np.isnan(thin(draws, 10)).any()
    assert (rank_truth(draws, truth, 10, np.random.default_rng(1)) >= 0).tolist() == [True, False, False, True]
    assert rank_truth(draws, truth, 10, np.random.default_rng(1))[[1, 2]].tolist() == [-1, -1]
    assert np.isnan(probability_below(draws, truth)).tolist() == [False, True, True, False]


def test_infinite_draws_have_a_rank() -> None:
    draws = np.concatenate([np.full(5, -np.inf), np.zeros(5)]).reshape(1, 10)
    assert rank_truth(draws, -1.0, 10, np.random.default_rng(1)).item() == 5


def test_ties_are_broken_uniformly() -> None:
    ranks = rank_truth(np.ones((20_000, 1, 9)), np.ones(20_000), 9, np.random.default_rng(2))
    assert ranks.min() == 0
    assert ranks.max() == 9
    assert stats.chisquare(np.bincount(ranks)).pvalue > 0.001


def test_ties_of_one_scalar_do_not_depend_on_the_draws_of_another() -> None:
    draws = np.ones((3, 1, 99))
    first = rank_truth(draws, np.ones(3), 99, np.random.default_rng(5))
    draws[0] = np.arange(99)
    second = rank_truth(draws, np.ones(3), 99, np.random.default_rng(5))
    assert first[1:].tolist() == second[1:].tolist()


@pytest.mark.parametrize("rate", [0.0, 0.3, 2.0])
def test_a_discrete_quantity_is_calibrated(rate: float) -> None:
    # truth and draws are independent from one distribution, which is what an exact posterior gives
    rng = np.random.default_rng(11)
    truth, draws = rng.poisson(rate, 2000), rng.poisson(rate, (2000, 4, 25))
    ranks = rank_truth(draws, truth, 99, rng)
    assert global_p_value(2000, 99, observed_gamma(ranks, 99)) > 0.01
    below = probability_below(draws, truth)
    assert abs(below.mean() - 0.5) < 3 * max(below.std(), 1e-12) / np.sqrt(2000)


def test_share_of_fits_with_a_small_tail_ess() -> None:
    assert low_ess_share([98.9, 99.0, 400.0, np.nan], 99) == pytest.approx(1 / 3)
    assert np.isnan(low_ess_share([np.nan, np.nan], 99))
    assert np.isnan(low_ess_share([], 99))


def test_ranks_are_uniform_where_L_does_not_divide_the_draws() -> None:
    """77 of 2000 draws are 25 or 26 apart, which changes nothing about ranks among independent draws."""
    rng = np.random.default_rng(4)
    ranks = np.concatenate([rank_truth(rng.random((500, 4, 500)), rng.random(500), 77, rng) for _ in range(4)])
    assert global_p_value(ranks.size, 77, observed_gamma(ranks, 77)) > 0.01
    assert np.bincount(ranks, minlength=78).size == 78
