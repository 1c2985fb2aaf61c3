"""Fits of one batch to real datasets: each is refused, drawn and completed by its own model."""

import dataclasses

import numpy as np
import pymc as pm
import pytest
import xarray as xr

from bayesrun.planning.fingerprint import fingerprint
from bayesrun.types import Dataset, SamplerOptions, Steps, Target
from bayesrun.work.building import sharing_arrays
from bayesrun.work.case import Case, Fitted
from bayesrun.work.steps import do_steps
from bayesrun.work.worker import execute
from tiny_models import DATA, NO_STEPS, batch, build, spec

LANES = {
    "sampler": Target("numpyro", "bayesrun.samplers.numpyro.sample"),
    "options": SamplerOptions(draws=30, tune=30, chains=2, batch_size=3),
    "steps": NO_STEPS,
}
OTHERS = [Dataset({"y": DATA["y"] + shift}, DATA.dims, DATA.coords) for shift in (5.0, -5.0)]


def recipe(key: str, data: Dataset, **fields):
    own = {"data_hash": data.digest(), "fingerprint": fingerprint(build, build(data), data)}
    return spec(key, **LANES | own | fields)


def test_one_of_a_batch_that_means_something_else_now_fails_alone(store):
    for data in OTHERS:
        store.write_data(data)
    wrong = recipe("b", OTHERS[0], fingerprint="-another")
    found = execute(batch(recipe("a", DATA), wrong, recipe("c", OTHERS[1])), store)
    outcomes = {outcome.key: outcome for outcome in found}
    assert {key: outcome.status for key, outcome in outcomes.items()} == {"a": "done", "b": "failed", "c": "done"}
    assert "builds another model here than when the plan was made" in outcomes["b"].message
    assert {outcomes[key].effort["together"] for key in "ac"} <= {2, 3}
    means = {key: float(store.read_tree(key)["posterior"]["theta"].mean()) for key in "ac"}
    assert means["a"] > 0 > means["c"]


def levels(data: Dataset, registered: bool = False) -> pm.Model:
    """Groups whose prior means stand on a covariate of theirs, and rows of these groups."""
    with pm.Model(coords={"group": range(3), "obs": range(data["y"].size)}) as model:
        size = pm.Data("size", data["size"]) if registered else data["size"]
        slope = pm.Normal("slope", 0.0, 1.0)
        level = pm.Normal("level", slope * size, 1.0, dims="group")
        pm.Normal("y_obs", level[data["group"]] + data["x"], 0.1, observed=data["y"], dims="obs")
    return model


def grouped() -> Dataset:
    rng = np.random.default_rng(5)
    group = np.arange(9) % 3
    return Dataset(
        {"size": np.array([1.0, 2.5, 4.0]), "group": group, "x": rng.normal(size=9), "y": rng.normal(size=9)}
    )


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.usefixtures("interpreted")
def test_predictions_are_made_from_the_draws_by_a_model_that_shares_what_is_compiled(registered):
    """No level is drawn anew, though its prior has a shared array in it; the numbers are those of the plain model."""
    data = grouped()
    wanted = Steps(prior_draws=20, log_likelihood=False, figures=False)
    own = spec(model=Target("levels", "test_real_datasets.levels", {}), steps=wanted)
    level = np.broadcast_to(np.array([100.0, 200.0, 300.0]), (2, 4, 3))
    draws = xr.Dataset({"slope": (("chain", "draw"), np.ones((2, 4))), "level": (("chain", "draw", "group"), level)})
    found = {}
    for kind, base in (("real", None), ("simulated", data)):
        tree = xr.DataTree.from_dict({"posterior": draws})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bayesrun.work.steps.builder_of", lambda _: lambda given: levels(given, registered))
            patch.setattr("bayesrun.work.steps.import_target", lambda *_: levels)
            patch.setattr("bayesrun.work.steps.module_constant", lambda *_: None)
            found[kind] = do_steps(Fitted(tree), Case(own, data, base), dataclasses.replace(wanted, figures=False)).tree
    predicted = found["real"]["posterior_predictive"]["y_obs"]
    expected = level[..., data["group"]] + data["x"]
    assert np.abs(predicted.values - expected).max() < 1.0
    for group, name in (("posterior_predictive", "y_obs"), ("prior_predictive", "y_obs"), ("prior", "level")):
        np.testing.assert_allclose(found["real"][group][name], found["simulated"][group][name], rtol=1e-12)


def test_only_real_data_are_shared():
    data = grouped()
    plain = sharing_arrays(Case(spec(), data, base=data), levels)
    shared = sharing_arrays(Case(spec(), data), levels)
    assert not _shared(plain)
    assert sorted(_shared(shared)) == [(3,), (9,), (9,), (9,)]


def _shared(model: pm.Model) -> list[tuple[int, ...]]:
    from pytensor.compile.sharedvalue import SharedVariable
    from pytensor.graph.traversal import ancestors

    values = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    found = {v for v in ancestors([*model.basic_RVs, *values]) if isinstance(v, SharedVariable)}
    return [v.get_value().shape for v in found if np.ndim(v.get_value())]
