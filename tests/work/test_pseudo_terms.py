"""Terms that are no log densities are no part of a log-likelihood, and what LOO does not see is told beside it."""

import dataclasses
import warnings

import numpy as np
import pymc as pm
import pytest
import xarray as xr

from bayesrun.samplers.advi import sample
from bayesrun.statistics.fit_summary import diagnose
from bayesrun.statistics.loo import LOO_FACTS
from bayesrun.types import DiagnosticsOptions, SamplerOptions, Target
from bayesrun.work.attempts import Attempts
from bayesrun.work.case import Case
from bayesrun.work.fit import fit, fits
from bayesrun.work.steps import do_steps
from bayesrun.work.worker import measured
from tiny_models import DATA, NO_STEPS, spec

pytestmark = [
    pytest.mark.usefixtures("interpreted"),
    pytest.mark.filterwarnings("ignore:RandomVariable Ops will stop hiding:DeprecationWarning"),  # PyMC's own calls
    pytest.mark.filterwarnings("ignore:Calling a RandomVariable without an explicit rng:DeprecationWarning"),
]

LIKELIHOOD = dataclasses.replace(NO_STEPS, log_likelihood=True)
OTHER = np.array([0.1, 0.7, 0.2, 0.5, 0.9])
BESIDE = {
    "simulator": lambda theta: pm.Simulator("z", _around, theta, observed=OTHER),
    "scaled": lambda theta: pm.Normal("z", theta, 1.0, observed=OTHER, total_size=50),
    "potential": lambda theta: pm.Potential("z", -0.5 * (OTHER - theta) ** 2),
    "penalty": lambda theta: pm.Potential("z", -0.5 * theta**2),
}


def _around(rng, theta, size):
    return rng.normal(theta, 1.0, size=size)


def build(data, kind):
    """theta ~ N(0, 2), y ~ N(theta, 1), and something else that depends on theta."""
    with pm.Model() as model, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theta = pm.Normal("theta", 0.0, 2.0)
        pm.Normal("y", theta, 1.0, observed=data["y"])
        BESIDE[kind](theta)
    return model


def batch(data):
    """theta ~ N(0, 2), and a random batch of observations."""
    with pm.Model() as model, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theta = pm.Normal("theta", 0.0, 2.0)
        pm.Normal("y", theta, 1.0, observed=pm.Minibatch(np.linspace(-1.0, 2.0, 60), batch_size=10), total_size=60)
    return model


def recipe(kind, loo_var=None):
    return spec(
        model=Target("tiny", f"{__name__}.build", {"kind": kind}),
        options=SamplerOptions(draws=200, chains=2),
        steps=LIKELIHOOD,
        diagnostics=DiagnosticsOptions(loo_var=loo_var),
    )


@pytest.mark.parametrize(("kind", "why"), [("simulator", "a kernel on simulated values"), ("scaled", "total_size")])
def test_the_terms_of_what_has_a_density_stay(kind, why):
    found = fit(recipe(kind), DATA)
    assert list(found.tree["log_likelihood"].data_vars) == ["y"]
    of_all, _ = measured(Case(recipe(kind), DATA), found)
    assert not set(LOO_FACTS) & set(of_all.facts)
    assert of_all.absent["elpd_loo"].startswith("2 observed variables (y, z), and ")
    assert why in of_all.absent["elpd_loo"]
    assert of_all.absent["elpd_loo"].endswith("diagnostics.loo_var=y")
    of_one, _ = measured(Case(recipe(kind, "y"), DATA), found)
    assert of_one.facts["n_loo_terms"] == DATA["y"].size
    of_other, _ = measured(Case(recipe(kind, "z"), DATA), found)
    assert why in of_other.absent["elpd_loo"]


def test_terms_that_a_sampler_worked_out_lose_those_that_are_none():
    case = Case(recipe("scaled"), DATA)
    ((_, found),) = fits([case])
    draws = found.tree["posterior"]["theta"]
    terms = {name: -0.5 * (xr.DataArray(DATA["y"], dims="row") - draws) ** 2 for name in ("y", "z")}
    found.tree["log_likelihood"] = xr.DataTree(xr.Dataset(terms))
    do_steps(found, case, LIKELIHOOD)
    assert list(found.tree["log_likelihood"].data_vars) == ["y"]
    assert found.tree["log_likelihood"].to_dataset()["y"].equals(terms["y"])


@pytest.mark.parametrize(("kind", "told"), [("potential", True), ("penalty", False)])
def test_loo_tells_of_a_potential_that_holds_as_many_values(kind, told):
    facts, _ = measured(Case(recipe(kind), DATA), fit(recipe(kind), DATA))
    assert facts.facts["n_loo_terms"] == DATA["y"].size
    beside = [line for line in facts.warnings if line.startswith("elpd_loo leaves out values of y one at a time")]
    assert len(beside) == told
    assert all("the Potential z is a likelihood of 5 values that LOO does not see" in line for line in beside)


def test_loo_beside_a_potential_leaves_its_terms_where_they_are():
    """All is normal: one value of y is left out, and the other four, those of the Potential and the prior stay."""
    options = dataclasses.replace(recipe("potential"), options=SamplerOptions(draws=200, chains=2))
    found = fit(options, DATA)
    rng = np.random.default_rng(3)
    precision = 0.25 + 2 * DATA["y"].size
    exact = rng.normal((DATA["y"].sum() + OTHER.sum()) / precision, precision**-0.5, (2, 20_000))
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"theta": (("chain", "draw"), exact)}),
            "log_likelihood": xr.Dataset(
                {"y": (("chain", "draw", "row"), -0.5 * (DATA["y"] - exact[..., None]) ** 2 - 0.5 * np.log(2 * np.pi))},
                attrs=found.tree["log_likelihood"].attrs,
            ),
        }
    )
    facts = diagnose(tree, "nuts", DiagnosticsOptions()).facts
    left = precision - 1.0
    mean = (DATA["y"].sum() + OTHER.sum() - DATA["y"]) / left
    variance = 1.0 + 1.0 / left
    expected = (-0.5 * np.log(2 * np.pi * variance) - 0.5 * (DATA["y"] - mean) ** 2 / variance).sum()
    assert abs(facts["elpd_loo"] - expected) < 0.02


def test_a_random_batch_has_no_khat():
    (tree,) = sample(batch, [DATA], [1], SamplerOptions(draws=100, chains=1, iterations=50))
    assert "lp" not in tree["sample_stats"]
    found = diagnose(tree, "variational", DiagnosticsOptions())
    assert found.absent["khat"].startswith("the model's density is another one each time")
    assert np.isfinite(found.facts["elbo"])


def test_what_cannot_be_left_out_is_the_reason():
    asked = spec(model=Target("tiny", f"{__name__}.batch", {}), steps=LIKELIHOOD)
    case, attempt = Case(asked, DATA), Attempts()
    ((_, found),) = fits([case])
    do_steps(found, case, LIKELIHOOD, attempt)
    assert attempt.absent["log_likelihood"].kind == "cannot"
    assert "log_likelihood" not in found.tree.children
