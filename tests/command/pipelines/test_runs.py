"""One run for each date: what is asked of the command, what becomes of what it leaves, and who may run."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesrun.command.overrides import to_hydra
from bayesrun.command.pipelines import Ended, Gates, Pipeline, folder_of, run
from bayesrun.command.verbs import call
from bayesrun.errors import BayesrunError, ConfigError, StoreError
from bayesrun.statistics.measures import failures_table
from bayesrun.store.folder import Store
from bayesrun.store.table_marks import mark_tables
from fake_studies import fake_states
from places import SUPPORT

FAKE = SUPPORT / "fake_pipelines.py"
DATE = datetime.date(2026, 11, 22)
PIPELINE = Pipeline(
    "mine", "Mine.", "0 1 * * *", ("study.replicates=500",), Gates(alpha=0.01, calibrated=False), name="nightly"
)


class Fake:
    """A command that leaves the folder of a study, and remembers its calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "template").mkdir(parents=True)
        self.command = (sys.executable, "-S", str(FAKE), str(folder))
        self.store = Store(folder / "template")
        self.leaves()
        self.ends()

    def ends(self, **behaviour: object) -> None:
        (self.folder / "behaviour.json").write_text(json.dumps(behaviour))

    def leaves(self, *, failed: int = 0, missing: int = 0, covered: float = 0.95) -> None:
        self.store.write_study({"study": {"kind": "recovery", "alpha": 0.01, "max_failed": 0.05}})
        status = ["failed"] * failed + ["missing"] * missing + ["done"] * (100 - failed - missing)
        fits = pd.DataFrame({"cell": "a/b/c", "status": status, "reason": "", "converged": True})
        self.store.write_table("failures", failures_table(fits), index=False)
        self.store.write_table("states", fake_states(fits, 0.05), index=False)
        row = {"cell": "a/b/c", "variable": "mu", "measure": "coverage", "level": 0.95, "value": covered, "n": 100}
        self.store.write_table("measures", pd.DataFrame([row | {"analysis": "all"}]), index=False)
        mark_tables(self.store, {})

    def go(self) -> None:
        (self.folder / "go").touch()

    @property
    def calls(self) -> list[list[str]]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def called(self, times: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.calls) < times and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.calls) == times

    def run(self, *overrides: str) -> Ended:
        return run(PIPELINE, DATE, overrides, self.command)


@pytest.fixture
def fake(tmp_path: Path, workdir: Path) -> Fake:
    return Fake(tmp_path / "fake")


def mark(folder: Path) -> dict[str, object]:
    return json.loads((folder / "studies/nightly/2026-11-22/done.json").read_text())


# ---- what is asked of the command


def test_command_is_experiment_gates_seed_overrides_and_place(fake: Fake, workdir: Path) -> None:
    fake.run("study.replicates=8", "track=off")
    assert fake.calls == [
        [
            "+experiment=mine",
            "study.alpha=0.01",
            "study.max_failed=0.05",
            "study.seed=20261122",
            "study.replicates=500",
            "study.replicates=8",
            "track=off",
            f"output.dir='{workdir}/studies/nightly'",
            "study.name=2026-11-22",
        ]
    ]


def test_pipeline_that_is_not_fresh_leaves_the_seed_alone(fake: Fake) -> None:
    run(Pipeline("mine", "Mine.", "0 1 * * *", fresh=False, name="nightly"), DATE, (), fake.command)
    assert not [word for word in fake.calls[0] if "seed" in word]


def test_output_folder_is_absolute_and_holds_pipeline_and_date(workdir: Path, tmp_path: Path) -> None:
    assert folder_of(PIPELINE, DATE, ["output.dir=here"]) == workdir / "here/nightly/2026-11-22"
    assert folder_of(PIPELINE, DATE, [f"++output.dir='{tmp_path}'"]) == tmp_path / "nightly/2026-11-22"


@settings(max_examples=40)
@given(st.text(st.sampled_from("ab ,='\"\\({[~"), min_size=1, max_size=8))
def test_any_path_comes_through_hydra_unchanged(text: str) -> None:
    from bayesrun.command.pipelines.runs import _quoted

    (word,) = to_hydra([f"output.dir={_quoted(f'/{text}/nightly')}"])
    parsed = OverridesParser.create().parse_override(word)
    assert not parsed.is_sweep_override()
    value = parsed.value()
    assert getattr(value, "text", value) == f"/{text}/nightly"


