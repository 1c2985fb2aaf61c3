"""What a function reads of its dataset: found by running it on one that takes notes.

Reading is to take an array, its labels, or coords; to ask whether a name is there, or which names there are, is not.
Who goes through all arrays reads all of them.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from bayesrun.types import Dataset

__all__ = ["Read", "columns_named", "noted", "with_scales"]


@dataclass
class Read:
    """Names of the arrays and of the coords that were read."""

    arrays: set[str] = field(default_factory=set)
    coords: set[str] = field(default_factory=set)


def noted(dataset: Dataset) -> tuple[Dataset, Read]:
    """Return the same dataset, and what is read of it from now on."""
    read = Read()
    arrays = _Noting(dataset.arrays, read.arrays.update)

    def label(names: Iterable[str]) -> None:
        read.coords.update(names)

    return dataclasses.replace(dataset, arrays=arrays, coords=_Noting(dataset.coords, label)), read


def with_scales(dataset: Dataset, names: Iterable[str]) -> frozenset[str]:
    """Add to names of arrays what undoes their standardisation."""
    found = frozenset(names)
    scaled = [name for name in found if "standardize" in dataset.origin.changed.get(name, "")]
    more = (f"{name}_{word}" for name in scaled for word in ("mean", "scale"))
    return found.union(name for name in more if name in dataset.arrays)


def columns_named(quantity: Callable[..., Any]) -> list[str]:
    """Find the columns that the text of a quantity names, as ``data["age"]`` in a function of ``(draws, data)``."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(quantity)))
    except (OSError, TypeError, SyntaxError):
        return []
    function = next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda)), None)
    arguments = [] if function is None else [*function.args.posonlyargs, *function.args.args]
    if function is None or len(arguments) < 2:
        return []
    data = arguments[1].arg
    found = [
        node.slice.value
        for node in ast.walk(function)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == data
        and isinstance(node.slice, ast.Constant)
    ]
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


class _Noting(dict[str, Any]):
    """A mapping that notes which of its values are read.

    That it has an iterator of its own keeps Python from copying it behind its back, as in ``dict(data.arrays)``.
    """

    def __init__(self, values: Mapping[str, Any], note: Callable[[Iterable[str]], None]) -> None:
        super().__init__(values)
        self._note = note

    def __getitem__(self, key: str) -> Any:
        found = super().__getitem__(key)
        self._note([key])
        return found

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default  # noqa: SIM401 - `get` would not note it

    def _all(self) -> dict[str, Any]:
        self._note(list(super().keys()))
        return dict(zip(super().keys(), super().values(), strict=True))

    def items(self) -> Any:
        return self._all().items()

    def values(self) -> Any:
        return self._all().values()

    def copy(self) -> dict[str, Any]:
        return self._all()

    def __or__(self, other: Any) -> Any:
        return self._all() | other

    def __ror__(self, other: Any) -> Any:
        return other | self._all()

    def __eq__(self, other: object) -> bool:
        return self._all() == other

    __hash__ = None

    def __reduce__(self) -> Any:
        return dict, (self._all(),)
