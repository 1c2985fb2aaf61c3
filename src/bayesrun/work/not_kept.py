"""A stored dataset as a quantity sees it: what is not stored is told of, rather than taken for what is not there."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from bayesrun.data.hints import keep_key, listed
from bayesrun.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bayesrun.types import Dataset

__all__ = ["NotKeptError", "telling"]


class NotKeptError(FitError):
    """A quantity reads a column that is not stored."""


def telling(dataset: Dataset, left_out: Collection[str]) -> Dataset:
    """Return a dataset that raises an error when a column of its table is asked for which is not stored.

    Parameters
    ----------
    dataset
        As it is stored.
    left_out
        Names of the columns that are not.
    """
    if not left_out:
        return dataset
    arrays, coords = _Telling(dataset.arrays, left_out), _Telling(dataset.coords, left_out, whole=False)
    return dataclasses.replace(dataset, arrays=arrays, coords=coords)


class _Telling(dict[str, Any]):
    """A mapping that knows which names are left out of it."""

    def __init__(self, values: Mapping[str, Any], left_out: Collection[str], *, whole: bool = True) -> None:
        super().__init__(values)
        self._out, self._whole = frozenset(left_out).difference(values), whole

    def _one(self, key: object) -> None:
        if key in self._out:
            raise NotKeptError(
                f"reads {key}, a column that the model does not use, so that it is not stored; store it too, with "
                f"nothing fitted anew: {keep_key([str(key)])}"
            )

    def _all(self) -> None:
        if self._whole and self._out:
            raise NotKeptError(
                f"goes through all columns, and {listed(sorted(self._out))} are not stored, because the model does not "
                "use them; name those that are meant, or store all, with nothing fitted anew: data.keep=all"
            )

    def __getitem__(self, key: str) -> Any:
        self._one(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._one(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self._one(key)
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        self._all()
        return super().__iter__()

    def __len__(self) -> int:
        self._all()
        return super().__len__()

    def keys(self) -> Any:
        self._all()
        return super().keys()

    def items(self) -> Any:
        self._all()
        return super().items()

    def values(self) -> Any:
        self._all()
        return super().values()
