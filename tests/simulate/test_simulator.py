"""Seeds and replay, the truth that is drawn, and what a simulated dataset keeps of its base."""

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pymc as pm
import pytest
from scipy import stats

from bayesrun.data import load, save
from bayesrun.errors import ConfigError, FitError
from bayesrun.simulate.simulator import simulator
from bayesrun.simulate.truth import Truth, parse_truth
from bayesrun.types import Dataset
from stored_posteriors import write_posterior

N = 12
DATA = Dataset(
    {"y": np.linspace(-1.0, 1.0, N), "x": np.linspace(0.0, 2.0, N), "group": np.arange(N) % 3},
    dims=dict.fromkeys(("y", "x", "group"), ("obs",)),
    coords={"obs": tuple(range(N)), "group": ("a", "b", "c")},
    name="made",
    citation="here",
)
COUNTS = Dataset({"y": np.arange(N), "x": DATA["x"]}, dims=dict.fromkeys("yx", ("obs",)))
SIGNIFICANT = 1e-4  # of a test whose seed is fixed


def centred(data: Dataset, *, spread: float = 1.0, extra: bool = False) -> pm.Model:
    """mu ~ N(1, 2), tau ~ HalfNormal(spread), theta_j ~ N(mu, tau), y ~ N(theta + slope x, 0.5)."""
    with pm.Model(coords={"group": data.coords["group"], "obs": data.coords["obs"]}) as model:
        if extra:
            pm.Normal("other", 0.0, 1.0)
        mu = pm.Normal("mu", 1.0, 2.0)
        tau = pm.HalfNormal("tau", spread)
        theta = pm.Normal("theta", mu, tau, dims="group")
        slope = pm.Normal("slope", 0.0, 1.0)
        mean = pm.Deterministic("mean", theta[data["group"]] + slope * data["x"], dims="obs")
        pm.Normal("y_obs", mean, 0.5, observed=data["y"], dims="obs")
    return model


def poisson(data: Dataset, *, alpha_sigma: float = 1.0, alpha_mean: float = 0.0) -> pm.Model:
    with pm.Model() as model:
        alpha = pm.Normal("alpha", alpha_mean, alpha_sigma)
        pm.Deterministic("rate", pm.math.exp(alpha))
        pm.Poisson("y", pm.math.exp(alpha + data["x"]), observed=data["y"])
    return model


def truths(ready, name, n=400):
    return np.array([ready.draw(seed).truth[name] for seed in range(n)])


def same(first, second) -> bool:
    alike = first.truth.keys() == second.truth.keys()
    return (
        alike
        and first.dataset.digest() == second.dataset.digest()
        and all(np.array_equal(first.truth[name], second.truth[name]) for name in first.truth)
    )


def test_a_seed_gives_the_same_dataset_whatever_was_drawn_before():
    ready = simulator(centred, DATA)
    first = [ready.draw(seed) for seed in range(5)]
    again = simulator(centred, DATA)
    assert all(same(again.draw(seed), first[seed]) for seed in (4, 0, 2, 4))
    assert len({simulated.dataset.digest() for simulated in first}) == 5
    assert same(again.draw(2**31 - 1), ready.draw(2**31 - 1))


