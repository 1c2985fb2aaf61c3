"""Why data cannot be simulated honestly from a model: what its graph shows, and what it takes from its own data.

Reasons are sentences for people, each with the name of the variable. It draws nothing.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pymc.data import MinibatchOp
from pymc.distributions.custom import CustomDistRV
from pymc.distributions.distribution import PartialObservedRV
from pymc.variational.minibatch_rv import MinibatchRandomVariable
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.type import RandomType
from pytensor.tensor.shape import Shape, Shape_i

from bayesrun.simulate.programs import evaluated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pymc as pm

__all__ = ["from_data", "imputed", "in_graph", "undrawable"]

IMPROPER: Final = {"FlatRV": "Flat", "HalfFlatRV": "HalfFlat", "ICARRV": "ICAR"}
"""Distributions that do not integrate to 1, by the class of their op."""

MINIBATCH: Final = "is observed in minibatches, which stand for data that are not there; observe all rows"


def in_graph(model: pm.Model, given: Sequence[str]) -> list[str]:
    """Say what in a model's graph forbids to simulate from it.

    Parameters
    ----------
    model
        Any PyMC model.
    given
        Free variables whose values are not drawn.

    Returns
    -------
    list of str
        One reason for each variable that cannot be drawn.
    """
    reasons = [
        f"the Potential {potential.name} changes the density, and drawing forward would leave it out; write it as a "
        "prior or a likelihood (a CustomDist with logp and random), or have another model draw: study.generator=MODEL"
        for potential in model.potentials
    ]
    drawn = [rv for rv in model.basic_RVs if rv.name not in given]
    for rv in drawn:
        reasons += [f"{rv.name} {text}" for text in dict.fromkeys(_undrawable(rv, model))]
    reasons += [
        f"{whole} is partly missing, and PyMC does not part its distribution into the missing and the observed values, "
        "so that one cannot be drawn after the other; leave those rows out: data.drop_missing=true"
        for whole in imputed(model)
        if isinstance(model[f"{whole}_observed"].owner.op, PartialObservedRV)
    ]
    return reasons


def imputed(model: pm.Model) -> list[str]:
    """Name the observed variables of which PyMC draws the missing values, as ``NAME_unobserved``."""
    names = {str(rv.name) for rv in model.observed_RVs}
    found = [str(rv.name).removesuffix("_unobserved") for rv in model.free_RVs if str(rv.name).endswith("_unobserved")]
    return [name for name in found if f"{name}_observed" in names]


def undrawable(model: pm.Model, *, given_free: bool) -> list[str]:
    """Say why predictive draws of a model cannot be made, by what its graph shows.

    Parameters
    ----------
    model
        Any PyMC model.
    given_free
        Whether the free variables are given, as in posterior predictive draws.

    Returns
    -------
    list of str
        Each reason with the variables that it is about.
    """
    reasons: dict[str, list[str]] = {}
    for rv in model.observed_RVs if given_free else model.basic_RVs:
        for text in dict.fromkeys(_undrawable(rv, model)):
            if text != MINIBATCH:
                reasons.setdefault(text.partition("; ")[0], []).append(str(rv.name))
    return [
        f"{names[0]} {text}" if len(names) == 1 else f"{', '.join(names)}: each {text}"
        for text, names in reasons.items()
    ]


def _undrawable(rv: Variable, model: pm.Model) -> Iterator[str]:
    stop = [other for other in model.basic_RVs if other is not rv]
    for variable in ancestors([rv], blockers=stop):
        op = variable.owner.op if variable.owner is not None and variable not in stop else None
        if type(op).__name__ in IMPROPER:
            name = IMPROPER[type(op).__name__]
            yield f"has the improper prior {name}, from which nothing can be drawn; give it a proper one, or fix it"
        elif isinstance(op, CustomDistRV) and "default_not_implemented" in getattr(op._random_fn, "__qualname__", ""):
            yield "is a CustomDist without a way to draw; give it dist=FUNCTION or random=FUNCTION"
        elif isinstance(op, MinibatchRandomVariable):
            yield MINIBATCH
    if any(v.owner is not None and isinstance(v.owner.op, MinibatchOp) for v in ancestors([model.rvs_to_values[rv]])):
        yield MINIBATCH


def from_data(first: pm.Model, second: pm.Model) -> list[str]:
    """Name the variables that two models of one builder give other constants.

    Parameters
    ----------
    first, second
        Built on datasets that differ in the observed arrays only, so that what differs is made from them.

    Returns
    -------
    list of str
        Names of the free and observed variables and the Deterministics whose own graph, down to other random
        variables, differs. All of them where the models have other variables.
    """
    named = [*first.basic_RVs, *first.deterministics]
    others = {str(v.name): v for v in (*second.basic_RVs, *second.deterministics)}
    if [str(v.name) for v in named] != list(others):
        return [str(v.name) for v in named]
    pairs = {rv: others[str(rv.name)] for rv in first.basic_RVs}
    return [
        str(v.name) for v in named if not _alike(v, others[str(v.name)], {a: b for a, b in pairs.items() if a is not v})
    ]


def _alike(first: Variable, second: Variable, pairs: dict[Variable, Variable]) -> bool:
    """Compare what two variables are made of, down to the variables that stand for each other in `pairs`."""
    waiting = [(first, second)]
    seen: set[tuple[Variable, Variable]] = set()
    while waiting:
        a, b = waiting.pop()
        if (a, b) in seen:
            continue
        seen.add((a, b))
        if a in pairs:
            if pairs[a] is not b:
                return False
        elif a.owner is None or b.owner is None:
            if not _leaves_alike(a, b):
                return False
        else:
            x, y = a.owner, b.owner
            if isinstance(x.op, (Shape, Shape_i)) and _evaluated_alike(a, b):
                continue
            places = (x.outputs.index(a), len(x.inputs)), (y.outputs.index(b), len(y.inputs))
            if places[0] != places[1] or not _ops_alike(x.op, y.op):
                return False
            waiting.extend(zip(x.inputs, y.inputs, strict=True))
    return True


def _evaluated_alike(a: Variable, b: Variable) -> bool:
    """Whether two lengths are equal: those of mutable data hang on the data themselves."""
    if any(isinstance(v.type, RandomType) for v in ancestors([a, b])):
        return False
    return all(np.array_equal(x, y) for x, y in zip(evaluated([a]), evaluated([b]), strict=True))


def _ops_alike(a: Any, b: Any) -> bool:
    """Whether two ops do the same; PyMC makes a class of its own for every CustomDist, so those never are equal."""
    if a == b:
        return True
    inner, other = getattr(a, "fgraph", None), getattr(b, "fgraph", None)
    if inner is None or other is None:
        same_class = type(a).__name__ == type(b).__name__ and isinstance(a, CustomDistRV)
        return same_class and _functions_alike(a._random_fn, b._random_fn)
    sizes = [
        (type(op).__name__, getattr(op, "info", None), len(g.inputs), len(g.outputs))
        for op, g in ((a, inner), (b, other))
    ]
    if sizes[0] != sizes[1]:
        return False
    pairs = dict(zip(inner.inputs, other.inputs, strict=True))
    return all(_alike(x, y, pairs) for x, y in zip(inner.outputs, other.outputs, strict=True))


def _functions_alike(a: Callable[..., Any], b: Callable[..., Any]) -> bool:
    """Whether two functions have the same code and the same values in their closures."""
    if isinstance(a, functools.partial) and isinstance(b, functools.partial):
        bound = [(f.args, tuple(f.keywords.items())) for f in (a, b)]
        return _functions_alike(a.func, b.func) and _same_parts(*bound)
    code, other = getattr(a, "__code__", None), getattr(b, "__code__", None)
    if code is None or other is None:
        return a is b
    cells = [tuple(cell.cell_contents for cell in (f.__closure__ or ())) for f in (a, b)]
    return bool(code.co_code == other.co_code) and _same_parts(*cells)


def _same_parts(a: Any, b: Any) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_same_parts(x, y) for x, y in zip(a, b, strict=True))
    return (callable(a) and callable(b)) or _same(a, b)


def _leaves_alike(a: Variable, b: Variable) -> bool:
    if isinstance(a.type, RandomType) and isinstance(b.type, RandomType):
        return True
    if isinstance(a, Constant) and isinstance(b, Constant):
        return _same(a.data, b.data)
    if isinstance(a, SharedVariable) and isinstance(b, SharedVariable):
        return _same(a.get_value(borrow=True), b.get_value(borrow=True))
    return a is b


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, (np.ndarray, np.generic)) and isinstance(b, (np.ndarray, np.generic)):
        x, y = np.asarray(a), np.asarray(b)
        return x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
    return bool(a == b)
