"""How many replicates a study makes: as many as asked, or in rounds until its Monte Carlo errors are small enough."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from bayesrun.measures import sizes

if TYPE_CHECKING:
    from bayesrun.preflight import Checked
    from bayesrun.results import Results
    from bayesrun.store import Store
    from bayesrun.types import StudyOptions

__all__ = ["FIRST", "first_round", "next_round"]

FIRST = sizes.MINIMUM
"""Replicates of the first round: no target counts as reached before."""


def first_round(checked: Checked, store: Store, study: StudyOptions) -> Checked:
    """Give cells the replicates of their first round; one that goes on starts with those it has."""
    if study.kind == "fit" or study.replicates != "auto":
        return checked
    had = store.read_study().get("cells", ())
    known = max((int(cell.get("replicates", 1)) for cell in had), default=0)
    return _with(checked, min(max(FIRST, known), study.max_replicates))


def next_round(checked: Checked, results: Results | None, study: StudyOptions) -> Checked | None:
    """Give cells more replicates until every target is reached; None at the end.

    Parameters
    ----------
    checked
        Cells of the round that is done.
    results
        What it found.
    study
        Targets and bound.
    """
    if results is None or study.replicates != "auto":
        return None
    done = max(cell.replicates for cell in checked.cells)
    more = sizes.next_round(done, results.tables["measures"], study.target_mcse or {}, study.max_replicates)
    return _with(checked, done + more) if more else None


def _with(checked: Checked, replicates: int) -> Checked:
    cells = tuple(dataclasses.replace(cell, replicates=replicates) for cell in checked.cells)
    return dataclasses.replace(checked, cells=cells)
