"""What a model's graph cannot show: Python functions inside of its ops, and builders that look at what they observe.

Where there is any, a fit is known by source text and parameters too; everywhere else by its graph alone.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import textwrap
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from pytensor.compile.ops import FromFunctionOp
from pytensor.graph.basic import Variable
from pytensor.graph.fg import AbstractFunctionGraph
from pytensor.graph.traversal import toposort
from pytensor.link.jax.ops import JAXOp

from bayesrun.base.imports import takes_data
from bayesrun.base.source_code import is_library
from bayesrun.planning.held_values import filled_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pytensor.graph.op import Op

__all__ = ["ops_with_code", "reads_values", "with_code"]

DEEPEST = 6
"""Levels of objects inside objects that are looked through; deeper ones are taken to hide code."""

PYTHON_CLASS = 1 << 9
"""Bit of a type's flags that says that it was made at run time (Py_TPFLAGS_HEAPTYPE); others are of compiled code."""

BLACK_BOXES = (FromFunctionOp, JAXOp)
"""Ops of which a graph shows nothing, whosever function they hold: of a library's it would not even show which."""

SHAPES = frozenset({"shape", "size", "dtype", "ndim"})
KEPT = frozenset({"coords", "dims", "name", "labels"})
"""Attributes of a dataset that are the same whatever values its arrays have."""

INSPECTING = frozenset({"locals", "vars", "eval", "exec", "globals"})
GIVING_BACK = frozenset({
    "rvs_to_values", "values_to_rvs", "get_value", "eval", "data", "find_MAP", "sample", "compile_logp", "compile_fn",
    "compile_dlogp", "point_logps",
})  # fmt: skip
"""Attributes by which a builder gets back from the model what it gave to be observed."""


def ops_with_code(outputs: Sequence[Variable]) -> list[str]:
    """Name the ops of a graph that hold Python code of the user's, which the graph does not show.

    Parameters
    ----------
    outputs
        Of the graph.

    Returns
    -------
    list of str
        Sorted. Black boxes (``wrap_py``, ``wrap_jax``, classes of one's own) and ``random`` of a CustomDist are such;
        its ``logp`` and ``dist`` are not, since they are part of the graph.
    """
    return sorted({_name(op) for op in with_code(outputs)})


def with_code(outputs: Sequence[Variable]) -> list[Op]:
    """Return the ops that `ops_with_code` names, in the order of the graph."""
    return [node.op for node in toposort(outputs) if _hides(node.op, 0, set())]


def _name(op: Op) -> str:
    own = getattr(op, "name", None) or getattr(getattr(op, "fn", None), "__name__", None)
    return f"{type(op).__name__}({own})" if isinstance(own, str) and own != type(op).__name__ else type(op).__name__


def _hides(thing: Any, depth: int, seen: set[int]) -> bool:
    """Whether an object is, or holds, Python code that is of no library."""
    if thing is None or isinstance(thing, (bool, int, float, complex, str, bytes, ModuleType, BuiltinFunctionType)):
        return False
    if id(thing) in seen or isinstance(thing, Variable):
        return False
    if depth > DEEPEST:
        return True
    seen.add(id(thing))
    return (
        isinstance(thing, BLACK_BOXES) or any(_hides(part, depth + 1, seen) for part in _inside(thing)) or _own(thing)
    )


def _own(thing: Any) -> bool:
    """Whether an object is itself the user's: a function of a file that is no library's, or of such a class."""
    if isinstance(thing, FunctionType):
        return not is_library(thing.__code__.co_filename)
    kind = thing if isinstance(thing, type) else type(thing)
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return kind.__module__ == "__main__" or (file is not None and not is_library(file))


