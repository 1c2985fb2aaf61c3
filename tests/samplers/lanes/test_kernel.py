"""The kernel against posteriors that are known, and against NumPyro's own NUTS on the same potential."""

import dataclasses

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from numpyro.infer import MCMC, NUTS

from bayesrun.samplers.lanes import state, streams
from bayesrun.samplers.lanes.adaptation import schedule
from bayesrun.samplers.lanes.density import Density
from bayesrun.samplers.lanes.fleet import Work, draw
from bayesrun.samplers.lanes.program import Settings, program

pytestmark = pytest.mark.usefixtures("double_precision")

SETTINGS = Settings(lanes=16, chains=4, tune=500, draws=1000, target_accept=0.8, max_treedepth=10, dense_mass=False)
SPREAD = np.linspace(0.5, 3.0, 20)
CORRELATED = 0.95 ** np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
FUNNEL_SCALE = 1.5


def normal(z):
    return -0.5 * (z**2).sum()


def scaled(z):
    return -0.5 * ((z / SPREAD) ** 2).sum()


def correlated(z):
    return -0.5 * z @ jnp.asarray(np.linalg.inv(CORRELATED)) @ z


def funnel(z):
    """A mild one, so that the tails can be reached: v ~ N(0, 1.5), x ~ N(0, exp(v / 2)), four of them."""
    v, x = z[0], z[1:]
    return -0.5 * (v / FUNNEL_SCALE) ** 2 - 0.5 * (x**2).sum() * jnp.exp(-v) - 0.5 * x.size * v


def density(logp, size):
    """A density without data."""
    return Density(
        size=size,
        varying=(),
        variables=("z",),
        observed=(),
        prepare=lambda arguments: arguments,
        log_density=lambda z, prepared: logp(z),
        constrain=lambda z, arguments: {"z": z},
        log_likelihood=lambda z, arguments: {},
        start=lambda jitter, arguments: jitter,
        agreement=None,
    )


def centred_schools(z):
    """Eight schools as they should not be written: the neck of a funnel, in log tau."""
    y = jnp.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    error = jnp.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
    mu, log_tau, theta = z[0], z[1], z[2:]
    prior = -0.5 * (mu / 5.0) ** 2 - jnp.log1p((jnp.exp(log_tau) / 5.0) ** 2) + log_tau
    effects = -0.5 * (((theta - mu) * jnp.exp(-log_tau)) ** 2).sum() - 8.0 * log_tau
    return prior + effects - 0.5 * (((y - theta) / error) ** 2).sum()


def drawn(logp, size, n=4, seed=1, **changes):
    """Draws of n fits as one dataset of 4 n chains, and their statistics."""
    compiled = program(density(logp, size), dataclasses.replace(SETTINGS, **changes), ())
    found = [chains for chains, _ in draw(compiled, [Work(i, seed + i, ()) for i in range(n)])]
    found.sort(key=lambda chains: chains.work.index)
    z = np.concatenate([chains.z for chains in found])
    return z, {name: np.concatenate([chains.stats[name] for chains in found]) for name in found[0].stats}


def assert_moments(z, mean, sd):
    """Compare with known moments, within 4 Monte Carlo standard errors; shape (chain, draw, n)."""
    draws = xr.Dataset({"z": (("chain", "draw", "k"), z)})
    error = az.mcse(draws, method="mean")["z"].values
    error_sd = az.mcse(draws, method="sd")["z"].values
    assert np.all(abs(z.mean(axis=(0, 1)) - mean) < 4 * error)
    assert np.all(abs(z.std(axis=(0, 1)) - sd) < 4 * error_sd)
    assert az.rhat(draws)["z"].max() < 1.02


def test_standard_normal():
    z, stats = drawn(normal, 1)
    assert_moments(z, 0.0, 1.0)
    np.testing.assert_allclose(stats["potential"], 0.5 * z[..., 0] ** 2)
    kinetic = stats["energy"] - stats["potential"]
    assert kinetic.min() >= 0.0
    assert 0.3 < kinetic.mean() < 0.8
    assert not stats["flags"].any()


def test_twenty_scales():
    z, _ = drawn(scaled, 20)
    assert_moments(z, 0.0, SPREAD)


def test_dense_mass_learns_correlations():
    z, stats = drawn(correlated, 5, dense_mass=True, tune=1000)
    assert_moments(z, 0.0, 1.0)
    np.testing.assert_allclose(np.corrcoef(z.reshape(-1, 5).T), CORRELATED, atol=0.05)
    _, plain = drawn(correlated, 5)
    assert stats["n_steps"].mean() < 0.5 * plain["n_steps"].mean()


def test_funnel():
    z, _ = drawn(funnel, 5, target_accept=0.95, tune=1000)
    assert_moments(z[..., :1], 0.0, FUNNEL_SCALE)


def test_divergences_are_flagged():
    """A density that ends in a cliff: the steps over it diverge and are not taken."""
    z, stats = drawn(lambda z: jnp.where(z[0] < 1.5, -0.5 * z[0] ** 2, -1e6), 1, n=1)
    assert (stats["flags"] & state.DIVERGING).any()
    assert z.max() < 1.5


