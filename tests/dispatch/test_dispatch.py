"""Whatever happens to a worker, every fit of every batch comes back as one outcome, and the others go on."""

import dataclasses
import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

import fake_samplers
from bayesrun.base import machine
from bayesrun.dispatch import ray as on_ray
from bayesrun.dispatch import serial
from bayesrun.dispatch.alike import FIRST
from bayesrun.dispatch.retries import spent, told
from bayesrun.errors import ConfigError
from bayesrun.store.folder import Store
from bayesrun.types import DispatchOptions, Outcome, Resources, Steps, Target, Try
from bayesrun.work.worker import Workplace
from fake_samplers import calls
from fake_work import Work
from places import SUPPORT
from tiny_models import DATA, NO_STEPS, batch, spec, stored

# Ray's own sockets and log files are closed by its processes' ends
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def cluster():
    """One cluster of two cores for every test: dispatch joins the cluster that is there."""
    import ray

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(SUPPORT)  # workers find the fakes
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
    os.environ.pop("PYTHONPATH")
    if before is not None:
        os.environ["PYTHONPATH"] = before


@pytest.fixture
def work(tmp_path) -> Work:
    return Work(tmp_path)


@pytest.fixture
def store(tmp_path) -> Store:
    return stored(tmp_path)


def cell(name: str, key: str | None = None, **fields):
    return batch(spec(key or name.replace(" ", "_"), cell=name), **fields)


def ended(batches, work, **options) -> dict[str, tuple[str, str | None]]:
    found = list(on_ray.dispatch(batches, work, DispatchOptions(**options)))
    assert len(found) == sum(len(b.specs) for b in batches)
    return {o.key: (o.status, o.reason) for o in found}


def run_both(store: Store, kind: str, batches) -> list[Outcome]:
    dispatch = {"serial": serial.dispatch, "ray": on_ray.dispatch}[kind]
    return list(dispatch(batches, Workplace(store.root, SUPPORT), DispatchOptions(retries=0)))


@pytest.fixture(params=["serial", pytest.param("ray", marks=pytest.mark.ray)])
def kind(request):
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return request.param


def test_every_dispatcher_keeps_the_contract(kind, store, tmp_path):
    """Failures are outcomes, batches are whole, what is done is not drawn again, and a step is completed."""
    log = tmp_path / "calls.txt"
    good = spec("a", extra={"log": str(log)})
    batches = [
        batch(good),
        batch(spec("b", extra={"raise": "broken"})),
        batch(spec("c"), spec("d", extra={"memory": True})),
        batch(spec("e", model=Target("tiny", "tiny_models.nothing"))),
    ]
    found = {o.key: (o.status, o.reason, o.message.split(";")[0]) for o in run_both(store, kind, batches)}
    assert found == {
        "a": ("done", None, ""),
        "b": ("failed", "error", "ValueError: broken"),
        "c": ("done", None, ""),
        "d": ("failed", "oom", "MemoryError: no room"),
        "e": ("failed", "error", "ConfigError: model._target_: tiny_models has no function 'nothing'"),
    }
    (again,) = run_both(store, kind, [batch(good)])
    assert again == store.done("a")
    assert len(calls(log)) == 1
    wanted = dataclasses.replace(good, steps=dataclasses.replace(NO_STEPS, log_likelihood=True))
    (completed,) = run_both(store, kind, [batch(wanted)])
    assert "elpd_loo" in completed.diagnostics
    assert len(calls(log)) == 1
    assert len(pickle.dumps(completed)) < 8000


def test_nothing_to_do_is_nothing(kind, store):
    assert run_both(store, kind, []) == []


@pytest.mark.ray
def test_draws_are_the_same_here_and_in_a_worker(cluster, tmp_path):
    found = []
    for name in ("serial", "ray"):
        store = Store(tmp_path / name)
        store.prepare()
        store.write_data(DATA)
        (outcome,) = run_both(store, name, [batch(spec(steps=Steps(prior_draws=20, figures=False)))])
        found.append((outcome, store.read_tree("k0")))
    (first, here), (second, there) = found
    assert first.where != second.where
    assert first.diagnostics == second.diagnostics
    for group in here.children:
        assert here[group].to_dataset().equals(there[group].to_dataset())


