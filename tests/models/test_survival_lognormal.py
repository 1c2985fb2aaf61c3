"""The lognormal survival model against SciPy, maximum likelihood, exact extremes and its own simulations."""

import jax
import numpy as np
import pymc as pm
import pytest
from scipy import stats
from scipy.optimize import minimize
from scipy.special import log_ndtr

from bayesrun.errors import DataError
from bayesrun.models import survival
from bayesrun.models.inputs import censoring_bounds
from bayesrun.models.survival_lognormal import build, can_simulate, from_draws
from bayesrun.samplers.lanes.density import derive
from bayesrun.samplers.lanes.engine import prepare_jax
from bayesrun.samplers.lanes.graphs import survey
from bayesrun.simulate.simulator import simulator
from bayesrun.simulate.truth import parse_truth
from bayesrun.types import Dataset
from model_oracles import PLAIN, assert_density, assert_ints_are_safe, default_data, mode


@pytest.fixture(scope="module")
def heart():
    return default_data("survival_lognormal")


def units(time, event, planned=None, x=0.0):
    arrays = {"time": np.array(time), "event": np.array(event), "X": np.full((len(time), 1), x)}
    if planned is not None:
        arrays["censoring_time"] = np.array(planned)
    return Dataset(arrays, coords={"predictor": ("x",)})


def log_likelihood(d, sigma, log_median):
    lognormal = stats.lognorm(sigma, scale=np.exp(log_median))
    return np.where(d["event"] == 1, lognormal.logpdf(d["time"]), lognormal.logsf(d["time"]))


def test_log_density(heart):
    def expected(v):
        log_median = v["alpha"] + heart["X"] @ v["beta"]
        medians = stats.lognorm(v["sigma"], scale=np.exp(log_median)).median()
        np.testing.assert_allclose(v["median_time"], medians, rtol=1e-9)
        return (
            stats.norm.logpdf(v["alpha"], 0, 5)
            + stats.norm.logpdf(v["beta"], 0, 2).sum()
            + stats.halfnorm.logpdf(v["sigma"])
            + log_likelihood(heart, v["sigma"], log_median).sum()
        )

    assert 0 < heart["event"].sum() < len(heart["event"])
    assert_density(build(heart), expected)


def test_mode_is_maximum_likelihood_on_heart(heart):
    def deviance(p):
        return -log_likelihood(heart, np.exp(p[2]), p[0] + heart["X"][:, 0] * p[1]).sum()

    fit = minimize(deviance, [6.0, 0.0, 0.5], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10})
    found = mode(
        build(heart, alpha_sigma=1e6, beta_sigma=1e6, sigma_scale=1e6),
        {"alpha": np.array(6.0), "sigma_log__": np.array(0.5)},
    )
    np.testing.assert_allclose([found["alpha"], found["beta"][0], np.log(found["sigma"])], fit.x, rtol=1e-5, atol=1e-7)


def test_without_censoring_the_mode_is_least_squares_of_log_time(heart):
    seen = heart["event"] == 1
    d = Dataset({name: heart[name][seen] for name in ("time", "event", "X")}, coords={"predictor": ("age",)})
    design = np.column_stack([np.ones(seen.sum()), d["X"]])
    coefficients, squares, *_ = np.linalg.lstsq(design, np.log(d["time"]), rcond=None)
    found = mode(build(d, alpha_sigma=1e6, beta_sigma=1e6, sigma_scale=1e6), {"sigma_log__": np.array(0.5)})
    np.testing.assert_allclose([found["alpha"], found["beta"][0]], coefficients, rtol=1e-6)
    assert found["sigma"] == pytest.approx(np.sqrt(squares[0] / seen.sum()), rel=1e-6)


