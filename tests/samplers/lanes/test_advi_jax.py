"""What is advi_jax's own beside the checks of every sampler: batches, compilations, failures, and advi's answers."""

from dataclasses import replace

import numpy as np
import pymc as pm
import pytest
import xarray as xr

from bayesrun.errors import FitError, FitTimeoutError
from bayesrun.models import linear, logistic
from bayesrun.samplers import advi, advi_jax
from bayesrun.samplers.lanes.ascent import LANES
from bayesrun.statistics.fit_summary import diagnose
from bayesrun.types import Dataset, DiagnosticsOptions, SamplerOptions
from conjugate_models import FIRST, SECOND, conjugate, constrained, counted, exact
from eight_schools import SCHOOLS, eight_schools, simulated

SHORT = SamplerOptions(draws=20, chains=2, iterations=300, learning_rate=0.05)
pytestmark = pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning")

X = np.random.default_rng(1).normal(size=(30, 2)) @ np.array([[1.0, 0.0], [0.8, 0.6]])
DESIGN = {"dims": {"y": ("obs",), "X": ("obs", "predictor")}, "coords": {"obs": range(30), "predictor": ("a", "b")}}


def drawn(build, datasets, seeds, options=SHORT):
    return list(advi_jax.sample(build, datasets, seeds, options))


def known_noise(data):
    """Linear regression whose posterior is normal, with correlated coefficients."""
    with pm.Model() as model:
        beta = pm.Normal("beta", 0.0, 2.0, shape=2)
        pm.Normal("y", pm.math.dot(X, beta), 1.5, observed=data["y"])
    return model


def optimum(y):
    """Means, SDs and ELBO of the best independent normals for `known_noise` (Bishop 2006, section 10.1.2)."""
    precision = X.T @ X / 1.5**2 + np.eye(2) / 2.0**2
    mean = np.linalg.solve(precision, X.T @ y / 1.5**2)
    covariance = 1.5**2 * np.eye(y.size) + 2.0**2 * X @ X.T
    evidence = -0.5 * (y @ np.linalg.solve(covariance, y) + np.linalg.slogdet(2 * np.pi * covariance)[1])
    lost = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    return mean, np.diag(precision) ** -0.5, evidence - lost


def parameters(tree, name, seed):
    """Mean and SD of the approximation itself, from the draws and the standard normals that they were made of."""
    z = tree["posterior"][name].values[0]
    standard = np.random.default_rng([seed, 1]).standard_normal(z.shape)
    scale = (z[0] - z[1]) / (standard[0] - standard[1])
    return z[0] - scale * standard[0], scale


@pytest.mark.parametrize("n_mc", [1, 5])
def test_independent_normals_that_are_known(n_mc):
    """The optimum has the posterior's means and its conditional SDs. 32 seeds say how far an optimisation is off."""
    y = np.random.default_rng(2).normal(size=30) + X @ [1.0, -0.5]
    options = SamplerOptions(draws=500, chains=2, iterations=6000, learning_rate=0.01, extra={"obj_n_mc": n_mc})
    trees = drawn(known_noise, [Dataset({"y": y})] * 32, range(32), options)
    mean, sd, elbo = optimum(y)
    found = np.array([parameters(tree, "beta", seed) for seed, tree in enumerate(trees)])
    assert mean[0] * mean[1] != 0
    for values, truth in ((found[:, 0], mean), (np.log(found[:, 1]), np.log(sd))):
        error = values.std(axis=0, ddof=1) / np.sqrt(32)
        assert (abs(values.mean(axis=0) - truth) < 4 * error).all()
        assert (error < 0.02 * sd).all()
    scatter = found[:, 0].var(axis=0) / (2 * sd**2) + np.log(found[:, 1]).var(axis=0)  # what it costs, in nats
    estimates = np.array([tree.attrs["elbo"] for tree in trees])
    assert abs(estimates.mean() - (elbo - scatter.sum())) < 4 * estimates.std(ddof=1) / np.sqrt(32)
    # the iterates wander about the optimum, and only their mean is near it
    means = np.array([tree["optimization"]["elbo"].values[-1500:].mean() for tree in trees])
    assert elbo - 0.05 < means.mean() < elbo + 4 * means.std(ddof=1) / np.sqrt(32)
    assert all(tree.attrs["converged"] for tree in trees)