def test_a_seed_gives_the_same_dataset_in_another_process():
    code = (
        "import conftest\n"
        "from test_simulator import DATA, centred, simulator\n"
        "found = simulator(centred, DATA).draw(11)\n"
        "print(found.dataset.digest(), *found.truth['theta'].tolist())"
    )
    command = [sys.executable, "-c", code]
    here = Path(__file__).parent
    folders = [*(p for p in sys.path if p), str(here.parent), str(here)]
    path = {"PYTHONPATH": ":".join(folders), "PYTHONHASHSEED": "12", "PATH": "/usr/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=path, check=True)
    own = simulator(centred, DATA).draw(11)
    assert done.stdout.split() == [own.dataset.digest(), *map(str, own.truth["theta"].tolist())]


def test_every_variable_has_its_own_stream():
    first = simulator(centred, DATA).draw(3)
    more = simulator(functools.partial(centred, extra=True), DATA).draw(3)
    assert first.dataset.digest() == more.dataset.digest()
    assert more.truth.keys() - first.truth.keys() == {"other"}
    wider = simulator(functools.partial(centred, spread=2.0), DATA).draw(3)
    assert wider.truth["tau"] == pytest.approx(2.0 * first.truth["tau"])
    assert wider.truth["mu"] == first.truth["mu"]


def test_truth_drawn_from_the_prior_has_its_distribution():
    ready = simulator(centred, DATA)
    drawn = [ready.draw(seed) for seed in range(400)]
    found = {name: np.array([d.truth[name] for d in drawn]) for name in drawn[0].truth}
    assert {name: values.shape[1:] for name, values in found.items()} == {
        "mu": (), "tau": (), "theta": (3,), "slope": (), "mean": (N,)
    }  # fmt: skip
    scores = ((found["theta"] - found["mu"][:, None]) / found["tau"][:, None]).ravel()
    residuals = np.array([(d.dataset["y"] - d.truth["mean"]) / 0.5 for d in drawn]).ravel()
    for values, law in [
        (found["mu"], stats.norm(1.0, 2.0)),
        (found["tau"], stats.halfnorm(0.0, 1.0)),
        (found["slope"], stats.norm()),
        (scores, stats.norm()),
        (residuals, stats.norm()),
    ]:
        assert stats.kstest(values, law.cdf).pvalue > SIGNIFICANT
    together = np.corrcoef([found["mu"], found["tau"], found["slope"], scores[::3], residuals[::N]])
    assert np.abs(together - np.eye(5)).max() < 4 / np.sqrt(400)


def test_fixed_values_are_the_truth_and_the_rest_is_drawn_given_them():
    ready = simulator(centred, DATA, parse_truth({"mu": 5, "tau": 0.1}))
    drawn = [ready.draw(seed) for seed in range(300)]
    assert all(d.truth["mu"] == 5.0 and d.truth["tau"] == 0.1 for d in drawn)
    theta = np.array([d.truth["theta"] for d in drawn]).ravel()
    assert stats.kstest(theta, stats.norm(5.0, 0.1).cdf).pvalue > SIGNIFICANT
    free = simulator(centred, DATA)
    assert drawn[7].truth["slope"] == free.draw(7).truth["slope"]


def test_all_fixed_gives_the_likelihood_alone():
    values = {"mu": 0.0, "tau": 1.0, "theta": [1.0, 2.0, 3.0], "slope": -1.0}
    ready = simulator(centred, DATA, parse_truth(values))
    y = np.array([ready.draw(seed).dataset["y"] for seed in range(200)])
    mean = np.array(values["theta"])[DATA["group"]] - DATA["x"]
    assert stats.kstest(((y - mean) / 0.5).ravel(), stats.norm().cdf).pvalue > SIGNIFICANT
    np.testing.assert_allclose(ready.draw(0).truth["mean"], mean, rtol=1e-14)


def test_one_number_stands_for_every_entry():
    ready = simulator(centred, DATA, parse_truth({"mu": 0.0, "tau": 1.0, "theta": 2}))
    np.testing.assert_array_equal(ready.draw(0).truth["theta"], [2.0, 2.0, 2.0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"muu": 1.0}, "study.truth.muu: the generating model has no free variable 'muu'; did you mean study.truth.mu"),
        ({"mean": 1.0}, "study.truth.mean: mean is worked out from theta, slope; give values for these"),
        ({"y_obs": 1.0}, "study.truth.y_obs: y_obs is observed, so it is drawn"),
        ({"mu": [1.0, 2.0]}, "study.truth.mu: got 2 values; wanted one value"),
        (
            {"mu": 0.0, "tau": 1.0, "theta": [1.0, 2.0]},
            r"study.truth.theta: got 2 values; wanted 3 values \(dims group\), or one number for all",
        ),
        ({"tau": -1.0}, r"study.truth.tau: got -1.0, which lies outside of the support"),
        ({"mu": 0.0, "tau": -1.0, "theta": 0.0}, "study.truth.tau: got -1.0, which lies outside"),
        ({"theta": 0.0}, "the prior of theta depends on mu, tau, which would be drawn .* fix mu, tau too"),
        ({"tau": 1.0, "theta": 0.0}, "the prior of theta depends on mu, which"),
    ],
)
def test_fixed_values_that_do_not_suit_the_model(values, message):
    with pytest.raises(ConfigError, match=message):
        simulator(centred, DATA, parse_truth(values))


def test_whole_numbers_are_wanted_of_discrete_variables():
    def build(data: Dataset) -> pm.Model:
        with pm.Model() as model:
            k = pm.Poisson("k", 3.0)
            pm.Normal("y", k, 1.0, observed=data["y"])
        return model

    with pytest.raises(ConfigError, match=r"study.truth.k: got 1.5; wanted whole numbers"):
        simulator(build, DATA, parse_truth({"k": 1.5}))
    truth = simulator(build, DATA, parse_truth({"k": 2})).draw(0).truth["k"]
    assert truth == 2
    assert truth.dtype == np.int64


