"""What figures of ranks show: difference, histogram, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayesrun.errors import ConfigError
from bayesrun.statistics.calibration import coverage_from_ranks, ecdf_difference, rank_histogram

RANKS = np.random.default_rng(1).integers(0, 100, 300)


def test_difference_is_the_ecdf_less_the_uniform_one() -> None:
    shown = ecdf_difference(RANKS, 99)
    assert shown.z.tolist() == [k / 100 for k in range(101)]
    assert shown.difference == pytest.approx([np.count_nonzero(k > RANKS) / 300 - k / 100 for k in range(101)])
    assert (
        shown.difference[[0, -1]].tolist() == shown.lower[[0, -1]].tolist() == shown.upper[[0, -1]].tolist() == [0, 0]
    )
    assert (shown.lower <= shown.upper).all()
    assert shown.attained >= 0.95
    # one point alone leaves a 95 % band less often than any of them
    alone = stats.binom.ppf(0.975, 300, 0.5) / 300 - 0.5
    assert shown.upper[50] > alone


def test_too_narrow_goes_up_then_down_and_leaves_the_band() -> None:
    shown = ecdf_difference(np.concatenate([RANKS // 2, 99 - RANKS // 4, RANKS // 5]), 99)
    assert shown.outside.any()
    assert shown.difference[5] > 0 > shown.difference[85]
    assert not ecdf_difference(RANKS, 99).outside.any()


def test_a_wider_level_makes_a_narrower_band() -> None:
    wide, narrow = ecdf_difference(RANKS, 99, 0.01), ecdf_difference(RANKS, 99, 0.5)
    assert (wide.upper >= narrow.upper).all()
    assert (wide.lower <= narrow.lower).all()


@pytest.mark.parametrize(
    ("L", "wanted", "taken"), [(99, 20, 20), (99, 12, 10), (199, 16, 20), (100, 10, 101), (1, 20, 2), (999, 2, 2)]
)
def test_histogram_merges_to_a_divisor(L: int, wanted: int, taken: int) -> None:
    ranks = np.random.default_rng(2).integers(0, L + 1, 400)
    shown = rank_histogram(ranks, L, wanted)
    counts, _ = np.histogram(ranks / (L + 1), np.linspace(0, 1, taken + 1) - 1e-9)
    assert shown.counts.tolist() == counts.tolist()
    assert shown.counts.sum() == 400
    assert shown.edges.size == taken + 1
    assert shown.expected == 400 / taken


def test_histogram_has_few_bins_for_few_ranks() -> None:
    assert rank_histogram(RANKS, 99).counts.size == 20
    assert rank_histogram(RANKS[:30], 99).counts.size == 5
    assert rank_histogram(RANKS[:3], 99).counts.size == 2


def test_a_bin_is_within_its_band_as_often_as_promised() -> None:
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(400):
        shown = rank_histogram(rng.integers(0, 100, 300), 99)
        inside.append(np.mean((shown.counts >= shown.lower) & (shown.counts <= shown.upper)))
    low, high = shown.lower[0], shown.upper[0]
    promised = stats.binom.cdf(high, 300, 0.05) - stats.binom.cdf(low - 1, 300, 0.05)
    assert promised >= 0.95
    assert abs(np.mean(inside) - promised) < 4 * np.std(inside) / 20


def test_histogram_of_one_bin_is_refused() -> None:
    with pytest.raises(ConfigError, match="two bins"):
        rank_histogram(RANKS, 99, 1)


def test_coverage_is_that_of_the_intervals_between_draws() -> None:
    rng = np.random.default_rng(4)
    draws, truth = np.sort(rng.normal(size=(500, 19)), axis=1), rng.normal(size=500)
    ranks = (draws < truth[:, None]).sum(axis=1)
    found = coverage_from_ranks(ranks, 19)
    assert found["level"].tolist() == pytest.approx([0.1 * k for k in range(1, 11)])
    for place, cut in enumerate(range(9, 0, -1)):
        inside = (draws[:, cut - 1] < truth) & (truth < draws[:, 19 - cut])
        assert found["coverage"][place] == pytest.approx(inside.mean())
        interval = stats.binomtest(int(inside.sum()), 500).proportion_ci(method="wilson")
        assert (found["lower"][place], found["upper"][place]) == pytest.approx(tuple(interval))
    assert found["coverage"].iloc[-1] == 1.0
    assert (found["n"] == 500).all()


def test_coverage_of_calibrated_ranks_is_nominal() -> None:
    found = coverage_from_ranks(np.random.default_rng(5).integers(0, 1000, 20_000), 999)
    assert (
        np.abs(
            (found["coverage"] - found["level"]) / np.sqrt(found["level"] * (1 - found["level"]) / 20_000 + 1e-12)
        ).max()
        < 4
    )


def test_coverage_at_wanted_levels_says_which_it_answers() -> None:
    found = coverage_from_ranks(RANKS, 99, [0.5, 0.89, 0.95])
    assert found["level"].tolist() == pytest.approx([0.5, 0.88, 0.94], abs=0.021)
    every = coverage_from_ranks(RANKS, 99).set_index("level")["coverage"]
    assert found["coverage"].tolist() == every[found["level"]].tolist()


def test_perfect_coverage_can_hide_a_shift() -> None:
    # high and low ranks exchanged within pairs: half of the posteriors too high, half too low is not seen, one side is
    ranks = np.where(RANKS < 50, RANKS, 99 - RANKS)
    assert coverage_from_ranks(ranks, 99)["coverage"].tolist() == coverage_from_ranks(RANKS, 99)["coverage"].tolist()
    assert ecdf_difference(ranks, 99).outside.any()
