"""One failing fit is an outcome; a done fit is never drawn again, whatever is wanted of it later."""

import contextlib
import dataclasses
import os
import pickle
import re
import signal
import time

import numpy as np
import pytest

import fake_samplers
from bayesrun.base import stop_signals
from bayesrun.errors import DiskError
from bayesrun.figures import canvas
from bayesrun.planning.effort import alike
from bayesrun.store.folder import Store
from bayesrun.types import Absent, DiagnosticsOptions, Outcome, SamplerOptions, Steps, Target, canonical_json
from bayesrun.work.worker import Workplace, execute
from fake_samplers import calls
from tiny_models import NO_STEPS, batch, spec

pytestmark = pytest.mark.usefixtures("interpreted")

ALL = Steps(prior_draws=30)


def one(store, **fields) -> Outcome:
    (outcome,) = execute(batch(spec(**fields)), store)
    return outcome


def test_a_failing_fit_does_not_stop_the_others_of_its_batch(store):
    broken = spec("b", extra={"raise": "first line\nsecond line"})
    found = list(execute(batch(spec("a"), broken, spec("c")), store))
    assert [(o.key, o.status, o.reason) for o in found] == [
        ("a", "done", None), ("b", "failed", "error"), ("c", "done", None),
    ]  # fmt: skip
    assert found[1].message == "ValueError: first line"
    text = (store.fit_folder("b") / "error.txt").read_text()
    assert "second line" in text
    assert "fake_samplers.py" in text
    assert store.read_outcome("b") == found[1]
    assert store.done("b") is None
    assert all(store.settled(key) is not None for key in "abc")


@pytest.mark.parametrize(
    ("extra", "reason", "message"),
    [
        ({"memory": True}, "oom", "MemoryError: no room"),
        ({"raise": "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"}, "oom", "ValueError: RESOURCE_EXHAUSTED"),
        ({"leave": True}, "error", "SystemExit: gone"),
        ({"nothing": True}, "error", "FitError: fake_samplers.sample returned no posterior; it must yield one tree"),
        ({"raise": "x" * 5000}, "error", "ValueError: xxx"),
        ({"raise": ""}, "error", "ValueError: "),
    ],
)
def test_whatever_a_sampler_does_is_an_outcome(store, extra, reason, message):
    outcome = one(store, extra=extra)
    assert (outcome.status, outcome.reason) == ("failed", reason)
    assert outcome.message.startswith(message)
    assert len(outcome.message) <= 300


FULL = "the disk of /x is full: make room there"


def full(*_, **__):
    raise DiskError(FULL)


@pytest.mark.parametrize("where", ["write_fit", "write_draws", "write_failure"])
def test_a_disk_that_is_full_is_the_reason_of_a_fit(store, monkeypatch, where):
    monkeypatch.setattr(Store, where, full)
    outcome = one(store, extra={"raise": "no"} if where == "write_failure" else {})
    assert (outcome.status, outcome.reason) == ("failed", "disk")
    assert outcome.message.startswith(FULL)


def test_a_figure_that_finds_no_room_fails_its_fit_whose_draws_are_kept(store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(canvas, "write_atomically", full)
        outcome = one(store, steps=Steps(prior_draws=30, figures=True))
    assert (outcome.reason, outcome.message) == ("disk", FULL)
    assert store.drawn(outcome.key).checksum
    assert one(store, steps=Steps(prior_draws=30, figures=True)).status == "done"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": Target("m", "tiny_models.nothing")}, "ConfigError: model._target_: tiny_models has no function"),
        ({"model": Target("m", "tiny_models.build", {"width": 1})}, "TypeError: "),
        ({"sampler": Target("m", "nowhere.sample")}, "ConfigError: sampler._target_: nowhere.sample cannot be"),
        ({"data_hash": "0" * 16}, "StoreError: "),
    ],
)
def test_what_a_worker_cannot_find_is_an_outcome(store, fields, message):
    outcome = one(store, **fields)
    assert outcome.reason == "error"
    assert outcome.message.startswith(message)


def test_a_fit_that_takes_too_long_is_given_up_and_the_others_go_on(store, log):
    """Each fit of a batch has its own time, and one that was late is not tried again."""
    slow = spec("b", extra={"hang": 600.0, "log": str(log)})
    found = list(execute(batch(spec("a"), slow, spec("c"), timeout=3.0), store))
    assert [(o.key, o.status, o.reason) for o in found] == [
        ("a", "done", None), ("b", "failed", "timeout"), ("c", "done", None),
    ]  # fmt: skip
    told = re.fullmatch(
        r"FitTimeoutError: took longer than 3 s, and was stopped after (\S+) s; raise sampler\.timeout",
        found[1].message,
    )
    assert told is not None
    assert 3.0 <= float(told[1]) < 60
    assert len(calls(log)) == 1


