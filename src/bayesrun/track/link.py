"""The link between one study and a tracking server: its parent run, and patience with a server that is away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bayesrun.base import stop_signals
from bayesrun.track.fit_runs import MAX_TAG
from bayesrun.track.journal import public_uri
from bayesrun.track.runs import log, quoted
from bayesrun.track.server import connect, failures, find_experiment, is_refusal, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["RETRY_AFTER", "Link"]

RETRY_AFTER = 60.0
"""Seconds before a server that could not be reached is tried again."""


class Link:
    """Finds or makes the parent run of a study when it is first used, and remembers what went wrong.

    Parameters
    ----------
    uri
        Tracking address.
    experiment
        Name of the MLflow experiment; it is made when it does not exist.
    study
        Name of the study, which is the name of the parent run.
    description
        What the parent run says of the study, Markdown.
    tags
        More tags for all runs.

    Attributes
    ----------
    problem
        Why nothing can be written, one line; None while all is well.
    refused
        One line for each thing that the server would not take.
    experiment_id, parent
        MLflow's ids of the experiment and of the parent run; empty before the first use.
    new_parent
        Whether the parent run was made now.
    open
        Whether the parent run is under way on the server, as far as this process has said so.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        study: str,
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.uri = uri
        self.experiment = experiment
        self.study = study
        self.description = description
        self.tags = dict(tags or {})
        self.problem: str | None = None
        self.refused: list[str] = []
        self.experiment_id = ""
        self.parent = ""
        self.new_parent = False
        self.open = False
        self._mlflow: MlflowClient | None = None
        self._retry_at = 0.0

    def reach(self, what: str, write: Callable[[MlflowClient], None]) -> bool:
        """Write something; whether it was taken. A server that could not be reached is left alone for a minute.

        Parameters
        ----------
        what
            What is written, for `refused`.
        write
            Called with the client.
        """
        if self.problem is not None and time.monotonic() < self._retry_at:
            return False
        try:
            with stop_signals.held():  # a request that is half done leaves a run that nobody knows of
                write(self.connect())
        except failures() as error:
            if self._mlflow is not None and is_refusal(error):
                self.refused.append(f"{what}: {one_line(error)}")
            else:
                self.problem = f"{public_uri(self.uri)}: {one_line(error)}"
                self._retry_at = time.monotonic() + RETRY_AFTER
            return False
        self.problem = None
        return True

    def connect(self) -> MlflowClient:
        """Connect, once, and open the parent run.

        Raises
        ------
        Exception
            Any of `bayesrun.track.server.failures`.
        """
        if self._mlflow is not None:
            return self._mlflow
        client = connect(self.uri)
        self.experiment_id = find_experiment(client, self.uri, self.experiment)
        parent = next(self.search(client, "study"), None)
        tags = self.said("study") | {"mlflow.note.content": self.description[:MAX_TAG]}
        self.new_parent = parent is None
        if parent is None:
            self.parent = client.create_run(self.experiment_id, tags=tags, run_name=self.study).info.run_id
        else:
            self.parent = parent.info.run_id
            client.update_run(self.parent, status="RUNNING")
            log(client, self.parent, tags=tags)
        self._mlflow, self.open = client, True
        return client

    def reopen(self, client: MlflowClient) -> None:
        """Say that the parent run is under way again, where it was closed."""
        if not self.open:
            client.update_run(self.parent, status="RUNNING")
            self.open = True

    def close(self, client: MlflowClient, status: str) -> None:
        """Say how the parent run ended."""
        client.set_terminated(self.parent, status)
        self.open = False

    def search(self, client: MlflowClient, role: str, also: str = "") -> Iterator[Run]:
        """Find the runs of this study in a role (study, fit, cell) that also satisfy a filter; deleted ones do not."""
        wanted = f"tags.`bayesrun.study` = {quoted(self.study)} and tags.`bayesrun.role` = '{role}'"
        wanted += f" and {also}" if also else ""
        token = None
        while True:
            page = client.search_runs([self.experiment_id], wanted, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def said(self, role: str) -> dict[str, str]:
        """Tags of every run of this study in a role."""
        extra = {name: str(value)[:MAX_TAG] for name, value in self.tags.items()}
        return extra | {"bayesrun.study": self.study, "bayesrun.role": role, "mlflow.source.name": "bayesrun"}