@pytest.mark.parametrize("word", ["study.name=x", "++study.name=x"])
def test_name_of_the_study_is_the_date(word: str, fake: Fake) -> None:
    with pytest.raises(ConfigError, match="has the name of its date"):
        fake.run(word)


def test_address_for_output_is_refused(fake: Fake) -> None:
    with pytest.raises(ConfigError, match=r"output\.dir: got 's3://bucket'"):
        fake.run("output.dir=s3://bucket")


def test_dry_run_claims_and_marks_nothing(fake: Fake, workdir: Path) -> None:
    fake.ends(report=False, code=0)
    assert fake.run("dry_run=true") == Ended(0, "")
    assert list(workdir.iterdir()) == []


# ---- a date is finished once


def test_finished_date_is_not_repeated(fake: Fake, workdir: Path) -> None:
    assert fake.run() == Ended(0, "nightly 2026-11-22: within its bounds, 1 cell, 100 fits.")
    assert mark(workdir)["code"] == 0
    again = fake.run()
    assert again == Ended(0, "nightly 2026-11-22: finished before, nothing done: within its bounds, 1 cell, 100 fits.")
    assert len(fake.calls) == 1


def test_study_out_of_bounds_is_one_sentence_and_1_also_the_second_time(fake: Fake, workdir: Path) -> None:
    fake.leaves(failed=20, covered=0.7)
    fake.ends(code=1)
    first, second = fake.run(), fake.run()
    assert (first.code, second.code, len(fake.calls)) == (1, 1, 1)
    assert first.sentence == (
        "nightly 2026-11-22: a/b/c does not cover as it should: 0.95 intervals of mu hold 0.7 of 100 truths "
        "(adjusted p < 0.0001); a/b/c: 20 of 100 fits failed or did not converge, more than a share of 0.05 (20 error)."
    )
    assert second.sentence == first.sentence.replace(": ", ": finished before, nothing done: ", 1)
    assert mark(workdir)["sentence"] == first.sentence


def test_gate_decides_also_where_the_study_itself_passes(fake: Fake) -> None:
    fake.leaves(covered=0.7)
    fake.ends(code=0)
    assert fake.run().code == 1


def test_dates_are_separate(fake: Fake) -> None:
    fake.run()
    assert run(PIPELINE, DATE + datetime.timedelta(days=1), (), fake.command).code == 0
    assert [words[-1] for words in fake.calls] == ["study.name=2026-11-22", "study.name=2026-11-23"]


BY_SIGNAL = {
    "it was interrupted": 130,
    "its command was ended by SIGTERM": 143,
    "its command was ended by SIGHUP": 129,
}


@pytest.mark.parametrize(
    ("behaviour", "missing", "told"),
    [
        ({"signal": signal.SIGKILL}, 0, "its command was ended by SIGKILL"),
        ({"code": 130}, 0, "it was interrupted"),
        ({"code": 143}, 0, "its command was ended by SIGTERM"),
        ({"signal": signal.SIGHUP}, 0, "its command was ended by SIGHUP"),
        ({"code": 3}, 0, "its command ended with code 3"),
        ({"code": 1, "report": False}, 0, "its command ended with code 1 and made no report of a simulation study"),
        ({"code": 0, "report": False, "template": False}, 0, "its command ended with code 0 and made no report"),
        ({"code": 0}, 7, "7 fits did not come back"),
        ({"code": 1}, 0, "its command failed although calibration and failures are within bounds"),
    ],
)
def test_unfinished_date_has_no_mark_and_is_gone_on_with(
    behaviour: dict[str, object], missing: int, told: str, fake: Fake, workdir: Path
) -> None:
    fake.ends(**behaviour)
    fake.leaves(missing=missing)
    ended = fake.run()
    assert ended.code == BY_SIGNAL.get(told, 2)
    assert ended.sentence.startswith(f"nightly 2026-11-22: the study is not finished: {told}")
    assert ended.sentence.endswith("; the same command goes on from there.")
    assert not (workdir / "studies/nightly/2026-11-22/done.json").exists()
    fake.ends()
    fake.leaves()
    assert fake.run().code == 0
    assert fake.calls[0] == fake.calls[1]


