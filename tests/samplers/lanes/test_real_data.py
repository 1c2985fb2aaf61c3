"""Real datasets of one builder share a program, and each has the draws that it has alone."""

from dataclasses import replace

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr
from pymc.distributions.transforms import ordered

from bayesrun.errors import FitError
from bayesrun.samplers import advi_jax, numpyro
from bayesrun.samplers.lanes import graphs, sharing
from bayesrun.samplers.lanes.graphs import survey
from bayesrun.samplers.lanes.program import program
from bayesrun.samplers.lanes.sharing import member, shared_density
from bayesrun.types import Dataset, SamplerOptions

pytestmark = [
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning"),
    pytest.mark.usefixtures("double_precision"),
]

OPTIONS = SamplerOptions(draws=40, tune=60, chains=2, iterations=60, batch_size=4)
SLOPES = (-1.0, 0.5, 2.0, 4.0)


def site(slope: float, n: int = 12) -> Dataset:
    """A straight line over a covariate and three groups that are the site's own."""
    rng = np.random.default_rng(int(10 * slope) + 100)
    x, group = rng.normal(size=n), rng.permutation(np.arange(n) % 3)
    return Dataset({"x": x, "group": group, "y": slope * x + 0.1 * rng.normal(size=n)})


def regression(data):
    with pm.Model() as model:
        slope = pm.Normal("slope", 0.0, 5.0)
        effect = pm.Normal("effect", 0.0, float(data["y"].std()), shape=3)
        pm.Normal("y_obs", effect[data["group"]] + slope * data["x"], pm.HalfNormal("scale"), observed=data["y"])
    return model


SITES = [site(slope) for slope in SLOPES]


def all_of(build, datasets, options=OPTIONS, module=numpyro):
    return dict(module.fits(build, datasets, range(len(datasets)), options))


def same(one: xr.DataTree, other: xr.DataTree) -> None:
    for group in ("posterior", "log_likelihood", "observed_data"):
        xr.testing.assert_equal(one[group].to_dataset(), other[group].to_dataset())


def test_datasets_share_one_program_and_have_the_draws_that_they_have_alone(compilations):
    """Covariates, groups and a prior's scale are those of each site; to the last bit, in any batch."""
    before = program.cache_info().misses
    together = all_of(regression, SITES)
    assert program.cache_info().misses == before + 1
    compiled = len(compilations)
    (alone,) = numpyro.sample(regression, SITES[2:3], [2], OPTIONS)
    assert len(compilations) == compiled
    same(alone, together[2])
    (narrow,) = numpyro.sample(regression, SITES[3:], [3], replace(OPTIONS, batch_size=1))
    same(narrow, together[3])
    for index, slope in enumerate(SLOPES):
        assert abs(float(together[index]["posterior"]["slope"].mean()) - slope) < 0.3


def test_variational_fits_share_one_too(compilations):
    together = all_of(regression, SITES, module=advi_jax)
    compiled = len(compilations)
    (alone,) = advi_jax.sample(regression, SITES[1:2], [1], OPTIONS)
    assert len(compilations) == compiled
    same(alone, together[1])


def test_datasets_of_equal_length_share_a_program_beside_others():
    """Lengths of 12, 9 and 12: two programs, and a failing dataset is one failure."""
    datasets = [SITES[0], site(1.0, 9), SITES[3], Dataset({**SITES[1].arrays, "y": SITES[1]["y"] * np.nan})]
    before = program.cache_info().misses
    found = all_of(regression, datasets, replace(OPTIONS, draws=39))
    assert program.cache_info().misses <= before + 3
    assert [isinstance(found[index], FitError) for index in range(4)] == [False, False, False, True]
    assert [found[index]["observed_data"].sizes["y_obs_dim_0"] for index in range(3)] == [12, 9, 12]


def densities(build, datasets):
    members = [member(build, index, data, index, None) for index, data in enumerate(datasets)]
    return members, sharing.sharing(members)


def test_a_large_array_stays_a_constant(monkeypatch):
    monkeypatch.setattr(graphs, "MOST_ELEMENTS", 11)
    members, groups = densities(regression, SITES)
    assert len(groups) == 4
    kept = [members[0].surveyed.leaves[index].value.size for index in members[0].varying]
    assert sorted(kept) == [1, 12]  # the scale and the observed values


def lengths(data):
    """Whole numbers that say how often something is repeated, beside a covariate."""
    with pm.Model() as model:
        effect = pm.Normal("effect", 0.0, 1.0, shape=2)
        mean = pt.repeat(effect, pt.as_tensor(data["counts"])) + pm.Normal("slope") * data["x"]
        pm.Normal("y_obs", mean, 1.0, observed=data["y"])
    return model


def test_what_cannot_be_an_argument_stays_a_constant_and_the_rest_is_shared():
    rng = np.random.default_rng(3)
    datasets = [
        Dataset({"counts": np.array(counts), "x": rng.normal(size=6), "y": rng.normal(size=6)})
        for counts in ([2, 4], [3, 3], [2, 4])
    ]
    before = program.cache_info().misses
    found = all_of(lengths, datasets, replace(OPTIONS, draws=38))
    assert {index: result for index, result in found.items() if isinstance(result, FitError)} == {}
    assert program.cache_info().misses == before + 2
    (alone,) = numpyro.sample(lengths, datasets[2:], [2], replace(OPTIONS, draws=38))
    same(alone, found[2])


def mixture(data, kind="array"):
    """Its search starts at quartiles of the data, as NumPy's or as PyTensor's numbers, or at a mean."""
    first = np.quantile(data["y"], [0.25, 0.75])
    with pm.Model() as model:
        start = {"array": first, "variable": pt.as_tensor(first), "graph": pt.as_tensor(first) + 0.0}[kind]
        mu = pm.Normal("mu", 0.0, 5.0, shape=2, transform=ordered, initval=start)
        sigma = pm.HalfNormal("sigma", 2.0, initval=float(data["y"].std()))
        pm.NormalMixture("y_obs", w=np.array([0.4, 0.6]), mu=mu, sigma=sigma, observed=data["y"])
    return model


@pytest.mark.parametrize("kind", ["array", "variable", "graph"])
@pytest.mark.parametrize("like", [None, SITES[0]])
def test_where_chains_begin_is_an_argument_and_no_part_of_the_form(kind, like):
    def build(data):
        return mixture(data, kind)

    compared = sharing.reference(build, like)
    members = [member(build, index, data, index, compared) for index, data in enumerate(SITES[1:])]
    assert len(sharing.sharing(members)) == 1
    density = shared_density(build, members)
    for one in members:
        start = build(one.dataset).initial_point()
        expected = np.concatenate([np.ravel(value) for value in start.values()])
        found = density.start(np.zeros(3), density.arguments(one.surveyed))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_another_way_to_begin_is_another_form():
    """Where PyMC finds the start by itself, no number of a form can be in its place."""

    def build(start):
        with pm.Model() as model:
            pm.Normal("y_obs", pm.Normal("mu", initval=start), 1.0, observed=np.zeros(3))
        return model

    assert survey(build(0.5)).form == survey(build(2)).form
    assert survey(build(0.5)).form != survey(build(None)).form
    assert survey(build("prior")).form != survey(build(None)).form
