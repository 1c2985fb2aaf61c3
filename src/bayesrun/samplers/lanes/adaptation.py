"""Step size and mass matrix of each lane during warm-up, on NumPyro's schedule; it moves no chain.

Step sizes follow dual averaging (Nesterov 2009, doi:10.1007/s10107-007-0149-x; Hoffman and Gelman 2014, JMLR
15:1593) from 1.0 on, as NumPyro's default has it. Inverse mass matrices are regularised covariances of the draws of a
window (Stan Reference Manual, "Automatic parameter tuning"), the identity at first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpyro.infer.hmc_util import build_adaptation_schedule

__all__ = ["Adaptation", "Metric", "Schedule", "adapt", "initial", "momentum", "schedule", "velocity"]

FIRST_STEP_SIZE = 1.0
T0, KAPPA, GAMMA = 10.0, 0.75, 0.05  # of dual averaging, as in Hoffman and Gelman, section 3.2
SHRINKAGE, FLOOR = 5.0, 1e-3  # draws that the prior guess of a variance counts for, and that guess


class Metric(NamedTuple):
    """The mass matrix M of each lane.

    Attributes
    ----------
    inverse
        M^-1: its diagonal (n, L), or the whole of it (n, n, L).
    root
        A with A A' = M, by which standard normals become momenta: (n, L) or (n, n, L).
    """

    inverse: jax.Array
    root: jax.Array


class Adaptation(NamedTuple):
    """What a lane has learnt.

    Attributes
    ----------
    step_size
        Of the leapfrog, (L,).
    log_step, log_step_mean, error_mean, count, centre
        Dual averaging: last and averaged log step size, averaged error of the acceptance rate, updates since the last
        restart, and the point that is shrunk to; (L,) each.
    metric
        The mass matrix.
    mean, scatter, size
        Welford's sums over the draws of this window: mean (n, L), sum of squares (n, L) or of products (n, n, L),
        and number of draws (L,).
    """

    step_size: jax.Array
    log_step: jax.Array
    log_step_mean: jax.Array
    error_mean: jax.Array
    count: jax.Array
    centre: jax.Array
    metric: Metric
    mean: jax.Array
    scatter: jax.Array
    size: jax.Array


@dataclass(frozen=True)
class Schedule:
    """When to adapt what: warm-up steps, first and last step whose draws count for M, last steps of the windows."""

    tune: int
    first: int
    last: int
    ends: tuple[int, ...]
    target_accept: float


def schedule(tune: int, target_accept: float) -> Schedule:
    """Cut the warm-up into windows: a buffer, windows of doubling length, and a buffer for the step size alone."""
    windows = [(window.start, window.end) for window in build_adaptation_schedule(tune)][1:-1]
    first, last = (windows[0][0], windows[-1][1]) if windows else (0, -1)
    return Schedule(tune, first, last, tuple(end for _, end in windows), target_accept)


def initial(size: int, lanes: int, dense: bool) -> Adaptation:
    """Return the state before the first step: step size 1, unit mass matrix."""
    zero = jnp.zeros(lanes)
    vector = jnp.zeros((size, lanes))
    unit = jnp.broadcast_to(jnp.eye(size)[:, :, None], (size, size, lanes)) if dense else vector + 1.0
    return Adaptation(
        step_size=zero + FIRST_STEP_SIZE,
        log_step=zero,
        log_step_mean=zero,
        error_mean=zero,
        count=zero,
        centre=zero + math.log(10.0 * FIRST_STEP_SIZE),
        metric=Metric(unit, unit),
        mean=vector,
        scatter=jnp.zeros_like(unit),
        size=zero,
    )


def velocity(metric: Metric, r: jax.Array) -> jax.Array:
    """Return M^-1 r of each lane, (n, L)."""
    if metric.inverse.ndim == 2:
        return metric.inverse * r
    return (metric.inverse * r[None]).sum(1)


def momentum(metric: Metric, normal: jax.Array) -> jax.Array:
    """Turn standard normals (n, L) into momenta with covariance M."""
    if metric.root.ndim == 2:
        return metric.root * normal
    return (metric.root * normal[None]).sum(1)


def adapt(state: Adaptation, plan: Schedule, step: jax.Array, z: jax.Array, acceptance: jax.Array) -> Adaptation:
    """Learn from one transition of each lane.

    Parameters
    ----------
    state
        Of all lanes.
    plan
        The schedule.
    step
        Number of the transition, from 0, (L,); -1 where a lane made none. Lanes past the warm-up keep their state.
    z
        The draws, (n, L).
    acceptance
        Mean acceptance rate of the transition, (L,).
    """
    active = (step >= 0) & (step < plan.tune)
    count = state.count + 1.0
    error = (1.0 - 1.0 / (count + T0)) * state.error_mean + (plan.target_accept - acceptance) / (count + T0)
    root = jnp.sqrt(count)
    log_step = state.centre - root / GAMMA * error
    weight = 1.0 / (root * jnp.sqrt(root)) if KAPPA == 0.75 else count**-KAPPA
    log_mean = (1.0 - weight) * state.log_step_mean + weight * log_step
    chosen = jnp.where(step == plan.tune - 1, log_mean, log_step)
    extremes = np.finfo(z.dtype)
    step_size = jnp.clip(jnp.exp(chosen), extremes.tiny, extremes.max)

    counted = active & (step >= plan.first) & (step <= plan.last)
    size = state.size + counted
    delta = z - state.mean
    mean = jnp.where(counted, state.mean + delta / jnp.maximum(size, 1.0), state.mean)
    after = z - mean
    product = delta * after if state.scatter.ndim == 2 else delta[None] * after[:, None]
    scatter = jnp.where(counted, state.scatter + product, state.scatter)

    closed = jnp.zeros_like(active)
    for end in plan.ends:
        closed = closed | (step == end)
    active, closed, log_step, log_mean, error, chosen, step_size = lax.optimization_barrier(
        (active, closed, log_step, log_mean, error, chosen, step_size)
    )
    metric = lax.cond(
        closed.any(),
        lambda: Metric(
            *(jnp.where(closed, new, old) for new, old in zip(_learnt(scatter, size), state.metric, strict=True))
        ),
        lambda: state.metric,
    )

    def renewed(updated: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(closed, 0.0, jnp.where(active, updated, old))

    return Adaptation(
        step_size=jnp.where(active, step_size, state.step_size),
        log_step=renewed(log_step, state.log_step),
        log_step_mean=renewed(log_mean, state.log_step_mean),
        error_mean=renewed(error, state.error_mean),
        count=renewed(count, state.count),
        centre=jnp.where(closed, math.log(10.0) + chosen, state.centre),
        metric=metric,
        mean=jnp.where(closed, 0.0, mean),
        scatter=jnp.where(closed, 0.0, scatter),
        size=jnp.where(closed, 0.0, size),
    )


def _learnt(scatter: jax.Array, size: jax.Array) -> Metric:
    """Turn sums of squares into a regularised covariance, which becomes M^-1."""
    share = size / (size + SHRINKAGE)
    covariance = share * scatter / jnp.maximum(size - 1.0, 1.0)
    ridge = FLOOR * SHRINKAGE / (size + SHRINKAGE)
    if scatter.ndim == 2:
        inverse = covariance + ridge
        return Metric(inverse, 1.0 / jnp.sqrt(inverse))
    inverse = covariance + ridge * jnp.eye(scatter.shape[0])[:, :, None]
    lower = jnp.linalg.cholesky(jnp.moveaxis(inverse, -1, 0))
    identity = jnp.broadcast_to(jnp.eye(scatter.shape[0]), lower.shape)
    # M^-1 = C C' makes M = (C^-1)' C^-1, so that A = (C^-1)'
    root = lax.linalg.triangular_solve(lower, identity, left_side=True, lower=True, transpose_a=True)
    return Metric(inverse, jnp.moveaxis(root, 0, -1))
