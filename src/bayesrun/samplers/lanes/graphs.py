"""What two models of one builder have in common: the form of their graphs, and the numbers in them.

A model is read as its *form* (ops, how they are joined, names, transforms, the code of custom densities) and its
*leaves* (constants, shared data, observed values). Models of equal form differ in their leaves only. It derives no
density and compiles nothing.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import sys
from dataclasses import dataclass, replace
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.custom import CustomDistRV, CustomSymbolicDistRV
from pymc.distributions.distribution import SymbolicRandomVariable, _support_point
from pymc.logprob.abstract import _logprob
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.op import Op
from pytensor.scalar.basic import Pow
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.type import TensorType

from bayesrun.base.source_code import is_library

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from pytensor.graph.basic import Apply

__all__ = ["Leaf", "Survey", "replace_leaves", "survey"]

DEEPEST = 24
"""How many objects inside one another are read when the code of a custom density is compared."""

WRITTEN = 6
"""Significant digits of the numbers that people write into a model: a prior's scale is 2.5, and one that was worked out
of the data is 2.4898273."""

MOST_ELEMENTS = 2**12
"""Elements of an array of real data that is an argument. Regressions with 4000 take no longer for it, those with 16000
twice as long: a larger one is a constant that all lanes read."""

UNREAD = ("__dict__", "__weakref__", "__doc__", "__slotnames__", "_abc_impl")
"""Attributes of a class that say nothing of what it does; some appear when it is first used."""

START: Final = ("start", "given")
"""What a form says of an initial value that is among the leaves."""

type Form = tuple[Hashable, ...]


@dataclass(frozen=True, eq=False)
class Leaf:
    """A number or an array that a model's graph starts from.

    Parameters
    ----------
    variable
        Where it is in the graph.
    value
        What it is.
    digest
        Hash of dtype, shape and bytes of the value.
    observed
        Whether observed values are made of it.
    lone
        Whether it is one number that was worked out and not written: it has more digits than people write
        (`WRITTEN`). Not so a power, which is a product while it is known.
    start
        Whether it is where chains begin, as the user set it, and nothing else.
    """

    variable: Variable
    value: np.ndarray
    digest: bytes
    observed: bool
    lone: bool = False
    start: bool = False

    @property
    def infinite(self) -> int:
        """The sign of a value that is infinite everywhere, else 0: PyMC chooses transforms and bounds by it."""
        return _infinite(self.value)

    @property
    def is_array(self) -> bool:
        """Whether it is one of those arrays that differ between real datasets, as covariates do."""
        return 1 < self.value.size <= MOST_ELEMENTS and not self.infinite


@dataclass(frozen=True, eq=False)
class Survey:
    """A model as its form and its leaves; models of equal form have the same leaves in the same order.

    `starts` are the initial values of its free variables; None: those that PyMC finds by itself.
    """

    model: pm.Model
    form: Form
    leaves: tuple[Leaf, ...]
    starts: tuple[Variable | None, ...] = ()


def survey(model: pm.Model) -> Survey:
    """Read the form and the leaves of a model.

    Integers that lengths and axes are made of belong to the form, because a compiled program has fixed shapes. So
    does whether a bound is infinite, because PyMC chooses the transform by it. Where chains begin are leaves: that
    changes no density. What is not understood belongs to the form too: then models that might be alike are taken to be
    different, never the other way round.

    Parameters
    ----------
    model
        Any PyMC model.

    Returns
    -------
    Survey
        Two of one builder can be compared: ``a.form == b.form``.
    """
    values = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    starts = [_given_start(rv, model.rvs_to_initial_values.get(rv)) for rv in model.free_RVs]
    given = [start for start in starts if start is not None]
    outputs = [*model.basic_RVs, *model.deterministics, *model.potentials, *values, *given]
    nodes = list(_in_order(outputs))
    starting = set(given) - {leaf for node in nodes for leaf in node.inputs}
    observed = {leaf for node in _in_order(values) for leaf in node.inputs} | set(values)
    sizes = {_size(node) for node in nodes}
    parameters = {variable for node in nodes for variable in _parameters(node)}
    powers = {_stem(node.inputs[1]) for node in nodes if _is_power(node)}
    numbers: dict[Variable, int] = {}
    form: list[Hashable] = []
    leaves: list[Leaf] = []

    def number(variable: Variable) -> int:
        if variable not in numbers:
            numbers[variable] = len(numbers)
            leaf = _leaf(variable, variable in observed, variable not in powers)
            number_of_model = leaf is not None and (_is_number(leaf) or variable in parameters | starting)
            if leaf is not None and number_of_model and variable not in sizes:
                leaves.append(replace(leaf, start=variable in starting))
                form.append((_shape(leaf), leaf.infinite))
            else:
                form.append(leaf.digest if leaf is not None else _other(variable))
        return numbers[variable]

    for node in nodes:
        inputs = tuple(number(variable) for variable in node.inputs)
        first = len(numbers)
        numbers.update({output: first + i for i, output in enumerate(node.outputs)})
        form.append((_op(node.op), inputs, first))
    form.append(tuple(number(variable) for variable in outputs))
    form.extend(_names(model, starts))
    return Survey(model, tuple(form), tuple(leaves), tuple(starts))


def replace_leaves(surveyed: Survey, replacements: dict[int, Variable]) -> None:
    """Put other variables in the place of some leaves of a model, for good.

    Parameters
    ----------
    surveyed
        The model is changed: only densities may be derived from it afterwards.
    replacements
        Index of a leaf to the variable of the same dtype and shape that takes its place.
    """
    model = surveyed.model
    new = {surveyed.leaves[index].variable: variable for index, variable in replacements.items()}
    values = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    given = [start for start in surveyed.starts if start is not None]
    for node in _in_order([*model.basic_RVs, *model.deterministics, *model.potentials, *values, *given]):
        for i, variable in enumerate(node.inputs):
            if variable in new:
                node.inputs[i] = new[variable]
    for rv, value in zip(model.observed_RVs, values, strict=True):
        if value in new:
            model.rvs_to_values[rv] = new[value]
            model.values_to_rvs[new[value]] = model.values_to_rvs.pop(value)
    for rv, start in zip(model.free_RVs, surveyed.starts, strict=False):
        if start in new:
            model.rvs_to_initial_values[rv] = new[start]


def _given_start(rv: Variable, value: Any) -> Variable | None:
    """Return an initial value of the user's as a variable; None for what is no number."""
    if value is None or isinstance(value, (str, Variable)):
        return value if isinstance(value, Variable) else None
    try:
        return pt.constant(np.array(value, dtype=rv.type.dtype))
    except (TypeError, ValueError):
        return None


