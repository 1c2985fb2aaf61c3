"""The survival model against SciPy's Weibull, maximum likelihood, exact extremes and its own simulations."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats
from scipy.optimize import minimize

from bayesrun.errors import DataError
from bayesrun.models.inputs import censoring_bounds
from bayesrun.models.survival import build, can_simulate
from bayesrun.types import Dataset
from model_oracles import PLAIN, assert_density, assert_ints_are_safe, default_data, mode


@pytest.fixture(scope="module")
def heart():
    return default_data("survival")


def units(time, event, planned=None):
    arrays = {"time": np.array(time), "event": np.array(event), "X": np.zeros((len(time), 1))}
    if planned is not None:
        arrays["censoring_time"] = np.array(planned)
    return Dataset(arrays, coords={"predictor": ("x",)})


def log_likelihood(d, shape, scale):
    weibull = stats.weibull_min(shape, scale=scale)
    return np.where(d["event"] == 1, weibull.logpdf(d["time"]), weibull.logsf(d["time"]))


def test_log_density(heart):
    def expected(v):
        scale = np.exp(v["alpha"] + heart["X"] @ v["beta"])
        np.testing.assert_allclose(v["median_time"], stats.weibull_min(v["shape"], scale=scale).median(), rtol=1e-9)
        return (
            stats.norm.logpdf(v["alpha"], 0, 5)
            + stats.norm.logpdf(v["beta"], 0, 2).sum()
            + stats.expon.logpdf(v["shape"])
            + log_likelihood(heart, v["shape"], scale).sum()
        )

    assert 0 < heart["event"].sum() < len(heart["event"])
    assert_density(build(heart), expected)


def test_mode_is_maximum_likelihood_on_heart(heart):
    def deviance(p):
        return -log_likelihood(heart, np.exp(p[2]), np.exp(p[0] + heart["X"][:, 0] * p[1])).sum()

    fit = minimize(deviance, [6.0, 0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10})
    found = mode(
        build(heart, alpha_sigma=1e6, beta_sigma=1e6, shape_rate=1e-9),
        {"alpha": np.array(6.0), "shape_log__": np.array(-0.5)},
    )
    np.testing.assert_allclose([found["alpha"], found["beta"][0], np.log(found["shape"])], fit.x, rtol=1e-5, atol=1e-7)


def test_terms_are_pointwise(heart):
    model = build(heart)
    (terms,) = model.logp(vars=model.observed_RVs, sum=False)
    point = {"alpha": np.array(6.0), "beta": np.array([-0.5]), "shape_log__": np.array(-0.4)}
    found = model.compile_fn(terms, inputs=model.value_vars, mode=PLAIN)(point)
    scale = np.exp(6.0 + heart["X"] @ [-0.5])
    np.testing.assert_allclose(found, log_likelihood(heart, np.exp(-0.4), scale), rtol=1e-9)


@pytest.mark.parametrize("mode_of_compilation", [None, PLAIN])
def test_log_survival_and_its_gradient_are_exact_in_the_far_tail(mode_of_compilation):
    # (time / scale)**shape = 800, whose survival probability is 0 in double precision
    shape = 2.0
    model = build(units([np.sqrt(800.0)], [0]))
    point = {"alpha": np.array(0.0), "beta": np.zeros(1), "shape_log__": np.log(np.array(shape))}
    value = model.compile_logp(vars=model.observed_RVs, mode=mode_of_compilation)(point)
    slope = model.compile_dlogp(vars=model.free_RVs, jacobian=False, mode=mode_of_compilation)(point)
    assert value == pytest.approx(-800.0, rel=1e-12)
    # derivatives of -exp(shape (log t - alpha)) and of the priors N(0, 5), N(0, 2), Exponential(1)
    exact = {"alpha": shape * 800.0, "beta": 0.0, "shape_log__": -800.0 * 0.5 * np.log(800.0) * shape - shape}
    np.testing.assert_allclose(slope, [exact[v.name] for v in model.value_vars], rtol=1e-10)


def test_bounds(heart):
    d = units([1.0, 2.0, 3.0], [1, 0, 1])
    assert list(censoring_bounds(d)) == [np.inf, 2.0, np.inf]
    d = units([1.0, 2.0, 3.0], [1, 0, 1], planned=[4.0, 5.0, 6.0])
    assert list(censoring_bounds(d)) == [4.0, 2.0, 6.0]


def test_planned_times_do_not_change_the_density():
    without = units([1.0, 2.0, 3.0], [1, 0, 1])
    planned = units([1.0, 2.0, 3.0], [1, 0, 1], planned=[4.0, 2.0, 3.5])
    point = {"alpha": np.array(0.3), "beta": np.zeros(1), "shape_log__": np.array(0.2)}
    values = [build(d).compile_logp(mode=PLAIN)(point) for d in (without, planned)]
    assert values[0] == values[1]


def test_a_time_beyond_its_bound_is_impossible():
    model = build(units([1.0, 2.0], [1, 1], planned=[4.0, 4.0]))
    dist = model["y_obs"]
    value = pm.logp(dist, np.array([4.0, 4.5]))
    fn = model.compile_fn(model.replace_rvs_by_values([value])[0], inputs=model.value_vars, mode=PLAIN)
    found = fn({"alpha": np.array(1.0), "beta": np.zeros(1), "shape_log__": np.array(0.0)})
    assert found[0] == pytest.approx(-4.0 / np.e)
    assert found[1] == -np.inf


@pytest.mark.parametrize(("time", "event"), [([5.0, 1.0], [0, 1]), ([5.0, 1.0], [1, 1]), ([4.0, 1.0], [1, 1])])
def test_times_beyond_the_plan_are_refused(time, event):
    with pytest.raises(DataError, match="1 rows do not comply, first rows 0"):
        build(units(time, event, planned=[4.0, 4.0]))


def test_simulated_times_are_weibull_cut_at_the_plan():
    draws, shape, scale, end = 4000, 1.5, np.exp(0.7), 2.0
    model = pm.do(build(units([1.0, 1.5], [1, 1], planned=[end, end])), {"alpha": 0.7, "beta": [0.0], "shape": shape})
    times = pm.draw(model["y_obs"], draws=draws, random_seed=41)
    assert times.shape == (draws, 2)
    assert times.max() == end
    survive = stats.weibull_min(shape, scale=scale).sf(end)
    error = np.sqrt(survive * (1 - survive) / times.size)
    assert abs((times == end).mean() - survive) < 4 * error
    seen = times[times < end]
    uniform = stats.weibull_min(shape, scale=scale).cdf(seen) / (1 - survive)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(times.T)[0, 1]) < 4 / np.sqrt(draws)


def test_whether_it_can_simulate_is_said(heart):
    reason = can_simulate(heart)
    assert reason is not None
    assert f"{heart['event'].sum()} of 69 units have an event" in reason
    assert can_simulate(units([1.0, 2.0], [1, 0], planned=[3.0, 2.0])) is None
    assert can_simulate(units([1.0, 2.0], [0, 0])) is None


def test_ints_are_safe(heart):
    assert_ints_are_safe(build, heart, alpha_mean=6, alpha_sigma=36, beta_mean=1, beta_sigma=36, shape_rate=36)
