"""What a study keeps about itself in study.json: what it asks, its design, and how often that was extended."""

from __future__ import annotations

import dataclasses
import json
import platform
import socket
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from bayesrun.base.cell_labels import labelled
from bayesrun.base.machine import versions
from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import ConfigError, StoreError
from bayesrun.planning.keys import fit_key
from bayesrun.types import CheckedCell, Settings, StudyOptions, TrackOptions, canonical_json, digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayesrun.store.folder import Store

__all__ = [
    "check_reference",
    "extend_design",
    "read_design",
    "read_study",
    "replicates",
    "same_study",
]


ONE_PER_STUDY = ("kind", "levels", "ranks", "decisions", "quantities")
"""What is the same for every cell of a study, because its tables have one row or column for it."""


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
        Every cell of the study, under labels that tell all of them apart.

    Raises
    ------
    ConfigError
        If ``study.reference`` is none of them.
    """
    seed = settings.study.seed
    known = {fit_key(cell, seed, 0): cell for cell in _cells(store.read_study())}
    for cell in cells:
        key = fit_key(cell, seed, 0)
        replicates = max(cell.replicates, known[key].replicates if key in known else 1)
        known[key] = dataclasses.replace(cell, replicates=replicates)
    design = _named(list(known.values()))
    check_reference(design, settings.study.reference)
    for cell in cells:
        store.write_config(fit_key(cell, seed, 0), cell.cell.config)
    store.write_study(
        {
            "name": store.root.name,
            "seed": seed,
            "study": settings.study,
            "generator": settings.generator,
            "track": settings.track,
            "versions": versions(),
            "host": {"name": socket.gethostname(), "machine": platform.machine(), "system": platform.system()},
            "cells": [dataclasses.asdict(cell) for cell in design],
        }
    )
    return design


def replicates(store: Store, seed: int) -> dict[str, int]:
    """Read how many replicates each cell of a study has, by the key of its first fit."""
    return {fit_key(cell, seed, 0): cell.replicates for cell in _cells(store.read_study())}


def read_study(store: Store) -> StudyOptions:
    """Read what a study asks for."""
    return TypeAdapter(StudyOptions).validate_python(store.read_study().get("study", {}))


def read_design(store: Store) -> tuple[int, TrackOptions, tuple[CheckedCell, ...]]:
    """Read the design of a study: seed, tracking, and every cell.

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


def _named(cells: Sequence[CheckedCell]) -> tuple[CheckedCell, ...]:
    """Label all cells anew; two recipes that state the same, since a source or the data changed, get their key."""
    names = labelled([checked.cell for checked in cells])
    twice = {cell.label for cell in names if [other.label for other in names].count(cell.label) > 1}
    return tuple(
        dataclasses.replace(
            checked,
            cell=dataclasses.replace(cell, label=f"{cell.label} {digest(checked, 8)}") if cell.label in twice else cell,
        )
        for checked, cell in zip(cells, names, strict=True)
    )