def test_terms_are_pointwise(heart):
    model = build(heart)
    (terms,) = model.logp(vars=model.observed_RVs, sum=False)
    point = {"alpha": np.array(6.0), "beta": np.array([-0.5]), "sigma_log__": np.array(0.4)}
    found = model.compile_fn(terms, inputs=model.value_vars, mode=PLAIN)(point)
    np.testing.assert_allclose(found, log_likelihood(heart, np.exp(0.4), 6.0 + heart["X"] @ [-0.5]), rtol=1e-9)


# at a score of 40 the survival probability is 0 in double precision, at -40 the probability of an event before
SCORES = (-800.0, -40.0, -8.0, -1.0, 0.0, 1e-3, 1.0, 8.0, 40.0, 100.0)


@pytest.mark.parametrize("mode_of_compilation", [None, PLAIN])
def test_log_survival_and_its_gradient_are_exact_in_both_tails(mode_of_compilation):
    model = build(units([1.0], [0]))
    outputs = [model.logp(vars=model.observed_RVs), model.dlogp(vars=model.free_RVs[:1], jacobian=False)]
    both = model.compile_fn(outputs, inputs=model.value_vars, mode=mode_of_compilation)
    for score in SCORES:  # log time is 0 and sigma 1, so that alpha is minus the score
        point = {"alpha": np.array(-score), "beta": np.zeros(1), "sigma_log__": np.array(0.0)}
        value, slope = both(point)
        np.testing.assert_allclose(value, log_ndtr(-score), rtol=1e-12, atol=1e-15)
        hazard = np.exp(stats.norm.logpdf(score) - log_ndtr(-score))
        # the prior of alpha, N(0, 5), is in the gradient
        np.testing.assert_allclose(slope, [hazard + score / 25.0], rtol=1e-10, atol=1e-12)


def test_log_density_in_jax_is_exact_in_both_tails():
    """What the lanes of numpyro evaluate, whose gradient is JAX's own."""
    prepare_jax()
    d = units([1.0], [0])
    surveyed = survey(build(d))
    density = derive(build(d), [i for i, leaf in enumerate(surveyed.leaves) if leaf.observed], [build(d)])
    given = density.prepare(tuple(density.arguments(surveyed)))
    both = jax.jit(jax.value_and_grad(density.log_density))
    rest = stats.norm.logpdf(0.0, 0.0, 2.0) + stats.halfnorm.logpdf(1.0)  # beta and sigma; log sigma adds 0
    for score in SCORES:
        position = dict.fromkeys(("alpha", "beta", "sigma"), 0.0) | {"alpha": -score}
        z = np.array([position[str(rv.name)] for rv in build(d).free_RVs])
        value, slope = both(z, given)
        np.testing.assert_allclose(value, log_ndtr(-score) + stats.norm.logpdf(score, 0, 5) + rest, rtol=1e-12)
        hazard = np.exp(stats.norm.logpdf(score) - log_ndtr(-score))
        np.testing.assert_allclose(slope[0], hazard + score / 25.0, rtol=1e-10, atol=1e-12)
        assert np.isfinite(slope).all()


def test_planned_times_do_not_change_the_density():
    without = units([1.0, 2.0, 3.0], [1, 0, 1])
    planned = units([1.0, 2.0, 3.0], [1, 0, 1], planned=[4.0, 2.0, 3.5])
    point = {"alpha": np.array(0.3), "beta": np.zeros(1), "sigma_log__": np.array(0.2)}
    values = [build(d).compile_logp(mode=PLAIN)(point) for d in (without, planned)]
    assert values[0] == values[1]


def test_a_time_beyond_its_bound_is_impossible():
    model = build(units([1.0, 2.0], [1, 1], planned=[4.0, 4.0]))
    value = pm.logp(model["y_obs"], np.array([4.0, 4.5]))
    fn = model.compile_fn(model.replace_rvs_by_values([value])[0], inputs=model.value_vars, mode=PLAIN)
    found = fn({"alpha": np.array(1.0), "beta": np.zeros(1), "sigma_log__": np.array(0.0)})
    assert found[0] == pytest.approx(stats.norm.logsf(np.log(4.0) - 1.0))
    assert found[1] == -np.inf


