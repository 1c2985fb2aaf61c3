"""The datasets of a study that cannot be fitted, among others that can: what study.json has of them, and what is said.

One is forgotten when a command asks for the datasets of the same source again, or for itself.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import TypeAdapter

from bayesrun.types import Refused, canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bayesrun.types import Cell

__all__ = ["COUNTED", "TABLE", "Refusals", "refusals", "refused_frame", "refused_in", "refused_lines"]

TABLE = "not_fitted"
"""The table of them."""
COUNTED = "n_not_fitted"
"""The number of them, as a metric."""
MOST_LINES = 10
OF_ONE_DATASET = ("data.path", "data.level")
"""Words that tell a dataset from the others of its source."""


@functools.cache
def _adapter() -> TypeAdapter[tuple[Refused, ...]]:
    return TypeAdapter(tuple[Refused, ...])


def refused_in(facts: Mapping[str, Any]) -> tuple[Refused, ...]:
    """Return those that study.json has; an earlier version wrote none."""
    return _adapter().validate_python(facts.get("refused", ()))


@dataclasses.dataclass(frozen=True)
class Refusals:
    """What a command says of the datasets of its study that cannot be fitted.

    Parameters
    ----------
    now
        Those that it cannot fit.
    asked
        What it asks for, as text: the words of each of its cells, and the sources of several datasets.
    """

    now: tuple[Refused, ...] = ()
    asked: frozenset[str] = frozenset()

    def after(self, had: Iterable[Refused]) -> tuple[Refused, ...]:
        """Add them to those of earlier commands, without those that are asked for again."""
        return (*(one for one in had if self.asked.isdisjoint(_names(one.source, one.words))), *self.now)


def refusals(cells: Sequence[Cell], sources: Mapping[str, str], reasons: Mapping[str, str]) -> Refusals:
    """List what a command cannot fit, and what it asks for.

    Parameters
    ----------
    cells
        Of the command.
    sources
        What the datasets are together of each cell of one of several, by label.
    reasons
        Why some cannot be fitted, by label.
    """
    now = tuple(
        Refused(cell.label, reasons[cell.label], sources.get(cell.label, ""), cell.words)
        for cell in cells
        if cell.label in reasons
    )
    asked = [name for cell in cells for name in _names(sources.get(cell.label, ""), cell.words)]
    return Refusals(now, frozenset(asked))


def _names(source: str, words: Mapping[str, Any]) -> list[str]:
    """Name a dataset by its words, and by those that it shares with the others of its source."""
    shared = {path: value for path, value in words.items() if path not in OF_ONE_DATASET}
    return [canonical_json(words), *([canonical_json([source, shared])] if source else [])]


def refused_lines(refused: Sequence[Refused]) -> list[str]:
    """Say which datasets are not fitted, and why; of many the first."""
    lines = [f"not fitted: {one.label}: {'; '.join(one.reason.splitlines())}" for one in refused[:MOST_LINES]]
    more = len(refused) - MOST_LINES
    return [*lines, *([f"not fitted: {more} more datasets: tables/{TABLE}.csv"] if more > 0 else [])]


def refused_frame(refused: Sequence[Refused]) -> pd.DataFrame:
    """Make the table of them; without columns where there are none."""
    if not refused:
        return pd.DataFrame()
    return pd.DataFrame([{"cell": one.label, "reason": "; ".join(one.reason.splitlines())} for one in refused])
