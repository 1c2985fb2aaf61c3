"""Data configs -> what they name, read once; arrays and rows follow when it is known which columns are used."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.imports import bind, import_target
from bayesrun.errors import BayesrunError, DataError
from bayesrun.types import Dataset, Target

if TYPE_CHECKING:
    from bayesrun.data import Table

__all__ = ["DESIGN", "KEEP", "NOTHING", "Loaded", "given", "levels_of", "load_data", "opened"]

DESIGN = "bayesrun.data.design.design"
"""The function that makes covariates up, of which a study keeps all."""

NOTHING = "bayesrun.data.nothing"
"""The function that gives no data."""

KEEP = "keep"
"""Key of any data config: what is stored although no model uses it."""

PARTS = ("by", "level")
"""Keys of any data config: a column, and the level of it whose rows are the dataset."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """What a data config names.

    Parameters
    ----------
    arrays
        Makes the dataset of the rows that have the arrays that are used; None: of those that have all.
    drops
        Whether rows go by what is used.
    """

    arrays: Callable[[Collection[str] | None], Dataset]
    drops: bool = False


def load_data(target: Target) -> Dataset:
    """Call a data config's function.

    Raises
    ------
    ConfigError
        If it is not importable, its parameters do not fit, or it returns something else than arrays.
    """
    return opened(target).arrays(None)


def levels_of(name: str, values: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """List the levels of the column ``by`` of a data config, and count the rows that have none.

    Parameters
    ----------
    name
        Of the config.
    values
        The config, with ``_target_``.

    Raises
    ------
    BayesrunError
        If the data cannot be read, or have no such column.
    """
    from bayesrun.data import levels_of as levels

    params = {str(key): value for key, value in values.items() if key != "_target_"}
    by = params["by"]
    found, _ = _read(Target(name, str(values.get("_target_")), params | {"level": None}))
    return levels(found if isinstance(found, Dataset) else found.whole, by)


def opened(target: Target) -> Loaded:
    """Read what a data config names, once; see `load_data`."""
    found, rest = _read(target)
    if not isinstance(found, Dataset):
        whole = found
        return Loaded(lambda used: _named(whole.arrays(used), target), bool(whole.how.drop_missing))
    dataset = _with_kept(_named(_part(found, rest.get("by"), rest.get("level")), target), rest.get(KEEP))
    return Loaded(lambda _: dataset)


def _read(target: Target) -> tuple[Table | Dataset, dict[str, Any]]:
    """Read what a data config names: a table, whose arrays are made later, or what a function of the user's gives.

    With it the keys that the function leaves to others.
    """
    from bayesrun.data import table_of

    function = import_target("data", target.path)
    own = inspect.signature(function).parameters
    rest = {key: target.params[key] for key in (KEEP, *PARTS) if key in target.params and key not in own}
    params = {key: value for key, value in target.params.items() if key not in rest}
    bound = bind("data", function, dataclasses.replace(target, params=params), 0)
    try:
        table = table_of(function, bound.params)
        found = table or _dataset(function(**bound.params), target)
    except BayesrunError:
        raise
    except (Exception, SystemExit) as error:  # a user's reader may raise anything
        raise DataError(f"data={target.name}: {target.path} failed: {type(error).__name__}: {error}") from error
    return found, rest


def _part(dataset: Dataset, by: Any, level: Any) -> Dataset:
    from bayesrun.data import rows_of

    return dataset if by is None else rows_of(dataset, by, level)


def given(dataset: Dataset) -> Loaded:
    """Take a stored dataset, which is kept as it is."""
    whole = _with_kept(dataset, "all")
    return Loaded(lambda _: whole)


def _named(dataset: Dataset, target: Target) -> Dataset:
    return dataclasses.replace(dataset, name=target.name)


def _dataset(found: Any, target: Target) -> Dataset:
    if isinstance(found, Dataset):
        return found
    if isinstance(found, Mapping):
        return Dataset({str(name): _array(values) for name, values in found.items()})
    raise DataError(
        f"data={target.name}: {target.path} returned {type(found).__name__}; wanted a bayesrun.types.Dataset or "
        "a mapping of names to arrays"
    )


def _array(values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:  # rows of several lengths, which a model that reads them has to cope with
        found = np.empty(len(values), dtype=object)
        found[:] = list(values)
        return found


def _with_kept(dataset: Dataset, keep: Any) -> Dataset:
    """Note what is to be stored in any case, of a dataset that a function of the user's made."""
    from bayesrun.data import check_kept

    if keep is None:
        return dataset
    names = list(dataset.arrays) if keep == "all" else [keep] if isinstance(keep, str) else list(keep)
    check_kept(names, list(dataset.arrays))
    return dataclasses.replace(dataset, origin=dataclasses.replace(dataset.origin, keep=tuple(names)))
