"""Models that cannot simulate honestly are refused by name; the way back into the dataset is found or refused."""

import functools
import sys

import numpy as np
import pymc as pm
import pytest
from pymc.distributions.transforms import Interval, ordered

from bayesrun.errors import ConfigError
from bayesrun.simulate.simulator import refusal, simulator
from bayesrun.simulate.truth import PRIOR, parse_truth
from bayesrun.types import Dataset

N = 10
DATA = Dataset(
    {"y": np.linspace(-1.0, 1.0, N) ** 3, "x": np.linspace(0.0, 2.0, N), "positive": np.linspace(0.5, 2.0, N)},
    dims=dict.fromkeys(("y", "x", "positive"), ("obs",)),
)


def reason(build, data=DATA, truth=PRIOR) -> str:
    """The one reason for which a model is refused."""
    (found,) = refusal(build, data, truth)
    with pytest.raises(ConfigError) as raised:
        simulator(build, data, truth)
    assert str(raised.value) == f"data cannot be simulated from this model: {found}"
    return found


def with_prior(prior, likelihood=None):
    """y ~ N(theta, 1) with some prior of theta."""

    def build(data: Dataset) -> pm.Model:
        with pm.Model() as model:
            theta = prior(data)
            if likelihood is None:
                pm.Normal("y", theta, 1.0, observed=data["y"])
            else:
                likelihood(data, theta)
        return model

    return build


def standard(data: Dataset):
    return pm.Normal("theta", 0.0, 1.0)


def test_potentials():
    def prior(data: Dataset):
        theta = standard(data)
        pm.Potential("penalty", -pm.math.abs(theta))
        return theta

    assert reason(with_prior(prior)).startswith("the Potential penalty changes the density")


@pytest.mark.parametrize(
    ("name", "prior"),
    [
        ("Flat", lambda data: pm.Flat("theta")),
        ("HalfFlat", lambda data: pm.HalfFlat("theta")),
        ("ICAR", lambda data: pm.ICAR("theta", W=np.array([[0, 1], [1, 0]]))[0]),
        ("Flat", lambda data: pm.Mixture("theta", w=[0.5, 0.5], comp_dists=[pm.Flat.dist(), pm.Normal.dist()])),
    ],
)
def test_improper_priors(name, prior):
    assert reason(with_prior(prior)).startswith(f"theta has the improper prior {name}, from which nothing can be drawn")


def test_an_improper_prior_is_no_matter_where_it_is_not_drawn_from():
    build = with_prior(lambda data: pm.Flat("theta"))
    truth = parse_truth({"theta": 3.0})
    assert refusal(build, DATA, truth) == []
    y = np.array([simulator(build, DATA, truth).draw(seed).dataset["y"] for seed in range(40)])
    assert abs(y.mean() - 3.0) < 4 / np.sqrt(y.size)


def _logp(value, theta):
    return -((value - theta) ** 2)


def test_custom_distributions_without_a_way_to_draw():
    def likelihood(data: Dataset, theta) -> None:
        pm.CustomDist("y", theta, logp=_logp, observed=data["y"])

    assert reason(with_prior(standard, likelihood)).startswith("y is a CustomDist without a way to draw")
    prior = with_prior(lambda data: pm.CustomDist("theta", 0.0, logp=_logp))
    assert reason(prior).startswith("theta is a CustomDist without a way to draw")


@pytest.mark.parametrize(
    "how",
    [
        {"random": lambda theta, rng=None, size=None: rng.normal(theta, 1.0, size), "logp": _logp},
        {"dist": lambda theta, size: pm.Normal.dist(theta, 1.0, size=size)},
    ],
)
def test_custom_distributions_with_a_way_to_draw(how):
    def likelihood(data: Dataset, theta) -> None:
        pm.CustomDist("y", theta, **how, observed=data["y"])

    ready = simulator(with_prior(standard, likelihood), DATA)
    residuals = np.array([d.dataset["y"] - d.truth["theta"] for d in map(ready.draw, range(50))])
    assert abs(residuals.mean()) < 4 / np.sqrt(residuals.size)
    assert abs(residuals.std() - 1.0) < 4 / np.sqrt(2 * residuals.size)


def test_what_raises_only_when_it_is_drawn_is_named():
    def random(rng=None, size=None):
        raise NotImplementedError("no draws yet")

    build = with_prior(lambda data: pm.CustomDist("theta", random=random, logp=lambda value: -(value**2)))
    assert reason(build) == "theta cannot be drawn: no draws yet"


def _prior_of_y(data: Dataset):
    scale = pm.Deterministic("scale", pm.math.constant(2.5 * data["y"].std()))
    return pm.Normal("theta", 0.0, scale)


