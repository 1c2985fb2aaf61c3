"""Clusters that are late, that die or that go away: fakes for what Ray does, and one that is killed for real."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections import deque
from types import SimpleNamespace

import pytest

from bayesrun.dispatch import cluster as clusters
from bayesrun.dispatch import ray as on_ray
from bayesrun.dispatch.cluster import Cluster, LostError, cluster, ray_errors, replaced
from bayesrun.dispatch.retries import MOST_BESIDE
from bayesrun.errors import ConfigError, DispatchError
from bayesrun.types import DispatchOptions
from places import SUPPORT
from tiny_models import batch, spec

LOCAL, THERE = DispatchOptions(), DispatchOptions(address="10.0.0.1:6379")


@pytest.fixture
def tries(monkeypatch) -> list[str]:
    """What was done to get a cluster; `fails` of its words raise first."""
    done: list[str] = []
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr(clusters, "PAUSE", 0.0)
    monkeypatch.setattr(clusters, "check_address", lambda _: None)
    monkeypatch.setattr(clusters, "_start", lambda *_: done.append("start"))
    monkeypatch.setattr(clusters, "_join", lambda *_: done.append("join"))
    monkeypatch.setattr(clusters, "_shut_down", lambda: done.append("shut down"))
    monkeypatch.setattr(Cluster, "nodes", lambda _: [{"CPU": 2.0}])
    return done


def fail(monkeypatch, name: str, done: list[str], times: int, error: Exception) -> None:
    def act(*_: object) -> None:
        done.append(name)
        if done.count(name) <= times:
            raise error

    monkeypatch.setattr(clusters, f"_{name}", act)


def connect(options: DispatchOptions, *, again: bool = False, accept=lambda _: None) -> None:
    with cluster(options, [], accept, again=again):
        pass


def test_a_local_cluster_that_is_late_is_tried_to_be_started_again(tries, monkeypatch):
    fail(monkeypatch, "start", tries, 2, Exception("The current node timed out during startup."))
    connect(LOCAL)
    assert tries == ["start", "shut down"] * 3


def test_one_that_never_starts_is_told_with_what_to_do(tries, monkeypatch):
    fail(monkeypatch, "start", tries, 9, Exception("The current node timed out during startup.\nMore of it."))
    with pytest.raises(ConfigError) as caught:
        connect(LOCAL)
    assert str(caught.value) == (
        "Ray did not start on this machine in 3 tries: Exception: The current node timed out during startup.; free "
        "memory and cores, or go without Ray: dispatch=serial"
    )
    assert tries.count("start") == 3


def test_what_ray_refuses_is_tried_once(tries, monkeypatch):
    fail(monkeypatch, "start", tries, 9, ValueError("no such option"))
    with pytest.raises(ConfigError, match="ValueError: no such option"):
        connect(LOCAL)
    assert tries == ["start", "shut down"]


def test_a_cluster_that_is_not_there_is_refused_and_one_that_went_away_is_waited_for(tries, monkeypatch):
    fail(monkeypatch, "join", tries, 4, ConnectionError("nobody"))
    with pytest.raises(ConfigError, match=r"no Ray cluster at 10\.0\.0\.1:6379: ConnectionError: nobody; check"):
        connect(THERE)
    assert tries.count("join") == 1
    connect(THERE, again=True)
    assert tries.count("join") == 5


def test_it_is_there_again_when_its_nodes_are(tries):
    offers = iter([0.0, 1.0, 2.0])

    def accept(_: object) -> None:
        if next(offers) < 2:
            raise ConfigError("not enough")

    connect(THERE, again=True, accept=accept)
    assert tries.count("join") == 3
    offers = iter([0.0])
    with pytest.raises(ConfigError, match="not enough"):
        connect(THERE, accept=accept)


def test_one_that_dies_while_it_starts_is_started_again(tries, monkeypatch):
    left = [LostError("none of its nodes is left")]

    def nodes(_: Cluster) -> list[dict[str, float]]:
        if left:
            raise left.pop()
        return [{"CPU": 2.0}]

    monkeypatch.setattr(Cluster, "nodes", nodes)
    connect(LOCAL)
    assert tries == ["start", "shut down", "start", "shut down"]
    left.extend([LostError("none of its nodes is left")] * 3)
    with pytest.raises(ConfigError, match="did not start on this machine in 3 tries: none of its nodes is left; free"):
        connect(LOCAL)
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    left.append(LostError("its head does not answer"))
    with pytest.raises(DispatchError, match="of this process is gone: its head does not answer; finished fits"):
        connect(LOCAL)


def test_the_wait_has_an_end(tries, monkeypatch):
    monkeypatch.setattr(clusters, "WAIT_SECONDS", 0.05)
    fail(monkeypatch, "join", tries, 10**6, ConnectionError("nobody"))
    with pytest.raises(DispatchError, match=r"6379 did not come back in .* minutes: ConnectionError: nobody; fi"):
        connect(THERE, again=True)
    assert tries.count("join") > 1


def test_ray_gets_no_signals(tries, monkeypatch):
    import ray

    before = signal.getsignal(signal.SIGTERM)
    setter = ray._private.utils.set_sigterm_handler
    monkeypatch.setattr(clusters, "_start", lambda *_: ray._private.utils.set_sigterm_handler(lambda *_: sys.exit(15)))
    connect(LOCAL)
    assert signal.getsignal(signal.SIGTERM) is before
    assert ray._private.utils.set_sigterm_handler is setter


def test_how_often_a_cluster_is_replaced():
    with pytest.warns(
        UserWarning, match=r"local Ray cluster is gone: its raylet ended; it is started again \(1 of 3\)"
    ):
        replaced(Cluster(LOCAL, own=True), "its raylet ended", 1)
    with pytest.warns(UserWarning, match=r"6379 is gone: .*; it is waited for, up to 5 minutes \(3 of 3\)"):
        replaced(Cluster(THERE), "its head does not answer since 6 s", 3)
    with pytest.raises(DispatchError, match=r"lost 4 times, at last since its raylet ended; fin.*dispatch=serial"):
        replaced(Cluster(LOCAL, own=True), "its raylet ended", 4)
    with pytest.raises(DispatchError, match="is gone"):
        replaced(Cluster(LOCAL, found=True), "its raylet ended", 1)


def test_a_cluster_of_ours_is_gone_with_its_raylet_or_head(monkeypatch):
    dead: list[tuple[str, None]] = []
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray._private.worker._global_node", SimpleNamespace(dead_processes=lambda: dead))
    ours = Cluster(LOCAL, own=True)
    assert ours.lost() == ""
    dead.append(("log_monitor", None))
    assert ours.lost() == "", "it lives without that"
    dead.append(("gcs_server", None))
    assert ours.lost() == "its head (its GCS) ended"
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    assert ours.lost() == "it closed the connection"


def test_a_cluster_that_is_there_is_gone_when_its_head_is_silent_for_long(monkeypatch):
    answers: deque[bool] = deque()

    def ask() -> tuple[dict, str]:
        if not answers.popleft():
            raise TimeoutError
        return {}, ""

    now = SimpleNamespace(monotonic=lambda: clock[0])
    clock = [100.0]
    monkeypatch.setattr(clusters, "time", now)
    monkeypatch.setattr(clusters, "_nodes", ask)
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray._private.worker._global_node", SimpleNamespace())
    place = Cluster(THERE, _heard=100.0, _looked=100.0)
    assert place.lost() == "", "it was just asked"
    for step, answer, gone in [(2, True, ""), (2, False, ""), (2, True, ""), (2, False, ""), (4, False, "6 s")]:
        clock[0] += step
        answers.append(answer)
        found = place.lost()
        assert gone in found
        assert bool(found) == bool(gone)


def test_errors_of_ray_itself_are_a_cluster_that_is_gone():
    from ray.exceptions import AuthenticationError, RaySystemError

    for error, told in [
        (RaySystemError("not there"), "RaySystemError: System error: not there"),
        (ConnectionError("closed\nmore"), "ConnectionError: closed"),
        (AuthenticationError("WrongClusterID: restarted"), "another one was started in its place"),
    ]:
        with pytest.raises(LostError, match=f"^{re.escape(told)}$"), ray_errors():
            raise error
    with pytest.raises(TypeError), ray_errors():
        raise TypeError("a defect")


def test_a_fit_that_was_beside_is_counted_apart_from_one_that_ended_its_worker():
    from ray.exceptions import NodeDiedError, WorkerCrashedError

    task = on_ray._Task(batch(spec("a"), spec("b"), spec("c")))
    task.left.discard("a")
    waiting: deque = deque()
    options = DispatchOptions(retries=1)
    for count in range(1, MOST_BESIDE + 1):
        assert list(on_ray._broken(NodeDiedError("the node died"), task, options, waiting)) == []
        task = waiting.pop()
        assert ([s.key for s in task.batch.specs], task.tries, task.beside) == (["b", "c"], 0, count), "whole"
        assert task.batch.tried == {}
    (alone,) = (t for t in [on_ray._Task(batch(spec("b")), 0, task.beside)])
    assert list(on_ray._broken(WorkerCrashedError(), alone, options, waiting)) == []
    assert [(t.tries, t.beside) for t in waiting] == [(1, MOST_BESIDE)], "its own retry is still there"
    again = waiting.pop()
    (outcome,) = on_ray._broken(WorkerCrashedError(), again, options, waiting)
    assert (outcome.status, outcome.reason) == ("failed", "lost")
    given_up = list(on_ray._broken(NodeDiedError("the node died"), task, options, waiting))
    assert [(o.key, o.reason) for o in given_up] == [("b", "lost"), ("c", "lost")]
    assert "(6 times)" in given_up[0].message


def test_what_was_on_its_way_comes_last_after_a_loss():
    first, second, done = (on_ray._Task(batch(spec(name))) for name in "abc")
    done.left.clear()
    queue = on_ray._Queue(deque([second]), on_ray.Watch.of([]), {1: first, 2: done})
    queue.ground()
    assert [task.batch.label for task in queue.waiting] == [second.batch.label, first.batch.label]
    assert [task.beside for task in queue.waiting] == [0, 1]
    assert not queue.flying


def test_what_no_node_can_run_any_more_is_a_loss():
    queue = on_ray._Queue(deque([on_ray._Task(batch(spec("a"), num_cpus=4.0))]), on_ray.Watch.of([]))
    queue.nodes = [{"CPU": 8.0}]
    queue.check()
    queue.nodes = [{"CPU": 2.0}]
    with pytest.raises(LostError, match="no node is left that has num_cpus=4"):
        queue.check()


DRIVER = """
    import os, signal, sys, warnings
    from pathlib import Path
    import ray
    from bayesrun.dispatch.ray import dispatch
    from bayesrun.types import DispatchOptions
    from fake_work import Work
    from light_batches import cells

    if __name__ == "__main__":
        folder, victims = Path(sys.argv[1]), sys.argv[2:]
        arriving = dispatch(cells(["fine", "wait", "fine too"]), Work(folder), DispatchOptions(num_cpus=2, retries=0))
        for outcome in arriving:
            print(outcome.key, outcome.status, outcome.message, flush=True)
            if victims:
                node = ray._private.worker._global_node
                os.kill(node.all_processes[victims.pop()][0].process.pid, signal.SIGKILL)
            if not victims:
                (folder / "go").touch()
        print("end", flush=True)
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_local_cluster_that_is_killed_twice_loses_nothing(tmp_path):
    """Its raylet and then its head, with one fit under way, which no retry is left for."""
    script = tmp_path / "driver.py"
    script.write_text(textwrap.dedent(DRIVER))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "gcs_server", "raylet"],
        env=os.environ | {"PYTHONPATH": str(SUPPORT)}, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *outcomes, end = done.stdout.splitlines()
    assert (sorted(outcomes), end) == (["fine done ", "fine_too done ", "wait done "], "end")
    assert re.findall(r"its (\w+).* ended; it is started again \((\d) of 3\)", done.stderr) == [
        ("raylet", "1"),
        ("head", "2"),
    ]
    assert len((tmp_path / "wait").read_text().splitlines()) <= 3


SIGNALLED = """
    import os, signal, sys, time
    from pathlib import Path
    import ray
    from bayesrun.base import stop_signals
    from bayesrun.dispatch.ray import dispatch
    from bayesrun.types import DispatchOptions
    from fake_work import Work
    from light_batches import cells

    def signalled(*arguments, **options):
        connect(*arguments, **options)
        with stop_signals.held():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(4)

    if __name__ == "__main__":
        connect, ray._private.worker.connect = ray._private.worker.connect, signalled
        try:
            with stop_signals.watched():
                list(dispatch(cells(["fine"]), Work(Path(sys.argv[1])), DispatchOptions(num_cpus=1)))
        except stop_signals.Stopped as stop:
            sys.exit(stop.code)
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_signal_while_ray_connects_is_ours(tmp_path):
    """Its compiled part has a handler of its own then, with a trace, and an alarm that aborts the process after 3 s."""
    script = tmp_path / "signalled.py"
    script.write_text(textwrap.dedent(SIGNALLED))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=os.environ | {"PYTHONPATH": str(SUPPORT)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 143, done.stderr
    assert not (tmp_path / "fine").exists()
