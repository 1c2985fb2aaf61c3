"""Builders that look at their data: every dataset is fitted by the model that its builder makes of it.

Each kind of builder goes through the batched samplers and PyMC's own, alone, in sevens and all together: the outcomes
are equal, and the draws are those of a fit of the dataset by itself.
"""

import functools
import math
from dataclasses import replace

import numpy as np
import pymc as pm
import pytest
import xarray as xr

from bayesrun.errors import FitError
from bayesrun.samplers import advi_jax, numpyro, nuts
from bayesrun.samplers.lanes.program import program
from bayesrun.types import Dataset, SamplerOptions
from model_oracles import PLAIN

pytestmark = pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning")

N_DATASETS = 8
BATCHED = {"numpyro": numpyro, "advi_jax": advi_jax}
OPTIONS = SamplerOptions(draws=20, tune=30, chains=2, iterations=60)


def branch(data):
    """A test decides on the likelihood."""
    y = data["y"]
    with pm.Model() as model:
        mu = pm.math.exp(pm.Normal("alpha", 1.0, 1.0))
        if y.var() > 1.5 * y.mean():
            pm.NegativeBinomial("y_obs", mu, pm.Exponential("shape", 1.0), observed=y)
        else:
            pm.Poisson("y_obs", mu, observed=y)
    return model


def raising(data):
    """Datasets of some kind have no model."""
    if data["y"][0] == 0:
        raise ValueError("the first count is zero")
    with pm.Model() as model:
        pm.Poisson("y_obs", pm.math.exp(pm.Normal("alpha", 1.0, 1.0)), observed=data["y"])
    return model


def not_a_number(data):
    """A logarithm of zeros: no start has a finite density."""
    with np.errstate(all="ignore"):
        logs = np.log(data["y"][:3].astype(float))
    with pm.Model() as model:
        pm.Normal("y_obs", pm.Normal("mu", 0.0, 1.0), 1.0, observed=np.where(np.isinf(logs), 1e200, logs))
    return model


def constants(data):
    """Numbers of the likelihood and an array of covariates are worked out of the outcome."""
    y = data["y"].astype(float)
    with pm.Model() as model:
        alpha, slope = pm.Normal("alpha", float(y.mean()), 1.0), pm.Normal("slope", 0.0, 0.5)
        pm.Normal("y_obs", alpha + slope * (np.arange(y.size) - y.argmax()) / 7.0, float(y.std()) + 0.1, observed=y)
    return model


def lagged(data):
    """The outcome is its own covariate."""
    y = data["y"].astype(float)
    with pm.Model() as model:
        phi = pm.Normal("phi", 0.0, 0.5)
        pm.Normal("y_obs", phi * y[:-1], 2.0, observed=y[1:])
    return model


def levels(data):
    """A term for each level that occurs."""
    y = data["y"]
    with pm.Model() as model:
        terms = {int(k): pm.Normal(f"level_{k}", 0.0, 1.0) for k in np.unique(y % 3)}
        for k, term in terms.items():
            pm.Normal(f"y_{k}", term, 1.0, observed=y[y % 3 == k].astype(float))
    return model


def sized(data):
    """As many parameters as there are distinct values."""
    _, codes = np.unique(data["y"], return_inverse=True)
    with pm.Model() as model:
        effect = pm.Normal("effect", 0.0, 1.0, shape=int(codes.max()) + 1)
        pm.Normal("y_obs", effect[codes], 1.0, observed=data["y"].astype(float))
    return model


def scaled(data):
    """The prior's scale is that of the outcome."""
    y = data["y"].astype(float)
    with pm.Model() as model:
        pm.Normal("y_obs", pm.Normal("mu", 0.0, 2.5 * float(y.std()) + 0.1), 1.0, observed=y)
    return model


def bounded(data):
    """The bound of censoring is the largest value, and there is none where nothing exceeds it."""
    y = data["y"].astype(float)
    with pm.Model() as model:
        mu = pm.Normal("mu", 2.0, 1.0)
        upper = float(y.max()) if y.max() > 5 else np.inf
        pm.Censored("y_obs", pm.Normal.dist(mu, 2.0), lower=None, upper=upper, observed=y)
    return model


KINDS = (branch, raising, not_a_number, constants, lagged, scaled, bounded)
MANY_FORMS = (levels, sized)
"""Almost every dataset has a model of another form, each of which is compiled."""
EVERY = [
    *(pytest.param("numpyro", build, id=f"numpyro-{build.__name__}") for build in KINDS),
    *(pytest.param("advi_jax", build, id=f"advi_jax-{build.__name__}") for build in (branch, raising, constants)),
    *(
        pytest.param(name, build, id=f"{name}-{build.__name__}", marks=pytest.mark.slow)
        for name in BATCHED
        for build in (*MANY_FORMS, *(() if name == "numpyro" else (not_a_number, lagged, scaled, bounded)))
    ),
]


def dataset(seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(2.0, 1.5, 8)) if seed % 2 else rng.poisson(2.0, 8)
    return Dataset({"y": counts})


BASE = dataset(100)
DATASETS = [dataset(seed) for seed in range(N_DATASETS)]


