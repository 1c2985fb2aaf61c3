"""Words for shapes of ranks whose posterior is known to be shifted, too narrow or too wide."""

from __future__ import annotations

import numpy as np
import pytest

from bayesrun.errors import ConfigError
from bayesrun.statistics.calibration import rank_shape, shift_and_width

L = 99


def normal_ranks(shift: float, scale: float, n: int = 1000, L: int = L, seed: int = 1) -> np.ndarray:
    """Ranks of the truth in a normal posterior that is `shift` SDs too high and `scale` times too wide."""
    rng = np.random.default_rng(seed)
    return np.sum(rng.normal(shift, scale, (n, L)) < rng.normal(size=(n, 1)), axis=1)


@pytest.mark.parametrize(
    ("shift", "scale", "words"),
    [
        (0.2, 1.0, "posterior shifted high"),
        (-0.2, 1.0, "posterior shifted low"),
        (1.0, 1.0, "posterior shifted high"),
        (-2.0, 1.0, "posterior shifted low"),
        (0.0, 0.7, "posterior too narrow"),
        (0.0, 1.4, "posterior too wide"),
    ],
)
@pytest.mark.parametrize("n", [500, 2000])
def test_a_normal_posterior_is_read_as_what_it_is(shift: float, scale: float, words: str, n: int) -> None:
    for seed in range(5):
        assert rank_shape(normal_ranks(shift, scale, n, seed=seed), L) == words


@pytest.mark.parametrize(
    ("shift", "scale", "words"),
    [(0.25, 0.7, "posterior too narrow and shifted high"), (-0.3, 1.5, "posterior too wide and shifted low")],
)
def test_both_at_once(shift: float, scale: float, words: str) -> None:
    assert {rank_shape(normal_ranks(shift, scale, 2000, seed=seed), L) for seed in range(5)} == {words}


def test_u_and_heap() -> None:
    ends = np.concatenate([np.arange(10), np.arange(90, 100)] * 20)
    assert rank_shape(ends, L) == "posterior too narrow"
    assert rank_shape(np.repeat(np.arange(30, 70), 10), L) == "posterior too wide"
    assert rank_shape(np.zeros(200, int), L) == "posterior shifted high"
    assert rank_shape(np.full(200, L), L) == "posterior shifted low"


def test_another_shape_says_where() -> None:
    # as many low as high ranks, as much spread as uniform ones: only a gap
    ranks = np.concatenate([np.arange(100)] * 10)
    gap = (ranks >= 18) & (ranks < 24)
    ranks[gap] = np.tile(np.arange(14, 18), gap.sum())[: gap.sum()]
    read = rank_shape(ranks, L)
    assert read.startswith("other shape, most at z = 0.1")


def test_components_are_standard_and_unrelated_under_calibration() -> None:
    rng = np.random.default_rng(3)
    found = np.array([shift_and_width(rng.integers(0, L + 1, 200), L) for _ in range(2000)])
    assert np.abs(found.mean(axis=0)).max() < 4 / np.sqrt(2000) + 0.08  # the variance loses 1/n of itself
    assert np.abs(found.std(axis=0) - 1).max() < 4 / np.sqrt(2 * 2000) + 0.02
    assert abs(np.corrcoef(found.T)[0, 1]) < 4 / np.sqrt(2000)


def test_mirrored_ranks_mirror_the_shift() -> None:
    ranks = normal_ranks(0.3, 0.8)
    shift, width = shift_and_width(ranks, L)
    assert shift_and_width(L - ranks, L) == pytest.approx((-shift, width))


def test_one_draw_tells_a_shift_and_no_width() -> None:
    assert shift_and_width(np.array([0, 0, 0, 1]), 1) == (pytest.approx(1.0), 0.0)
    assert rank_shape(np.array([0] * 30 + [1] * 3), 1) == "posterior shifted high"


def test_ranks_beyond_L_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"0\.\.9"):
        rank_shape(np.array([10]), 9)
