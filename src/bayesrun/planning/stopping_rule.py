"""How many replicates a study makes: as many as asked, or in rounds until its Monte Carlo errors are small enough."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bayesrun.base.digits import against, exact
from bayesrun.planning.keys import fit_key
from bayesrun.statistics.measures import sizes
from bayesrun.statistics.measures.blocks import numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import pandas as pd

    from bayesrun.planning.preflight import Checked
    from bayesrun.types import StudyOptions

__all__ = ["FIRST", "Round", "first_round", "next_round"]

FIRST = sizes.MINIMUM
"""Replicates of the first round: no target counts as reached before."""


@dataclass(frozen=True, eq=False)
class Round:
    """What comes after a round.

    Parameters
    ----------
    checked
        The cells with the replicates of the next round; None at the end.
    why
        What holds the study up, or that nothing does; empty where the number of replicates was asked for.
    """

    checked: Checked | None = None
    why: str = ""


class Found(Protocol):
    """What a simulation study found, as far as it decides on more replicates."""

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """``measures`` is one of them."""

    @property
    def states(self) -> Mapping[str, str]:
        """State of each cell by its label."""


def first_round(checked: Checked, had: Mapping[str, int], study: StudyOptions) -> Checked:
    """Give cells the replicates of their first round; those that go on start with what they have.

    Parameters
    ----------
    checked
        Cells of this command.
    had
        Replicates of every cell that the study has, by the key of its first fit.
    study
        What is asked.
    """
    if study.kind == "fit" or study.replicates != "auto":
        return checked
    known = max(had.get(fit_key(cell, study.seed, 0), 0) for cell in checked.cells)
    return _with(checked, min(max(FIRST, known), study.max_replicates))


def next_round(checked: Checked, results: Found | None, labels: Collection[str], study: StudyOptions) -> Round:
    """Give cells more replicates until every target is reached.

    Parameters
    ----------
    checked
        Cells of the round that is done.
    results
        What the study found, also of cells that other commands asked for.
    labels
        Of the cells of this command, as the results have them: they alone are judged and grow.
    study
        Targets and bound.
    """
    if results is None or study.replicates != "auto":
        return Round()
    if any(results.states[label] == "unfinished" for label in labels):
        return Round(None, "study.replicates=auto: stopped in this round; the same command goes on from there")
    done, targets = max(cell.replicates for cell in checked.cells), study.target_mcse or {}
    measures = results.tables["measures"]
    own = measures if measures.empty else measures[measures["cell"].isin(list(labels))]
    if own.empty:
        return Round(None, f"study.replicates=auto: no fit of {done} replicates has output that could be measured")
    more = sizes.next_round(done, own, targets, study.max_replicates)
    short = _shortest(own, targets)
    if not short:
        return Round(None, f"study.replicates=auto: every target is reached with {done} replicates")
    if not more:
        return Round(None, f"study.replicates=auto: {short}; stopped at study.max_replicates = {study.max_replicates}")
    return Round(_with(checked, done + more), f"study.replicates=auto: {short}; {more} more replicates")


def _shortest(measures: pd.DataFrame, targets: Mapping[str, float]) -> str:
    """Name the measure, and its cell, that is farthest from its target; empty where all are there."""
    if sizes.reached(measures, targets):
        return ""
    held = sizes.precision(measures, targets)
    for target in targets:
        if target not in set(held["target"]):
            return f"there is no {target} yet"
    n, excess = numbers(held["n"]), np.nan_to_num(numbers(held["error"]) / numbers(held["wanted"]), nan=np.inf)
    few = bool((n < FIRST).any())
    row = held.iloc[int(n.argmin() if few else excess.argmax())]
    level = f" of {row['level']:g} intervals" if row["level"] == row["level"] else ""
    what = f"{row['measure']}{level} of {row['variable']}" if row["variable"] else str(row["measure"])
    if few:
        return f"{what} in {row['cell']} is measured by {row['n']:.0f} replicates, and {FIRST} are the least"
    error = against(row["error"], row["wanted"], ".2g")
    return f"{what} in {row['cell']} has an error of {error}, and {exact(row['wanted'])} is wanted"


def _with(checked: Checked, replicates: int) -> Checked:
    cells = tuple(dataclasses.replace(cell, replicates=replicates) for cell in checked.cells)
    return dataclasses.replace(checked, cells=cells)
