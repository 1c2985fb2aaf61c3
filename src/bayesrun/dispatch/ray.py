"""Batches as Ray tasks, on a local cluster of this command or on an existing one. The only place with Ray.

A bounded number of tasks is in flight. What lost workers had is handed out again here, never by Ray. A fit that raised
or ran out of time is an outcome already; a worker that does not come back from compiled code is stopped here.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from bayesrun.base import machine
from bayesrun.base.digits import against, exact
from bayesrun.base.imports import at_once, import_target
from bayesrun.dispatch.alike import FIRST, Watch, until_alike
from bayesrun.dispatch.retries import next_tries, spent, told, tried_again
from bayesrun.errors import ConfigError
from bayesrun.types import Batch, DispatchOptions, Drawn, Outcome, Resources, Try

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

__all__ = ["check_address", "check_local", "dispatch"]

type Reason = Literal["error", "timeout", "oom", "lost"]

QUEUED_PER_RUNNING = 2
POLL_SECONDS = 1.0
CONNECT_SECONDS = 5.0
KEYS = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory_gb"}
"""Ray's name of a resource, and that of the config."""

GRACE_SECONDS = 60.0
"""Added to the bounds of a batch's fits, which the worker keeps where it can: for compiled code, which cannot be
interrupted, and for measuring and storing what was drawn."""

BEGUN = "begun"
"""What a task says when its worker has loaded its libraries: only then its time runs, and not in a cluster's queue."""


@dataclass
class _Task:
    """A batch on its way.

    Parameters
    ----------
    batch
        What is to do.
    tries
        How often it was handed out before.
    doubted
        Whether nothing but one failure is known of its cell, so that its worker ends where its first fits fail alike.
    begun, heard
        When its worker began, and when it was last heard of, by the monotonic clock; None: it waits for a worker.
    steps
        What it said last of steps that it has begun, of a fit that is drawn; None: it draws.
    left
        Keys that are not back yet.
    """

    batch: Batch
    tries: int = 0
    doubted: bool = False
    begun: float | None = None
    heard: float | None = None
    steps: Drawn | None = None
    left: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.left = {spec.key for spec in self.batch.specs}

    def hear(self, said: Outcome | Drawn | str = BEGUN) -> None:
        """Note what its worker said."""
        self.steps = said if isinstance(said, Drawn) else None
        self.heard = time.monotonic()
        if self.begun is None:
            self.begun = self.heard

    @property
    def seconds(self) -> float:
        """Time since its worker began."""
        return 0.0 if self.begun is None else time.monotonic() - self.begun

    def broken(self, reason: Reason) -> Batch:
        """Note in its batch which fits had been started when its worker broke, and how long the call ran.

        A sampler that draws for one fit after another had started the first of those that are not back.
        """
        if not self.left:
            return self.batch
        left = [spec for spec in self.batch.specs if spec.key in self.left]
        together = at_once(left[0].sampler.path)
        started = [spec.key for spec in left] if together else [left[0].key]
        since = self.begun if together else self.heard
        seconds = None if since is None else time.monotonic() - since
        return tried_again(self.batch, started, Try(reason, len(started), seconds))

    def late(self, options: DispatchOptions) -> str:
        """Say which bound it is over, or nothing."""
        if self.begun is None or self.heard is None:
            return ""
        if options.timeout is not None and self.seconds > options.timeout:
            return f"its batch took longer than {exact(options.timeout)} s; raise dispatch.timeout"
        own, silent = self.batch.timeout, time.monotonic() - self.heard
        if self.steps is not None:
            bound = self.steps.seconds
            if bound is None or silent <= bound + GRACE_SECONDS:
                return ""
            return f"a step took longer than {exact(bound)} s, and {GRACE_SECONDS:g} s more; raise steps.timeout"
        if own is None or silent <= own * len(self.left) + GRACE_SECONDS:
            return ""
        may = f"{own:g} s" if len(self.left) == 1 else f"{len(self.left)} x {own:g} s"
        return (
            f"took longer than {may}, and {GRACE_SECONDS:g} s more in compiled code that cannot be interrupted; raise "
            "sampler.timeout"
        )