def test_a_gradient_of_more_draws_has_less_noise():
    y = np.random.default_rng(2).normal(size=30)
    options = SamplerOptions(draws=20, chains=1, iterations=4000)
    noise = []
    for n_mc in (1, 5):
        trees = drawn(known_noise, [Dataset({"y": y})] * 8, range(8), replace(options, extra={"obj_n_mc": n_mc}))
        noise.append(np.mean([tree["optimization"]["elbo"].values[-1000:].var() for tree in trees]))
    assert 0.8 < noise[0] / noise[1] / 5 < 1.25


def logistic_data():
    rng = np.random.default_rng(3)
    return Dataset({"y": (rng.random(30) < 1 / (1 + np.exp(-X @ [1.0, 0.5]))).astype(int), "X": X}, **DESIGN)


def linear_data():
    return Dataset({"y": 1.0 + X @ [1.0, -0.5] + 0.7 * np.random.default_rng(4).normal(size=30), "X": X}, **DESIGN)


@pytest.mark.parametrize(
    ("build", "data", "names"),
    [
        (eight_schools, Dataset({"y": SCHOOLS}), ("mu", "tau", "eta")),
        pytest.param(logistic.build, logistic_data(), ("alpha", "beta"), marks=pytest.mark.slow),
        pytest.param(linear.build, linear_data(), ("alpha", "beta", "sigma"), marks=pytest.mark.slow),
    ],
    ids=["schools", "logistic", "linear"],
)
def test_advi_gives_the_same_answers(build, data, names):
    """A fit by advi is one more of the fits that seeds scatter: its means, SDs and ELBO are as far off as theirs.

    The 32 fits have the errors of the optimisation and of the draws, and so has advi's. Beyond 5 of their SDs, with
    31 degrees of freedom, is one in 40000.
    """
    options = SamplerOptions(draws=500, chains=4, iterations=6000, learning_rate=0.02)
    trees = drawn(build, [data] * 32, range(32), options)
    other = next(advi.sample(build, [data], [77], options))
    assert other.attrs["converged"] == trees[0].attrs["converged"] == 1

    def figures(tree):
        draws = np.concatenate(
            [
                np.log(tree["posterior"][n].values.reshape(2000, -1))
                if n in ("tau", "sigma")
                else tree["posterior"][n].values.reshape(2000, -1)
                for n in names
            ],
            axis=1,
        )
        settled = tree["optimization"]["elbo"].values[-1500:]
        return np.concatenate([draws.mean(axis=0), np.log(draws.std(axis=0)), [settled.mean(), tree.attrs["elbo"]]])

    found, one = np.array([figures(tree) for tree in trees]), figures(other)
    assert (abs(one - found.mean(axis=0)) < 5 * np.sqrt(1 + 1 / 32) * found.std(axis=0, ddof=1)).all()


def many_observations(data):
    with pm.Model() as model:
        slope, scale = pm.Normal("slope"), pm.HalfNormal("scale")
        pm.Normal("y", slope * np.linspace(-1, 1, 150), scale, observed=data["y"])
    return model


CASES = [(eight_schools, 8), (many_observations, 150)]


