"""The fits of a study whose words now mean something else: which they are, and what is said of them.

They stay in the store, and are out of everything that a study says unless they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from bayesrun.base.verb_hints import verb
from bayesrun.planning.keys import specs_of
from bayesrun.planning.meanings import current
from bayesrun.types import CheckedCell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesrun.store.folder import Store
    from bayesrun.types import FitSpec

__all__ = ["both", "superseded", "superseded_lines"]

type Known = Mapping[str, tuple[FitSpec, CheckedCell]]


def superseded(store: Store) -> Known:
    """Return the superseded fits of a study by key, those that never came back too."""
    return both(store)[1]


def both(store: Store) -> tuple[Known, Known]:
    """Return the fits of a study by key: those of current cells, and those of superseded ones."""
    facts = store.read_study()
    cells = TypeAdapter(tuple[CheckedCell, ...]).validate_python(facts.get("cells", ()))
    seed = int(facts.get("seed", 0))
    return specs_of(current(cells), seed), specs_of([cell for cell in cells if cell.superseded], seed)


def superseded_lines(old: Known, store: Store) -> list[str]:
    """Say which fits are superseded, why, and how to be rid of them: a line a cell.

    Parameters
    ----------
    old
        Superseded fits by key.
    store
        Where they are.
    """
    stored: dict[str, int] = {}
    why = {}
    for key, (_, checked) in old.items():
        label = checked.cell.label
        stored[label] = stored.get(label, 0) + store.has_fit(key)
        why[label] = checked.superseded
    hint = verb("forget", store.root)
    return [
        f"superseded: {label.replace(' (superseded)', '')} ({count} {'fit' if count == 1 else 'fits'}): its words now "
        f"mean {why[label]}; {hint} --superseded removes {'it' if count == 1 else 'them'}"
        for label, count in stored.items()
    ]
