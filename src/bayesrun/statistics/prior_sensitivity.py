"""Do prior and likelihood disagree? The log prior of a fit's draws, and what both do to a posterior when weighed anew.

It draws nothing and fits nothing.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayesrun.base.large_arrays import let_go, steps
from bayesrun.types import PSEUDO

if TYPE_CHECKING:
    import pymc as pm
    from pytensor.graph.basic import Variable

__all__ = ["LIKELIHOOD_BOUND", "PRIOR_BOUND", "disagreements", "log_prior"]

PRIOR_BOUND = 0.05
"""Sensitivity to the prior from which it is informative (Kallioinen et al. 2023, doi:10.1007/s11222-023-10366-5)."""

LIKELIHOOD_BOUND = 0.2
"""Sensitivity to the likelihood from which it moves a posterior. One that is all likelihood is only made wider or
narrower, by the root of the weight, and has about 0.1."""

MOST_SCALARS = 200
"""Scalars of a variable up to which it is looked at."""

SHOWN = 3

ROUNDING = 1e-10
"""Relative differences up to which densities are equal."""

TIES = "All tail values are the same"
"""What ArviZ says of weights to whose largest no Pareto distribution can be fitted, as of few discrete values."""


def log_prior(model: pm.Model, posterior: xr.Dataset) -> xr.Dataset:
    """Evaluate the log prior of draws, without compiling.

    Parameters
    ----------
    model
        The model.
    posterior
        Draws of its free variables, dims (chain, draw, ...).

    Returns
    -------
    xarray.Dataset
        Log density of each free variable whose prior has no other free variable in it, summed over its elements, dims
        (chain, draw). The others are levels of a hierarchy, whose distribution is part of what is estimated.
    """
    import pytensor
    from pytensor.compile.mode import Mode
    from pytensor.graph.replace import vectorize_graph

    plain = _untransformed(model)
    names = [str(rv.name) for rv in plain.free_RVs if not _parents(plain, rv)]
    terms = plain.logp(vars=[plain[name] for name in names], sum=False, jacobian=False)
    values = [plain.rvs_to_values[rv] for rv in plain.free_RVs]
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    drawn = {
        value: posterior[str(rv.name)].transpose("chain", "draw", ...).values.astype(value.dtype)
        for rv, value in zip(plain.free_RVs, values, strict=True)
    }
    inputs = {
        value: pytensor.tensor.tensor(dtype=value.dtype, shape=(None, *array.shape[2:]))
        for value, array in drawn.items()
    }
    evaluate = pytensor.function(
        list(inputs.values()),
        vectorize_graph(terms, inputs),
        mode=Mode(linker="py", optimizer=None),
        on_unused_input="ignore",
    )
    total = math.prod(shape)
    flat = [array.reshape(total, *array.shape[2:]) for array in drawn.values()]
    sums: list[list[np.ndarray]] = [[] for _ in names]
    for part in steps(total, sum(array.nbytes for array in flat) / max(total, 1)):
        found = evaluate(*(array[part] for array in flat))
        for of_name, term in zip(sums, found, strict=True):
            value = np.asarray(term)
            of_name.append(value.reshape(part.stop - part.start, math.prod(value.shape[1:])).sum(axis=1))
    return xr.Dataset(
        {
            name: (("chain", "draw"), np.concatenate(of_name).reshape(shape))
            for name, of_name in zip(names, sums, strict=True)
        }
    )


def _untransformed(model: pm.Model) -> pm.Model:
    """Copy a model without the transforms of its variables, and without starts, which PyMC cannot copy."""
    from pymc.model.transform.conditioning import remove_value_transforms

    starts = model.rvs_to_initial_values
    model.rvs_to_initial_values = dict.fromkeys(starts)
    try:
        return remove_value_transforms(model)
    finally:
        model.rvs_to_initial_values = starts


def _parents(model: pm.Model, rv: Variable) -> bool:
    from pytensor.graph.traversal import ancestors

    free = set(model.free_RVs)
    return any(variable in free for variable in ancestors(rv.owner.inputs))


def disagreements(tree: xr.DataTree) -> tuple[str, ...]:
    """Name the parameters over which prior and likelihood disagree, with the numbers.

    The rule is of Kallioinen et al. (2023, doi:10.1007/s11222-023-10366-5), with a stricter bound: weighing the prior
    and weighing the likelihood a little more or less both change the posterior of a parameter (cumulative
    Jensen-Shannon distance for a doubling of the weight, at least `PRIOR_BOUND` and `LIKELIHOOD_BOUND`). A prior that
    informs where data are few does the first; only one that holds a posterior away from what the data say does both.
    Of 600 datasets drawn from a normal model with its prior (2 to 100 values) 4 were named.

    Parameters
    ----------
    tree
        Groups ``posterior``, ``prior``, ``log_prior`` (see `log_prior`) and ``log_likelihood``.

    Returns
    -------
    tuple of str
        One line, or none where nothing disagrees, or a group or a part of the likelihood is not there.
    """
    if not {"prior", "log_prior", "log_likelihood"} <= set(tree.children):
        return ()
    if PSEUDO in tree["log_likelihood"].attrs:
        return ()  # of a part of the likelihood
    names = [name for name in tree["log_prior"].dataset.data_vars if _is_small(tree["posterior"].dataset[name])]
    parts = {
        "posterior": tree["posterior"].to_dataset()[names],
        "log_prior": _total(tree["log_prior"].to_dataset()),
        "log_likelihood": _total(tree["log_likelihood"].to_dataset()),
    }
    if not names or not all(np.isfinite(array.values).all() for part in parts.values() for array in part.values()):
        return ()
    if any(_is_constant(array) for group in ("log_prior", "log_likelihood") for array in parts[group].values()):
        return ()  # of a uniform prior: weighing it changes nothing
    try:
        prior, likelihood = (_sensitivity(xr.DataTree.from_dict(parts), group) for group in ("prior", "likelihood"))
    except ValueError as error:
        if TIES not in str(error):
            raise
        return ("whether prior and likelihood disagree is not known: the density of one of them has too few values",)
    both = {
        label: (of_prior, likelihood[label])
        for label, of_prior in prior.items()
        if of_prior >= PRIOR_BOUND and likelihood[label] >= LIKELIHOOD_BOUND
    }
    if not both:
        return ()
    order = sorted(both, key=lambda label: -min(both[label]))
    more = f" and {len(order) - SHOWN} more" if len(order) > SHOWN else ""
    name, index = order[0]
    words = [_label(parts["posterior"], scalar) for scalar in order[:SHOWN]]
    drawn, before = _span(tree["posterior"].dataset[name], index), _span(tree["prior"].dataset[name], index)
    told = (
        f"prior and likelihood disagree over {', '.join(words)}{more}: 99 % of {words[0]} are {drawn} in the posterior "
        f"and {before} in the prior (sensitivity {both[order[0]][0]:.2g} and {both[order[0]][1]:.2g}); look at the "
        "priors and the units of the data"
    )
    return (told,)


def _is_constant(values: xr.DataArray) -> bool:
    return float(np.ptp(values.values)) <= ROUNDING * max(1.0, float(np.abs(values.values).max()))


def _is_small(draws: xr.DataArray) -> bool:
    return math.prod(draws.shape[2:]) <= MOST_SCALARS


def _total(terms: xr.Dataset) -> xr.Dataset:
    """Add up all terms of a draw."""
    summed = [_summed(array) for array in terms.values()]
    return xr.Dataset({"total": sum(summed[1:], start=summed[0])}) if summed else xr.Dataset()


def _summed(terms: xr.DataArray) -> xr.DataArray:
    others = [dim for dim in terms.dims if dim not in ("chain", "draw")]
    found = []
    for part in steps(terms.sizes["draw"], terms.nbytes / max(terms.sizes["draw"], 1)):
        found.append(terms.isel(draw=part).sum(others))
        let_go(terms.values)
    return found[0] if len(found) == 1 else xr.concat(found, "draw")


def _sensitivity(parts: xr.DataTree, group: str) -> dict[tuple[str, tuple[int, ...]], float]:
    """Power-scaling sensitivity of every scalar, by variable and index."""
    from arviz_stats import psense

    with warnings.catch_warnings():
        # weights without a good Pareto fit, and scalars that do not vary, which have no sensitivity
        warnings.simplefilter("ignore")
        found = psense(parts, group=group)
    return {
        (str(name), index): float(value)
        for name, array in found.data_vars.items()
        for index, value in _each(array.values)
    }


def _each(values: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
    return list(np.ndenumerate(np.asarray(values, dtype=float)))


def _label(draws: xr.Dataset, scalar: tuple[str, tuple[int, ...]]) -> str:
    name, index = scalar
    dims = draws[name].dims[2:]
    words = [str(draws[dim].values[place]) for dim, place in zip(dims, index, strict=True)]
    return f"{name}[{', '.join(words)}]" if words else name


def _span(draws: xr.DataArray, index: tuple[int, ...]) -> str:
    """Central 99 % of the draws of a scalar."""
    others = [dim for dim in draws.dims if dim not in ("chain", "draw")]
    low, high = np.quantile(draws.isel(dict(zip(others, index, strict=True))).values, [0.005, 0.995])
    return f"{low:.3g} to {high:.3g}"
