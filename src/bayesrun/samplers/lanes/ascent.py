"""Mean-field ADVI of one model for several datasets side by side, compiled once; it builds no trees.

Every fit makes the same number of iterations, so that the datasets go through them together: a fixed number of lanes
for a model, whatever the size of the batch. Spare lanes repeat the first dataset. How many there are would change the
rounding, and so the draws.
"""

from __future__ import annotations

import time
from collections.abc import Callable  # noqa: TC003 - a type alias of this module is evaluated
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bayesrun.samplers.lanes import streams
from bayesrun.samplers.lanes.program import block_of, describe, describer, potential_of
from bayesrun.samplers.lanes.rewrites import softplus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesrun.samplers.lanes.density import Arrays, Density
    from bayesrun.samplers.lanes.kernel import Potential

__all__ = ["Ascent", "Found", "Schedule", "Task", "ascent", "climb"]

LANES = {"cpu": 32}
"""Datasets side by side: with more the cost of a fit is flat, and a lone fit costs what all lanes do."""
MANY_LANES = 1024
"""The same for other devices, which are idle with fewer."""
CHUNK = 1000
"""Iterations between two visits of the host."""
NOISE = 2
"""What the streams of a fit are for; other numbers are those of the chains of NUTS."""
FIRST_DECAY, SECOND_DECAY, TINY = 0.9, 0.999, 1e-8
"""Adam's decay rates of the first two moments of the gradient, and what keeps its step finite (Kingma and Ba 2015,
arXiv:1412.6980), as in PyMC."""


class Schedule(NamedTuple):
    """What an optimisation does beside its model: none of it is compiled in.

    Attributes
    ----------
    iterations
        Steps.
    averaged
        Steps at the end over which the parameters are averaged.
    learning_rate
        Adam's step.
    """

    iterations: int
    averaged: int
    learning_rate: float


class Task(NamedTuple):
    """One dataset: the seed of its fit, its arguments, and its start (n,) if its density cannot make one."""

    seed: int
    arguments: tuple[np.ndarray, ...]
    start: np.ndarray | None


class Found(NamedTuple):
    """What an optimisation came to.

    Attributes
    ----------
    elbo
        Estimate of each iteration, in nats, (iteration,). Ends before the first that is NaN.
    mu, rho
        Averaged parameters (n,): means, and standard deviations before `softplus`; NaN if the optimisation failed.
    seconds
        Wall-clock seconds, its share of those of the block.
    late
        Whether it was given up, because `seconds` came to more than it may take.
    """

    elbo: np.ndarray
    mu: np.ndarray
    rho: np.ndarray
    seconds: float
    late: bool

    @property
    def failed(self) -> bool:
        """Whether the ELBO became NaN."""
        return bool(np.isnan(self.mu).any())


class _State(NamedTuple):
    """Parameters with the moments of their gradients, and their sums over the last iterations, (n, L) each."""

    mu: jax.Array
    rho: jax.Array
    first_mu: jax.Array
    second_mu: jax.Array
    first_rho: jax.Array
    second_rho: jax.Array
    sum_mu: jax.Array
    sum_rho: jax.Array


class _Step(NamedTuple):
    """The arguments of a run of iterations: the first one, how many, the first that counts for the mean, the rate."""

    first: Any
    count: Any
    averaged_from: Any
    learning_rate: Any


@dataclass(frozen=True, eq=False)
class _Objective:
    """What is maximised.

    Parameters
    ----------
    potential
        ``(z (n, L), data)`` to minus the log densities (L,), and their gradients (n, L).
    apart
        Whether the potential wants the lanes of the data as their first axis.
    size
        Length n of a position.
    n_mc
        Draws from the approximation that a gradient is the mean of.
    """

    potential: Potential
    apart: bool
    size: int
    n_mc: int


@dataclass(frozen=True, eq=False)
class Ascent:
    """The compiled functions of one density.

    Parameters
    ----------
    density
        The model.
    width
        Lanes L.
    open
        ``(seed, own, arguments)`` to the start (n,), the key of the stream, and the prepared arguments; `own` is the
        start (n,) of a density that cannot make one.
    run
        ``(state, data, keys, step)`` to the state after up to `CHUNK` iterations, and their ELBO (CHUNK, L).
    describe
        ``(z (draw, n), arguments)`` to the values of the density's variables, the pointwise log-likelihood of its
        observed ones, in their order, and the log density (draw,); of its free variables alone, if a Deterministic
        raises at these draws.
    """

    density: Density
    width: int
    open: Callable[..., Any]
    run: Callable[..., Any]
    describe: Callable[..., Any]


