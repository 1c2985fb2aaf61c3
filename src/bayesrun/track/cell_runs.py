"""The runs of the cells of a simulation study on a server: finding, making, appending replicates, closing.

What a run has of its replicates is in the journal, so that nothing is asked for and nothing sent twice; a server
is asked only about runs that were there before, where a request may have been written and not confirmed.
"""

from __future__ import annotations

import contextlib
import gc
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bayesrun.track.cells import fitting
from bayesrun.track.fit_runs import MAX_TAG, flat_params, run_status
from bayesrun.track.journal import (
    Confirmation,
    Points,
    confirm,
    confirm_rows,
    confirmations,
    confirmed_points,
    public_uri,
)
from bayesrun.track.runs import MAX_METRICS, log, retag
from bayesrun.track.writer import UNDER_WAY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow import MlflowClient
    from mlflow.entities import Run

    from bayesrun.store.folder import Store
    from bayesrun.track.cells import CellRun
    from bayesrun.track.link import Link

__all__ = ["CellRuns", "log_new"]

STEP = "bayesrun.step"
"""Tag with the last step of the aggregates: what a table of runs shows of a metric is its value at the highest step."""


@dataclass
class _State:
    """The run of one cell, and what is known of it."""

    run: Run
    points: Points
    older: bool
    """Whether it was there before, perhaps with more than is known of it."""
    open: bool
    histories: dict[str, dict[int, float]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        run_id: str = self.run.info.run_id
        return run_id


class CellRuns:
    """The runs of the cells of one study, read from the server when they are first needed.

    Parameters
    ----------
    store
        The study's folder, which holds the journal.
    link
        The link to the server.

    Attributes
    ----------
    sent
        How many replicates were sent, as far as they were new.
    """

    def __init__(self, store: Store, link: Link) -> None:
        self.store = store
        self.link = link
        self.sent = 0
        self._states: dict[str, _State] | None = None
        self._confirmed: dict[str, Confirmation] = {}

    def forget(self) -> None:
        """Ask the server anew: a request may have been half done, or runs may have been deleted."""
        self._states = None

    def begin(self, client: MlflowClient, key: str, label: str, params: Mapping[str, Any]) -> None:
        """Say that a cell is under way, in a new run or in that which it has.

        Parameters
        ----------
        client
            The client.
        key, label
            Identity and name of the cell.
        params
            What people compare cells by; a run that was there has them, or gets them in the end.
        """
        state = self._state(client, key, label)
        if not state.older:
            log(client, state.id, params=flat_params(params))
        self._reopen(client, state)
        self.confirm(f"cell {key}", state.id, UNDER_WAY)

    def close(self, client: MlflowClient, status: str) -> None:
        """Say of the runs that are under way how they ended."""
        for key, state in (self._states or {}).items():
            if state.open:
                client.set_terminated(state.id, status)
                state.open = False
                self.confirm(f"cell {key}", state.id, UNDER_WAY)

    def append(self, client: MlflowClient, key: str, label: str, rows: Mapping[int, Mapping[str, float]]) -> None:
        """Send what a run does not have of some replicates, as steps.

        Parameters
        ----------
        client
            The client.
        key, label
            Identity and name of the cell.
        rows
            Replicate to metrics: legal names, finite values.
        """
        from mlflow.entities import Metric

        state = self._state(client, key, label)
        left = state.points.missing(rows)
        if state.older:
            there = {replicate: row for replicate, row in left.items() if _has(client, state, replicate, row)}
            if there:
                self._confirm_rows(key, state, there)
                left = {replicate: row for replicate, row in left.items() if replicate not in there}
        if left:
            self._reopen(client, state)
        for part in _requests(left):
            now = round(1000 * time.time())
            with _uncollected():
                client.log_batch(state.id, [Metric(n, v, now, r) for r, row in part.items() for n, v in row.items()])
            self._confirm_rows(key, state, part)
            self.sent += len(part)

    def write(self, client: MlflowClient, cell: CellRun) -> None:
        """Bring the run of a cell to what it says now, and close it; nothing is sent where it says that already."""
        key = cell.identity
        state = self._state(client, key, cell.label)
        if self.holds(f"cell {key}", state.id, cell.digest) and not state.open:
            return
        self.append(client, key, cell.label, cell.rows)
        run = client.get_run(state.id)
        step = log_new(client, run, cell.values, len(cell.rows))
        log(client, state.id, params={n: v for n, v in flat_params(cell.params).items() if n not in run.data.params})
        own = {STEP: str(step), "bayesrun.verdict": cell.state}
        retag(client, run, fitting(cell.tags) | self._said(key, cell.label) | own)
        if run.info.run_name != cell.label:
            client.update_run(state.id, name=cell.label)
        client.set_terminated(state.id, run_status(cell.state))
        state.open = False
        self.confirm(f"cell {key}", state.id, cell.digest)

    def holds(self, part: str, run_id: str, digest: str) -> bool:
        """Whether a run has a part of the study with the content of that digest."""
        known = self._confirmed.get(part)
        return known is not None and (known.run_id, known.digest) == (run_id, digest)

    def confirm(self, part: str, run_id: str, digest: str) -> None:
        """Note that the server has a part of the study."""
        confirmation = Confirmation(public_uri(self.link.uri), part, run_id, digest)
        confirm(self.store.journal, confirmation)
        self._confirmed[part] = confirmation

    def load(self, client: MlflowClient) -> None:
        """Read the journal and the runs that the server has, unless that was done; a deleted run counts as none."""
        if self._states is None:
            self._states = self._read(client)

    def _read(self, client: MlflowClient) -> dict[str, _State]:
        self._confirmed = confirmations(self.store.journal, self.link.uri)
        points = confirmed_points(self.store.journal, self.link.uri)
        states: dict[str, _State] = {}
        for run in self.link.search(client, "cell"):
            key, run_id = run.data.tags["bayesrun.key"], run.info.run_id
            known = points.get(key)
            mine = known if known is not None and known.run_id == run_id else Points(run_id)
            states.setdefault(key, _State(run, mine, older=True, open=run.info.status == "RUNNING"))
            if run.data.tags.get("mlflow.parentRunId") != self.link.parent:  # the parent was deleted
                client.set_tag(run_id, "mlflow.parentRunId", self.link.parent)
        return states

    def _state(self, client: MlflowClient, key: str, label: str) -> _State:
        states = self._states = self._states if self._states is not None else self._read(client)
        if key not in states:
            run = client.create_run(self.link.experiment_id, tags=self._said(key, label), run_name=label)
            states[key] = _State(run, Points(run.info.run_id), older=False, open=True)
        return states[key]

    @staticmethod
    def _reopen(client: MlflowClient, state: _State) -> None:
        if not state.open:
            client.update_run(state.id, status="RUNNING")
            state.open = True

    def _said(self, key: str, label: str) -> dict[str, str]:
        own = {"bayesrun.key": key, "bayesrun.cell": label[:MAX_TAG], "mlflow.parentRunId": self.link.parent}
        return self.link.said("cell") | own

    def _confirm_rows(self, key: str, state: _State, rows: Mapping[int, Mapping[str, float]]) -> None:
        confirm_rows(self.store.journal, self.link.uri, key, state.id, rows)
        state.points.add(rows)


def log_new(client: MlflowClient, run: Run, values: Mapping[str, float], step: int) -> int:
    """Write those metrics of a run that have another value now.

    Parameters
    ----------
    client
        The client.
    run
        The run as it is on the server.
    values
        Metrics.
    step
        Their step; a run that has come to a later one stays there.

    Returns
    -------
    int
        The step that was taken.
    """
    before = run.data.tags.get(STEP, "")
    step = max(step, int(before) if before.isdecimal() else 0)
    new = {name: value for name, value in values.items() if run.data.metrics.get(name) != value}
    log(client, run.info.run_id, new, step=step)
    return step


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Put off the garbage collection, which takes a fifth of a request on SQLite among PyMC's many objects."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _has(client: MlflowClient, state: _State, replicate: int, row: Mapping[str, float]) -> bool:
    """Whether a run has a replicate that is not in the journal; a request is written as one, so one value tells."""
    name = list(row)[-1]
    if name not in state.histories:
        history = client.get_metric_history(state.id, name) if name in state.run.data.metrics else []
        state.histories[name] = {metric.step: metric.value for metric in history}
    return state.histories[name].get(replicate) == row[name]


def _requests(rows: Mapping[int, Mapping[str, float]]) -> Iterator[dict[int, dict[str, float]]]:
    """Put replicates together to requests; one is never split, unless it alone is too much for a request."""
    part: dict[int, dict[str, float]] = {}
    size = 0
    for replicate, row in rows.items():
        items = list(row.items())
        for start in range(0, len(items), MAX_METRICS):
            piece = dict(items[start : start + MAX_METRICS])
            if size + len(piece) > MAX_METRICS:
                yield part
                part, size = {}, 0
            part[replicate] = piece
            size += len(piece)
    if part:
        yield part
