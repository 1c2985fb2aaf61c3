"""The Ray cluster of a command: a local one, started for it and started anew when it dies, or one that is there.

One that is there is waited for when it goes away. It hands out nothing.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bayesrun.base import machine, stop_signals
from bayesrun.errors import ConfigError, DispatchError
from bayesrun.types import Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bayesrun.types import Batch, DispatchOptions

__all__ = ["Cluster", "LostError", "check_address", "cluster", "environment", "first_line", "ray_errors", "replaced"]

CONNECT_SECONDS = 5.0

STARTS = 3
"""How often a local cluster is tried to be started, each time: a busy machine may take longer than Ray waits."""

RESTARTS = 3
"""How often a command goes on with another cluster where the one it had died."""

PAUSE = 5.0
"""Seconds between two tries."""

WAIT_SECONDS = 300.0
"""Seconds for which a cluster that is not ours is waited for."""

SILENT_SECONDS = 5.0
"""Seconds without an answer of its head after which a cluster that is not ours counts as gone: Ray aborts this process
when it meets another head at the same place, and a head takes longer than this to start."""

LOOK_SECONDS = 1.0
"""Seconds between two looks at a head."""

GOES_ON = "finished fits are kept, and the same command goes on from there"

VITAL = {"raylet": "raylet", "gcs_server": "head (its GCS)"}
"""The processes that a cluster cannot do without, by Ray's names of them."""


class LostError(Exception):
    """The cluster is gone; what was handed out is not coming back, and can be handed out to another one."""


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
        raise ConfigError(_not_there(options, f"{error.strerror or error}")) from None


def _not_there(options: DispatchOptions, why: str) -> str:
    if options.address is None:
        return (
            f"Ray did not start on this machine in {STARTS} tries: {why}; free memory and cores, or go without Ray: "
            "dispatch=serial"
        )
    return (
        f"dispatch.address: no Ray cluster at {options.address}: {why}; check the address (ray status), and set "
        "RAY_AUTH_MODE=token on both sides where the cluster asks for a token"
    )


def first_line(error: BaseException) -> str:
    """Say an error of Ray, whose messages are long, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


@contextlib.contextmanager
def ray_errors() -> Iterator[None]:
    """Take errors of Ray itself, beside those of a task, for what they are: a cluster that is gone."""
    from ray.exceptions import RayError

    try:
        yield
    except (RayError, ConnectionError) as error:
        other = "WrongClusterID" in str(error)
        raise LostError("another one was started in its place" if other else first_line(error)) from error


@dataclass
class Cluster:
    """A cluster that is connected to.

    Parameters
    ----------
    options
        As the config states them.
    own
        Whether it was started here.
    found
        Whether this process was connected before, so that it stays so.
    per_task
        Whether each task needs an environment of its own. That costs seconds, since Ray then starts other workers
        than those it has, so the workers of a local cluster inherit theirs.
    """

    options: DispatchOptions
    own: bool = False
    found: bool = False
    per_task: bool = True
    _heard: float = field(default_factory=time.monotonic)
    _looked: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        if self.own:
            return "the local Ray cluster"
        where = f"at {self.options.address}" if self.options.address else "of this process"
        return f"the Ray cluster {where}"

    def lost(self) -> str:
        """Say what of it is gone; nothing where it is there."""
        import ray

        if not ray.is_initialized():
            return "it closed the connection"
        node = ray._private.worker._global_node
        if node is None:  # Ray's client notices by itself
            return ""
        if self.own:
            dead = [VITAL[name] for name, _ in node.dead_processes() if name in VITAL]
            return f"its {dead[0]} ended" if dead else ""
        return self._silent()

    def _silent(self) -> str:
        """Say since when its head does not answer, where that is too long."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return ""
        with contextlib.suppress(Exception):  # whatever it is that a head does not answer with
            _nodes()
            self._heard = time.monotonic()
        self._looked = time.monotonic()
        silent = self._looked - self._heard
        return f"its head does not answer since {silent:.0f} s" if silent > SILENT_SECONDS else ""

    def nodes(self) -> list[Mapping[str, float]]:
        """List the resources of its nodes that are there.

        Raises
        ------
        LostError
            If there is none, or the node that this process talks to is not.
        """
        with ray_errors():
            alive, mine = _nodes()
        if not alive or (mine and mine not in alive):
            raise LostError("the node of this command ended" if alive else "none of its nodes is left")
        return list(alive.values())


def _nodes() -> tuple[dict[str, Mapping[str, float]], str]:
    """Ask the head for the nodes that are there: name to resources; and which of them this process talks to.

    `ray.nodes` waits for a head that is gone, without an end, and aborts this process where another one comes.
    """
    import ray

    if ray._private.worker._global_node is None:  # Ray's client, which asks for us
        return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}, ""
    worker = ray._private.worker.global_worker
    found = worker.gcs_client.get_all_node_info(timeout=CONNECT_SECONDS)
    alive: dict[str, Mapping[str, float]] = {
        key.hex(): dict(node.resources_total) for key, node in found.items() if not node.state
    }
    return alive, worker.core_worker.get_current_node_id().hex()