@pytest.mark.ray
def test_a_users_module_is_found_in_the_working_directory(cluster, store, tmp_path):
    folder = tmp_path / "users"
    folder.mkdir()
    (folder / "users_model_for_workers.py").write_text("from tiny_models import build\n")
    wanted = batch(spec(model=Target("mine", "users_model_for_workers.build")))
    (outcome,) = on_ray.dispatch([wanted], Workplace(store.root, folder), DispatchOptions())
    assert (outcome.status, outcome.message) == ("done", "")


@pytest.mark.ray
def test_workers_have_one_thread_each_no_gpu_wide_integers_and_no_fastmath(cluster, work):
    (outcome,) = on_ray.dispatch([cell("where")], work, DispatchOptions())
    assert json.loads(outcome.message) == {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
        "policy": "numpy+floatX",
        "fastmath": False,
    }


@pytest.mark.ray
def test_lost_workers_are_replaced_as_often_as_asked(cluster, work):
    names = ("exit", "kill", "kill once", "fine", "fine too")
    assert ended([cell(name) for name in names], work, retries=1) == {
        "exit": ("failed", "lost"),
        "kill": ("failed", "lost"),
        "kill_once": ("done", None),
        "fine": ("done", None),
        "fine_too": ("done", None),
    }
    assert [work.calls(name.replace(" ", "_")) for name in names] == [2, 2, 2, 1, 1]


@pytest.mark.ray
def test_a_lost_worker_says_so(cluster, work):
    (outcome,) = on_ray.dispatch([batch(spec("x", cell="exit"))], work, DispatchOptions(retries=0))
    assert work.calls("x") == 1
    assert "WorkerCrashedError" in outcome.message
    assert "attempts" not in outcome.message
    assert 0.0 <= outcome.seconds["failed"] < 60
    assert len(outcome.message) < 400


@pytest.mark.ray
def test_a_batch_is_halved_until_the_fit_that_takes_its_worker_down_is_alone(cluster, work):
    """Nine fits of one batch, one of which kills its worker: eight are done, each once, and the ninth is lost."""
    names = [f"ok{i}" for i in range(4)] + ["kill"] + [f"ok{i}" for i in range(4, 8)]
    whole = batch(*(spec(name, cell="kill heard" if name == "kill" else name) for name in names))
    found = {}
    for outcome in on_ray.dispatch([whole], work, DispatchOptions(retries=1)):
        found[outcome.key] = outcome.status, outcome.reason
        if len(found) == 4:  # a word that is lost with its worker is one that nobody can count
            (work.folder / "heard").touch()
    assert found == {name: ("failed", "lost") if name == "kill" else ("done", None) for name in names}
    assert {work.calls(name) for name in names if name != "kill"} == {1}


@pytest.mark.ray
def test_a_fit_that_loses_its_workers_tells_as_many_attempts_as_it_had(cluster, work):
    """The second of four, drawn one after another: it alone was under way, in the batch, in both halves, and again.

    It dies only when the first is back, as above.
    """
    whole = batch(spec("a"), spec("b", cell="kill heard"), spec("c"), spec("d"))
    found = {}
    for outcome in on_ray.dispatch([whole], work, DispatchOptions(retries=2)):
        found[outcome.key] = outcome
        (work.folder / "heard").touch()
    told = re.search(r"\((\d+) attempts: (.*)\)$", found["b"].message)
    assert told is not None
    assert (int(told[1]), told[2].count("lost alone ")) == (work.calls("b"), work.calls("b"))
    assert {found[key].status for key in "acd"} == {"done"}


