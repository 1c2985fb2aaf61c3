"""The fits of a study whose words now mean something else: which they are, and what is said of them.

They stay in the store, and are out of everything that a study says unless they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesrun.base.verb_hints import verb
from bayesrun.planning.keys import specs_of
from bayesrun.planning.meanings import current
from bayesrun.report.design import cells_of

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from bayesrun.store.folder import Store
    from bayesrun.types import CheckedCell, FitSpec

__all__ = ["NO_CELL", "both", "superseded", "superseded_lines"]

NO_CELL = "of no cell"
"""Stands for the cell of fits that the design has none for: study.json was lost, or a folder is none of its own."""
OLDER = "of an older format"
"""Stands for the cells of fits that an earlier version made, under keys of its own."""

type Known = Mapping[str, tuple[FitSpec, CheckedCell]]


def superseded(store: Store) -> Known:
    """Return the superseded fits of a study by key, those that never came back too."""
    cells, seed = _design(store)
    return specs_of([cell for cell in cells if cell.superseded], seed)


def both(store: Store) -> tuple[Known, Known]:
    """Return the fits of a study by key: those of current cells, and those of superseded ones."""
    cells, seed = _design(store)
    return specs_of(current(cells), seed), specs_of([cell for cell in cells if cell.superseded], seed)


def _design(store: Store) -> tuple[tuple[CheckedCell, ...], int]:
    facts = store.read_study()
    return cells_of(facts), int(facts.get("seed", 0))


def superseded_lines(old: Known, store: Store, known: Container[str]) -> list[str]:
    """Say which fits are superseded, why, and how to be rid of them: a line a cell, one for those of no cell.

    Parameters
    ----------
    old
        Superseded fits by key.
    store
        Where they are.
    known
        Keys of the fits that are not superseded.
    """
    stored: dict[str, int] = {}
    why = {}
    for key, (_, checked) in old.items():
        label = checked.cell.label
        stored[label] = stored.get(label, 0) + store.has_fit(key)
        why[label] = checked.superseded
    told = [
        (label.replace(" (superseded)", ""), count, f"its words now mean another fit ({why[label]})")
        for label, count in stored.items()
    ]
    left_over = [key for key in store.stored_keys() if key not in known and key not in old]
    older = sum(map(store.is_older, left_over))
    lost = len(left_over) - older
    told += [(NO_CELL, lost, f"the design of the study does not have {'it' if lost == 1 else 'them'}")] if lost else []
    kept = f"{verb('migrate', store.root)} keeps what can be shown to be a fit of the study now"
    told += [(OLDER, older, kept)] if older else []
    hint = verb("forget", store.root)
    return [
        f"superseded: {what} ({count} {'fit' if count == 1 else 'fits'}): {reason}; "
        f"{hint} --superseded removes {'it' if count == 1 else 'them'}"
        for what, count, reason in told
    ]
