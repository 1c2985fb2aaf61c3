"""What both trackers are: the one writer of a study's runs, its link to a server, and what it says of that link."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bayesrun.base.verb_hints import verb
from bayesrun.track.fit_runs import run_status
from bayesrun.track.journal import Confirmation, confirm, confirmations, public_uri
from bayesrun.track.link import Link
from bayesrun.track.server import is_gone
from bayesrun.types import digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from mlflow import MlflowClient

    from bayesrun.statistics.states import State
    from bayesrun.store.folder import Store

__all__ = ["KILLED", "UNDER_WAY", "Writer"]

KILLED = "KILLED"
"""How MLflow calls a run that was ended from outside."""

UNDER_WAY = ""
"""Stands for the digest of what changes: no study has it, so that its run is closed again in any case."""

SUPERSEDED = "superseded"
"""Stands for the tags of all superseded runs where the journal has the key of a fit."""
TAG = "bayesrun.superseded"


class Writer:
    """The one writer of a study's runs; it connects when there is something to send.

    Parameters
    ----------
    store
        The study's folder.
    uri, experiment, study, description, tags
        As for `bayesrun.track.link.Link`.

    Attributes
    ----------
    part
        Stands for the study where the journal has the key of a fit.
    """

    part: ClassVar[str]

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
        self.study = study
        self._link = Link(uri, experiment, study, description, tags)
        self._begin()

    def _begin(self) -> None:
        """Set what a tracker knows at first."""

    def stop(self) -> None:
        """Say of the runs that are under way that they were killed; it does not connect for that."""
        if self._link.open:
            self._link.reach(self.study, self._kill)

    def _kill(self, client: MlflowClient) -> None:
        self._changes()
        self._link.close(client, KILLED)

    def _changes(self) -> None:
        """Note that the run of the study is no longer as it was confirmed, whatever becomes of this process."""
        confirm(self.store.journal, Confirmation(public_uri(self.uri), self.part, self._link.parent, UNDER_WAY))

    @property
    def problem(self) -> str | None:
        """Why nothing can be written, one line; None while all is well.

        A server that cannot be reached is left alone for a minute, so that the study goes on, and then tried again.
        """
        return self._link.problem

    @property
    def refused(self) -> list[str]:
        """One line for each thing that the server would not take, and for each file that does not exist."""
        return self._link.refused

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment; empty before the first use."""
        return self._link.experiment_id

    def mark_superseded(self, keys: Collection[str], current: Collection[str], state: State) -> bool:
        """Tag the runs of superseded fits and cells; whether the server has confirmed it.

        No run is deleted; one of a fit that was forgotten keeps the tag. It does not connect where the server has these
        tags already.

        Parameters
        ----------
        keys, current
            Of the superseded fits, and of those that are current, maybe again.
        state
            Of the study, whose run is left as it ended.
        """
        said = digest(sorted(keys))
        known = {} if is_gone(self.uri) else confirmations(self.store.journal, self.uri)
        if (known[SUPERSEDED].digest == said) if SUPERSEDED in known else not keys:
            return True
        return self._link.reach(self.study, lambda client: self._mark(client, keys, current, state, said))

    def _mark(
        self, client: MlflowClient, keys: Collection[str], current: Collection[str], state: State, said: str
    ) -> None:
        for run in (run for role in ("fit", "cell") for run in self._link.search(client, role)):
            key, tagged = run.data.tags.get("bayesrun.key"), TAG in run.data.tags
            if key in keys and not tagged:
                client.set_tag(run.info.run_id, TAG, "true")
            elif key in current and tagged:
                client.delete_tag(run.info.run_id, TAG)
        self._link.close(client, run_status(state))
        confirm(self.store.journal, Confirmation(public_uri(self.uri), SUPERSEDED, self._link.parent, said))

    def _not_yet(self, what: str) -> str:
        """Say what is not in MLflow yet, why, and what to do."""
        why = self.problem or "; ".join(self.refused[:3]) or "the study was stopped"
        return f"{what} not in MLflow yet ({why}); later: {verb('sync', self.store.root)}"

    @contextlib.contextmanager
    def _staged(self) -> Iterator[Path]:
        """Give a folder for the files of one run, on the file system of the store, so that they can be links."""
        with tempfile.TemporaryDirectory(prefix=".artifacts-", dir=self.store.root) as folder:
            yield Path(folder)