@pytest.mark.parametrize(("build", "n"), CASES)
def test_draws_do_not_depend_on_the_batch(build, n):
    """Alone, and anywhere among datasets that fill a block and a part of the next one: the same to the last bit."""
    rng = np.random.default_rng(5)
    datasets = [Dataset({"y": rng.normal(size=n)}) for _ in range(LANES["cpu"] + 3)]
    seeds = range(50, 50 + len(datasets))
    together = drawn(build, datasets, seeds)
    for index in (0, 1, 7, len(datasets) - 1):
        alone = drawn(build, [datasets[index]], [seeds[index]], replace(SHORT, batch_size=7))[0]
        for group in ("posterior", "sample_stats", "optimization", "log_likelihood"):
            for name, values in alone[group].data_vars.items():
                np.testing.assert_array_equal(values, together[index][group][name])


@pytest.mark.parametrize(
    "build",
    [eight_schools, many_observations, conjugate, pytest.param(constrained, marks=pytest.mark.slow), known_noise],
)
def test_every_lane_computes_the_same(build):
    """One dataset with one seed in all lanes: vector units and what is left over at their end round alike."""
    n = {"eight_schools": 8, "many_observations": 150, "known_noise": 30}.get(build.__name__, 5)
    data = Dataset({"y": np.random.default_rng(6).normal(size=n)}, coords={"obs": tuple(range(n))})
    trees = drawn(build, [data] * LANES["cpu"], [9] * LANES["cpu"])
    for tree in trees[1:]:
        np.testing.assert_array_equal(tree["optimization"]["elbo"], trees[0]["optimization"]["elbo"])
        np.testing.assert_array_equal(tree["sample_stats"]["lp"], trees[0]["sample_stats"]["lp"])


def test_compiled_once(compilations):
    """One program for any batch, tail and resume, and for any number of iterations and learning rate."""
    options = replace(SHORT, draws=11)
    drawn(eight_schools, simulated(40), range(40), options)
    first = len(compilations)
    assert first > 0
    drawn(eight_schools, simulated(40, seed=1), range(40), options)
    drawn(eight_schools, simulated(3, seed=2), range(3), replace(options, batch_size=64))
    drawn(eight_schools, simulated(1, seed=3), [7], replace(options, iterations=1234, learning_rate=0.01, batch_size=1))
    assert len(compilations) == first


def test_a_dataset_alone_and_one_of_many_have_equal_trees():
    def build(data):
        model = conjugate(data)
        with model:
            pm.Data("total", data["y"].sum())
        return model

    datasets = [Dataset({"y": row}, coords=FIRST.coords) for row in np.random.default_rng(3).normal(size=(12, 5))]
    together = dict(advi_jax.fits(build, datasets, range(12), SHORT, like=FIRST))
    for index in (0, 5, 11):
        ((_, tree),) = advi_jax.fits(build, [datasets[index]], [index], SHORT, like=FIRST)
        assert float(tree["constant_data"]["total"]) == datasets[index]["y"].sum()
        assert set(together[index].children) == set(tree.children)
        assert together[index]["optimization"].attrs["elbo"] == tree["optimization"].attrs["elbo"]
        for group, node in tree.children.items():
            xr.testing.assert_equal(together[index][group].to_dataset(), node.to_dataset())


def test_datasets_of_other_shapes_are_fitted_too():
    short = Dataset({"y": FIRST["y"][:3]}, coords={"obs": ("a", "b", "c")})
    trees = drawn(conjugate, [FIRST, short, SECOND], [11, 5, 12])
    assert [tree["observed_data"].sizes["obs"] for tree in trees] == [5, 3, 5]


def test_iterations_need_not_fill_a_chunk():
    tree = drawn(conjugate, [FIRST], [1], replace(SHORT, iterations=1005))[0]
    shorter = drawn(conjugate, [FIRST], [1], replace(SHORT, iterations=3))[0]
    assert tree["optimization"]["elbo"].shape == (1005,)
    np.testing.assert_array_equal(tree["optimization"]["elbo"][:3], shorter["optimization"]["elbo"])
    assert np.isfinite(tree["optimization"]["elbo"]).all()
    assert shorter.attrs["converged"] == 0


def limited(data):
    """The log density is NaN where theta is above the limit."""
    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 1.0)
        pm.Potential("limit", pm.math.log(data["limit"][0] - theta))
        pm.Normal("y", theta, 1.0, observed=data["y"])
    return model


