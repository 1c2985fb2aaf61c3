"""R-hat, ESS, errors and intervals against ArviZ, closed forms and simulation, also of draws that are awkward."""

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy import stats
from scipy.signal import lfilter

from bayesrun.statistics.convergence import TAIL, bfmi, summarise

SERIES = 3


def arma(rng, shape, rho):
    """Stationary AR(1) with unit variance along the last axis."""
    noise = rng.standard_normal(shape) * np.sqrt(1 - rho**2)
    start = rng.standard_normal((*shape[:-1], 1)) * rho
    return lfilter([1], [1, -rho], noise, zi=start)[0]


def with_infinity(rng, shape, shares):
    values = rng.standard_normal(shape)
    where = rng.random(shape)
    values[where < shares[0]] = -np.inf
    values[where > 1 - shares[1]] = np.inf
    return values


def held(rng, shape):
    """Every value stays for four draws, as a chain that rejects does."""
    return np.repeat(rng.standard_normal((*shape[:-1], -(-shape[-1] // 4))), 4, axis=-1)[..., : shape[-1]]


KINDS = {
    "independent": lambda rng, shape: rng.standard_normal(shape),
    "autocorrelated": lambda rng, shape: arma(rng, shape, 0.95),
    "antithetic": lambda rng, shape: arma(rng, shape, -0.8),
    "random walk": lambda rng, shape: np.cumsum(rng.standard_normal(shape), axis=-1),
    "ties": lambda rng, shape: rng.integers(0, 4, shape),
    "two values": lambda rng, shape: rng.random(shape) < 0.3,
    "held": held,
    "heavy tails": lambda rng, shape: rng.standard_cauchy(shape),
    "skewed": lambda rng, shape: np.exp(5 * rng.standard_normal(shape)),
    "apart": lambda rng, shape: rng.standard_normal(shape) + 3 * np.arange(shape[1])[:, None],
    "some infinite": lambda rng, shape: with_infinity(rng, shape, (0.0, 0.1)),
    "most infinite": lambda rng, shape: with_infinity(rng, shape, (0.5, 0.2)),
    "constant": lambda rng, shape: np.full(shape, 1.5),
}

SHAPES = [(4, 1000), (4, 4), (1, 5), (2, 7), (3, 10), (1, 33), (5, 101), (4, 250)]


def of_arviz(draws, prob):
    """Everything by ArviZ, a row for each series; it warns where nothing is defined."""
    flat = draws.reshape(len(draws), -1)
    with np.errstate(all="ignore"):
        eti, hdi = array_stats.eti(flat, prob), array_stats.hdi(flat, prob)
        return {
            "mean": flat.mean(axis=1),
            "sd": flat.std(axis=1, ddof=1),
            "median": np.median(flat, axis=1),
            "rhat": array_stats.rhat(draws),
            "ess_bulk": array_stats.ess(draws, method="bulk"),
            "ess_tail": array_stats.ess(draws, method="tail", prob=TAIL),
            "ess_mean": array_stats.ess(draws, method="mean"),
            "mcse_mean": array_stats.mcse(draws, method="mean"),
            "mcse_sd": array_stats.mcse(draws, method="sd"),
            **{"eti_lower": eti[:, 0], "eti_upper": eti[:, 1], "hdi_lower": hdi[:, 0], "hdi_upper": hdi[:, 1]},
        }


def ours(draws, prob):
    eti, hdi = summarise(draws, (prob,)), summarise(draws, (prob,), kind="hdi")
    found = {name: value for name, value in vars(eti).items() if np.ndim(value) == 1}
    for kind, summaries in (("eti", eti), ("hdi", hdi)):
        found |= {f"{kind}_lower": summaries.lower[:, 0], f"{kind}_upper": summaries.upper[:, 0]}
    return found


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # ArviZ' own, about draws that are infinite
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_arviz(kind, shape):
    rng = np.random.default_rng([3, *shape, len(kind)])
    for prob in (0.5, 0.89):
        draws = np.asarray(KINDS[kind](rng, (SERIES, *shape)), dtype=float)
        found, expected = ours(draws, prob), of_arviz(draws, prob)
        scale = np.abs(draws[np.isfinite(draws)]).max()
        for name, values in expected.items():
            np.testing.assert_allclose(
                found[name], values, rtol=1e-6, atol=1e-8 * scale if name == "mcse_sd" else 1e-12, err_msg=name
            )


@pytest.mark.parametrize(("length", "rho"), [(4000, 0.99), (4000, 0.999), (4001, 0.9999), (12_000, 0.99)])
def test_long_chains_that_mix_slowly_agree_with_arviz(length, rho):
    """More lags than are summed one by one, and fewer."""
    draws = arma(np.random.default_rng(length), (2, 3, length), rho)
    draws[1] = np.round(draws[1])
    for name, values in of_arviz(draws, 0.9).items():
        np.testing.assert_allclose(ours(draws, 0.9)[name], values, rtol=1e-9, err_msg=name)


def test_chains_that_stick_have_a_huge_rhat():
    stuck = np.repeat(np.arange(4.0)[:, None], 3000, axis=1)
    found = summarise(stuck)
    assert found.rhat == np.inf
    assert found.ess_bulk == pytest.approx(float(array_stats.ess(stuck)))
    assert found.ess_bulk < 5


@pytest.mark.parametrize("chains", ["markov", "whole", "independent"])
def test_a_nan_leaves_nothing_of_its_own_series_only(chains):
    draws = np.random.default_rng(1).standard_normal((3, 4, 100))
    draws[1, 2, 3] = np.nan
    found, alone = summarise(draws, (0.9,), "hdi", chains), summarise(draws[2], (0.9,), "hdi", chains)
    for name, values in vars(found).items():
        assert np.isnan(values[1]).all(), name
        np.testing.assert_array_equal(values[2], getattr(alone, name), err_msg=name)


def test_one_value_for_each_leading_index():
    draws = arma(np.random.default_rng(2), (2, 70, 4, 101), 0.5)
    many = summarise(draws, (0.5, 0.9))
    assert many.rhat.shape == (2, 70)
    assert many.lower.shape == (2, 70, 2)
    for where in ((0, 0), (1, 69), (1, 3)):
        alone = summarise(draws[where], (0.5, 0.9))
        for name, values in vars(many).items():
            np.testing.assert_array_equal(values[where], getattr(alone, name), err_msg=name)


def test_layout_and_type_of_the_array_do_not_matter():
    draws = np.random.default_rng(2).integers(0, 50, (4, 100, 3))
    first = summarise(np.moveaxis(draws, -1, 0), (0.9,))
    second = summarise(np.ascontiguousarray(np.moveaxis(draws, -1, 0)).astype(np.float32).tolist(), (0.9,))
    for name, values in vars(first).items():
        np.testing.assert_array_equal(values, getattr(second, name), err_msg=name)


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9])
def test_ess_of_an_autoregression(rho):
    """n (1 - rho) / (1 + rho) draws are effective for the mean, and for the sd those of rho squared."""
    draws = arma(np.random.default_rng(5), (200, 4, 2000), rho)
    found = summarise(draws)
    for values, of in ((found.ess_mean, rho), (found.ess_bulk, rho)):
        error = values.std(ddof=1) / np.sqrt(values.size)
        exact = 8000 * (1 - of) / (1 + of)
        # The largest of noisy sums is kept and the rest is cut off: biased by a few percent, at most.
        assert values.mean() == pytest.approx(exact, abs=4 * error + 0.04 * exact)
    sds = draws.reshape(200, -1).std(axis=1, ddof=1)
    assert np.sqrt((found.mcse_sd**2).mean()) == pytest.approx(sds.std(ddof=1), rel=4 / np.sqrt(2 * 199))
    means = draws.reshape(200, -1).mean(axis=1)
    assert np.sqrt((found.mcse_mean**2).mean()) == pytest.approx(means.std(ddof=1), rel=4 / np.sqrt(2 * 199))


def test_ranks_do_not_care_about_the_scale():
    draws = arma(np.random.default_rng(6), (5, 4, 500), 0.7)
    found, bent = summarise(draws), summarise(np.exp(draws))
    np.testing.assert_allclose(bent.ess_bulk, found.ess_bulk, rtol=1e-12)
    np.testing.assert_allclose(bent.ess_tail, found.ess_tail, rtol=1e-12)
    far = summarise(draws * 1e-3 + 1e6)
    for name in ("rhat", "ess_mean", "ess_tail"):
        np.testing.assert_allclose(getattr(far, name), getattr(found, name), rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(far.sd, found.sd * 1e-3, rtol=1e-6)


def test_rhat_sees_places_and_spreads_that_differ():
    rng = np.random.default_rng(7)
    same = rng.standard_normal((4, 1000))
    assert summarise(same).rhat < 1.01
    assert summarise(same + np.array([0, 0, 0, 1])[:, None]).rhat > 1.1
    assert summarise(same * np.array([1, 1, 1, 4])[:, None]).rhat > 1.1
    assert summarise(same + np.linspace(-1, 1, 1000)).rhat > 1.1


def test_whole_chains_have_no_order():
    rng = np.random.default_rng(8)
    draws = rng.standard_normal((2, 4, 501))
    sorted_ = np.sort(draws, axis=-1)
    found = summarise(sorted_, chains="whole")
    np.testing.assert_allclose(found.rhat, summarise(draws, chains="whole").rhat, rtol=1e-12)
    assert np.isnan([found.ess_bulk, found.ess_tail, found.ess_mean, found.mcse_mean, found.mcse_sd]).all()
    folded = np.abs(draws - np.median(draws, axis=(1, 2), keepdims=True))
    scores = [
        stats.norm.ppf((stats.rankdata(x, axis=None) - 0.375) / (2004 + 0.25)) for v in (draws, folded) for x in v
    ]
    by_hand = array_stats.rhat(np.array(scores).reshape(2, 2, 4, 501), method="identity").max(axis=0)
    np.testing.assert_allclose(found.rhat, by_hand, rtol=1e-12)


def test_independent_draws_are_all_effective():
    draws = stats.t(10).rvs((300, 1, 1000), random_state=np.random.default_rng(9))
    found = summarise(draws, chains="independent")
    np.testing.assert_allclose(found.mcse_mean, draws.std(axis=(1, 2), ddof=1) / np.sqrt(1000))
    sds = draws.std(axis=(1, 2), ddof=1)
    assert np.sqrt((found.mcse_sd**2).mean()) == pytest.approx(sds.std(ddof=1), rel=4 / np.sqrt(2 * 299) + 0.03)
    assert np.isnan([found.rhat, found.ess_bulk, found.ess_tail]).all()


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (4, 3), (1, 3)])
def test_chains_too_short(shape):
    draws = np.random.default_rng(1).standard_normal(shape)
    found = summarise(draws, (0.5,))
    assert np.isnan([found.rhat, found.ess_bulk, found.ess_tail, found.ess_mean, found.mcse_mean, found.mcse_sd]).all()
    assert found.mean == pytest.approx(draws.mean())
    assert found.lower[0] == pytest.approx(np.quantile(draws, 0.25))
    assert np.isnan(found.sd) == (draws.size == 1)
    assert (found.smallest, found.largest) == (draws.min(), draws.max())


def test_no_series_at_all():
    found = summarise(np.empty((0, 4, 100)), (0.5,))
    assert found.rhat.shape == (0,)
    assert found.lower.shape == (0, 1)


@pytest.mark.parametrize(
    ("draws", "probs", "said"),
    [
        (np.zeros(10), (), "dims"),
        (np.zeros((4, 0)), (), "shape"),
        (np.zeros((4, 10)), (0.0,), "probabilities"),
        (np.zeros((4, 10)), (0.5, 89), "probabilities"),
    ],
)
def test_what_cannot_be_summarised_is_refused(draws, probs, said):
    with pytest.raises(ValueError, match=said):
        summarise(draws, probs)


def test_all_of_the_draws_are_in_an_interval_of_probability_one():
    draws = np.random.default_rng(1).standard_normal((4, 25))
    for kind in ("eti", "hdi"):
        found = summarise(draws, (1.0,), kind)
        assert (found.lower[0], found.upper[0]) == (draws.min(), draws.max())


def test_bfmi():
    """Half of the squared change of independent energies is their variance; a random walk's changes are small."""
    energy = np.random.default_rng(1).standard_normal((2, 4, 1000))
    np.testing.assert_allclose(bfmi(energy), array_stats.bfmi(energy))
    assert bfmi(energy) == pytest.approx(2, abs=0.3)
    assert (bfmi(np.cumsum(energy, axis=-1)) < 0.1).all()
    assert np.isnan(bfmi(np.ones((4, 10)))).all()
