"""Simulation studies in MLflow: what runs hold, writing twice, growing, and servers that go away."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import _validate_metric_name

from bayesrun.errors import TrackError
from bayesrun.track import (
    CellRun,
    SimulationTracker,
    StudyRun,
    aggregates,
    is_written,
    replicate_metrics,
    unsent,
    verdicts,
)
from bayesrun.track.journal import Confirmation, confirm, confirm_rows, confirmations, confirmed_points
from bayesrun.track.names import distinct, legal

if TYPE_CHECKING:
    from mlflow.entities import Run

    from bayesrun.store.folder import Store
    from tracking_server import Server

# MLflow 3.17 under SQLAlchemy 2.1, when it reads its own tables
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

CLOSED = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot be reached is given up at once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def diagnostics(n: int, seed: int = 1) -> pd.DataFrame:
    """Diagnostics of n replicates; the first ones are the same for every n."""
    values = np.random.default_rng(seed).standard_normal((1000, 3))[:n]
    return pd.DataFrame(values, columns=["rhat_max", "ess_bulk_min", "elpd_loo"], index=pd.RangeIndex(n))


def cell(label: str = "linear/nuts", n: int = 5, **fields: Any) -> CellRun:
    made = CellRun(
        label,
        {"model": {"": "linear", "n": 20}, "sampler": "nuts"},
        {"sampler.version": "1"},
        {"bias/beta[x1]": (0.01, 0.002), "coverage_0.95/beta[x1]": (0.94, None)},
        diagnostics(n, len(label)),
    )
    return replace(made, **fields)


def row(cell: CellRun, replicate: int) -> dict[str, float]:
    return {str(name): float(value) for name, value in cell.metrics.loc[replicate].items()}


def tracker(store: Store, uri: str) -> SimulationTracker:
    return SimulationTracker(store, uri, "bayesrun", "demo", "two models", {"git_commit": "abc"})


def runs(uri: str, role: str) -> list[Run]:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("bayesrun")
    assert experiment is not None
    found: list[Run] = client.search_runs([experiment.experiment_id], f"tags.`bayesrun.role` = '{role}'")
    return found


def cells(uri: str) -> dict[str, Run]:
    found = {run.data.tags["bayesrun.cell"]: run for run in runs(uri, "cell")}
    assert len(found) == len(runs(uri, "cell"))
    return found


def parent(uri: str) -> Run:
    (run,) = runs(uri, "study")
    return run


def history(uri: str, label: str, name: str) -> list[tuple[int, float]]:
    """Steps and values of a metric of a cell, in the order of the steps; what was sent twice is there twice."""
    found = MlflowClient(uri).get_metric_history(cells(uri)[label].info.run_id, name)
    return sorted((metric.step, metric.value) for metric in found)


def steps(cell: CellRun, name: str) -> list[tuple[int, float]]:
    return [(int(r), float(v)) for r, v in cell.metrics[name].items() if math.isfinite(v)]


def names(uri: str, run: Run, path: str | None = None) -> set[str]:
    return {file.path for file in MlflowClient(uri).list_artifacts(run.info.run_id, path)}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of metrics of each request that was made."""
    made: list[int] = []
    log_batch = MlflowClient.log_batch

    def count(self: MlflowClient, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        made.append(len(metrics))
        log_batch(self, run_id, metrics, params, tags)

    monkeypatch.setattr(MlflowClient, "log_batch", count)
    return made


# ---- what runs say


def test_a_study_is_a_parent_and_a_child_for_each_cell(store: Store, uri: str) -> None:
    two = [cell(), cell("linear/advi", 4, state="fail")]
    track = tracker(store, uri)
    for each in two:
        for replicate in each.metrics.index:
            track.record(each.label, replicate, row(each, replicate))
    facts = {"replicates": "5, for a coverage within 1 %"}
    study = StudyRun(two, "# Aims\nto see", facts, verdicts={"calibrated": 1, "share": 0.1}, state="fail")
    assert track.finish(study)
    assert (track.problem, track.refused, track.closing_line(study)) == (None, [], None)

    top, found = parent(uri), cells(uri)
    assert top.info.run_name == "demo"
    assert top.info.status == "FAILED"
    assert top.data.metrics == {"calibrated": 1.0, "share": 0.1, "n_cells": 2.0, "n_replicates": 9.0}
    assert top.data.tags["mlflow.note.content"] == "# Aims\nto see"
    assert top.data.tags["study.replicates"] == "5, for a coverage within 1 %"
    assert top.data.tags["git_commit"] == "abc"
    assert track.experiment_id == top.info.experiment_id

    assert set(found) == {"linear/nuts", "linear/advi"}
    run = found["linear/nuts"]
    assert run.info.run_name == "linear/nuts"
    assert run.info.status == "FINISHED"
    assert found["linear/advi"].info.status == "FAILED"
    assert run.data.tags["mlflow.parentRunId"] == top.info.run_id
    assert run.data.tags["sampler.version"] == "1"
    assert run.data.tags["bayesrun.verdict"] == "pass"
    assert run.data.params == {"model": "linear", "model.n": "20", "sampler": "nuts"}
    aggregates = {"bias/beta.x1": 0.01, "bias/beta.x1_mcse": 0.002, "coverage_0.95/beta.x1": 0.94, "n_replicates": 5.0}
    assert run.data.metrics == aggregates | row(two[0], 4)  # of steps, MLflow shows the last
    for each in two:
        for name in each.metrics:
            assert history(uri, each.label, str(name)) == steps(each, str(name))


def test_a_study_that_was_never_recorded_is_written_at_the_end(store: Store, uri: str) -> None:
    study = StudyRun([cell()])
    assert unsent(store, uri, study) == 5
    assert tracker(store, uri).finish(study)
    assert history(uri, "linear/nuts", "rhat_max") == steps(study.cells[0], "rhat_max")
    assert parent(uri).data.tags["mlflow.note.content"] == "two models"
    assert unsent(store, uri, study) == 0


def test_values_that_are_not_finite_are_left_out(store: Store, uri: str) -> None:
    frame = pd.DataFrame(
        {"a": [1.0, np.nan, 3.0, np.nan], "b": [np.inf, 2.0, -np.inf, np.nan], "converged": [True, False, True, False]}
    )
    frame["absent"] = pd.Series([None, 1, None, 2], dtype="Int64")
    aggregates = {"bias": (math.nan, 0.1), "width": (2.0, math.inf), "mse": (1.0, 0.5)}
    one = cell(aggregates=aggregates, metrics=frame)
    track = tracker(store, uri)
    track.record(one.label, 0, {"a": 1.0, "b": math.inf, "converged": True})
    assert track.finish(StudyRun([one], verdicts={"calibrated": math.nan}))
    assert history(uri, one.label, "a") == [(0, 1.0), (2, 3.0)]
    assert history(uri, one.label, "b") == [(1, 2.0)]
    assert history(uri, one.label, "converged") == [(0, 1.0), (1, 0.0), (2, 1.0), (3, 0.0)]
    assert history(uri, one.label, "absent") == [(1, 1.0), (3, 2.0)]
    shown = cells(uri)[one.label].data.metrics
    assert {"width", "mse", "mse_mcse", "n_replicates"} == set(shown) - {"a", "b", "converged", "absent"}
    assert "calibrated" not in parent(uri).data.metrics


def test_names_that_servers_refuse(store: Store, uri: str) -> None:
    scalars = ["theta[0]", "theta[school, x=1]", "β", "δ", "theta.0", "P(beta > 0 | y) > 0.95", "../up//", "n" * 300]
    one = cell(aggregates={name: (float(i), 0.5) for i, name in enumerate(scalars)})
    track = tracker(store, uri)
    track.record(one.label, 0, {"draws[0]": 1.0, "draws.0": 2.0} | row(one, 0))
    assert track.finish(StudyRun([one], facts={"a[b]%": "c"}, verdicts={"shape[mu]": 1.0}))
    shown = cells(uri)[one.label].data.metrics
    for value in range(len(scalars)):  # each is there, and none took the place of another
        assert list(shown.values()).count(float(value)) >= 1
    assert shown["theta.0"] == 4.0  # what is legal keeps its name
    assert shown["theta.school_ x_1"] == 1.0
    assert sum(name.endswith("_mcse") or "_mcse." in name for name in shown) >= len(scalars) - 1
    assert history(uri, one.label, "draws.0") == [(0, 2.0)]
    assert parent(uri).data.metrics["shape.mu"] == 1.0
    assert parent(uri).data.tags["study.a_b__"] == "c"


@given(st.lists(st.text(max_size=300), unique=True, max_size=12), st.lists(st.text(min_size=1, max_size=5), max_size=3))
def test_any_names_become_legal_and_stay_apart(given_names: list[str], others: list[str]) -> None:
    taken = set(distinct(others).values())
    found = distinct(given_names, taken)
    assert set(found) == set(given_names)
    assert len(set(found.values()) | taken) == len(given_names) + len(taken)
    for name in found.values():
        _validate_metric_name(name)
        assert len(name) <= 250
        assert legal(name) == name


def test_aggregates_with_the_name_of_a_diagnostic_stay_apart_from_it(store: Store, uri: str) -> None:
    one = cell(aggregates={"rhat_max": (1.25, None)})
    assert tracker(store, uri).finish(StudyRun([one]))
    assert cells(uri)[one.label].data.metrics["rhat_max_overall"] == 1.25
    assert history(uri, one.label, "rhat_max") == steps(one, "rhat_max")


def test_hundreds_of_aggregates_and_parameters_go_in_several_requests(
    store: Store, uri: str, requests: list[int]
) -> None:
    many = {f"bias/theta[{i}]": (float(i), float(i) / 10) for i in range(700)}
    one = cell(aggregates=many, params={f"p{i}": i for i in range(250)}, tags={f"t{i}": str(i) for i in range(150)})
    assert tracker(store, uri).finish(StudyRun([one]))
    run = cells(uri)[one.label]
    assert run.data.metrics["bias/theta.699_mcse"] == 69.9
    assert len(run.data.params) == 250
    assert run.data.tags["t149"] == "149"
    assert max(requests) <= 1000


def test_a_long_description_is_cut_and_kept_whole_as_a_file(store: Store, uri: str, tmp_path: Path) -> None:
    text = "\n".join(f"line {i} of the aims" for i in range(1000))
    assert tracker(store, uri).finish(StudyRun([cell()], text))
    note = parent(uri).data.tags["mlflow.note.content"]
    assert len(note) <= 5000
    assert note.endswith("of the aims\n\n(The whole text is the artifact description.md.)")
    copy = MlflowClient(uri).download_artifacts(parent(uri).info.run_id, "description.md", str(tmp_path))
    assert Path(copy).read_text() == text


# ---- files


def test_files_are_sent_once_for_each_content(store: Store, uri: str, tmp_path: Path) -> None:
    store.write_table("measures", pd.DataFrame({"bias": [0.1]}))
    (store.root / "figures").mkdir()
    figure = store.root / "figures" / "zip.png"
    figure.write_bytes(b"PNG")
    report = tmp_path / "report.html"
    report.write_text("made at noon")
    study = StudyRun([cell()], artifacts=[store.tables, figure, report])
    assert tracker(store, uri).finish(study)
    top = parent(uri)
    assert names(uri, top) == {"tables", "figures", "report.html"}
    assert names(uri, top, "tables") == {"tables/measures.csv", "tables/measures.parquet"}
    kept = Path(top.info.artifact_uri.removeprefix("file://"))
    before = {path: path.stat().st_ino for path in kept.rglob("*") if path.is_file()}

    report.unlink()
    report.write_text("made at one")
    assert is_written(store, uri, study)  # a page alone is no news
    figure.unlink()
    figure.write_bytes(b"PNG 2")
    assert not is_written(store, uri, study)
    assert tracker(store, uri).finish(study)
    assert (kept / "report.html").read_text() == "made at one"
    assert (kept / "figures" / "zip.png").read_bytes() == b"PNG 2"
    assert {path.name for path in before if path.stat().st_ino != before[path]} == {"report.html", "zip.png"}


def test_a_file_that_does_not_exist_is_named(store: Store, uri: str) -> None:
    study = StudyRun([cell()], artifacts=[store.root / "report.html"])
    track = tracker(store, uri)
    assert track.finish(study)
    assert track.refused == ["report.html: there is no such file"]
    assert "report.html" in (track.closing_line(study) or "")


# ---- while replicates arrive


def test_replicates_wait_until_a_request_is_full(store: Store, uri: str, requests: list[int]) -> None:
    track = tracker(store, uri)
    for replicate in range(301):
        for label in ("a", "b"):
            track.record(label, replicate, {"x": 1.0, "y": 2.0, "z": 3.0})
    assert requests == []
    for replicate in range(301, 340):
        track.record("a", replicate, {"x": 1.0, "y": 2.0, "z": 3.0})
    assert requests == [999]  # 333 replicates of 3 metrics
    assert track.flush()
    assert requests == [999, 903, 21]
    assert track.flush()
    assert history(uri, "a", "x") == [(r, 1.0) for r in range(340)]
    assert cells(uri)["a"].info.status == "RUNNING"


def test_a_slow_study_is_seen_before_a_request_is_full(
    store: Store, uri: str, monkeypatch: pytest.MonkeyPatch, requests: list[int]
) -> None:
    monkeypatch.setattr("bayesrun.track.simulations.PACE", 0.0)
    monkeypatch.setattr("bayesrun.track.simulations.SHARE", 0.0)
    track = tracker(store, uri)
    for replicate in range(3):
        track.record("a", replicate, {"x": 1.0})
    assert requests == [1, 1, 1]


def test_the_time_spent_on_sending_is_bounded(store: Store, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now, sent = [1000.0], []

    def send(self: SimulationTracker, cells: list[str]) -> None:
        sent.append(now[0])
        now[0] += 5.0

    monkeypatch.setattr("bayesrun.track.simulations.time.monotonic", lambda: now[0])
    monkeypatch.setattr(SimulationTracker, "_send", send)
    track = tracker(store, uri)
    for moment in (1029.0, 1031.0, 1135.0, 1137.0, 1200.0):
        now[0] = moment
        track.record("a", 0, {"x": 1.0})
    assert sent == [1031.0, 1137.0]  # half a minute after the start, then twenty times five seconds after the end


def test_a_replicate_with_more_values_than_a_request_holds(store: Store, uri: str, requests: list[int]) -> None:
    frame = pd.DataFrame({f"m{i}": [1.0, 2.0] for i in range(1100)})
    one = cell(metrics=frame)
    track = tracker(store, uri)
    track.record(one.label, 0, row(one, 0))
    assert track.finish(StudyRun([one]))
    assert max(requests) <= 1000
    assert history(uri, one.label, "m1099") == [(0, 1.0), (1, 2.0)]


# ---- writing again, and growing


def test_the_same_study_again_writes_nothing(store: Store, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study = StudyRun([cell(), cell("linear/advi")], "text", verdicts={"calibrated": 1})
    assert tracker(store, uri).finish(study)
    journal, database = store.journal.read_bytes(), Path(uri.removeprefix("sqlite:///")).read_bytes()
    monkeypatch.setattr("bayesrun.track.link.connect", lambda _: pytest.fail("the server was asked"))
    same = StudyRun([cell(), cell("linear/advi")], "text", verdicts={"calibrated": 1})
    again = tracker(store, uri)
    assert is_written(store, uri, same)
    assert again.finish(same)
    assert again.closing_line(same) is None
    assert store.journal.read_bytes() == journal
    assert Path(uri.removeprefix("sqlite:///")).read_bytes() == database


def test_a_study_that_grows_gets_new_steps_only(store: Store, uri: str, requests: list[int]) -> None:
    first = StudyRun([cell(n=5), cell("linear/advi", 5)])
    assert tracker(store, uri).finish(first)
    untouched = cells(uri)["linear/advi"]
    requests.clear()

    bigger = cell(n=8, aggregates={"bias/beta[x1]": (0.02, 0.001), "coverage_0.95/beta[x1]": (0.94, None)})
    second = StudyRun([bigger, cell("linear/advi", 5), cell("linear/smc", 2)])
    assert unsent(store, uri, second) == 5
    track = tracker(store, uri)
    track.record(bigger.label, 5, row(bigger, 5))
    assert track.finish(second)
    for each in second.cells:
        assert history(uri, each.label, "elpd_loo") == steps(each, "elpd_loo")
    assert history(uri, bigger.label, "bias/beta.x1") == [(5, 0.01), (8, 0.02)]
    assert history(uri, bigger.label, "coverage_0.95/beta.x1") == [(5, 0.94)]
    assert cells(uri)[bigger.label].data.metrics["bias/beta.x1"] == 0.02
    assert cells(uri)[bigger.label].info.status == "FINISHED"
    assert cells(uri)["linear/advi"].info.end_time == untouched.info.end_time
    assert parent(uri).data.metrics["n_replicates"] == 15.0


def test_rounds_in_one_process(store: Store, uri: str) -> None:
    track = tracker(store, uri)
    for n in (3, 6, 9):
        one = cell(n=n, aggregates={"coverage": (1 - 1 / n, 0.1)})
        for replicate in range(n - 3, n):
            track.record(one.label, replicate, row(one, replicate))
        track.flush()
        assert parent(uri).info.status == "RUNNING"
        assert cells(uri)[one.label].info.status == "RUNNING"
        assert track.finish(StudyRun([one]))
        assert parent(uri).info.status == "FINISHED"
        assert cells(uri)[one.label].info.status == "FINISHED"
    assert [step for step, _ in history(uri, "linear/nuts", "coverage")] == [3, 6, 9]
    assert history(uri, "linear/nuts", "rhat_max") == steps(cell(n=9), "rhat_max")


def test_a_new_column_and_a_new_value_are_added(store: Store, uri: str) -> None:
    assert tracker(store, uri).finish(StudyRun([cell()]))
    frame = diagnostics(5, len("linear/nuts"))
    frame["seconds"] = 2.0
    frame.loc[3, "rhat_max"] = 1.5
    assert tracker(store, uri).finish(StudyRun([cell(metrics=frame)]))
    assert history(uri, "linear/nuts", "seconds") == [(r, 2.0) for r in range(5)]
    assert history(uri, "linear/nuts", "ess_bulk_min") == steps(cell(), "ess_bulk_min")
    assert len(history(uri, "linear/nuts", "rhat_max")) == 6
    assert unsent(store, uri, StudyRun([cell(metrics=frame)])) == 0


def test_fewer_replicates_do_not_hide_the_new_aggregates(store: Store, uri: str) -> None:
    assert tracker(store, uri).finish(StudyRun([cell(n=5)], verdicts={"calibrated": 0}))
    fewer = cell(n=4, aggregates={"bias/beta[x1]": (0.5, 0.1)})
    assert tracker(store, uri).finish(StudyRun([fewer], verdicts={"calibrated": 1}))
    assert cells(uri)["linear/nuts"].data.metrics["bias/beta.x1"] == 0.5
    assert cells(uri)["linear/nuts"].data.metrics["n_replicates"] == 4.0
    assert parent(uri).data.metrics["calibrated"] == 1.0


def test_a_label_that_changes_keeps_its_run(store: Store, uri: str) -> None:
    track = tracker(store, uri)
    first = cell("linear", key="k1")
    track.record("linear", 0, row(first, 0), key="k1")
    assert track.finish(StudyRun([first]))
    (before,) = runs(uri, "cell")
    renamed = cell("linear n=20", key="k1", metrics=first.metrics, params={"model": "other", "new": 1})
    assert tracker(store, uri).finish(StudyRun([renamed, cell("linear n=50", key="k2")]))
    assert set(cells(uri)) == {"linear n=20", "linear n=50"}
    run = cells(uri)["linear n=20"]
    assert run.info.run_id == before.info.run_id
    assert run.info.run_name == "linear n=20"
    assert run.data.params["model"] == "linear"  # a parameter never changes
    assert run.data.params["new"] == "1"
    assert history(uri, "linear n=20", "rhat_max") == steps(renamed, "rhat_max")


def test_facts_and_verdicts_that_no_longer_hold_are_taken_away(store: Store, uri: str) -> None:
    assert tracker(store, uri).finish(StudyRun([cell()], facts={"stopped": "at 5"}, state="fail"))
    assert tracker(store, uri).finish(StudyRun([cell()], facts={"why": "because"}))
    tags = parent(uri).data.tags
    assert "study.stopped" not in tags
    assert (tags["study.why"], tags["bayesrun.verdict"]) == ("because", "pass")
    assert parent(uri).info.status == "FINISHED"


# ---- servers that go away


def test_a_study_goes_on_without_its_server_and_is_sent_later(store: Store, uri: str) -> None:
    study = StudyRun([cell(n=400), cell("linear/advi", 7)])
    track = tracker(store, CLOSED)
    for each in study.cells:
        for replicate in each.metrics.index:
            track.record(each.label, replicate, row(each, replicate))
    assert not track.finish(study)
    line = track.closing_line(study)
    assert line is not None
    assert line.startswith(f"407 replicates are not in MLflow yet ({CLOSED}: ")
    assert line.endswith(f"later: bayesrun sync demo --output-dir {store.root.parent}")
    with pytest.raises(TrackError, match="0 replicates sent to MLflow, then: "):
        tracker(store, CLOSED).sync(study)
    assert unsent(store, CLOSED, study) == 407

    again = tracker(store, uri)
    assert again.sync(study) == 407
    assert again.sync(study) == 0
    for each in study.cells:
        assert history(uri, each.label, "elpd_loo") == steps(each, "elpd_loo")
    assert parent(uri).info.status == "FINISHED"


def break_after(monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException, *, taken: bool) -> None:
    """Let requests with replicates fail from one on; `taken`: the first of them is written, and its answer lost."""
    log_batch, count = MlflowClient.log_batch, [0]

    def fail(self: MlflowClient, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        count[0] += bool(metrics)
        if metrics and count[0] > number:
            if taken and count[0] == number + 1:
                log_batch(self, run_id, metrics, params, tags)
            raise error
        log_batch(self, run_id, metrics, params, tags)

    monkeypatch.setattr(MlflowClient, "log_batch", fail)


@pytest.mark.parametrize("taken", [False, True])
def test_a_server_that_goes_away_in_the_middle(
    store: Store, uri: str, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    one = cell(n=1000)
    study = StudyRun([one])
    track = tracker(store, uri)
    with monkeypatch.context() as broken:
        break_after(broken, 1, OSError("gone"), taken=taken)
        for replicate in one.metrics.index:
            track.record(one.label, replicate, row(one, replicate))
        assert track.problem == f"{uri}: gone"
        assert not track.finish(study)
        assert unsent(store, uri, study) == 1000 - 333
    assert tracker(store, uri).sync(study) == 1000 - 333 - taken * 333
    for name in one.metrics:
        assert history(uri, one.label, str(name)) == steps(one, str(name))


def test_a_server_that_comes_back_gets_what_waited(store: Store, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayesrun.track.link.RETRY_AFTER", 0.0)
    one = cell(n=1000)
    track = tracker(store, uri)
    with monkeypatch.context() as broken:
        break_after(broken, 0, OSError("gone"), taken=True)
        for replicate in range(343):
            track.record(one.label, replicate, row(one, replicate))
        assert track.problem is not None
    for replicate in range(343, 743):
        track.record(one.label, replicate, row(one, replicate))
    assert track.problem is None
    assert len(history(uri, one.label, "rhat_max")) == 676  # 343 that waited, then a full request
    assert track.finish(StudyRun([one]))
    assert history(uri, one.label, "rhat_max") == steps(one, "rhat_max")


def test_an_interrupted_request_is_not_sent_twice(store: Store, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = cell(n=500)
    track = tracker(store, uri)
    with monkeypatch.context() as broken:
        break_after(broken, 0, KeyboardInterrupt(), taken=True)
        for replicate in range(333):
            track.record(one.label, replicate, row(one, replicate))
        with pytest.raises(KeyboardInterrupt):
            track.record(one.label, 333, row(one, 333))
    assert track.finish(StudyRun([one]))
    assert history(uri, one.label, "rhat_max") == steps(one, "rhat_max")


def test_what_a_server_refuses_does_not_hold_up_the_rest(
    store: Store, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_batch = MlflowClient.log_batch

    def refuse(self: MlflowClient, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        if any(metric.value == 666.0 for metric in metrics):
            raise MlflowException.invalid_parameter_value("not this one")
        log_batch(self, run_id, metrics, params, tags)

    study = StudyRun([cell(aggregates={"bias": (666.0, None)}), cell("linear/advi")])
    with monkeypatch.context() as strict:
        strict.setattr(MlflowClient, "log_batch", refuse)
        track = tracker(store, uri)
        track.record("linear/smc", 0, {"x": 666.0})
        assert track.flush()  # it is not tried again and again
        assert not track.finish(study)
        assert track.refused == ["linear/smc: not this one", "linear/nuts: not this one"]
        assert track.problem is None
    assert cells(uri)["linear/advi"].info.status == "FINISHED"
    assert not is_written(store, uri, study)
    assert tracker(store, uri).finish(study)
    assert cells(uri)["linear/nuts"].data.metrics["bias"] == 666.0


def test_runs_that_are_gone_are_made_again(store: Store, uri: str) -> None:
    study = StudyRun([cell(), cell("linear/advi")])
    assert tracker(store, uri).finish(study)
    MlflowClient(uri).delete_run(cells(uri)["linear/nuts"].info.run_id)
    assert tracker(store, uri).sync(study) == 5
    assert set(cells(uri)) == {"linear/nuts", "linear/advi"}

    MlflowClient(uri).delete_run(parent(uri).info.run_id)
    assert tracker(store, uri).sync(study) == 0
    assert {run.data.tags["mlflow.parentRunId"] for run in cells(uri).values()} == {parent(uri).info.run_id}
    assert parent(uri).data.metrics["n_replicates"] == 10.0


def test_a_lost_journal_and_a_lost_database(store: Store, uri: str) -> None:
    study = StudyRun([cell(), cell("linear/advi")])
    assert tracker(store, uri).finish(study)
    store.journal.unlink()  # known to the server only
    assert not is_written(store, uri, study)
    assert tracker(store, uri).sync(study) == 0
    assert history(uri, "linear/nuts", "rhat_max") == steps(study.cells[0], "rhat_max")
    assert is_written(store, uri, study)

    Path(uri.removeprefix("sqlite:///")).unlink()
    assert unsent(store, uri, study) == 10
    assert not is_written(store, uri, study)


def test_credentials_are_never_written_or_shown(store: Store) -> None:
    secret = "http://me:secret@127.0.0.1:9"
    track = tracker(store, secret)
    assert not track.finish(StudyRun([cell()]))
    assert "secret" not in (track.problem or "secret") + (track.closing_line(StudyRun([cell()])) or "secret")
    with pytest.raises(TrackError) as failure:
        track.sync(StudyRun([cell()]))
    assert "secret" not in str(failure.value)
    confirm_rows(store.journal, secret, "k", "r", {0: {"a": 1.0}})
    assert "secret" not in store.journal.read_text()
    assert set(confirmed_points(store.journal, "http://127.0.0.1:9")) == {"k"}


def test_asking_whether_a_study_is_written_imports_no_mlflow(store: Store, uri: str) -> None:
    code = (
        "import sys; from pathlib import Path; from bayesrun.store.folder import Store; from bayesrun import track\n"
        f"store = Store(Path({str(store.root)!r}))\n"
        f"tracker = track.SimulationTracker(store, {uri!r}, 'bayesrun', 'demo'); tracker.record('a', 0, {{'x': 1.0}})\n"
        f"assert not track.is_written(store, {uri!r}, track.StudyRun([]))\n"
        f"assert track.unsent(store, {uri!r}, track.StudyRun([])) == 0\n"
        "assert not {'mlflow', 'sqlalchemy', 'pymc'} & set(sys.modules), 'heavy'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- from the tables of a study


def tables() -> dict[str, pd.DataFrame]:
    measures = [
        ("a", "mu", "bias", math.nan, 0.01, 0.002, "all"),
        ("a", "mu", "bias", math.nan, 0.02, 0.002, "converged"),
        ("a", "mu", "coverage", 0.95, 0.94, 0.01, "all"),
        ("a", "mu", "mae", math.nan, 1.0, 0.1, "all"),
        ("a", "mu", "decision:P(mu > 0 | y) > 0.95", math.nan, 0.8, math.nan, "all"),
        ("a", "", "failure", math.nan, 0.25, 0.2, "all"),
        ("b", "mu", "bias", math.nan, 9.0, 9.0, "all"),
    ]
    fits = {
        "cell": ["a", "a", "a", "b"],
        "replicate": [0, 1, 2, 0],
        "status": ["done", "failed", "missing", "done"],
        "reason": ["", "oom", "", ""],
        "converged": [True, False, False, False],
        "seconds": [1.5, math.nan, math.nan, 3.0],
        "degenerate": [False] * 4,
        "rhat_max": [1.01, math.nan, math.nan, 1.2],
        "khat": [math.nan, math.nan, math.nan, 0.5],
    }
    calibration = {"cell": ["a", "a", "b"], "p_holm": [0.4, 0.03, 0.5], "calibrated": [True, False, True]}
    columns = ["cell", "variable", "measure", "level", "value", "mcse", "analysis"]
    return {
        "measures": pd.DataFrame(measures, columns=columns),
        "fits": pd.DataFrame(fits),
        "calibration": pd.DataFrame(calibration),
    }


def test_headlines_of_a_cell() -> None:
    assert aggregates(tables(), "a") == {
        "calibrated": (0.0, None),
        "p_holm_min": (0.03, None),
        "bias/mu": (0.01, 0.002),
        "coverage_0.95/mu": (0.94, 0.01),
        "decision:P(mu > 0 | y) > 0.95/mu": (0.8, None),
        "failure": (0.25, 0.2),
    }
    assert aggregates(tables(), "b", ["rmse"]) == {"calibrated": (1.0, None), "p_holm_min": (0.5, None)}
    assert aggregates({"measures": pd.DataFrame()}, "a") == {}


def test_diagnostics_of_a_cell_are_those_of_the_fits_that_came_back() -> None:
    frame = replicate_metrics(tables()["fits"], "a")
    assert list(frame.columns) == ["converged", "seconds", "rhat_max"]
    rows = cell(metrics=frame).rows
    assert rows == {0: {"converged": 1.0, "seconds": 1.5, "rhat_max": 1.01}, 1: {"converged": 0.0}}


def test_verdicts_of_a_study() -> None:
    counts = {"n_done": 2.0, "n_failed": 1.0, "n_missing": 1.0, "n_not_converged": 1.0}
    assert verdicts(tables()) == counts | {"calibrated": 0.0}
    assert verdicts({"fits": tables()["fits"]}) == counts


# ---- the journal


def test_the_journal_holds_both_kinds_of_lines(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    part = Confirmation("u", "cell a", "1", "x")
    confirm_rows(journal, "u", "a", "1", {0: {"m": 1.5, "n": 2.0}, 7: {"n": 0.1 + 0.2}})
    confirm(journal, part)
    with journal.open("a") as file:
        file.write('{"uri": "u", "cell": "a", "run_id": "1", "na')
    confirm_rows(journal, "u", "a", "1", {7: {"n": 4.0}})
    confirm_rows(journal, "other", "a", "1", {9: {"n": 4.0}})
    assert confirmations(journal, "u") == {"cell a": part}
    assert confirmed_points(journal, "u")["a"].values == {"m": {0: 1.5}, "n": {0: 2.0, 7: 4.0}}
    confirm_rows(journal, "u", "a", "2", {1: {"m": 1.0}})  # its run was made again
    assert confirmed_points(journal, "u")["a"].values == {"m": {1: 1.0}}
    assert confirmed_points(tmp_path / "none", "u") == {}


# ---- a real server


@pytest.mark.slow
def test_a_real_server_that_dies_in_the_middle_gets_the_rest_later(server: Server, store: Store) -> None:
    store.write_table("measures", pd.DataFrame({"bias": [0.1]}))
    one = cell(n=1000)
    study = StudyRun([one, cell("linear/advi", 9)], "x" * 9000, artifacts=[store.tables], verdicts={"calibrated": 1})
    track = tracker(store, server.uri)
    for replicate in range(400):
        track.record(one.label, replicate, row(one, replicate))
    assert track.problem is None
    server.stop()
    for replicate in range(400, 1000):
        track.record(one.label, replicate, row(one, replicate))
    assert track.problem is not None
    assert not track.finish(study)
    assert unsent(store, server.uri, study) == 1000 - 333 + 9

    server.start()
    again = tracker(store, server.uri)
    assert again.sync(study) == 1000 - 333 + 9
    for each in study.cells:
        assert history(server.uri, each.label, "elpd_loo") == steps(each, "elpd_loo")
    assert names(server.uri, parent(server.uri)) == {"tables", "description.md"}
    assert parent(server.uri).info.status == "FINISHED"
    grown = replace(study, cells=[one, cell("linear/advi", 12)])
    assert tracker(store, server.uri).sync(grown) == 3
    assert history(server.uri, "linear/advi", "rhat_max") == steps(grown.cells[1], "rhat_max")
