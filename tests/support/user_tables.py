"""Tables of users, written to files and read as studies read them, and likelihoods held against another package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
from arviz_stats.base import array_stats
from pytensor import function
from pytensor.graph.replace import clone_replace

from bayesrun.data import conform, read
from model_oracles import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pandas as pd
    import xarray as xr
    from pytensor.tensor import TensorVariable

    from bayesrun.types import Dataset, Role

Values = dict[str, Any]


def given(folder: Path, frame: pd.DataFrame, roles: Mapping[str, Role], **how: Any) -> Dataset:
    """Write a table as a csv file, and read it for a model with these roles; without roles, for a formula."""
    path = folder / "table.csv"
    frame.to_csv(path, index=False)
    return conform(read(str(path), **how), roles, used=None if roles else ())


def compiled(model: pm.Model, graph: TensorVariable, names: list[str]) -> Callable[[Values], np.ndarray]:
    """Make a function of free variables, by their names and on their own scale, of a graph of the model."""
    inputs = {model[name]: model[name].type(name) for name in names}
    found = function(list(inputs.values()), clone_replace(graph, inputs), mode=PLAIN, on_unused_input="ignore")
    return lambda values: found(*(np.asarray(values[name], dtype=np.float64) for name in names))


def terms(model: pm.Model, graph: TensorVariable | None = None) -> Callable[[Values], np.ndarray]:
    """Make a function that gives the log density of every row, from the values of the free variables."""
    if graph is None:
        (observed,) = model.observed_RVs
        graph = pm.logp(observed, model.rvs_to_values[observed])
    return compiled(model, graph, [v.name for v in model.free_RVs])


def marginal(model: pm.Model, effects: list[str]) -> Callable[[Values], float]:
    """Make the log likelihood with normal effects integrated out, from the values of the other free variables.

    The log of a normal likelihood times normal effects is a quadratic function of these, so that differences of unit
    steps give its gradient and its Hessian exactly, and Laplace's approximation is the integral itself.
    """
    (observed,) = model.observed_RVs
    log_joint = pm.logp(observed, model.rvs_to_values[observed]).sum()
    for name in effects:
        log_joint = log_joint + pm.logp(model[name], model[name]).sum()
    shapes = [model[name].shape.eval() for name in effects]
    cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])
    joint = compiled(model, log_joint, [v.name for v in model.free_RVs])

    def integral(values: Values) -> float:
        def at(flat: np.ndarray) -> float:
            parts = np.split(flat, cuts[:-1])
            own = {name: part.reshape(shape) for name, part, shape in zip(effects, parts, shapes, strict=True)}
            return float(joint(values | own))

        slope, curvature = derivatives(at, np.zeros(cuts[-1]), np.ones(cuts[-1]))
        step = np.linalg.solve(-curvature, slope)
        log_det = np.linalg.slogdet(-curvature)[1]
        return at(np.zeros(cuts[-1])) + 0.5 * slope @ step + 0.5 * len(step) * np.log(2 * np.pi) - 0.5 * log_det

    return integral


def assert_maximum(value: Callable[[Values], Any], estimate: Values, errors: Values, tolerance: float = 0.02) -> None:
    """Hold that the estimate is the maximum of a likelihood, and its curvature there the stated standard errors.

    A Newton step from the estimate has to be less than `tolerance` standard errors long, and the errors equal within
    this share. Parameters without a stated error are free too.
    """
    sizes = {name: np.size(values) for name, values in estimate.items()}
    cuts = np.cumsum(list(sizes.values()))[:-1]

    def total(flat: np.ndarray) -> float:
        parts = zip(estimate.items(), np.split(flat, cuts), strict=True)
        return float(np.sum(value({name: part.reshape(np.shape(like)) for (name, like), part in parts})))

    at = np.concatenate([np.ravel(values) for values in estimate.values()]).astype(np.float64)
    stated = np.concatenate([np.broadcast_to(errors.get(name, np.nan), n) for name, n in sizes.items()])
    steps = 0.03 * np.where(np.isnan(stated), 0.1 * np.maximum(abs(at), 0.1), stated)
    # steps that are short beside the width of each section: estimates may be closely related
    steps = 0.03 / np.sqrt(-np.diag(derivatives(total, at, steps)[1]))
    slope, curvature = derivatives(total, at, steps)
    covariance = np.linalg.inv(-curvature)
    found = np.sqrt(np.diag(covariance))
    assert np.max(abs(covariance @ slope) / found) < tolerance
    known = ~np.isnan(stated)
    np.testing.assert_allclose(found[known], stated[known], rtol=tolerance)


def assert_drawn(draws: dict[str, xr.DataArray], exact: dict[str, tuple[float, float]]) -> None:
    """Compare means and standard deviations of draws with exact ones, within 4 Monte Carlo standard errors."""
    for name, (mean, sd) in exact.items():
        values = draws[name].transpose("chain", "draw").to_numpy()
        ours = {"mean": values.mean(), "sd": values.std()}
        for kind, theirs in (("mean", mean), ("sd", sd)):
            error = float(array_stats.mcse(values, method=kind))
            assert abs(ours[kind] - theirs) < 4 * error, f"{kind} of {name}: {ours[kind]} and {theirs}, MCSE {error}"


def derivatives(
    value: Callable[[np.ndarray], float], at: np.ndarray, steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give gradient and Hessian by central differences; they are exact for a quadratic function."""
    n = len(at)
    moves = np.diag(steps)
    centre = value(at)
    up, down = (np.array([value(at + sign * moves[i]) for i in range(n)]) for sign in (1.0, -1.0))
    hessian = np.diag((up - 2.0 * centre + down) / steps**2)
    for i in range(n):
        for j in range(i):
            both = value(at + moves[i] + moves[j]) + value(at - moves[i] - moves[j])
            mixed = both - up[i] - down[i] - up[j] - down[j] + 2.0 * centre
            hessian[i, j] = hessian[j, i] = mixed / (2.0 * steps[i] * steps[j])
    return (up - down) / (2.0 * steps), hessian
