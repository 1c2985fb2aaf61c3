"""Rows of a study's tables -> dense arrays of a few shapes, and arrays of estimates -> rows again.

It computes no measure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.errors import StoreError
from bayesrun.statistics.measures.estimate import Estimate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from bayesrun.statistics.measures.estimate import Flags, Floats, Integers

    type Labels = NDArray[np.object_]

__all__ = ["Block", "Findings", "blocks", "codes", "flags", "numbers", "require", "unique_rows"]

NUMBERS = tuple(part.name for part in fields(Estimate))

BLOCK_SIZE = 1_000_000
"""Numbers in one array of a block, 8 MB."""


def require(table: pd.DataFrame, columns: Collection[str], name: str) -> None:
    """Refuse a table that lacks columns.

    Raises
    ------
    StoreError
        With what is missing.
    """
    lacking = [column for column in columns if column not in table.columns]
    if lacking:
        raise StoreError(
            f"the table {name} has no column {', '.join(lacking)}; it has "
            f"{', '.join(map(str, table.columns)) or 'none'}: build it again from the stored fits"
        )


def unique_rows(places: Integers, describe: Sequence[NDArray[np.object_]], name: str) -> None:
    """Refuse rows that say the same thing twice, which would count a replicate twice.

    Raises
    ------
    StoreError
        With the first of them.
    """
    order = np.argsort(places, kind="stable")
    again = order[1:][places[order[1:]] == places[order[:-1]]]
    if again.size:
        row = again.min()
        said = ", ".join(str(column[row]) for column in describe)
        raise StoreError(
            f"the table {name} has {again.size} rows more than once (the first is {said}): "
            "build it again from the stored fits"
        )


def codes(column: pd.Series[str]) -> tuple[Integers, Labels]:
    """Give labels numbers in the order in which they come: row to number, and number to label."""
    import pandas as pd

    number, labels = pd.factorize(column.astype(object))
    return number.astype(np.int64), np.asarray(labels, dtype=object)


def numbers(column: pd.Series[float]) -> Floats:
    """Read a column as floats, what is missing as NaN."""
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))


def flags(column: pd.Series[bool]) -> Flags:
    """Read a column as booleans, what is missing as False."""
    return np.asarray(column.to_numpy(dtype=np.bool_, na_value=False))


@dataclass(frozen=True, eq=False)
class Block:
    """Groups of rows of similar size as arrays with dims (group, replicate), NaN beyond a group's end.

    Parameters
    ----------
    groups
        Numbers of the groups. Dims (group).
    rows, slots, owners
        Rows of the table, and to which replicate and group of the block each goes.
    shape
        Groups and replicates.
    """

    groups: Integers
    rows: Integers
    slots: Integers
    owners: Integers
    shape: tuple[int, int]

    def spread(self, values: Floats) -> Floats:
        """Put one number for each row of the block to its place. Dims (row) to (group, replicate)."""
        filled = np.full(self.shape, np.nan)
        filled[self.owners, self.slots] = values
        return filled


def blocks(groups: Integers) -> Iterator[Block]:
    """Cut the rows of a table into blocks of groups whose sizes differ by less than a factor of two.

    That bounds how much of a block is NaN.

    Parameters
    ----------
    groups
        Number 0, 1, ... of the group of each row; every number is there.

    Yields
    ------
    Block
        Every group is in one of them.
    """
    if not groups.size:
        return
    sizes = np.bincount(groups)
    order = np.argsort(groups, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    scale = np.frexp(sizes)[1]
    for power in np.unique(scale):
        members = np.flatnonzero(scale == power)
        at_once = max(1, BLOCK_SIZE // int(sizes[members].max()))
        for first in range(0, members.size, at_once):
            chosen = members[first : first + at_once]
            size = sizes[chosen]
            slots = np.concatenate([np.arange(count) for count in size])
            owners = np.repeat(np.arange(chosen.size), size)
            rows = order[starts[chosen][owners] + slots]
            yield Block(chosen, rows, slots, owners, (chosen.size, int(size.max())))


@dataclass
class Findings:
    """Collects estimates and makes one table of them.

    Parameters
    ----------
    fields
        Names of the label columns that each estimate is filed under, as integers (``cell``, ``variable``).
    """

    fields: tuple[str, ...]
    _parts: list[dict[str, NDArray[np.generic]]] = field(default_factory=list)
    _measures: dict[str, int] = field(default_factory=dict)

    def add(self, under: Sequence[Integers], measure: str, level: float, found: Sequence[tuple[int, Estimate]]) -> None:
        """File estimates with dims (group) under their labels, those of each analysis.

        A group whose first analysis has no value has none in the table; where it has one, the others are there too,
        if only to say that they have no replicates.
        """
        there = np.isfinite(found[0][1].value)
        size = int(there.sum())
        if not size:
            return
        number = self._measures.setdefault(measure, len(self._measures))
        for analysis, estimate in found:
            numbers = {name: np.asarray(getattr(estimate, name))[there] for name in NUMBERS}
            self._parts.append(
                {name: labels[there] for name, labels in zip(self.fields, under, strict=True)}
                | {"measure": np.full(size, number), "level": np.full(size, level), **numbers}
                | {"analysis": np.full(size, analysis)}
            )

    def table(self, labels: Sequence[Labels], measures: Sequence[str], analyses: Sequence[str]) -> pd.DataFrame:
        """Make the table: ordered by the label columns, the analysis, the measure and the level.

        Parameters
        ----------
        labels
            For each label column its labels.
        measures
            Order of the measures; others come after them, in the order in which they were filed.
        analyses
            Labels of the analyses.

        Returns
        -------
        DataFrame
            Columns `fields`, measure, level, value, mcse, lower, upper, n, analysis.
        """
        import pandas as pd

        names = [*self.fields, "measure", "level", *NUMBERS, "analysis"]
        whole = {"n": np.int64, "measure": np.int64, "analysis": np.int64} | dict.fromkeys(self.fields, np.int64)
        columns = {
            name: np.concatenate([part[name] for part in self._parts])
            if self._parts
            else np.empty(0, whole.get(name, np.float64))
            for name in names
        }
        known = {name: place for place, name in enumerate(measures)}
        filed = list(self._measures)
        place = np.array([known.get(name, len(known) + i) for i, name in enumerate(filed)], dtype=np.int64)
        keys = [columns["level"], place[columns["measure"]], columns["analysis"]]
        order = np.lexsort([*keys, *(columns[name] for name in reversed(self.fields))])
        made: dict[str, NDArray[np.generic]] = {name: columns[name][order] for name in names}
        texts = dict(zip(self.fields, labels, strict=True)) | {
            "measure": np.array(filed, dtype=object),
            "analysis": np.array(analyses, dtype=object),
        }
        for name, text in texts.items():
            made[name] = text[made[name]] if text.size else np.empty(0, dtype=object)
        return pd.DataFrame(made, columns=names)