@pytest.mark.parametrize(("time", "event"), [([5.0, 1.0], [0, 1]), ([5.0, 1.0], [1, 1]), ([4.0, 1.0], [1, 1])])
def test_times_beyond_the_plan_are_refused(time, event):
    with pytest.raises(DataError, match="1 rows do not comply, first rows 0"):
        build(units(time, event, planned=[4.0, 4.0]))


def test_simulated_times_are_lognormal_cut_at_the_plan():
    draws, sigma, log_median, end = 4000, 0.8, 0.7, 2.5
    model = pm.do(
        build(units([1.0, 1.5], [1, 1], planned=[end, end], x=2.0)), {"alpha": 0.1, "beta": [0.3], "sigma": sigma}
    )
    times = pm.draw(model["y_obs"], draws=draws, random_seed=41, mode=PLAIN)
    assert times.shape == (draws, 2)
    assert times.max() == end
    law = stats.lognorm(sigma, scale=np.exp(log_median))
    survive = law.sf(end)
    error = np.sqrt(survive * (1 - survive) / times.size)
    assert abs((times == end).mean() - survive) < 4 * error
    seen = times[times < end]
    assert stats.kstest(law.cdf(seen) / (1 - survive), "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(times.T)[0, 1]) < 4 / np.sqrt(draws)


def test_the_event_is_drawn_with_the_time_and_the_end_of_observation_stays():
    base = units([1.0, 2.0, 3.0, 1.5], [1, 0, 1, 0], planned=[4.0, 2.0, 3.5, 3.0])
    end = np.array([4.0, 2.0, 3.5, 1.5])  # the last unit was lost before its planned end, and is lost then again
    np.testing.assert_array_equal(censoring_bounds(base), end)
    found = from_draws(base, {"y_obs": np.array([4.0, 1.0, 3.5, 1.5])})
    np.testing.assert_array_equal(found["event"], [0, 1, 0, 0])
    made = simulator(build, base, parse_truth({"alpha": 0.7, "sigma": 1.0}))
    assert made.replaced == ("time", "event", "censoring_time")
    drawn = [made.draw(seed) for seed in range(200)]
    for d in drawn:
        np.testing.assert_array_equal(d.dataset["censoring_time"], end)
        np.testing.assert_array_equal(d.dataset["event"], d.dataset["time"] < end)
    shares = np.mean([d.dataset["event"] for d in drawn], axis=0)
    exact = stats.norm.cdf((np.log(end) - 0.7) / 1.0)
    assert (abs(shares - exact) < 4 * np.sqrt(exact * (1 - exact) / len(drawn))).all()


def test_its_data_are_data_for_the_weibull_model_and_the_coefficients_have_one_name():
    base = units([1.0, 2.0, 3.0], [1, 0, 1], planned=[4.0, 2.0, 3.5])
    drawn = simulator(build, base).draw(1)
    other = survival.build(drawn.dataset)
    np.testing.assert_array_equal(other.rvs_to_values[other["y_obs"]].data, drawn.dataset["time"])
    shared = {str(v.name) for v in other.unobserved_RVs} & set(drawn.truth)
    assert shared == {"alpha", "beta", "median_time"}


def test_whether_it_can_simulate_is_said(heart):
    reason = can_simulate(heart)
    assert reason is not None
    assert reason.startswith("survival_lognormal needs the planned end of observation of every unit")
    assert f"{heart['event'].sum()} of 69 units have an event" in reason
    assert can_simulate(units([1.0, 2.0], [1, 0], planned=[3.0, 2.0])) is None
    assert can_simulate(units([1.0, 2.0], [0, 0])) is None


def test_ints_are_safe(heart):
    assert_ints_are_safe(build, heart, alpha_mean=6, alpha_sigma=36, beta_mean=1, beta_sigma=36, sigma_scale=36)
