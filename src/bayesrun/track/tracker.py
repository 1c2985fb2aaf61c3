"""Runs: finding, making and updating the run of a study and those of its fits."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from bayesrun.errors import TrackError
from bayesrun.track.fit_runs import (
    MAX_TAG,
    FitsRun,
    Record,
    finished_at,
    metrics,
    params,
    run_status,
    stage_fit,
    stage_table,
    table_tag,
    tags,
)
from bayesrun.track.journal import Confirmation, confirm, confirmations, public_uri
from bayesrun.track.runs import log, quoted, retag, upload
from bayesrun.track.server import failures, is_gone, one_line
from bayesrun.track.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlflow import MlflowClient
    from mlflow.entities import Run

    from bayesrun.store.folder import Store

__all__ = ["Tracker", "is_closed", "pending", "sync"]

STUDY = "study"
"""Stands for the parent run where the journal has the key of a fit."""
NOT_FITTED = "bayesrun.not_fitted"
"""Tag of the parent run that names the datasets that cannot be fitted."""


def pending(store: Store, uri: str, records: Iterable[Record]) -> list[Record]:
    """Find the fits that an address has not confirmed as they are now; imports no MLflow.

    Parameters
    ----------
    store
        The study's folder.
    uri
        Tracking address. A SQLite file that is gone has confirmed nothing.
    records
        Every finished fit of the study.
    """
    known = {} if is_gone(uri) else confirmations(store.journal, uri)
    return [r for r in records if r.spec.key not in known or known[r.spec.key].digest != r.digest]


def is_closed(store: Store, uri: str, study: FitsRun) -> bool:
    """Whether the parent run was closed with exactly these fits and tables; imports no MLflow.

    Parameters
    ----------
    store
        The study's folder.
    uri
        Tracking address.
    study
        The study as it is now.
    """
    known = confirmations(store.journal, uri).get(STUDY)
    return known is not None and known.digest == study.digest


def sync(tracker: Tracker, records: Sequence[Record]) -> int:
    """Send what an address does not have, also where its runs were deleted since; return how many were sent.

    Raises
    ------
    TrackError
        If the address cannot be used.
    """
    there = tracker.recorded()
    waiting = {record.spec.key for record in pending(tracker.store, tracker.uri, records)}
    wanted = [r for r in records if r.spec.key in waiting or r.spec.key not in there]
    sent = sum(tracker.record(record) for record in wanted)
    if tracker.problem is not None:
        raise TrackError(f"{sent} of {len(wanted)} fits sent to MLflow, then: {tracker.problem}")
    return sent


class Tracker(Writer):
    """Writes the run of each fit and that of their study; see `Writer`."""

    part = STUDY

    def _begin(self) -> None:
        self._fresh = False
        self._known: dict[str, Confirmation] | None = None  # not read yet

    def begin(self) -> bool:
        """Open the parent run before there is a fit; whether the server has confirmed it."""
        return self._link.reach(self.study, lambda _: self._changes())

    def record(self, record: Record) -> bool:
        """Write the run of one fit, new or again; whether the server has confirmed it.

        A server that cannot be reached is no error here: see `problem`.
        """
        taken = self._link.reach(record.outcome.cell, lambda client: self._record(client, record))
        self._fresh = self._fresh and taken  # a run may be half there
        return taken

    def finish(self, study: FitsRun) -> bool:
        """Close the parent run: tables as artifacts, counts as metrics; whether the server has confirmed it."""
        return self._link.reach(self.study, lambda client: self._finish(client, study))

    def closing_line(self, study: FitsRun) -> str | None:
        """Say at the end how many fits are not in MLflow yet, and what to do; None where all are."""
        left = len(pending(self.store, self.uri, study.records))
        if not left and self.problem is None and not self.refused:
            return None
        return self._not_yet(f"{left} fits are")

    def recorded(self) -> set[str]:
        """Keys of the fits of this study that the server has a run of.

        Raises
        ------
        TrackError
            If the address cannot be used.
        """
        try:
            client = self._link.connect()
            return {run.data.tags.get("bayesrun.key", "") for run in self._link.search(client, "fit")}
        except failures() as error:
            raise TrackError(f"MLflow at {public_uri(self.uri)}: {one_line(error)}") from None

    def _open(self, client: MlflowClient) -> dict[str, Confirmation]:
        if self._known is None:
            self._known = confirmations(self.store.journal, self.uri)
            # spares a search for each fit of a new study; the parent alone may have been deleted
            self._fresh = self._link.new_parent and next(self._link.search(client, "fit"), None) is None
        return self._known

    def _find(self, client: MlflowClient, key: str) -> Run | None:
        """Find the run of a fit: by the journal, else by its tag; a deleted run counts as none."""
        known = self._open(client).get(key)
        if self._fresh:
            return None
        if known is not None:
            from mlflow.exceptions import MlflowException

            with contextlib.suppress(MlflowException):
                run = client.get_run(known.run_id)
                if run.info.lifecycle_stage == "active":
                    return run
        return next(self._link.search(client, "fit", f"tags.`bayesrun.key` = {quoted(key)}"), None)

    def _record(self, client: MlflowClient, record: Record) -> None:
        outcome = record.outcome
        if outcome.status == "done" and outcome.checksum:
            self.store.require_whole(outcome.key)
        folder = self.store.fit_folder(outcome.key)
        end = finished_at(folder)
        said = self._link.said("fit") | {"mlflow.parentRunId": self._link.parent} | tags(record)
        wanted = params(record)
        run = self._find(client, outcome.key)
        if run is None:
            name = outcome.cell if not outcome.replicate else f"{outcome.cell} #{outcome.replicate}"
            start = end - round(1000 * sum(outcome.seconds.values()))
            run = client.create_run(self._link.experiment_id, start_time=start, tags=said, run_name=name)
        else:
            retag(client, run, said)
            wanted = {name: value for name, value in wanted.items() if name not in run.data.params}  # never change
        log(client, run.info.run_id, metrics(outcome), wanted)
        with self._staged() as staged:
            stage_fit(folder, staged, failed=outcome.status == "failed")
            upload(client, run, staged)
        client.set_terminated(run.info.run_id, "FINISHED" if outcome.status == "done" else "FAILED", end)
        confirmation = Confirmation(public_uri(self.uri), outcome.key, run.info.run_id, record.digest)
        confirm(self.store.journal, confirmation)
        self._open(client)[outcome.key] = confirmation

    def _finish(self, client: MlflowClient, study: FitsRun) -> None:
        parent = client.get_run(self._link.parent)
        run_id, tables = parent.info.run_id, study.tables
        log(client, run_id, study.counts)
        with self._staged() as staged:
            for name, frame in tables.items():
                stage_table(frame, staged, name)
            upload(client, parent, staged)
        said: dict[str, str] = {"bayesrun.verdict": study.state}
        said |= {NOT_FITTED: study.why_not[:MAX_TAG]} if study.why_not else {}
        log(client, run_id, tags=said | ({"mlflow.loggedArtifacts": table_tag(tables)} if tables else {}))
        if NOT_FITTED in parent.data.tags and NOT_FITTED not in said:
            client.delete_tag(run_id, NOT_FITTED)
        self._link.close(client, run_status(study.state))
        confirm(self.store.journal, Confirmation(public_uri(self.uri), STUDY, run_id, study.digest))
