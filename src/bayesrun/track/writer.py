"""What both trackers are: the one writer of a study's runs, its link to a server, and what it says of that link."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bayesrun.base.verb_hints import verb
from bayesrun.track.link import Link

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bayesrun.store.folder import Store

__all__ = ["Writer"]


class Writer:
    """The one writer of a study's runs; it connects when there is something to send.

    Parameters
    ----------
    store
        The study's folder.
    uri, experiment, study, description, tags
        As for `bayesrun.track.link.Link`.
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
        self.study = study
        self._link = Link(uri, experiment, study, description, tags)
        self._begin()

    def _begin(self) -> None:
        """Set what a tracker knows at first."""

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

    def _not_yet(self, what: str) -> str:
        """Say what is not in MLflow yet, why, and what to do."""
        why = self.problem or "; ".join(self.refused[:3]) or "the study was stopped"
        return f"{what} not in MLflow yet ({why}); later: {verb('sync', self.store.root)}"

    @contextlib.contextmanager
    def _staged(self) -> Iterator[Path]:
        """Give a folder for the files of one run, on the file system of the store, so that they can be links."""
        with tempfile.TemporaryDirectory(prefix=".artifacts-", dir=self.store.root) as folder:
            yield Path(folder)