def test_fits_that_are_drawn_together_share_the_time_of_all(store, monkeypatch):
    """Two of three are done, and the one that is left may take its own time only."""

    def fits(build, datasets, seeds, options, *, timeout=None, **_):
        for index, dataset in enumerate(datasets):
            if index == 2:
                time.sleep(600)
            yield index, fake_samplers._tree(build(dataset), index, options, False)

    monkeypatch.setattr(fake_samplers, "fits", fits, raising=False)
    found = list(execute(batch(spec("a"), spec("b"), spec("c"), timeout=3.0), store))
    assert [(o.key, o.reason) for o in found] == [("a", None), ("b", None), ("c", "timeout")]
    assert found[2].message.startswith("FitTimeoutError: took longer than 3 s, and was stopped after ")
    monkeypatch.setattr(fake_samplers, "fits", lambda *_, **__: (time.sleep(600) for _ in range(1)))
    both = list(execute(batch(spec("d"), spec("e"), timeout=0.5), store))
    assert [(o.key, o.reason) for o in both] == [("d", "timeout"), ("e", "timeout")]
    assert both[0].message.startswith("FitTimeoutError: with 1 others of its batch took longer than 2 x 0.5 s, and was")


def test_a_failed_fit_has_the_seconds_that_it_took(store):
    slow = spec("a", extra={"hang": 0.6, "nothing": True})
    quick = spec("b", extra={"raise": "at once"})
    first, second = execute(batch(slow, quick), store)
    assert 0.6 <= sum(first.seconds.values()) < 5.0
    assert sum(second.seconds.values()) < 0.6
    assert store.read_outcome("a").seconds == first.seconds == {"failed": first.seconds["failed"]}


def breaking(*broken: str, wait: float = 0.0):
    """A batched sampler that raises as a whole while one of these keys' seeds is among its fits."""

    def fits(build, datasets, seeds, options, **_):
        time.sleep(wait)
        if set(seeds) & set(map(int, broken)):
            raise ValueError("all of it")
        for index, (dataset, seed) in enumerate(zip(datasets, seeds, strict=True)):
            yield index, next(fake_samplers.sample(build, [dataset], [seed], options))

    return fits


def test_a_fit_tells_every_time_that_its_batch_was_started(store, monkeypatch):
    """Four together, of which the third breaks all: it was started three times, and the others are done."""
    monkeypatch.setattr(fake_samplers, "fits", breaking("2", wait=0.2), raising=False)
    found = {o.key: o for o in execute(batch(*(spec(str(i), fit_seed=i) for i in range(4))), store)}
    assert {key: o.status for key, o in found.items()} == {"0": "done", "1": "done", "2": "failed", "3": "done"}
    told = re.sub(r"\d+\.\d s", "T", found["2"].message)
    each = "error with 3 others after T, error with 1 other after T, error alone after T"
    assert told == f"ValueError: all of it (3 attempts: {each})"
    assert 0.6 <= found["2"].seconds["failed"] < 5.0
    assert store.read_outcome("2") == found["2"]


def test_a_fit_that_is_drawn_alone_is_started_once(store, log):
    """One after another: neither the one that raises nor those after it are started again."""
    fits = [spec(str(i), extra={"log": str(log)} | ({"raise": "no"} if i == 1 else {}), fit_seed=i) for i in range(4)]
    found = list(execute(batch(*fits), store))
    assert [o.status for o in found] == ["done", "failed", "done", "done"]
    assert found[1].message == "ValueError: no"
    assert [line.split()[1] for line in calls(log)] == list("0123")


def test_a_fit_that_raises_after_it_diverged_tells_both(store, log):
    options = SamplerOptions(
        draws=50, chains=2, target_accept=0.8, escalate=(0.9,), extra={"log": str(log), "diverge": 9, "late": True}
    )
    ((outcome),) = [one(store, options=options)]
    assert outcome.message.startswith("ValueError: late (after target_accept=0.8: 100 divergences in ")
    assert "attempts" not in outcome.message


