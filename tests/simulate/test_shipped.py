"""Every shipped model as a generator: the truth has the prior's law, the data have the likelihood's given the truth."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from scipy import special, stats

from bayesrun.base.imports import import_target, module_constant
from bayesrun.data import conform
from bayesrun.data.design import design
from bayesrun.simulate.simulator import Simulated, Simulator, refusal, simulator
from bayesrun.simulate.truth import parse_truth
from bayesrun.types import Dataset
from model_oracles import default_data, model_config
from places import CONF

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHIPPED = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
DRAWS = 250
SIGNIFICANT = 1e-4  # each test has a fixed seed
PRIORS: dict[str, dict[str, Any]] = {
    "ar1": {"mu": stats.norm(0, 10), "phi": stats.uniform(-1, 2), "sigma": stats.halfnorm(0, 1)},
    "formula": {"value": stats.norm(0, 1), "Intercept": stats.norm(2, 3), "sigma": stats.halfnorm(0, 2)},
    "hierarchical": {"mu": stats.norm(0, 5), "tau": stats.halfcauchy(0, 2.5), "theta_raw": stats.norm()},
    "linear": {"alpha": stats.norm(0, 10), "beta": stats.norm(0, 5), "sigma": stats.halfnorm(0, 1)},
    "logistic": {"alpha": stats.norm(0, 2.5), "beta": stats.norm(0, 2.5)},
    "meta_analysis": {"mu": stats.norm(0, 1), "tau": stats.halfcauchy(0, 0.5), "eta": stats.norm()},
    "multiple_regression": {"a": stats.norm(0, 0.2), "beta": stats.norm(0, 0.5), "sigma": stats.expon()},
    "polynomial": {
        "a": stats.norm(178, 100), "b1": stats.lognorm(1.0), "b2": stats.norm(0, 1), "sigma": stats.uniform(0, 50),
    },
    "survival": {"alpha": stats.norm(0, 5), "beta": stats.norm(0, 2), "shape": stats.expon()},
    "survival_lognormal": {"alpha": stats.norm(0, 5), "beta": stats.norm(0, 2), "sigma": stats.halfnorm()},
    "varying_effects": {
        "alpha": stats.norm(0, 1), "beta": stats.norm(0, 1), "sd": stats.expon(), "rho_unit": stats.beta(2, 2),
        "sigma": stats.expon(),
    },
    "varying_slopes": {"a": stats.norm(1, 0.2), "b": stats.norm(0, 0.3), "sigma": stats.expon()},
}  # fmt: skip
FORMULA = {
    "formula": "invest ~ value + (1|firm)",
    "priors": {
        "Intercept": {"dist": "Normal", "mu": 2, "sigma": 3},
        "value": {"dist": "Normal", "mu": 0, "sigma": 1},
        "1|firm": {"dist": "Normal", "mu": 0, "sigma": {"dist": "HalfNormal", "sigma": 1}},
        "sigma": {"dist": "HalfNormal", "sigma": 2},
    },
}


def base(name: str) -> Dataset:
    """The default data, a shorter series, and planned ends of observation for survival."""
    data = default_data(name)
    if name == "ar1":
        return Dataset({"y": data["y"][:15]}, {"y": ("obs",)}, {"obs": data.coords["obs"][:15]})
    if name.startswith("survival"):
        end = np.linspace(2000.0, 4000.0, len(data["time"]))
        return replace(
            data, arrays={**data.arrays, "censoring_time": end}, dims={**data.dims, "censoring_time": ("obs",)}
        )
    return data


def ready(name: str) -> Simulator:
    _, target, params = model_config(name)
    params = FORMULA if name == "formula" else params
    return simulator(functools.partial(import_target("model", target), **params), base(name))


@functools.cache
def drawn(name: str) -> tuple[Simulated, ...]:
    return tuple(map(ready(name).draw, range(DRAWS)))


def test_every_shipped_model_is_here():
    assert sorted(PRIORS) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_truth_has_the_law_of_the_prior(name):
    for variable, law in PRIORS[name].items():
        values = np.array([d.truth[variable] for d in drawn(name)]).ravel()
        assert stats.kstest(values, law.cdf).pvalue > SIGNIFICANT, variable


def _normal(mean: str, sd: str | Callable[[Simulated], np.ndarray]) -> Callable[[Simulated], np.ndarray]:
    def probability(d: Simulated) -> np.ndarray:
        scale = d.truth[sd] if isinstance(sd, str) else sd(d)
        return stats.norm.cdf(d.dataset["y"], d.truth[mean], scale)

    return probability


def _series(d: Simulated) -> np.ndarray:
    y, truth = d.dataset["y"] - d.truth["mu"], d.truth
    first = stats.norm.cdf(y[:1], 0.0, truth["stationary_sd"])
    return np.concatenate([first, stats.norm.cdf(y[1:], truth["phi"] * y[:-1], truth["sigma"])])


def _survival(d: Simulated) -> np.ndarray:
    """Probability of the time, or a uniform one beyond that of the end of observation (a randomised residual)."""
    log_scale = d.truth["alpha"] + d.dataset["X"] @ d.truth["beta"]
    with np.errstate(over="ignore"):
        reached = -np.expm1(-np.exp(d.truth["shape"] * (np.log(d.dataset["time"]) - log_scale)))
    return _beyond_the_end(reached, d)


def _survival_lognormal(d: Simulated) -> np.ndarray:
    log_median = d.truth["alpha"] + d.dataset["X"] @ d.truth["beta"]
    return _beyond_the_end(stats.norm.cdf(np.log(d.dataset["time"]), log_median, d.truth["sigma"]), d)


def _beyond_the_end(reached: np.ndarray, d: Simulated) -> np.ndarray:
    beyond = reached + (1.0 - reached) * np.random.default_rng(0).uniform(size=reached.shape)
    return np.where(d.dataset["event"] == 1, reached, beyond)


LIKELIHOODS: Mapping[str, Callable[[Simulated], np.ndarray]] = {
    "ar1": _series,
    "hierarchical": lambda d: stats.norm.cdf(d.dataset["y"], d.truth["theta"][d.dataset["group"]], d.dataset["sigma"]),
    "linear": _normal("mu", "sigma"),
    "meta_analysis": _normal("theta", lambda d: d.dataset["se"]),
    "multiple_regression": _normal("mu", "sigma"),
    "polynomial": _normal("mu", "sigma"),
    "survival": _survival,
    "survival_lognormal": _survival_lognormal,
    "varying_effects": _normal("mu", "sigma"),
    "varying_slopes": _normal("mu", "sigma"),
    "formula": lambda d: stats.norm.cdf(d.dataset["invest"], d.truth["mu"], d.truth["sigma"]),
}


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_data_have_the_law_of_the_likelihood_given_the_truth(name):
    # a few Weibull times of very small shape round to 0, and are degenerate
    probabilities = np.concatenate([LIKELIHOODS[name](d).ravel() for d in drawn(name) if not d.degenerate])
    assert sum(bool(d.degenerate) for d in drawn(name)) < 0.03 * DRAWS
    assert stats.kstest(probabilities, stats.uniform.cdf).pvalue > SIGNIFICANT


def test_outcomes_of_a_logistic_model_have_their_probabilities():
    y = np.concatenate([d.dataset["y"] for d in drawn("logistic")])
    p = np.concatenate([d.truth["p"] for d in drawn("logistic")])
    log_odds = np.concatenate([d.truth["alpha"] + d.dataset["X"] @ d.truth["beta"] for d in drawn("logistic")])
    np.testing.assert_allclose(p, special.expit(log_odds), rtol=1e-12)
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.0)):
        some = (low < p) & (p < high)
        error = (y[some] - p[some]).sum() / np.sqrt((p[some] * (1 - p[some])).sum())
        assert abs(error) < 4
    classes = [len(np.unique(d.dataset["y"])) for d in drawn("logistic")]
    assert [bool(d.degenerate) for d in drawn("logistic")] == [n == 1 for n in classes]


def test_group_effects_of_varying_effects_vary_together():
    scores = []
    for d in drawn("varying_effects"):
        (s1, s2), rho = d.truth["sd"], d.truth["rho"]
        lower = np.array([[s1, 0.0], [s2 * rho, s2 * np.sqrt(1 - rho**2)]])
        scores.append(np.linalg.solve(lower, [d.truth["a"] - d.truth["alpha"], d.truth["b"] - d.truth["beta"]]))
    z = np.concatenate(scores, axis=1)
    assert stats.kstest(z.ravel(), stats.norm.cdf).pvalue > SIGNIFICANT
    assert abs(np.corrcoef(z)[0, 1]) < 4 / np.sqrt(z.shape[1])


def test_the_event_is_drawn_with_the_time_and_the_end_of_observation_stays():
    start = base("survival")
    assert ready("survival").replaced == ("time", "event", "censoring_time")
    # a unit that was censored before its planned end was lost at that time, and is lost then in simulated data too
    end = np.where(start["event"] == 1, start["censoring_time"], start["time"])
    for d in drawn("survival"):
        np.testing.assert_array_equal(d.dataset["censoring_time"], end)
        np.testing.assert_array_equal(d.dataset["event"], d.dataset["time"] < end)
        assert (d.dataset["time"] <= end).all()
        assert d.dataset["event"].dtype == start["event"].dtype
        assert (d.degenerate == "the density of y_obs at its truth is not finite") == (d.dataset["time"] == 0.0).any()
    shares = [d.dataset["event"].mean() for d in drawn("survival")]
    assert min(shares) < 0.2
    assert max(shares) > 0.8


def test_survival_without_planned_ends_is_refused():
    _, target, params = model_config("survival")
    (found,) = refusal(functools.partial(import_target("model", target), **params), default_data("survival"))
    assert found.startswith("survival needs the planned end of observation of every unit to simulate, and 45 of 69")


def test_a_formula_with_the_priors_of_bambi_is_refused():
    _, target, params = model_config("formula")
    found = refusal(functools.partial(import_target("model", target), **params), default_data("formula"))
    assert found
    assert all("is worked out from the observed values" in text for text in found)
    assert any(text.startswith("the prior of Intercept ") for text in found)


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "formula"])
def test_every_shipped_model_takes_the_shipped_design(name):
    config = yaml.safe_load((CONF / "data" / "design.yaml").read_text())
    config.pop("_target_")
    _, target, params = model_config(name)
    build = import_target("model", target)
    roles = module_constant(build, "DATA", {})
    start = conform(design(**config | {"n": 20}), roles)
    found = simulator(functools.partial(build, **params), start).draw(0)
    assert not found.degenerate
    assert conform(found.dataset, roles).digest() == found.dataset.digest()


def test_a_fixed_truth_of_a_shipped_model():
    _, target, params = model_config("linear")
    build = functools.partial(import_target("model", target), **params)
    made = simulator(build, default_data("linear"), parse_truth({"beta": 0.5, "sigma": 1}))
    found = [made.draw(seed) for seed in range(100)]
    assert all(d.truth["beta"] == [0.5] and d.truth["sigma"] == 1.0 for d in found)
    assert stats.kstest([d.truth["alpha"] for d in found], stats.norm(0, 10).cdf).pvalue > SIGNIFICANT
