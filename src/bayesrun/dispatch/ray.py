"""Batches as Ray tasks, on a local cluster of this command or on an existing one. The only place with Ray.

A bounded number of tasks is in flight. What lost workers had is handed out again here, never by Ray. A fit that raised
or ran out of time is an outcome already; a worker that does not come back from compiled code is stopped here.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from bayesrun.base import machine, stop_signals
from bayesrun.base.digits import against, exact
from bayesrun.base.imports import at_once, import_target
from bayesrun.dispatch.alike import FIRST, Watch, until_alike
from bayesrun.dispatch.cluster import (
    Cluster,
    LostError,
    check_address,
    cluster,
    environment,
    first_line,
    ray_errors,
    replaced,
)
from bayesrun.dispatch.retries import MOST_BESIDE, next_tries, spent, told, tried_again
from bayesrun.errors import ConfigError
from bayesrun.types import Batch, DispatchOptions, Drawn, Outcome, Resources, Try

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

__all__ = ["check_address", "check_local", "dispatch"]

type Reason = Literal["error", "timeout", "oom", "lost"]

QUEUED_PER_RUNNING = 2
POLL_SECONDS = 1.0
LAST_SECONDS = 1.0
"""Seconds for taking what is in when the command is asked to end, or its cluster is dead."""

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
        How often it was handed out again after it ended its worker.
    beside
        How often it was handed out again after its node or its cluster was gone.
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
    beside: int = 0
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


@dataclass
class _Queue:
    """What is to do, and what is on its way.

    Parameters
    ----------
    waiting
        What is to be handed out.
    watch
        What came back, by cell.
    flying
        Stream of a task to the task.
    nodes
        Resources of the nodes that are there.
    """

    waiting: deque[_Task]
    watch: Watch
    flying: dict[Any, _Task] = field(default_factory=dict)
    nodes: Sequence[Mapping[str, float]] = ()

    def check(self) -> None:
        """Make sure that something can be run where nothing does.

        Raises
        ------
        LostError
            If nodes went away that what is next needs.
        """
        if self.waiting and not self.flying and not _fits(self.waiting[0].batch.resources, self.nodes):
            raise LostError(f"no node is left that has {_words(_asked(self.waiting[0].batch.resources))}")

    def ground(self) -> None:
        """Have what is on its way handed out again, at the end: it may be what its cluster died of."""
        self.waiting.extend(_beside(task) for task in self.flying.values() if task.left)
        self.flying.clear()


def dispatch(
    batches: Sequence[Batch],
    work: Callable[[Batch], Iterable[Outcome | Drawn]],
    options: DispatchOptions,
    started: Callable[[], None] = lambda: None,
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
    started
        Called once, when the first batches are handed out.

    Raises
    ------
    ConfigError
        If the cluster cannot be reached, or no node can ever run a batch.
    DispatchError
        If the cluster dies, and the ones that are started or waited for in its place.
    Stopped
        If a signal asks to end, after the outcomes that are in.
    """
    queue = _Queue(deque(_Task(batch) for batch in batches), Watch.of(batches))
    once = [started]
    losses = 0
    while True:
        left = [task.batch for task in queue.waiting]
        try:
            with (
                cluster(options, left, functools.partial(_check_nodes, left), again=bool(losses)) as place,
                stop_signals.held(),  # Ray swallows what is raised by a signal while it waits
            ):
                yield from _handed_out(queue, work, options, place, once)
            return
        except LostError as error:
            losses += 1
            queue.ground()
            replaced(place, str(error), losses)


def _handed_out(
    queue: _Queue,
    work: Callable[[Batch], Iterable[Outcome | Drawn]],
    options: DispatchOptions,
    place: Cluster,
    once: list[Callable[[], None]],
) -> Iterator[Outcome]:
    """Run what is waiting on one cluster.

    Raises
    ------
    LostError
        If the cluster is gone.
    """
    import ray

    waiting, flying = queue.waiting, queue.flying
    queue.nodes = place.nodes()
    # max_calls=0 keeps a GPU worker, and what it compiled, for the next batch
    remote = ray.remote(max_retries=0, max_calls=0)(_work)
    while waiting or flying:
        queue.check()
        with ray_errors():
            for task in _next_tasks(waiting, flying, queue.nodes, queue.watch):
                flying[_submit(remote, task, work, place.per_task)] = task
        while once:
            once.pop()()
        if not flying:
            return
        with ray_errors():
            ready, _ = ray.wait(list(flying), timeout=POLL_SECONDS)
        why = place.lost()
        if why or stop_signals.asked():
            yield from queue.watch.told(_arrived(flying))
            if stop_signals.asked():
                _cancel(flying)
                return
            raise LostError(why)
        for stream in ready:
            yield from queue.watch.told(_taken(stream, queue, options, place))
        for stream, message in _late(flying, options):
            with ray_errors():
                ray.cancel(stream, force=True)
            yield from queue.watch.told(_again(flying.pop(stream), "timeout", message, options, waiting))


