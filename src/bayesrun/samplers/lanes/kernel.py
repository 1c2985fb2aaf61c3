"""NUTS without lock-step: in every iteration each lane does one leapfrog step of its own trajectory.

A lane is one chain. It builds a tree, ends it, learns from it and starts the next one, whatever the other lanes do, so
that no lane waits for the longest tree. The transition is that of NumPyro: multinomial sampling of the trajectory with
biased progression between subtrees (Betancourt 2017, arXiv:1701.02434) and an iterative no-U-turn check (Phan,
Pradhan, Jankowiak 2019, arXiv:1912.11554). Vectors have shape (n, L), numbers (L,): lanes are contiguous in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bayesrun.samplers.lanes import streams
from bayesrun.samplers.lanes.adaptation import Metric, Schedule, adapt, initial, momentum, velocity
from bayesrun.samplers.lanes.state import CUT_OFF, DIVERGING, NO_GRADIENT, End, Lanes, Point, Transition, Tree

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Kernel", "Potential", "begin", "refill", "run"]

LARGEST_ENERGY_ERROR = 1000.0

type Potential = Callable[[jax.Array, tuple[jax.Array, ...]], tuple[jax.Array, jax.Array]]


@dataclass(frozen=True)
class Kernel:
    """What all lanes share.

    Parameters
    ----------
    potential
        ``(z (n, L), data)`` to potential energies (L,) and their gradients (n, L).
    size
        Length n of a position.
    plan
        When to adapt what.
    transitions
        Transitions of a chain, warm-up included.
    max_treedepth
        Largest number of doublings.
    dense
        Whether the mass matrix has off-diagonal elements.
    """

    potential: Potential
    size: int
    plan: Schedule
    transitions: int
    max_treedepth: int
    dense: bool = False


class _Verdict(NamedTuple):
    """How an iteration left a lane: its trajectory ended, and with which flags; and a coin for the direction."""

    ended: jax.Array
    flags: jax.Array
    coin: jax.Array


def begin(kernel: Kernel, z: jax.Array, key: jax.Array, working: jax.Array, data: tuple[jax.Array, ...]) -> Lanes:
    """Put a chain at its start into every lane.

    Parameters
    ----------
    z
        Initial positions, (n, L).
    key
        Streams, uint64 (L,).
    working
        False where a lane gets no work, (L,).
    data
        Arguments of the potential.
    """
    lanes = z.shape[1]
    potential, gradient = kernel.potential(z, data)
    nought, whole = jnp.zeros(lanes), jnp.zeros(lanes, jnp.int32)
    vector = jnp.zeros_like(z)
    end = End(z, vector, gradient)
    point = Point(z, gradient, potential, potential)
    saved = jnp.zeros((kernel.max_treedepth, *z.shape))
    tree = Tree(
        end,
        end,
        point,
        point,
        vector,
        vector,
        nought,
        nought,
        nought,
        nought,
        whole,
        whole,
        whole,
        nought,
        saved,
        saved,
    )
    state = Lanes(
        tree=tree,
        adaptation=initial(kernel.size, lanes, kernel.dense),
        transition=jnp.where(working, 0, kernel.transitions).astype(jnp.int32),
        key=key,
        counter=jnp.zeros(lanes, jnp.uint64),
    )
    coin = (streams.bits(key, jnp.uint64(0)) & np.uint64(1)) == 1
    return _started(kernel, state, working, coin)


def refill(state: Lanes, fresh: Lanes, taken: jax.Array) -> Lanes:
    """Replace the chains of some lanes, (L,) of bool; saved momenta are written before they are read."""
    kept = state.tree.saved, state.tree.saved_sum
    state, fresh = (s._replace(tree=s.tree._replace(saved=(), saved_sum=())) for s in (state, fresh))
    merged: Lanes = jax.tree.map(lambda new, old: jnp.where(taken, new, old), fresh, state)
    return merged._replace(tree=merged.tree._replace(saved=kept[0], saved_sum=kept[1]))


def run(kernel: Kernel, state: Lanes, data: tuple[jax.Array, ...], iterations: int) -> tuple[Lanes, Transition]:
    """Do some leapfrog steps in every lane; reports have the iteration as their first dim."""

    def iterate(state: Lanes, _: None) -> tuple[Lanes, Transition]:
        counter = state.counter * np.uint64(kernel.size + 1)
        tree, verdict = _leapfrog(kernel, state, streams.bits(state.key, counter), data)
        state = state._replace(tree=tree)
        ended = verdict.ended & (state.transition < kernel.transitions)
        acceptance = tree.acceptance / jnp.maximum(tree.n_steps, 1)
        report = Transition(
            z=tree.chosen.z,
            potential=tree.chosen.potential,
            energy=tree.chosen.energy,
            acceptance=acceptance,
            n_steps=jnp.where(ended, tree.n_steps, 0),
            flags=verdict.flags,
        )
        step = jnp.where(ended, state.transition, -1)
        state = state._replace(
            adaptation=adapt(state.adaptation, kernel.plan, step, tree.chosen.z, acceptance),
            transition=state.transition + ended,
        )
        return _started(kernel, state, ended, verdict.coin), report

    done: tuple[Lanes, Transition] = lax.scan(iterate, state, None, length=iterations)
    return done


def _started(kernel: Kernel, state: Lanes, where: jax.Array, coin: jax.Array) -> Lanes:
    """Start the next trajectory in some lanes, and count the iteration in all."""
    tree, key = state.tree, state.key
    first = state.counter * np.uint64(kernel.size + 1) + np.uint64(1)
    normal = lax.optimization_barrier(streams.normals(key, first, kernel.size))
    r = momentum(state.adaptation.metric, normal)
    where, coin = lax.optimization_barrier((where, coin))
    chosen = tree.chosen
    going = where & (state.transition < kernel.transitions)
    resting = where & ~going

    def put(new: jax.Array | float, old: jax.Array) -> jax.Array:
        return jnp.where(where, new, old)

    end = End(chosen.z, r, chosen.gradient)
    direction = jnp.where(coin, 1.0, -1.0)
    start_energy = chosen.potential + 0.5 * _dot(normal, normal)
    tree = tree._replace(
        moving=jax.tree.map(put, end, tree.moving),
        resting=jax.tree.map(put, end, tree.resting),
        momentum=put(r, tree.momentum),
        log_weight=put(0.0, tree.log_weight),
        start_energy=put(start_energy, tree.start_energy),
        chosen=chosen._replace(energy=put(start_energy, chosen.energy)),
        direction=jnp.where(going, direction, jnp.where(resting, 0.0, tree.direction)),
        leaf=jnp.where(where, 0, tree.leaf),
        depth=jnp.where(where, 0, tree.depth),
        n_steps=jnp.where(where, 0, tree.n_steps),
        acceptance=put(0.0, tree.acceptance),
    )
    return state._replace(tree=tree, counter=state.counter + np.uint64(1))


def _leapfrog(kernel: Kernel, state: Lanes, random: jax.Array, data: tuple[jax.Array, ...]) -> tuple[Tree, _Verdict]:
    """Add one point to the trajectory of each lane."""
    tree, metric = state.tree, state.adaptation.metric
    to_take, to_move, coin = streams.split_bits(random)
    step = tree.direction * state.adaptation.step_size
    half = tree.moving.r - 0.5 * step * tree.moving.gradient
    z = tree.moving.z + step * velocity(metric, half)
    potential, gradient = kernel.potential(z, data)
    z, half, potential, gradient = lax.optimization_barrier((z, half, potential, gradient))
    r = half - 0.5 * step * gradient
    energy = potential + 0.5 * _dot(r, velocity(metric, r))
    error = energy - tree.start_energy
    error = jnp.where(jnp.isnan(error), jnp.inf, error)
    blind = _blind(potential, energy, tree.start_energy)
    diverging = error > LARGEST_ENERGY_ERROR
    accept = jnp.exp(jnp.minimum(0.0, -error))

    # the subtree takes the point with the share that it has of the weight, which one exponential gives too
    first = tree.leaf == 0
    surplus = -error - tree.added_log_weight
    small = jnp.exp(-jnp.abs(surplus))
    heavier = jnp.maximum(-error, tree.added_log_weight) + jnp.log1p(small)
    added_weight = jnp.where(first, -error, heavier)
    take = first | (to_take * (1.0 + small) < jnp.where(surplus > 0, 1.0, small))
    take, added_weight, diverging, r, accept, to_move, coin = lax.optimization_barrier(
        (take, added_weight, diverging, r, accept, to_move, coin)
    )
    new = Point(z, gradient, potential, energy)
    offered = jax.tree.map(lambda a, b: jnp.where(take, a, b), new, tree.offered)
    added = jnp.where(first, r, tree.added_momentum + r)
    saved, saved_sum, turning = _check_subtrees(metric, tree, r, added)

    # the subtree ends, and is merged into the tree if it is sound
    leaf = tree.leaf + 1
    bad = turning | diverging
    ended = (leaf >= (1 << tree.depth)) | bad
    sound = ended & ~bad
    gain = added_weight - tree.log_weight
    small = jnp.exp(-jnp.abs(gain))
    move = sound & ((gain >= 0) | (to_move < small))
    move, sound, ended, bad, leaf = lax.optimization_barrier((move, sound, ended, bad, leaf))
    chosen = jax.tree.map(lambda a, b: jnp.where(move, a, b), offered, tree.chosen)
    total = tree.momentum + added
    turned = _is_turning(metric, r, tree.resting.r, total)
    depth = tree.depth + ended
    deepest = depth >= kernel.max_treedepth
    over = ended & (bad | turned | deepest)
    cut_off = sound & ~turned & deepest
    swap = ended & coin
    swap, over = lax.optimization_barrier((swap, over))

    here = End(z, r, gradient)
    working = tree.direction != 0.0
    tree = tree._replace(
        moving=jax.tree.map(lambda a, b: jnp.where(swap, a, b), tree.resting, here),
        resting=jax.tree.map(lambda a, b: jnp.where(swap, a, b), here, tree.resting),
        chosen=chosen,
        offered=offered,
        momentum=jnp.where(sound, total, tree.momentum),
        added_momentum=added,
        log_weight=jnp.where(sound, jnp.maximum(added_weight, tree.log_weight) + jnp.log1p(small), tree.log_weight),
        added_log_weight=added_weight,
        direction=jnp.where(swap, -tree.direction, tree.direction),
        leaf=jnp.where(ended, 0, leaf),
        depth=depth,
        n_steps=tree.n_steps + working,
        acceptance=tree.acceptance + accept,
        saved=saved,
        saved_sum=saved_sum,
    )
    flags = (diverging * DIVERGING + cut_off * CUT_OFF + blind * NO_GRADIENT).astype(jnp.int8)
    return tree, _Verdict(over & working, flags, coin)


def _blind(potential: jax.Array, energy: jax.Array, start_energy: jax.Array) -> jax.Array:
    """Whether a lane could go on by its density and cannot for want of a gradient, (L,): its trajectory ends there.

    Such a gradient has gone into the momentum, so that the energy says it without a look at each element. Where the
    density alone makes the energy error too large, the trajectory ends anyhow.
    """
    near = jnp.isfinite(potential) & (potential - start_energy <= LARGEST_ENERGY_ERROR)
    return near & ~jnp.isfinite(energy)


def _check_subtrees(
    metric: Metric, tree: Tree, r: jax.Array, added: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Look for a U-turn in every subtree that this leaf completes, and remember the leaf if it opens one.

    Leaf i of a subtree, counted from 0: the number of ones in i // 2 is the level it is saved at, if i is even; if it
    is odd, it completes as many subtrees as it has ones at its end, which began at the levels below that.
    """
    leaf = tree.leaf
    level = lax.population_count(leaf >> 1)
    completed = lax.population_count((~leaf & (leaf + 1)) - 1)
    lowest = level - completed + 1
    opens = leaf % 2 == 0
    levels = jnp.where(tree.direction != 0.0, level, -1).max() + 1

    def look(carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        i, saved, saved_sum, turning = carry
        old = lax.dynamic_index_in_dim(saved, i, keepdims=False)
        old_sum = lax.dynamic_index_in_dim(saved_sum, i, keepdims=False)
        old, old_sum = lax.optimization_barrier((old, old_sum))  # or XLA copies both buffers at every level
        ends_here = ~opens & (i >= lowest) & (i <= level)
        turning = turning | (ends_here & _is_turning(metric, old, r, added - old_sum + old))
        write = opens & (i == level)
        saved = lax.dynamic_update_index_in_dim(saved, jnp.where(write, r, old), i, 0)
        saved_sum = lax.dynamic_update_index_in_dim(saved_sum, jnp.where(write, added, old_sum), i, 0)
        return i + 1, saved, saved_sum, turning

    start = (jnp.int32(0), tree.saved, tree.saved_sum, jnp.zeros(leaf.shape, bool))
    _, saved, saved_sum, turning = lax.while_loop(lambda carry: carry[0] < levels, look, start)
    return saved, saved_sum, turning


def _is_turning(metric: Metric, left: jax.Array, right: jax.Array, total: jax.Array) -> jax.Array:
    """Whether going on would bring the ends of a trajectory closer together, (L,)."""
    inner = velocity(metric, total - 0.5 * (left + right))
    return (_dot(left, inner) <= 0) | (_dot(right, inner) <= 0)


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return (a * b).sum(0)
