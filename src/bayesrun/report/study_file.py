"""What a study keeps about itself in study.json: what it asks, its design, and how often that was extended."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import platform
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from bayesrun.base.machine import versions
from bayesrun.base.messages import first_line
from bayesrun.base.secrets import public
from bayesrun.base.spelling import did_you_mean
from bayesrun.base.verb_hints import verb
from bayesrun.errors import ConfigError, StoreError
from bayesrun.planning import meanings
from bayesrun.planning.completion import namesakes, with_earlier
from bayesrun.planning.former import former_key, is_former
from bayesrun.planning.keys import fit_key, specs_of
from bayesrun.planning.reasons import differences, stored_dataset
from bayesrun.report.design import cells_of
from bayesrun.report.not_fitted import Refusals, refused_in
from bayesrun.statistics.measures import parse_decision, parse_decisions
from bayesrun.statistics.measures.expressions import comparable
from bayesrun.types import SCHEMA_VERSION, CheckedCell, Settings, StudyOptions, TrackOptions, canonical_json

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from bayesrun.store.folder import Store

__all__ = [
    "Stored",
    "check_extended",
    "check_reference",
    "drawn_with",
    "drop_cells",
    "extend_design",
    "joined_study",
    "older_lines",
    "read",
    "read_design",
    "read_study",
    "replace_cells",
]


ONE_PER_STUDY = ("kind", "ranks")
"""What is the same for every cell of a study, because its tables have one of it."""


@dataclass(frozen=True)
class Stored:
    """A study as its file had it when it was read.

    Parameters
    ----------
    name
        Of the study.
    facts
        What the file says; nothing where there is no study yet.
    cells
        Every cell of its design, superseded ones too.
    """

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    cells: tuple[CheckedCell, ...] = ()

    @property
    def study(self) -> StudyOptions:
        """What it asks for."""
        return _options(self.facts)

    @property
    def replicates(self) -> dict[str, int]:
        """How many each cell has, by the key of its first fit."""
        return {key: cell.replicates for key, cell in self._by_key.items()}

    def with_earlier_wants(self, cells: Sequence[CheckedCell], seed: int) -> tuple[CheckedCell, ...]:
        """Add to each cell of a command the steps and summaries that earlier commands asked of the same fits."""
        return with_earlier(cells, self._by_key, [fit_key(cell, seed, 0) for cell in cells])

    @functools.cached_property
    def _by_key(self) -> dict[str, CheckedCell]:
        return {fit_key(cell, int(self.facts["seed"]), 0): cell for cell in self.cells}


def read(store: Store) -> Stored:
    """Read a study.

    Raises
    ------
    StoreError
        If study.json has something in it that bayesrun does not write.
    """
    facts = store.read_study()
    with _understood(store):
        _options(facts)
        int(facts.get("seed", 0))
        return Stored(store.root.name, facts, cells_of(facts))


@contextlib.contextmanager
def _understood(store: Store) -> Iterator[None]:
    """Say of a study.json that was edited by hand, digest and all, what is wrong with it."""
    try:
        yield
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else first_line(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            what = f"{'.'.join(map(str, first['loc'])) or 'its design'}: {first['msg']}"
        raise StoreError(
            f"{store.study_file} is not as bayesrun writes it ({what}); restore it, or delete it: the next command "
            "writes it anew"
        ) from None


def joined_study(stored: Stored, study: StudyOptions) -> StudyOptions:
    """Add what earlier commands asked of a study to what this one asks: levels, quantities, decisions, null values.

    Raises
    ------
    ConfigError
        If it has another seed or asks another question; if a quantity or a decision has the name of another one, whose
        row or column of the tables it would be; if a variable has another null value.
    """
    if not stored.facts:
        return study
    _refuse_another(stored, study)
    had = stored.study
    _refuse_namesakes(stored.name, had, study)
    names = [decision.name for decision in parse_decisions(had.decisions)]
    rules = dict(zip(names, had.decisions, strict=True))
    new = (rule for rule in study.decisions if parse_decision(rule).name not in rules)
    return dataclasses.replace(
        study,
        levels=tuple(sorted({*had.levels, *study.levels})),
        quantities={**(had.quantities or {}), **(study.quantities or {})} or None,
        decisions=(*had.decisions, *new),
        nulls=(_nulls(had) | _nulls(study)) or None,
    )


def _refuse_another(stored: Stored, study: StudyOptions) -> None:
    """Refuse another seed on a study that exists, or another question."""
    known, had = stored.facts.get("seed", study.seed), stored.facts.get("study", {})
    for name in ONE_PER_STUDY:
        given = json.loads(canonical_json(getattr(study, name)))
        if name in had and had[name] != given:
            raise ConfigError(
                f"study.{name}: got {given!r}; study {stored.name} has {had[name]!r}, and a study has one; choose "
                "another name: study.name=NAME"
            )
    if known != study.seed:
        raise ConfigError(
            f"study.seed: got {study.seed}; study {stored.name} has seed {known}, and a study has one; "
            "choose another name: study.name=NAME"
        )


def _nulls(study: StudyOptions) -> dict[str, float]:
    """Null values by what they are of, in one spelling."""
    return {comparable(name): value for name, value in (study.nulls or {}).items()}


def _refuse_namesakes(name_of_study: str, had: StudyOptions, study: StudyOptions) -> None:
    for name, (known, given) in namesakes("study", had, study).items():
        raise ConfigError(
            f"{name}: got {given!r}; in study {name_of_study} that is {known!r}, and a name means one thing; give it "
            "another name, or choose another study: study.name=NAME"
        )
    nulls = _nulls(had)
    for name, value in _nulls(study).items():
        if nulls.get(name, value) != value:
            raise ConfigError(
                f"study.nulls.{name}: got {value:g}; in study {name_of_study} that is {nulls[name]:g}, and a variable "
                "has one null value; leave it out, or choose another study: study.name=NAME"
            )


def older_lines(store: Store, study: Stored) -> list[str]:
    """Say how many fits a study has in an older format, beside those that a newer fit has taken the place of."""
    facts = study.facts
    waiting = any(is_former(cell) and not cell.superseded for cell in study.cells)
    if not facts or (facts.get("schema", 1) >= SCHEMA_VERSION and not waiting):
        return []
    past = [cell for cell in study.cells if cell.superseded and is_former(cell)]
    known = {former_key(cell, int(facts["seed"]), number) for cell in past for number in range(cell.replicates)}
    count = sum(store.is_older(key) for key in store.fit_keys() if key not in known)
    if not count:
        return []
    return [
        f"{count} {'fit' if count == 1 else 'fits'} of an older format, whose keys and seeds were made in another way: "
        f"{verb('migrate', store.root)} keeps those that can be shown to be the same fits now; what is asked for of "
        f"the others is done again, and {verb('forget', store.root)} --superseded removes them"
    ]


def check_reference(cells: Sequence[CheckedCell], reference: str | None) -> None:
    """Refuse a reference that is no sampler and no cell of the study.

    Raises
    ------
    ConfigError
        With the names there are.
    """
    names = sorted({c.cell.sampler.name for c in cells} | {c.cell.label for c in cells})
    if reference is not None and reference not in names:
        hint = did_you_mean(reference, names)
        raise ConfigError(
            f"study.reference: no sampler or cell is called {reference!r}; {hint}there are {', '.join(names)}"
        )


def check_extended(stored: Stored, cells: Sequence[CheckedCell], study: StudyOptions) -> None:
    """Refuse a reference that would be no sampler and no cell of the study with these cells in it.

    Raises
    ------
    ConfigError
        With the names there are.
    """
    whole = meanings.extended(stored.cells, cells, study.seed, lambda _, __: "")
    check_reference(meanings.current(whole), study.reference)


def extend_design(
    store: Store, settings: Settings, cells: Sequence[CheckedCell], refused: Refusals | None = None
) -> tuple[tuple[CheckedCell, ...], StudyOptions]:
    """Write what the study consists of, and the config of each fit; cells of earlier commands stay in it.

    Parameters
    ----------
    store, settings, cells
        Of the study and the command.
    refused
        What the command cannot fit.

    Returns
    -------
    design : tuple of CheckedCell
        Every current cell of the study, under labels that tell all of them apart.
    study : StudyOptions
        What all commands together ask for.

    Raises
    ------
    ConfigError
        If ``study.reference`` is none of them, or as `joined_study`.
    """
    stored = read(store)  # another command may have ended since the plan was made
    study, seed = joined_study(stored, settings.study), settings.study.seed
    cells = stored.with_earlier_wants(cells, seed)
    whole = meanings.extended(stored.cells, cells, seed, functools.partial(_differences, store, seed))
    design = meanings.current(whole)
    check_reference(design, study.reference)
    for cell in cells:
        store.write_config(fit_key(cell, seed, 0), cell.cell.config)
    store.write_study(
        {
            "schema": SCHEMA_VERSION,
            "name": store.root.name,
            "seed": seed,
            "study": study,
            "generator": settings.generator and public(dataclasses.asdict(settings.generator)),
            "track": settings.track,
            "versions": versions(),
            "host": {"name": socket.gethostname(), "machine": platform.machine(), "system": platform.system()},
            "cells": [_written(cell) for cell in whole],
            "refused": [dataclasses.asdict(one) for one in (refused or Refusals()).after(refused_in(stored.facts))],
        }
    )
    return design, study


def _written(checked: CheckedCell) -> dict[str, Any]:
    """Return a cell as it is stored: without what is secret in the parameters of its functions."""
    targets = {name: public(dataclasses.asdict(getattr(checked.cell, name))) for name in ("model", "data", "sampler")}
    facts = dataclasses.asdict(checked)
    facts["cell"] |= targets
    if facts["simulation"]:
        facts["simulation"]["generator"] = public(facts["simulation"]["generator"])
    return facts


def _differences(store: Store, seed: int, old: CheckedCell, new: CheckedCell) -> str:
    lines = differences(
        old,
        new,
        old_data=functools.partial(stored_dataset, store.read_data, old.data_hash),
        new_data=functools.partial(stored_dataset, store.read_data, new.data_hash),
        drawn_with=lambda: (drawn_with(store, seed, old), versions()),
    )
    return ", ".join(lines)


def drawn_with(store: Store, seed: int, cell: CheckedCell) -> Mapping[str, str]:
    """Return the versions of packages that the first stored fit of a cell was drawn with; empty where there is none."""
    outcomes = (store.read_outcome(fit_key(cell, seed, replicate)) for replicate in range(cell.replicates))
    return next((outcome.versions for outcome in outcomes if outcome is not None and outcome.versions), {})


def drop_cells(store: Store, forgotten: Container[str]) -> list[str]:
    """Take the cells out of the design that a removal has left without a fit, and label the others anew.

    Parameters
    ----------
    store
        The study's folder.
    forgotten
        Keys of the fits that were removed.

    Returns
    -------
    list of str
        Labels of the cells that were taken out.
    """
    facts = store.read_study()
    left, out = list[CheckedCell](), list[CheckedCell]()
    for cell in cells_of(facts):
        keys = list(specs_of([cell], int(facts["seed"])))
        gone = any(key in forgotten for key in keys) and not any(map(store.has_fit, keys))
        (out if gone else left).append(cell)
    store.write_study(facts | {"cells": [_written(cell) for cell in meanings.named(left)]})
    return [cell.cell.label for cell in out]


def replace_cells(store: Store, pairs: Sequence[tuple[CheckedCell, CheckedCell]]) -> None:
    """Write cells of the design as they are now; one that the design has already is left out.

    Parameters
    ----------
    store
        The study's folder.
    pairs
        Each cell as the design has it, and as it is now.
    """
    if not pairs:
        return
    facts = store.read_study()
    seed = int(facts["seed"])
    now = {fit_key(before, seed, 0): cell for before, cell in pairs}
    keyed = [(fit_key(cell, seed, 0), cell) for cell in cells_of(facts)]
    own = {key for key, _ in keyed if key not in now}
    found: dict[str, CheckedCell] = {}
    for key, cell in keyed:
        new = now.get(key, cell)
        if key not in now or fit_key(new, seed, 0) not in own:
            found.setdefault(fit_key(new, seed, 0), new)
    store.write_study(facts | {"cells": [_written(cell) for cell in meanings.named(list(found.values()))]})


def read_study(store: Store) -> StudyOptions:
    """Read what a study asks for."""
    return _options(store.read_study())


def _options(facts: Mapping[str, Any]) -> StudyOptions:
    return TypeAdapter(StudyOptions).validate_python(facts.get("study", {}))


def read_design(store: Store) -> tuple[int, TrackOptions, tuple[CheckedCell, ...]]:
    """Read the design of a study: seed, tracking, and every cell, superseded ones too.

    Raises
    ------
    StoreError
        If the folder is no study, or study.json has something in it that bayesrun does not write.
    """
    facts = store.read_study()
    if not facts:
        others = sorted(path.parent.name for path in store.root.parent.glob("*/study.json"))
        hint = did_you_mean(store.root.name, others)
        raise StoreError(
            f"there is no study in {store.root}; {hint}{store.root.parent} has {', '.join(others) or 'none'}"
        )
    with _understood(store):
        refused_in(facts)
        _options(facts)
        return int(facts["seed"]), TypeAdapter(TrackOptions).validate_python(facts["track"]), cells_of(facts)
