"""The batched engine through the checks of every sampler, and what is its own: batches, lanes, queues, compilations."""

import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import arviz as az
import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr

from bayesrun.errors import FitError, FitTimeoutError
from bayesrun.samplers import groups, numpyro
from bayesrun.samplers.lanes import engine
from bayesrun.samplers.lanes.program import program
from bayesrun.types import Dataset, SamplerOptions
from conjugate_models import FIRST, INTERPRETED, PRIOR_SD, SECOND, conjugate, constrained, exact
from eight_schools import ERRORS, SCHOOLS, centred_schools, eight_schools, simulated
from model_oracles import assert_moments, normal_effects

OPTIONS = SamplerOptions(draws=400, tune=400, chains=2)
SHORT = SamplerOptions(draws=50, tune=50, chains=2)
pytestmark = pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning")

# of the posterior with mu ~ N(0, 5), tau ~ HalfCauchy(5): mean and SD by quadrature
MU, TAU = (4.397, 3.318), (3.598, 3.220)


def drawn(build, datasets, seeds, options=OPTIONS):
    return list(numpyro.sample(build, datasets, seeds, options))


@pytest.fixture(scope="module")
def fitted():
    return drawn(conjugate, [FIRST, SECOND], [11, 12])


def test_groups_names_and_dtypes(fitted, tmp_path):
    tree = fitted[0]
    assert set(tree.children) == {"posterior", "sample_stats", "observed_data", "log_likelihood"}
    assert list(tree["posterior"].data_vars) == ["theta", "double"]
    assert set(tree["sample_stats"].data_vars) == set(groups.NUTS_STATS)
    assert tree["posterior"]["theta"].dims == ("chain", "draw")
    assert tree["posterior"]["theta"].shape == (2, 400)
    assert tree["log_likelihood"]["y"].dims == ("chain", "draw", "obs")
    assert list(tree["log_likelihood"].coords["obs"].values) == list("abcde")
    np.testing.assert_array_equal(tree["observed_data"]["y"], FIRST["y"])
    for group in tree.children.values():
        for variable in group.data_vars.values():
            assert variable.dtype in (np.float64, np.int64, np.bool_)
    for node in tree.subtree:
        assert {type(value) for value in node.attrs.values()} <= {int, float, str}
    assert 0 <= tree.attrs["compile_seconds"] <= tree.attrs["sampling_seconds"] < 600
    tree.to_netcdf(tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as stored:
        xr.testing.assert_equal(stored["posterior"].to_dataset(), tree["posterior"].to_dataset())
        assert az.loo(stored).elpd < 0


def test_posterior_is_right(fitted):
    for tree, data in zip(fitted, (FIRST, SECOND), strict=True):
        mean, sd, _ = exact(data)
        assert_moments(tree, {"theta": (mean, sd), "double": (2 * mean, 2 * sd)})


def test_statistics_mean_what_they_say(fitted):
    found = fitted[0]["sample_stats"]
    assert not found["reached_max_treedepth"].any()
    assert not found["diverging"].any()
    assert 0.85 < float(found["acceptance_rate"].mean()) < 1.0
    np.testing.assert_array_equal(found["tree_depth"], np.ceil(np.log2(found["n_steps"] + 1)))
    kinetic = found["energy"] + found["lp"]
    assert float(kinetic.min()) > -1e-9
    assert 0.3 < float(kinetic.mean()) < 0.8  # half a degree of freedom
    logp = conjugate(FIRST).compile_logp(**INTERPRETED)
    draws = [0, 7, 399]
    expected = [logp({"theta": fitted[0]["posterior"]["theta"].values[1, i]}) for i in draws]
    np.testing.assert_allclose(found["lp"].values[1, draws], expected, rtol=1e-9)


def test_draws_do_not_depend_on_the_batch(fitted):
    """Alone, in a batch of 2, and in one of 41 that is queued for 64 lanes: the same draws to the last bit."""
    alone = drawn(conjugate, [FIRST], [11])[0]
    crowd = drawn(conjugate, [SECOND] * 40 + [FIRST], [*range(100, 140), 11])[-1]
    for tree in (alone, crowd):
        np.testing.assert_array_equal(tree["posterior"]["theta"], fitted[0]["posterior"]["theta"])
    assert not np.array_equal(fitted[1]["posterior"]["theta"], fitted[0]["posterior"]["theta"])


def test_compiled_once(compilations):
    """One program for 40 datasets, none for the next 40; the batches are as large as the plan made them."""
    options = replace(SHORT, draws=30)
    drawn(eight_schools, simulated(20), range(20), options)
    first, programs = len(compilations), program.cache_info().misses
    assert first > 0
    drawn(eight_schools, simulated(20, seed=1), range(20, 40), options)
    drawn(eight_schools, simulated(40, seed=2), range(40), options)
    assert len(compilations) == first
    assert program.cache_info().misses == programs


def test_two_hundred_replicates_compile_once(compilations):
    """One program for all of them, and a second study of the same model compiles nothing at all."""
    options = replace(SHORT, draws=20, tune=20, batch_size=200)
    before = program.cache_info().misses
    assert (
        len(dict(engine.fits(eight_schools, simulated(200), range(200), options, like=Dataset({"y": SCHOOLS})))) == 200
    )
    assert program.cache_info().misses == before + 1
    first = len(compilations)
    assert (
        len(dict(engine.fits(eight_schools, simulated(200, seed=5), range(200), options, like=Dataset({"y": SCHOOLS}))))
        == 200
    )
    assert len(compilations) == first


PROCESS = """
import sys, jax, numpy as np, pymc as pm
import bayesrun
from bayesrun.samplers import numpyro
from bayesrun.types import Dataset, SamplerOptions
seen = []
jax.monitoring.register_event_listener(lambda event, **_: seen.append(event))
def build(data):
    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, float(sys.argv[1]))
        pm.Normal("y", theta, 1.0, observed=data["y"])
    return model
options = SamplerOptions(draws=200, tune=200, chains=2, batch_size=1)
(_, tree), = numpyro.fits(build, [Dataset({"y": np.array([9.0, 11.0])})], [1], options)
print(sum("cache_miss" in event for event in seen), float(tree["posterior"]["theta"].mean()))
"""


@pytest.mark.slow
def test_programs_are_shared_between_processes_and_never_between_models(tmp_path):
    """A second process compiles nothing; a model that differs in one number alone gets a program of its own."""

    def run(scale: float) -> tuple[int, float]:
        environment = {**os.environ, "BAYESRUN_CACHE": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", PROCESS, str(scale)], env=environment, capture_output=True, text=True, check=True
        )
        misses, mean = done.stdout.split()
        return int(misses), float(mean)

    first, again, other = run(1.0), run(1.0), run(100.0)
    assert first[0] > 0
    assert again == (0, first[1])
    assert other[0] > 0
    assert first[1] == pytest.approx(20 / 3, abs=0.3)
    assert other[1] == pytest.approx(10.0, abs=0.3)


def test_a_tail_and_a_resume_compile_nothing(compilations):
    """The lanes are compiled for the size that the plan gave, however few are left of a batch."""
    options = replace(SHORT, draws=25, batch_size=16)
    drawn(eight_schools, simulated(16), range(16), options)
    first = len(compilations)
    drawn(eight_schools, simulated(3, seed=1), range(3), options)
    drawn(eight_schools, simulated(1, seed=2), range(1), options)
    assert len(compilations) == first


@pytest.mark.parametrize("size", [1, 16])
def test_batch_size_changes_no_draw(size, fitted):
    options = replace(OPTIONS, batch_size=size)
    trees = drawn(conjugate, [FIRST, SECOND], [11, 12], options)
    for tree, same in zip(trees, fitted, strict=True):
        np.testing.assert_array_equal(tree["posterior"]["theta"], same["posterior"]["theta"])


def rows_in_groups(data):
    rng = np.random.default_rng(3)
    group, x = rng.integers(0, 7, 150), rng.normal(size=150)
    with pm.Model() as model:
        mu, slope = pm.Normal("mu"), pm.Normal("slope")
        effect = pm.Normal("effect", shape=7)
        scale = pm.HalfNormal("scale")
        pm.Normal("y_obs", mu + effect[group] + slope * x, scale, observed=data["y"])
    return model


def test_lanes_that_take_turns_have_the_same_draws_in_every_batch():
    """With many observations lanes compute by blocks, which one chain does not fill: the draws stay the same."""
    rng = np.random.default_rng(4)
    datasets = [Dataset({"y": rng.normal(size=150)}) for _ in range(18)]
    options = SamplerOptions(draws=15, tune=60, chains=1)
    together = drawn(rows_in_groups, datasets, range(18), options)
    for index, size in ((0, 1), (5, 4), (17, 18)):
        alone = drawn(rows_in_groups, [datasets[index]], [index], replace(options, batch_size=size))[0]
        np.testing.assert_array_equal(alone["posterior"]["effect"], together[index]["posterior"]["effect"])


def funnel(data):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 3.0)
        theta = pm.Normal("theta", 0.0, pm.math.exp(mu), shape=4)
        pm.Normal("y_obs", theta, 1.0, observed=data["y"])
    return model