def test_fits_that_are_drawn_together_are_all_under_way_when_their_worker_breaks(monkeypatch):
    def hear(task):
        task.hear()
        return task

    monkeypatch.setattr(fake_samplers, "fits", None, raising=False)
    whole = batch(spec("a"), spec("b"), spec("c"))
    together = hear(on_ray._Task(whole))
    together.left.discard("a")
    assert on_ray._Task(whole).broken("lost").tried == {"a": (Try("lost", 1, None),)}
    assert told((Try("lost", 1, None),) * 2).endswith("lost alone before its worker said a word)")
    over = hear(on_ray._Task(whole))
    over.left.clear()
    assert over.broken("timeout").tried == {}, "everything is back"
    assert {key: [(t.reason, t.together) for t in tries] for key, tries in together.broken("oom").tried.items()} == {
        "b": [("oom", 1)]
    }
    monkeypatch.setattr(fake_samplers, "fits", lambda *_, **__: iter(()), raising=False)
    once = together.broken("lost")
    assert {key: [(t.reason, t.together) for t in tries] for key, tries in once.tried.items()} == {
        "b": [("lost", 2)],
        "c": [("lost", 2)],
    }
    (half, _) = once.halves(together.left)
    again = hear(on_ray._Task(half)).broken("oom")
    assert [(t.reason, t.together) for t in again.tried["b"]] == [("lost", 2), ("oom", 1)]
    assert spent(again.tried["b"]) == pytest.approx(sum(t.seconds for t in again.tried["b"]))
    assert told(again.tried["b"]).startswith(" (2 attempts: lost with 1 other after 0.0 s, oom alone after ")
    assert told(once.tried["c"]) == ""


@pytest.mark.ray
def test_outcomes_come_before_their_batch_is_done(cluster, work, tmp_path):
    """The first fit of a batch is here while the second one still waits for a file that the test makes."""
    arriving = on_ray.dispatch([batch(spec("ok", cell="ok"), spec("wait", cell="wait"))], work, DispatchOptions())
    assert next(arriving).key == "ok"
    assert not (tmp_path / "go").exists()
    (tmp_path / "go").touch()
    assert [(outcome.key, outcome.status) for outcome in arriving] == [("wait", "done")]


@pytest.mark.ray
def test_an_exception_is_never_tried_again(cluster, work):
    first, second = on_ray.dispatch([batch(spec("x", cell="raise"), spec("y"))], work, DispatchOptions(retries=3))
    assert (first.status, first.reason, first.message) == ("failed", "error", "ValueError: out of the work")
    assert second.key == "y"
    assert work.calls("x") == 1


@pytest.mark.ray
def test_a_worker_that_hangs_is_stopped_once_and_the_others_finish(cluster, work, monkeypatch):
    """Retries are for lost workers: a fit that took its time once would take it again."""
    monkeypatch.setattr(on_ray, "GRACE_SECONDS", 0.5)
    batches = [cell("hang", timeout=0.5), *(cell("fine", f"f{i}") for i in range(5))]
    found = {o.key: o for o in on_ray.dispatch(batches, work, DispatchOptions(retries=3))}
    assert {key: (o.status, o.reason) for key, o in found.items()} == {
        "hang": ("failed", "timeout"),
        **{f"f{i}": ("done", None) for i in range(5)},
    }
    told = re.fullmatch(
        r"took longer than 0\.5 s, and 0\.5 s more in compiled code that cannot be interrupted; raise sampler\.timeout "
        r"\(stopped after (\S+) s\)",
        found["hang"].message,
    )
    assert told is not None
    assert 1.0 <= float(told[1]) < 60
    assert work.calls("hang") == 1


@pytest.mark.ray
def test_a_batch_that_hangs_is_halved_and_says_how_long_each_attempt_took(cluster, work, monkeypatch):
    monkeypatch.setattr(on_ray, "GRACE_SECONDS", 0.5)
    whole = batch(spec("a", cell="fine"), spec("b", cell="hang"), spec("c", cell="fine"), timeout=0.5)
    found = {o.key: o for o in on_ray.dispatch([whole], work, DispatchOptions())}
    assert {key: o.status for key, o in found.items()} == {"a": "done", "b": "failed", "c": "done"}
    assert re.search(r"\(2 attempts: timeout alone after \S+ s, timeout alone after \S+ s\)$", found["b"].message)
    assert [work.calls(key) for key in "abc"] == [1, 2, 1]