def check_local(resources: Sequence[Resources], options: DispatchOptions) -> None:
    """Refuse what this machine can never give, without starting Ray.

    Raises
    ------
    ConfigError
        If a batch asks for more cores, GPUs or memory than there are.
    """
    if options.address is not None:
        return
    cores = options.num_cpus or machine.cores()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpus = len([name for name in os.listdir("/dev") if name.startswith("nvidia") and name[6:].isdigit()])
    _refuse(resources, {"CPU": float(cores), "GPU": float(gpus), "memory": memory}, "this machine")


def check_address(options: DispatchOptions) -> None:
    """Refuse an address where nothing listens, which Ray itself would try for minutes.

    Raises
    ------
    ConfigError
        If no connection can be made.
    """
    if options.address in (None, "auto", "local"):
        return
    try:
        place = urlsplit(options.address if "://" in options.address else f"//{options.address}")
        host, port = place.hostname, place.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise ConfigError(
            f"dispatch.address: got {options.address!r}; wanted HOST:PORT, ray://HOST:PORT, auto, or null for a local "
            "cluster"
        )
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigError(_no_cluster(options, f"{error.strerror or error}")) from None


def _no_cluster(options: DispatchOptions, why: str) -> str:
    where = options.address or "this machine"
    return (
        f"dispatch.address: no Ray cluster at {where}: {why}; check the address (ray status), and set "
        "RAY_AUTH_MODE=token on both sides where the cluster asks for a token"
    )


def _refuse(resources: Sequence[Resources], have: Mapping[str, float], where: str) -> None:
    for wanted in resources:
        for name, amount in _asked(wanted).items():
            if amount > have.get(name, 0.0):
                unit = "GiB of memory" if name == "memory" else f"{name}s"
                least = against(have.get(name, 0.0), amount)
                raise ConfigError(
                    f"sampler.resources.{KEYS[name]}: got {exact(amount)}; {where} has {least} {unit}; "
                    "ask for less, or name a larger cluster: dispatch.address=HOST:PORT"
                )


def dispatch(
    batches: Sequence[Batch], work: Callable[[Batch], Iterable[Outcome | Drawn]], options: DispatchOptions
) -> Iterator[Outcome]:
    """Run batches as tasks and yield outcomes as they complete; see `alike` for when nothing more is started of a cell.

    Parameters
    ----------
    batches
        What is left to do.
    work
        Does one batch in a worker; it must be picklable and returns failures as outcomes.
    options
        Cluster, retries and timeout.

    Raises
    ------
    ConfigError
        If the cluster cannot be reached, or no node can ever run a batch.
    """
    import ray

    with _cluster(options, batches) as per_task:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        _check_nodes(batches, nodes)
        waiting = deque(_Task(batch) for batch in batches)
        flying: dict[Any, _Task] = {}
        watch = Watch.of(batches)
        # max_calls=0 keeps a GPU worker, and what it compiled, for the next batch
        remote = ray.remote(max_retries=0, max_calls=0)(_work)
        while waiting or flying:
            for task in _next_tasks(waiting, flying, nodes, watch):
                flying[_submit(remote, task, work, per_task)] = task
            if not flying:
                break
            ready, _ = ray.wait(list(flying), timeout=POLL_SECONDS)
            for stream in ready:
                task = flying.pop(stream)
                found = _next(stream, task)
                if isinstance(found, BaseException):
                    yield from watch.told(_broken(found, task, options, waiting))
                elif found is not None:
                    task.hear(found)
                    flying[stream] = task
                if isinstance(found, Outcome):
                    task.left.discard(found.key)
                    yield from watch.told([found])
                if found is None and task.left:
                    waiting.append(_Task(_rest(task), task.tries))
            for stream, message in _late(flying, options):
                ray.cancel(stream, force=True)
                yield from watch.told(_again(flying.pop(stream), "timeout", message, options, waiting))


