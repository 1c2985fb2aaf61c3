"""How far truth spreads before its data are seen: by formula, or drawn with an error that is the right one."""

import dataclasses

import numpy as np
import pymc as pm
import pytensor
import pytest

from bayesrun.data.design import design
from bayesrun.simulate.draws import compile_model
from bayesrun.simulate.spread import spread
from bayesrun.simulate.truth import PRIOR
from bayesrun.statistics.measures import contraction
from bayesrun.store.folder import Store
from bayesrun.types import DiagnosticsOptions, Simulation, Steps, Target
from bayesrun.work.datasets import Sources
from bayesrun.work.worker import execute
from tiny_models import DATA, batch, spec, stored

pytestmark = pytest.mark.usefixtures("interpreted")

KNOWN = {
    "normal": lambda: pm.Normal.dist([1.0, 2.0], 2.0),
    "half_normal": lambda: pm.HalfNormal.dist(2.0),
    "student": lambda: pm.StudentT.dist(nu=9.0, mu=1.0, sigma=2.0),
    "half_student": lambda: pm.HalfStudentT.dist(nu=9.0, sigma=2.0),
    "exponential": lambda: pm.Exponential.dist(2.0),
    "gamma": lambda: pm.Gamma.dist(2.0, 3.0),
    "inverse_gamma": lambda: pm.InverseGamma.dist(alpha=9.0, beta=2.0),
    "beta": lambda: pm.Beta.dist(2.0, 3.0),
    "uniform": lambda: pm.Uniform.dist(-1.0, 3.0),
    "lognormal": lambda: pm.LogNormal.dist(0.3, 0.4),
    "laplace": lambda: pm.Laplace.dist(1.0, 2.0),
}
NONE = {
    "cauchy": lambda: pm.Cauchy.dist(0.0, 1.0),
    "half_cauchy": lambda: pm.HalfCauchy.dist(2.0),
    "student": lambda: pm.StudentT.dist(nu=2.0, mu=0.0, sigma=1.0),
    "half_student": lambda: pm.HalfStudentT.dist(nu=1.5, sigma=1.0),
    "inverse_gamma": lambda: pm.InverseGamma.dist(alpha=2.0, beta=1.0),
}


def of_priors(priors):
    with pm.Model() as model:
        for name, prior in priors.items():
            model.register_rv(prior(), name)
        pm.Normal("y", 0.0, 1.0, observed=np.zeros(3))
    return spread(compile_model(model, PRIOR))


def test_formulas_are_those_of_the_draws():
    found = of_priors(KNOWN)
    for name, prior in KNOWN.items():
        draws = pm.draw(prior(), draws=20_000, random_seed=3)
        centred = draws - draws.mean(axis=0)
        second = (centred**2).mean(axis=0)
        error = np.sqrt(((centred**4).mean(axis=0) / second**2 - 1) / len(draws)) / 2
        assert found.sd[name].shape == draws.shape[1:]
        assert (np.abs(draws.std(axis=0) / found.sd[name] - 1) < 4 * error).all(), name
        assert (found.mcse[name] == 0).all()


def test_a_prior_without_a_variance_has_no_sd():
    found = of_priors(NONE)
    assert {name: float(values) for name, values in found.sd.items()} == dict.fromkeys(NONE, np.inf)


@pytest.fixture(scope="module")
def derived():
    """What has no formula: a hierarchy, what is worked out from it, counts, and a ratio without moments."""
    with pytensor.config.change_flags(mode="FAST_COMPILE"), pm.Model() as model:
        centre, width = pm.Normal("centre", 0.0, 2.0), pm.HalfNormal("width", 2.0)
        group = pm.Normal("group", centre, width, shape=4)
        pm.Deterministic("double", 2.0 * centre)
        pm.Deterministic("ratio", centre / pm.Normal("other", 0.0, 1.0))
        pm.Deterministic("constant", 0.0 * centre + 3.0)
        pm.Poisson("count", 4.0)
        seen = pm.Normal("y", group, 1.0, observed=np.zeros(4))
        pm.Deterministic("of_data", 3.0 * seen)
        return spread(compile_model(model, PRIOR), unknown=("other",))


def test_what_has_no_formula_is_drawn_with_its_error(derived):
    for name, exact in {"group": np.sqrt(8.0), "double": 4.0, "count": 2.0}.items():
        away = (derived.sd[name] - exact) / derived.mcse[name]
        assert (np.abs(away) < 4).all(), name
        assert (derived.mcse[name] < 0.03 * exact).all()
    assert derived.sd["group"].shape == (4,)
    assert (float(derived.sd["constant"]), float(derived.mcse["constant"])) == (0.0, 0.0)


def test_tails_that_draws_cannot_tell_have_no_sd(derived):
    assert derived.sd["ratio"] == np.inf


def test_what_has_no_truth_is_left_out(derived):
    assert {"of_data", "other"}.isdisjoint(derived.sd)