@pytest.mark.parametrize(("precision", "widths"), [("float64", (4, 8, 4, 8)), ("float32", (8, 8, 8, 8))])
def test_chains_that_fill_no_vector_operation_have_the_same_draws_in_every_batch(precision, widths):
    """One, five or two chains alone, and two in a fleet for four datasets: the first chain is the same to the bit."""
    dataset = Dataset({"y": np.random.default_rng(5).normal(size=4)})
    options = SamplerOptions(draws=40, tune=60, batch_size=1, precision=precision)
    kinds = [replace(options, chains=1), replace(options, chains=5), replace(options, chains=2)]
    kinds.append(replace(options, chains=2, batch_size=4))
    assert tuple(engine._settings(SimpleNamespace(size=5), kind, 1).lanes for kind in kinds) == widths
    first, *others = (drawn(funnel, [dataset], [3], kind)[0]["posterior"]["theta"][0] for kind in kinds)
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("size", [4, 8])
def test_positions_that_fill_vector_operations_have_the_same_draws_in_every_batch(size):
    """A compiler that may run along the positions instead of the lanes rounds otherwise."""

    def build(data):
        with pm.Model() as model:
            effect = pm.Normal("effect", 0.0, 1.0, shape=size)
            pm.Normal("y", effect[np.arange(10) % size], 1.0, observed=data["y"])
        return model

    data = Dataset({"y": np.random.default_rng(0).normal(size=10)})
    options = replace(OPTIONS, draws=20, tune=30, chains=4)
    trees = [drawn(build, [data], [7], replace(options, batch_size=many))[0]["posterior"] for many in (1, 2, 16)]
    for tree in trees[:2]:
        xr.testing.assert_equal(tree.to_dataset(), trees[2].to_dataset())


