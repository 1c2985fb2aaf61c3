"""A quantity that reads a column which is not stored is told so, whatever way it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bayesrun.errors import FitError
from bayesrun.types import Dataset
from bayesrun.work.not_kept import telling

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Dataset({"y": np.arange(3.0), "g": np.array([0, 1, 0])}, {}, {"g": ("a", "b")})
ONE: dict[str, Callable[[Dataset], Any]] = {
    "an item": lambda data: data["an age"],
    "an array": lambda data: data.arrays["an age"],
    "get": lambda data: data.get("an age"),
    "get of arrays": lambda data: data.arrays.get("an age"),
    "in": lambda data: "an age" in data,
    "labels": lambda data: data.coords["an age"],
}
ALL: dict[str, Callable[[Dataset], Any]] = {
    "names": list,
    "items": lambda data: list(data.items()),
    "values": lambda data: list(data.values()),
    "a dict": dict,
    "a dict of arrays": lambda data: {**data.arrays},
    "how many": len,
}


@pytest.mark.parametrize("read", ONE.values(), ids=ONE)
def test_a_column_that_is_not_stored_is_named_with_the_remedy(read: Callable[[Dataset], Any]) -> None:
    with pytest.raises(FitError, match=r"reads an age, .* so that it is not stored; .*: 'data\.keep=\[\"an age\"\]'$"):
        read(telling(DATA, ("an age", "sex")))


@pytest.mark.parametrize("read", ALL.values(), ids=ALL)
def test_who_goes_through_all_columns_is_told_which_are_not_there(read: Callable[[Dataset], Any]) -> None:
    with pytest.raises(FitError, match=r"goes through all columns, and an age, sex are not stored.*data\.keep=all$"):
        read(telling(DATA, ("sex", "an age")))
    read(telling(DATA, ()))


def test_what_is_stored_is_read_as_ever() -> None:
    data = telling(DATA, ("sex",))
    np.testing.assert_array_equal(data["y"], DATA["y"])
    assert (data.labels("g"), "y" in data, data.arrays.get("nothing")) == (("a", "b"), True, None)
    assert list(data.coords) == ["g"]