def _inside(thing: Any) -> Iterator[Any]:
    """Yield what an object is made of, as far as code could be in it."""
    if isinstance(thing, FunctionType):
        yield from filled_cells(thing)
        yield from thing.__defaults__ or ()
    elif isinstance(thing, MethodType):
        yield from (thing.__func__, thing.__self__)
    elif isinstance(thing, functools.partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif isinstance(thing, (classmethod, staticmethod)):
        yield thing.__func__
    elif isinstance(thing, (tuple, list, set, frozenset)):
        yield from thing
    elif isinstance(thing, dict):
        yield from thing.values()
    elif isinstance(thing, AbstractFunctionGraph):
        yield from (node.op for node in toposort(thing.outputs))
    elif isinstance(thing, type):
        known = getattr(sys.modules.get(thing.__module__), thing.__qualname__, None) is thing
        if not known and thing.__flags__ & PYTHON_CLASS:
            yield from vars(thing).values()  # made while the model was built, and so by what the user gave
    else:
        yield from (type(thing), *getattr(thing, "__dict__", {}).values())
        yield getattr(thing, "__wrapped__", None)


def reads_values(builder: Callable[..., Any], names: Collection[str]) -> bool:
    """Whether a builder may look at the values of arrays that differ between simulated datasets.

    One that hands them to ``observed=`` of PyMC's distributions, and asks for no more than their length and shape,
    builds the same graph of every dataset, with other observed values. That is read from its text.

    Parameters
    ----------
    builder
        ``build(data, **params)``.
    names
        Of the arrays.

    Returns
    -------
    bool
        True wherever it is not certain.
    """
    if not takes_data(builder):
        return False
    if not isinstance(builder, FunctionType) or hasattr(builder, "__wrapped__"):
        return True
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(builder)))
    except (OSError, TypeError, SyntaxError):
        return True
    function = tree.body[0] if tree.body else None
    if not isinstance(function, ast.FunctionDef) or function.decorator_list:
        return True
    arguments = [*function.args.posonlyargs, *function.args.args]
    if not arguments:
        return True
    return not _Reader(builder, arguments[0].arg, frozenset(names)).harmless(function)


def _gives_back(node: ast.AST) -> bool:
    """Whether values may leave a builder or come back to it: by a global, or from the model."""
    return isinstance(node, ast.Global | ast.Nonlocal) or (isinstance(node, ast.Attribute) and node.attr in GIVING_BACK)


class _Reader:
    """Follows the dataset through the text of a builder."""

    def __init__(self, builder: FunctionType, data: str, names: frozenset[str]) -> None:
        self.builder, self.data, self.names = builder, data, names
        self.above: dict[ast.AST, ast.AST] = {}
        self.bound: set[str] = set()

    def harmless(self, function: ast.FunctionDef) -> bool:
        """Whether every use of the dataset is one that no value matters to."""
        self.above = {child: node for node in ast.walk(function) for child in ast.iter_child_nodes(node)}
        loads = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        stored = [node.id for node in loads if not isinstance(node.ctx, ast.Load)]
        self.bound = {*stored, *(node.arg for node in ast.walk(function) if isinstance(node, ast.arg))}
        if any(node.id in INSPECTING for node in loads) or any(map(_gives_back, ast.walk(function))):
            return False
        if any(node.id == self.data and not isinstance(node.ctx, ast.Load) for node in loads):
            return False
        return all(self._dataset(node, function) for node in loads if node.id == self.data)

    def _dataset(self, node: ast.Name, function: ast.FunctionDef) -> bool:
        above = self.above[node]
        if isinstance(above, ast.Attribute):
            return above.attr in KEPT
        if isinstance(above, ast.Subscript) and above.value is node and isinstance(above.slice, ast.Constant):
            return above.slice.value not in self.names or self._array(above, function)
        if isinstance(above, ast.Compare):
            return all(isinstance(op, ast.In | ast.NotIn) for op in above.ops)
        return isinstance(above, ast.Call) and self._labels(above)

    def _labels(self, call: ast.Call) -> bool:
        """Whether a call is of the shipped helper that takes labels only."""
        from bayesrun.models.inputs import obs_labels

        return isinstance(call.func, ast.Name) and self.builder.__globals__.get(call.func.id) is obs_labels

    def _array(self, node: ast.expr, function: ast.FunctionDef) -> bool:
        """Whether one use of an array's values is to be observed, or to be measured."""
        above = self.above[node]
        if isinstance(above, ast.Attribute):
            return above.attr in SHAPES
        if isinstance(above, ast.keyword):
            call = self.above[above]
            return above.arg == "observed" and isinstance(call, ast.Call) and self._pymc(call.func)
        if isinstance(above, ast.Call):
            return isinstance(above.func, ast.Name) and above.func.id == "len" and above.args == [node]
        if isinstance(above, ast.Assign) and len(above.targets) == 1 and isinstance(above.targets[0], ast.Name):
            name = above.targets[0].id
            uses = [one for one in ast.walk(function) if isinstance(one, ast.Name) and one.id == name]
            stored = [one for one in uses if not isinstance(one.ctx, ast.Load)]
            return len(stored) == 1 and all(self._array(one, function) for one in uses if one not in stored)
        return False

    def _pymc(self, called: ast.expr) -> bool:
        """Whether what is called is a name of PyMC's, as ``pm.Normal``."""
        parts: list[str] = []
        while isinstance(called, ast.Attribute):
            parts.append(called.attr)
            called = called.value
        if not isinstance(called, ast.Name) or called.id in self.bound:
            return False
        found = self.builder.__globals__.get(called.id)
        module = found.__name__ if isinstance(found, ModuleType) else getattr(found, "__module__", "") or ""
        return module.split(".")[0] == "pymc"
