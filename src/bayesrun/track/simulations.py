"""Tracking of a simulation study: a child run for each cell, its replicates as steps; the parent says what was found.

Thousands of replicates are sent in few requests while they arrive. What a server does not get in time it gets when
the study is finished, or by `SimulationTracker.sync`: the tables of the study are the truth, and the journal says
what of them is there. It computes no measure, and single fits are tracked by `bayesrun.track.tracker`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bayesrun.errors import TrackError
from bayesrun.store.turns import whole
from bayesrun.track.cell_runs import STEP, CellRuns, log_new
from bayesrun.track.cells import content_hash, finite
from bayesrun.track.fit_runs import link_or_copy, run_status
from bayesrun.track.journal import Points, confirmations, confirmed_points
from bayesrun.track.names import distinct
from bayesrun.track.runs import MAX_METRICS, retag, upload
from bayesrun.track.server import is_gone
from bayesrun.track.writer import KILLED, Writer
from bayesrun.types import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import Run

    from bayesrun.store.folder import Store
    from bayesrun.track.cells import CellRun, StudyRun

__all__ = ["SimulationTracker", "is_written", "unsent"]

PACE = 30.0
"""Seconds after which replicates are sent that do not fill a request, so that a slow study can be watched."""

SHARE = 20.0
"""A study is left alone for this many times the seconds that sending took, so that many cells do not slow it."""

LAST = 1.0
"""Seconds for sending replicates where a signal ends the study: who sent it may not wait for many more."""

WHOLE = "simulation"
"""Stands for the whole study where the journal has the key of a fit."""


def unsent(store: Store, uri: str, study: StudyRun) -> int:
    """Count the replicates that an address has not confirmed as they are now; imports no MLflow.

    Parameters
    ----------
    store
        The study's folder.
    uri
        Tracking address. A SQLite file that is gone has confirmed nothing.
    study
        The study as it is now.
    """
    points = {} if is_gone(uri) else confirmed_points(store.journal, uri)
    return sum(len(points.get(cell.identity, Points("")).missing(cell.rows)) for cell in study.cells)


def is_written(store: Store, uri: str, study: StudyRun) -> bool:
    """Whether an address has confirmed exactly this study: replicates, aggregates, files; imports no MLflow.

    Parameters
    ----------
    store
        The study's folder.
    uri
        Tracking address. A SQLite file that is gone has confirmed nothing.
    study
        The study as it is now.
    """
    known = None if is_gone(uri) else confirmations(store.journal, uri).get(WHOLE)
    with whole(store.root):
        return known is not None and known.digest == study.digest(_hashes(study.files(store.root)))


def _hashes(files: Mapping[str, Path]) -> dict[str, str]:
    return {place: content_hash(path) for place, path in files.items() if path.is_file()}


@dataclass
class _Arrived:
    """Replicates of one cell that were not sent yet, and how many values they have."""

    label: str
    rows: dict[int, dict[str, float]] = field(default_factory=dict)
    size: int = 0


class SimulationTracker(Writer):
    """Writes the run of each cell, whose steps are its replicates, and that of their study; see `Writer`.

    Examples
    --------
    >>> tracker = SimulationTracker(store, uri, "bayesrun", "coverage")  # doctest: +SKIP
    >>> for outcome in arriving:  # doctest: +SKIP
    ...     tracker.record(outcome.cell, outcome.replicate, outcome.diagnostics)
    >>> tracker.finish(StudyRun(cells, description))  # doctest: +SKIP
    """

    part = WHOLE

    def _begin(self) -> None:
        self._runs = CellRuns(self.store, self._link)
        self._arrived: dict[str, _Arrived] = {}
        self._due = time.monotonic() + PACE

    def begin(self, cells: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
        """Open the runs of cells before they have a replicate, and that of their study.

        Parameters
        ----------
        cells
            Identity of each cell to its name and the parameters by which people compare cells.
        """
        self._reach(self.study, lambda _: self._changes())
        for identity, (label, params) in cells.items():
            self._begin_cell(identity, label, params)

    def _begin_cell(self, identity: str, label: str, params: Mapping[str, Any]) -> None:
        self._reach(label, lambda client: self._runs.begin(client, identity, label, params))

    def record(self, label: str, replicate: int, metrics: Mapping[str, float], *, key: str = "") -> None:
        """Take note of one replicate; it is sent when a request is full, or after half a minute.

        A server that cannot be reached is no error here: see `problem`.

        Parameters
        ----------
        label
            Name of the cell.
        replicate
            Number of the replicate, which is the step.
        metrics
            Diagnostics by name; values that are not finite are left out.
        key
            Identity of the cell, see `CellRun`; empty: the label.
        """
        identity = key or label
        names = distinct(metrics)
        row = {names[name]: value for name, value in finite(metrics).items()}
        if identity in self._arrived and self._arrived[identity].size + len(row) > MAX_METRICS:
            self._send([identity])
        arrived = self._arrived.setdefault(identity, _Arrived(label))
        arrived.rows[replicate] = row
        arrived.size += len(row)
        if time.monotonic() > self._due:
            self.flush()

    def flush(self) -> bool:
        """Send what was recorded; whether nothing is left."""
        start = time.monotonic()
        self._send(list(self._arrived))
        now = time.monotonic()
        self._due = now + max(PACE, SHARE * (now - start))
        return not self._arrived

    def stop(self) -> None:
        """Send what fits into a second, and say of the runs that are under way that they were killed."""
        start = time.monotonic()
        for identity in list(self._arrived):
            if time.monotonic() - start < LAST:
                self._send([identity])
        super().stop()

    def _kill(self, client: MlflowClient) -> None:
        super()._kill(client)
        self._runs.close(client, KILLED)

    def finish(self, study: StudyRun) -> bool:
        """Write what the study says now and close its runs; whether the server has confirmed all of it.

        May be called again as the study grows: only what is new is written, and nothing where nothing is.

        Parameters
        ----------
        study
            The study as it is now, with all of its cells.
        """
        if not self._arrived and is_written(self.store, self.uri, study):
            return True
        return self._write(study)

    def sync(self, study: StudyRun) -> int:
        """Send what an address does not have, also where its runs were deleted since.

        Parameters
        ----------
        study
            The study as it is now, with all of its cells.

        Returns
        -------
        int
            How many replicates were sent.

        Raises
        ------
        TrackError
            If the address cannot be used.
        """
        self._runs.forget()
        self._runs.sent = 0
        self._write(study)
        if self.problem is not None:
            raise TrackError(f"{self._runs.sent} replicates sent to MLflow, then: {self.problem}")
        return self._runs.sent

    def closing_line(self, study: StudyRun) -> str | None:
        """Say at the end what is not in MLflow yet, and what to do; None where all is."""
        if self.problem is None and not self.refused and is_written(self.store, self.uri, study):
            return None
        left = unsent(self.store, self.uri, study)
        what = f"{left} replicates are" if left else "some findings are"
        return self._not_yet(what)

    def _send(self, identities: Sequence[str]) -> None:
        for identity in identities:
            arrived, refusals = self._arrived[identity], len(self.refused)
            if self._append(identity, arrived) or len(self.refused) > refusals:  # it would be refused again
                del self._arrived[identity]

    def _append(self, identity: str, arrived: _Arrived) -> bool:
        def write(client: MlflowClient) -> None:
            self._link.reopen(client)
            self._runs.append(client, identity, arrived.label, arrived.rows)

        return self._reach(arrived.label, write)

    def _write(self, study: StudyRun) -> bool:
        self.flush()
        complete = all([self._write_cell(cell) for cell in study.cells])
        return self._reach(self.study, lambda client: self._close(client, study, complete=complete)) and complete

    def _write_cell(self, cell: CellRun) -> bool:
        return self._reach(cell.label, lambda client: self._runs.write(client, cell))

    def _reach(self, what: str, write: Callable[[MlflowClient], None]) -> bool:
        done = False
        try:
            done = self._link.reach(what, write)
        finally:
            if not done:  # also where the user interrupted it
                self._runs.forget()
        return done

    def _close(self, client: MlflowClient, study: StudyRun, *, complete: bool) -> None:
        """Write and close the parent run; `complete`: the runs of all cells are written."""
        run = client.get_run(self._link.parent)
        with self._staged() as staged:
            hashes = self._stage(study, staged)
            self._upload(client, run, hashes, study.texts, staged)
        step = log_new(client, run, study.values, max((len(cell.rows) for cell in study.cells), default=0))
        retag(client, run, self._link.said("study") | study.tags | {STEP: str(step)}, ("bayesrun.", "study."))
        self._link.close(client, run_status(study.state))
        if complete:
            self._runs.confirm(WHOLE, run.info.run_id, study.digest(hashes))

    def _stage(self, study: StudyRun, staged: Path) -> dict[str, str]:
        """Gather the files of the parent run as they are at one moment; return their content hashes."""
        with whole(self.store.root):
            files = study.files(self.store.root)
            there = {place: path for place, path in files.items() if path.is_file()}
            for place, path in there.items():
                (staged / place).parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(path, staged / place)
        self.refused.extend(f"{place}: there is no such file" for place in files if place not in there)
        return {place: content_hash(staged / place) for place in there}

    def _upload(
        self, client: MlflowClient, run: Run, hashes: Mapping[str, str], texts: Mapping[str, str], staged: Path
    ) -> None:
        """Send the files and texts that the parent run does not have with the same content."""
        run_id = run.info.run_id
        digests = {**hashes, **{place: digest(text) for place, text in texts.items()}}
        self._runs.load(client)
        new = {place: d for place, d in digests.items() if not self._runs.holds(f"file {place}", run_id, d)}
        for place in hashes.keys() - new.keys():
            (staged / place).unlink()
        for place in texts.keys() & new.keys():
            (staged / place).write_text(texts[place], encoding="utf-8")
        if new:
            upload(client, run, staged)
        for place, found in new.items():
            self._runs.confirm(f"file {place}", run_id, found)
