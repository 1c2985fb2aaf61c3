"""Values of free variables that a study gives: are they variables of the model, of its shapes, in their support.

It draws nothing from the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor
import xarray as xr
from pymc.distributions.transforms import _default_transform
from pytensor.compile.mode import Mode
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors

from bayesrun.base.alignment import drawn, entries, match, model_layouts, posterior_layouts
from bayesrun.base.messages import few
from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import ConfigError
from bayesrun.simulate.programs import MODE, log_density, plain
from bayesrun.simulate.truth import NODE, Truth, posterior_draws
from bayesrun.statistics.measures.expressions import comparable, element_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pymc as pm
    from pytensor.graph.basic import Variable

__all__ = ["fixed_values", "given_names", "posterior_values", "restricted", "shapes", "unreachable"]

MOST_NAMED = 8
SHAPES = Mode(linker="py", optimizer="fast_run")
"""With the rewrites that find a shape without drawing the variable."""


def given_names(truth: Truth, model: pm.Model) -> list[str]:
    """Names of the free variables that are not drawn from the prior.

    Raises
    ------
    ConfigError
        If a name is not one of a free variable, or a fixed variable stands on one that is left to the prior.
    """
    free = [str(rv.name) for rv in model.free_RVs]
    if truth.kind == "posterior":
        return free
    given = _of_variables(truth, model)
    problems = [_unknown(name, free, model) for name in given if name not in free]
    if not problems:
        problems = list(_with_loose_parents(given, model))
    if problems:
        raise ConfigError("\n".join(problems))
    return [name for name in free if name in given]


def _of_variables(truth: Truth, model: pm.Model) -> dict[str, Any]:
    """Put values that are given for elements, ``beta[x1]``, into the order of their variable.

    Raises
    ------
    ConfigError
        If a variable has no such element, or some of its elements have no value.
    """
    free = {comparable(str(rv.name)): rv for rv in model.free_RVs}
    found: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for key, value in truth.values.items():
        wanted = comparable(key)
        if wanted in free:
            found[str(free[wanted].name)] = value
            continue
        owner = max((name for name in free if element_of(wanted, name) is not None), key=len, default=None)
        if owner is None:
            found[key] = value
        else:
            parts.setdefault(owner, {})[key] = value
    problems = []
    for owner, of_elements in parts.items():
        name = str(free[owner].name)
        (shape,) = shapes([free[owner]])
        labels = [
            f"{name}[{', '.join(where)}]" if where else name for where in entries(model_layouts(model)[name], shape)
        ]
        reason = _not_all(name, labels, of_elements, whole=name in found)
        if reason:
            problems.append(reason)
        else:
            values = {comparable(label): value for label, value in of_elements.items()}
            found[name] = np.reshape([values[comparable(label)] for label in labels], shape).tolist()
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def _not_all(name: str, labels: Sequence[str], given: Mapping[str, Any], *, whole: bool) -> str:
    """Say why values of elements are not those of a variable; empty where they are."""
    if whole:
        return f"{NODE}.{name}: got values for {name} and for {', '.join(given)}; wanted one of them"
    known = {comparable(label): label for label in labels}
    if strange := [label for label in given if comparable(label) not in known]:
        hint = did_you_mean(strange[0], labels)
        return f"{NODE}.{strange[0]}: {name} has no such element; {hint}it has {few(labels, MOST_NAMED)}"
    if lists := [label for label, value in given.items() if isinstance(value, list)]:
        return f"{NODE}.{lists[0]}: got {given[lists[0]]!r}; wanted one number"
    have = set(map(comparable, given))
    if lacking := [label for label in labels if comparable(label) not in have]:
        return (
            f"{NODE}.{name}: no value for {few(lacking, MOST_NAMED)}; wanted one for each element of a variable, since "
            "the others cannot be drawn from the prior by themselves"
        )
    return ""


def _unknown(name: str, free: list[str], model: pm.Model) -> str:
    if name in (str(rv.name) for rv in model.observed_RVs):
        return f"{NODE}.{name}: {name} is observed, so it is drawn; wanted free variables: {', '.join(free)}"
    for derived in model.deterministics:
        if derived.name == name:
            parents = _free_ancestors(derived, model)
            return f"{NODE}.{name}: {name} is worked out from {', '.join(parents)}; give values for these"
    hint = did_you_mean(name, free, f"{NODE}.")
    return f"{NODE}.{name}: the generating model has no free variable {name!r}; {hint}it has {', '.join(free)}"


def _free_ancestors(variable: Variable, model: pm.Model) -> list[str]:
    """Names of the free variables that a variable is directly made from."""
    free = [rv for rv in model.free_RVs if rv is not variable]
    above = set(ancestors([variable], blockers=free))
    return [str(rv.name) for rv in free if rv in above]


def _with_loose_parents(names: Iterable[str], model: pm.Model) -> Iterable[str]:
    """Find fixed variables whose parents would be drawn without regard to them."""
    for name in names:
        loose = [parent for parent in _free_ancestors(model[name], model) if parent not in names]
        if loose:
            yield (
                f"{NODE}.{name}: the prior of {name} depends on {', '.join(loose)}, which would be drawn from the "
                f"prior as if {name} were not known; fix {', '.join(loose)} too, or leave {name} to the prior"
            )


def fixed_values(truth: Truth, model: pm.Model) -> dict[str, np.ndarray]:
    """Bring fixed values into the form of their variables.

    Parameters
    ----------
    truth
        Of kind ``fixed``, with names that `given_names` accepted.
    model
        The generating model.

    Returns
    -------
    dict
        Name to values in the natural (constrained) shape and dtype of the variable. A single number stands for every
        entry of a variable with dims.

    Raises
    ------
    ConfigError
        If a value has another shape, is not a whole number where the variable is one, or lies outside the support.
    """
    by_name = _of_variables(truth, model)
    fixed = [rv for rv in model.free_RVs if rv.name in by_name]
    values, problems = {}, []
    for rv, shape in zip(fixed, shapes(fixed), strict=True):
        name = str(rv.name)
        given = np.asarray(by_name[name], dtype=np.float64)
        if given.shape not in ((), shape):
            problems.append(
                f"{NODE}.{name}: got {_size(given.shape)}; {_wanted(name, shape, model)}, or one number for all"
            )
        elif np.issubdtype(rv.dtype, np.integer) and (given != np.round(given)).any():
            problems.append(f"{NODE}.{name}: got {by_name[name]!r}; wanted whole numbers")
        else:
            values[name] = np.broadcast_to(given, shape).astype(rv.dtype)
    if problems:
        raise ConfigError("\n".join(problems))
    outside = _without_density(fixed, values)
    outside |= dict.fromkeys(name for name in unreachable(model, fixed, [values]) if name not in outside)
    if outside:
        raise ConfigError(
            "\n".join(
                f"{NODE}.{name}: got {by_name[name]!r}, which lies outside of the support of its prior"
                for name in outside
            )
        )
    return values


def shapes(variables: Sequence[Variable]) -> list[tuple[int, ...]]:
    """Work out the shapes of variables of a model, without drawing them."""
    if not variables:
        return []
    with plain():
        function = pytensor.function([], [rv.shape for rv in variables], mode=SHAPES, on_unused_input="ignore")
        return [tuple(int(length) for length in shape) for shape in function()]


def _size(shape: tuple[int, ...]) -> str:
    return f"{' x '.join(map(str, shape))} values" if shape else "one value"


def _wanted(name: str, shape: tuple[int, ...], model: pm.Model) -> str:
    dims = [str(dim) for dim in model.named_vars_to_dims.get(name, ()) if dim]
    return f"wanted {_size(shape)}{f' (dims {", ".join(dims)})' if dims else ''}"


def _without_density(fixed: Sequence[Variable], values: Mapping[str, np.ndarray]) -> dict[str, None]:
    """Find values of no density, each given its parents, which are fixed too."""
    found: dict[str, None] = {}
    for rv in fixed:
        with plain():
            inputs = {other: other.type() for other in fixed}
            try:
                graph = log_density(rv, inputs)
            except NotImplementedError:  # it can only be drawn
                continue
            function = pytensor.function(list(inputs.values()), graph, mode=MODE, on_unused_input="ignore")
            try:
                density = function(*(values[str(other.name)] for other in fixed))
            except (AssertionError, ValueError):  # PyMC's own check of the parameters
                density = np.float64(np.nan)
        if not np.all(np.isfinite(density)):
            found[str(rv.name)] = None
    return found


def restricted(model: pm.Model) -> list[Variable]:
    """Return the free variables that have another transform than the one of their distribution."""
    found = []
    for rv in model.free_RVs:
        transform = model.rvs_to_transforms[rv]
        usual = _default_transform(rv.owner.op, rv)
        if transform is not None and type(transform) is not type(usual):
            found.append(rv)
    return found


def unreachable(
    model: pm.Model, variables: Sequence[Variable], points: Sequence[Mapping[str, np.ndarray]]
) -> list[str]:
    """Find variables that a fit cannot bring to their values: the way to the unconstrained space and back changes them.

    Parameters
    ----------
    model
        The generating model.
    variables
        Free variables to be looked at.
    points
        Values of these and of all that they depend on.

    Returns
    -------
    list of str
        Names of variables, such as those with an ordered transform and unordered values.
    """
    back = {}
    for rv in variables:
        transform = model.rvs_to_transforms[rv]
        if transform is not None:
            back[str(rv.name)] = transform.backward(transform.forward(rv, *rv.owner.inputs), *rv.owner.inputs)
    if not back or not points:
        return []
    inputs = {rv: rv.type() for rv in model.free_RVs if rv.name in points[0]}
    found: dict[str, None] = {}
    with plain(), np.errstate(all="ignore"):
        graphs = clone_replace(list(back.values()), inputs)
        function = pytensor.function(list(inputs.values()), graphs, mode=MODE, on_unused_input="ignore")
        for values in points:
            around = function(*(values[str(rv.name)] for rv in inputs))
            found |= dict.fromkeys(
                name for name, value in zip(back, around, strict=True) if _moved(values[name], value)
            )
    return list(found)


def _moved(value: np.ndarray, around: np.ndarray) -> bool:
    return bool(np.isfinite(value).all() and not np.allclose(around, value, rtol=1e-5, atol=1e-8))


def posterior_values(truth: Truth, model: pm.Model) -> dict[str, np.ndarray]:
    """Read the draws of an earlier fit, each entry that of its own dims and labels.

    Returns
    -------
    dict
        Dims (draw, ...) for each free variable, in the layout of the model.

    Raises
    ------
    ConfigError
        If the file lacks a variable, has it in another shape, or with other dims or labels.
    """
    draws = posterior_draws(str(truth.path), [str(rv.name) for rv in model.free_RVs])
    stored = posterior_layouts(xr.Dataset(draws))
    layouts, values, problems = model_layouts(model), {}, []
    for rv, shape in zip(model.free_RVs, shapes(model.free_RVs), strict=True):
        name = str(rv.name)
        found = draws[name].to_numpy()
        if sorted(found.shape[1:]) != sorted(shape):
            problems.append(
                f"{NODE}.posterior: {name} has {_size(found.shape[1:])} in {truth.path}; "
                f"{_wanted(name, shape, model)}: the model has other data than the fit"
            )
            continue
        matched = match(found, drawn(stored[name]), drawn(layouts[name]), (len(found), *shape))
        if why := matched.refused or matched.lacking:
            problems.append(
                f"{NODE}.posterior: {name} of {truth.path} has {why}, as in the model; draws belong to their own dims "
                "and labels: use the posterior of a model with the same ones (coords)"
            )
        else:
            values[name] = np.asarray(matched.values)
    if problems:
        raise ConfigError("\n".join(problems))
    return values