def _in_order(outputs: list[Variable]) -> Iterator[Apply]:
    """Yield the nodes above some variables, inputs first, in an order that depends on the graph alone."""
    seen: set[Apply] = set()
    for output in outputs:
        waiting = [(output.owner, False)]
        while waiting:
            node, ready = waiting.pop()
            if node is None or (node in seen and not ready):
                continue
            if ready:
                yield node
                continue
            seen.add(node)
            waiting.append((node, True))
            waiting.extend((variable.owner, False) for variable in reversed(node.inputs))


def _size(node: Apply) -> Variable | None:
    """Return what says how many variables a distribution has."""
    if isinstance(node.op, RandomVariable):
        return node.op.size_param(node)
    if isinstance(node.op, SymbolicRandomVariable) and node.op.extended_signature is not None:
        return node.op.size_param(node)
    return None


def _parameters(node: Apply) -> list[Variable]:
    return list(node.op.dist_params(node)) if isinstance(node.op, RandomVariable) else []


def _is_power(node: Apply) -> bool:
    return isinstance(node.op, Elemwise) and isinstance(node.op.scalar_op, Pow)


def _stem(variable: Variable) -> Variable:
    """Return what a variable is that only got other axes."""
    while variable.owner is not None and isinstance(variable.owner.op, DimShuffle):
        (variable,) = variable.owner.inputs
    return variable


