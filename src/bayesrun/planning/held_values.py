"""Values inside of ops that hold Python code, as text: arrays, numbers and functions that no graph and no source shows.

A table that a builder reads from a file and hands to a function inside of an op is known only by what the op holds.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.fg import AbstractFunctionGraph

from bayesrun.base.source_code import is_library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["filled_cells", "held_values"]

DEEPEST = 12
"""Levels of objects inside objects that are looked through."""

PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), range, slice, np.dtype)


def held_values(ops: Iterable[Any]) -> str:
    """Digest of all values that objects hold.

    Parameters
    ----------
    ops
        Of which.

    Returns
    -------
    str
        Of arrays and numbers in closures, defaults, partial arguments, attributes, and in globals that a function of
        the user's names; of functions and classes their names count. The same in every process.
    """
    text = hashlib.sha256()
    for op in ops:
        for part in _parts(op, 0, {}):
            text.update(part.encode() + b"\0")
    return text.hexdigest()[:16]


def _parts(thing: Any, depth: int, seen: dict[int, Any]) -> Iterator[str]:
    if isinstance(thing, PLAIN):
        yield f"{type(thing).__name__} {thing!r}"
        return
    if id(thing) in seen or depth > DEEPEST:
        yield "seen"
        return
    seen[id(thing)] = thing  # kept, so that no other object gets its address
    array = _array(thing)
    if array is not None:
        yield _of_array(array)
        return
    yield _named(thing)
    for part in _inside(thing):
        yield from _parts(part, depth + 1, seen)


def _array(thing: Any) -> np.ndarray | None:
    """Return what an object has as an array, where it is one."""
    if isinstance(thing, Constant):
        thing = thing.data
    elif isinstance(thing, SharedVariable):
        thing = thing.get_value(borrow=True)
    if isinstance(thing, type) or not hasattr(thing, "__array__"):
        return None
    try:
        return np.asarray(thing)
    except Exception:  # noqa: BLE001 - a tracer of JAX, a random state: whatever it is, it has no values
        return None


def _of_array(array: np.ndarray) -> str:
    held = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes("C")
    return f"{array.dtype} {array.shape} {hashlib.sha256(held).hexdigest()}"


def _named(thing: Any) -> str:
    own = thing if isinstance(thing, (type, FunctionType, ModuleType)) or hasattr(thing, "__name__") else type(thing)
    name = getattr(own, "__qualname__", None) or getattr(own, "__name__", "")
    return f"{type(thing).__qualname__} {getattr(own, '__module__', '')} {name}"


def _inside(thing: Any) -> Iterable[Any]:
    """Return what an object is made of, in an order that is the same in every process."""
    for kinds, parts in KINDS:
        if isinstance(thing, kinds):
            return parts(thing)
    for wrapped in ("__wrapped__", "py_func"):  # a function that JAX or Numba compiles
        if hasattr(thing, wrapped):
            return (getattr(thing, wrapped),)
    return _of_object(thing)


def _of_function(function: FunctionType) -> list[Any]:
    parts = [
        *filled_cells(function),
        function.__defaults__,
        function.__kwdefaults__,
        getattr(function, "__wrapped__", None),
    ]
    if is_library(function.__code__.co_filename):
        return parts
    if not Path(function.__code__.co_filename).is_file():  # made from text, which no source has
        parts += list(_code(function.__code__))
    names = sorted(_names(function.__code__))
    for name in names:
        found = function.__globals__.get(name)
        if isinstance(found, ModuleType):
            file = getattr(found, "__file__", None)
            if file and not is_library(file):
                parts += [part for one in names if (part := vars(found).get(one)) is not None]
        elif not name.startswith("__"):
            parts.append(found)
    return parts


def filled_cells(function: FunctionType) -> list[Any]:
    """Return what a function holds of the functions around it, as far as that is there yet."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # an empty cell
            continue
    return found


def _names(code: CodeType) -> set[str]:
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _code(code: CodeType) -> Iterator[Any]:
    yield code.co_code
    for one in code.co_consts:
        yield from _code(one) if isinstance(one, CodeType) else (one,)
    yield from code.co_names


def _of_class(kind: type) -> list[Any]:
    """Return the values and functions of a class of the user's, or of one that was made while a model was built."""
    if kind.__module__ == "builtins" or _of_library(kind):
        return []
    own = [part for name, part in sorted(vars(kind).items()) if not name.startswith("__") or callable(part)]
    return [*own, *kind.__bases__]


def _of_library(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    return file is not None and is_library(file) and getattr(module, kind.__qualname__, None) is kind


def _of_object(thing: Any) -> list[Any]:
    parts: list[Any] = [type(thing)]
    state = getattr(thing, "__dict__", None) or {}
    parts += [part for name, part in sorted(state.items()) for part in (name, part)]
    slots = [name for kind in type(thing).__mro__ for name in _slots(kind)]
    parts += [getattr(thing, name, None) for name in slots if not name.startswith("__")]
    if isinstance(state, dict) and not state and not slots:
        parts += _pickled(thing)
    return parts


def _slots(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    return [slots] if isinstance(slots, str) else list(slots)


def _pickled(thing: Any) -> list[Any]:
    """Return what a compiled object would be made from again."""
    try:
        made = thing.__reduce_ex__(2)
    except Exception:  # noqa: BLE001 - a lock, a generator: it holds no values
        return []
    return [made] if isinstance(made, str) else [part for part in made[1:3] if isinstance(part, (tuple, dict, list))]


KINDS: Sequence[tuple[Any, Callable[[Any], Iterable[Any]]]] = (
    (FunctionType, _of_function),
    (MethodType, lambda method: (method.__func__, method.__self__)),
    (functools.partial, lambda partial: (partial.func, *partial.args, partial.keywords)),
    ((classmethod, staticmethod), lambda method: (method.__func__,)),
    ((tuple, list), lambda parts: parts),
    ((set, frozenset), lambda parts: sorted(repr(part) for part in parts if isinstance(part, PLAIN))),
    (dict, lambda mapping: [part for pair in mapping.items() for part in pair]),
    (type, _of_class),
    ((ModuleType, Variable, AbstractFunctionGraph), lambda _: ()),
)
"""How objects of a kind are taken apart; the first that fits."""