@pytest.mark.parametrize(
    "prior",
    [
        lambda data: pm.Normal("theta", 0.0, 2.5 * data["y"].std()),
        lambda data: pm.Uniform("theta", data["y"].min(), data["y"].max()),
        lambda data: pm.Normal("theta", pm.Data("centre", data["y"].mean()), 1.0),
        lambda data: pm.CustomDist("theta", data["y"].mean(), dist=lambda m, size: pm.Normal.dist(m, 1.0, size=size)),
        lambda data: pm.CustomDist("theta", dist=lambda size: pm.Normal.dist(data["y"].mean(), 1.0, size=size)),
        lambda data: pm.CustomDist(
            "theta", random=functools.partial(_about, centre=data["y"].mean()), logp=lambda value: -(value**2)
        ),
        lambda data: pm.Normal("theta", 0.0, 1.0, shape=int((data["y"] > 0).sum()))[0],
    ],
)
def test_priors_made_from_the_outcome(prior):
    build = with_prior(prior)
    assert reason(build).startswith("the prior of theta is worked out from the observed values")


def _about(rng=None, size=None, centre=0.0):
    return rng.normal(centre, 1.0, size)


def test_a_prior_made_from_the_outcome_is_no_matter_where_it_is_not_drawn_from():
    build = with_prior(lambda data: pm.Normal("theta", 0.0, 2.5 * data["y"].std()))
    assert refusal(build, DATA, parse_truth({"theta": 1.0})) == []


def test_the_prior_is_named_and_not_what_stands_on_it():
    def build(data: Dataset) -> pm.Model:
        with pm.Model() as model:
            low = pm.Normal("low", 0.0, data["y"].std())
            high = pm.Normal("high", low, 1.0)
            pm.Normal("y", high, 1.0, observed=data["y"])
        return model

    assert reason(build).startswith("the prior of low is")


def test_priors_made_from_covariates_are_fine():
    assert refusal(with_prior(lambda data: pm.Normal("theta", 0.0, data["x"].std())), DATA) == []


def test_censoring_bounds_made_from_the_events():
    data = Dataset({"time": DATA["positive"], "event": np.arange(N) % 2})

    def build(data: Dataset) -> pm.Model:
        with pm.Model() as model:
            rate = pm.Exponential("rate", 1.0)
            upper = np.where(data["event"] == 1, np.inf, data["time"])
            pm.Censored("time", pm.Exponential.dist(rate), lower=None, upper=upper, observed=data["time"])
        return model

    assert reason(build, data).startswith("the likelihood of time has numbers that are worked out from the observed")


def test_a_model_may_give_its_own_reason(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "can_simulate", lambda data: "not today", raising=False)
    assert reason(with_prior(standard)) == "not today"


@pytest.mark.parametrize("size", [200, None])
@pytest.mark.filterwarnings("ignore:total_size not provided")
def test_minibatches(size):
    def likelihood(data: Dataset, theta) -> None:
        pm.Normal("y", theta, 1.0, observed=pm.Minibatch(data["y"], batch_size=4), total_size=size)

    assert reason(with_prior(standard, likelihood)).startswith("y is observed in minibatches")


@pytest.mark.filterwarnings("ignore:Data in y contains missing values")
def test_missing_values_are_no_reason_against():
    y = DATA["y"].copy()
    y[2] = np.nan
    data = Dataset({**DATA.arrays, "y": y})
    assert refusal(with_prior(standard), data) == []


@pytest.mark.parametrize(
    "prior",
    [
        lambda data: pm.Normal("theta", 0.0, 1.0, shape=2, transform=ordered, initval=[0.0, 1.0])[0],
        lambda data: pm.Normal("theta", 0.0, 1.0, transform=Interval(0.0, None)),
    ],
)
def test_transforms_that_restrict_the_prior(prior):
    found = reason(with_prior(prior))
    assert found.startswith("draws from the prior of theta need not comply with its transform")


def test_extreme_draws_of_proper_priors_are_no_reason():
    build = with_prior(lambda data: pm.Dirichlet("theta", np.full(3, 0.001))[0])
    assert refusal(build, DATA) == []


@pytest.mark.parametrize(
    "observed",
    [
        lambda data: np.log(data["positive"]),
        lambda data: (data["positive"] - data["positive"].mean()) / data["positive"].std(),
        lambda data: data["positive"][:5],
        lambda data: np.zeros(N),
    ],
)
def test_a_transformed_outcome_has_no_way_back(observed):
    def likelihood(data: Dataset, theta) -> None:
        pm.Normal("y_obs", theta, 1.0, observed=observed(data))

    found = reason(with_prior(standard, likelihood))
    assert found.startswith("y_obs observes values that are in no array of the data (y, x, positive)")
    assert "from_draws(data, drawn)" in found