@lru_cache(maxsize=32)
def ascent(density: Density, shapes: tuple[tuple[tuple[int, ...], str], ...], n_mc: int, draws: int) -> Ascent:
    """Compile a density; the same one again costs nothing.

    Parameters
    ----------
    density
        The model.
    shapes
        Shape and dtype of each argument.
    n_mc
        Draws from the approximation that a gradient is the mean of.
    draws
        Draws that are kept.
    """
    size = density.size
    given = tuple(jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes)
    prepared = tuple(jax.eval_shape(density.prepare, given))
    block = block_of(prepared)
    width = block or LANES.get(jax.default_backend(), MANY_LANES)

    def double(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, np.float64)

    whole, seed = jax.ShapeDtypeStruct((), np.int64), jax.ShapeDtypeStruct((), np.uint64)
    data = tuple(jax.ShapeDtypeStruct((width, *one.shape), one.dtype) for one in prepared)
    state = _State(*[double(size, width)] * len(_State._fields))
    keys, step = jax.ShapeDtypeStruct((width,), np.uint64), _Step(whole, whole, whole, double())
    objective = _Objective(potential_of(density, prepared, block, "float64"), bool(block), size, n_mc)
    return Ascent(
        density=density,
        width=width,
        open=jax.jit(partial(_open, density)).lower(seed, double(size), given).compile(),
        run=jax.jit(partial(_run, objective), donate_argnums=0).lower(state, data, keys, step).compile(),
        describe=describer(density, _describe, double(draws, size), given),
    )


def climb(program: Ascent, tasks: Sequence[Task], schedule: Schedule, timeout: float | None) -> list[Found]:
    """Maximise the ELBO of as many datasets as the program has lanes, or fewer.

    Parameters
    ----------
    program
        The compiled model.
    tasks
        The datasets.
    schedule
        What to do.
    timeout
        Seconds that one dataset may take (`Found.seconds`); None: no bound.

    Returns
    -------
    list of Found
        One for each task, in their order. None depends on the others, to the last bit.
    """
    begin = time.perf_counter()
    size, width, iterations = program.density.size, program.width, schedule.iterations
    opened = [
        program.open(np.uint64(t.seed), np.zeros(size) if t.start is None else t.start, t.arguments) for t in tasks
    ]
    lanes = jax.tree.map(np.asarray, opened + opened[:1] * (width - len(opened)))
    starts, keys = np.stack([lane[0] for lane in lanes], axis=1), np.stack([lane[1] for lane in lanes])
    data = tuple(jax.device_put(np.stack(column)) for column in zip(*(lane[2] for lane in lanes), strict=True))
    state = _State(starts, *(np.zeros((size, width)) for _ in _State._fields[1:]))
    rate = np.float64(schedule.learning_rate)
    reports: list[np.ndarray] = []
    late = False
    for first in range(0, iterations, CHUNK):
        count = min(CHUNK, iterations - first)
        step = _Step(np.int64(first), np.int64(count), np.int64(iterations - schedule.averaged), rate)
        state, report = program.run(state, data, keys, step)
        reports.append(np.asarray(report)[:count])
        spent = (time.perf_counter() - begin) / len(tasks)
        late = timeout is not None and spent > timeout and first + count < iterations
        if late or np.isnan(reports[-1][-1]).all():
            break
    elbo = np.concatenate(reports)
    mu, rho = np.asarray(state.sum_mu) / schedule.averaged, np.asarray(state.sum_rho) / schedule.averaged
    seconds = (time.perf_counter() - begin) / len(tasks)
    return [_found(elbo[:, i], mu[:, i], rho[:, i], seconds, late) for i in range(len(tasks))]


def _found(elbo: np.ndarray, mu: np.ndarray, rho: np.ndarray, seconds: float, late: bool) -> Found:
    """End the trace where it becomes NaN; such parameters count for nothing, even where they came back."""
    broken = np.isnan(elbo)
    if broken.any():
        elbo, mu, rho = elbo[: broken.argmax()], np.full_like(mu, np.nan), np.full_like(rho, np.nan)
    return Found(elbo.copy(), mu, rho, seconds, late)