def environment(resources: Resources) -> dict[str, str]:
    """Environment of a worker: the cores it may use, and no search for a GPU that it was not given."""
    cores = {"BAYESRUN_CORES": str(max(1, int(resources.num_cpus)))}
    # several workers may share a GPU, of which JAX would otherwise take three quarters at once
    gpu = {"BAYESRUN_GPUS": f"{resources.num_gpus:g}", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return machine.THREADS | cores | (gpu if resources.num_gpus else {"JAX_PLATFORMS": "cpu"})


@contextlib.contextmanager
def cluster(
    options: DispatchOptions,
    batches: Sequence[Batch],
    accept: Callable[[Sequence[Mapping[str, float]]], None],
    *,
    again: bool = False,
) -> Iterator[Cluster]:
    """Join a cluster, or start a local one; only what was started here is stopped.

    Parameters
    ----------
    options, batches
        What is to be run, and where.
    accept
        Called with the resources of its nodes; it raises ConfigError where these are not enough.
    again
        Whether there was one, which is waited for where it is not ours.

    Raises
    ------
    ConfigError
        If there is none, if a local one did not start in a few tries, and what `accept` raises.
    DispatchError
        If one that there was did not come back.
    """
    import ray

    # Ray prints what became of a worker even with log_to_driver off; the outcome says it
    ray._private.worker._worker_logs_enabled = False
    if ray.is_initialized():
        place = Cluster(options, found=True)
        try:
            nodes = place.nodes()
        except LostError as error:
            raise DispatchError(f"{place.name} is gone: {error}; {GOES_ON}") from error
        accept(nodes)
        yield place
        return
    special = any(batch.resources.num_gpus or batch.resources.num_cpus >= 2 for batch in batches)
    place = Cluster(options, own=options.address is None, per_task=special or options.address is not None)
    try:
        _connect(place, batches, accept, again=again)
        yield place
    finally:
        _shut_down()


def _connect(
    place: Cluster, batches: Sequence[Batch], accept: Callable[[Sequence[Mapping[str, float]]], None], *, again: bool
) -> None:
    """Start or join it, as often and for as long as that is worth it."""
    tries = STARTS if place.own else 1
    end = time.monotonic() + (WAIT_SECONDS if again and not place.own else 0.0)
    while True:
        tries -= 1
        try:
            with _no_signals_of_ray():
                if place.own:
                    _start(place, batches)
                else:
                    check_address(place.options)
                    _join(place.options)
            nodes = place.nodes()
            if again:
                accept(nodes)
            break
        except Exception as error:
            # Ray raises bare exceptions, too, where a process of it is late
            if (tries <= 0 and time.monotonic() > end) or (isinstance(error, ValueError) and not again):
                raise _gone(place, error, again=again) from error
        _shut_down()
        time.sleep(PAUSE)
    if not again:
        accept(nodes)


def _gone(place: Cluster, error: Exception, *, again: bool) -> ConfigError | DispatchError:
    why = str(error) if isinstance(error, (ConfigError, LostError)) else first_line(error)
    if not again:
        return error if isinstance(error, ConfigError) else ConfigError(_not_there(place.options, why))
    when = "" if place.own else f" in {WAIT_SECONDS / 60:g} minutes"
    return DispatchError(f"{place.name} did not come back{when}: {why}; {GOES_ON}")


def _start(place: Cluster, batches: Sequence[Batch]) -> None:
    import ray

    cores = place.options.num_cpus or machine.cores()
    needed = math.ceil(sum(batch.resources.num_cpus for batch in batches))
    # a cluster that lives as long as a command reports its use to nobody
    inherited = {"RAY_USAGE_STATS_ENABLED": "0"} | ({} if place.per_task else environment(Resources()))
    with machine.environment(inherited):
        # without "local" Ray joins whatever cluster it finds on this machine
        ray.init(
            "local",
            num_cpus=max(1, min(cores, needed)),
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )


def _join(options: DispatchOptions) -> None:
    import ray

    ray.init(
        address=options.address,
        runtime_env=dict(options.runtime_env or {}) or None,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )


@contextlib.contextmanager
def _no_signals_of_ray() -> Iterator[None]:
    """Keep Ray from handling signals: its driver would end at once, with a code of its own."""
    import ray

    before = ray._private.utils.set_sigterm_handler
    ray._private.utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        ray._private.utils.set_sigterm_handler = before
        stop_signals.renew()


def _shut_down() -> None:
    """Disconnect, and stop what was started here; what is dead may raise."""
    import ray

    try:
        ray.shutdown()
    except Exception as error:  # noqa: BLE001 - it is gone, and everything else has its outcome
        logging.getLogger(__name__).debug("ray.shutdown: %s", first_line(error))


def replaced(lost: Cluster, why: str, losses: int) -> None:
    """Say that a cluster is gone and what is done about it: there may be another one, from `cluster`.

    Parameters
    ----------
    lost, why
        The cluster that is gone, and what is known of that.
    losses
        How many this command has lost, with this one.

    Raises
    ------
    DispatchError
        If there is to be none.
    """
    if lost.found:
        raise DispatchError(f"{lost.name} is gone: {why}; {GOES_ON}")
    if losses > RESTARTS:
        less = ", maybe with fewer cores (dispatch.num_cpus=1) or without Ray (dispatch=serial)" if lost.own else ""
        raise DispatchError(f"{lost.name} was lost {losses} times, at last since {why}; {GOES_ON}{less}")
    what = "started again" if lost.own else f"waited for, up to {WAIT_SECONDS / 60:g} minutes"
    warnings.warn(
        f"{lost.name} is gone: {why}; it is {what} ({losses} of {RESTARTS}), and what was under way is done again",
        UserWarning,
        stacklevel=2,
    )