def _taken(stream: Any, queue: _Queue, options: DispatchOptions, place: Cluster) -> Iterator[Outcome]:
    """Take what a task says next, and see what becomes of it then."""
    task = queue.flying[stream]
    found = _next(stream, task)
    if isinstance(found, BaseException):
        del queue.flying[stream]
        yield from _broken(found, task, options, queue.waiting)
        if _is_node(found):
            queue.nodes = place.nodes()
    elif found is None:
        del queue.flying[stream]
        if task.left:
            queue.waiting.append(_Task(_rest(task), task.tries, task.beside))
    else:
        task.hear(found)
        queue.flying[stream] = queue.flying.pop(stream)  # behind the others, so that each gets a word in
    if isinstance(found, Outcome):
        task.left.discard(found.key)
        yield found


def _arrived(flying: Mapping[Any, _Task]) -> Iterator[Outcome]:
    """Take the outcomes that are in, and nothing else: of a cluster that is left, or is dead."""
    import ray

    streams, end = dict(flying), time.monotonic() + LAST_SECONDS
    with contextlib.suppress(LostError), ray_errors():
        while streams and time.monotonic() < end:
            ready, _ = ray.wait(list(streams), timeout=0)
            if not ready:
                return
            for stream in ready:
                task = streams.pop(stream)
                found = _next(stream, task)
                if found is not None and not isinstance(found, BaseException):
                    streams[stream] = task
                if isinstance(found, Outcome):
                    task.left.discard(found.key)
                    yield found


def _cancel(flying: Iterable[Any]) -> None:
    """End the workers of what is on its way."""
    import ray

    with contextlib.suppress(LostError), ray_errors():
        for stream in flying:
            ray.cancel(stream, force=True)


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
        runtime_env={"env_vars": environment(want)} if per_task else None,
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
    except ConnectionError as error:
        raise LostError(first_line(error)) from error
    return said


def _broken(error: BaseException, task: _Task, options: DispatchOptions, waiting: deque[_Task]) -> Iterator[Outcome]:
    """Say what becomes of a task whose worker broke."""
    from ray.exceptions import OutOfMemoryError, RayTaskError

    if _is_node(error):
        if task.beside < MOST_BESIDE:
            waiting.append(_beside(task))
        else:
            yield from _given_up(task, "lost", f"{first_line(error)} ({task.beside + 1} times)")
        return
    if isinstance(error, RayTaskError) or not _is_loss(error):
        yield from _given_up(task, "error", first_line(getattr(error, "cause", None) or error))
    elif isinstance(error, OutOfMemoryError):
        yield from _again(task, "oom", first_line(error), options, waiting)
    else:
        yield from _again(task, "lost", first_line(error), options, waiting)


def _is_node(error: BaseException) -> bool:
    """Whether a node or the cluster is what broke, so that a task was beside it, and did not end its worker."""
    from ray.exceptions import LocalRayletDiedError, NodeDiedError, ObjectLostError, RaySystemError, RayTaskError

    gone = NodeDiedError, LocalRayletDiedError, ObjectLostError, RaySystemError
    return isinstance(error, gone) and not isinstance(error, RayTaskError)


def _beside(task: _Task) -> _Task:
    return _Task(_rest(task), task.tries, task.beside + 1)


def _is_loss(error: BaseException) -> bool:
    from ray.exceptions import RayError

    return isinstance(error, RayError)


def _again(
    task: _Task, reason: Reason, message: str, options: DispatchOptions, waiting: deque[_Task]
) -> Iterator[Outcome]:
    """Hand a batch out again, or give its fits up."""
    broken = task.broken(reason)
    # the draws are there, so that it is only completed: without the step that it was in
    kind = "lost" if task.steps is not None else reason
    following = next_tries(broken, task.left, kind, task.tries, options.retries)
    waiting.extend(_Task(batch, tries, task.beside) for batch, tries in following)
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
        if not _fits(resources, nodes):
            largest = {name: max((offer[name] for offer in offers), default=0.0) for name in KEYS}
            _refuse([resources], largest, "the largest node of the cluster")
            raise ConfigError(
                f"sampler.resources: no node of the cluster has {_words(asked)} at once; ask for less, or name a "
                "larger cluster: dispatch.address=HOST:PORT"
            )


def _fits(resources: Resources, nodes: Sequence[Mapping[str, float]]) -> bool:
    asked = _asked(resources)
    return any(all(offer[name] >= asked[name] for name in KEYS) for offer in map(_offered, nodes))


def _words(asked: Mapping[str, float]) -> str:
    return ", ".join(f"{KEYS[name]}={amount:g}" for name, amount in asked.items() if amount)