def _environment(resources: Resources) -> dict[str, str]:
    """Environment of a worker: the cores it may use, and no search for a GPU that it was not given."""
    cores = {"BAYESRUN_CORES": str(max(1, int(resources.num_cpus)))}
    # several workers may share a GPU, of which JAX would otherwise take three quarters at once
    gpu = {"BAYESRUN_GPUS": f"{resources.num_gpus:g}", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return machine.THREADS | cores | (gpu if resources.num_gpus else {"JAX_PLATFORMS": "cpu"})


def _next_tasks(
    waiting: deque[_Task], flying: Mapping[Any, _Task], nodes: Sequence[Mapping[str, float]], watch: Watch
) -> Iterator[_Task]:
    """Take what is to be handed out now; it is in `flying` before the next is asked for.

    As long as all of a cell may fail alike, no worker is given a batch of it before it needs one.
    """
    running = [_offered(node) for node in nodes]
    queued = [{name: QUEUED_PER_RUNNING * offer for name, offer in node.items()} for node in running]
    while waiting:
        doubted = watch.doubts(waiting[0].batch.label)
        if not _room(flying.values(), waiting[0], running if doubted else queued):
            return
        task = waiting.popleft()
        if not watch.drops(task.batch):
            task.doubted = doubted
            yield task


def _rest(task: _Task) -> Batch:
    return replace(task.batch, specs=tuple(spec for spec in task.batch.specs if spec.key in task.left))


def _submit(remote: Any, task: _Task, work: Callable[[Batch], Iterable[Outcome | Drawn]], per_task: bool) -> Any:
    batch, want = task.batch, task.batch.resources
    return remote.options(
        num_cpus=want.num_cpus,
        num_gpus=want.num_gpus,
        memory=int(want.memory_gb * 2**30) if want.memory_gb else None,
        name=batch.label,
        num_returns="streaming",  # outcomes are seen as they are committed
        runtime_env={"env_vars": _environment(want)} if per_task else None,
    ).remote(work, batch, task.doubted)


def _work(
    work: Callable[[Batch], Iterable[Outcome | Drawn]], batch: Batch, doubted: bool
) -> Iterator[Outcome | Drawn | str]:
    with contextlib.suppress(ConfigError):  # the fits that need it will say so
        import_target("sampler", batch.specs[0].sampler.path)
    yield BEGUN
    yield from until_alike(batch, work(batch)) if doubted else work(batch)


def _next(stream: Any, task: _Task) -> Outcome | Drawn | str | BaseException | None:
    """Take what a task says next, or what became of its worker; None at its end, also where that came early."""
    import ray
    from ray.exceptions import RayError

    try:
        said: Outcome | Drawn | str = ray.get(next(stream))
    except StopIteration:
        if not task.left or (task.doubted and len(task.batch.specs) - len(task.left) >= FIRST):
            return None
        return RuntimeError(f"the batch ended without an outcome for {len(task.left)} of its fits")
    except RayError as error:
        broken: BaseException = error
        return broken
    return said


def _broken(error: BaseException, task: _Task, options: DispatchOptions, waiting: deque[_Task]) -> Iterator[Outcome]:
    """Say what becomes of a task whose worker broke."""
    from ray.exceptions import OutOfMemoryError, RayTaskError

    if isinstance(error, RayTaskError) or not _is_loss(error):
        yield from _given_up(task, "error", _first_line(getattr(error, "cause", None) or error))
    elif isinstance(error, OutOfMemoryError):
        yield from _again(task, "oom", _first_line(error), options, waiting)
    else:
        yield from _again(task, "lost", _first_line(error), options, waiting)


def _is_loss(error: BaseException) -> bool:
    from ray.exceptions import RayError

    return isinstance(error, RayError)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


def _again(
    task: _Task, reason: Reason, message: str, options: DispatchOptions, waiting: deque[_Task]
) -> Iterator[Outcome]:
    """Hand a batch out again, or give its fits up."""
    broken = task.broken(reason)
    # the draws are there, so that it is only completed: without the step that it was in
    kind = "lost" if task.steps is not None else reason
    following = next_tries(broken, task.left, kind, task.tries, options.retries)
    waiting.extend(_Task(batch, tries) for batch, tries in following)
    if not following:
        yield from _given_up(task, reason, message)


def _given_up(task: _Task, reason: Reason, message: str) -> Iterator[Outcome]:
    batch = task.broken(reason)
    for spec in batch.specs:
        if spec.key not in task.left:
            continue
        tries = batch.tried.get(spec.key, ())
        stopped = f" (stopped after {spent(tries):.1f} s)" if reason == "timeout" and len(tries) == 1 else ""
        seconds = {"failed": spent(tries)} if tries else {}
        text = f"{message}{stopped}{told(tries)}"
        yield Outcome(spec.key, spec.cell, spec.replicate, "failed", reason, text, seconds=seconds)


def _asked(resources: Resources) -> dict[str, float]:
    """Name what a batch asks for as Ray does, memory in GiB."""
    return {"CPU": resources.num_cpus, "GPU": resources.num_gpus, "memory": resources.memory_gb or 0.0}


def _offered(node: Mapping[str, float]) -> dict[str, float]:
    return {name: node.get(name, 0.0) / (2**30 if name == "memory" else 1) for name in KEYS}


def _room(flying: Collection[_Task], task: _Task, capacity: Sequence[Mapping[str, float]]) -> bool:
    """Whether one more task may be handed out: whether all of them fit onto the nodes, largest first."""
    free = [dict(node) for node in capacity]
    together = [_asked(t.batch.resources) for t in (*flying, task)]
    for asked in sorted(together, key=lambda a: [a[name] for name in KEYS], reverse=True):
        node = next((n for n in free if all(n[name] >= asked[name] for name in KEYS)), None)
        if node is None:
            return not flying
        for name in KEYS:
            node[name] -= asked[name]
    return True


def _late(flying: Mapping[Any, _Task], options: DispatchOptions) -> list[tuple[Any, str]]:
    """List the tasks that are over a bound, and which; one whose word is there but was not taken yet is not."""
    import ray

    found = [(stream, task.late(options)) for stream, task in flying.items()]
    return [(stream, why) for stream, why in found if why and not ray.wait([stream], timeout=0)[0]]


def _check_nodes(batches: Sequence[Batch], nodes: Sequence[Mapping[str, float]]) -> None:
    offers = [_offered(node) for node in nodes]
    for resources in {batch.resources for batch in batches}:
        asked = _asked(resources)
        if not any(all(offer[name] >= asked[name] for name in KEYS) for offer in offers):
            largest = {name: max((offer[name] for offer in offers), default=0.0) for name in KEYS}
            _refuse([resources], largest, "the largest node of the cluster")
            raise ConfigError(
                f"sampler.resources: no node of the cluster has {_words(asked)} at once; ask for less, or name a "
                "larger cluster: dispatch.address=HOST:PORT"
            )


def _words(asked: Mapping[str, float]) -> str:
    return ", ".join(f"{KEYS[name]}={amount:g}" for name, amount in asked.items() if amount)


@contextlib.contextmanager
def _cluster(options: DispatchOptions, batches: Sequence[Batch]) -> Iterator[bool]:
    """Join a cluster, or start a local one; only what was started here is stopped.

    It gives whether each task needs an environment of its own. That costs seconds, since Ray then starts other workers
    than those it has, so the workers of a local cluster inherit theirs.
    """
    import ray

    # Ray prints what became of a worker even with log_to_driver off; the outcome says it
    ray._private.worker._worker_logs_enabled = False
    if ray.is_initialized():
        yield True
        return
    common: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    special = any(batch.resources.num_gpus or batch.resources.num_cpus >= 2 for batch in batches)
    per_task = special or options.address is not None
    try:
        if options.address is None:
            cores = options.num_cpus or machine.cores()
            needed = math.ceil(sum(batch.resources.num_cpus for batch in batches))
            # a cluster that lives as long as a command reports its use to nobody
            inherited = {"RAY_USAGE_STATS_ENABLED": "0"} | ({} if per_task else _environment(Resources()))
            with machine.environment(inherited):
                # without "local" Ray joins whatever cluster it finds on this machine
                ray.init("local", num_cpus=max(1, min(cores, needed)), include_dashboard=False, **common)
        else:
            ray.init(address=options.address, runtime_env=dict(options.runtime_env or {}) or None, **common)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise ConfigError(_no_cluster(options, _first_line(error))) from error
    try:
        yield per_task
    finally:
        ray.shutdown()
