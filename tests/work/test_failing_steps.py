"""Whatever becomes of a step after drawing, the draws are there, and the next command does what is missing."""

import dataclasses
import signal

import numpy as np
import pytest

from bayesrun.planning.completion import is_complete, unmet
from bayesrun.report import real_data
from bayesrun.statistics.states import EXIT_CODES, study_state
from bayesrun.store.folder import Store
from bayesrun.types import Absent, Batch, DiagnosticsOptions, FitSpec, Outcome, Steps, Target, Try
from bayesrun.work.worker import execute, kept
from checked_cells import checked
from fake_samplers import calls
from step_faults import RULE, STEPS, in_another_process, plant
from tiny_models import NO_STEPS, batch, spec, stored

pytestmark = pytest.mark.usefixtures("interpreted")

ASKED = DiagnosticsOptions(quantities={"size": "step_faults.size"}, decisions=(RULE,))
GROUPS = {"log_likelihood", "prior_predictive", "posterior_predictive"}


def wanted(log, timeout: float | None = None, *, figures: bool = False) -> FitSpec:
    steps = Steps(prior_draws=30, timeout=timeout, figures=figures)
    return spec(extra={"log": str(log)}, steps=steps, diagnostics=ASKED)


def one(store: Store, asked: FitSpec) -> Outcome:
    (outcome,) = execute(batch(asked), store)
    return outcome


def exit_code(outcome: Outcome, asked: FitSpec) -> int:
    known = {asked.key: (asked, checked(asked.cell, simulation=None, replicates=1))}
    found = real_data.states(real_data.standings(known, [real_data.row(known, outcome)]))
    return EXIT_CODES[study_state(found.values())]


def check_whole(store: Store, outcome: Outcome, asked: FitSpec) -> None:
    assert (outcome.status, outcome.absent_steps) == ("done", {})
    assert is_complete(store.done(asked.key), asked)
    assert set(store.read_tree(asked.key).children) >= GROUPS
    assert {"size", "theta"} <= set(store.read_summary(asked.key).index)
    assert (store.fit_folder(asked.key) / "figures" / "trace.png").exists() == asked.steps.figures
    assert not (store.fit_folder(asked.key) / "error.txt").exists()
    assert not store.mark(asked.key).exists()
    assert exit_code(outcome, asked) == 0


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", ["failed", "timeout"])
def test_a_step_that_fails_is_absent_and_done_by_the_next_command(store, log, monkeypatch, step, fault):
    asked = wanted(log, timeout=600.0 if fault == "timeout" else None, figures=step.startswith("figure"))
    with monkeypatch.context() as patch:
        plant(patch, step, fault)
        outcome = one(store, asked)
    assert (outcome.status, outcome.absent_steps[step].kind) == ("done", fault)
    why = {"failed": "failed: ValueError: not today", "timeout": "took longer than 600 s, and was stopped after "}
    assert str(outcome.absent_steps[step]).startswith(why[fault])
    assert store.done("k0") == outcome
    assert store.read_tree("k0")["posterior"].sizes == {"chain": 2, "draw": 50}
    assert (fault == "failed") == (store.fit_folder("k0") / "error.txt").exists()
    assert step in unmet(outcome, asked)
    assert exit_code(outcome, asked) == 1
    # whoever does not ask for it has a whole fit
    if step in GROUPS:
        assert not unmet(outcome, dataclasses.replace(asked, steps=NO_STEPS))
    check_whole(store, one(store, asked), asked)
    assert len(calls(log)) == 1


@pytest.mark.parametrize("step", STEPS)
def test_a_fit_that_is_killed_in_a_step_keeps_its_draws(store, log, monkeypatch, step):
    asked = wanted(log, figures=step.startswith("figure"))

    def work() -> None:
        plant(monkeypatch, step, "lost")
        one(store, asked)

    assert in_another_process(work) == signal.SIGKILL
    before = store.read_tree("k0")["posterior"].to_dataset()
    assert store.mark("k0").read_text() == step
    assert store.done("k0") is None
    # a worker of the same command goes on without that step
    again = Batch((asked,), batch(asked).resources, tried={"k0": (Try("lost", 1, 1.0),)})
    (outcome,) = execute(again, store)
    assert {name: why.kind for name, why in outcome.absent_steps.items() if why.kind == "lost"} == {step: "lost"}
    assert exit_code(outcome, asked) == 1
    check_whole(store, one(store, asked), asked)
    assert store.read_tree("k0")["posterior"].to_dataset().identical(before)
    assert len(calls(log)) == 1


def test_a_fit_whose_workers_are_all_lost_in_a_step_is_done_without(store, log, monkeypatch):
    asked = wanted(log)

    def work() -> None:
        plant(monkeypatch, "posterior_predictive", "lost")
        one(store, asked)

    in_another_process(work)
    lost = Outcome("k0", asked.cell, 0, "failed", "lost", "its worker was lost")
    outcome = kept(lost, asked, store)
    assert outcome.status == "done"
    assert outcome.absent_steps["posterior_predictive"] == Absent("lost", "its worker was lost in it")
    assert outcome.absent_steps["diagnostics"] == Absent("lost", "its worker was lost before it")
    assert store.done("k0") == outcome
    assert store.read_summary("k0").empty
    assert exit_code(outcome, asked) == 1
    check_whole(store, one(store, asked), asked)
    assert len(calls(log)) == 1


def test_a_bound_is_kept_in_seconds_and_each_step_has_its_own(store, log):
    quantities = {"slow": "step_faults.slow", "size": "step_faults.size"}
    steps = dataclasses.replace(NO_STEPS, timeout=1.5)
    asked = dataclasses.replace(wanted(log), steps=steps, diagnostics=DiagnosticsOptions(quantities=quantities))
    outcome = one(store, asked)
    assert set(outcome.absent_steps) == {"quantity slow"}
    assert outcome.absent_steps["quantity slow"].why.startswith("took longer than 1.5 s, and was stopped after ")
    assert "size" in store.read_summary("k0").index


