"""What a lane knows and what it reports: named arrays, vectors of shape (n, L) and numbers of shape (L,). No logic."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import jax

    from bayesrun.samplers.lanes.adaptation import Adaptation

__all__ = ["CUT_OFF", "DIVERGING", "NO_GRADIENT", "End", "Lanes", "Point", "Transition", "Tree"]

DIVERGING, CUT_OFF, NO_GRADIENT = 1, 2, 4
"""Flags of a transition: its energy error was too large; its tree reached the largest depth without a U-turn; it ended
because the gradient was not finite where the density was."""


class End(NamedTuple):
    """One end of a trajectory: position, momentum and gradient of the potential energy, each (n, L)."""

    z: jax.Array
    r: jax.Array
    gradient: jax.Array


class Point(NamedTuple):
    """A candidate for the next draw: position and gradient (n, L), potential and total energy (L,)."""

    z: jax.Array
    gradient: jax.Array
    potential: jax.Array
    energy: jax.Array


class Tree(NamedTuple):
    """The trajectory of each lane, and of it the subtree that is being added.

    Attributes
    ----------
    moving, resting
        The end that is extended, and the other one.
    chosen, offered
        Candidate of the whole tree, and of the subtree.
    momentum, added_momentum
        Sums of the momenta over the tree and over the subtree, (n, L).
    log_weight, added_log_weight
        Logarithms of the sums of exp(start energy - energy), (L,).
    start_energy
        Total energy at the start of the trajectory, (L,).
    direction
        1.0 forward, -1.0 backward, 0.0 for a lane without work, (L,).
    leaf, depth
        Steps of the subtree so far, and doublings so far, int32 (L,).
    n_steps, acceptance
        Leapfrog steps of the trajectory, int32, and the sum of their acceptance probabilities, (L,).
    saved, saved_sum
        Momentum, and sum of the momenta up to it, at the left ends of the open subtrees, (depth, n, L).
    """

    moving: End
    resting: End
    chosen: Point
    offered: Point
    momentum: jax.Array
    added_momentum: jax.Array
    log_weight: jax.Array
    added_log_weight: jax.Array
    start_energy: jax.Array
    direction: jax.Array
    leaf: jax.Array
    depth: jax.Array
    n_steps: jax.Array
    acceptance: jax.Array
    saved: jax.Array
    saved_sum: jax.Array


class Lanes(NamedTuple):
    """The state of all lanes.

    Attributes
    ----------
    tree, adaptation
        See there.
    transition
        Transitions that are done, int32 (L,). A lane that has done all of them rests.
    key, counter
        Stream of random numbers, and iterations that have drawn from it, uint64 (L,).
    """

    tree: Tree
    adaptation: Adaptation
    transition: jax.Array
    key: jax.Array
    counter: jax.Array


class Transition(NamedTuple):
    """What a lane reports in each iteration; it counts only where a transition ended, which `n_steps` > 0 says.

    Attributes
    ----------
    z
        The draw, (n, L).
    potential, energy
        Minus the log density, and the total energy, of the draw, (L,).
    acceptance
        Mean acceptance probability over the trajectory, (L,).
    n_steps
        Leapfrog steps of the trajectory, int32 (L,).
    flags
        Sum of DIVERGING, CUT_OFF and NO_GRADIENT, or 0, int8 (L,).
    """

    z: jax.Array
    potential: jax.Array
    energy: jax.Array
    acceptance: jax.Array
    n_steps: jax.Array
    flags: jax.Array
