"""What there is of the fits that a study planned: outcomes of those that are whole, and what the others lack.

A fit that is done counts only with all its files, and with everything that the study asks of it now; so plan, status,
tables and runs say the same. It opens no posterior, unless one is newer than its outcome.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bayesrun.base.messages import few, without_numbers
from bayesrun.planning.completion import SWITCHES, asked_and_absent, is_answered
from bayesrun.store.folder import OUTCOME, POSTERIOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bayesrun.store.folder import Store
    from bayesrun.types import CheckedCell, FitSpec, Outcome

__all__ = ["Inventory", "absent_lines", "inventory", "lacking_lines", "open_lines"]

MOST_LINES, MOST_NAMED = 5, 3
MOST_ABSENT = 12
DRAWN_AGAIN = (POSTERIOR, OUTCOME)
"""Files without which nothing is left to go by."""

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
        elif outcome.status == "done" and key not in (fresh or {}) and not is_answered(outcome, spec):
            why = "it was done before, and does not have everything that the study asks for now"
        else:
            outcomes[key] = outcome
            continue
        if why:
            lacking[key] = why
    return Inventory(outcomes, lacking)


def open_lines(found: Inventory, known: Known) -> list[str]:
    """Name the cells whose fits failed or are not done, with the number of these: a line for each of the two."""
    counts: dict[str, Counter[str]] = {"failed": Counter(), "not done": Counter()}
    for key, (spec, _) in known.items():
        outcome = found.outcomes.get(key)
        if outcome is not None and outcome.status == "failed":
            counts["failed"][spec.cell] += 1
        elif outcome is None and key not in found.lacking:
            counts["not done"][spec.cell] += 1
    return [
        f"{what}: " + ", ".join(f"{cell} ({n} {'fit' if n == 1 else 'fits'})" for cell, n in cells.items())
        for what, cells in counts.items()
        if cells
    ]


def lacking_lines(lacking: Mapping[str, str], known: Known) -> list[str]:
    """Say which fits are not whole, why, and what their study's command does about it: a line a cell and reason.

    Parameters
    ----------
    lacking
        Key to what is wrong.
    known
        Planned fits by key.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for key, why in lacking.items():
        groups.setdefault((known[key][0].cell, why), []).append(key)
    lines = []
    for (cell, why), keys in list(groups.items())[:MOST_LINES]:
        who = f"fit {keys[0]} does" if len(keys) == 1 else f"{len(keys)} fits do"
        named = "" if len(keys) == 1 else f" ({few(keys, MOST_NAMED)})"
        remedy = "draws again" if why.startswith(DRAWN_AGAIN) else "completes from the stored draws"
        lines.append(f"{cell}: {who} not count{named}: {why}; the command of the study {remedy}")
    left = sum(map(len, list(groups.values())[MOST_LINES:]))
    return [*lines, *([f"{left} more fits do not count, for other reasons or in other cells"] if left else [])]


def absent_lines(fits: Iterable[tuple[FitSpec, Outcome | None]]) -> list[str]:
    """Say which steps fits do not have and why: a line a cell, step and reason; single figures are one step.

    Parameters
    ----------
    fits
        Each with what came back of it.
    """
    groups: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for spec, outcome in fits:
        if outcome is not None and outcome.status == "done":
            for step, why in asked_and_absent(outcome, spec).items():
                groups.setdefault((spec.cell, step, without_numbers(str(why))), []).append((spec.key, str(why)))
    lines = []
    for (cell, step, _), found in groups.items():
        key, told = found[0]
        many = f" in {len(found)} fits, the first of which is {key}" if len(found) > 1 else ""
        where = f" (fits/{key}/error.txt)" if told.startswith("failed") else ""
        remedy = f"; steps.{step}=false leaves it out" if where and step in SWITCHES else ""
        lines.append(f"{cell}: no {step}{many}: {told}{where}{remedy}")
    more = len(lines) - MOST_ABSENT
    return [*lines[:MOST_ABSENT], *([f"{more} more steps of fits are absent: table fits"] if more > 0 else [])]