def test_every_dataset_has_a_model_of_its_own_and_a_tree_of_the_first_ones_labels():
    """One program and one set of labels; observed values and named data are those of each dataset."""
    built = []

    def build(data):
        built.append(data)
        model = constrained(data)
        with model:
            pm.Data("total", data["y"].sum())
        return model

    datasets = [Dataset({"y": row}, coords=FIRST.coords) for row in np.random.default_rng(3).normal(size=(12, 5))]
    options = replace(SHORT, batch_size=12)
    before = program.cache_info().misses
    together = dict(engine.fits(build, datasets, range(12), options, like=FIRST))
    assert program.cache_info().misses == before + 1
    assert {id(data) for data in datasets} <= set(map(id, built))
    for index in (0, 5, 11):
        ((_, tree),) = engine.fits(build, [datasets[index]], [index], options, like=FIRST)
        assert float(tree["constant_data"]["total"]) == datasets[index]["y"].sum()
        assert set(together[index].children) == set(tree.children)
        for group, node in tree.children.items():
            xr.testing.assert_equal(together[index][group].to_dataset(), node.to_dataset())


def test_labels_that_differ_are_those_of_each_dataset():
    def build(data):
        with pm.Model(coords={"obs": data.coords["obs"]}) as model:
            theta = pm.Normal("theta", 0.0, PRIOR_SD)
            pm.Normal("y", theta, 1.0, observed=data["y"], dims="obs")
        return model

    other = Dataset({"y": SECOND["y"]}, coords={"obs": tuple("vwxyz")})
    trees = dict(engine.fits(build, [FIRST, other, SECOND], [1, 2, 3], SHORT, like=FIRST))
    found = ["".join(trees[index]["log_likelihood"].coords["obs"].values) for index in range(3)]
    assert found == ["abcde", "vwxyz", "".join(SECOND.coords["obs"])]