def test_errors_are_as_large_as_they_are_said_to_be():
    """SDs of one variable over seeds: those of a normal variable scatter by SD / sqrt(2 (n - 1))."""
    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 1.0, shape=60)
        pm.Deterministic("copy", theta + 1.0)
        pm.Normal("y", 0.0, 1.0, observed=np.zeros(2))
    found = spread(compile_model(model, PRIOR))
    away = (found.sd["copy"] - 1.0) / found.mcse["copy"]
    assert 0.6 < np.sqrt(np.mean(away**2)) < 1.4


def test_a_posterior_spreads_as_its_own_draws():
    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 10.0)
        pm.Deterministic("double", 2.0 * theta)
        pm.Normal("y", theta, 1.0, observed=np.zeros(2))
    draws = 5.0 + 0.5 * np.random.default_rng(2).standard_normal(1000)
    found = spread(dataclasses.replace(compile_model(model, PRIOR), posterior={"theta": draws}))
    assert float(found.sd["theta"]) == pytest.approx(draws.std(ddof=1))
    assert float(found.sd["double"]) == pytest.approx(2 * draws.std(ddof=1))
    assert 0 < float(found.mcse["theta"]) < 0.05


# ---- in a study


@pytest.fixture
def store(tmp_path) -> Store:
    return stored(tmp_path)


def recipe(replicate: int = 0, **identity: object):
    tiny = Target("tiny", "tiny_models.build", {"scale": 2.0})
    simulation = Simulation(tiny, "", identity={"kind": "prior"} | identity, base_hash=DATA.digest())
    steps = Steps(prior_predictive=False, posterior_predictive=False, log_likelihood=True, figures=False)
    fields = {"simulation": simulation, "data_seed": replicate, "diagnostics": DiagnosticsOptions(ranks=49)}
    return spec(f"k{replicate}", replicate=replicate, steps=steps, **fields)


def test_fits_have_the_prior_sd_of_what_has_one(store):
    one = recipe()
    Sources(store).keep_spread(one)
    (outcome,) = execute(batch(one), store)
    summary = store.read_summary(outcome.key)
    assert summary.loc["theta", ["prior_sd", "prior_sd_mcse"]].tolist() == [2.0, 0.0]
    drawn = summary.loc["double"]
    assert abs(drawn["prior_sd"] - 4.0) < 4 * drawn["prior_sd_mcse"] < 0.5
    assert np.isnan(summary.loc["log_likelihood", "prior_sd"])
    before = store.array_file(next((store.root / "data").glob("spread-*")).stem).stat().st_mtime_ns
    Sources(store).keep_spread(recipe(1))  # of the same generator: nothing is drawn again
    assert next((store.root / "data").glob("spread-*")).stat().st_mtime_ns == before


def test_a_fixed_truth_has_none(store):
    one = recipe(kind="fixed")
    Sources(store).keep_spread(one)
    assert not list((store.root / "data").glob("spread-*"))
    (outcome,) = execute(batch(one), store)
    assert "prior_sd" not in store.read_summary(outcome.key)


@pytest.mark.parametrize("redraw", [False, True])
def test_what_depends_on_redrawn_covariates_has_none(store, redraw):
    """The SD of beta x is that of the covariates of the base, and those of a replicate are others."""
    params = {"n": 6, "covariates": {"x": "normal"}, "outcome": {"y": "real"}, "redraw": redraw}
    base = design(**params)
    store.write_data(base)
    lines, target = Target("line", "line_models.line"), Target("design", "bayesrun.data.design.design", params)
    simulation = Simulation(lines, "", base_hash=base.digest(), design=target if redraw else None)
    one = spec("k", model=lines, data_hash=base.digest(), simulation=simulation, data_seed=3)
    sources = Sources(store)
    sources.keep_spread(one)
    found = sources.case(one).spread
    assert found.sd["beta"] == 2.0
    assert ("mu" in found.sd) == (not redraw)
    if not redraw:
        away = (found.sd["mu"] - 2.0 * np.abs(base["x"])) / found.mcse["mu"]
        assert (np.abs(away) < 4).all()


def test_an_sd_that_is_drawn_adds_its_error_to_contraction():
    """The error is the same in all replicates, so that it does not shrink with their number."""
    rng = np.random.default_rng(1)
    sd = 0.5 + 0.01 * rng.standard_normal(400)
    before = 1.0 + 0.02 * rng.standard_normal(2000)
    found = contraction(np.tile(sd, (2000, 1)), before[:, None] + np.zeros(400), 0.02)
    assert np.mean(found.mcse) == pytest.approx(np.std(found.value), rel=0.1)
    known = contraction(sd, 1.0)
    assert known.mcse == pytest.approx(np.std(1 - sd**2, ddof=1) / 20)
    assert known.value == pytest.approx(np.mean(1 - sd**2))
    assert np.isnan(contraction(sd, np.inf).value)