def test_what_sampling_consisted_of_is_kept_with_the_fit(store):
    first = one(store)
    assert {name: first.effort[name] for name in ("steps", "draws", "chains", "together")} == {
        "steps": 2 * (1000 + 50), "draws": 100, "chains": 2, "together": 1,
    }  # fmt: skip
    assert first.effort["alike"] == list(alike(spec()))
    assert 0.0 <= first.effort["compile"] <= first.seconds["sample"]
    longer = spec(options=SamplerOptions(draws=70, chains=3, tune=9))
    other = spec(options=SamplerOptions(draws=70, chains=3, target_accept=0.8))
    assert alike(longer) == alike(spec())
    assert alike(other)[0] != alike(spec())[0]
    assert alike(other)[1] == alike(spec())[1]
    assert alike(spec(data_hash="another table of the same name"))[1] != alike(spec())[1]
    completed = one(store, steps=dataclasses.replace(NO_STEPS, log_likelihood=True))
    assert completed.effort == first.effort


def test_what_a_signal_broke_is_not_an_outcome(store, monkeypatch):
    """As an import that swallows the exception, and is half done then."""

    def broken(cases):
        with contextlib.suppress(BaseException):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        raise ImportError("half of it")

    monkeypatch.setattr("bayesrun.work.worker.fits", broken)
    with pytest.raises(stop_signals.Stopped, match="SIGTERM"), stop_signals.watched():
        list(execute(batch(spec("x")), store))
    assert not store.fit_folder("x").exists()


