"""What is left out of a posterior.nc is made again from its draws when it is wanted; nothing that is stored is lost."""

import dataclasses

import numpy as np
import pytest

from bayesrun.planning.completion import is_complete, missing_steps
from bayesrun.types import Kept, Outcome, Steps
from bayesrun.types.kept import GROUPS
from bayesrun.work.worker import execute
from fake_samplers import calls
from tiny_models import batch, spec

pytestmark = pytest.mark.usefixtures("interpreted")

STEPS = Steps(prior_draws=30, figures=False)
LEAN = Kept(("lean",))


def one(store, **fields) -> Outcome:
    (outcome,) = execute(batch(spec(**fields)), store)
    assert outcome.status == "done", outcome.message
    return outcome


def stored(store):
    tree = store.read_tree("k0")
    return set(tree.children), set(tree["posterior"].data_vars)


def test_lean_keeps_the_free_variables_and_what_is_small(store):
    outcome = one(store, steps=STEPS, kept=LEAN)
    assert stored(store) == ({"posterior", "sample_stats", "observed_data", "loo"}, {"theta"})
    assert set(outcome.left_out) == {*GROUPS, "double"}
    assert store.read_outcome("k0") == outcome
    assert outcome.steps == STEPS
    assert "elpd_loo" in outcome.diagnostics
    assert {"theta", "double"} <= set(store.read_summary("k0").index)


def test_a_list_is_kept_beside_that(store):
    one(store, steps=STEPS, kept=Kept(("log_likelihood", "double")))
    groups, variables = stored(store)
    assert groups == {"posterior", "sample_stats", "observed_data", "loo", "log_likelihood"}
    assert variables == {"theta", "double"}


def test_from_lean_to_all_draws_nothing_and_gives_the_same(store, tmp_path):
    log = {"log": str(tmp_path / "log")}
    first = one(store, steps=STEPS, extra=log)
    whole, summary = store.read_tree("k0"), store.read_summary("k0")
    store.forget_fit("k0")
    lean = one(store, steps=STEPS, extra=log, kept=LEAN)
    assert is_complete(lean, spec(steps=STEPS, kept=LEAN))
    assert not is_complete(lean, spec(steps=STEPS))
    again = one(store, steps=STEPS, extra=log)
    assert len(calls(tmp_path / "log")) == 2
    assert is_complete(again, spec(steps=STEPS))
    assert again.left_out == ()
    back = store.read_tree("k0")
    for group in whole.children:
        for name, values in whole[group].data_vars.items():
            np.testing.assert_allclose(back[group][name], values, rtol=1e-12, err_msg=f"{group} {name}")
    assert again.diagnostics == pytest.approx(first.diagnostics)
    np.testing.assert_allclose(store.read_summary("k0"), summary, rtol=1e-9)


def test_from_all_to_lean_removes_nothing_that_is_stored(store):
    one(store, steps=dataclasses.replace(STEPS, posterior_predictive=False))
    outcome = one(store, steps=STEPS, kept=LEAN)
    groups, variables = stored(store)
    assert "log_likelihood" in groups
    assert "posterior_predictive" not in groups
    assert variables == {"theta", "double"}
    assert outcome.left_out == ("posterior_predictive",)


def test_a_lean_fit_is_completed_by_what_needs_its_log_likelihood(store, tmp_path):
    log = {"log": str(tmp_path / "log")}
    wanted = spec(steps=STEPS, kept=LEAN, extra=log)
    (lean,) = execute(batch(wanted), store)
    waic = dataclasses.replace(wanted, diagnostics=dataclasses.replace(wanted.diagnostics, waic=True))
    (more,) = execute(batch(waic), store)
    assert "elpd_waic" not in lean.diagnostics
    assert "elpd_waic" in more.diagnostics
    assert more.diagnostics["elpd_loo"] == pytest.approx(lean.diagnostics["elpd_loo"])
    assert set(more.left_out) == set(lean.left_out)
    assert "log_likelihood" not in stored(store)[0]
    assert len(calls(tmp_path / "log")) == 1


def test_single_precision_is_made_double_again_when_that_is_wanted(store):
    one(store, steps=STEPS, kept=Kept(single=True))
    small = store.read_tree("k0")["log_likelihood"]["y"].values
    assert np.array_equal(small, small.astype(np.float32))
    assert missing_steps(store.read_outcome("k0"), spec(steps=STEPS)).log_likelihood
    one(store, steps=STEPS)
    double = store.read_tree("k0")["log_likelihood"]["y"].values
    assert not np.array_equal(double, double.astype(np.float32))
    np.testing.assert_allclose(double, small, rtol=1e-6)
    assert not store.read_outcome("k0").single
    one(store, steps=STEPS, kept=Kept(single=True))
    np.testing.assert_array_equal(store.read_tree("k0")["log_likelihood"]["y"], double)
