"""Whether two models of one builder are made of the same, so that what differs is told to be made from their data.

It compares graphs, ops and the Python functions that ops hold; it draws nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, Final

import numpy as np
import pymc as pm
from pymc.distributions.custom import CustomDistRV
from pymc.logprob.abstract import _logprob
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Apply, Constant, Variable
from pytensor.graph.op import Op
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.type import RandomType
from pytensor.tensor.shape import Shape, Shape_i

from bayesrun.simulate.programs import evaluated

__all__ = ["from_data"]

WHOLE: Final = (np.ndarray, np.generic, CodeType, pm.Model)
EMPTY: Final = "empty"
"""Stands for the content of a closure's cell that was not filled yet."""

type Pairs = Mapping[Variable, Variable]
"""Variables of the first model to those of the second one that stand for them."""


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


def _alike(first: Variable, second: Variable, pairs: Pairs) -> bool:
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
            if places[0] != places[1] or not _ops_alike(x.op, y.op, pairs):
                return False
            waiting.extend(zip(x.inputs, y.inputs, strict=True))
    return True


def _evaluated_alike(a: Variable, b: Variable) -> bool:
    """Whether two lengths are equal: those of mutable data hang on the data themselves."""
    for v in ancestors([a, b]):
        # the inside of a loop has inputs, and nodes that cannot be cloned
        given = v.owner is None and not isinstance(v, (Constant, SharedVariable))
        if given or isinstance(v.type, RandomType) or (v.owner is not None and type(v.owner) is not Apply):
            return False
    return all(np.array_equal(x, y) for x, y in zip(evaluated([a]), evaluated([b]), strict=True))


def _ops_alike(a: Any, b: Any, pairs: Pairs) -> bool:
    """Whether two ops do the same: each build may make them anew, and those of user code have no equality."""
    if a == b:
        return True
    inner, other = getattr(a, "fgraph", None), getattr(b, "fgraph", None)
    if inner is None or other is None:
        # the density of a CustomDist stands in no attribute of it
        densities = [_logprob.dispatch(type(op)) if isinstance(op, CustomDistRV) else None for op in (a, b)]
        return _same_parts(densities[0], densities[1], pairs) and _same_parts(a, b, pairs)
    sizes = [
        (type(op).__name__, getattr(op, "info", None), len(g.inputs), len(g.outputs))
        for op, g in ((a, inner), (b, other))
    ]
    if sizes[0] != sizes[1]:
        return False
    within = dict(zip(inner.inputs, other.inputs, strict=True))
    return all(_alike(x, y, within) for x, y in zip(inner.outputs, other.outputs, strict=True))


def _leaves_alike(a: Variable, b: Variable) -> bool:
    if isinstance(a.type, RandomType) and isinstance(b.type, RandomType):
        return True
    if isinstance(a, Constant) and isinstance(b, Constant):
        return _same(a.data, b.data)
    if isinstance(a, SharedVariable) and isinstance(b, SharedVariable):
        return _same(a.get_value(borrow=True), b.get_value(borrow=True))
    return a is b


def _same_parts(first: Any, second: Any, pairs: Pairs) -> bool:
    """Whether two objects of Python are made of the same: functions by code, defaults and closures; others by parts."""
    waiting = [(first, second)]
    seen: dict[tuple[int, int], tuple[Any, Any]] = {}
    while waiting:
        a, b = waiting.pop()
        if a is b or (id(a), id(b)) in seen:
            continue
        seen[id(a), id(b)] = a, b  # kept, so that no other object gets their ids
        if isinstance(a, Variable) and isinstance(b, Variable):
            if not _alike(a, b, pairs):
                return False
            continue
        parts = _parts(a), _parts(b)
        if parts[0] is None or parts[1] is None:
            if not _same(a, b) and not (type(a) is type(b) and callable(a)):
                return False
        elif parts[0].keys() != parts[1].keys():
            return False
        else:
            waiting.extend((parts[0][key], parts[1][key]) for key in parts[0])
    return True


def _parts(value: Any) -> Mapping[Any, Any] | None:
    """Take an object apart; None where it is compared as a whole."""
    for kind, taken in APART.items():
        if isinstance(value, kind):
            return taken(value)
    if isinstance(value, WHOLE) or not hasattr(value, "__dict__"):
        return None
    if "__eq__" in _defined_by(type(value)) and not isinstance(value, Op) and not callable(value):
        return None
    return {"class": type(value), "wraps": getattr(value, "__wrapped__", None), **vars(value)}


def _defined_by(kind: type) -> set[str]:
    return {name for one in kind.__mro__ if one is not object for name in vars(one)}


def _of_function(value: FunctionType) -> Mapping[Any, Any]:
    return {
        "code": value.__code__,
        "defaults": value.__defaults__,
        "keywords": value.__kwdefaults__,
        "closure": tuple(_content(cell) for cell in value.__closure__ or ()),
    }


def _of_class(value: type) -> Mapping[Any, Any]:
    """Take apart a class that a builder may have made anew, without what Python itself writes into it."""
    own = {key: part for key, part in vars(value).items() if not (key.startswith("__") and key.endswith("__"))}
    own.pop("_abc_impl", None)
    return {"name": f"{value.__module__}.{value.__qualname__}", "bases": value.__bases__, **own}


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return EMPTY


APART: Final[Mapping[Any, Callable[[Any], Mapping[Any, Any]]]] = {
    FunctionType: _of_function,
    type: _of_class,
    functools.partial: lambda value: {"func": value.func, "args": value.args, "keywords": value.keywords},
    MethodType: lambda value: {"func": value.__func__, "self": value.__self__},
    (staticmethod, classmethod): lambda value: {"func": value.__func__},
    property: lambda value: {"get": value.fget},
    (tuple, list): lambda value: dict(enumerate(value)),
    Mapping: dict,
}
"""What is compared by its parts, and how it is taken apart."""


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, pm.Model) and isinstance(b, pm.Model):
        return True  # their variables are compared by themselves
    if isinstance(a, (np.ndarray, np.generic)) and isinstance(b, (np.ndarray, np.generic)):
        x, y = np.asarray(a), np.asarray(b)
        return x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
    try:
        return bool(a == b)
    except (TypeError, ValueError):  # of what compares elementwise, such as a table
        return False