def test_a_dataset_that_fails_leaves_the_others():
    good, bad = (Dataset({"y": FIRST["y"], "limit": np.array([limit])}) for limit in (1e3, -3.0))
    results = dict(advi_jax.fits(limited, [good, bad, good], [1, 2, 3], SHORT))
    assert isinstance(results[1], FitError)
    assert "the ELBO became NaN in iteration 1. Try sampler.learning_rate=0.005" in str(results[1])
    alone = drawn(limited, [good], [3])[0]
    np.testing.assert_array_equal(results[2]["posterior"]["theta"], alone["posterior"]["theta"])
    found = advi_jax.sample(limited, [good, bad, good], [1, 2, 3], SHORT)
    assert np.isfinite(next(found)["posterior"]["theta"]).all()
    with pytest.raises(FitError, match="ELBO became NaN"):
        next(found)


def test_an_optimisation_that_comes_to_nan_late_says_when():
    """A step as long as the way to the limit gets there after a few iterations."""
    data = Dataset({"y": np.full(5, 9.0), "limit": np.array([6.0])})
    ((_, error),) = advi_jax.fits(limited, [data], [1], replace(SHORT, learning_rate=0.5))
    assert isinstance(error, FitError)
    assert 2 <= int(str(error).split("iteration ")[1].split(".")[0]) <= 300


def test_discrete_variables_are_refused():
    with pytest.raises(FitError, match="k is discrete, and this sampler needs a gradient"):
        drawn(counted, [FIRST], [1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": {"start": {}}}, "no option start; it takes obj_n_mc.*sampler=advi"),
        ({"extra": {"obj_n_mc": 0}}, r"obj_n_mc: got 0, want a whole number"),
        ({"extra": {"obj_n_mc": 2.5}}, r"obj_n_mc: got 2\.5, want a whole number"),
    ],
)
def test_what_does_not_apply_is_refused(changes, message):
    with pytest.raises(FitError, match=message):
        drawn(conjugate, [FIRST], [1], replace(SHORT, **changes))


def test_a_block_that_takes_too_long_is_given_up():
    options = replace(SHORT, iterations=10**6)
    results = dict(advi_jax.fits(conjugate, [FIRST, SECOND], [1, 2], options, timeout=1e-6))
    assert all(isinstance(found, FitTimeoutError) for found in results.values())
    assert "of 1000000 iterations; raise sampler.timeout" in str(results[1])


def test_starts_from_the_prior():
    def build(data):
        with pm.Model() as model:
            theta = pm.Normal("theta", 0.0, 2.0, initval="prior")
            pm.Normal("y", theta, 1.0, observed=data["y"])
        return model

    options = SamplerOptions(draws=500, chains=2, iterations=3000, learning_rate=0.02)
    (tree,), (again,) = (drawn(build, [SECOND], [2], options) for _ in range(2))
    assert abs(float(tree["posterior"]["theta"].mean()) - SECOND["y"].sum() / (5 + 1 / 4)) < 0.1
    np.testing.assert_array_equal(tree["posterior"]["theta"], again["posterior"]["theta"])
    start = drawn(build, [SECOND], [3], options)[0]["optimization"]["elbo"].values[0]
    assert start != tree["optimization"]["elbo"].values[0]


def test_diagnostics_read_it_as_they_read_advi():
    options = SamplerOptions(draws=500, chains=2, iterations=2000, learning_rate=0.02)
    (tree,) = drawn(conjugate, [FIRST], [1], options)
    facts = diagnose(tree, "variational", DiagnosticsOptions()).facts
    assert facts["khat"] < 0.7
    assert facts["elbo"] == pytest.approx(exact(FIRST)[2], abs=0.02)
    assert facts["elbo_converged"] == 1
    assert {"elpd_loo", "pareto_k_max"} <= set(facts)