@pytest.mark.ray
def test_of_two_thousand_fits_that_fail_alike_forty_are_started_at_most(cluster, work):
    """Each of two workers ends its batch of a hundred after twenty; another cell is done, also after that."""
    broken = [batch(*(spec(f"f{i}_{j}", cell="fail alike") for j in range(100))) for i in range(20)]
    fine = [batch(*(spec(f"ok{i}_{j}", cell="fine") for j in range(15))) for i in range(2)]
    found = Counter(outcome.cell for outcome in on_ray.dispatch([*broken, *fine], work, DispatchOptions()))
    assert FIRST <= found["fail alike"] <= 2 * FIRST
    assert found["fine"] == 30
    assert sum(1 for path in work.folder.iterdir() if path.name.startswith("f")) <= 2 * FIRST


@pytest.mark.ray
def test_a_batch_has_its_own_bound_without_grace(cluster, work):
    (late,) = on_ray.dispatch([cell("hang")], work, DispatchOptions(timeout=1.0))
    assert (late.reason, work.calls("hang")) == ("timeout", 1)
    assert late.message.startswith("its batch took longer than 1 s; raise dispatch.timeout (stopped after ")
    assert ended([cell("fine")], work, timeout=60.0) == {"fine": ("done", None)}


@pytest.mark.ray
def test_a_fit_is_stopped_in_its_worker_which_goes_on(cluster, store):
    """The fit of ten minutes is given up after its own time, not by the dispatcher, and no worker is lost for it."""
    hangs = spec("a", extra={"hang": 600.0})
    found = {o.key: o for o in run_both(store, "ray", [batch(hangs, spec("b"), timeout=6.0)])}
    assert {key: (o.status, o.reason) for key, o in found.items()} == {"a": ("failed", "timeout"), "b": ("done", None)}
    assert found["a"].message.startswith("FitTimeoutError: took longer than 6 s, and was stopped after ")
    assert found["a"].where == found["b"].where


@pytest.mark.ray
def test_time_in_a_queue_does_not_count(cluster, work, tmp_path, monkeypatch):
    """Four tasks of two cores each have room for one, whose time is over only after it began."""
    monkeypatch.setattr(on_ray, "GRACE_SECONDS", 0.0)
    arriving = on_ray.dispatch(
        [cell("wait", num_cpus=2.0), cell("fine", num_cpus=2.0, timeout=2.0)], work, DispatchOptions()
    )
    threading.Timer(4.0, (tmp_path / "go").touch).start()
    assert {o.key: o.status for o in arriving} == {"wait": "done", "fine": "done"}


def test_the_clock_of_a_task_runs_from_the_word_of_its_worker(monkeypatch):
    """It waits for ever, then each word of a fit that is done gives those that are left their time."""
    now = [1000.0]
    monkeypatch.setattr(on_ray.time, "monotonic", lambda: now[0])
    task = on_ray._Task(batch(spec("a"), spec("b"), timeout=10.0))
    patient, hurried = DispatchOptions(), DispatchOptions(timeout=15.0)
    now[0] += 1e6
    assert not task.late(patient)
    assert not task.late(hurried)
    task.hear()
    now[0] += 2 * 10.0 + on_ray.GRACE_SECONDS
    assert not task.late(patient)
    assert task.late(hurried) == "its batch took longer than 15 s; raise dispatch.timeout"
    now[0] += 1.0
    assert task.late(patient).startswith("took longer than 2 x 10 s, and 60 s more in compiled code")
    task.hear()
    task.left.discard("a")
    now[0] += 10.0 + on_ray.GRACE_SECONDS
    assert not task.late(patient)
    now[0] += 1.0
    assert task.late(patient).startswith("took longer than 10 s, and 60 s more")
    assert task.seconds == 152.0
    assert not dataclasses.replace(task, batch=batch(spec("a"), spec("b"))).late(patient)


@pytest.mark.ray
@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (
            {"num_cpus": 3.0},
            "sampler.resources.num_cpus: got 3; the largest node of the cluster has 2 CPUs; ask for less",
        ),
        ({"num_gpus": 1.0}, "sampler.resources.num_gpus: got 1; the largest node of the cluster has 0 GPUs"),
        ({"memory_gb": 1e5}, "sampler.resources.memory_gb: got 100000; the largest node of the cluster has "),
    ],
)
def test_what_no_node_of_a_cluster_has_is_refused(cluster, work, resources, message):
    with pytest.raises(ConfigError) as caught:
        list(on_ray.dispatch([cell("fine"), cell("more", **resources)], work, DispatchOptions()))
    assert message in str(caught.value)
    assert work.calls("fine") == 0


