"""Every sampler through the same checks: groups, names, dtypes, seeds, densities, and the right posterior."""

import dataclasses
import functools
import importlib
import itertools
import logging
import os
import subprocess
import sys
import threading

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from pymc.model.transform_values import unconstrain_values
from scipy import stats

from bayesrun.errors import FitError
from bayesrun.samplers import groups, variational
from bayesrun.statistics.fit_summary import diagnose, psis_khat
from bayesrun.types import LEFT, Dataset, DiagnosticsOptions, SamplerOptions
from conjugate_models import FIRST, INTERPRETED, SECOND, conjugate, constrained, counted, exact
from odd_models import Picky, PickyInJax, picky

SAMPLERS = ("nuts", "numpyro", "metropolis", "smc", "advi", "advi_jax", "fullrank_advi")
BATCHED = ("numpyro", "advi_jax")
OPTIONS = SamplerOptions(draws=400, tune=400, chains=2, iterations=4000, learning_rate=0.02)
STATS = {
    "nuts": set(groups.NUTS_STATS),
    "mcmc": {"lp", "acceptance_rate", "scaling"},
    "smc": {"lp", "log_marginal_likelihood", "acceptance_rate", "n_stages"},
    "variational": {"lp", "log_q"},
}

# PyTensor looks for a C BLAS library when it compiles the start of a model with linear algebra, and uses NumPy without.
pytestmark = pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning")


def module(name):
    return importlib.import_module(f"bayesrun.samplers.{name}")


