"""What the runs of a simulation study say: that of each cell, and the parent's; it knows no server.

Names and values come out in a form that every tracking server takes.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bayesrun.track.fit_runs import MAX_TAG, flat_params
from bayesrun.track.names import distinct, legal_names
from bayesrun.types import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from bayesrun.statistics.states import State

__all__ = ["CellRun", "StudyRun", "content_hash", "finite", "fitting"]


@dataclass(frozen=True, eq=False)
class CellRun:
    """What the run of one cell says.

    Parameters
    ----------
    label
        Name to show.
    params
        Parameters by which people compare cells, nested mappings allowed. One that was written never changes.
    tags
        More tags.
    aggregates
        Measure to (value, its Monte Carlo standard error or None); metrics NAME and NAME_mcse, at the number
        of replicates as their step. A name may hold the label of a scalar: ``bias/theta[0]`` becomes
        ``bias/theta.0``. One that is also the name of a metric of the replicates becomes NAME_overall.
    metrics
        One row for each replicate (index: its number), one column for each diagnostic; numbers or booleans.
        Values that are not finite are left out.
    key
        Identity of the cell, for labels that change as a study grows; empty: the label.
    state
        Of the cell; it decides how its run ends, see `run_status`.
    """

    label: str
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    aggregates: Mapping[str, tuple[float, float | None]]
    metrics: pd.DataFrame
    key: str = ""
    state: State = "pass"

    @property
    def identity(self) -> str:
        """What stands for the cell in the journal and in MLflow."""
        return self.key or self.label

    @cached_property
    def rows(self) -> dict[int, dict[str, float]]:
        """Replicate to its metrics: legal names, finite values."""
        names = distinct(str(name) for name in self.metrics.columns)
        found: dict[int, dict[str, float]] = {int(replicate): {} for replicate in self.metrics.index}
        rows = [found[int(replicate)] for replicate in self.metrics.index]
        for column in self.metrics.columns:
            name = names[str(column)]
            values = self.metrics[column].to_numpy(dtype=float, na_value=math.nan).tolist()
            for row, value in zip(rows, values, strict=True):
                if math.isfinite(value):
                    row[name] = value
        return found

    @cached_property
    def values(self) -> dict[str, float]:
        """Aggregates as metrics, and n_replicates."""
        flat: dict[str, float | None] = {name: value for name, (value, _) in self.aggregates.items()}
        for name, (value, mcse) in self.aggregates.items():
            if math.isfinite(value):
                flat.setdefault(f"{name}_mcse", mcse)
        flat.setdefault("n_replicates", len(self.rows))
        taken = set(distinct(str(name) for name in self.metrics.columns).values())
        names = distinct(flat, taken)
        return finite({names[name]: value for name, value in flat.items()})

    @cached_property
    def digest(self) -> str:
        """Digest of all that the run says."""
        said = [self.label, flat_params(self.params), fitting(self.tags), self.values, self.state]
        return digest([*said, sorted(self.rows.items())])


@dataclass(frozen=True, eq=False)
class StudyRun:
    """What the runs of a simulation study say.

    Parameters
    ----------
    cells
        Every cell of the study.
    description
        What the parent run says of the study: its aims, mechanisms, estimands, methods and measures, Markdown.
        A long one is cut, and the whole is the artifact description.md.
    facts
        More about the study as tags ``study.NAME``: how many replicates and why, what could not be drawn.
    artifacts
        Files, and folders of files, for the parent run: tables, figures, report.html. A page has the time on it
        when it was made, so that it is new each time; it is sent when something else is new too.
    verdicts
        Metrics of the parent run: ``calibrated`` as 0 or 1, shares of failed fits.
    state
        Of the study; it decides how its run ends, see `run_status`.
    """

    cells: Sequence[CellRun]
    description: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    artifacts: Sequence[Path] = ()
    verdicts: Mapping[str, float] = field(default_factory=dict)
    state: State = "pass"

    @cached_property
    def values(self) -> dict[str, float]:
        """Verdicts as metrics, and the numbers of cells and replicates."""
        counts = {"n_cells": len(self.cells), "n_replicates": sum(len(cell.rows) for cell in self.cells)}
        flat = counts | dict(self.verdicts)
        names = distinct(flat)
        return finite({names[name]: value for name, value in flat.items()})

    @cached_property
    def tags(self) -> dict[str, str]:
        """Tags of the parent run: verdict, facts, and as much of the description as a tag holds."""
        verdict = {"bayesrun.verdict": self.state}
        facts = {f"study.{name}": text for name, text in self.facts.items()}
        return verdict | fitting(facts | {"mlflow.note.content": _cut(self.description)})

    @property
    def texts(self) -> dict[str, str]:
        """The description as a file of the parent run, where a tag is too small for it."""
        return {"description.md": self.description} if len(self.description) > MAX_TAG else {}

    def files(self, root: Path) -> dict[str, Path]:
        """Find the files of the parent run.

        Parameters
        ----------
        root
            The study's folder. A file in it keeps its place; another is named after itself, or its folder.

        Returns
        -------
        dict
            Place among the run's artifacts to file; a file that does not exist is among them.
        """
        found = {}
        for path in self.artifacts:
            above = root if path.is_relative_to(root) else path.parent
            for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
                found[file.relative_to(above).as_posix()] = file
        return found

    def digest(self, hashes: Mapping[str, str]) -> str:
        """Digest of all that the runs say.

        Parameters
        ----------
        hashes
            Content hashes of the files.
        """
        cells = sorted([cell.identity, cell.digest] for cell in self.cells)
        files = {place: "" if place.endswith(".html") else found for place, found in hashes.items()}
        return digest([cells, self.description, self.tags, self.values, files, self.state])


def finite(values: Mapping[str, float | None]) -> dict[str, float]:
    """Keep what is a finite number."""
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}


def fitting(tags: Mapping[str, str]) -> dict[str, str]:
    """Make names and texts of tags that every server takes; empty ones are left out."""
    names = legal_names(tags)
    return {names[name]: str(text)[:MAX_TAG] for name, text in tags.items() if str(text)}


def content_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cut(text: str) -> str:
    """Cut a description at the end of a line."""
    if len(text) <= MAX_TAG:
        return text
    start = text[: MAX_TAG - 60]
    return (start.rpartition("\n")[0] or start) + "\n\n(The whole text is the artifact description.md.)"