def _leaf(variable: Variable, observed: bool, free: bool = False) -> Leaf | None:
    """Return a constant or shared tensor as a leaf, lone if it is a free number; None for anything else."""
    if not isinstance(variable.type, TensorType) or variable.owner is not None:
        return None
    if isinstance(variable, Constant):
        value = np.asarray(variable.data)
    elif isinstance(variable, SharedVariable):
        value = np.asarray(variable.get_value(borrow=True))
    else:
        return None
    return Leaf(variable, value, _digest(value), observed, free and _worked_out(value))


def _worked_out(value: np.ndarray) -> bool:
    """Whether a value is one number with more digits than people write."""
    if value.size != 1 or value.dtype.kind != "f":
        return False
    number = value.item()
    return bool(np.isfinite(number)) and float(f"{number:.{WRITTEN}g}") != number


def _is_number(leaf: Leaf) -> bool:
    """Whether a leaf is a quantity of the model: a lone integer is rather a length or an axis, truths are a mask."""
    kind = leaf.value.dtype.kind
    return leaf.observed or kind == "f" or (kind in "iu" and leaf.value.size != 1)


def _shape(leaf: Leaf) -> Hashable:
    return (leaf.value.dtype.str, leaf.value.shape)


def _infinite(value: np.ndarray) -> int:
    """Return the sign of a value that is infinite everywhere, else 0."""
    if value.dtype.kind != "f" or not value.size or not np.isinf(value.flat[0]):
        return 0
    return int(np.sign(value.flat[0])) if (value == value.flat[0]).all() else 0


def _digest(value: np.ndarray) -> bytes:
    head = f"{value.dtype.str}{value.shape}".encode()
    body = repr(value.tolist()).encode() if value.dtype.hasobject else np.ascontiguousarray(value).tobytes()
    return hashlib.sha256(head + body).digest()


def _other(variable: Variable) -> Hashable:
    if isinstance(variable, Constant):
        return (variable.type, _described(variable.data))
    kind: Hashable = variable.type
    return kind


def _names(model: pm.Model, starts: Sequence[Variable | None]) -> Iterator[Hashable]:
    yield from (variable.name for variable in (*model.basic_RVs, *model.deterministics, *model.potentials))
    yield tuple(model.basic_RVs.index(rv) for rv in model.observed_RVs)
    yield from (_described(model.rvs_to_transforms[rv]) for rv in model.basic_RVs)
    own = (model.rvs_to_initial_values.get(rv) for rv in model.free_RVs)
    yield from (_described(one) if start is None else START for one, start in zip(own, starts, strict=True))


def _op(op: Op) -> Hashable:
    """Return an op itself, or what it does where PyMC makes a class of its own for every CustomDist."""
    if not isinstance(op, (CustomDistRV, CustomSymbolicDistRV)):
        same: Hashable = op
        return same
    code = tuple(_described(function.dispatch(type(op))) for function in (_logprob, _support_point))
    inner = (op.fgraph, op.extended_signature) if isinstance(op, CustomSymbolicDistRV) else (op.signature, op.dtype)
    return (type(op).__name__, inner, code)


