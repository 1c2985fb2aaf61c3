"""Chains in nowhere land are begun again, and what has mass stays: the rule alone, in fleets, and on posteriors."""

from dataclasses import replace

import numpy as np
import pytest

from bayesrun.samplers import numpyro
from bayesrun.samplers.lanes.restarts import MOST, Look, hopeless, look
from bayesrun.statistics.fit_summary import diagnose
from bayesrun.types import Dataset, DiagnosticsOptions, SamplerOptions
from nowhere_models import crash, heteroscedastic, modes, trap

DATA = Dataset({"y": np.array([0.0])})
OPTIONS = SamplerOptions(draws=60, tune=300, chains=4)
pytestmark = pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning")


def explored(rng, levels, widths, size, length=50):
    """Log densities and positions of chains in normal regions: lp is a level minus half a chi-squared."""
    unit = rng.standard_normal((len(levels), length, size))
    lp = np.asarray(levels)[:, None] - 0.5 * (unit**2).sum(2)
    return lp, unit * np.asarray(widths)[:, None, None]


def drawn(build, n, options, first=0):
    return list(numpyro.sample(build, [DATA] * n, range(first, first + n), options))


@pytest.mark.parametrize(
    ("tune", "seen"),
    [(99, None), (100, Look(40, 50)), (300, Look(120, 150)), (600, Look(120, 150)), (1000, Look(200, 250))],
)
def test_when_chains_are_looked_at(tune, seen):
    assert look(tune) == seen


@pytest.mark.parametrize("size", [1, 10, 66])
def test_what_is_further_below_than_width_makes_up_for_is_hopeless(size):
    bound = 50.0 + size * np.log(100.0)
    rng = np.random.default_rng(size)
    for beyond, expected in ((-20.0, False), (20.0, True)):
        lp, z = explored(rng, [0.0, -bound - beyond, 0.0], [1.0, 0.5, 1.0], size)
        found = hopeless(lp, z)
        assert (found > 0).tolist() == [False, expected, False]
        if expected:
            assert found[1] == pytest.approx(bound + beyond, abs=10)


@pytest.mark.parametrize("size", [1, 10, 66])
@pytest.mark.parametrize("narrow", [1e-2, 1e-5, 1e-8])
def test_a_mode_of_lower_density_and_the_same_mass_is_not(size, narrow):
    """A spike and a wide mode of equal masses: their log densities differ by the logarithm of their volumes."""
    level = -size * np.log(narrow)
    lp, z = explored(np.random.default_rng(1), [level, 0.0, level, 0.0], [narrow, 1.0, narrow, 1.0], size)
    assert not hopeless(lp, z).any()
    # without its width it would be
    if level > 50 + size * np.log(100.0) + 20:
        assert hopeless(lp, np.repeat(z[:1], 4, axis=0))[[1, 3]].all()


def test_chains_that_never_moved():
    lp, z = explored(np.random.default_rng(2), [0.0, -1e40, -1e30], [1.0, 0.0, 0.0], 5)
    np.testing.assert_allclose(hopeless(lp, z), [0.0, 1e40, 1e30])
    # a point where one is stuck has no width, and shows nothing about regions that have one
    lp, z = explored(np.random.default_rng(2), [1e6, 0.0], [0.0, 1.0], 5)
    assert not hopeless(lp, z).any()


@pytest.fixture(scope="module")
def trapped():
    return drawn(trap, 12, replace(OPTIONS, restart=False)), drawn(trap, 12, OPTIONS)


def in_trap(tree):
    return tree["posterior"]["x"].values.mean(axis=1) > 0


