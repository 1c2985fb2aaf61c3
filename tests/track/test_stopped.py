"""Runs are there from the start of a study, are killed where it is stopped, and end as they should when it goes on."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from mlflow import MlflowClient

from bayesrun.base import stop_signals
from bayesrun.track import CellRun, FitsRun, Record, SimulationTracker, StudyRun, Tracker, is_closed, is_written
from bayesrun.types import Verdict
from fake_trees import fake_outcome, fake_spec, fake_summary, fake_tree

if TYPE_CHECKING:
    from bayesrun.store.folder import Store

# MLflow 3.17 under SQLAlchemy 2.1, when it reads its own tables
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

CELLS = {"a": ("first", {"model": "linear"}), "b": ("second", {"model": "logistic"})}


def runs(uri: str) -> dict[str, str]:
    """Name of each run to its status."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("bayesrun")
    return (
        {}
        if experiment is None
        else {r.info.run_name: r.info.status for r in client.search_runs([experiment.experiment_id])}
    )


def simulated(store: Store, uri: str) -> SimulationTracker:
    return SimulationTracker(store, uri, "bayesrun", "demo")


def study(n: int) -> StudyRun:
    metrics = pd.DataFrame({"rhat_max": [1.0 + i / 100 for i in range(n)]}, index=pd.RangeIndex(n))
    return StudyRun([CellRun(label, params, {}, {}, metrics, key) for key, (label, params) in CELLS.items()])


def record(tracker: SimulationTracker, replicates: range, keys: str = "ab") -> None:
    for key in keys:
        for replicate in replicates:
            tracker.record(CELLS[key][0], replicate, {"rhat_max": 1.0 + replicate / 100}, key=key)


def test_cells_have_their_runs_before_there_is_a_replicate(store: Store, uri: str) -> None:
    simulated(store, uri).begin(CELLS)
    assert runs(uri) == {"demo": "RUNNING", "first": "RUNNING", "second": "RUNNING"}
    client = MlflowClient(uri)
    (first,) = client.search_runs(["1"], "tags.`bayesrun.cell` = 'first'")
    assert first.data.params == {"model": "linear"}
    again = simulated(store, uri)
    again.begin(CELLS)
    again.finish(study(2))
    assert runs(uri) == {"demo": "FINISHED", "first": "FINISHED", "second": "FINISHED"}, "and no others"


def test_a_stopped_study_has_what_was_in_and_its_runs_are_killed_until_it_goes_on(store: Store, uri: str) -> None:
    tracker = simulated(store, uri)
    tracker.begin(CELLS)
    record(tracker, range(3))
    tracker.stop()
    assert runs(uri) == {"demo": "KILLED", "first": "KILLED", "second": "KILLED"}
    (first,) = MlflowClient(uri).search_runs(["1"], "tags.`bayesrun.cell` = 'first'")
    assert first.data.metrics["rhat_max"] == 1.02
    again = simulated(store, uri)
    again.begin(CELLS)
    assert set(runs(uri).values()) == {"RUNNING"}
    record(again, range(3, 5))
    assert again.finish(study(5))
    assert set(runs(uri).values()) == {"FINISHED"}
    assert len(MlflowClient(uri).get_metric_history(first.info.run_id, "rhat_max")) == 5, "each once"


def test_what_was_written_counts_as_changed_from_the_start_also_where_nothing_comes_back(
    store: Store, uri: str
) -> None:
    """A process that is killed for good says nothing more: its runs stay as they are until the next one closes them."""
    simulated(store, uri).finish(study(2))
    assert is_written(store, uri, study(2))
    simulated(store, uri).begin(CELLS)
    assert not is_written(store, uri, study(2))
    assert set(runs(uri).values()) == {"RUNNING"}
    assert simulated(store, uri).finish(study(2))
    assert set(runs(uri).values()) == {"FINISHED"}
    assert is_written(store, uri, study(2))


def test_runs_that_are_closed_stay_as_they_are(store: Store, uri: str) -> None:
    tracker = simulated(store, uri)
    tracker.begin({"a": CELLS["a"]})
    tracker.finish(study(2))
    tracker.stop()
    assert set(runs(uri).values()) == {"FINISHED"}
    later = simulated(store, uri)
    later.begin({"b": CELLS["b"]})
    later.stop()
    assert runs(uri) == {"demo": "KILLED", "first": "FINISHED", "second": "KILLED"}


def test_a_stop_connects_to_nothing(store: Store, uri: str) -> None:
    simulated(store, uri).stop()
    Tracker(store, uri, "bayesrun", "demo").stop()
    assert runs(uri) == {}


def test_sending_at_the_end_takes_no_longer_than_a_second(
    store: Store, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayesrun.track.simulations.LAST", 0.0)
    tracker = simulated(store, uri)
    tracker.begin(CELLS)
    record(tracker, range(3))
    tracker.stop()
    assert set(runs(uri).values()) == {"KILLED"}
    assert tracker.finish(study(3))
    assert set(runs(uri).values()) == {"FINISHED"}


def test_a_study_of_fits_has_its_run_from_the_start(store: Store, uri: str) -> None:
    tree = fake_tree(draws=20, predictive=False)
    outcome = store.write_fit(fake_outcome("k1"), tree, fake_summary(tree))
    whole = FitsRun([Record(fake_spec("k1"), outcome, Verdict(True))])
    tracker = Tracker(store, uri, "bayesrun", "demo")
    tracker.begin()
    assert runs(uri) == {"demo": "RUNNING"}
    tracker.record(whole.records[0])
    tracker.stop()
    assert sorted(runs(uri).values()) == ["FINISHED", "KILLED"], "the fit is done, the study is not"
    again = Tracker(store, uri, "bayesrun", "demo")
    again.begin()
    again.finish(whole)
    assert set(runs(uri).values()) == {"FINISHED"}
    assert is_closed(store, uri, whole)
    again.stop()
    assert set(runs(uri).values()) == {"FINISHED"}
    third = Tracker(store, uri, "bayesrun", "demo")
    third.begin()
    third.stop()
    assert not is_closed(store, uri, whole)


def test_a_signal_waits_for_the_end_of_a_request(store: Store, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = simulated(store, uri)
    made = []

    def signalled(self: MlflowClient, *arguments: object, **options: object) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        made.append(create(self, *arguments, **options))
        return made[-1]

    create = MlflowClient.create_run
    monkeypatch.setattr(MlflowClient, "create_run", signalled)
    with pytest.raises(stop_signals.Stopped), stop_signals.watched():
        tracker.begin(CELLS)
    assert len(made) == 1
    with stop_signals.watched():
        tracker.stop()
    assert runs(uri) == {"demo": "KILLED"}