class _Itself:
    """An object that is equal to itself alone. It is kept, so that no other one gets its address meanwhile."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


def _described(thing: Any) -> Hashable:
    """Return what a Python object consists of, in a form that can be compared."""
    return _read(thing, 0, {})


def _read(thing: Any, depth: int, seen: dict[int, Any]) -> Hashable:
    """Read one object, and those inside it but once."""
    if thing is None or isinstance(thing, (bool, int, float, complex, str, bytes)):
        return (type(thing).__name__, thing)
    if isinstance(thing, (np.ndarray, np.generic)):
        return _digest(np.asarray(thing))
    named = _named(thing)
    if named is not None:
        return named
    if isinstance(thing, Op):
        return _op(thing)
    if isinstance(thing, _Itself):
        return thing
    if id(thing) in seen:
        return ("again", list(seen).index(id(thing)))
    if depth > DEEPEST:
        return ("unread", _Itself(thing))
    seen[id(thing)] = thing  # kept, so that no other object gets its id meanwhile
    kind = _read(type(thing), depth + 1, seen)
    return (kind, *(_read(part, depth + 1, seen) for part in _parts(thing)))


def _named(thing: Any) -> Hashable | None:
    """Return what is known by its name, and is not read; None for anything else."""
    if isinstance(thing, ModuleType):
        return ("module", thing.__name__)
    if isinstance(thing, logging.Logger):
        return ("logger", thing.name)
    if isinstance(thing, pm.Model):
        return ("model", type(thing).__qualname__)
    return ("type", thing) if isinstance(thing, type) and _of_library(thing) else None


def _of_library(thing: type) -> bool:
    file = getattr(sys.modules.get(thing.__module__), "__file__", None)
    return thing.__module__ == "builtins" or (file is not None and is_library(file))


def _parts(thing: Any) -> tuple[Any, ...]:
    """Return what an object is made of; functions of their code and what that reads, classes of what they define."""
    parts: Callable[[Any], tuple[Any, ...]] = next((read for kind, read in PARTS if isinstance(thing, kind)), _state)
    return parts(thing)


def _closure(function: FunctionType) -> dict[str, Any]:
    found = dict(inspect.getclosurevars(function).nonlocals)
    if function.__module__ == CustomDistRV.__module__:
        found.pop("dist_params", None)  # PyMC's own wrapper asks only how many there are
    return found


def _globals(function: FunctionType) -> dict[str, Any]:
    """Return the globals that a user's function may read; those of libraries are the same for all datasets."""
    if is_library(function.__code__.co_filename):
        return {}
    names = sorted(set(_global_names(function.__code__)))
    return {name: function.__globals__[name] for name in names if name in function.__globals__}


def _global_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _global_names(part)


def _state(thing: Any) -> tuple[Any, ...]:
    """Return what pickle would write of an object; for one that it cannot write its attributes, or the object."""
    try:
        state = thing.__reduce_ex__(4)
    except Exception:  # noqa: BLE001 - an object of the user's may raise anything
        state = ""
    if isinstance(state, tuple):
        return (*state[:3], *(tuple(items) for items in state[3:5] if items is not None))
    return (vars(thing),) if hasattr(thing, "__dict__") else (_Itself(thing),)


def _variable_parts(variable: Variable) -> tuple[Any, ...]:
    if variable.owner is not None:
        node = variable.owner
        return (node.op, node.outputs.index(variable), node.inputs)
    leaf = _leaf(variable, False)
    if leaf is not None:
        return (leaf.digest,)
    return (str(variable.type), variable.data) if isinstance(variable, Constant) else (_Itself(variable),)


PARTS: Final[tuple[tuple[Any, Callable[[Any], tuple[Any, ...]]], ...]] = (
    ((tuple, list), tuple),
    (dict, lambda found: tuple(found.items())),
    (CodeType, lambda code: (code.co_code, code.co_names, code.co_consts, code.co_exceptiontable)),
    (FunctionType, lambda f: (f.__code__, f.__defaults__, f.__kwdefaults__, _closure(f), _globals(f))),
    (BuiltinFunctionType, lambda function: (function.__name__, function.__self__)),
    (MethodType, lambda method: (method.__func__, method.__self__)),
    (functools.partial, lambda bound: (bound.func, bound.args, bound.keywords)),
    (property, lambda found: (found.fget, found.fset)),
    ((staticmethod, classmethod), lambda method: (method.__func__,)),
    (Variable, _variable_parts),
    (type, lambda own: (own.__qualname__, own.__bases__, {k: v for k, v in vars(own).items() if k not in UNREAD})),
)
"""What objects of a kind are made of; the first that fits counts."""