def test_tree_depth_is_bounded_and_said():
    _, stats = drawn(scaled, 20, n=1, max_treedepth=2, tune=0, target_accept=0.99)
    assert stats["n_steps"].max() <= 3
    _, long = drawn(lambda z: -0.5 * (z**2 * jnp.array([1.0, 1e-6])).sum(), 2, n=1, max_treedepth=3, tune=0)
    assert ((long["flags"] & state.CUT_OFF) > 0).any()
    assert (long["n_steps"][(long["flags"] & state.CUT_OFF) > 0] == 7).all()


@pytest.mark.parametrize("tune", [0, 5])
def test_short_warm_up(tune):
    z, stats = drawn(normal, 2, n=1, tune=tune, draws=300)
    assert np.isfinite(z).all()
    assert (stats["step_size"] == 1.0).all() == (tune == 0)


@pytest.mark.parametrize(
    ("logp", "size", "dense"),
    [
        pytest.param(normal, 1, False, marks=pytest.mark.slow),
        pytest.param(scaled, 20, False, marks=pytest.mark.slow),
        pytest.param(correlated, 5, True, marks=pytest.mark.slow),
        (funnel, 5, False),
        pytest.param(centred_schools, 10, False, marks=pytest.mark.slow),
    ],
    ids=["normal", "scales", "dense", "funnel", "schools"],
)
def test_same_as_numpyro(logp, size, dense):
    """Acceptance, steps, step sizes and effective draws, within the spread between chains."""
    z, stats = drawn(logp, size, dense_mass=dense)
    reference = MCMC(
        NUTS(potential_fn=lambda z: -logp(z), target_accept_prob=SETTINGS.target_accept, dense_mass=dense),
        num_warmup=SETTINGS.tune,
        num_samples=SETTINGS.draws,
        num_chains=16,
        chain_method="vectorized",
        progress_bar=False,
    )
    start = jax.random.uniform(jax.random.key(3), (16, size), minval=-1.0, maxval=1.0)
    reference.run(
        jax.random.key(4), init_params=start, extra_fields=("accept_prob", "num_steps", "adapt_state.step_size")
    )
    fields = reference.get_extra_fields(group_by_chain=True)
    theirs = np.asarray(reference.get_samples(group_by_chain=True))

    def assert_same(a, b):
        a, b = np.asarray(a), np.asarray(b)
        error = np.sqrt(a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b))
        assert np.all(abs(a.mean(axis=0) - b.mean(axis=0)) < 4 * error)

    assert_same(stats["acceptance"].mean(axis=1), fields["accept_prob"].mean(axis=1))
    assert_same(stats["n_steps"].mean(axis=1), fields["num_steps"].mean(axis=1))
    assert_same(np.log(stats["step_size"]), np.log(fields["adapt_state.step_size"][:, -1]))
    assert_same(z.mean(axis=1), theirs.mean(axis=1))
    assert_same(np.log(z.var(axis=1)), np.log(theirs.var(axis=1)))

    def ess(draws):
        return [az.ess(xr.Dataset({"z": (("chain", "draw"), one[None, :, 0])}))["z"].item() for one in draws]

    assert_same(np.log(ess(z)), np.log(ess(theirs)))


def test_schedule_is_that_of_stan():
    assert schedule(1000, 0.8).ends == (99, 149, 249, 449, 949)
    assert (schedule(1000, 0.8).first, schedule(1000, 0.8).last) == (75, 949)
    assert schedule(10, 0.8).ends == ()


def test_streams():
    """Numbers are uniform or normal, and streams of neighbouring seeds, chains and purposes are unlike."""
    keys = jnp.stack([streams.chain_key(seed, chain, use) for seed in (1, 2) for chain in (0, 1) for use in (0, 1)])
    assert np.unique(keys).size == 8
    flat = np.asarray(streams.normals(keys, jnp.zeros(8, jnp.uint64), 20_000)).T
    assert abs(flat.mean(axis=1)).max() < 4 / np.sqrt(20_000)
    assert abs(flat.var(axis=1) - 1).max() < 4 * np.sqrt(2 / 20_000)
    assert abs(np.corrcoef(flat) - np.eye(8)).max() < 4.5 / np.sqrt(20_000)
    assert abs(np.corrcoef(flat[:, 1:], flat[:, :-1])[:8, 8:].diagonal()).max() < 4.5 / np.sqrt(20_000)
    a, b, coin = (
        np.asarray(x) for x in streams.split_bits(streams.bits(keys[0], jnp.arange(50_000, dtype=jnp.uint64)))
    )
    for u in (a, b):
        assert abs(u.mean() - 0.5) < 4 * np.sqrt(1 / 12 / u.size)
        assert 0.0 <= u.min() < u.max() < 1.0
    assert abs(coin.mean() - 0.5) < 4 * np.sqrt(0.25 / coin.size)
    assert abs(np.corrcoef([a, b, coin]) - np.eye(3)).max() < 4.5 / np.sqrt(50_000)
    wide = np.asarray(streams.uniforms(keys[1], jnp.arange(50_000, dtype=jnp.uint64)))
    assert abs(wide.mean()) < 4 * np.sqrt(1 / 3 / wide.size)
    assert -1.0 <= wide.min() < wide.max() < 1.0