def test_a_number_worked_out_of_the_data_is_that_of_each_dataset():
    """The prior's scale differs between datasets and is no array of theirs; what is compiled is shared."""

    def build(data):
        with pm.Model() as model:
            theta = pm.Normal("theta", 0.0, 0.1 * data["y"].std())
            pm.Normal("y", theta, 1.0, observed=data["y"])
        return model

    datasets = [Dataset({"y": row}) for row in 3.0 * np.random.default_rng(4).normal(size=(6, 5))]
    before = program.cache_info().misses
    results = dict(engine.fits(build, datasets, range(6), replace(OPTIONS, batch_size=6), like=datasets[0]))
    assert program.cache_info().misses == before + 1
    for index, data in enumerate(datasets):
        variance = 1 / (data["y"].size + (0.1 * data["y"].std()) ** -2)
        assert_moments(results[index], {"theta": (data["y"].sum() * variance, variance**0.5)})


def test_datasets_of_other_shapes_are_fitted_too():
    short = Dataset({"y": FIRST["y"][:3]}, coords={"obs": ("a", "b", "c")})
    trees = drawn(conjugate, [FIRST, short, SECOND], [11, 5, 12])
    assert [tree["observed_data"].sizes["obs"] for tree in trees] == [5, 3, 5]
    for tree, data in zip(trees, (FIRST, short, SECOND), strict=True):
        mean, sd, _ = exact(data)
        assert_moments(tree, {"theta": (mean, sd)})


def test_a_fit_that_fails_leaves_the_others():
    def build(data):
        with pm.Model() as model:
            theta = pm.Normal("theta", 0.0, 1.0)
            pm.Uniform("y", data["low"][0], 1e3 + 0.0 * theta, observed=data["y"])
        return model

    good = Dataset({"y": np.array([1.0, 2.0]), "low": np.array([0.0])})
    bad = Dataset({"y": np.array([1.0, 2.0]), "low": np.array([1.5])})
    results = dict(engine.fits(build, [good, bad, good], [1, 2, 3], SHORT))
    assert isinstance(results[1], FitError)
    assert "no start with a finite log density" in str(results[1])
    assert {0, 1, 2} == set(results)
    found = numpyro.sample(build, [good, bad, good], [1, 2, 3], SHORT)
    assert next(found)["posterior"].sizes["draw"] == 50
    with pytest.raises(FitError, match="no start"):
        next(found)


def test_what_jax_cannot_take_as_an_argument_is_fitted_alone():
    """A number that sets a length within the graph: each dataset has a program of its own."""

    def build(data):
        with pm.Model() as model:
            theta = pm.Normal("theta", 0.0, PRIOR_SD)
            kept = pt.as_tensor(data["rows"]).astype(int)  # the form has the same vector of integers
            pm.Normal("y", theta, 1.0, observed=data["y"])
            pm.Potential("p", 0.0 * theta * pt.arange(kept[0] + kept[1]).sum())
        return model

    datasets = [Dataset({"y": FIRST["y"], "rows": np.array([i, 2])}) for i in (1, 2)]
    for tree in drawn(build, datasets, [1, 2]):
        expected = FIRST["y"].sum() / (FIRST["y"].size + PRIOR_SD**-2)
        assert_moments(tree, {"theta": (expected, (FIRST["y"].size + PRIOR_SD**-2) ** -0.5)})


def test_starts_from_the_prior():
    def build(data):
        with pm.Model() as model:
            theta = pm.Normal("theta", 0.0, PRIOR_SD, initval="prior")
            pm.Normal("y", theta, 1.0, observed=data["y"])
        return model

    trees = drawn(build, [FIRST, SECOND], [1, 2])
    assert abs(float(trees[1]["posterior"]["theta"].mean()) - SECOND["y"].sum() / (5 + 1 / 4)) < 0.2


def test_options_are_checked():
    with pytest.raises(FitError, match="no option chain_method"):
        drawn(conjugate, [FIRST], [1], replace(SHORT, extra={"chain_method": "vectorized"}))


@pytest.mark.parametrize(
    ("size", "draws", "dense", "lanes"),
    [(10, 1000, False, 64), (4000, 1000, False, 16), (10, 10**6, False, 4), (3000, 100, True, 4)],
)
def test_large_models_and_long_chains_get_fewer_lanes(size, draws, dense, lanes):
    """Half a gigabyte of draws under way, one of states; a mass matrix of 3000 by 3000 has three copies a lane."""
    density = SimpleNamespace(size=size)
    options = SamplerOptions(draws=draws, batch_size=64, extra={"dense_mass": dense})
    assert engine._settings(density, options, 64).lanes == lanes


def test_single_precision_draws_from_the_same_posterior():
    options = replace(OPTIONS, precision="float32")
    for tree, data in zip(drawn(conjugate, [FIRST, SECOND], [11, 12], options), (FIRST, SECOND), strict=True):
        mean, sd, _ = exact(data)
        assert_moments(tree, {"theta": (mean, sd)})
        assert 0.0 < tree.attrs["lp_error"] < 1e-3
        assert tree["posterior"]["theta"].dtype == np.float64