@pytest.fixture(scope="module")
def fitted():
    """Fits of the conjugate model by sampler, made once: two datasets, two seeds."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = list(module(name).sample(conjugate, [FIRST, SECOND], [11, 12], OPTIONS))
        return made[name]

    return get


@pytest.mark.parametrize("name", SAMPLERS)
def test_module_says_what_it_is(name):
    sampler = module(name)
    assert sampler.VERSION >= 1
    assert sampler.KIND in STATS
    assert isinstance(sampler.DISCRETE, bool)


@pytest.mark.parametrize("name", SAMPLERS)
def test_groups_names_and_dtypes(name, fitted):
    tree = fitted(name)[0]
    kind = module(name).KIND
    optional = {"optimization"} if kind == "variational" else set()
    optional |= {"log_likelihood"} if name in BATCHED else set()
    assert set(tree.children) == {"posterior", "sample_stats", "observed_data"} | optional
    assert list(tree["posterior"].data_vars) == ["theta", "double"]
    assert set(tree["sample_stats"].data_vars) == STATS[kind]
    shape = (1, 800) if kind == "variational" else (2, 400)
    assert tree["posterior"]["theta"].dims == ("chain", "draw")
    assert tree["posterior"]["theta"].shape == shape
    np.testing.assert_array_equal(tree["posterior"].coords["chain"], np.arange(shape[0]))
    np.testing.assert_array_equal(tree["posterior"].coords["draw"], np.arange(shape[1]))
    np.testing.assert_array_equal(tree["observed_data"]["y"], FIRST["y"])
    assert list(tree["observed_data"].coords["obs"].values) == list("abcde")
    for group in tree.children.values():
        for variable in group.data_vars.values():
            assert variable.dtype in (np.float64, np.int64, np.bool_)


@pytest.mark.parametrize("name", SAMPLERS)
def test_attributes_are_netcdf_safe(name, fitted, tmp_path):
    tree = fitted(name)[0]
    assert tree.attrs["sampler"] == name
    assert tree.attrs["sampler_version"] == module(name).VERSION
    assert 0 < tree.attrs["sampling_seconds"] < 600
    assert 0 <= tree.attrs.get("compile_seconds", 0) <= tree.attrs["sampling_seconds"]
    for node in tree.subtree:
        assert {type(value) for value in node.attrs.values()} <= {int, float, str}
    tree.to_netcdf(tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as stored:
        xr.testing.assert_equal(stored["posterior"].to_dataset(), tree["posterior"].to_dataset())


@pytest.mark.parametrize("name", SAMPLERS)
def test_posterior_is_right(name, fitted):
    for tree, data in zip(fitted(name), (FIRST, SECOND), strict=True):
        mean, sd, _ = exact(data)
        theta = tree["posterior"]["theta"].values
        np.testing.assert_allclose(tree["posterior"]["double"], 2 * theta)
        if module(name).KIND in ("nuts", "mcmc"):
            row = diagnose(tree, module(name).KIND, DiagnosticsOptions()).summary.loc["theta"]
            error, error_sd = row["mcse_mean"], row["mcse_sd"]
        else:  # independent draws or nearly so; an optimum within a tenth of an SD
            slack = 0.1 * sd if module(name).KIND == "variational" else 0.0
            error, error_sd = sd / np.sqrt(theta.size / 2) + slack / 4, sd / np.sqrt(theta.size) + slack / 4
        assert abs(theta.mean() - mean) < 4 * error
        assert abs(theta.std(ddof=1) - sd) < 4 * error_sd


@pytest.mark.parametrize("name", SAMPLERS)
def test_lp_is_the_log_density(name, fitted):
    tree = fitted(name)[0]
    logp = conjugate(FIRST).compile_logp()
    chain, draws = 0, [0, 7, 399]
    expected = [logp({"theta": tree["posterior"]["theta"].values[chain, i]}) for i in draws]
    np.testing.assert_allclose(tree["sample_stats"]["lp"].values[chain, draws], expected, rtol=1e-9)


@pytest.mark.parametrize("name", SAMPLERS)
def test_same_seed_gives_the_same_draws_alone(name, fitted):
    """Samplers that draw for one dataset after another build one model at a time."""
    built = []

    def build(data):
        built.append(data)
        return conjugate(data)

    many = (itertools.chain([FIRST], itertools.repeat(SECOND)), iter([11, 12]))
    first = next(module(name).sample(build, *([[FIRST], [11]] if name in BATCHED else many), OPTIONS))
    assert all(data is FIRST for data in built)
    np.testing.assert_array_equal(first["posterior"]["theta"], fitted(name)[0]["posterior"]["theta"])
    assert not np.array_equal(first["posterior"]["theta"], fitted(name)[1]["posterior"]["theta"])


@pytest.mark.parametrize("name", SAMPLERS)
def test_density_in_unconstrained_space(name):
    """lp of a model with a simplex, a Cholesky factor and two observed variables, and the groups of such a model."""
    short = SamplerOptions(draws=60, tune=60, chains=2, iterations=1000, learning_rate=0.05)
    tree = next(module(name).sample(constrained, [FIRST], [3], short))
    assert list(tree["posterior"].data_vars) == ["scale", "share", "chol", "chol_corr", "chol_stds"]
    assert tree["posterior"]["share"].dims == ("chain", "draw", "part")
    assert set(tree["observed_data"].data_vars) == {"y", "counts"}
    assert list(tree["constant_data"].data_vars) == ["known"]
    if name in BATCHED:
        assert tree["log_likelihood"]["counts"].dims == ("chain", "draw")
    np.testing.assert_allclose(tree["posterior"]["share"].sum("part"), 1.0)
    model = constrained(FIRST)
    # an oracle of its own: PyTensor's Python mode, from the constrained draws back to the unconstrained space
    values = unconstrain_values(tree["posterior"].to_dataset(), model=model, compile_kwargs=INTERPRETED)
    logp = model.compile_logp(**INTERPRETED)
    expected = [logp({key: np.asarray(values[key][0, i]) for key in values.data_vars}) for i in range(20)]
    np.testing.assert_allclose(tree["sample_stats"]["lp"].values[0, :20], expected, rtol=1e-6)
    if module(name).KIND == "variational":
        flat = np.concatenate([values[key].values.reshape(120, -1) for key in values.data_vars], axis=1)
        normal = stats.multivariate_normal(flat.mean(axis=0), np.cov(flat.T))
        assert np.corrcoef(normal.logpdf(flat), tree["sample_stats"]["log_q"].values[0])[0, 1] > 0.8
        assert abs(normal.logpdf(flat) - tree["sample_stats"]["log_q"].values[0]).mean() < 1.0


SHORT = SamplerOptions(draws=20, tune=20, chains=2, iterations=20)
ANYHOW = [
    *((name, SHORT, Picky) for name in SAMPLERS),
    *((name, SHORT, PickyInJax) for name in BATCHED),
    ("numpyro", dataclasses.replace(SHORT, engine="numpyro"), PickyInJax),
]


@pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning")
@pytest.mark.parametrize(("name", "options", "op"), ANYHOW)
def test_a_deterministic_that_raises_takes_no_draw_along(name, options, op):
    """It and the others are left for later; the draws are those of a model without the fault."""
    raising, fine = (functools.partial(picky, bound=bound, op=op) for bound in (0.0, np.inf))
    (tree,) = module(name).sample(raising, [FIRST], [3], options)
    (whole,) = module(name).sample(fine, [FIRST], [3], options)
    assert tree.attrs[LEFT].split("\n") == ["odd", "double"]
    assert list(tree["posterior"].data_vars) == ["theta", "scale"]
    assert float(tree["posterior"]["theta"].max()) > 0.0
    assert set(tree["sample_stats"].data_vars) == set(whole["sample_stats"].data_vars)
    for drawn in ("theta", "scale"):
        np.testing.assert_array_equal(tree["posterior"][drawn], whole["posterior"][drawn])
    np.testing.assert_allclose(tree["sample_stats"]["lp"], whole["sample_stats"]["lp"], rtol=1e-12)
    in_jax = op is PickyInJax or name not in BATCHED  # else nothing can be said of it before it is worked out by PyMC
    assert (LEFT in whole.attrs) != in_jax
    assert ("double" in whole["posterior"]) == in_jax


@pytest.mark.parametrize("name", BATCHED)
def test_a_deterministic_that_raises_at_one_dataset_is_there_for_the_others(name):
    build = functools.partial(picky, bound=1.0, op=PickyInJax)
    settled = SamplerOptions(draws=50, tune=200, chains=2, iterations=2000, learning_rate=0.05)
    results = dict(module(name).fits(build, [SECOND, FIRST, SECOND], [1, 2, 3], settled, like=SECOND))
    assert [LEFT in results[index].attrs for index in range(3)] == [False, True, False]
    for index in (0, 2):
        np.testing.assert_array_equal(results[index]["posterior"]["odd"], results[index]["posterior"]["theta"])
    assert "odd" not in results[1]["posterior"]


@pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning")
@pytest.mark.parametrize("name", ["metropolis", "smc"])
def test_a_density_that_raises_is_told_as_it_was(name):
    def build(data):
        model = picky(data, bound=-np.inf)
        with model:
            pm.Potential("broken", model["odd"])
        return model

    with pytest.raises(ValueError, match="not at "):
        list(module(name).sample(build, [FIRST], [3], SHORT))


@pytest.mark.parametrize("name", BATCHED)
def test_a_model_that_cannot_be_built_leaves_the_others(name):
    def build(data):
        if data["y"][0] > 50:
            raise ValueError("too large")
        return conjugate(data)

    short = SamplerOptions(draws=50, tune=50, chains=2, iterations=300, learning_rate=0.05)
    bad = Dataset({"y": FIRST["y"] + 100.0}, coords=FIRST.coords)
    results = dict(module(name).fits(build, [FIRST, bad, SECOND], [1, 2, 3], short))
    assert "ValueError: too large" in str(results[1])
    for index in (0, 2):
        assert results[index]["posterior"]["theta"].size == 100


@pytest.mark.parametrize("name", ["advi", "advi_jax", "fullrank_advi"])
def test_exact_approximation_has_the_evidence(name, fitted):
    """Where the family holds the posterior, lp - log q is the log evidence for every draw, and k-hat is small."""
    tree = fitted(name)[0]
    evidence = exact(FIRST)[2]
    assert tree.attrs["converged"] == 1
    assert abs(tree.attrs["elbo"] - evidence) < 0.02
    gain = (tree["sample_stats"]["lp"] - tree["sample_stats"]["log_q"]).values
    assert abs(gain.mean() - evidence) < 0.02
    assert psis_khat(gain) < 0.7
    elbo = tree["optimization"]["elbo"].values
    assert elbo.shape == (4000,)
    assert abs(elbo[-1000:].mean() - evidence) < 0.1


def test_smc_finds_the_evidence(fitted):
    tree = fitted("smc")[0]
    assert tree["sample_stats"]["log_marginal_likelihood"].dims == ("chain",)
    assert abs(tree["sample_stats"]["log_marginal_likelihood"].values - exact(FIRST)[2]).max() < 0.3


@pytest.mark.parametrize("name", ["nuts", "numpyro"])
def test_nuts_statistics_mean_the_same(name, fitted):
    found = fitted(name)[0]["sample_stats"]
    assert found["n_steps"].dtype == np.int64
    assert not found["reached_max_treedepth"].any()
    assert found["diverging"].dtype == np.bool_
    assert 0.8 < float(found["acceptance_rate"].mean()) < 1.0
    np.testing.assert_array_equal(found["tree_depth"], np.ceil(np.log2(found["n_steps"] + 1)))
    kinetic = found["energy"] + found["lp"]
    assert float(kinetic.min()) > -1e-9
    assert 0.3 < float(kinetic.mean()) < 0.8  # half a degree of freedom


def test_numpyros_own_kernel_is_there_too(fitted):
    """The reference engine: the same posterior, groups and statistics as the lanes."""
    options = dataclasses.replace(OPTIONS, engine="numpyro", extra={"dense_mass": True})
    tree = next(module("numpyro").sample(conjugate, [FIRST], [11], options))
    lanes = fitted("numpyro")[0]
    assert set(tree["sample_stats"].data_vars) == set(lanes["sample_stats"].data_vars)
    mean, sd, _ = exact(FIRST)
    row = diagnose(tree, "nuts", DiagnosticsOptions()).summary.loc["theta"]
    assert abs(row["mean"] - mean) < 4 * row["mcse_mean"]
    assert abs(row["sd"] - sd) < 4 * row["mcse_sd"]
    with pytest.raises(FitError, match=r"precision=float32 is for sampler\.engine=lanes"):
        next(module("numpyro").sample(conjugate, [FIRST], [11], dataclasses.replace(options, precision="float32")))


@pytest.mark.parametrize("name", ["nuts", "numpyro"])
def test_tree_depth_is_bounded(name):
    short = SamplerOptions(draws=50, tune=0, chains=1, target_accept=0.999, max_treedepth=2)
    tree = next(module(name).sample(conjugate, [FIRST], [1], short))
    assert int(tree["sample_stats"]["n_steps"].max()) <= 3
    assert int(tree["sample_stats"]["tree_depth"].max()) <= 2
    assert tree["posterior"].sizes["chain"] == 1


def test_metropolis_and_smc_take_discrete_variables():
    """The posterior of a count is a sum over eleven values."""
    y, values = np.array([3.2, 4.1]), np.arange(11)
    weights = np.exp(stats.norm(values[:, None], 1.0).logpdf(y).sum(axis=1)) * stats.binom(10, 0.5).pmf(values)
    truth = (weights * values).sum() / weights.sum()
    for name in ("metropolis", "smc"):
        assert module(name).DISCRETE
        tree = next(module(name).sample(counted, [Dataset({"y": y})], [2], OPTIONS))
        assert tree["posterior"]["k"].dtype == np.int64
        assert abs(float(tree["posterior"]["k"].mean()) - truth) < 0.15


def test_metropolis_chains_start_apart():
    short = SamplerOptions(draws=4, tune=0, chains=4)
    tree = next(module("metropolis").sample(conjugate, [FIRST], [1], short))
    assert np.unique(tree["posterior"]["theta"][:, 0]).size == 4


def test_metropolis_refuses_a_model_without_a_start():
    def build(data):
        with pm.Model() as model:
            theta = pm.Normal("theta", 0.0, 1.0)
            pm.Uniform("y", 100.0, 101.0 + 0.0 * theta, observed=data["y"])
        return model

    with pytest.raises(FitError, match="no start with a finite log density"):
        next(module("metropolis").sample(build, [FIRST], [1], OPTIONS))


@pytest.mark.parametrize("name", ["advi", "advi_jax"])
def test_elbo_that_becomes_nan_is_a_fit_error(name):
    def build(data):
        with pm.Model() as model:
            theta = pm.Normal("theta", 0.0, 1.0)
            pm.Potential("broken", pm.math.log(theta - 50.0))
            pm.Normal("y", theta, 1.0, observed=data["y"])
        return model

    with pytest.raises(FitError, match=r"ELBO became NaN.*sampler\.learning_rate=0\.002"):
        next(module(name).sample(build, [FIRST], [1], OPTIONS))


def test_elbo_convergence_rule():
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(8000)
    flat = np.full(8000, -30.0)
    assert variational.elbo_converged(flat + noise)
    assert not variational.elbo_converged(flat + noise + np.linspace(0, 8, 8000))
    assert not variational.elbo_converged((flat + noise)[:500])
    assert not variational.elbo_converged(np.where(np.arange(8000) == 7000, np.nan, flat))
    assert variational.elbo_converged(flat)


def test_nothing_is_printed_or_left_behind(capfd, fitted):
    """Progress bars and reports stay away, and the logger's level and the environment are put back."""
    flags = os.environ.get("XLA_FLAGS")
    logger = logging.getLogger("pymc")
    level = logger.level
    for name in ("smc", "advi", "advi_jax", "numpyro"):
        next(module(name).sample(conjugate, [FIRST], [1], SamplerOptions(draws=20, tune=20, chains=1, iterations=20)))
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""
    assert logger.level == level
    assert os.environ.get("XLA_FLAGS") == flags


def test_numpyro_starts_one_device_in_double_precision():
    code = (
        "import os; from bayesrun.samplers import numpyro; numpyro._prepare_jax(); import jax, jax.numpy as jnp; "
        "assert len(jax.devices()) == 1; assert jnp.zeros(1).dtype == 'float64'; assert 'XLA_FLAGS' not in os.environ"
    )
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"} | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_parallel_chains_give_the_same_draws(fitted):
    """cores=2 starts processes; the draws do not depend on it, and no thread stays behind."""
    parallel = SamplerOptions(draws=400, tune=400, chains=2, extra={"cores": 2})
    before = threading.active_count()
    tree = next(module("nuts").sample(conjugate, [FIRST], [11], parallel))
    np.testing.assert_array_equal(tree["posterior"]["theta"], fitted("nuts")[0]["posterior"]["theta"])
    assert threading.active_count() <= before + 1
