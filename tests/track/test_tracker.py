"""MLflow as an index of the store: what runs say, what happens without a server, and recording twice."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from bayesrun.errors import TrackError
from bayesrun.store.folder import Store
from bayesrun.track import (
    FitsRun,
    Record,
    Tracker,
    check,
    default_uri,
    git_commit,
    is_closed,
    pending,
    sync,
    ui_command,
)
from bayesrun.track.fit_runs import metrics, params, stage_table
from bayesrun.track.journal import Confirmation, confirm, confirmations, public_uri
from bayesrun.track.runs import upload
from bayesrun.types import Verdict
from fake_trees import fake_outcome, fake_spec, fake_summary, fake_tree

if TYPE_CHECKING:
    from mlflow.entities import Run

    from bayesrun.statistics.states import State
    from tracking_server import Server

PASS = Verdict(True)

# MLflow 3.17 under SQLAlchemy 2.1, when it reads its own tables
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def done(store: Store, key: str, **fields: object) -> Record:
    """Put a small finished fit into the store, with a figure."""
    tree = fake_tree(draws=20, predictive=False)
    outcome = store.write_fit(fake_outcome(key, **fields), tree, fake_summary(tree))
    store.write_config(key, "model: hierarchical\n")
    figure = store.fit_folder(key) / "figures" / "rank.png"
    figure.parent.mkdir(exist_ok=True)
    figure.write_bytes(b"PNG")
    return Record(fake_spec(key), outcome, PASS, {"data": {"": "eight_schools"}})


def failed(store: Store, key: str) -> Record:
    outcome = fake_outcome(key, status="failed", reason="error", message="no luck", diagnostics={})
    return Record(fake_spec(key), store.write_failure(outcome, "Traceback: no luck\n"), None)


def children(uri: str) -> dict[str, Run]:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("bayesrun")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`bayesrun.role` = 'fit'")
    found = {run.data.tags["bayesrun.key"]: run for run in runs}
    assert len(found) == len(runs)
    return found


def parent(uri: str) -> Run:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("bayesrun")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.`bayesrun.role` = 'study'")
    return run


def names(uri: str, run: Run, path: str | None = None) -> set[str]:
    return {file.path for file in MlflowClient(uri).list_artifacts(run.info.run_id, path)}


def test_a_done_fit_is_one_run_with_everything(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    uri = default_uri(store.root.parent)  # MLflow makes the database
    record = done(store, "k1")
    tracker = Tracker(store, uri, "bayesrun", "demo", "two models", {"bayesrun.git_commit": "abc"})
    assert tracker.record(record)
    assert tracker.problem is None
    assert tracker.finish(FitsRun([record], {"outcomes": pd.DataFrame({"cell": ["a"]})}))
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""

    run, top = children(uri)["k1"], parent(uri)
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 3250
    assert run.data.metrics["rhat_max"] == 1.004
    assert run.data.metrics["seconds/sample"] == 2.5
    assert run.data.params["model"] == "hierarchical"
    assert run.data.params["model.tau_scale"] == "5.0"
    assert run.data.params["sampler.draws"] == "50"
    assert run.data.params["data"] == "eight_schools"
    tags = run.data.tags
    assert tags["mlflow.parentRunId"] == top.info.run_id
    assert tags["bayesrun.verdict"] == "pass"
    assert tags["bayesrun.git_commit"] == "abc"
    assert tags["version.pymc"] == "6.4.0"
    assert names(uri, run) == {"posterior.nc", "config.yaml", "summary.csv", "summary.json", "figures"}
    assert names(uri, run, "figures") == {"figures/rank.png"}
    assert top.info.run_name == "demo"
    assert top.info.status == "FINISHED"
    assert top.data.metrics == {"n_done": 1.0, "n_failed": 0.0, "n_missing": 0.0, "n_passed": 1.0, "n_not_fitted": 0.0}
    assert top.data.tags["bayesrun.verdict"] == "pass"
    assert top.data.tags["mlflow.note.content"] == "two models"
    assert names(uri, top) == {"outcomes.csv", "outcomes.json"}
    assert tracker.closing_line(FitsRun([record])) is None


def test_posteriors_are_linked_not_copied(store: Store, uri: str, tmp_path: Path) -> None:
    record = done(store, "k1")
    Tracker(store, uri, "bayesrun", "demo").record(record)
    assert (store.fit_folder("k1") / "posterior.nc").stat().st_nlink == 2
    copy = MlflowClient(uri).download_artifacts(children(uri)["k1"].info.run_id, "posterior.nc", str(tmp_path))
    assert Path(copy).read_bytes() == (store.fit_folder("k1") / "posterior.nc").read_bytes()


def test_where_links_are_impossible_files_are_copied(store: Store, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert Tracker(store, uri, "bayesrun", "demo").record(done(store, "k1"))
    assert (store.fit_folder("k1") / "posterior.nc").stat().st_nlink == 1
    assert "posterior.nc" in names(uri, children(uri)["k1"])


def test_a_failed_fit_says_why_and_recovers_in_the_same_run(store: Store, uri: str) -> None:
    tracker = Tracker(store, uri, "bayesrun", "demo")
    record = failed(store, "k1")
    assert tracker.record(record)
    run = children(uri)["k1"]
    assert run.info.status == "FAILED"
    assert run.data.tags["bayesrun.message"] == "no luck"
    assert names(uri, run) == {"error.txt"}
    assert pending(store, uri, [record]) == []

    again = done(store, "k1")
    assert pending(store, uri, [again]) == [again]
    assert Tracker(store, uri, "bayesrun", "demo").record(again)
    now = children(uri)["k1"]
    assert now.info.run_id == run.info.run_id
    assert now.info.status == "FINISHED"
    assert "bayesrun.message" not in now.data.tags
    assert "error.txt" not in names(uri, now)
    assert now.data.metrics["rhat_max"] == 1.004


def test_sync_twice_makes_no_second_run(store: Store, uri: str) -> None:
    records = [done(store, "k1"), done(store, "k2")]
    assert sync(Tracker(store, uri, "bayesrun", "demo"), records) == 2
    assert sync(Tracker(store, uri, "bayesrun", "demo"), records) == 0
    store.journal.unlink()  # known to the server only
    assert sync(Tracker(store, uri, "bayesrun", "demo"), records) == 2
    assert set(children(uri)) == {"k1", "k2"}
    assert pending(store, uri, records) == []


def test_a_new_digest_updates_the_run(store: Store, uri: str) -> None:
    record = done(store, "k1")
    sync(Tracker(store, uri, "bayesrun", "demo"), [record])
    facts = dict(record.outcome.diagnostics) | {"elpd_waic": -30.5}
    richer = replace(record, outcome=replace(record.outcome, diagnostics=facts), facts={"data": "other", "new": 1})
    assert pending(store, uri, [richer]) == [richer]
    assert sync(Tracker(store, uri, "bayesrun", "demo"), [richer]) == 1
    run = children(uri)["k1"]
    assert run.data.metrics["elpd_waic"] == -30.5
    assert run.data.params["new"] == "1"
    assert run.data.params["data"] == "eight_schools"  # a parameter never changes


def test_a_wiped_database_is_rebuilt(store: Store, uri: str) -> None:
    records = [done(store, "k1"), done(store, "k2")]
    sync(Tracker(store, uri, "bayesrun", "demo"), records)
    elsewhere = uri.replace("mlflow.db", "second.db")
    assert pending(store, elsewhere, records) == records
    Path(uri.removeprefix("sqlite:///")).rename(store.root.parent / "second.db")
    assert pending(store, uri, records) == records


def test_a_deleted_run_is_made_again_by_sync(store: Store, uri: str) -> None:
    records = [done(store, "k1"), done(store, "k2")]
    sync(Tracker(store, uri, "bayesrun", "demo"), records)
    MlflowClient(uri).delete_run(children(uri)["k1"].info.run_id)
    assert sync(Tracker(store, uri, "bayesrun", "demo"), records) == 1
    assert set(children(uri)) == {"k1", "k2"}


def test_a_deleted_parent_is_made_again_and_keeps_its_children(store: Store, uri: str) -> None:
    records = [done(store, "k1"), done(store, "k2")]
    sync(Tracker(store, uri, "bayesrun", "demo"), records)
    MlflowClient(uri).delete_run(parent(uri).info.run_id)
    tracker = Tracker(store, uri, "bayesrun", "demo")
    assert all([tracker.record(record) for record in records])
    assert {run.data.tags["mlflow.parentRunId"] for run in children(uri).values()} == {parent(uri).info.run_id}


def test_a_closed_study_is_known_without_mlflow(store: Store, uri: str) -> None:
    records = [done(store, "k1"), done(store, "k2")]
    tracker = Tracker(store, uri, "bayesrun", "demo")
    assert tracker.record(records[0])
    one, both = FitsRun(records[:1]), FitsRun(records)
    assert not is_closed(store, uri, one)
    assert tracker.finish(one)
    assert is_closed(store, uri, one)
    assert not is_closed(store, uri, both)
    for changed in (
        {"tables": {"agreement": pd.DataFrame({"reference": ["advi"]})}},
        {"missing": 1},
        {"state": "note"},
    ):
        assert not is_closed(store, uri, FitsRun(records[:1], **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "status"), [("pass", "FINISHED"), ("note", "FINISHED"), ("fail", "FAILED"), ("unfinished", "KILLED")]
)
def test_the_parent_ends_in_the_state_of_its_study(store: Store, uri: str, state: State, status: str) -> None:
    assert Tracker(store, uri, "bayesrun", "demo").finish(FitsRun([], missing=3, state=state))
    run = parent(uri)
    assert (run.info.status, run.data.tags["bayesrun.verdict"], run.data.metrics["n_missing"]) == (status, state, 3.0)


def test_the_parent_names_what_cannot_be_fitted_until_it_can(store: Store, uri: str) -> None:
    tracker = Tracker(store, uri, "bayesrun", "demo")
    table = {"not_fitted": pd.DataFrame({"cell": ["s3"], "reason": ["one row"]})}
    assert tracker.finish(FitsRun([], table, state="fail", not_fitted=1, why_not="not fitted: s3: one row"))
    run = parent(uri)
    assert run.data.tags["bayesrun.not_fitted"] == "not fitted: s3: one row"
    assert run.data.metrics["n_not_fitted"] == 1.0
    assert "not_fitted.csv" in names(uri, run)
    assert Tracker(store, uri, "bayesrun", "demo").finish(FitsRun([]))
    assert "bayesrun.not_fitted" not in parent(uri).data.tags
    assert parent(uri).data.metrics["n_not_fitted"] == 0.0


def test_a_server_that_comes_back_is_used_again(store: Store, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [done(store, "k1"), done(store, "k2")]
    tracker = Tracker(store, uri, "bayesrun", "demo")
    with monkeypatch.context() as broken:
        broken.setattr("bayesrun.track.link.RETRY_AFTER", 0.0)
        broken.setattr("bayesrun.track.tracker.log", lambda *_: (_ for _ in ()).throw(OSError("gone")))
        assert not tracker.record(records[0])
        assert tracker.problem is not None
        assert tracker.problem.endswith(": gone")
    assert tracker.record(records[1])
    assert tracker.problem is None
    assert pending(store, uri, records) == records[:1]
    assert sync(tracker, records) == 1
    assert set(children(uri)) == {"k1", "k2"}


def test_recording_is_fast(store: Store, uri: str) -> None:
    records = [done(store, f"k{i}") for i in range(20)]
    tracker = Tracker(store, uri, "bayesrun", "demo")
    tracker.record(records[0])
    start = time.process_time()
    assert all([tracker.record(record) for record in records[1:]])
    assert (time.process_time() - start) / 19 < 0.15


def test_values_are_what_every_server_takes() -> None:
    outcome = fake_outcome(diagnostics={"good": 1.0, "nan": float("nan"), "inf": float("inf"), "a[b]=%": 2.0})
    assert metrics(outcome) == {"good": 1.0, "a_b___": 2.0, "seconds/sample": 2.5, "seconds/diagnose": 0.75}
    said = params(Record(fake_spec(), outcome, None, {"model": {"formula": "y ~ " + "x" * 9000}, "none": None}))
    assert len(said["model.formula"]) == 500
    assert said["none"] == "None"
    assert said["model"] == "hierarchical"


def test_the_second_run_of_a_finished_study_imports_no_mlflow(store: Store, uri: str) -> None:
    code = (
        "import sys; from pathlib import Path; from bayesrun.store.folder import Store; from bayesrun import track\n"
        f"track.check({uri!r}); track.pending(Store(Path({str(store.root)!r})), {uri!r}, [])\n"
        "assert not {'mlflow', 'pandas', 'numpy'} & set(sys.modules), 'heavy'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_torn_journal_line_spoils_only_itself(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    first, second = Confirmation("u", "a", "1", "x"), Confirmation("u", "b", "2", "y")
    confirm(journal, first)
    with journal.open("a") as file:
        file.write('{"uri": "u", "ke')
    confirm(journal, second)
    confirm(journal, Confirmation("other", "a", "3", "z"))
    assert confirmations(journal, "u") == {"a": first, "b": second}


def test_credentials_are_never_written() -> None:
    assert public_uri("https://me:secret@host:5000/x") == "https://host:5000/x"
    assert public_uri("sqlite:////a/b@c.db") == "sqlite:////a/b@c.db"
    assert "secret" not in ui_command("https://me:secret@host")


def test_the_ui_opens_on_its_page_for_models() -> None:
    text = ui_command("sqlite:////a b/mlflow.db", "1")
    assert "--backend-store-uri 'sqlite:////a b/mlflow.db' --host 127.0.0.1" in text
    assert "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning" in text


def test_a_folder_with_spaces_and_percent_signs(tmp_path: Path) -> None:
    store = Store(tmp_path / "my results 100%" / "demo")
    store.prepare()
    address = default_uri(store.root.parent)
    check(address)
    assert Tracker(store, address, "bayesrun", "it's").record(done(store, "k1"))
    assert "posterior.nc" in names(address, children(address)["k1"])
    assert [path.name for path in store.root.parent.iterdir() if "mlartifacts" in path.name] == ["mlartifacts"]


def test_unreachable_servers_are_refused_quickly(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(TrackError, match=r"no MLflow server answers at http://127\.0\.0\.1:9 .*track=off"):
        check("http://127.0.0.1:9")
    with pytest.raises(TrackError, match="folder, which MLflow no longer writes to"):
        check("file:///tmp/mlruns")
    (tmp_path / "x.db").write_text("this is no database")
    with pytest.raises(TrackError, match="is not a SQLite database"):
        check(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(TrackError, match="cannot write the tracking database"):
        check(f"sqlite:///{tmp_path}/x.db/y/mlflow.db")
    for nowhere in ("/proc/x/y.db", "/proc/y.db"):
        with pytest.raises(TrackError, match=f"cannot write the tracking database {nowhere}: No such file"):
            check(f"sqlite:///{nowhere}")
    assert time.monotonic() - start < 10


def test_something_else_than_mlflow_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(TrackError, match="does not answer as an MLflow server"):
            check(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=1.0)
        assert time.monotonic() - start < 10


def test_a_study_goes_on_without_its_server(store: Store) -> None:
    records = [done(store, "k1"), done(store, "k2")]
    tracker = Tracker(store, "http://127.0.0.1:9", "bayesrun", "demo")
    assert not tracker.record(records[0])
    start = time.monotonic()
    assert not tracker.record(records[1])
    assert not tracker.finish(FitsRun(records))
    assert time.monotonic() - start < 0.1
    line = tracker.closing_line(FitsRun(records))
    assert line is not None
    assert line.startswith("2 fits are not in MLflow yet (http://127.0.0.1:9: ")
    assert line.endswith(f"later: bayesrun sync demo --output-dir {store.root.parent}")
    with pytest.raises(TrackError, match="MLflow at"):
        sync(Tracker(store, "http://127.0.0.1:9", "bayesrun", "demo"), records)


def test_a_deleted_experiment_is_named(store: Store, uri: str) -> None:
    record = done(store, "k1")
    client = MlflowClient(uri)
    client.delete_experiment(client.create_experiment("bayesrun"))
    tracker = Tracker(store, uri, "bayesrun", "demo")
    assert not tracker.record(record)
    assert tracker.problem is not None
    assert "track.experiment=NAME" in tracker.problem


def test_the_commit_of_the_users_folder(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "x").write_text("1")
    subprocess.run([*git, "add", "x"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    commit = git_commit(tmp_path)
    assert commit is not None
    assert len(commit) == 40
    (tmp_path / "x").write_text("2")
    assert git_commit(tmp_path) == f"{commit}-dirty"


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle_gets_the_rest_later(server: Server, store: Store) -> None:
    check(server.uri)
    records = [done(store, "k1"), done(store, "k2"), failed(store, "k3")]
    tracker = Tracker(store, server.uri, "bayesrun", "demo")
    assert tracker.record(records[0])
    assert "posterior.nc" in names(server.uri, children(server.uri)["k1"])
    server.stop()
    start = time.monotonic()
    assert not tracker.record(records[1])
    assert time.monotonic() - start < 20
    assert not tracker.record(records[2])
    assert not tracker.finish(FitsRun(records))
    assert (tracker.closing_line(FitsRun(records)) or "").startswith("2 fits are not in MLflow yet")
    assert pending(store, server.uri, records) == records[1:]

    server.start()
    again = Tracker(store, server.uri, "bayesrun", "demo")
    assert sync(again, records) == 2
    assert again.finish(FitsRun(records, {"outcomes": pd.DataFrame({"cell": ["a"]})}, state="fail"))
    assert {key: run.info.status for key, run in children(server.uri).items()} == {
        "k1": "FINISHED",
        "k2": "FINISHED",
        "k3": "FAILED",
    }
    assert names(server.uri, children(server.uri)["k3"]) == {"error.txt"}
    assert parent(server.uri).info.status == "FAILED"

    records[2] = done(store, "k3")
    assert sync(Tracker(store, server.uri, "bayesrun", "demo"), records) == 1
    mended = children(server.uri)["k3"]
    assert mended.info.status == "FINISHED"
    assert "posterior.nc" in names(server.uri, mended)
    assert "error.txt" not in names(server.uri, mended)

    server.stop()
    (server.folder / "server.db").unlink()
    shutil.rmtree(server.folder / "artifacts")
    server.start()
    assert sync(Tracker(store, server.uri, "bayesrun", "demo"), records) == 3
    assert set(children(server.uri)) == {"k1", "k2", "k3"}


@pytest.mark.parametrize("deletes", [True, False])
@pytest.mark.parametrize(("status", "failed"), [("FAILED", False), ("FAILED", True), ("FINISHED", False)])
def test_a_traceback_is_taken_away_from_a_mended_run(tmp_path, monkeypatch, deletes, status, failed) -> None:
    """Also from a server, which may delete nothing; of what failed again it stays."""
    there = {"error.txt": "Traceback"}

    class Client:
        tracking_uri = "http://nowhere"

        def log_artifacts(self, _run: str, folder: str) -> None:
            there.update({path.name: path.read_text() for path in Path(folder).iterdir()})

        def log_text(self, _run: str, text: str, name: str) -> None:
            there[name] = text

        def list_artifacts(self, _run: str) -> list[SimpleNamespace]:
            return [SimpleNamespace(path=name) for name in there]

    def delete(name: str) -> None:
        if not deletes:
            raise MlflowException("405 Method Not Allowed")
        del there[name]

    repository = SimpleNamespace(delete_artifacts=delete)
    found = "mlflow.store.artifact.artifact_repository_registry.get_artifact_repository"
    monkeypatch.setattr(found, lambda *_: repository)
    (tmp_path / ("error.txt" if failed else "summary.csv")).write_text("new")
    info = SimpleNamespace(artifact_uri="mlflow-artifacts:/1/r", run_id="r", status=status)
    upload(Client(), SimpleNamespace(info=info), tmp_path)
    if failed:
        assert there == {"error.txt": "new"}
    elif status == "FINISHED":
        assert there == {"error.txt": "Traceback", "summary.csv": "new"}
    elif deletes:
        assert there == {"summary.csv": "new"}
    else:
        assert there == {"error.txt": "This fit failed, and was mended since.\n", "summary.csv": "new"}


def test_tables_on_the_server_have_significant_digits(tmp_path: Path) -> None:
    values = [3.01e-7, -1.23456789e-20, 123456789.0, float("nan"), float("inf")]
    frame = pd.DataFrame({"mean": values, "n": [1, 2, 3, 4, 5], "fine": [True, False, True, True, True]})
    stage_table(frame.rename_axis("scalar"), tmp_path, "summary")
    shown = json.loads((tmp_path / "summary.json").read_text())
    assert shown["columns"] == ["scalar", "mean", "n", "fine"]
    assert [row[1] for row in shown["data"]] == [3.01e-7, -1.23457e-20, 123457000.0, None, None]
    assert shown["data"][1] == [1, -1.23457e-20, 2, False]
    assert pd.read_csv(tmp_path / "summary.csv")["mean"].tolist()[:3] == values[:3]


def test_superseded_runs_are_tagged_until_they_are_current_again(store: Store, uri: str) -> None:
    def tagged() -> set[str]:
        return {key for key, run in children(uri).items() if run.data.tags.get("bayesrun.superseded") == "true"}

    tracker = Tracker(store, uri, "bayesrun", "demo")
    sync(tracker, [done(store, "k1"), done(store, "k2"), done(store, "k3")])
    tracker.finish(FitsRun([]))
    assert tracker.mark_superseded({"k1", "k2"}, {"k3"}, "pass")
    assert tagged() == {"k1", "k2"}
    assert parent(uri).info.status == "FINISHED"
    assert Tracker(store, uri, "bayesrun", "demo").mark_superseded({"k2"}, {"k1", "k3"}, "fail")
    assert tagged() == {"k2"}
    assert parent(uri).info.status == "FAILED"
    assert tracker.mark_superseded(set(), {"k1", "k3"}, "pass")  # k2 was forgotten
    assert tagged() == {"k2"}
    assert set(children(uri)) == {"k1", "k2", "k3"}


def test_a_server_is_left_alone_where_its_tags_are_right(store: Store, tmp_path: Path) -> None:
    nowhere = Tracker(store, f"sqlite:///{tmp_path / 'none' / 'm.db'}", "bayesrun", "demo")
    assert nowhere.mark_superseded(set(), {"k1"}, "pass")
    assert nowhere.problem is None
    assert not (tmp_path / "none").exists()
