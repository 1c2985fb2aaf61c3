"""A generator and another model that is fitted to its data: shared parameters, outcomes, labels that are compared."""

import re

import numpy as np
import pymc as pm
import pytest
import xarray as xr

from bayesrun.errors import ConfigError
from bayesrun.simulate import confused, misfits, parse_truth, shared, simulator
from bayesrun.types import Dataset

pytestmark = pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning")

N = 24
X = np.linspace(-1.0, 1.0, N)
OUTCOMES = {
    "real": np.linspace(-1.0, 2.0, N),
    "positive": np.linspace(0.1, 2.0, N),
    "count": np.arange(N) % 4,
    "binary": np.arange(N) % 2,
    "share": np.linspace(0.1, 0.9, N),
}
LIKELIHOODS = {
    "normal": lambda e, y: pm.Normal("y_obs", e, 1.0, observed=y),
    "student": lambda e, y: pm.StudentT("y_obs", nu=3.0, mu=e, sigma=1.0, observed=y),
    "lognormal": lambda e, y: pm.LogNormal("y_obs", e, 1.0, observed=y),
    "gamma": lambda e, y: pm.Gamma("y_obs", mu=pm.math.exp(e), sigma=1.0, observed=y),
    "uniform": lambda e, y: pm.Uniform("y_obs", -pm.math.exp(e), pm.math.exp(e), observed=y),
    "beta": lambda e, y: pm.Beta("y_obs", mu=pm.math.invlogit(e), nu=5.0, observed=y),
    "poisson": lambda e, y: pm.Poisson("y_obs", pm.math.exp(e), observed=y),
    "negative_binomial": lambda e, y: pm.NegativeBinomial("y_obs", mu=pm.math.exp(e), alpha=2.0, observed=y),
    "bernoulli": lambda e, y: pm.Bernoulli("y_obs", logit_p=e, observed=y),
    "normal_of_logs": lambda e, y: pm.Normal("y_obs", e, 1.0, observed=np.log(y)),
    "up_to_three": lambda e, y: pm.Censored("y_obs", pm.LogNormal.dist(e, 1.0), lower=None, upper=3.0, observed=y),
}
DRAWN = {"normal": "real", "student": "real", "lognormal": "positive", "beta": "share"}
DRAWN |= {"poisson": "count", "bernoulli": "binary"}


def builder(kind: str):
    def build(data: Dataset) -> pm.Model:
        with pm.Model() as model:
            slope = pm.Normal("slope", 0.0, 1.0)
            LIKELIHOODS[kind](pm.Normal("level", 0.5, 0.5) + slope * data["x"], data["y"])
        return model

    return build


def generator(kind: str):
    return simulator(builder(kind), Dataset({"x": X, "y": OUTCOMES[DRAWN[kind]]}, {"x": ("obs",), "y": ("obs",)}))


@pytest.mark.parametrize(
    ("drawn", "fitted", "reason"),
    [
        ("normal", "poisson", r"y_obs \(Poisson\) takes whole numbers, and -?\d\.\d+ would become -?\d \(in 8 of 8"),
        ("lognormal", "bernoulli", r"y_obs \(Bernoulli\) takes whole numbers"),
        ("beta", "negative_binomial", r"y_obs \(NegativeBinomial\) takes whole numbers"),
        ("normal", "lognormal", r"y_obs \(LogNormal\) has no density for -\d\.\d+"),
        ("normal", "gamma", r"y_obs \(Gamma\) has no density for -\d\.\d+"),
        ("normal", "normal_of_logs", "y_obs takes some of them for missing values"),
        ("poisson", "gamma", r"y_obs \(Gamma\) has no density for 0"),
        ("poisson", "bernoulli", r"y_obs \(Bernoulli\) has no density for [2-9]"),
        ("lognormal", "beta", r"y_obs \(Beta\) has no density for"),
        ("lognormal", "up_to_three", r"y_obs \(Censored\) has no density for"),
    ],
)
def test_an_outcome_that_the_likelihood_cannot_have(drawn, fitted, reason):
    (found,) = misfits(generator(drawn), builder(fitted))
    assert re.match(reason, found), found


@pytest.mark.parametrize(
    ("drawn", "fitted"),
    [
        *(("normal", fitted) for fitted in ("student", "uniform")),
        *(("student", fitted) for fitted in ("normal",)),
        *(("lognormal", fitted) for fitted in ("normal", "gamma", "normal_of_logs")),
        *(("poisson", fitted) for fitted in ("negative_binomial", "normal", "uniform")),
        *(("bernoulli", fitted) for fitted in ("poisson", "normal")),
        ("beta", "up_to_three"),
    ],
)
def test_a_misspecified_likelihood_of_the_same_outcome(drawn, fitted):
    assert misfits(generator(drawn), builder(fitted)) == []


def test_one_extreme_dataset_is_no_reason():
    """Counts of a rate of 0.01 are above 1 in one dataset of thousands; those of 0.2 are in many."""
    data = Dataset({"x": np.zeros(N), "y": OUTCOMES["binary"]}, {"x": ("obs",), "y": ("obs",)})

    def rare(rate: float):
        def build(data: Dataset) -> pm.Model:
            with pm.Model() as model:
                slope = pm.Normal("slope", 0.0, 1.0)
                pm.Poisson("y_obs", rate * pm.math.exp(0.0 * slope) + data["x"], observed=data["y"])
            return model

        return simulator(build, data)

    assert misfits(rare(0.01), builder("bernoulli")) == []
    assert len(misfits(rare(0.5), builder("bernoulli"))) == 1


