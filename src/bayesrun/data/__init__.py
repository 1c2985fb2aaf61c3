"""Datasets: files and the shipped ones, to a mapping of named arrays; it fits nothing and downloads nothing.

Importing this package imports numpy only: the readers import what they need when they are called.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any

from bayesrun.data import catalogue, files
from bayesrun.data.catalogue import nothing, shipped
from bayesrun.data.checks import check_roles, check_values, conform
from bayesrun.data.columns import Arrangement, Table, check_kept
from bayesrun.data.files import read
from bayesrun.data.levels import levels_of, rows_of
from bayesrun.data.netcdf import load, save

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Table", "check_kept", "check_roles", "check_values", "conform", "levels_of", "load", "nothing", "read", "rows_of",
    "save", "shipped", "table_of",
]  # fmt: skip


def table_of(reader: Callable[..., Any], params: Mapping[str, Any]) -> Table | None:
    """Read the table of a data config, whose arrays are made later; None where the function is no reader of ours."""
    openers: Mapping[Callable[..., Any], Callable[..., Table]] = {read: files.opened, shipped: catalogue.opened}
    if reader not in openers:
        return None
    given = inspect.signature(reader).bind(**params)
    given.apply_defaults()
    values = dict(given.arguments)
    how = Arrangement(**{field.name: values.pop(field.name) for field in dataclasses.fields(Arrangement)})
    return openers[reader](**values, how=how)
