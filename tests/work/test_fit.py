"""The steps around the draws: each has its own seed, changes no draw, and sees every observation."""

import dataclasses
import importlib
import sys
import types

import numpy as np
import pymc as pm
import pytensor
import pytest
from numba.core import dispatcher
from pytensor.link.numba import cache

from bayesrun.base.seeds import named_seed
from bayesrun.errors import FitError
from bayesrun.planning.completion import missing_steps
from bayesrun.planning.fingerprint import fingerprint
from bayesrun.types import Dataset, Outcome, SamplerOptions, Steps, Target
from bayesrun.work.case import Case
from bayesrun.work.fit import fit, fit_case, resumed
from bayesrun.work.steps import do_steps
from model_oracles import default_data, model_config
from places import CONF
from tiny_models import DATA, NO_STEPS, build, spec

pytestmark = pytest.mark.usefixtures("interpreted")

SHIPPED = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
LIKELIHOOD = dataclasses.replace(NO_STEPS, log_likelihood=True)


def test_steps_change_no_draw():
    alone = fit(spec(), DATA).tree
    whole = fit(spec(steps=Steps(prior_draws=10)), DATA).tree
    assert alone["posterior"].to_dataset().equals(whole["posterior"].to_dataset())
    assert set(alone.children) == {"posterior", "sample_stats", "observed_data"}


def test_each_step_has_a_seed_of_its_own():
    tree = fit(spec(steps=Steps(prior_draws=100)), DATA).tree
    prior = pm.sample_prior_predictive(100, model=build(DATA), random_seed=named_seed(7, "prior_predictive"))
    np.testing.assert_array_equal(tree["prior"]["theta"], prior["prior"]["theta"])
    residual = tree["posterior_predictive"]["y"] - tree["posterior"]["theta"]
    assert abs(float(residual.mean())) < 4 / np.sqrt(residual.size)
    assert tree["posterior_predictive"]["y"].dims == ("chain", "draw", "obs")


def test_the_log_likelihood_is_that_of_every_observation():
    tree = fit(spec(steps=LIKELIHOOD), DATA).tree
    theta = tree["posterior"]["theta"].values[..., None]
    expected = -0.5 * (DATA["y"] - theta) ** 2 - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(tree["log_likelihood"]["y"].values, expected, rtol=1e-12)


def test_the_log_prior_comes_with_the_draws_of_the_prior():
    tree = fit(spec(steps=dataclasses.replace(NO_STEPS, prior_predictive=True, prior_draws=5)), DATA).tree
    expected = -((tree["posterior"]["theta"].values / 2.0) ** 2) / 2.0 - np.log(2.0) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(tree["log_prior"]["theta"].values, expected, rtol=1e-12)


def complete(tree, stored, wanted):
    missing, case = missing_steps(stored, wanted), Case(wanted, DATA)
    do_steps(resumed(tree, missing, case), case, missing)


