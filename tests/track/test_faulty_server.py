"""A real tracking server behind one that answers 500 or 429 or loses answers: nothing is lost, nor there twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient
from tests.track.test_tracker import done, failed

from bayesrun.track import FitsRun, Tracker, pending, sync
from faulty_proxy import Faults, proxy

if TYPE_CHECKING:
    from pathlib import Path

    from bayesrun.store.folder import Store
    from tracking_server import Server

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")]


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MLflow's own client try nothing again, so that each fault is one for the tracker."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.mark.parametrize("kind", ["500", "429", "lost"])
@pytest.mark.parametrize("every", [2, 3, 5])
def test_every_fit_is_there_once_in_the_end(server: Server, store: Store, kind: str, every: int) -> None:
    records = [done(store, "k1"), done(store, "k2"), failed(store, "k3"), done(store, "k4")]
    faults = Faults(kind, every)
    with proxy(server.uri, faults) as uri:
        tracker = Tracker(store, uri, "bayesrun", "demo")
        for record in records:
            tracker.record(record)
        tracker.finish(FitsRun(records))
        assert faults.broken > 0
        faults.every = 0
        again = Tracker(store, uri, "bayesrun", "demo")
        sync(again, records)
        assert again.finish(FitsRun(records))
        assert pending(store, uri, records) == []
    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("bayesrun")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert Counter(run.data.tags.get("bayesrun.key", "study") for run in runs) == dict.fromkeys(
        ["k1", "k2", "k3", "k4", "study"], 1
    )
    assert {run.info.status for run in runs if run.data.tags.get("bayesrun.key") != "k3"} == {"FINISHED"}
    for run in runs:
        if run.data.tags.get("bayesrun.key") in ("k1", "k2", "k4"):
            assert "posterior.nc" in {file.path for file in client.list_artifacts(run.info.run_id)}
            assert run.data.metrics
            assert run.data.params


OPENS = """
import sys
from pathlib import Path
from bayesrun.track.link import Link
Link(sys.argv[1], "bayesrun", sys.argv[2], "", {}).connect()
"""


def test_four_commands_at_once_meet_a_database_that_is_not_there(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    started = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", OPENS, uri, f"study{i}"], stderr=subprocess.PIPE)
        for i in range(4)
    ]
    said = [process.communicate()[1].decode() for process in started]
    assert [process.returncode for process in started] == [0] * 4, said
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("bayesrun")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(str(run.info.run_name) for run in runs) == [f"study{i}" for i in range(4)]