def test_a_builder_that_refuses_the_data_itself():
    def build(data: Dataset) -> pm.Model:
        if (data["y"] <= 0).any():
            raise ValueError("y has to be positive")
        return builder("lognormal")(data)

    (found,) = misfits(generator("normal"), build)
    assert found.startswith("it cannot be built on them: y has to be positive")
    assert misfits(generator("lognormal"), build) == []


def grid(dims=("row", "col"), rows=("r1", "r2", "r3"), cols=("c1", "c2", "c3"), **more):
    """theta on a grid; `more`: further parameters, name to shape."""

    def build(data: Dataset) -> pm.Model:
        with pm.Model(coords={"row": rows, "col": cols}) as model:
            theta = pm.Normal("theta", 0.0, 1.0, dims=dims)
            pm.Deterministic("mean", theta.mean(axis=dims.index("col")), dims="row")
            total = sum(pm.Normal(name, 0.0, 1.0, shape=shape).sum() for name, shape in more.items())
            pm.Normal("y", theta.sum() + total, 1.0, observed=data["y"])
        return model

    return build


DATA = Dataset({"y": OUTCOMES["real"]}, {"y": ("obs",)})


def test_which_parameters_have_a_truth():
    ready = simulator(grid(beta=(3,), gone=()), DATA)
    found = shared(ready, grid(("col", "row"), rows=("r3", "r1", "r2"), beta=(), new=())(DATA))
    assert found.known == ("theta", "mean")
    assert found.unknown == {"beta": "dims (3); wanted one value", "new": ""}
    assert found.refused == {}


def test_labels_that_contradict_each_other():
    found = shared(simulator(grid(), DATA), grid(rows=("r1", "r2", "R3"))(DATA))
    reason = "r1, r2, r3 along row; wanted r1, r2, R3 along row"
    assert found.refused == {"theta": reason, "mean": reason}


def test_lags_from_0_and_lags_from_1_contradict_each_other_and_places_without_labels_do_not():
    """Lag 1 of the generator is the second of the fitted model's, which was matched with its lag 2."""
    ready = simulator(grid(rows=(1, 2, 3)), DATA)
    reason = "1, 2, 3 along row; wanted 0, 1, 2 along row"
    assert shared(ready, grid(rows=(0, 1, 2))(DATA)).refused == {"theta": reason, "mean": reason}
    named = shared(simulator(grid(rows=(0, 1, 2)), DATA), grid(rows=("a", "b", "c"))(DATA))
    assert (named.refused, named.known) == ({}, ("theta", "mean"))


def test_truth_from_a_posterior_with_other_dims_and_labels(tmp_path):
    """theta[row, col] of the file is theta[col, row] of the model, whatever the order of rows."""
    draws = np.random.default_rng(3).normal(size=(2, 5, 3, 3))
    stored = xr.DataArray(
        draws, {"row": ["r2", "r3", "r1"], "col": ["c1", "c2", "c3"]}, ("chain", "draw", "row", "col"), "theta"
    )
    stored.to_dataset().to_netcdf(tmp_path / "posterior.nc", group="posterior", engine="netcdf4")
    truth = parse_truth({"posterior": str(tmp_path / "posterior.nc")})
    ready = simulator(grid(("col", "row")), DATA, truth)
    found = np.stack([ready.draw(seed).truth["theta"] for seed in range(20)])
    expected = draws.reshape(10, 3, 3)[:, [2, 0, 1]].transpose(0, 2, 1)
    assert all(any(np.array_equal(one, other) for other in expected) for one in found)
    assert len(np.unique(found[:, 0, 0])) > 3
    with pytest.raises(ConfigError, match="r2, r3, r1 along row; wanted a, b, c along row, as in the model"):
        simulator(grid(rows=("a", "b", "c")), DATA, truth)


def test_labels_that_mean_other_entries_in_the_two_models():
    numbers = {"rows": (0, 1, 2), "cols": (0, 1, 2)}
    first = grid(**numbers)(DATA)
    assert confused(first, grid(("col", "row"), **numbers)(DATA)) == ("theta",)
    assert confused(first, grid(**numbers, other=(2,))(DATA)) == ()
    assert (
        confused(grid()(DATA), grid(("col", "row"))(DATA)) == ()
    )  # theta[r1, c1] and theta[c1, r1] are never compared
    assert confused(grid()(DATA), grid(rows=("r3", "r1", "r2"))(DATA)) == ()  # the same labels, found by label


def test_covariates_that_are_drawn_anew_have_labels_of_their_own():
    """A replicate whose design has other levels, in another order: its truth has those of its own design."""

    def build(data: Dataset) -> pm.Model:
        with pm.Model(coords={"level": data.coords["level"]}) as model:
            theta = pm.Normal("theta", 0.0, 1.0, dims="level")
            pm.Normal("y", theta[data["level"]], 1.0, observed=data["y"])
        return model

    def design(labels: tuple[str, ...]) -> Dataset:
        arrays = {"y": OUTCOMES["real"], "level": np.arange(N) % len(labels)}
        return Dataset(arrays, dict.fromkeys(arrays, ("obs",)), {"level": labels})

    ready = simulator(build, design(("a", "b", "c")))
    for labels in (("a", "b", "c"), ("c", "a"), ("b", "d", "a", "c")):
        found = ready.draw(1, design(labels))
        assert found.layouts["theta"].labels[0].tolist() == list(labels)
        assert found.truth["theta"].shape == (len(labels),)
