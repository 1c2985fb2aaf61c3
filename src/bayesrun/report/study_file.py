"""What a study keeps about itself in study.json: what it asks, its design, and how often that was extended."""

from __future__ import annotations

import dataclasses
import json
import platform
import socket
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from bayesrun.base.machine import versions
from bayesrun.base.spelling import did_you_mean
from bayesrun.base.verb_hints import verb
from bayesrun.errors import ConfigError, StoreError
from bayesrun.planning import meanings
from bayesrun.planning.completion import with_earlier
from bayesrun.planning.keys import fit_key, specs_of
from bayesrun.statistics.measures import parse_decision, parse_decisions
from bayesrun.types import SCHEMA_VERSION, CheckedCell, Settings, StudyOptions, TrackOptions, canonical_json

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from bayesrun.store.folder import Store

__all__ = [
    "check_reference",
    "drop_cells",
    "extend_design",
    "joined_study",
    "older_lines",
    "read_design",
    "read_study",
    "replicates",
    "same_study",
    "stored_cells",
    "with_earlier_wants",
]


ONE_PER_STUDY = ("kind", "ranks")
"""What is the same for every cell of a study, because its tables have one of it."""


def same_study(store: Store, study: StudyOptions) -> None:
    """Refuse another seed on a study that exists, or another question.

    Raises
    ------
    ConfigError
        If the study has another one.
    """
    facts = store.read_study()
    known, seed = facts.get("seed", study.seed), study.seed
    had = facts.get("study", {})
    for name in ONE_PER_STUDY:
        given = json.loads(canonical_json(getattr(study, name)))
        if name in had and had[name] != given:
            raise ConfigError(
                f"study.{name}: got {given!r}; study {store.root.name} has {had[name]!r}, and a study has one; choose "
                "another name: study.name=NAME"
            )
    if known != seed:
        raise ConfigError(
            f"study.seed: got {seed}; study {store.root.name} has seed {known}, and a study has one; "
            "choose another name: study.name=NAME"
        )


def joined_study(store: Store, study: StudyOptions) -> StudyOptions:
    """Add what earlier commands asked of a study to what this one asks: levels, quantities and decisions.

    Raises
    ------
    ConfigError
        If a quantity or a decision has the name of another one, whose row or column of the tables it would be.
    """
    if not store.read_study():
        return study
    had = read_study(store)
    _refuse_namesakes(store, had, study)
    names = [decision.name for decision in parse_decisions(had.decisions)]
    rules = dict(zip(names, had.decisions, strict=True))
    new = (rule for rule in study.decisions if parse_decision(rule).name not in rules)
    return dataclasses.replace(
        study,
        levels=tuple(sorted({*had.levels, *study.levels})),
        quantities={**(had.quantities or {}), **(study.quantities or {})} or None,
        decisions=(*had.decisions, *new),
    )


def _refuse_namesakes(store: Store, had: StudyOptions, study: StudyOptions) -> None:
    paths = dict(had.quantities or {})
    rules = {decision.name: decision for decision in parse_decisions(had.decisions)}
    twins = [
        (f"quantities.{name}", path, paths[name]) for name, path in (study.quantities or {}).items() if name in paths
    ]
    read = parse_decisions(study.decisions)
    twins += [(f"decisions: {rule.name}", rule.text, rules[rule.name].text) for rule in read if rule.name in rules]
    for name, given, known in twins:
        if given != known:
            raise ConfigError(
                f"study.{name}: got {given!r}; in study {store.root.name} that is {known!r}, and a name means one "
                "thing; give it another name, or choose another study: study.name=NAME"
            )


def with_earlier_wants(store: Store, seed: int, cells: Sequence[CheckedCell]) -> tuple[CheckedCell, ...]:
    """Add to each cell the steps and summaries that earlier commands asked of the same fits."""
    return _with_wants(stored_cells(store), seed, cells)


def _with_wants(stored: Sequence[CheckedCell], seed: int, cells: Sequence[CheckedCell]) -> tuple[CheckedCell, ...]:
    known = {fit_key(cell, seed, 0): cell for cell in stored}
    return with_earlier(cells, known, [fit_key(cell, seed, 0) for cell in cells])


def stored_cells(store: Store) -> tuple[CheckedCell, ...]:
    """Read every cell of a study's design, superseded ones too; none where there is no study yet."""
    return _cells(store.read_study())


def older_lines(store: Store) -> list[str]:
    """Say how many fits a study has in an older format, whose keys and seeds are made in another way."""
    facts = store.read_study()
    if not facts or facts.get("schema", 1) >= SCHEMA_VERSION:
        return []
    count = sum(store.is_older(key) for key in store.fit_keys())
    if not count:
        return []
    return [
        f"{count} fits of an older format: keys and seeds are made in another way now, so what is asked for is done "
        f"again; {verb('forget', store.root)} --superseded removes the old ones"
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


def extend_design(store: Store, settings: Settings, cells: Sequence[CheckedCell]) -> tuple[CheckedCell, ...]:
    """Write what the study consists of, and the config of each fit; cells of earlier commands stay in it.

    Returns
    -------
    tuple of CheckedCell
        Every current cell of the study, under labels that tell all of them apart.

    Raises
    ------
    ConfigError
        If ``study.reference`` is none of them.
    """
    seed = settings.study.seed
    stored = stored_cells(store)
    cells = _with_wants(stored, seed, cells)  # another command may have ended since the plan was made
    whole = meanings.extended(stored, cells, seed)
    design = meanings.current(whole)
    check_reference(design, settings.study.reference)
    for cell in cells:
        store.write_config(fit_key(cell, seed, 0), cell.cell.config)
    store.write_study(
        {
            "schema": SCHEMA_VERSION,
            "name": store.root.name,
            "seed": seed,
            "study": settings.study,
            "generator": settings.generator,
            "track": settings.track,
            "versions": versions(),
            "host": {"name": socket.gethostname(), "machine": platform.machine(), "system": platform.system()},
            "cells": [dataclasses.asdict(cell) for cell in whole],
        }
    )
    return design


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
    for cell in _cells(facts):
        keys = list(specs_of([cell], int(facts["seed"])))
        gone = any(key in forgotten for key in keys) and not any(map(store.has_fit, keys))
        (out if gone else left).append(cell)
    store.write_study(facts | {"cells": [dataclasses.asdict(cell) for cell in meanings.named(left)]})
    return [cell.cell.label for cell in out]


def replicates(store: Store, seed: int) -> dict[str, int]:
    """Read how many replicates each cell of a study has, by the key of its first fit."""
    return {fit_key(cell, seed, 0): cell.replicates for cell in _cells(store.read_study())}


def read_study(store: Store) -> StudyOptions:
    """Read what a study asks for."""
    return TypeAdapter(StudyOptions).validate_python(store.read_study().get("study", {}))


def read_design(store: Store) -> tuple[int, TrackOptions, tuple[CheckedCell, ...]]:
    """Read the design of a study: seed, tracking, and every cell, superseded ones too.

    Raises
    ------
    StoreError
        If the folder is no study.
    """
    facts = store.read_study()
    if not facts:
        others = sorted(path.parent.name for path in store.root.parent.glob("*/study.json"))
        raise StoreError(f"there is no study in {store.root}; {store.root.parent} has {', '.join(others) or 'none'}")
    return int(facts["seed"]), TypeAdapter(TrackOptions).validate_python(facts["track"]), _cells(facts)


def _cells(facts: Mapping[str, Any]) -> tuple[CheckedCell, ...]:
    return TypeAdapter(tuple[CheckedCell, ...]).validate_python(facts.get("cells", ()))
