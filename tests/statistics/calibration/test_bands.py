"""Simultaneous bands and global p-values, against enumeration, a plain recursion and simulation."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from math import comb, factorial, prod
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bayesrun.errors import ConfigError
from bayesrun.statistics.calibration import (
    band,
    ecdf_difference,
    find_gamma,
    global_p_value,
    observed_gamma,
    simulated_gamma,
    simulated_gammas,
    simulated_p_value,
)
from bayesrun.statistics.calibration.bands import _search
from bayesrun.statistics.calibration.counts import evaluation_points

if TYPE_CHECKING:
    from pathlib import Path

SIZES = [(50, 99), (500, 99), (1000, 999)]


def exact_gamma(counts: tuple[int, ...], n: int, L: int) -> Fraction:
    """The statistic in rational numbers, from the counts of every rank."""
    worst, below = Fraction(2), 0
    for b in range(1, L + 1):
        below += counts[b - 1]
        z = Fraction(b, L + 1)
        chance = [comb(n, x) * z**x * (1 - z) ** (n - x) for x in range(n + 1)]
        worst = min(worst, 2 * sum(chance[: below + 1]), 2 * sum(chance[below:]))
    return worst


def every_set(n: int, L: int) -> dict[tuple[int, ...], Fraction]:
    """Probability of every way in which n uniform ranks fall on 0..L."""
    found = {}
    for bars in itertools.combinations(range(n + L), L):
        edges = (-1, *bars, n + L)
        counts = tuple(b - a - 1 for a, b in itertools.pairwise(edges))
        found[counts] = Fraction(factorial(n), prod(map(factorial, counts))) / (L + 1) ** n
    return found


def plain_coverage(n: int, L: int, lower: np.ndarray, upper: np.ndarray) -> float:
    """Probability of staying inside, by the recursion over binomial steps as it is published."""
    points = evaluation_points(n, L)
    state = np.zeros(n + 1)
    state[0] = 1.0
    for a, b, low, high in zip(points[:-1], points[1:], lower[1:], upper[1:], strict=True):
        ahead = np.zeros(n + 1)
        for x in np.flatnonzero(state):
            ahead[x:] += state[x] * stats.binom.pmf(np.arange(n - x + 1), n - x, (b - a) / (L + 1 - a))
        ahead[:low] = ahead[high + 1 :] = 0.0
        state = ahead
    return float(state.sum())


@pytest.mark.parametrize(("n", "L"), [(1, 1), (1, 4), (2, 3), (4, 4), (6, 3), (9, 2)])
def test_global_p_value_is_that_of_enumerating_all_sets_of_ranks(n: int, L: int) -> None:
    sets = every_set(n, L)
    assert sum(sets.values()) == 1
    gammas = {counts: exact_gamma(counts, n, L) for counts in sets}
    for counts in list(sets)[:: max(1, len(sets) // 40)]:
        ranks = np.repeat(np.arange(L + 1), counts)
        assert observed_gamma(ranks, L) == pytest.approx(float(gammas[counts]), rel=1e-12)
        exact = float(sum(p for other, p in sets.items() if gammas[other] <= gammas[counts]))
        assert global_p_value(n, L, observed_gamma(ranks, L)) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(("n", "L", "alpha"), [(4, 4, 0.05), (6, 3, 0.2), (9, 2, 0.1), (5, 4, 0.5)])
def test_band_is_the_narrowest_that_holds_its_level(n: int, L: int, alpha: float) -> None:
    sets = every_set(n, L)
    gammas = {counts: float(exact_gamma(counts, n, L)) for counts in sets}
    values = sorted(set(gammas.values()))
    chance = [float(sum(p for c, p in sets.items() if gammas[c] <= value * (1 + 1e-12))) for value in values]
    largest = max((p for p in chance if p <= alpha), default=0.0)
    assert find_gamma(n, L, alpha).attained == pytest.approx(1 - largest, rel=1e-9)


@pytest.mark.parametrize(("n", "L"), [(20, 99), (50, 99), (60, 24), (75, 99)])
def test_attained_level_is_that_of_the_published_recursion(n: int, L: int) -> None:
    made = band(n, L)
    assert made.attained == pytest.approx(plain_coverage(n, L, made.lower, made.upper), rel=1e-9)
    assert made.attained >= 0.95


def test_attained_levels_of_fifty_ranks_among_ninety_nine() -> None:
    # published in the project's statistics: a discrete band attains 0.9514 or 0.9471, nothing between
    found = find_gamma(50, 99)
    assert found.attained == pytest.approx(0.9514, abs=5e-5)
    gammas = np.unique(simulated_gammas(50, 99, 8_000, np.random.default_rng(3)))
    following = gammas[gammas > found.gamma * (1 + 1e-9)][0]
    assert 1 - global_p_value(50, 99, float(following)) == pytest.approx(0.9471, abs=5e-5)


@pytest.mark.parametrize(("n", "L"), SIZES)
def test_band_holds_the_level_it_attains(n: int, L: int) -> None:
    made, simulations = band(n, L), 4000
    ranks = np.random.default_rng(n).integers(0, L + 1, (simulations, n))
    points = evaluation_points(n, L)
    counts = np.cumsum(
        [np.bincount(np.searchsorted(points, row, "right") - 1, minlength=points.size) for row in ranks], axis=1
    )
    inside = np.mean(((counts[:, :-1] >= made.lower[1:]) & (counts[:, :-1] <= made.upper[1:])).all(axis=1))
    assert abs(inside - made.attained) < 3 * np.sqrt(made.attained * (1 - made.attained) / simulations)


@pytest.mark.parametrize(("n", "L"), SIZES)
def test_exact_p_values_are_uniform_under_calibration_and_agree_with_simulated_ones(n: int, L: int) -> None:
    rng = np.random.default_rng(n + 1)
    checked, reference = (50, 500) if L > 500 else (300, 1200)
    gammas = simulated_gammas(n, L, checked + reference, rng)
    exact = np.array([global_p_value(n, L, float(gamma)) for gamma in gammas[:checked]])
    for level in (0.01, 0.05, 0.2, 0.5, 0.8):
        error = np.sqrt(level * (1 - level) / checked)
        # discrete: at most the level, and not much less, because neighbouring values are close
        assert level - 0.02 - 3.5 * error < np.mean(exact <= level) < level + 3.5 * error
    for gamma, p in zip(gammas[:50], exact[:50], strict=True):
        simulated = simulated_p_value(float(gamma), gammas[checked:])
        assert abs(simulated - p) < 4 * np.sqrt(p * (1 - p) / reference) + 1 / (reference + 1)


@pytest.mark.parametrize(("n", "L"), SIZES[:2])
def test_simulated_gamma_is_near_the_exact_one(n: int, L: int) -> None:
    gammas = simulated_gammas(n, L, 4000, np.random.default_rng(9))
    p = global_p_value(n, L, simulated_gamma(gammas, 0.05))
    assert abs(p - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 4000) + 0.004


@given(
    st.integers(1, 120),
    st.integers(1, 60),
    st.sampled_from([0.01, 0.05, 0.2]),
    st.floats(0.4, 2.5),
    st.integers(0, 10**6),
)
def test_ranks_leave_the_band_if_and_only_if_their_p_value_is_at_most_alpha(
    n: int, L: int, alpha: float, tilt: float, seed: int
) -> None:
    ranks = np.floor(np.random.default_rng(seed).beta(1.0, tilt, n) * (L + 1)).astype(int)
    p = global_p_value(n, L, observed_gamma(ranks, L))
    assert bool(ecdf_difference(ranks, L, alpha).outside.any()) == (p <= alpha)
    assert 0.0 < p <= 1.0


@given(st.integers(1, 300), st.integers(1, 400))
def test_evaluation_points_are_whole_ranks(n: int, L: int) -> None:
    points = evaluation_points(n, L)
    count = min(L + 1, n) if n >= 50 else L + 1
    assert points.tolist() == [k * (L + 1) // count for k in range(count + 1)]
    assert (np.diff(points) >= 1).all()


def test_mirrored_ranks_have_the_same_p_value() -> None:
    ranks = np.random.default_rng(4).binomial(99, 0.52, 300)
    assert observed_gamma(ranks, 99) == pytest.approx(observed_gamma(99 - ranks, 99), rel=1e-9)


def test_tiny_p_values_keep_their_digits() -> None:
    # all ranks in the lower half of two: one point, and the p-value is the two-sided binomial one
    gamma = observed_gamma(np.zeros(200, int), 1)
    assert global_p_value(200, 1, gamma) == pytest.approx(2.0 * 0.5**200, rel=1e-9)
    assert global_p_value(1000, 99, observed_gamma(np.full(1000, 99), 99)) < 1e-300


def test_what_was_found_is_kept_in_a_folder(tmp_path: Path) -> None:
    first = find_gamma(60, 19, folder=tmp_path / "cache")
    (path,) = (tmp_path / "cache").iterdir()
    assert json.loads(path.read_text()) == {"gamma": first.gamma, "attained": first.attained}
    path.write_text(json.dumps({"gamma": 0.25, "attained": 0.5}))
    assert find_gamma(60, 19, folder=tmp_path / "cache").gamma == 0.25
    path.write_text('{"gamma": 0.2')  # cut off
    _search.cache_clear()
    assert find_gamma(60, 19, folder=tmp_path / "cache") == first
    assert json.loads(path.read_text())["gamma"] == first.gamma
    assert find_gamma(60, 19, 0.1, tmp_path / "cache").gamma > first.gamma


@pytest.mark.parametrize(
    ("ranks", "L", "words"),
    [
        ([], 9, "no ranks"),
        ([0, -1], 9, "1 of 2 ranks are not whole numbers in 0..9 (the first is -1)"),
        ([10], 9, "first is 10"),
        ([0.5], 9, "first is 0.5"),
        ([np.nan], 9, "first is nan"),
        ([0], 0, "one draw"),
    ],
)
def test_impossible_ranks_are_refused(ranks: list[float], L: int, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        observed_gamma(ranks, L)
    assert words in str(error.value)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 5.0, float("nan")])
def test_impossible_levels_are_refused(alpha: float) -> None:
    with pytest.raises(ConfigError, match=r"level of a test is in \(0, 1\)"):
        find_gamma(50, 99, alpha)


def test_too_few_simulations_are_refused() -> None:
    with pytest.raises(ConfigError, match="too few"):
        simulated_gamma(simulated_gammas(50, 9, 10, np.random.default_rng(1)), 0.05)