def test_report_of_an_earlier_command_does_not_count(fake: Fake) -> None:
    fake.ends(code=3)
    fake.run()
    fake.ends(code=0, report=False)
    assert "made no report" in fake.run().sentence


def test_refused_study_binds_to_nothing(fake: Fake) -> None:
    fake.ends(code=2, template=False, report=False)
    (Path("studies/nightly/2026-11-22")).mkdir(parents=True)
    assert fake.run("study.replicates=none") == Ended(2, "nightly 2026-11-22: its study was refused, see above.")
    fake.ends()
    assert fake.run("study.replicates=8").code == 0


def test_other_overrides_on_a_date_are_refused_begun_or_finished(fake: Fake, workdir: Path) -> None:
    fake.ends(code=3)
    fake.run("study.replicates=8")
    told = r"begun with other overrides \(had study.replicates=8, got study.replicates=9\).*or remove .*2026-11-22"
    with pytest.raises(ConfigError, match=told):
        fake.run("study.replicates=9")
    fake.ends()
    fake.run("study.replicates=8")
    with pytest.raises(ConfigError, match=told):
        fake.run("study.replicates=9")
    assert len(fake.calls) == 2


def test_where_and_how_it_runs_may_differ(fake: Fake) -> None:
    fake.ends(code=3)
    fake.run("dispatch=serial", "track=off")
    fake.ends()
    assert fake.run("dispatch.num_cpus=2", "verbose=true").code == 0
    assert fake.run(f"output.dir={Path('studies').absolute()}").code == 0
    assert len(fake.calls) == 2


def test_damaged_mark_is_an_error_that_names_it(fake: Fake, workdir: Path) -> None:
    fake.run()
    path = workdir / "studies/nightly/2026-11-22/done.json"
    path.write_text("{")
    with pytest.raises(StoreError, match=f"{path} is not JSON"):
        fake.run()


# ---- one at a time


def test_second_run_of_a_date_refuses_while_the_first_works(fake: Fake) -> None:
    fake.ends(waits=True)
    first = threading.Thread(target=fake.run)
    first.start()
    fake.called(1)
    with pytest.raises(
        StoreError, match=rf"^nightly 2026-11-22: another run is at work on it \(process {os.getpid()} "
    ):
        fake.run()
    other = DATE + datetime.timedelta(days=1)
    fake.go()
    assert run(PIPELINE, other, (), fake.command).code == 0
    first.join()
    assert fake.run().code == 0
    assert len(fake.calls) == 2


def test_of_many_runs_at_once_one_works(fake: Fake) -> None:
    fake.ends(waits=True)
    ends: list[object] = []
    start = threading.Barrier(8)

    def one() -> None:
        start.wait()
        try:
            ends.append(fake.run().code)
        except StoreError as error:
            ends.append(str(error))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(ends) < 7:
        time.sleep(0.02)
    fake.go()
    for thread in threads:
        thread.join()
    assert len(fake.calls) == 1
    assert ends.count(0) == 1
    assert all("another run is at work on it" in end for end in ends if isinstance(end, str))


RUNS = """
import datetime, sys
from bayesrun.schedule import Gates, Pipeline, run
pipeline = Pipeline("mine", "Mine.", "0 1 * * *", ("study.replicates=500",), Gates(0.01, False), name="nightly")
ended = run(pipeline, datetime.date(2026, 11, 22), (), sys.argv[1:])
print(ended.sentence)
sys.exit(ended.code)
"""


def started(fake: Fake) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", RUNS, *fake.command], stdout=subprocess.PIPE, text=True)
    fake.called(1)
    return process


def test_killed_run_leaves_the_date_claimed_until_its_study_is_dead(fake: Fake) -> None:
    fake.ends(waits=True)
    process = started(fake)
    process.kill()
    process.wait()  # not for the end of its output, which its study has too
    assert process.stdout is not None
    process.stdout.close()
    with pytest.raises(StoreError, match=f"another run is at work on it \\(process {process.pid} "):
        fake.run()
    fake.go()
    ended = None
    while ended is None:
        try:
            ended = fake.run()
        except StoreError:
            time.sleep(0.02)
    assert ended.code == 0
    assert len(fake.calls) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_run_that_is_told_to_end_ends_its_study(number: signal.Signals, fake: Fake) -> None:
    fake.ends(waits=True)
    process = started(fake)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"the study is not finished: its command was ended by {number.name}" in said
    fake.ends()
    assert fake.run().code == 0