def test_an_outcome_that_is_transformed_but_looks_alike_is_found_out():
    def likelihood(data: Dataset, theta) -> None:
        pm.Normal("y_obs", theta, 1.0, observed=np.abs(data["positive"]))

    assert reason(with_prior(standard, likelihood)).startswith("y_obs observes values that are in no array")


def _logged(data: Dataset, theta) -> None:
    pm.Normal("log_y", theta, 0.1, observed=np.log(data["positive"]))


def test_a_hook_gives_the_way_back(monkeypatch):
    module = sys.modules[__name__]
    build = with_prior(standard, _logged)
    monkeypatch.setattr(module, "from_draws", lambda data, drawn: {"positive": np.exp(drawn["log_y"])}, raising=False)
    ready = simulator(build, DATA)
    found = ready.draw(4)
    assert ready.replaced == ("positive",)
    assert abs(np.log(found.dataset["positive"]).mean() - found.truth["theta"]) < 4 * 0.1 / np.sqrt(N)
    monkeypatch.setattr(module, "from_draws", lambda data, drawn: {"positive": np.exp(2 * drawn["log_y"])})
    assert reason(build).startswith("from_draws gives arrays on which log_y observes other values than those drawn")


def test_arrays_of_equal_values_are_told_apart():
    copies = Dataset({"copy": DATA["y"], **DATA.arrays, "other": DATA["y"].copy()})
    ready = simulator(with_prior(standard), copies)
    assert ready.replaced == ("y",)
    found = ready.draw(0).dataset
    assert np.array_equal(found["copy"], DATA["y"])
    assert np.array_equal(found["other"], DATA["y"])
    assert not np.array_equal(found["y"], DATA["y"])


def test_arrays_that_cannot_be_told_apart():
    def likelihood(data: Dataset, theta) -> None:
        pm.Normal("z", theta, 1.0, observed=(data["y"] + data["copy"]) / 2.0)

    copies = Dataset({"copy": DATA["y"], **DATA.arrays})
    found = reason(with_prior(standard, likelihood), copies)
    assert found.startswith("z observes the values of copy and of y, and follows a change of none of them alone")


def test_two_outcomes_take_their_own_arrays():
    data = Dataset({"a": np.zeros(N), "b": np.zeros(N)})

    def likelihood(data: Dataset, theta) -> None:
        pm.Normal("second", theta + 5.0, 0.1, observed=data["a"])
        pm.Poisson("first", pm.math.exp(theta), observed=data["b"])

    ready = simulator(with_prior(standard, likelihood), data)
    assert set(ready.replaced) == {"a", "b"}
    found = ready.draw(0)
    assert np.abs(found.dataset["a"] - found.truth["theta"] - 5.0).max() < 0.5
    assert np.array_equal(found.dataset["b"], np.round(found.dataset["b"]))


def test_two_outcomes_cannot_share_an_array():
    def likelihood(data: Dataset, theta) -> None:
        pm.Normal("one", theta, 1.0, observed=data["y"])
        pm.Normal("two", theta, 1.0, observed=data["y"])

    found = reason(with_prior(standard, likelihood))
    assert found == "one and two observe the same array y, which can hold the draws of one of them only"


def test_a_model_that_cannot_be_built_on_what_it_draws():
    def likelihood(data: Dataset, theta) -> None:
        if (data["positive"] <= 0.0).any():
            raise ValueError("positive must be positive")
        pm.Normal("y", theta, 1.0, observed=data["positive"])

    found = reason(with_prior(standard, likelihood))
    assert found == "the model cannot be built on data drawn from it: ValueError: positive must be positive"


def test_draws_of_another_shape():
    def likelihood(data: Dataset, theta) -> None:
        pm.CustomDist("y", theta, random=_two, logp=_logp, observed=data["y"])

    assert reason(with_prior(standard, likelihood)) == "y is observed in shape (10,) and drawn in shape (2,)"


def _two(theta, rng=None, size=None):
    return rng.normal(theta, 1.0, size=2)


def test_nothing_finite_is_drawn():
    build = with_prior(lambda data: pm.math.exp(pm.math.exp(pm.Normal("theta", 50.0, 1.0))))
    assert reason(build).startswith("none of 20 datasets drawn from it is finite (y is not finite in 10 of 10 values)")


def test_a_loop_is_compared_too():
    def build(data: Dataset, spread: bool = False) -> pm.Model:
        with pm.Model() as model:
            rho = pm.Uniform("rho", -1.0, 1.0)
            scale = data["y"].std() if spread else 1.0
            pm.AR("y", [rho], sigma=scale, init_dist=pm.Normal.dist(0.0, 1.0), observed=data["y"])
        return model

    assert refusal(build, DATA) == []
    found = reason(functools.partial(build, spread=True))
    assert found.startswith("the likelihood of y has numbers that are worked out from the observed values")
