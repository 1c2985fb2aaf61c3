"""Fits of the format before this one: which of them can be shown to be what they would be called now, and their move.

Nothing is drawn. A fit is moved only where everything that its key says now is shown by what is stored: its recipe by
its old key, its data by their digest, and its model by its draws (`planning.same_model`). The others stay as they are.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesrun.errors import BayesrunError, ConfigError
from bayesrun.planning.completion import is_complete
from bayesrun.planning.estimands import quantity_sources
from bayesrun.planning.former import FORMER, former_key, former_seed, is_former
from bayesrun.planning.keys import fit_spec
from bayesrun.planning.preflight import Checked, check
from bayesrun.planning.same_model import doubt
from bayesrun.report import study_file
from bayesrun.report.superseded import NO_CELL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayesrun.store.folder import Store
    from bayesrun.types import CheckedCell, Dataset, Outcome

__all__ = ["Fate", "fates", "leftovers", "move"]

INCOMPLETE = "what functions of the user's or the model's make of its draws is made anew by the study's command"
OTHER_DATA = (
    "its data were drawn from a seed that no replicate has now, and the cells of a study are compared on the same data"
)
"""Why fits to simulated data stay: the seed of a dataset was made of its generator too."""


@dataclass(frozen=True)
class Fate:
    """What becomes of one fit of the older format.

    Parameters
    ----------
    key
        As it is called there.
    cell
        Label of its cell.
    why
        Why it stays, or what is to be known of the move.
    cell_before
        Its cell as that format has it; None: the design has none.
    checked
        Its cell as it is now; None: the fit stays.
    outcome
        What came back, as it is written down now; None where it stays.
    dataset
        What it is conditioned on, as it is stored now: with the columns that are used alone; None where it stays.
    """

    key: str
    cell: str
    why: str
    cell_before: CheckedCell | None = None
    checked: CheckedCell | None = None
    outcome: Outcome | None = None
    dataset: Dataset | None = None


def fates(store: Store) -> list[Fate]:
    """Say of every fit of the older format whether it can be moved; nothing is written."""
    seed, _, design = study_file.read_design(store)
    left = {key for key in store.fit_keys() if store.is_older(key)}
    found: list[Fate] = []
    real: list[tuple[str, CheckedCell]] = []
    for cell in filter(is_former, design):
        keys = [former_key(cell, seed, replicate) for replicate in range(cell.replicates)]
        stored = [key for key in keys if key in left]
        left.difference_update(stored)
        if cell.simulation is None:
            real += [(key, cell) for key in stored]
        else:
            found += [Fate(key, cell.cell.label, OTHER_DATA, cell) for key in stored]
    now = _as_now(store, [cell for _, cell in real]) if real else {}
    for key, cell in real:
        found.append(_fate(store, key, cell, now[cell.cell.label], seed))
    found += [Fate(key, NO_CELL, "the design of the study has no cell whose fit this is") for key in sorted(left)]
    return _once(found)


def _as_now(store: Store, cells: Sequence[CheckedCell]) -> dict[str, tuple[Checked | None, str]]:
    """Check cells on their stored data as a command would: those of one dataset together, so that models are shared."""
    by_data: dict[str, list[CheckedCell]] = {}
    for cell in cells:
        by_data.setdefault(cell.data_hash, []).append(cell)
    found: dict[str, tuple[Checked | None, str]] = {}
    for data_hash, group in by_data.items():
        try:
            found |= _checked(store, data_hash, group)
        except BayesrunError:
            for cell in group:
                try:
                    found |= _checked(store, data_hash, [cell])
                except BayesrunError as error:
                    found[cell.cell.label] = None, str(error).splitlines()[0]
    return found


def _checked(store: Store, data_hash: str, group: Sequence[CheckedCell]) -> dict[str, tuple[Checked | None, str]]:
    dataset = store.read_data(data_hash)
    checked = check([cell.cell for cell in group], lambda target: dataclasses.replace(dataset, name=target.name))
    return {cell.cell.label: (checked, "") for cell in group}


def _fate(store: Store, key: str, before: CheckedCell, now: tuple[Checked | None, str], seed: int) -> Fate:
    checked, why = now
    stays = Fate(key, before.cell.label, why, before)
    older = store.read_older(key)
    if checked is None:
        return stays
    if older is None or not older.checksum:
        ended = f"it {older.status} ({older.reason})" if older is not None else "its outcome cannot be read"
        return dataclasses.replace(stays, why=f"{ended}, and no draws are stored")
    cell = _completed(next(one for one in checked.cells if one.cell.label == before.cell.label), before)
    spec = fit_spec(cell, seed, 0)
    known = store.drawn(spec.key)
    if known is not None and known.migrated.get("key") != key:
        return dataclasses.replace(stays, why=f"its recipe was drawn again since, as {spec.key}")
    try:
        why = _other_sampler(before, cell) or doubt(checked.models[cell.cell.label], store.read_older_tree(older))
    except BayesrunError as error:
        why = str(error)
    if why:
        return dataclasses.replace(stays, why=why)
    outcome = dataclasses.replace(
        older,
        key=spec.key,
        observed_hash=spec.observed_hash,
        migrated={"schema": FORMER, "key": key, "fit_seed": former_seed(before, seed, 0)},
    )
    why = "" if is_complete(outcome, spec) else INCOMPLETE
    return Fate(key, before.cell.label, why, before, cell, outcome, checked.datasets[cell.cell.label])


def _completed(cell: CheckedCell, before: CheckedCell) -> CheckedCell:
    """Add to a checked cell what a command adds, and what the design knew of it."""
    try:
        sources = quantity_sources(cell.cell.diagnostics)
    except ConfigError:  # a quantity that is no more is a matter of the command that asks for it
        sources = {}
    return dataclasses.replace(
        cell,
        quantity_sources=sources,
        meant_by=before.meant_by,
        superseded=before.superseded,
        warnings=tuple(dict.fromkeys((*before.warnings, *cell.warnings))),
    )


def _other_sampler(before: CheckedCell, now: CheckedCell) -> str:
    """Say in what the sampler is another one now than the one that drew."""
    name, was, has = now.cell.sampler.name, before.sampler_version, now.sampler_version
    if was != has:
        both = isinstance(was, str) or isinstance(has, str)
        return f"{name} is known by its source, and by another digest now" if both else f"{name} version {was} -> {has}"
    new = [option for option in now.sampler_options if option not in before.sampler_options]
    if new:
        return f"{name} reads {', '.join(new)} now, and did not then"
    if before.cell.options.precision != "float64" and "precision" in now.sampler_options:
        return "it was drawn in single precision, by which no log density can be held against another to rounding"
    return ""


def _once(found: Sequence[Fate]) -> list[Fate]:
    """Let one of several move that would be called the same: what two descriptions of a model were is one fit now."""
    movers: dict[str, str] = {}
    told = []
    for fate in found:
        first = movers.setdefault(fate.outcome.key, fate.key) if fate.outcome is not None else fate.key
        why = f"it and {first} are one fit now"
        told.append(fate if first == fate.key else Fate(fate.key, fate.cell, why, fate.cell_before))
    return told


def move(store: Store, found: Sequence[Fate]) -> None:
    """Move the fits that can be moved: files first, then the design, and the old folders last.

    A move that is stopped at any time loses nothing, and goes on when it is made again.
    """
    cells: list[tuple[CheckedCell, CheckedCell]] = []
    for fate in found:
        if fate.outcome is not None and fate.checked is not None and fate.cell_before is not None:
            older = store.read_older(fate.key)
            if older is not None:
                store.write_datasets([fate.dataset] if fate.dataset is not None else [])
                store.adopt(older, fate.outcome, fate.checked.cell.config)
                cells.append((fate.cell_before, fate.checked))
    study_file.replace_cells(store, cells)
    for key in leftovers(store):
        store.forget_fit(key)


def leftovers(store: Store) -> list[str]:
    """Keys of the older folders of fits that were moved and are in the design under their present keys."""
    seed, _, design = study_file.read_design(store)
    keys = (fit_spec(cell, seed, 0).key for cell in design if cell.simulation is None and not is_former(cell))
    moved: list[Mapping[str, object]] = [known.migrated for key in keys if (known := store.drawn(key)) is not None]
    return [key for facts in moved if (key := str(facts.get("key", ""))) and store.fit_folder(key).is_dir()]
