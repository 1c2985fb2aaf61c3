"""A study's MLflow runs: what they are told while fits arrive and at the end.

The store is the truth; MLflow is told afterwards, by the driver alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesrun import track
from bayesrun.base import stop_signals
from bayesrun.base.messages import in_one_line
from bayesrun.base.verb_hints import verb
from bayesrun.errors import TrackError
from bayesrun.planning.keys import fit_key
from bayesrun.report.not_fitted import COUNTED, TABLE, refused_lines
from bayesrun.report.superseded import both

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pandas as pd

    from bayesrun.report.real_data import Row
    from bayesrun.report.verdict import Ending
    from bayesrun.store.folder import Store
    from bayesrun.types import CheckedCell, StudyOptions, TrackOptions

__all__ = ["Careful", "Recorder", "SimulationRecorder", "Synced", "recorder"]

OLDER = "MLflow was told by a command that read the fits later"


def recorder(store: Store, study: StudyOptions, options: TrackOptions) -> Recorder | SimulationRecorder:
    """Return what tells MLflow of a study: a run for each fit, or for each cell of simulated data."""
    kind = Recorder if study.kind == "fit" else SimulationRecorder
    return kind(store, options, store.root.parent)


class Careful:
    """Tells MLflow as a recorder does; what fails there costs its runs and nothing else.

    Parameters
    ----------
    recorder
        That of the study.
    """

    def __init__(self, recorder: Recorder | SimulationRecorder) -> None:
        self.recorder = recorder
        self.failed = ""

    def check(self) -> None:
        """Make sure, before any fit, that runs can be written."""
        self.recorder.check()

    def begin(self, cells: Iterable[CheckedCell]) -> None:
        """Open the runs of what is begun."""
        cells = list(cells)
        self._attempt(lambda: self.recorder.begin(cells))

    def stop(self) -> None:
        """Say of the runs that are open that they were killed; nothing more, as there may be no time for it."""
        self._attempt(self.recorder.stop)

    def tell(self, row: Row) -> None:
        """Record one fit, unless an earlier one could not be."""
        if not self.failed:
            self._attempt(lambda: self.recorder.tell(row))

    def finish(self, end: Ending) -> list[str]:
        """Record what is left and close the runs; the lines say what is not in MLflow."""
        lines: list[str] = []
        self.failed = ""
        self._attempt(lambda: lines.extend(self.recorder.finish(end)))
        if not self.failed:
            return lines
        return [f"no tracking: failed: {self.failed}; {verb('sync', self.recorder.store.root)} tells MLflow"]

    def _attempt(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception as error:  # noqa: BLE001 - the store is the truth, and fits are worth more than their runs
            self.failed = in_one_line(error)


def check_server(options: TrackOptions, output: Path) -> None:
    """Make sure that runs could be written, without making a file: of a database that is not there its place is tried.

    Raises
    ------
    TrackError
        If the address cannot be used, with the remedy.
    """
    uri = options.uri or track.default_uri(output)
    if options.enabled:
        (track.check_place if track.is_gone(uri) else track.check)(uri)


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


class _Recorder[T: track.Tracker | track.SimulationTracker]:
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

    kind: type[T]

    def __init__(self, store: Store, options: TrackOptions, output: Path) -> None:
        self.store = store
        self.uri = options.uri or track.default_uri(output)
        self.tracker: T | None = None
        if options.enabled:
            self.tracker = self.kind(store, self.uri, options.experiment, store.root.name, tags=_commit())

    def check(self) -> None:
        """Make sure, before any fit, that runs can be written."""
        if self.tracker is not None:
            track.check(self.uri)

    def stop(self) -> None:
        """Say of the runs that are open that they were killed."""
        if self.tracker is not None:
            self.tracker.stop()

    @contextlib.contextmanager
    def _to_its_end(self) -> Iterator[None]:
        """Say of the runs that are open that they were killed, where what is said of them does not come to its end."""
        try:
            yield
        except BaseException:
            with stop_signals.held():
                self.stop()
            raise

    def where(self) -> str:
        """Say how to look at the runs."""
        return track.ui_command(self.uri, self.tracker.experiment_id if self.tracker else "")

    @property
    def shown(self) -> str:
        """The address as it may be shown: without credentials."""
        return track.public_uri(self.uri)

    def _lines(self, left: str | None) -> list[str]:
        """Say what is not in MLflow, or else where to look at what is."""
        return [left] if left else [f"runs: {self.where()}"]

    def _mark(self, tracker: T, end: Ending) -> None:
        """Tag the runs of what is superseded."""
        current, old = both(self.store)
        tracker.mark_superseded(old, current, end.state)

    @contextlib.contextmanager
    def _turn(self, end: Ending) -> Iterator[None]:
        """Wait for the turn to tell the server what was read, or raise where a later command has told it."""
        with end.turn.at(self.uri) as latest:
            if not latest:
                raise TrackError(f"nothing was sent: {OLDER}")
            yield


class Recorder(_Recorder[track.Tracker]):
    """Tells MLflow of a study of fits, each of which has a run."""

    kind = track.Tracker

    def begin(self, cells: Iterable[CheckedCell]) -> None:
        """Open the run of the study; a fit has one when it is done."""
        del cells
        if self.tracker is not None:
            self.tracker.begin()

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
            self._mark(self.tracker, end)
        return self._lines(self.tracker.closing_line(found))

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
        with self._turn(end), self._to_its_end():
            sent = track.sync(self.tracker, found.records)
            self.tracker.finish(found)
            self._mark(self.tracker, end)
        left = len(track.pending(self.store, self.uri, found.records))
        return Synced(sent, len(found.records) - left - sent, left, "; ".join(self.tracker.refused[:3]))


class SimulationRecorder(_Recorder[track.SimulationTracker]):
    """Tells MLflow of a simulation study, each cell of which has a run."""

    kind = track.SimulationTracker

    def __init__(self, store: Store, options: TrackOptions, output: Path) -> None:
        super().__init__(store, options, output)
        self._identities: dict[str, str] = {}

    def begin(self, cells: Iterable[CheckedCell]) -> None:
        """Open the runs of cells, and that of their study."""
        if self.tracker is not None:
            self.tracker.begin({self._identity(one): (one.cell.label, _params(one)) for one in cells})

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
            self._mark(self.tracker, end)
        return self._lines(self.tracker.closing_line(study))

    def sync(self, end: Ending) -> Synced:
        """Send everything that the server does not have; return how many replicates it has, and had."""
        if self.tracker is None:
            return Synced()
        self.check()
        with self._turn(end), self._to_its_end():
            study = self._study(end)
            sent = self.tracker.sync(study)
            self._mark(self.tracker, end)
        left = track.unsent(self.store, self.uri, study)
        there = sum(len(cell.rows) for cell in study.cells)
        return Synced(sent, there - left - sent, left, "; ".join(self.tracker.refused[:3]))

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
                tags={"study": self.store.root.name, **_absent(tables["fits"], checked.cell.label)},
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
            facts=end.facts | {TABLE: "; ".join(refused_lines(end.refused))},
            artifacts=(self.store.tables, *end.files),
            verdicts=track.verdicts(tables) | {COUNTED: len(end.refused)},
            state=end.state,
        )


def _params(checked: CheckedCell) -> dict[str, Any]:
    cell = checked.cell
    names = {"model": cell.model.name, "data": cell.data.name, "sampler": cell.sampler.name}
    options = {"draws": cell.options.draws, "chains": cell.options.chains}
    return {**names, **options, **_part(checked), **_read(checked), **cell.overrides}


def _part(checked: CheckedCell) -> dict[str, str]:
    """Say which rows of a table a dataset is, as the table writes it: a name is cut and has no blanks."""
    params = checked.cell.data.params
    return {f"data.{key}": str(params[key]) for key in ("by", "level") if params.get(key) is not None}


def _read(checked: CheckedCell) -> dict[str, str]:
    """How the data were read: events, missing words, rows left out."""
    return {"data.read": "; ".join(checked.notes)} if checked.notes else {}


def _absent(fits: pd.DataFrame, label: str) -> dict[str, str]:
    """Say which steps the fits of a cell do not have, and of how many."""
    if "absent" not in fits:
        return {}
    counts = fits.loc[fits["cell"] == label, "absent"].value_counts()
    told = "; ".join(f"{text} ({count} fits)" for text, count in counts.items() if text)
    return {"bayesrun.absent": told} if told else {}


def _commit() -> dict[str, str]:
    commit = track.git_commit(Path.cwd())
    return {"git_commit": commit} if commit else {}


def _fits(end: Ending) -> track.FitsRun:
    assert end.findings is not None
    missing = sum(standing.missing for standing in end.standings.values())
    told = "; ".join(refused_lines(end.refused))
    return track.FitsRun(
        [_record(row) for row in end.rows], end.findings.by_name(), missing, end.state, len(end.refused), told
    )


def _record(row: Row) -> track.Record:
    cell = row.checked.cell
    facts = {"data": {"": cell.data.name}, **_part(row.checked), **_read(row.checked), **cell.overrides}
    return track.Record(row.spec, row.outcome, row.verdict, facts)