def test_a_file_system_without_locks_keeps_the_second_off_too(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    test_second_run_of_a_date_refuses_while_the_first_works(fake)


# ---- the words after `bayesrun pipeline`


@pytest.fixture
def shipped(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setattr("bayesrun.command.pipelines.runs.run", lambda p, d, o: run(p, d, o, fake.command))
    return fake


def test_words_are_passed_on_in_their_order(shipped: Fake) -> None:
    words = ["--config-dir", "conf", "-m", "data.n=20,50", "study.replicates=8"]
    call("pipeline", ["run", "weekly_recovery", *words[:3], "--date", "2026-11-22", *words[3:]])
    (called,) = shipped.calls
    assert [word for word in called if word in words] == words
    assert "--date" not in called


def test_without_a_date_it_is_that_of_today(shipped: Fake) -> None:
    before = datetime.date.today()
    call("pipeline", ["run", "weekly_recovery"])
    named = shipped.calls[0][-1]
    assert named in {f"study.name={day.isoformat()}" for day in (before, datetime.date.today())}


def test_verdict_is_printed_good_to_the_output_and_bad_to_the_errors(
    shipped: Fake, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call("pipeline", ["run", "weekly_recovery", "--date", "2026-11-22"]) == 0
    assert capfd.readouterr().out == "weekly_recovery 2026-11-22: within its bounds, 1 cell, 100 fits.\n"
    shipped.leaves(covered=0.5)
    assert call("pipeline", ["run", "weekly_recovery", "--date", "2026-11-29"]) == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("weekly_recovery 2026-11-29: a/b/c does not cover as it should")


def test_everything_it_refuses_is_an_error_of_bayesrun(shipped: Fake) -> None:
    for words in (
        ["run", "none"],
        ["run", "weekly_recovery", "--date", "x"],
        ["run", "weekly_recovery", "study.name=a"],
    ):
        with pytest.raises(BayesrunError):
            call("pipeline", words)
    shutil.rmtree(shipped.folder)


def test_a_finished_date_says_when_its_verdict_no_longer_follows(fake: Fake, workdir: Path) -> None:
    assert fake.run().code == 0
    assert fake.run().sentence.endswith("finished before, nothing done: within its bounds, 1 cell, 100 fits.")
    (folder_of(PIPELINE, DATE) / "tables" / "failures.parquet").unlink()
    again = fake.run()
    assert again.sentence.endswith("100 fits. That was what it said then; since: failures.parquet is missing.")
    assert (again.code, len(fake.calls)) == (0, 1)


# ---- who is told


@pytest.fixture
def told(fake: Fake, tmp_path: Path) -> tuple[str, Path]:
    """Give an override by which somebody is told, and the file that keeps every sentence."""
    path = tmp_path / "tell.py"
    path.write_text("import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write(sys.stdin.read())")
    return f"notify.command={sys.executable} {path} {tmp_path / 'told.txt'}", tmp_path / "told.txt"


def test_nobody_is_told_of_a_date_within_bounds(fake: Fake, told: tuple[str, Path]) -> None:
    assert fake.run(told[0]).code == 0
    assert not told[1].exists()
    assert not [word for word in fake.calls[0] if "notify" in word]


def test_a_date_out_of_bounds_is_told_once(fake: Fake, told: tuple[str, Path]) -> None:
    fake.leaves(failed=30)
    fake.ends(code=1)
    ended = fake.run(told[0])
    assert ended.code == 1
    assert told[1].read_text() == f"{ended.sentence}\n"
    assert fake.run(told[0]).code == 1
    assert told[1].read_text() == f"{ended.sentence}\n"


def test_who_is_told_may_change_between_runs_of_a_date(fake: Fake, told: tuple[str, Path]) -> None:
    fake.ends(signal=signal.SIGKILL)
    assert fake.run().code == 2
    assert fake.run(told[0]).code == 2
    assert "its command was ended by SIGKILL" in told[1].read_text()


def test_a_run_that_is_refused_is_told(fake: Fake, told: tuple[str, Path], workdir: Path) -> None:
    (workdir / "studies/nightly").mkdir(parents=True)
    (workdir / "studies/nightly/2026-11-22").write_text("no folder")
    with pytest.raises(StoreError):
        fake.run(told[0])
    assert told[1].read_text().startswith("nightly 2026-11-22: cannot write to the study folder")
