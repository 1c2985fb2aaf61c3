"""Runs: finding, making and updating the run of a study and those of its fits."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bayesrun.errors import TrackError
from bayesrun.track.journal import Confirmation, confirm, confirmations, public_uri
from bayesrun.track.records import (
    MAX_TAG,
    Record,
    finished_at,
    metrics,
    params,
    stage_fit,
    stage_table,
    table_tag,
    tags,
)
from bayesrun.track.server import connect, failures, find_experiment, is_refusal, one_line, sqlite_file
from bayesrun.types import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run, RunTag

    from bayesrun.store import Store

__all__ = ["Tracker", "is_closed", "pending", "sync"]

RETRY_AFTER = 60.0
"""Seconds before a server that could not be reached is tried again."""

STUDY = "study"
"""Stands for the parent run where the journal has the key of a fit."""


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
    database = sqlite_file(uri)
    gone = database is not None and not database.exists()
    known = {} if gone else confirmations(store.journal, uri)
    return [r for r in records if r.spec.key not in known or known[r.spec.key].digest != r.digest]


def is_closed(store: Store, uri: str, records: Iterable[Record]) -> bool:
    """Whether the parent run was closed with exactly these fits; imports no MLflow.

    Parameters
    ----------
    store
        The study's folder.
    uri
        Tracking address.
    records
        Every finished fit of the study.
    """
    known = confirmations(store.journal, uri).get(STUDY)
    return known is not None and known.digest == _digest(records)


def _digest(records: Iterable[Record]) -> str:
    return digest(sorted(f"{record.spec.key} {record.digest}" for record in records))


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


class Tracker:
    """The one writer of a study's runs; it connects when the first fit is recorded.

    Parameters
    ----------
    store
        The study's folder.
    uri
        Tracking address.
    experiment
        Name of the MLflow experiment; it is made when it does not exist.
    study
        Name of the study, which is the name of the parent run.
    description
        What the parent run says of the study, Markdown.
    tags
        More tags for all runs (git commit, versions).

    Attributes
    ----------
    problem
        Why nothing can be written, one line; None while all is well. A server that cannot be reached is
        left alone for a minute, so that the study goes on, and then tried again.
    refused
        One line for each fit that the server would not take.
    """

    def __init__(
        self,
        store: Store,
        uri: str,
        experiment: str,
        study: str,
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.store = store
        self.uri = uri
        self.experiment = experiment
        self.study = study
        self.description = description
        self.tags = dict(tags or {})
        self.problem: str | None = None
        self.refused: list[str] = []
        self.experiment_id = ""
        self._mlflow: MlflowClient | None = None
        self._parent = ""
        self._fresh = False
        self._retry_at = 0.0
        self._known: dict[str, Confirmation] = {}

    def record(self, record: Record) -> bool:
        """Write the run of one fit, new or again; whether the server has confirmed it.

        A server that cannot be reached is no error here: see `problem`.
        """
        return self._reach(record.outcome.cell, lambda client: self._record(client, record))

    def finish(self, tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> bool:
        """Close the parent run: tables as artifacts, counts as metrics; whether the server has confirmed it.

        Parameters
        ----------
        tables
            Name to table (outcomes, comparison, agreement); each becomes a JSON table and a CSV file.
        records
            Every fit of the study, for the counts n_done, n_failed and n_passed.
        """
        return self._reach(self.study, lambda client: self._finish(client, tables, records))

    def closing_line(self, records: Sequence[Record]) -> str | None:
        """Say at the end how many fits are not in MLflow yet, and what to do; None where all are."""
        left = len(pending(self.store, self.uri, records))
        if not left and self.problem is None and not self.refused:
            return None
        why = self.problem or "; ".join(self.refused[:3]) or "the study was stopped"
        return f"{left} fits are not in MLflow yet ({why}); later: bayesrun sync {self.study}"

    def recorded(self) -> set[str]:
        """Keys of the fits of this study that the server has a run of.

        Raises
        ------
        TrackError
            If the address cannot be used.
        """
        try:
            client = self._connect()
            return {run.data.tags.get("bayesrun.key", "") for run in self._search(client, self._of("fit"))}
        except failures() as error:
            raise TrackError(f"MLflow at {public_uri(self.uri)}: {one_line(error)}") from None

    def _reach(self, what: str, write: Callable[[MlflowClient], None]) -> bool:
        if self.problem is not None and time.monotonic() < self._retry_at:
            return False
        try:
            write(self._connect())
        except failures() as error:
            self._fresh = False  # a run may be half there
            if self._mlflow is not None and is_refusal(error):
                self.refused.append(f"{what}: {one_line(error)}")
            else:
                self.problem = f"{public_uri(self.uri)}: {one_line(error)}"
                self._retry_at = time.monotonic() + RETRY_AFTER
            return False
        self.problem = None
        return True

    def _connect(self) -> MlflowClient:
        if self._mlflow is not None:
            return self._mlflow
        client = connect(self.uri)
        self.experiment_id = find_experiment(client, self.uri, self.experiment)
        self._known = confirmations(self.store.journal, self.uri)
        parent = next(self._search(client, self._of("study")), None)
        tags = self._tags("study") | {"mlflow.note.content": self.description[:MAX_TAG]}
        if parent is None:
            self._parent = client.create_run(self.experiment_id, tags=tags, run_name=self.study).info.run_id
            # spares a search for each fit of a new study; the parent alone may have been deleted
            self._fresh = not client.search_runs([self.experiment_id], self._of("fit"), max_results=1)
        else:
            self._parent = parent.info.run_id
            client.update_run(self._parent, status="RUNNING")
            client.log_batch(self._parent, tags=_run_tags(tags))
        self._mlflow = client
        return client

    def _of(self, role: str) -> str:
        """Filter of the runs of this study."""
        return f"tags.`bayesrun.study` = {_quoted(self.study)} and tags.`bayesrun.role` = '{role}'"

    def _search(self, client: MlflowClient, wanted: str) -> Iterator[Run]:
        token = None
        while True:
            page = client.search_runs([self.experiment_id], wanted, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _tags(self, role: str) -> dict[str, str]:
        extra = {name: str(value)[:MAX_TAG] for name, value in self.tags.items()}
        return extra | {"bayesrun.study": self.study, "bayesrun.role": role, "mlflow.source.name": "bayesrun"}

    def _find(self, client: MlflowClient, key: str) -> Run | None:
        """Find the run of a fit: by the journal, else by its tag; a deleted run counts as none."""
        if self._fresh:
            return None
        if (known := self._known.get(key)) is not None:
            from mlflow.exceptions import MlflowException

            with contextlib.suppress(MlflowException):
                run = client.get_run(known.run_id)
                if run.info.lifecycle_stage == "active":
                    return run
        wanted = f"{self._of('fit')} and tags.`bayesrun.key` = {_quoted(key)}"
        return next(self._search(client, wanted), None)

    def _record(self, client: MlflowClient, record: Record) -> None:
        outcome = record.outcome
        folder = self.store.fit_folder(outcome.key)
        end = finished_at(folder)
        said = self._tags("fit") | {"mlflow.parentRunId": self._parent} | tags(record)
        wanted = params(record)
        run = self._find(client, outcome.key)
        if run is None:
            name = outcome.cell if not outcome.replicate else f"{outcome.cell} #{outcome.replicate}"
            start = end - round(1000 * sum(outcome.seconds.values()))
            run = client.create_run(self.experiment_id, start_time=start, tags=said, run_name=name)
        else:
            _retag(client, run, said)
            wanted = {name: value for name, value in wanted.items() if name not in run.data.params}  # never change
        _log(client, run.info.run_id, metrics(outcome), wanted)
        with tempfile.TemporaryDirectory(prefix=".artifacts-", dir=self.store.root) as staged:
            stage_fit(folder, Path(staged), failed=outcome.status == "failed")
            _upload(client, run, Path(staged))
        client.set_terminated(run.info.run_id, "FINISHED" if outcome.status == "done" else "FAILED", end)
        confirmation = Confirmation(public_uri(self.uri), outcome.key, run.info.run_id, record.digest)
        confirm(self.store.journal, confirmation)
        self._known[outcome.key] = confirmation

    def _finish(self, client: MlflowClient, tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> None:
        failed = sum(record.outcome.status == "failed" for record in records)
        passed = sum(record.verdict is not None and record.verdict.passed for record in records)
        counts = {"n_done": len(records) - failed, "n_failed": failed, "n_passed": passed}
        _log(client, self._parent, {name: float(value) for name, value in counts.items()}, {})
        with tempfile.TemporaryDirectory(prefix=".artifacts-", dir=self.store.root) as staged:
            for name, frame in tables.items():
                stage_table(frame, Path(staged), name)
            _upload(client, client.get_run(self._parent), Path(staged))
        if tables:
            client.log_batch(self._parent, tags=_run_tags({"mlflow.loggedArtifacts": table_tag(tables)}))
        client.set_terminated(self._parent, "FAILED" if failed else "FINISHED")
        confirm(self.store.journal, Confirmation(public_uri(self.uri), STUDY, self._parent, _digest(records)))


def _quoted(text: str) -> str:
    mark = '"' if "'" in text else "'"
    return f"{mark}{text}{mark}"


def _run_tags(values: Mapping[str, str]) -> list[RunTag]:
    from mlflow.entities import RunTag

    return [RunTag(name, value) for name, value in values.items()]


def _retag(client: MlflowClient, run: Run, said: Mapping[str, str]) -> None:
    """Give a run the tags it has now, and take away those of ours that no longer hold."""
    client.log_batch(run.info.run_id, tags=_run_tags(said))
    for name in run.data.tags:
        if name.startswith("bayesrun.") and name not in said:
            client.delete_tag(run.info.run_id, name)


def _log(client: MlflowClient, run_id: str, values: Mapping[str, float], wanted: Mapping[str, str]) -> None:
    from mlflow.entities import Metric, Param

    now = round(1000 * time.time())
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, now, 0) for name, value in values.items()],
        params=[Param(name, value) for name, value in wanted.items()],
    )


def _upload(client: MlflowClient, run: Run, staged: Path) -> None:
    """Move staged files into a local artifact folder, or send them to the server."""
    parts = urlsplit(run.info.artifact_uri)
    failed = (staged / "error.txt").exists()
    if parts.scheme not in ("", "file"):
        client.log_artifacts(run.info.run_id, str(staged))
        return
    target = Path(url2pathname(parts.path))
    for source in sorted(path for path in staged.rglob("*") if path.is_file()):
        place = target / source.relative_to(staged)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.replace(place)
        except OSError:  # another file system
            shutil.copy2(source, place)
    if not failed:  # it may have failed before
        (target / "error.txt").unlink(missing_ok=True)
