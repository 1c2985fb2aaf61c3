"""Fits that meet a gradient that is not finite where the density is: drawn again by the guarded form, or told."""

from dataclasses import replace

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

from bayesrun.samplers import advi_jax, numpyro
from bayesrun.samplers.lanes import engine
from bayesrun.samplers.lanes.density import derive
from bayesrun.samplers.lanes.engine import prepare_jax
from bayesrun.samplers.lanes.fleet import Work, draw
from bayesrun.samplers.lanes.graphs import survey
from bayesrun.samplers.lanes.program import Settings, program
from bayesrun.types import Dataset, SamplerOptions
from eight_schools import SCHOOLS, centred_schools
from model_oracles import assert_moments

OPTIONS = SamplerOptions(draws=60, tune=100, chains=2)
pytestmark = pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning")


def rooted(data):
    """A mean that is the root of a sum, and 0 where the sum is negative: JAX's gradient is NaN there."""
    with pm.Model() as model:
        u = pm.Normal("theta", 0.0, 1.0) + data["x"]
        pm.Normal("y", pm.math.switch(u > 0, pm.math.sqrt(u), 0), 1.0, observed=data["y"])
    return model


def shifted(by, seed=0):
    rng = np.random.default_rng([seed, int(by)])
    x = by + 0.1 * rng.normal(size=6)
    return Dataset({"y": np.sqrt(np.maximum(x, 0.0)) + rng.normal(size=6), "x": x})


SEVEN = [shifted(by, seed) for seed, by in enumerate((80.0, 90.0, 2.0, 85.0, 99.0, 0.0, 95.0))]
MET, LIKE = {2, 5}, shifted(70.0)
"""No trajectory gets to a negative sum from where the others are: the prior alone makes it diverge on the way."""


def test_two_of_seven_are_drawn_again_together_and_none_depends_on_the_others(monkeypatch):
    groups = []
    fit = engine._fit_group

    def noted(options, timeout, density, members, *others):
        groups.append([member.index for member in members])
        return fit(options, timeout, density, members, *others)

    monkeypatch.setattr(engine, "_fit_group", noted)
    options = replace(OPTIONS, batch_size=7)
    together = dict(engine.fits(rooted, SEVEN, range(7), options, like=LIKE))
    assert list(map(sorted, groups)) == [list(range(7)), sorted(MET)]
    assert {index for index, tree in together.items() if "guarded" in tree.attrs} == MET
    assert not any("no_gradient" in tree.attrs for tree in together.values())
    for index in (1, 2, 5):
        ((_, alone),) = engine.fits(rooted, [SEVEN[index]], [index], options, like=LIKE)
        assert alone.attrs.get("guarded") == together[index].attrs.get("guarded")
        assert set(alone.children) == set(together[index].children)
        for group, node in alone.children.items():
            xr.testing.assert_equal(together[index][group].to_dataset(), node.to_dataset())