def test_constrained_variables_keep_their_natural_shape():
    def build(data: Dataset) -> pm.Model:
        with pm.Model() as model:
            weights = pm.Dirichlet("weights", np.ones(3))
            pm.Categorical("y", weights, observed=data["y"])
        return model

    data = Dataset({"y": np.arange(N) % 3})
    assert simulator(build, data).draw(1).truth["weights"].sum() == pytest.approx(1.0)
    truth = simulator(build, data, parse_truth({"weights": [0.2, 0.3, 0.5]})).draw(1).truth
    np.testing.assert_array_equal(truth["weights"], [0.2, 0.3, 0.5])
    with pytest.raises(ConfigError, match=r"weights: got .* outside of the support"):
        simulator(build, data, parse_truth({"weights": [0.2, 0.3, 0.6]}))


def test_a_posterior_gives_one_of_its_draws(tmp_path):
    rng = np.random.default_rng(0)
    draws = {"mu": rng.normal(size=(2, 50)), "tau": rng.uniform(1, 2, size=(2, 50)), "slope": rng.normal(size=(2, 50))}
    draws["theta"] = rng.normal(size=(2, 50, 3))
    truth = parse_truth({"posterior": write_posterior(tmp_path / "posterior.nc", **draws, mean=np.zeros((2, 50, N)))})
    ready = simulator(centred, DATA, truth)
    chosen = [ready.draw(seed) for seed in range(300)]
    where = [int(np.flatnonzero(draws["mu"].ravel() == d.truth["mu"]).item()) for d in chosen]
    assert all(
        np.array_equal(draws["theta"].reshape(-1, 3)[i], d.truth["theta"]) for i, d in zip(where, chosen, strict=True)
    )
    expected = np.bincount(where, minlength=100)
    assert stats.chisquare(expected).pvalue > SIGNIFICANT
    y = np.array([(d.dataset["y"] - d.truth["mean"]) / 0.5 for d in chosen]).ravel()
    assert stats.kstest(y, stats.norm().cdf).pvalue > SIGNIFICANT
    assert same(simulator(centred, DATA, truth).draw(9), chosen[9])


def test_a_posterior_of_another_model_is_refused(tmp_path):
    one = write_posterior(tmp_path / "posterior.nc", mu=np.zeros((1, 5)), tau=np.ones((1, 5)), slope=np.ones((1, 5)))
    with pytest.raises(ConfigError, match="has no theta; "):
        simulator(centred, DATA, Truth("posterior", path=str(one)))
    other = write_posterior(
        tmp_path / "b" / "posterior.nc",
        mu=np.zeros((1, 5)), tau=np.ones((1, 5)), slope=np.ones((1, 5)), theta=np.ones((1, 5, 4)),
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"theta has 4 values in .*; wanted 3 values \(dims group\)"):
        simulator(centred, DATA, Truth("posterior", path=str(other)))


def test_a_dataset_keeps_all_but_the_observed_values(tmp_path):
    found = simulator(centred, DATA).draw(0).dataset
    assert (found.name, found.citation, found.coords, found.dims) == ("made", "here", DATA.coords, DATA.dims)
    assert {name: a.dtype for name, a in found.items()} == {name: a.dtype for name, a in DATA.items()}
    assert all(np.array_equal(found[name], DATA[name]) for name in ("x", "group"))
    assert not np.array_equal(found["y"], DATA["y"])
    save(found, tmp_path / "d.nc")
    assert load(tmp_path / "d.nc").digest() == found.digest()


@pytest.mark.parametrize(("old", "new"), [("int32", "int64"), ("int64", "int64"), ("float32", "float64")])
def test_counts_stay_whole_numbers_where_the_base_has_them(old, new):
    base = Dataset({"y": np.arange(N).astype(old), "x": DATA["x"]})
    assert simulator(poisson, base).draw(0).dataset["y"].dtype == new


def test_truths_stay_truths_and_reals_replace_whole_numbers():
    def build(data: Dataset) -> pm.Model:
        with pm.Model() as model:
            p = pm.Beta("p", 1.0, 1.0)
            pm.Bernoulli("a", p, observed=data["a"])
            pm.Normal("b", p, 1.0, observed=data["b"])
        return model

    data = Dataset({"a": np.arange(N) % 2 == 0, "b": np.arange(N)})
    found = simulator(build, data).draw(0).dataset
    assert {name: a.dtype for name, a in found.items()} == {"a": np.bool_, "b": np.float64}


