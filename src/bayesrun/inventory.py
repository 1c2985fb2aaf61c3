"""What there is of the fits that a study planned: outcomes of those that are whole, and what the others lack.

A fit that is done counts only with all its files, and with everything that the study asks of it now; so plan, status,
tables and runs say the same. It opens no posterior, unless one is newer than its outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bayesrun.plan import is_complete

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesrun.store import Store
    from bayesrun.types import CheckedCell, FitSpec, Outcome

__all__ = ["Inventory", "inventory", "lacking_lines"]

MOST_NAMED = 5
REMEDY = "the command of the study makes it again, from the stored draws where they are whole"

type Known = Mapping[str, tuple[FitSpec, CheckedCell]]


@dataclass(frozen=True)
class Inventory:
    """What there is of the planned fits.

    Parameters
    ----------
    outcomes
        Of fits that failed, or are done and whole, by key.
    lacking
        Key to what is missing, changed or not done yet of a fit that was done before.
    """

    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)


def inventory(known: Known, store: Store, fresh: Mapping[str, Outcome] | None = None) -> Inventory:
    """Look at every planned fit.

    Parameters
    ----------
    known
        Planned fits by key.
    store
        Where they are.
    fresh
        Outcomes that came back just now, which need no second look.
    """
    outcomes, lacking = dict[str, "Outcome"](), dict[str, str]()
    for key, (spec, _) in known.items():
        outcome = (fresh or {}).get(key) or store.settled(key)
        if outcome is None:
            why = store.damage(key)
        elif outcome.status == "done" and key not in (fresh or {}) and not is_complete(outcome, spec):
            why = "it was done before, and does not have everything that the study asks for now"
        else:
            outcomes[key] = outcome
            continue
        if why:
            lacking[key] = why
    return Inventory(outcomes, lacking)


def lacking_lines(lacking: Mapping[str, str], known: Known) -> list[str]:
    """Say which fits are not whole, a few by name.

    Parameters
    ----------
    lacking
        Key to what is wrong.
    known
        Planned fits by key.
    """
    if not lacking:
        return []
    lines = []
    for key, why in list(lacking.items())[:MOST_NAMED]:
        spec, _ = known[key]
        name = f"{spec.cell} #{spec.replicate}" if spec.replicate else spec.cell
        lines.append(f"{name}: fit {key} does not count: {why}; {REMEDY}")
    more = len(lacking) - MOST_NAMED
    return [*lines, *([f"{more} more fits do not count, for such reasons"] if more > 0 else [])]