def test_single_precision_that_is_too_coarse_is_measured():
    """A log density of a million has no decimals in single precision."""

    def build(data):
        with pm.Model() as model:
            theta = pm.Normal("theta", 0.0, 1.0)
            pm.Potential("level", pt.as_tensor(3.0e7) + 0.0 * theta)
            pm.Normal("y", theta, 1.0, observed=data["y"])
        return model

    (tree,) = drawn(build, [FIRST], [1], replace(SHORT, precision="float32"))
    assert tree.attrs["lp_error"] > 0.05


@pytest.mark.slow
def test_dense_mass():
    tree = drawn(eight_schools, simulated(1), [1], replace(SHORT, extra={"dense_mass": True}))[0]
    assert np.isfinite(tree["posterior"]["theta"]).all()


def test_nothing_is_printed(capfd):
    drawn(conjugate, [FIRST], [1], SHORT)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""


def test_eight_schools_against_quadrature():
    """Eight fits of the same data, each within 4 MCSE of the exact moments."""
    exact_moments = normal_effects(
        SCHOOLS, ERRORS, lambda mu, tau: -0.5 * (mu / 5) ** 2 - np.log1p((tau / 5) ** 2), (40.0, 400.0)
    )
    assert exact_moments(lambda mu, tau: mu + 0 * tau) == pytest.approx(MU, abs=2e-3)
    data = Dataset({"y": SCHOOLS})
    options = SamplerOptions(draws=2000, tune=1000, chains=4, target_accept=0.9)
    for tree in drawn(eight_schools, [data] * 8, range(8), options):
        assert_moments(tree, {"mu": MU})
        assert abs(float(tree["posterior"]["tau"].mean()) - TAU[0]) < 4 * az.mcse(tree, var_names="tau")["tau"].item()


@pytest.mark.slow
def test_centred_schools_against_quadrature():
    """The hard parametrisation: pooled over fits, because single chains stay long in the neck."""
    data = Dataset({"y": SCHOOLS})
    options = SamplerOptions(draws=4000, tune=2000, chains=4, target_accept=0.99)
    trees = drawn(centred_schools, [data] * 8, range(8), options)
    for name, (mean, _) in (("mu", MU), ("tau", TAU)):
        means = np.array([float(tree["posterior"][name].mean()) for tree in trees])
        assert abs(means.mean() - mean) < 4 * means.std(ddof=1) / np.sqrt(len(means))


EXTREME = Dataset({"y": 100.0 * SCHOOLS})
"""Its trajectories are some hundred steps long, whatever the mass matrix."""


def test_an_extreme_dataset_does_not_slow_the_others_and_is_named():
    datasets = [*simulated(15), EXTREME]
    found = list(engine.fits(eight_schools, datasets, range(16), replace(SHORT, draws=100, tune=100)))
    assert [index for index, _ in found][-1] == 15
    assert {index for index, _ in found} == set(range(16))
    efforts = [tree.attrs.get("effort", 0.0) for _, tree in found]
    assert efforts[:-1] == [0.0] * 15
    assert efforts[-1] > 10.0


def test_a_dataset_that_takes_too_long_is_given_up_alone(monkeypatch):
    """The clock goes by chunks: half a second each, of which a dataset has its lanes' share."""
    ticks = iter(range(10**6))
    monkeypatch.setattr("bayesrun.samplers.lanes.fleet.time.perf_counter", lambda: next(ticks) / 2)
    datasets = [*simulated(10), EXTREME, *simulated(10, seed=1)]
    options = replace(SHORT, draws=100, tune=100)
    free = dict(engine.fits(eight_schools, datasets, range(21), options))
    spent = [free[index].attrs["sampling_seconds"] - free[index].attrs["compile_seconds"] for index in range(21)]
    bound = 0.5 * (max(spent[:10] + spent[11:]) + spent[10])
    found = dict(engine.fits(eight_schools, datasets, range(21), options, timeout=bound))
    assert isinstance(found[10], FitTimeoutError)
    assert f"took longer than {bound:g} s of its batch" in str(found[10])
    for index in (*range(10), *range(11, 21)):
        np.testing.assert_array_equal(found[index]["posterior"]["mu"], free[index]["posterior"]["mu"])
