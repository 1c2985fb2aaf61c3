"""Keeps the lanes of a program filled with the chains of a queue of datasets; it compiles nothing itself.

The program runs in chunks of iterations. Between two chunks the draws are taken off, chains that are done leave their
lanes, and the next chains of the queue move in, so that a slow chain holds up nothing but its own lane. When the queue
is empty and most lanes have come to rest, the others move to a program with fewer lanes.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesrun.base.seeds import named_seed
from bayesrun.samplers.lanes.restarts import MOST, Look, hopeless, look
from bayesrun.samplers.lanes.state import NO_GRADIENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bayesrun.samplers.lanes.program import Program, Stage
    from bayesrun.samplers.lanes.state import Lanes, Transition

__all__ = ["SQUARE", "Chains", "Restart", "Work", "draw", "whole"]

FEWEST_KNOWN, MANY_TIMES = 8, 10.0
"""Datasets that must be done before one is called extreme, and how many times their median work that takes."""
NARROWER = 4
"""A fleet moves to a program with this many times fewer lanes."""
TOGETHER = {"float64": 4, "float32": 8}
"""Lanes of one vector operation. Those that do not fill one are computed by scalar ones, which may round otherwise, so
that their draws would depend on the size of the batch; two cost three quarters of four."""
SQUARE = 16
"""Fewest lanes where positions fill whole vector operations too: with fewer the compiler may run along the positions,
and rounds otherwise. Measured with 2 to 24 parameters in 4 to 64 lanes."""
REPORTED = ("potential", "energy", "acceptance", "n_steps", "flags")


@dataclass(frozen=True, eq=False)
class Work:
    """One dataset to draw for: its place in the batch, the seed of its fit, and its arguments.

    `start` gives the initial point of a chain by its number, and by how often it was begun again, for a density that
    cannot. `spent`: seconds that it took before.
    """

    index: int
    seed: int
    arguments: tuple[np.ndarray, ...]
    start: Callable[[int, int], np.ndarray] | None = None
    spent: float = 0.0


class Restart(NamedTuple):
    """A chain that was begun again: its number, after how many transitions, and how far below another one it was."""

    chain: int
    transition: int
    below: float


@dataclass(eq=False)
class _Watched:
    """What the chains of a dataset did in the transitions that decide whether they are begun again.

    Parameters
    ----------
    look
        Which those are.
    lp, z
        Log densities (chain, transition) and positions (chain, transition, n).
    known
        Whether a chain has got through them, (chain,).
    starts
        Other starts that each chain has had, (chain,).
    reached
        Median log density that each start came to, (chain, start); minus infinity where it was not tried.
    settled
        Whether a chain has no other start left, (chain,).
    """

    look: Look
    lp: np.ndarray
    z: np.ndarray
    known: np.ndarray
    starts: np.ndarray
    reached: np.ndarray
    settled: np.ndarray


@dataclass(eq=False)
class Chains:
    """The chains of one dataset.

    Parameters
    ----------
    work
        What was to do.
    z
        Draws in the unconstrained space, (chain, draw, n).
    stats
        ``potential``, ``energy``, ``acceptance``, ``n_steps``, ``flags``, (chain, draw) each, and ``step_size``
        (chain,).
    missing
        Chains that are not done.
    started
        Whether every chain found a start with a finite log density.
    seconds
        Wall-clock seconds of drawing: of every chunk the share of the busy lanes that worked for this dataset.
    steps
        Leapfrog steps so far, those of the warm-up included.
    effort
        For a dataset that took many times the steps of the others of its queue: how many times their median; else 0.
    late
        Whether it was given up, because `seconds` came to more than it may take.
    blind
        Trajectories of each chain that ended for want of a gradient, (chain, 2); the second ones are no more if the
        chain is begun again. Of chains that found no start: whether that was for want of a gradient.
    watched
        What decides whether chains are begun again; None where none are.
    restarts
        The chains that were, in order.
    """

    work: Work
    z: np.ndarray
    stats: dict[str, np.ndarray]
    missing: int
    blind: np.ndarray
    started: bool = True
    seconds: float = 0.0
    steps: int = 0
    effort: float = 0.0
    late: bool = False
    watched: _Watched | None = None
    restarts: list[Restart] = field(default_factory=list)

    @property
    def no_gradient(self) -> int:
        """How many trajectories ended for want of a gradient, as far as that is known in every batch."""
        return int((self.blind if self.watched is None else self.blind[:, 0]).sum())


class _Chain(NamedTuple):
    """A chain that is to be loaded: its start (n,), the key of its stream, and the prepared arguments."""

    chains: Chains
    number: int
    start: np.ndarray
    key: np.uint64
    prepared: tuple[np.ndarray, ...]


def draw(
    program: Program,
    queue: Iterable[Work],
    timeout: float | None = None,
    *,
    restart: bool = True,
    leave: bool = False,
) -> Iterator[tuple[Chains, float]]:
    """Draw for the datasets of a queue.

    Parameters
    ----------
    program
        The compiled model.
    queue
        Taken from as lanes become free.
    timeout
        Seconds that one dataset may take (`Chains.seconds`); None: no bound.
    restart
        Whether chains that are hopeless early in their warm-up are begun again, see `restarts`. That is decided by what
        the chains of one dataset did in the same transitions, whatever the batch.
    leave
        Whether a dataset is left unfinished when a trajectory of it ended for want of a gradient.

    Yields
    ------
    Chains
        One for each dataset, in the order in which they are done; one that cannot start at once, one that is late or
        left as soon as that is seen.
    float
        Share of the leapfrog steps so far that belonged to a trajectory; the rest were made by idle lanes.
    """
    fleet = _Fleet(program)
    work = iter(queue)
    waiting: deque[_Chain] = deque()
    known: list[int] = []
    while True:
        while len(waiting) < fleet.free and (following := next(work, None)) is not None:
            chains, entries = _opened(program, following, restart=restart)
            waiting.extend(entries)
            if not chains.started:
                yield chains, fleet.share
        fleet.load(waiting)
        if not fleet.working:
            return
        for finished in fleet.advance():
            finished.effort = _effort(finished.steps, known)
            known.append(finished.steps)
            yield finished, fleet.share
        waiting.extendleft(fleet.taken_out())
        for given_up in fleet.give_up(timeout, leave=leave):
            waiting = deque(chain for chain in waiting if chain.chains is not given_up)
            yield given_up, fleet.share
        if not waiting:
            fleet.narrow()


def whole(lanes: int, precision: str, size: int) -> int:
    """Round a number of lanes up to whole vector operations, for positions of some length."""
    together = TOGETHER[precision]
    return max(-(-lanes // together) * together, SQUARE if size % TOGETHER["float64"] == 0 else together)


def _effort(steps: int, known: Sequence[int]) -> float:
    """How many times the median work of those before it an extreme dataset took."""
    if len(known) < FEWEST_KNOWN:
        return 0.0
    times = steps / max(float(np.median(known)), 1.0)
    return times if times >= MANY_TIMES else 0.0


def _opened(program: Program, work: Work, *, restart: bool) -> tuple[Chains, list[_Chain]]:
    """Find the starts of the chains of a dataset."""
    settings, size = program.settings, program.density.size
    numbers = range(settings.chains)
    starts, good, keys, prepared, blind = _starts(program, work)
    shape = (settings.chains, settings.draws)
    kinds = {"n_steps": np.int64, "flags": np.int8}
    stats: dict[str, np.ndarray] = {name: np.empty(shape, kinds.get(name, np.float64)) for name in REPORTED}
    stats["step_size"] = np.empty(settings.chains)
    met = np.zeros((settings.chains, 2), np.int64)
    if (good | blind).all():
        met[~good, 0] = 1
    z, started = np.empty((*shape, size)), bool(good.all())
    chains = Chains(work, z, stats, settings.chains, met, started=started, seconds=work.spent)
    deciding = look(settings.tune) if restart and settings.chains > 1 else None
    if deciding is not None:
        chains.watched = _watched(deciding, settings.chains, size)
    ready = numbers if chains.started else ()
    return chains, [_Chain(chains, i, starts[i], keys[i], prepared) for i in ready]


def _watched(deciding: Look, chains: int, size: int) -> _Watched:
    seen = (chains, deciding.length)
    return _Watched(
        deciding,
        lp=np.empty(seen),
        z=np.empty((*seen, size)),
        known=np.zeros(chains, bool),
        starts=np.zeros(chains, np.int64),
        reached=np.full((chains, MOST + 1), -np.inf),
        settled=np.zeros(chains, bool),
    )


def _starts(program: Program, work: Work, begun: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any, np.ndarray]:
    """Return starts (chain, n), whether they are good, keys, prepared arguments, and whether one had no gradient.

    Chains that are begun again have streams of their own, of a seed that follows from the fit's.
    """
    numbers = range(program.settings.chains)
    none = np.zeros((len(numbers), program.density.size))
    own = none if work.start is None else np.stack([work.start(i, begun) for i in numbers])
    seed = named_seed(work.seed, "restart", begun) if begun else work.seed
    found: tuple[np.ndarray, np.ndarray, np.ndarray, Any, np.ndarray] = jax.tree.map(
        np.asarray, program.open(np.uint64(seed), own, work.arguments)
    )
    return found


def _renewed(program: Program, chains: Chains, watched: _Watched) -> dict[int, _Chain]:
    """Give each chain that is hopeless another start, or at last the best of those that it had, by its number."""
    found = {}
    watched.reached[np.arange(len(watched.lp)), watched.starts] = np.median(watched.lp, axis=1)
    for number, below in enumerate(hopeless(watched.lp, watched.z)):
        if not below or watched.settled[number]:
            continue
        new = _another(program, chains, number, watched)
        if new is not None:
            chains.restarts.append(Restart(number, watched.look.last, float(below)))
            watched.known[number] = False
            chains.blind[number, 1] = 0
            found[number] = new
    return found


def _another(program: Program, chains: Chains, number: int, watched: _Watched) -> _Chain | None:
    """Return a chain at its next start; None where the last one is the best that it had."""
    for begun in range(int(watched.starts[number]) + 1, MOST + 1):
        starts, good, keys, prepared, _ = _starts(program, chains.work, begun)
        if good[number]:
            watched.starts[number] = begun
            return _Chain(chains, number, starts[number], keys[number], prepared)
    watched.settled[number] = True
    best = int(watched.reached[number].argmax())
    if best == watched.starts[number]:
        return None
    watched.starts[number] = best
    # of the same streams, so that it goes the same way
    starts, _, keys, prepared, _ = _starts(program, chains.work, best)
    return _Chain(chains, number, starts[number], keys[number], prepared)


class _Fleet:
    """The lanes as the host sees them: which chain each one has, and how many transitions that has made."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.stage: Stage = program.stage(program.settings.lanes)
        self.state: Lanes = self.stage.blank()
        self.lanes: list[_Chain | None] = [None] * self.stage.width
        self.done = np.zeros(self.stage.width, np.int64)
        self.data: tuple[jax.Array, ...] = ()
        self.useful = self.made = 0
        self.again: list[_Chain] = []

    @property
    def working(self) -> int:
        """Lanes with a chain."""
        return sum(chain is not None for chain in self.lanes)

    @property
    def free(self) -> int:
        """Lanes without one."""
        return len(self.lanes) - self.working

    @property
    def share(self) -> float:
        """Share of the leapfrog steps that belonged to a trajectory."""
        return self.useful / max(self.made, 1)

    def load(self, waiting: deque[_Chain]) -> None:
        """Put waiting chains into free lanes."""
        width, size = self.stage.width, self.program.density.size
        z, key, taken = np.zeros((size, width)), np.zeros(width, np.uint64), np.zeros(width, bool)
        columns = [np.array(column) for column in self.data] if waiting else []
        for lane, chain in enumerate(self.lanes):
            if chain is not None or not waiting:
                continue
            new = waiting.popleft()
            if not columns:  # idle lanes get the data of the first chain, which is as good as any
                columns = [np.repeat(one[None], width, axis=0) for one in new.prepared]
            for column, one in zip(columns, new.prepared, strict=True):
                column[lane] = one
            z[:, lane], key[lane], taken[lane] = new.start, new.key, True
            self.lanes[lane], self.done[lane] = new, 0
        if taken.any():
            self.data = tuple(jnp.array(column) for column in columns)
            self.state = self.stage.load(self.state, z, key, taken, self.data)

    def advance(self) -> Iterator[Chains]:
        """Run a chunk and yield the datasets whose last chain it finished."""
        begin = time.perf_counter()
        self.state, reported = self.stage.chunk(self.state, self.data)
        report: Transition = jax.tree.map(np.asarray, reported)
        self.useful += int(report.n_steps.sum())
        self.made += report.n_steps.size
        self._take_off(report)
        self._begin_again()
        seconds, working = time.perf_counter() - begin, self.working
        idle, width = self.program.idle, self.stage.width
        idle[width] = idle.get(width, 0.0) + seconds * (1.0 - working / width)
        step_size = np.asarray(self.state.adaptation.step_size)
        for lane, chain in enumerate(self.lanes):
            if chain is None:
                continue
            chain.chains.seconds += seconds / working
            if self.done[lane] >= self.program.settings.transitions:
                chain.chains.stats["step_size"][chain.number] = step_size[lane]
                chain.chains.missing -= 1
                self.lanes[lane] = None
                if not chain.chains.missing:
                    yield chain.chains

    def _take_off(self, report: Transition) -> None:
        """Put the draws of a chunk where they belong."""
        tune = self.program.settings.tune
        ended = report.n_steps > 0
        for lane, chain in enumerate(self.lanes):
            rows = np.flatnonzero(ended[:, lane])
            if chain is not None:
                chain.chains.steps += int(report.n_steps[rows, lane].sum())
                self._count(chain, lane, rows, report)
                self._watch(chain, lane, rows, report)
            first, self.done[lane] = self.done[lane], self.done[lane] + len(rows)
            rows = rows[max(tune - first, 0) :]
            if chain is None or not rows.size:
                continue
            where = slice(self.done[lane] - tune - len(rows), self.done[lane] - tune)
            chain.chains.z[chain.number, where] = report.z[rows, :, lane]
            for name in REPORTED:
                chain.chains.stats[name][chain.number, where] = getattr(report, name)[rows, lane]

    def _count(self, chain: _Chain, lane: int, rows: np.ndarray, report: Transition) -> None:
        """Count the trajectories that ended for want of a gradient, those apart that may belong to no draw."""
        met = rows[(report.flags[rows, lane] & NO_GRADIENT) > 0]
        if not met.size:
            return
        watched = chain.chains.watched
        at = self.done[lane] + np.searchsorted(rows, met)
        early = len(met) if watched is None else int((at < watched.look.last).sum())
        chain.chains.blind[chain.number] += (early, len(met) - early)

    def _watch(self, chain: _Chain, lane: int, rows: np.ndarray, report: Transition) -> None:
        """Keep what decides whether a chain is begun again."""
        watched = chain.chains.watched
        if watched is None or watched.known[chain.number]:
            return
        at = self.done[lane] + np.arange(len(rows)) - watched.look.first
        seen = (at >= 0) & (at < watched.look.length)
        watched.lp[chain.number, at[seen]] = -report.potential[rows[seen], lane]
        watched.z[chain.number, at[seen]] = report.z[rows[seen], :, lane]
        watched.known[chain.number] = self.done[lane] + len(rows) >= watched.look.last

    def _begin_again(self) -> None:
        """Take the hopeless chains off of the datasets of which every chain is known."""
        for chains in {id(c.chains): c.chains for c in self.lanes if c is not None}.values():
            if chains.watched is None or not chains.watched.known.all():
                continue
            new = _renewed(self.program, chains, chains.watched)
            lanes = [lane is not None and lane.chains is chains and lane.number in new for lane in self.lanes]
            chains.missing += len(new) - sum(lanes)  # some may have come to their end
            self._rest(np.array(lanes))
            self.again += new.values()
            if not new:
                chains.watched = None

    def taken_out(self) -> list[_Chain]:
        """Hand over the chains that are to be begun again."""
        again, self.again = self.again, []
        return again

    def _rest(self, lanes: np.ndarray) -> None:
        """Take the chains off some lanes, (L,) of bool."""
        if not lanes.any():
            return
        self.lanes = [None if off else chain for chain, off in zip(self.lanes, lanes, strict=True)]
        tree = self.state.tree
        self.state = self.state._replace(
            transition=jnp.where(lanes, self.program.settings.transitions, self.state.transition),
            tree=tree._replace(direction=jnp.where(lanes, 0.0, tree.direction)),
        )

    def give_up(self, timeout: float | None, *, leave: bool) -> list[Chains]:
        """Take the datasets off that took longer than they may, or that are left; their lanes come to rest."""
        under_way = {id(c.chains): c.chains for c in self.lanes if c is not None}
        for chains in under_way.values():
            chains.late = timeout is not None and chains.seconds > timeout
        given_up = {i: c for i, c in under_way.items() if c.late or (leave and c.no_gradient)}
        if given_up:
            self._rest(np.array([chain is not None and id(chain.chains) in given_up for chain in self.lanes]))
        return list(given_up.values())

    def narrow(self) -> None:
        """Move to fewer lanes if that is compiled, or if rest has cost as much as compiling it will."""
        precision = self.program.settings.precision
        width = whole(len(self.lanes) // NARROWER, precision, self.program.density.size)
        if not max(width, NARROWER * TOGETHER[precision] - 1) < len(self.lanes) or self.working > width:
            return
        if width not in self.program.stages and self.program.idle[self.stage.width] < self.stage.seconds:
            return
        busy = [lane for lane, chain in enumerate(self.lanes) if chain is not None]
        idle = [lane for lane, chain in enumerate(self.lanes) if chain is None]
        kept = np.array([*busy, *idle][:width])
        self.stage = self.program.stage(width)
        self.state = jax.tree.map(lambda leaf: jnp.array(np.asarray(leaf)[..., kept]), self.state)
        self.data = tuple(jnp.array(np.asarray(one)[kept]) for one in self.data)
        self.lanes, self.done = [self.lanes[lane] for lane in kept], self.done[kept]