GIB = 2.0**30
NODES = ({"CPU": 2.0, "memory": 4 * GIB}, {"CPU": 8.0, "GPU": 1.0, "memory": 64 * GIB}, {"CPU": 32.0, "memory": GIB})


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (Resources(32.0), None),
        (Resources(8.0, 1.0, 64.0), None),
        (Resources(0.5, 0.5), None),
        (Resources(33.0), "sampler.resources.num_cpus: got 33; the largest node of the cluster has 32 CPUs"),
        (Resources(1.0, 2.0), "sampler.resources.num_gpus: got 2; the largest node of the cluster has 1 GPUs"),
        (Resources(1.0, 0.0, 65.0), "sampler.resources.memory_gb: got 65; the largest node of the cluster has 64 GiB"),
        (Resources(32.0, 1.0), "sampler.resources: no node of the cluster has num_cpus=32, num_gpus=1 at once"),
    ],
)
def test_a_batch_has_to_fit_on_one_node(resources, message):
    wanted = [dataclasses.replace(cell("x"), resources=resources)]
    if message is None:
        on_ray._check_nodes(wanted, NODES)
        return
    with pytest.raises(ConfigError) as caught:
        on_ray._check_nodes(wanted, NODES)
    assert str(caught.value).startswith(message)


def test_tasks_wait_here_for_every_resource_that_they_ask_for():
    """Each kind of resource is counted, and so no task waits in Ray's queue that could go to another node."""
    capacity = [on_ray._offered(node) for node in NODES]
    on_gpu = on_ray._Task(cell("x", num_gpus=1.0))
    on_cpu = on_ray._Task(cell("y"))
    assert on_ray._room([], on_gpu, capacity)
    assert not on_ray._room([on_gpu], on_gpu, capacity)
    assert on_ray._room([on_gpu], on_cpu, capacity)
    assert on_ray._room([on_cpu] * 41, on_cpu, capacity)
    assert not on_ray._room([on_cpu] * 42, on_cpu, capacity)


def test_cores_of_two_nodes_do_not_add_up():
    node = {"CPU": 3.0, "GPU": 0.0, "memory": 8.0}
    pair = on_ray._Task(cell("x", num_cpus=2.0))
    assert on_ray._room([pair], pair, [node, node])
    assert not on_ray._room([pair, pair], pair, [node, node])


def test_this_machine_refuses_what_it_does_not_have():
    with pytest.raises(ConfigError, match=r"num_cpus: got 4; this machine has 2 CPUs"):
        on_ray.check_local([Resources(4.0)], DispatchOptions(num_cpus=2))
    on_ray.check_local([Resources(2.0)], DispatchOptions(num_cpus=2))
    on_ray.check_local([Resources(4.0)], DispatchOptions(num_cpus=2, address="auto"))


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "[::1]:9", "no.such.host.invalid:6379"])
def test_an_address_where_nobody_listens_is_refused_at_once(address):
    start = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        on_ray.check_address(DispatchOptions(address=address))
    assert time.monotonic() - start < 10
    assert f"dispatch.address: no Ray cluster at {address}: " in str(caught.value)
    assert "RAY_AUTH_MODE=token" in str(caught.value)


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1:abc", "ray://", "[::1:9", ":6379", "host:99999"])
def test_an_address_without_host_and_port_is_refused(address):
    with pytest.raises(ConfigError, match=r"dispatch\.address: got .*; wanted HOST:PORT"):
        on_ray.check_address(DispatchOptions(address=address))


def test_an_address_where_somebody_listens_is_tried():
    with socket.create_server(("127.0.0.1", 0)) as server:
        on_ray.check_address(DispatchOptions(address=f"127.0.0.1:{server.getsockname()[1]}"))
    for address in (None, "auto", "local"):
        on_ray.check_address(DispatchOptions(address=address))


