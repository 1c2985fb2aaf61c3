"""Chains that sit apart in log density are found, with what they do there; chains that agree are not."""

import numpy as np
import pytest

from bayesrun.statistics.chains_apart import CLIMBING, MOVING, STUCK, chains_apart


def levels(size=66, chains=4, draws=400, seed=1):
    """Log densities of draws from a normal posterior."""
    return -0.5 * np.random.default_rng(seed).chisquare(size, (chains, draws))


@pytest.mark.parametrize("size", [1, 2, 10, 66, 1000])
def test_chains_of_one_distribution_are_not_apart(size):
    for seed in range(20):
        assert chains_apart(levels(size, seed=seed)) == []


def test_heavy_tails_and_slow_chains_are_not_apart():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert chains_apart(-2.0 * np.log1p(rng.standard_cauchy((4, 400)) ** 2)) == []
        slow = np.repeat(-0.5 * rng.chisquare(20, (4, 4)), 100, axis=1)
        assert chains_apart(slow + 0.01 * rng.standard_normal(slow.shape)) == []


@pytest.mark.parametrize(
    ("path", "moves"),
    [
        (np.full(400, -3e22), STUCK),
        (np.repeat([-900.0, -899.0], 200), STUCK),
        (np.linspace(-1e5, -2e3, 400), CLIMBING),
        (-700.0 + levels(chains=1)[0], MOVING),
    ],
)
def test_a_chain_far_below_is_named(path, moves):
    lp = levels()
    lp[2] = path
    (found,) = chains_apart(lp)
    assert (found.chain, found.since, found.moves) == (2, 0, moves)
    others = np.median(np.median(np.delete(lp, 2, axis=0), axis=1))
    assert found.below == pytest.approx(others - np.median(path))


def test_since_when():
    lp = levels()
    lp[1, 150:] -= 5000.0
    (found,) = chains_apart(lp)
    assert (found.chain, found.since) == (1, 150)


def test_several_chains_and_the_furthest_first():
    lp = levels()
    lp[0] -= 1e4
    lp[3] -= 1e9
    assert [one.chain for one in chains_apart(lp)] == [3, 0]
    # the two that agree are the others, whichever are fewer
    lp = levels()
    lp[1] -= 1e6
    lp[2] -= 1e9
    lp[3] -= 1e12
    assert [one.chain for one in chains_apart(lp)] == [3, 2]


def test_one_chain_in_a_spike_does_not_put_the_others_apart():
    lp = levels()
    lp[0] += 500.0
    assert chains_apart(lp) == []


def test_nothing_is_said_of_one_chain_few_draws_or_densities_that_are_not_finite():
    lp = levels()
    lp[1] -= 1e6
    assert chains_apart(lp[1:2]) == chains_apart(lp[:, :7]) == []
    lp[0, 0] = np.nan
    assert chains_apart(lp) == []