def test_one_step_of_one_of_sixteen_fits_fails(store, tmp_path, monkeypatch):
    """Drawn one after another, as by a sampler without `fits`."""
    from bayesrun.work import steps

    real, seen = steps._log_likelihood, []

    def sometimes(case, tree):
        seen.append(case.spec.key)
        if case.spec.key == "k7":
            raise ValueError("not today")
        return real(case, tree)

    few = dataclasses.replace(NO_STEPS, log_likelihood=True)
    fits = [spec(f"k{i}", fit_seed=i, steps=few, extra={"log": str(tmp_path / "calls.txt")}) for i in range(16)]
    with monkeypatch.context() as patch:
        patch.setattr("bayesrun.work.steps._log_likelihood", sometimes)
        found = {outcome.key: outcome for outcome in execute(batch(*fits), store)}
    assert all(outcome.status == "done" for outcome in found.values())
    assert {key for key, outcome in found.items() if outcome.absent_steps} == {"k7"}
    assert [("elpd_loo" in found[s.key].diagnostics) for s in fits] == [s.key != "k7" for s in fits]
    assert found["k7"].absent["elpd_loo"] == "failed: ValueError: not today"
    again = {outcome.key: outcome for outcome in execute(batch(*fits), store)}
    assert not any(outcome.absent_steps for outcome in again.values())
    assert all(again[key] == found[key] for key in again if key != "k7")
    assert len(calls(tmp_path / "calls.txt")) == len(seen) == 16


def test_a_decision_about_a_quantity_that_fails_is_absent_too(store, log):
    asked = dataclasses.replace(
        wanted(log),
        diagnostics=DiagnosticsOptions(quantities={"x": "step_faults.nosuch"}, decisions=("P(x > 0 | y) > 0.5", RULE)),
    )
    outcome = one(store, asked)
    assert outcome.status == "done"
    assert set(outcome.absent_steps) == {"quantity x", "decision P(x > 0 | y) > 0.5"}
    assert "nosuch" in outcome.absent_steps["quantity x"].why
    assert outcome.diagnostics_options.decisions == (RULE,)
    assert [name for name in store.read_summary("k0").columns if name.startswith("decision_")] == [
        "decision_theta_above_0_p0.5"
    ]
    assert exit_code(outcome, asked) == 1


@pytest.mark.parametrize("model", ["flat", "density_only"])
def test_what_cannot_be_done_is_said_and_not_tried_again(store, log, model, monkeypatch):
    asked = dataclasses.replace(
        wanted(log),
        model=Target(model, f"odd_models.{model}"),
        sampler=Target("exact", "odd_models.sample"),
        diagnostics=DiagnosticsOptions(),
    )
    outcome = one(store, asked)
    kinds = {name: why.kind for name, why in outcome.absent_steps.items()}
    cannot = ["prior_predictive"] if model == "flat" else ["prior_predictive", "posterior_predictive"]
    assert kinds == dict.fromkeys(cannot, "cannot")
    assert "elpd_loo" in outcome.diagnostics
    assert str(outcome.absent_steps["prior_predictive"]) == (
        "cannot be done: theta has the improper prior Flat, from which nothing can be drawn"
        if model == "flat"
        else "cannot be done: y is a CustomDist without a way to draw"
    )
    assert exit_code(outcome, asked) == 0
    assert is_complete(store.done("k0"), asked)
    monkeypatch.setattr("bayesrun.work.worker.resumed", None)  # nothing is taken up
    assert one(store, asked) == outcome


def test_predictive_draws_that_fail_at_some_draws_are_absent(store, log):
    asked = dataclasses.replace(
        wanted(log), model=Target("odd", "odd_models.sometimes"), diagnostics=DiagnosticsOptions()
    )
    outcome = one(store, asked)
    assert outcome.status == "done"
    assert outcome.absent_steps["posterior_predictive"].kind == "failed"
    assert "scale" in outcome.absent_steps["posterior_predictive"].why


@pytest.mark.parametrize("kind", ["raises", "nan"])
def test_a_deterministic_that_fails_leaves_the_draws_and_the_others(tmp_path, kind):
    from bayesrun.types import SamplerOptions

    store = stored(tmp_path)
    asked = spec(
        model=Target("odd", f"odd_models.deterministic_{kind}"),
        sampler=Target("nuts", "bayesrun.samplers.nuts.sample"),
        options=SamplerOptions(draws=40, tune=40, chains=2),
    )
    outcome = one(store, asked)
    posterior = store.read_tree("k0")["posterior"].to_dataset()
    assert outcome.status == "done"
    assert "double" in posterior
    assert set(outcome.absent_steps) == ({"deterministic odd"} if kind == "raises" else set())
    assert ("odd" in posterior) == (kind == "nan")
    assert exit_code(outcome, asked) == int(kind == "raises")
    if kind == "nan":
        assert outcome.diagnostics["n_nonfinite"] > 0
        return
    asked = dataclasses.replace(asked, steps=dataclasses.replace(asked.steps, prior_predictive=True, prior_draws=20))
    outcome, tree = one(store, asked), store.read_tree("k0")
    assert set(outcome.absent_steps) == {"deterministic odd"}
    assert {"theta", "double"} == set(tree["prior"].data_vars)
    np.testing.assert_allclose(tree["prior"]["double"], 2.0 * tree["prior"]["theta"])
    assert tree["prior_predictive"].sizes["draw"] == 20
    (warning,) = outcome.warnings
    assert "the draws from the prior are without what raises at one of them: odd (ValueError: not at" in warning
