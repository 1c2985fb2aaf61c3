"""Were stored draws drawn from this model? What can be held against each other: layout, data, and the log density.

It draws nothing. Where nothing proves that they were, it says what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.messages import few, in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pymc as pm
    import xarray as xr

__all__ = ["MOST_DRAWS", "ROUNDING", "doubt"]

MOST_DRAWS = 25
"""Stored draws at which a density is computed, spread over all of them."""
ROUNDING = 1e-10
"""Difference of two log densities, relative to the sum of the sizes of their terms, that is put down to rounding."""
SAME_VALUE = 1e-9
"""The same for a value that is computed from a draw."""


def doubt(model: pm.Model, tree: xr.DataTree) -> str:
    """Say why stored draws may not be this model's; empty where that they are is shown.

    Parameters
    ----------
    model
        As it is built now.
    tree
        What a sampler of this package wrote: posterior, sample_stats with ``lp``, observed_data.

    Returns
    -------
    str
        A reason for people.
    """
    if "lp" not in tree["sample_stats"].dataset:
        return "no log density is stored with its draws, so nothing shows which model they are from"
    told = _start(model) or _data(model, tree) or _layout(model, tree["posterior"].to_dataset())
    if told:
        return told
    try:
        return _values(model, tree)
    except Exception as error:  # noqa: BLE001 - ops of a user's model may raise anything
        return f"the log density cannot be computed at its draws ({in_one_line(error)})"


def _start(model: pm.Model) -> str:
    """Name what changes draws and no density at them."""
    own = [str(rv.name) for rv in model.free_RVs if model.rvs_to_initial_values.get(rv) is not None]
    if own:
        return f"the model says where chains of {', '.join(own)} begin, and no draw shows where they did"
    return "" if model.check_bounds else "the model checks no bounds, and no draw shows what is beyond them"


def _data(model: pm.Model, tree: xr.DataTree) -> str:
    """Compare what the model observes, and its named data, bit for bit."""
    from bayesrun.samplers.groups import data_of

    for group in ("observed_data", "constant_data"):
        now = data_of(model).get(group, {})
        stored = tree[group].to_dataset() if group in tree.children else {}
        if list(map(str, stored)) != list(now):
            return f"{group} has {_few(stored)}, and the model has {_few(now)} now"
        for name, values in now.items():
            if stored[name].dtype != values.dtype or not _equal(stored[name].values, values):
                return f"{name} has other values in {group} than the model now"
    return ""


def _equal(stored: np.ndarray, now: np.ndarray) -> bool:
    return np.array_equal(stored, now, equal_nan=now.dtype.kind == "f")


def _layout(model: pm.Model, posterior: xr.Dataset) -> str:
    """Compare variables, their order, dims and shapes, and the labels of dims."""
    names = [str(variable.name) for variable in model.unobserved_RVs]
    if list(map(str, posterior.data_vars)) != names:
        return f"it has the variables {_few(posterior.data_vars)}, and the model has {_few(names)} now"
    labels = {str(dim): list(map(str, values)) for dim, values in model.coords.items() if values is not None}
    for name in names:
        dims = [str(dim) for dim in posterior[name].dims[2:]]
        named = model.named_vars_to_dims.get(name)
        now = [f"{name}_dim_{axis}" for axis in range(model[name].ndim)] if named is None else list(map(str, named))
        if dims != now:
            return f"{name} has the dims {_few(dims)}, and {_few(now)} now"
        for dim in dims:
            if dim in labels and list(map(str, posterior[dim].values)) != labels[dim]:
                return f"{dim} has other labels than in the model now"
    return ""


def _few(names: Any) -> str:
    listed = list(map(str, names))
    return few(listed, 4) or "none"


def _values(model: pm.Model, tree: xr.DataTree) -> str:
    """Compare the log density, and what is computed from a draw, at some draws."""
    posterior = tree["posterior"].to_dataset()
    stored_lp = tree["sample_stats"]["lp"].transpose("chain", "draw").values
    drawn = {str(name): posterior[name].transpose("chain", "draw", ...).values for name in posterior.data_vars}
    free = [str(rv.name) for rv in model.free_RVs]
    computed = [str(variable.name) for variable in model.deterministics]
    shapes = model.eval_rv_shapes()
    for name in free:
        if drawn[name].shape[2:] != tuple(map(int, shapes[name])):
            return f"{name} has the shape {drawn[name].shape[2:]}, and {tuple(map(int, shapes[name]))} now"
    evaluate = _evaluator(model)
    chains, draws = stored_lp.shape
    for place in np.unique(np.linspace(0, chains * draws - 1, MOST_DRAWS).astype(int)):
        at = divmod(int(place), draws)
        terms, values = evaluate([drawn[name][at] for name in free])
        lp = sum(float(np.sum(term)) for term in terms)
        size = 1.0 + sum(float(np.sum(np.abs(term))) for term in terms)
        if not abs(lp - stored_lp[at]) <= ROUNDING * size:
            return f"the log density at a draw is {stored_lp[at]:.12g} as stored, and {lp:.12g} of the model now"
        for name, value in zip(computed, values, strict=True):
            stored = drawn[name][at]
            near = SAME_VALUE * np.max(np.abs(stored), initial=0.0)
            if stored.shape != value.shape or not np.allclose(value, stored, SAME_VALUE, near, equal_nan=True):
                return f"{name} is computed in another way now"
    return ""


def _evaluator(model: pm.Model) -> Callable[[Sequence[np.ndarray]], tuple[list[np.ndarray], list[np.ndarray]]]:
    """Compile the terms of the log density, with those of the transforms, and the deterministics at a natural point."""
    import pytensor
    from pytensor.compile.mode import Mode
    from pytensor.graph.replace import graph_replace

    points = [rv.type() for rv in model.free_RVs]
    known = dict(zip(model.free_RVs, points, strict=True))
    known |= {rv: model.rvs_to_values[rv] for rv in model.observed_RVs}
    moved = [_unconstrained(model, rv, point) for rv, point in zip(model.free_RVs, points, strict=True)]
    placed = graph_replace(moved, known, strict=False)
    values = [model.rvs_to_values[rv] for rv in model.free_RVs]
    inner = {value: value.type.filter_variable(here) for value, here in zip(values, placed, strict=True)}
    terms = graph_replace(model.logp(sum=False), inner, strict=False)
    computed = graph_replace(list(model.deterministics), known, strict=False) if model.deterministics else []
    mode = Mode(linker="py", optimizer="fast_compile")  # compiling would cost more than a few values
    compiled = pytensor.function(points, [*terms, *computed], mode=mode, on_unused_input="ignore")

    def evaluate(draw: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        with np.errstate(all="ignore"):
            given = [np.asarray(value, dtype=point.type.dtype) for value, point in zip(draw, points, strict=True)]
            found = [np.asarray(value) for value in compiled(*given)]
        return found[: len(terms)], found[len(terms) :]

    return evaluate


def _unconstrained(model: pm.Model, rv: Any, point: Any) -> Any:
    transform = model.rvs_to_transforms[rv]
    return point if transform is None else transform.forward(point, *rv.owner.inputs)
