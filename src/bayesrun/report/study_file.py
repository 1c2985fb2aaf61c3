"""What a study keeps about itself while it runs: its design in study.json, its failures, its MLflow runs.

The store is the truth; MLflow is told afterwards, by the driver alone.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from bayesrun import track
from bayesrun.base.cell_labels import labelled
from bayesrun.base.machine import versions
from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import ConfigError, StoreError, TrackError
from bayesrun.planning.batches import fit_key
from bayesrun.types import CheckedCell, Settings, StudyOptions, TrackOptions, canonical_json, digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayesrun.report.real_data import Row
    from bayesrun.report.verdict import Ending
    from bayesrun.store.folder import Store

__all__ = [
    "Recorder",
    "Synced",
    "check_reference",
    "extend_design",
    "read_design",
    "read_study",
    "recorder",
    "replicates",
    "same_study",
]


OLDER = "MLflow was told by a command that read the fits later"
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


def recorder(store: Store, study: StudyOptions, options: TrackOptions) -> Recorder | SimulationRecorder:
    """Return what tells MLflow of a study: a run for each fit, or for each cell of simulated data."""
    kind = Recorder if study.kind == "fit" else SimulationRecorder
    return kind(store, options, store.root.parent)


@dataclasses.dataclass(frozen=True)
class Synced:
    """What became of the fits of a study that have an outcome when a server was told of all of them.

    Parameters
    ----------
    sent
        Those that were sent now and that the server confirmed.
    there
        Those that it had confirmed before, and has.
    left
        Those that it has not confirmed.
    why
        Why not, where it said so.
    """

    sent: int = 0
    there: int = 0
    left: int = 0
    why: str = ""

    def told(self, planned: int) -> str:
        """Say it for people, of a study of so many planned fits."""
        none = planned - self.sent - self.there - self.left
        parts = [f"{self.sent} fits sent", f"{self.there} were there"]
        parts += [f"{self.left} not taken ({self.why or 'not confirmed'})"] if self.left else []
        parts += [f"{none} of the {planned} planned do not exist yet"] if none else []
        return ", ".join(parts)


class Recorder:
    """Tells MLflow of a study, or nothing where tracking is off.

    Parameters
    ----------
    store
        The study's folder.
    options
        Whether and where.
    output
        The output folder, where the default database lies.
    """

    def __init__(self, store: Store, options: TrackOptions, output: Path) -> None:
        self.store = store
        self.uri = options.uri or track.default_uri(output)
        self.tracker = (
            track.Tracker(store, self.uri, options.experiment, store.root.name, tags=_commit())
            if options.enabled
            else None
        )

    def check(self) -> None:
        """Make sure, before any fit, that runs can be written."""
        if self.tracker is not None:
            track.check(self.uri)

    def tell(self, row: Row) -> None:
        """Record one fit."""
        if self.tracker is not None:
            self.tracker.record(_record(row))

    def finish(self, end: Ending) -> list[str]:
        """Record what is not confirmed yet and close the parent run.

        Returns
        -------
        list of str
            Lines for people: what is not in MLflow, and where to look at what is.
        """
        if self.tracker is None or end.findings is None:
            return []
        found = _fits(end)
        with end.turn.at(self.uri) as latest:
            if not latest:
                return [OLDER]
            waiting = track.pending(self.store, self.uri, found.records)
            if waiting or not track.is_closed(self.store, self.uri, found):
                for record in waiting:
                    self.tracker.record(record)
                self.tracker.finish(found)
        line = self.tracker.closing_line(found)
        return [line] if line else [f"runs: {self.where()}"]

    def where(self) -> str:
        """Say how to look at the runs."""
        return track.ui_command(self.uri, self.tracker.experiment_id if self.tracker else "")

    @property
    def shown(self) -> str:
        """The address as it may be shown: without credentials."""
        return track.public_uri(self.uri)

    def sync(self, end: Ending) -> Synced:
        """Send everything that the server does not have; return how many fits it has, and had.

        Raises
        ------
        TrackError
            If the server cannot be used, or a command that read the fits later told it.
        """
        if self.tracker is None or end.findings is None:
            return Synced()
        self.check()
        found = _fits(end)
        with end.turn.at(self.uri) as latest:
            if not latest:
                raise TrackError(f"nothing was sent: {OLDER}")
            sent = track.sync(self.tracker, found.records)
            self.tracker.finish(found)
        left = len(track.pending(self.store, self.uri, found.records))
        return Synced(sent, len(found.records) - left - sent, left, "; ".join(self.tracker.refused[:3]))


class SimulationRecorder:
    """Tells MLflow of a simulation study, or nothing where tracking is off; see `Recorder`."""

    def __init__(self, store: Store, options: TrackOptions, output: Path) -> None:
        self.store = store
        self.uri = options.uri or track.default_uri(output)
        self._identities: dict[str, str] = {}
        self.tracker = (
            track.SimulationTracker(store, self.uri, options.experiment, store.root.name, tags=_commit())
            if options.enabled
            else None
        )

    def check(self) -> None:
        """Make sure, before any fit, that runs can be written."""
        if self.tracker is not None:
            track.check(self.uri)

    def tell(self, row: Row) -> None:
        """Record one replicate."""
        if self.tracker is not None and row.outcome.status == "done":
            seconds = sum(row.outcome.seconds.values())
            facts = {**row.outcome.diagnostics, "seconds": seconds, "converged": float(row.verdict.passed)}
            self.tracker.record(row.spec.cell, row.spec.replicate, facts, key=self._identity(row.checked))

    def finish(self, end: Ending) -> list[str]:
        """Write what the study says now and close its runs."""
        if self.tracker is None or end.results is None:
            return []
        study = self._study(end)
        with end.turn.at(self.uri) as latest:
            if not latest:
                return [OLDER]
            self.tracker.finish(study)
        line = self.tracker.closing_line(study)
        return [line] if line else [f"runs: {self.where()}"]

    def sync(self, end: Ending) -> Synced:
        """Send everything that the server does not have; return how many replicates it has, and had."""
        if self.tracker is None:
            return Synced()
        self.check()
        with end.turn.at(self.uri) as latest:
            if not latest:
                raise TrackError(f"nothing was sent: {OLDER}")
            study = self._study(end)
            sent = self.tracker.sync(study)
        left = track.unsent(self.store, self.uri, study)
        there = sum(len(cell.rows) for cell in study.cells)
        return Synced(sent, there - left - sent, left, "; ".join(self.tracker.refused[:3]))

    def where(self) -> str:
        """Say how to look at the runs."""
        return track.ui_command(self.uri, self.tracker.experiment_id if self.tracker else "")

    @property
    def shown(self) -> str:
        """The address as it may be shown: without credentials."""
        return track.public_uri(self.uri)

    def _identity(self, checked: CheckedCell) -> str:
        """Return what stands for a cell: the key of its first replicate."""
        label = checked.cell.label
        if label not in self._identities:
            self._identities[label] = fit_key(checked, int(self.store.read_study()["seed"]), 0)
        return self._identities[label]

    def _study(self, end: Ending) -> track.StudyRun:
        assert end.results is not None
        tables = end.results.tables
        cells = [
            track.CellRun(
                label=checked.cell.label,
                params=_params(checked),
                tags={"study": self.store.root.name},
                aggregates=track.aggregates(tables, checked.cell.label),
                metrics=track.replicate_metrics(tables["fits"], checked.cell.label),
                key=self._identity(checked),
                state=end.states[checked.cell.label],
            )
            for checked in end.cells
        ]
        return track.StudyRun(
            cells,
            description=end.text,
            facts=end.facts,
            artifacts=(self.store.tables, *end.files),
            verdicts=track.verdicts(tables),
            state=end.state,
        )


def _params(checked: CheckedCell) -> dict[str, Any]:
    cell = checked.cell
    names = {"model": cell.model.name, "data": cell.data.name, "sampler": cell.sampler.name}
    return {**names, "draws": cell.options.draws, "chains": cell.options.chains, **_read(checked), **cell.overrides}


def _read(checked: CheckedCell) -> dict[str, str]:
    """How the data were read: events, missing words, rows left out."""
    return {"data.read": "; ".join(checked.notes)} if checked.notes else {}


def _commit() -> dict[str, str]:
    commit = track.git_commit(Path.cwd())
    return {"git_commit": commit} if commit else {}


def _fits(end: Ending) -> track.FitsRun:
    assert end.findings is not None
    missing = sum(standing.missing for standing in end.standings.values())
    return track.FitsRun([_record(row) for row in end.rows], end.findings.by_name(), missing, end.state)


def _record(row: Row) -> track.Record:
    cell = row.checked.cell
    facts = {"data": {"": cell.data.name}, **_read(row.checked), **cell.overrides}
    return track.Record(row.spec, row.outcome, row.verdict, facts)