def test_completion_does_only_what_is_missing(monkeypatch):
    done = []
    for name in ("_prior_predictive", "_posterior_predictive", "_log_likelihood"):
        real = getattr(importlib.import_module("bayesrun.work.steps"), name)
        monkeypatch.setattr(f"bayesrun.work.steps.{name}", lambda *a, n=name, f=real: (done.append(n), f(*a))[1])
    had = dataclasses.replace(NO_STEPS, log_likelihood=True, prior_predictive=True, prior_draws=5)
    tree = fit(spec(steps=had), DATA).tree
    stored = Outcome("k0", "tiny", 0, "done", steps=had, step_sources={"log_likelihood": "hook"})
    later = (
        (Steps(prior_draws=5), ["_posterior_predictive"]),
        (dataclasses.replace(had, prior_draws=6), ["_prior_predictive"]),
        (NO_STEPS, []),
    )
    for steps, expected in later:
        done.clear()
        wanted = spec(steps=steps, step_sources={"log_likelihood": "hook"})
        complete(tree, stored, wanted)
        assert done == expected
    edited = spec(steps=had, step_sources={"log_likelihood": "another"})
    complete(tree, stored, edited)
    assert done == ["_log_likelihood"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_has_a_pointwise_log_likelihood(name):
    """One term for each observed value, whose sum is the log density of the observed variable."""
    _, target, params = model_config(name)
    data = default_data(name)
    wanted = spec(
        model=Target(name, target, params),
        options=SamplerOptions(draws=2, chains=1),
        steps=dataclasses.replace(LIKELIHOOD, posterior_predictive=True),
    )
    tree = fit(wanted, data).tree
    module, function = target.rsplit(".", 1)
    model = getattr(importlib.import_module(module), function)(data, **params)
    (rv,) = model.observed_RVs
    terms = tree["log_likelihood"][rv.name]
    assert terms.dims == ("chain", "draw", *model.named_vars_to_dims[rv.name])
    assert terms[0, 0].size == tree["observed_data"][rv.name].size > 1
    assert terms.dtype == np.float64
    assert tree["posterior_predictive"][rv.name].shape == terms.shape
    density = model.compile_fn(model.logp(vars=[rv]), inputs=model.value_vars, point_fn=True, on_unused_input="ignore")
    for draw in range(2):
        values = {v.name: tree["posterior"][v.name].values[0, draw] for v in model.free_RVs}
        point = {}
        for free in model.free_RVs:
            transform = model.rvs_to_transforms[free]
            value = values[free.name]
            if transform is not None:
                value = transform.forward(pytensor.tensor.as_tensor(value), *free.owner.inputs).eval()
            point[model.rvs_to_values[free].name] = value
        np.testing.assert_allclose(terms[0, draw].sum(), density(point), rtol=1e-6)


def test_a_model_that_is_no_longer_the_planned_one_is_refused():
    planned = fingerprint(build, build(DATA))
    assert fit(spec(fingerprint=planned), DATA).tree is not None
    other = spec(fingerprint=planned, model=Target("tiny", "tiny_models.build", {"scale": 3.0}))
    with pytest.raises(FitError, match=r"tiny_models\.build builds another model here than when the plan was made"):
        fit(other, DATA)


OTHERS = [Dataset({"y": DATA["y"] + shift}, DATA.dims, DATA.coords) for shift in (0.5, -1.0, 2.0)]


@pytest.mark.parametrize("name", ["nuts", "advi", "fullrank_advi", "metropolis", "smc"])
def test_simulated_data_give_the_draws_that_real_ones_would(name):
    """The graph holds shared variables in the place of the constants; beyond rounding that changes nothing."""
    options = SamplerOptions(draws=30, tune=30, chains=2, iterations=200)
    wanted = spec(sampler=Target(name, f"bayesrun.samplers.{name}.sample"), options=options, steps=LIKELIHOOD)
    simulated, real = (fit_case(Case(wanted, OTHERS[0], base=base)).tree for base in (DATA, None))
    np.testing.assert_array_equal(simulated["observed_data"]["y"], OTHERS[0]["y"])
    for group in ("posterior", "log_likelihood"):
        for variable, draws in real[group].data_vars.items():
            np.testing.assert_allclose(simulated[group][variable], draws, rtol=1e-8)


def test_the_terms_of_a_hook_are_those_of_the_dataset():
    _, target, params = model_config("ar1")
    base = default_data("ar1")
    data = Dataset({"y": base["y"][::-1].copy()}, base.dims, base.coords)
    model = Target("ar1", target, params)
    terms = [
        fit_case(
            Case(spec(model=model, options=SamplerOptions(draws=2, chains=1), steps=LIKELIHOOD), data, base=of)
        ).tree["log_likelihood"]["y_obs"]
        for of in (base, None)
    ]
    np.testing.assert_allclose(*terms, rtol=1e-10)
    assert terms[0].dims == ("chain", "draw", "obs")


@pytest.fixture
def compilations(tmp_path, monkeypatch):
    """Names of the functions that Numba compiles, with an empty cache of compiled functions to begin with."""
    made = []
    real = dispatcher._FunctionCompiler.compile

    def compiled(self, args, return_type):
        made.append(self.py_func.__qualname__)
        return real(self, args, return_type)

    monkeypatch.setattr(dispatcher._FunctionCompiler, "compile", compiled)
    monkeypatch.setattr(cache, "NUMBA_CACHE_PATH", tmp_path)
    with pytensor.config.change_flags(mode="NUMBA"):
        yield made


def test_a_second_dataset_compiles_nothing(compilations):
    options = SamplerOptions(draws=5, tune=5, chains=1)
    nuts = spec(sampler=Target("nuts", "bayesrun.samplers.nuts.sample"), options=options, steps=LIKELIHOOD)
    for data, base, compiles in [
        (OTHERS[0], DATA, True),
        (OTHERS[1], DATA, False),
        (OTHERS[2], DATA, False),
        (OTHERS[2], None, True),  # real data stay constants
    ]:
        compilations.clear()
        fit_case(Case(nuts, data, base=base))
        assert bool(compilations) == compiles


@pytest.mark.parametrize("name", ["nuts", "numpyro"])
def test_nutpie_is_never_used_even_when_it_is_installed(monkeypatch, name):
    class Trap(types.ModuleType):
        def __getattr__(self, attribute):
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            raise AssertionError(f"nutpie.{attribute} was used")

    monkeypatch.setitem(sys.modules, "nutpie", Trap("nutpie"))
    found = fit(
        spec(
            sampler=Target(name, f"bayesrun.samplers.{name}.sample"), options=SamplerOptions(draws=5, tune=5, chains=1)
        ),
        DATA,
    )
    assert found.tree["posterior"].sizes["draw"] == 5


def test_a_log_prior_that_cannot_be_worked_out_costs_no_fit_and_is_said(monkeypatch):
    def broken(*_):
        raise NotImplementedError("no density of Odd")

    monkeypatch.setattr("bayesrun.work.steps.log_prior", broken)
    found = fit(spec(steps=Steps(posterior_predictive=False, log_likelihood=False, figures=False)), DATA)
    assert "log_prior" not in found.tree.children
    assert found.warnings == (
        "whether prior and likelihood disagree is not known: the log density of the prior: NotImplementedError: no "
        "density of Odd",
    )