def censored(data):
    """Each value is at the lower bound: the mean is below it, and JAX's gradient NaN from -7.6 on."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 6.0)
        pm.Censored("y", pm.Normal.dist(mu, 0.2), lower=0.0, upper=None, observed=data["y"])
    return model


def test_a_posterior_beyond_what_jax_has_a_gradient_for_is_right():
    grid = np.linspace(-60.0, 5.0, 200001)
    weights = np.exp(stats.norm.logpdf(grid, 0.0, 6.0) + 4 * stats.norm.logcdf(0.0, grid, 0.2))
    mean = np.average(grid, weights=weights)
    sd = np.sqrt(np.average((grid - mean) ** 2, weights=weights))
    options = SamplerOptions(draws=1000, tune=500, chains=4)
    (tree,) = numpyro.sample(censored, [Dataset({"y": np.zeros(4)})], [3], options)
    assert tree.attrs["guarded"] == 1
    assert "no_gradient" not in tree.attrs
    assert float((tree["posterior"]["mu"] < -7.6).mean()) > 0.15
    assert_moments(tree, {"mu": (mean, sd)})


def test_what_no_guard_mends_is_counted():
    """The root of what is cut off at 0: its derivative there is infinite, in PyMC too, and 0 times that NaN."""

    def build(data):
        with pm.Model() as model:
            theta = pm.Normal("theta", 1.0, 1.0)
            pm.Normal("y", pm.math.sqrt(pm.math.maximum(theta, 0.0)), 1.0, observed=data["y"])
        return model

    data = Dataset({"y": np.array([0.5, 0.1])})
    (tree,) = numpyro.sample(build, [data], [1], OPTIONS)
    assert tree.attrs["no_gradient"] >= tree["sample_stats"]["diverging"].sum() > 0
    (other,) = numpyro.sample(build, [data], [1], replace(OPTIONS, extra={"lanes": 8}, batch_size=2))
    assert other.attrs["no_gradient"] == tree.attrs["no_gradient"]


def test_no_gradient_at_any_start_is_mended_or_said():
    def build(data):
        with pm.Model() as model:
            u = pm.Normal("theta", -5.0, 1.0) * data["x"]
            mean = pm.math.sqrt(pm.math.maximum(u, 0.0)) if data["x"][0] > 1 else pm.math.switch(u > 0, u**0.5, 0)
            pm.Normal("y", mean, 1.0, observed=data["y"])
        return model

    mended, said = (Dataset({"y": np.array([0.5]), "x": np.array([x])}) for x in (1.0, 2.0))
    results = dict(engine.fits(build, [mended, said], [1, 2], OPTIONS))
    assert results[0].attrs["guarded"] == 1
    assert abs(float(results[0]["posterior"]["theta"].mean()) + 5.0) < 0.5
    assert "its gradient in JAX is not; use sampler=nuts" in str(results[1])


def test_advi_whose_elbo_became_nan_is_fitted_again():
    options = SamplerOptions(draws=200, iterations=3000, chains=1, learning_rate=0.02)
    results = dict(advi_jax.fits(rooted, SEVEN[4:], range(3), options, like=LIKE))
    for index, tree in results.items():
        ((_, alone),) = advi_jax.fits(rooted, [SEVEN[4 + index]], [index], options, like=LIKE)
        xr.testing.assert_equal(tree["posterior"].to_dataset(), alone["posterior"].to_dataset())
    assert np.isfinite(results[1]["posterior"]["theta"]).all()
    assert len(results[1]["optimization"]["elbo"]) == 3000


def test_the_flag_changes_no_draw(monkeypatch):
    """The same draws to the last bit by a program that does not look, where there are divergences too."""
    prepare_jax()
    data = [Dataset({"y": SCHOOLS * times}) for times in (1.0, 0.2, 3.0)]
    surveys = [survey(centred_schools(one)) for one in data]
    observed = [i for i, leaf in enumerate(surveys[0].leaves) if leaf.observed]
    found = []
    for look in (True, False):
        if not look:
            monkeypatch.setattr(
                "bayesrun.samplers.lanes.kernel._blind", lambda potential, energy, start: potential != potential
            )
        density = derive(centred_schools(data[0]), observed)
        settings = Settings(16, chains=4, tune=150, draws=60, target_accept=0.8, max_treedepth=10)
        compiled = program(density, settings, density.shapes(surveys[0]))
        work = [Work(i, 100 + i, density.arguments(one)) for i, one in enumerate(surveys)]
        found.append({c.work.index: c for c, _ in draw(compiled, work, leave=True)})
    assert sum((chains.stats["flags"] & 1).sum() for chains in found[0].values()) > 0
    for index, chains in found[0].items():
        assert not chains.no_gradient
        np.testing.assert_array_equal(chains.z, found[1][index].z)
        for name, values in chains.stats.items():
            np.testing.assert_array_equal(values, found[1][index].stats[name])