DRIVER = """
    import sys
    from pathlib import Path
    from bayesrun.dispatch.ray import dispatch
    from bayesrun.types import DispatchOptions
    from fake_work import Work
    from light_batches import cells

    if __name__ == "__main__":
        for outcome in dispatch(cells(sys.argv[2:]), Work(Path(sys.argv[1])), DispatchOptions(num_cpus=2)):
            Path(sys.argv[1], f"outcome_{outcome.key}").write_text(f"{outcome.status} {outcome.message}")
"""


def driver(tmp_path: Path, *cells: str, mark: str) -> subprocess.Popen:
    """Start a process that dispatches to a cluster of its own; all its processes carry the mark."""
    script = tmp_path / "driver.py"
    script.write_text(textwrap.dedent(DRIVER))
    # an address in the environment is not one that the user gave
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "RAY_USAGE_STATS_ENABLED")}
    return subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), *cells],
        env=environment
        | {"PYTHONPATH": str(SUPPORT), "BAYESRUN_TEST_MARK": mark, "JAX_PLATFORMS": "", "RAY_ADDRESS": "127.0.0.1:9"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def marked(mark: str) -> list[str]:
    """Command names of the processes that are alive and carry the mark."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and f"BAYESRUN_TEST_MARK={mark}" in (process / "environ").read_text():
                found.append((process / "comm").read_text().strip())
        except OSError:
            continue
    return found


def wait_until(true, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.2)
    return False


@pytest.mark.ray
def test_a_local_cluster_is_silent_lends_its_environment_and_leaves_nothing(tmp_path):
    mark = uuid.uuid4().hex
    process = driver(tmp_path, "loud", "where", "kill once", mark=mark)
    out, err = process.communicate(timeout=150)
    assert (process.returncode, out, err) == (0, "", "")
    assert (tmp_path / "outcome_loud").read_text() == "done "
    assert (tmp_path / "outcome_kill_once").read_text() == "done "
    found = json.loads((tmp_path / "outcome_where").read_text().removeprefix("done "))
    assert found == machine.THREADS | {"JAX_PLATFORMS": "cpu", "policy": "numpy+floatX", "fastmath": False}
    assert wait_until(lambda: not marked(mark), 20), marked(mark)


@pytest.mark.ray
@pytest.mark.slow
def test_an_interrupt_leaves_no_process(tmp_path):
    mark = uuid.uuid4().hex
    process = driver(tmp_path, "hang", "hang_too", mark=mark)
    try:
        assert wait_until((tmp_path / "hang").exists, 120)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: every process of the terminal gets it
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    assert wait_until(lambda: not marked(mark), 30), marked(mark)


CLUSTER = """
    import sys
    from pathlib import Path
    import ray
    from ray.cluster_utils import Cluster
    from bayesrun.dispatch.ray import dispatch
    from bayesrun.errors import ConfigError
    from bayesrun.types import DispatchOptions
    from fake_work import Work
    from light_batches import cells

    if __name__ == "__main__":
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        nodes.add_node(num_cpus=2)
        options, work = DispatchOptions(address=nodes.address), Work(Path(sys.argv[1]))
        try:
            list(dispatch(cells(["fine"], num_cpus=3.0), work, options))
        except ConfigError as error:
            print(error)
        for outcome in dispatch(cells(["where", "fine"], num_cpus=2.0), work, options):
            print(outcome.key, outcome.status, outcome.message)
        nodes.shutdown()
"""


@pytest.mark.ray
@pytest.mark.slow
def test_an_existing_cluster_is_joined_and_left_running(tmp_path):
    script = tmp_path / "cluster.py"
    script.write_text(textwrap.dedent(CLUSTER))
    environment = os.environ | {"PYTHONPATH": str(SUPPORT)}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=200,
        check=True,
    )  # fmt: skip
    refusal, *outcomes = done.stdout.splitlines()
    assert refusal.startswith("sampler.resources.num_cpus: got 3; the largest node of the cluster has 2 CPUs")
    assert sorted(line.split()[:2] for line in outcomes) == [["fine", "done"], ["where", "done"]]
    assert '"policy": "numpy+floatX", "fastmath": false' in done.stdout