@functools.cache
def outcomes(name, build, size):
    """What comes of each dataset in batches of some size: its tree, or the error."""
    module, found = BATCHED[name], {}
    for first in range(0, N_DATASETS, size):
        batch = DATASETS[first : first + size]
        seeds = range(first, first + len(batch))
        options = replace(OPTIONS, batch_size=size)
        for index, result in module.fits(build, batch, seeds, options, like=BASE):
            found[first + index] = str(result) if isinstance(result, FitError) else result
    return found


def expected(build, data):
    """The model of one dataset as its builder makes it, or the error."""
    try:
        return build(data)
    except ValueError as error:
        return str(error)


def test_the_kinds_are_of_more_than_one_form():
    """Otherwise nothing would be tested: each builder makes models of several kinds, numbers or errors."""
    seen = {build: {_signature(expected(build, data)) for data in DATASETS} for build in (*KINDS, *MANY_FORMS)}
    assert {build.__name__ for build, found in seen.items() if len(found) < 2} == set()


def _signature(model):
    if isinstance(model, str):
        return model
    names = tuple((rv.name, type(rv.owner.op).__name__) for rv in model.basic_RVs)
    return names, round(float(model.compile_logp(mode=PLAIN)(model.initial_point())), 6)


@pytest.mark.parametrize(("name", "build"), EVERY)
def test_every_dataset_is_fitted_by_its_own_model(name, build):
    """The variables are those of its model, and the log density of its draws is that of its model by PyMC."""
    for index, tree in outcomes(name, build, N_DATASETS).items():
        data = DATASETS[index]
        model = expected(build, data)
        if isinstance(model, str):
            assert model in tree
            continue
        if isinstance(tree, str):
            assert build is not_a_number
            assert "finite log density" in tree or "NaN" in tree
            assert (data["y"][:3] == 0).any()
            continue
        assert list(tree["posterior"].data_vars) == [rv.name for rv in model.unobserved_RVs]
        values = {value.name: rv.name for rv, value in model.rvs_to_values.items() if rv in model.free_RVs}
        if set(values) == set(values.values()):  # no variable is transformed
            point = {name: np.asarray(tree["posterior"][name].values[0, 3]) for name in values}
            logp = float(model.compile_logp(mode=PLAIN)(point))
            assert math.isclose(tree["sample_stats"]["lp"].values[0, 3], logp, rel_tol=1e-9, abs_tol=1e-9)
        for variable in model.observed_RVs:
            np.testing.assert_array_equal(
                tree["observed_data"][variable.name], model.rvs_to_values[variable].eval(mode=PLAIN)
            )


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize(("name", "build"), EVERY)
def test_the_batch_changes_no_outcome_and_no_draw(name, build, size):
    together = outcomes(name, build, N_DATASETS)
    assert sorted(outcomes(name, build, size)) == sorted(together) == list(range(N_DATASETS))
    for index, result in outcomes(name, build, size).items():
        other = together[index]
        if isinstance(other, str):
            assert result == other
            continue
        for group in ("posterior", "log_likelihood", "observed_data"):
            for variable, values in other[group].data_vars.items():
                np.testing.assert_array_equal(result[group][variable], values)


@pytest.mark.parametrize("build", [branch, raising, scaled, bounded])
def test_a_fit_by_hand_has_the_same_draws(build):
    """Nobody says what the dataset was made after: numbers that were worked out are arguments even so."""
    for index in (2, 3):
        if isinstance(expected(build, DATASETS[index]), str):
            continue
        (tree,) = numpyro.sample(build, [DATASETS[index]], [index], replace(OPTIONS, batch_size=N_DATASETS))
        xr.testing.assert_equal(
            tree["posterior"].to_dataset(), outcomes("numpyro", build, N_DATASETS)[index]["posterior"].to_dataset()
        )


def test_what_is_compiled_is_shared(compilations):
    """Two forms at most for a kind, a program of each at each width, and none for other datasets of these forms."""
    before = program.cache_info().misses
    options = replace(OPTIONS, draws=19, batch_size=4)
    for build in (branch, scaled):
        assert len(dict(numpyro.fits(build, DATASETS[:4], range(4), options, like=BASE))) == 4
    assert program.cache_info().misses == before + 3
    compiled = len(compilations)
    for build in (branch, scaled):
        assert len(dict(numpyro.fits(build, DATASETS[4:], range(4), options, like=BASE))) == 4
    assert len(compilations) == compiled


@pytest.mark.parametrize("build", [branch, raising])
def test_pymcs_own_sampler_has_the_same_outcomes(build):
    """The same datasets fail, for the same reason, and the same variables are drawn."""
    batched = outcomes("numpyro", build, N_DATASETS)
    for index, data in enumerate(DATASETS[:4]):
        model = expected(build, data)
        if isinstance(model, str):
            assert model in batched[index]
            with pytest.raises(ValueError, match=model):
                list(nuts.sample(build, [data], [index], OPTIONS))
            continue
        (tree,) = nuts.sample(build, [data], [index], replace(OPTIONS, draws=5, tune=5, chains=1))
        assert list(tree["posterior"].data_vars) == list(batched[index]["posterior"].data_vars)
