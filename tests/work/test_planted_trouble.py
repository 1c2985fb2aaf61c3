"""Trouble that is planted in small real fits, beside a healthy twin of each: the right words, and no other."""

import numpy as np
import pymc as pm
import pytest

from bayesrun.samplers import metropolis, numpyro
from bayesrun.statistics.fit_summary import diagnose
from bayesrun.statistics.gates import judge
from bayesrun.types import Dataset, DiagnosticsOptions, Gate, Outcome, SamplerOptions
from eight_schools import ERRORS, SCHOOLS

pytestmark = pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning")
LOOSE = Gate(rhat_max=1.05, ess_bulk_per_chain=25.0, ess_tail_per_chain=25.0)
"""For few draws."""


def mixture(data):
    """Two normal components of equal weight, whose means have priors that may tell them apart."""
    with pm.Model(coords={"component": ("a", "b")}) as model:
        mu = pm.Normal("mu", data["centre"], data["scale"], dims="component")
        each = -0.5 * (data["y"][:, None] - mu) ** 2
        pm.Potential("terms", pm.math.sum(pm.math.logaddexp(each[:, 0], each[:, 1])))
        pm.Normal("y_obs", 0.0, 100.0, observed=data["y"])
    return model


def schools(data):
    """The centred form, which is good where each school is known precisely."""
    with pm.Model(coords={"school": list("ABCDEFGH")}) as model:
        mu, tau = pm.Normal("mu", 0.0, 10.0), pm.HalfCauchy("tau", 5.0)
        theta = pm.Normal("theta", mu, tau, dims="school")
        pm.Normal("y_obs", theta, data["sd"], observed=data["y"])
    return model


def trap(data):
    """A mode with all of the mass, and far from it one that is as much below as the data say."""
    with pm.Model() as model:
        x = pm.Flat("x", initval=0.15)
        here, there = (-0.5 * ((x - data["at"][place]) / 0.02) ** 2 for place in (0, 1))
        pm.Potential("bumps", pm.math.logaddexp(here, there - data["below"][0]))
        pm.Normal("y_obs", 0.0, 1.0, observed=data["y"])
    return model


def told(sampler, build, data, options, centred=None):
    """Verdict of a fit."""
    tree = next(iter(sampler.sample(build, [data], [3], options)))
    model = build(data)
    found = diagnose(tree, sampler.KIND, DiagnosticsOptions(), parameters={rv.name for rv in model.free_RVs})
    outcome = Outcome("k", "c", 0, "done", diagnostics=found.facts, absent=found.absent, named=found.named)
    return judge(LOOSE, outcome, kind=sampler.KIND, centred=centred)


def test_label_switching_and_components_that_are_told_apart():
    rng = np.random.default_rng(1)
    y = np.where(rng.random(60) < 0.4, -3.0, 3.0) + rng.standard_normal(60)
    alike = Dataset({"y": y, "centre": np.zeros(2), "scale": np.full(2, 5.0)})
    switched = told(numpyro, mixture, alike, SamplerOptions(draws=100, tune=200, chains=6))
    assert switched.failures[0].startswith("label switching: the chains agree as soon as the 2 components of mu are in")
    assert switched.remedies[0].startswith("order the components by mu")
    assert not any("mode" in text or "drift" in text for text in switched.failures)
    apart = Dataset({"y": y, "centre": np.array([-3.0, 3.0]), "scale": np.full(2, 0.5)})
    assert told(numpyro, mixture, apart, SamplerOptions(draws=100, tune=200, chains=6)).failures == ()


def test_a_funnel_and_a_twin_whose_groups_are_known_precisely():
    options = SamplerOptions(draws=200, tune=200, chains=4, target_accept=0.8)
    centred = {"theta": ("mu", "tau")}
    funnel = told(numpyro, schools, Dataset({"y": SCHOOLS, "sd": ERRORS}), options, centred)
    assert any(text.startswith("n_divergent") for text in funnel.failures)
    assert funnel.remedies[0].startswith("theta is centred on mu, tau: use model.parameterization=noncentered")
    assert not any("switching" in text or "modes" in text for text in funnel.failures)
    healthy = told(numpyro, schools, Dataset({"y": SCHOOLS, "sd": ERRORS / 50.0}), options, centred)
    assert healthy.failures == healthy.notes == ()


@pytest.mark.parametrize("sampler", [metropolis, numpyro], ids=["metropolis", "numpyro"])
def test_a_chain_that_is_stuck_far_below(sampler):
    steps = {"scaling": 0.02, "tune_interval": 10**6} if sampler is metropolis else {}  # none from mode to mode
    options = SamplerOptions(draws=400, tune=300, chains=6, restart=False, extra=steps)
    far = Dataset({"y": np.zeros(2), "at": np.array([-0.5, 0.8]), "below": np.full(2, 400.0)})
    stuck = told(sampler, trap, far, options)
    assert "sits apart" in stuck.failures[0]
    assert "from the first draw on" in stuck.failures[0]
    assert not any("sampler.draws" in remedy for remedy in stuck.remedies)
    near = Dataset({"y": np.zeros(2), "at": np.full(2, -0.5), "below": np.full(2, 400.0)})
    assert told(sampler, trap, near, options).failures == ()