def test_a_keyboard_interrupt_is_not_an_outcome(store, monkeypatch):
    monkeypatch.setattr("bayesrun.work.worker.fits", lambda cases: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        one(store)


def test_a_done_fit_is_given_back_without_work(store, log):
    first = one(store, extra={"log": str(log)})
    changed = store.fit_folder("k0").stat().st_mtime_ns
    assert one(store, extra={"log": str(log)}) == first
    assert len(calls(log)) == 1
    assert store.fit_folder("k0").stat().st_mtime_ns == changed


def test_a_failed_fit_is_tried_again_and_its_error_goes(store, log):
    extra = {"log": str(log), "raise": "once", "times": 1}
    assert one(store, extra=extra).status == "failed"
    assert one(store, extra=extra).status == "done"
    assert not (store.fit_folder("k0") / "error.txt").exists()
    assert store.done("k0") is not None


def test_everything_at_once(store):
    outcome = one(store, steps=ALL)
    tree = store.read_tree("k0")
    assert set(tree.children) == {
        "posterior", "sample_stats", "observed_data", "prior", "prior_predictive", "posterior_predictive",
        "log_likelihood", "log_prior", "loo",
    }  # fmt: skip
    assert tree["prior"].sizes["draw"] == 30
    assert tree["log_likelihood"]["y"].dims == ("chain", "draw", "obs")
    assert list(tree["posterior_predictive"].data_vars) == ["y"]
    assert "elpd_loo" in outcome.diagnostics
    assert set(outcome.seconds) >= {"sample", "prior_predictive", "log_likelihood", "posterior_predictive", "diagnose"}
    assert list((store.fit_folder("k0") / "figures").glob("*.png"))
    assert (outcome.observed_hash, outcome.steps, outcome.versions["bayesrun"]) == ("o0", ALL, "0.1.0")
    assert ":" in outcome.where


LATER = {
    "posterior_predictive": {"posterior_predictive": True},
    "log_likelihood": {"log_likelihood": True},
    "prior_predictive": {"prior_predictive": True, "prior_draws": 20},
    "figures": {"figures": True},
}


@pytest.mark.parametrize("step", LATER)
def test_a_step_that_is_wanted_later_is_added_to_the_stored_draws(store, log, step):
    extra = {"log": str(log)}
    first = one(store, extra=extra)
    before = store.read_tree("k0")
    second = one(store, extra=extra, steps=dataclasses.replace(NO_STEPS, **LATER[step]))
    after = store.read_tree("k0")
    assert len(calls(log)) == 1
    assert second.status == "done"
    assert getattr(second.steps, step)
    assert second.seconds["sample"] == first.seconds["sample"]
    for group in ("posterior", "sample_stats"):
        assert after[group].to_dataset().identical(before[group].to_dataset())
        for name, values in after[group].data_vars.items():
            assert values.values.tobytes() == before[group][name].values.tobytes()
    assert (step == "figures") == (store.fit_folder("k0") / "figures").exists()
    assert step == "figures" or step in after.children
    assert ("elpd_loo" in second.diagnostics) == (step == "log_likelihood")
    # and what was there stays when less is wanted
    third = one(store, extra=extra)
    assert third == second


def test_a_completed_step_is_what_the_fit_would_have_had_at_once(store):
    one(store, key="at_once", steps=dataclasses.replace(ALL, figures=False))
    one(store, key="later")
    one(store, key="later", steps=dataclasses.replace(ALL, figures=False))
    at_once, later = store.read_tree("at_once"), store.read_tree("later")
    assert set(at_once.children) == set(later.children)
    for group in ("posterior", "prior", "posterior_predictive", "log_likelihood"):
        for name, values in at_once[group].data_vars.items():
            np.testing.assert_array_equal(values, later[group][name])


def test_another_number_of_prior_draws_is_drawn_again_and_the_rest_stays(store, log):
    steps = dataclasses.replace(ALL, figures=False)
    one(store, extra={"log": str(log)}, steps=steps)
    before = store.read_tree("k0")
    outcome = one(store, extra={"log": str(log)}, steps=dataclasses.replace(steps, prior_draws=40))
    after = store.read_tree("k0")
    assert len(calls(log)) == 1
    assert outcome.steps.prior_draws == after["prior"].sizes["draw"] == after["prior_predictive"].sizes["draw"] == 40
    for group in ("posterior", "posterior_predictive", "log_likelihood"):
        assert after[group].to_dataset().identical(before[group].to_dataset())


def test_another_interval_is_summarised_from_the_stored_draws(store, log):
    one(store, extra={"log": str(log)})
    wide = store.read_summary("k0")
    outcome = one(store, extra={"log": str(log)}, diagnostics=DiagnosticsOptions(ci_prob=0.5))
    narrow = store.read_summary("k0")
    assert len(calls(log)) == 1
    assert outcome.diagnostics_options.ci_prob == 0.5
    assert narrow.loc["theta", "ci_ub"] < wide.loc["theta", "ci_ub"]
    assert narrow.loc["theta", "mean"] == wide.loc["theta", "mean"]


def without_times(outcome: Outcome) -> Outcome:
    return dataclasses.replace(outcome, seconds={})


def test_a_step_that_fails_in_a_completion_is_absent_until_it_is_mended_from_the_draws(store, log, monkeypatch):
    extra = {"log": str(log)}
    first = one(store, extra=extra)
    before = (store.fit_folder("k0") / "posterior.nc").read_bytes()

    def broken(*arguments):
        raise ValueError("not today")

    more = dataclasses.replace(NO_STEPS, posterior_predictive=True)
    with monkeypatch.context() as patched:
        patched.setattr("bayesrun.work.steps._posterior_predictive", broken)
        outcome = one(store, extra=extra, steps=more)
    assert outcome.status == "done"
    assert outcome.absent_steps == {"posterior_predictive": Absent("failed", "ValueError: not today")}
    assert store.done("k0") == outcome
    assert "not today" in (store.fit_folder("k0") / "error.txt").read_text()
    assert (store.fit_folder("k0") / "posterior.nc").read_bytes() == before
    # whoever wants no more than there was has it again, and who wants more gets it; nothing is drawn
    again = one(store, extra=extra)
    assert (again.diagnostics, again.steps) == (first.diagnostics, dataclasses.replace(first.steps))
    mended = one(store, extra=extra, steps=more)
    assert (mended.status, mended.steps.posterior_predictive) == ("done", True)
    assert mended.seconds["sample"] == first.seconds["sample"]
    assert len(calls(log)) == 1


@pytest.mark.parametrize("content", [None, b"", b"PAR1 no table PAR1"])
def test_a_summary_that_is_lost_is_made_again_from_the_draws(store, log, content):
    extra = {"log": str(log)}
    first = one(store, extra=extra, steps=ALL)
    folder = store.fit_folder("k0")
    had = {path: path.stat().st_ino for path in folder.glob("posterior.nc")}
    summary = store.read_summary("k0")
    (folder / "summary.parquet").unlink() if content is None else (folder / "summary.parquet").write_bytes(content)
    (folder / "figures" / "trace.png").unlink()
    assert store.done("k0") is None
    again = one(store, extra=extra, steps=ALL)
    assert store.read_summary("k0").equals(summary)
    assert (folder / "figures" / "trace.png").exists()
    assert again.diagnostics == first.diagnostics
    assert {path: path.stat().st_ino for path in had} == had
    assert len(calls(log)) == 1


def test_a_posterior_that_was_changed_is_drawn_again(store, log):
    """Also where nothing but its checksum tells."""
    extra = {"log": str(log)}
    first = one(store, extra=extra)
    path = store.fit_folder("k0") / "posterior.nc"
    for unseen in (False, True):
        content, time = bytearray(path.read_bytes()), path.stat().st_mtime_ns
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(time, time if unseen else time + 10**9))
        again = one(store, extra=extra, steps=dataclasses.replace(NO_STEPS, figures=unseen))
        assert again.status == "done"
        assert store.verify("k0")
    assert len(calls(log)) == 3
    assert again.diagnostics["rhat_max"] == first.diagnostics["rhat_max"]