def test_other_covariates_for_one_draw():
    ready = simulator(centred, DATA)
    other = Dataset({**DATA.arrays, "x": DATA["x"] ** 2}, DATA.dims, DATA.coords)
    found = ready.draw(3, base=other)
    assert same(found, simulator(centred, other).draw(3))
    np.testing.assert_array_equal(found.dataset["x"], DATA["x"] ** 2)
    residual = ready.draw(3).dataset["y"] - ready.draw(3).truth["mean"]
    np.testing.assert_allclose(found.dataset["y"] - found.truth["mean"], residual, rtol=1e-12)


def test_degenerate_data_are_kept_and_named():
    ready = simulator(poisson, COUNTS, parse_truth({"alpha": -9.0}))
    found = [ready.draw(seed) for seed in range(200)]
    flags = [d.degenerate for d in found]
    zeros = [not d.dataset["y"].any() for d in found]
    assert any(zeros)
    assert [flag == f"all {N} values of y are 0" for flag in flags] == zeros


def test_data_that_are_not_finite_are_kept_and_named():
    def build(data: Dataset) -> pm.Model:
        with pm.Model() as model:
            scale = pm.HalfCauchy("scale", 50.0)
            pm.Normal("y", 0.0, pm.math.exp(scale), observed=data["y"])
        return model

    ready = simulator(build, DATA)
    found = [ready.draw(seed) for seed in range(400)]
    wide = [d for d in found if d.truth["scale"] > 720]
    assert wide
    assert all(f"y is not finite in {N} of {N} values" in d.degenerate for d in wide)
    assert all(d.degenerate == "" for d in found if d.truth["scale"] < 700)
    assert ready.replaced == ("y",)


def test_data_that_cannot_be_drawn_are_kept_as_missing():
    ready = simulator(functools.partial(poisson, alpha_sigma=40.0), COUNTS)
    found = [ready.draw(seed) for seed in range(100)]
    large = [d for d in found if 22 < d.truth["alpha"] < 40]  # PyMC observes counts as int32
    beyond = [d for d in found if d.truth["alpha"] > 44]  # NumPy's largest rate is about exp(43.6)
    assert large
    assert beyond
    assert {d.degenerate for d in large} == {"y has counts beyond 2147483647, of which PyMC keeps the last 32 bits"}
    for d in beyond:
        assert d.degenerate.startswith("y cannot be drawn: lam value too large")
        assert d.truth["rate"] == pytest.approx(np.exp(d.truth["alpha"]))
    assert all(np.isnan(d.dataset["y"]).all() for d in large + beyond)
    assert all(np.isfinite(d.dataset["y"]).all() for d in found if d.truth["alpha"] < 18)


def test_a_truth_that_cannot_be_drawn_is_a_failed_fit():
    def build(data: Dataset) -> pm.Model:
        with pm.Model() as model:
            k = pm.Poisson("k", pm.math.exp(pm.Normal("log_rate", 0.0, 40.0)))
            pm.Normal("y", k, 1.0, observed=data["y"])
        return model

    ready = simulator(build, DATA)
    drawn = 0
    for seed in range(60):
        try:
            ready.draw(seed)
            drawn += 1
        except FitError as error:
            assert "no truth can be drawn from the prior: lam value too large" in str(error)  # noqa: PT017
    assert 0 < drawn < 60


def test_deterministics_made_from_the_data_have_no_truth():
    def build(data: Dataset) -> pm.Model:
        with pm.Model() as model:
            sigma = pm.HalfNormal("sigma", 1.0)
            y = pm.Normal("y", 0.0, sigma, observed=data["y"])
            pm.Deterministic("r2", 1.0 - sigma**2 / data["y"].var())
            pm.Deterministic("largest", y.max())
        return model

    ready = simulator(build, DATA)
    found = ready.draw(0)
    assert ready.unknown == ("r2",)
    assert set(found.truth) == {"sigma", "largest"}
    assert found.truth["largest"] == found.dataset["y"].max()


def test_mutable_data_are_followed():
    def build(data: Dataset) -> pm.Model:
        with pm.Model() as model:
            x, y = pm.Data("x", data["x"]), pm.Data("outcome", data["y"])
            pm.Normal("y", pm.Normal("slope", 0.0, 1.0) * x, 1.0, observed=y)
        return model

    ready = simulator(build, DATA)
    assert ready.replaced == ("y",)
    assert not np.array_equal(ready.draw(0).dataset["y"], DATA["y"])