def test_chains_in_a_trap_are_begun_again(trapped):
    before, after = trapped
    assert sum(in_trap(tree).any() for tree in before) > 6
    for old, new in zip(before, after, strict=True):
        wrong = in_trap(old)
        if wrong.all():  # there is nothing to compare with
            assert "restarts" not in new.attrs
            continue
        assert in_trap(new).sum() <= in_trap(old).sum()
        assert ("restarts" in new.attrs) == wrong.any()
        np.testing.assert_array_equal(new["posterior"]["x"].values[~wrong], old["posterior"]["x"].values[~wrong])
        for chain in np.flatnonzero(wrong):
            assert f"chain {chain} after transition 150 (1e+03" in new.attrs["restarts"]
            assert new["sample_stats"].attrs["restarts"] == new.attrs["restarts"]
    left = [tree for old, tree in zip(before, after, strict=True) if not in_trap(old).all()]
    assert sum(in_trap(tree).sum() for tree in left) <= 1  # a quarter of the starts, four times
    assert not any("restarts" in tree.attrs for tree in before)


def test_restarts_do_not_depend_on_the_batch(trapped):
    _, after = trapped
    number = next(i for i, tree in enumerate(after) if "restarts" in tree.attrs)
    for extra in ({"lanes": 4}, {}):
        alone = drawn(trap, 1, replace(OPTIONS, extra=extra), first=number)[0]
        np.testing.assert_array_equal(alone["posterior"]["x"], after[number]["posterior"]["x"])
        assert alone.attrs["restarts"] == after[number].attrs["restarts"]


def test_other_starts_are_bounded_and_the_best_is_kept(monkeypatch):
    """Every start is called hopeless beside the first chain's: the one that came highest is drawn from."""
    seen = []

    def rule(lp, z):
        seen.append(np.median(lp, axis=1))
        return np.array([0.0, 5.0, 0.0, 0.0])

    monkeypatch.setattr("bayesrun.samplers.lanes.fleet.hopeless", rule)
    tree = drawn(trap, 1, OPTIONS)[0]
    reached = [levels[1] for levels in seen]
    best = int(np.argmax(reached[: MOST + 1]))
    assert len(seen) == MOST + 1 + (best < MOST)
    assert reached[-1] == max(reached)
    others = np.array(seen)[:, [0, 2, 3]]
    assert (others == others[0]).all()
    assert tree.attrs["restarts"].count("5") >= MOST


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param({"size": 10, "widths": (0.3, 0.3)}, marks=pytest.mark.slow),
        {"size": 1, "weights": (0.9, 0.1), "centres": (-1.0, 200.0), "widths": (0.01, 5.0)},
        {"size": 10, "weights": (0.1, 0.9), "centres": (-0.5, 7.6), "widths": (0.05, 0.5)},
    ],
    ids=str,
)
def test_nothing_of_two_modes_is_hidden(kind):
    """With and without restarts the draws are the same, both modes are there, and R-hat says so."""
    found = {}
    for restart in (False, True):
        found[restart] = drawn(lambda data: modes(data, **kind), 6, replace(OPTIONS, restart=restart))
    in_first = []
    for off, on in zip(found[False], found[True], strict=True):
        np.testing.assert_array_equal(off["posterior"]["x"], on["posterior"]["x"])
        assert "restarts" not in on.attrs
        centres = kind.get("centres", (-1.0, 1.0))
        nearer = on["posterior"]["x"].values.mean(axis=(1, 2)) < np.mean(centres)
        in_first.append(nearer)
        if 0 < nearer.sum() < len(nearer):
            rhat = diagnose(on, "nuts", DiagnosticsOptions()).facts.get("rhat_max", np.inf)
            assert rhat > 1.3
    assert 0.1 < np.mean(in_first) < 0.9


@pytest.mark.slow
def test_ten_seeds_of_a_heteroscedastic_process():
    """66 parameters: without restarts several of ten fits have a chain in nowhere land, with them none has."""
    far = {}
    for restart in (False, True):
        options = SamplerOptions(draws=50, tune=400, chains=4, max_treedepth=6, restart=restart)
        levels = [
            np.median(tree["sample_stats"]["lp"].values, axis=1)
            for tree in numpyro.sample(heteroscedastic, [crash()] * 10, range(10), options)
        ]
        far[restart] = sum(np.ptp(level) > 354.0 for level in levels)
    assert far[False] >= 3
    assert far[True] == 0