def test_what_was_done_once_stays_when_a_later_command_asks_for_less_and_something_else(store):
    """Terms of the likelihood that nobody asks for now are not lost when figures are added."""
    one(store, steps=dataclasses.replace(NO_STEPS, log_likelihood=True))
    outcome = one(store, steps=dataclasses.replace(NO_STEPS, figures=True))
    assert outcome.steps.log_likelihood
    assert {"log_likelihood", "loo"} <= set(store.read_tree("k0").children)


def test_a_fit_that_is_completed_says_what_its_draws_were_made_with(store, monkeypatch):
    first = one(store)
    monkeypatch.setattr("bayesrun.work.worker.versions", lambda: {"pymc": "99"})
    later = one(store, steps=dataclasses.replace(NO_STEPS, log_likelihood=True))
    assert later.versions == first.versions


ESCALATING = SamplerOptions(draws=20, chains=2, target_accept=0.8, escalate=(0.95, 0.99))


def escalated(store, log, diverge: int, limit: int | None = 0, steps: Steps = NO_STEPS) -> Outcome:
    options = dataclasses.replace(ESCALATING, extra={"log": str(log), "diverge": diverge})
    return one(store, options=options, divergence_limit=limit, steps=steps)


@pytest.mark.parametrize(
    ("diverge", "limit", "levels"),
    [
        (0, 0, [0.8]),
        (1, 0, [0.8, 0.95]),
        (2, 0, [0.8, 0.95, 0.99]),
        (9, 0, [0.8, 0.95, 0.99]),
        (9, 40, [0.8]),
        (1, None, [0.8, 0.95]),
    ],
)
def test_escalation_tries_the_levels_in_order_until_nothing_diverges(store, log, diverge, limit, levels):
    outcome = escalated(store, log, diverge, limit)
    assert [float(line.split()[0]) for line in calls(log)] == levels
    assert [a["target_accept"] for a in outcome.attempts] == levels
    assert [a["n_divergent"] for a in outcome.attempts] == [40.0 * (i < diverge) for i in range(len(levels))]
    assert all(a["seconds"] > 0 for a in outcome.attempts)
    assert outcome.seconds["sample"] >= sum(a["seconds"] for a in outcome.attempts)
    assert any("target_accept was raised" in text for text in outcome.warnings) == (len(levels) > 1)
    assert store.read_tree("k0").attrs["target_accept"] == levels[-1]
    assert outcome.diagnostics["target_accept"] == levels[-1]
    # every attempt starts from the fit's own seed
    assert {line.split()[1] for line in calls(log)} == {"7"}


def test_a_completed_fit_still_says_how_it_escalated(store, log):
    first = escalated(store, log, 1)
    second = escalated(store, log, 1, steps=dataclasses.replace(NO_STEPS, log_likelihood=True))
    assert len(calls(log)) == 2
    assert second.attempts == first.attempts
    assert (
        "target_accept was raised because of divergences (0.8: 40 divergences, 0.95: 0 divergences)" in second.warnings
    )


def test_without_escalation_there_are_no_attempts(store):
    assert one(store, extra={"diverge": 1}).attempts == ()


def test_an_outcome_is_a_few_kilobytes(store, monkeypatch):
    small = one(store, steps=ALL)
    assert len(pickle.dumps(small)) < 8000
    assert len(canonical_json(small)) < 8000

    class Told:
        problems = tuple("why " * 1000 for _ in range(50))

    monkeypatch.setattr("bayesrun.figures.fit_figures", lambda *arguments, **options: Told)
    big = one(store, key="big", steps=dataclasses.replace(NO_STEPS, figures=True))
    assert big.status == "done"
    assert len(pickle.dumps(big)) < 8000
    assert len(pickle.dumps(one(store, key="huge", extra={"raise": "x" * 10**6}))) < 8000


def test_a_workplace_finds_the_users_modules_in_its_folder(store, tmp_path):
    folder = tmp_path / "users"
    folder.mkdir()
    (folder / "users_own_model.py").write_text("from tiny_models import build\n")
    work = Workplace(store.root, folder)
    assert pickle.loads(pickle.dumps(work)) == work
    *_, outcome = work(batch(spec(model=Target("mine", "users_own_model.build"))))
    assert outcome.status == "done", outcome.message