def _open(density: Density, seed: jax.Array, own: jax.Array, arguments: Arrays) -> tuple[Any, ...]:
    """Start at the model's initial point, without jitter, as PyMC's ADVI does; prepare the arguments."""
    start = own if density.start is None else density.start(jnp.zeros(density.size), arguments)
    return start, streams.chain_key(seed, jnp.zeros((), jnp.uint64), NOISE), density.prepare(arguments)


def _describe(density: Density, z: jax.Array, arguments: Arrays) -> tuple[Arrays, Arrays, jax.Array]:
    log_density = jax.vmap(density.log_density, in_axes=(0, None))(z, density.prepare(arguments))
    return *describe(density, z, arguments), log_density


def _run(objective: _Objective, state: _State, data: Arrays, keys: jax.Array, step: _Step) -> tuple[_State, jax.Array]:
    """Make some iterations."""
    arranged = data if objective.apart else tuple(jnp.moveaxis(one, 0, -1) for one in data)

    def one(i: jax.Array, carry: tuple[_State, jax.Array]) -> tuple[_State, jax.Array]:
        state, elbo = carry
        iteration = step.first + i
        # the barriers keep XLA from computing a result anew in every loop that uses it
        scale, slope = lax.optimization_barrier(jax.jvp(softplus, (state.rho,), (jnp.ones_like(state.rho),)))
        gain, of_mu, of_scale = _gradient(objective, (state.mu, scale), arranged, keys, iteration)
        entropy = jnp.log(scale).sum(axis=0) + 0.5 * objective.size * np.log(2 * np.pi)
        gradients = of_mu, (of_scale - 1.0 / scale) * slope
        state = _adam(state, gradients, iteration + 1, step)
        return state, elbo.at[i].set(gain + entropy)

    done: tuple[_State, jax.Array] = lax.fori_loop(0, step.count, one, (state, jnp.zeros((CHUNK, keys.shape[0]))))
    return done


def _gradient(
    objective: _Objective, normal: tuple[jax.Array, jax.Array], data: Arrays, keys: jax.Array, iteration: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Estimate by reparameterisation (Kucukelbir et al. 2017, JMLR 18:14), each the mean over draws from the normal.

    Returns the log density with half the squares of the standard normals (L,), and the gradients of minus the log
    density with respect to means and scales, (n, L).
    """
    (mu, scale), size, n_mc = normal, objective.size, objective.n_mc

    def draw(counter: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        first = (counter * size).astype(jnp.uint64)
        standard = lax.optimization_barrier(streams.normals(keys, first, size))
        z = lax.optimization_barrier(mu + scale * standard)
        values, gradients = lax.optimization_barrier(objective.potential(z, data))
        return 0.5 * (standard * standard).sum(axis=0) - values, gradients, gradients * standard

    if n_mc == 1:
        return draw(iteration)

    def add(k: jax.Array, sums: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        return tuple(a + b for a, b in zip(sums, draw(iteration * n_mc + k), strict=True))

    zeros = jnp.zeros(mu.shape[1]), jnp.zeros_like(mu), jnp.zeros_like(mu)
    gain, of_mu, of_scale = lax.fori_loop(0, n_mc, add, zeros)
    return gain / n_mc, of_mu / n_mc, of_scale / n_mc


def _adam(state: _State, gradients: tuple[jax.Array, jax.Array], number: jax.Array, step: _Step) -> _State:
    """Move the parameters by Adam, with PyMC's form of its correction for the start; `number` counts from 1."""
    t = number.astype(jnp.float64)
    rate = step.learning_rate * jnp.sqrt(1.0 - SECOND_DECAY**t) / (1.0 - FIRST_DECAY**t)

    def moved(
        value: jax.Array, first: jax.Array, second: jax.Array, gradient: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        first = FIRST_DECAY * first + (1.0 - FIRST_DECAY) * gradient
        second = SECOND_DECAY * second + (1.0 - SECOND_DECAY) * gradient * gradient
        return value - rate * first / (jnp.sqrt(second) + TINY), first, second

    mu, first_mu, second_mu = moved(state.mu, state.first_mu, state.second_mu, gradients[0])
    rho, first_rho, second_rho = moved(state.rho, state.first_rho, state.second_rho, gradients[1])
    counts = (number > step.averaged_from).astype(jnp.float64)
    return _State(
        mu,
        rho,
        first_mu,
        second_mu,
        first_rho,
        second_rho,
        state.sum_mu + counts * mu,
        state.sum_rho + counts * rho,
    )
