"""What the run of one fit says to a tracking server: parameters, metrics, tags and files; it knows no server.

Names and values come out in a form that every tracking server takes.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bayesrun.base.secrets import public
from bayesrun.base.spreadsheets import without_formulas
from bayesrun.track.names import distinct, legal_names
from bayesrun.types import FitSpec, Outcome, Verdict, digest

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from bayesrun.statistics.states import State

__all__ = [
    "MAX_TAG",
    "FitsRun",
    "Record",
    "finished_at",
    "flat_params",
    "git_commit",
    "link_or_copy",
    "metrics",
    "params",
    "run_status",
    "stage_fit",
    "stage_table",
    "table_tag",
    "tags",
]

MAX_PARAM = 500
"""Characters of a parameter that older servers take too."""

MAX_TAG = 5000
"""Characters of a tag; servers take 8000."""

ARTIFACTS = ("posterior.nc", "config.yaml")

SHOWN_DIGITS = 6
"""Significant digits of the tables that MLflow shows; the CSV beside each has all."""


@dataclass(frozen=True)
class Record:
    """What the run of one fit says.

    Parameters
    ----------
    spec, outcome, verdict
        The fit; the verdict is None where no gate was asked.
    facts
        More parameters, nested mappings allowed: the data's name, what varies between the cells.
    """

    spec: FitSpec
    outcome: Outcome
    verdict: Verdict | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of what changes when the fit is recorded anew."""
        return digest([self.outcome, self.verdict])


@dataclass(frozen=True, eq=False)
class FitsRun:
    """What the run of a study of real data says.

    Parameters
    ----------
    records
        Every fit that came back.
    tables
        Name to table (fits, comparison, agreement); each becomes a JSON table and a CSV file.
    missing
        Planned fits that are not there.
    state
        Of the study; it decides how its run ends, see `run_status`.
    not_fitted, why_not
        Datasets that cannot be fitted, and what is said of them.
    """

    records: Sequence[Record]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    missing: int = 0
    state: State = "pass"
    not_fitted: int = 0
    why_not: str = ""

    @property
    def counts(self) -> dict[str, float]:
        """Counts as metrics."""
        failed = sum(record.outcome.status == "failed" for record in self.records)
        passed = sum(record.verdict is not None and record.verdict.passed for record in self.records)
        done = len(self.records) - failed
        counts = {"n_done": done, "n_failed": failed, "n_missing": self.missing, "n_passed": passed}
        counts["n_not_fitted"] = self.not_fitted
        return {name: float(value) for name, value in counts.items()}

    @property
    def digest(self) -> str:
        """Digest of all that the run says."""
        fits = sorted(f"{record.spec.key} {record.digest}" for record in self.records)
        return digest([fits, {name: frame.to_csv() for name, frame in self.tables.items()}, self.missing, self.state])


def git_commit(folder: Path) -> str | None:
    """Commit that a folder is at, with ``-dirty`` where files were changed; None outside of a repository."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def params(record: Record) -> dict[str, str]:
    """Parameters by which people compare fits: model, data and sampler with their settings, and `facts`."""
    spec = record.spec
    options = {name: value for name, value in dataclasses.asdict(spec.options).items() if value not in ({}, ())}
    nested = {
        "cell": spec.cell,
        "replicate": spec.replicate,
        "fit_seed": record.outcome.migrated.get("fit_seed", spec.fit_seed),
        "model": {"": spec.model.name, **spec.model.params},
        "sampler": {"": spec.sampler.name, **options, **spec.sampler.params},
        "ci": {"prob": spec.diagnostics.ci_prob, "kind": spec.diagnostics.ci_kind},
    }
    return flat_params(nested, record.facts)


def flat_params(*nested: Mapping[str, Any]) -> dict[str, str]:
    """Flatten nested mappings to parameters: dotted names that are legal, values that are short enough.

    None is lost, but one that a later mapping has too.
    """
    found: dict[str, Any] = {}
    for mapping in nested:
        own: dict[str, Any] = {}
        for name, value in _leaves("", public(mapping)):
            own[_unlike(name, own)] = value
        found |= own
    names = distinct(found)
    return {names[name]: _short(value) for name, value in found.items()}


def _unlike(name: str, others: Mapping[str, Any]) -> str:
    """Tell a name with a dot in it from a path of the same letters."""
    return _unlike(f"{name}_", others) if name in others else name


def _leaves(path: str, value: Any) -> Iterable[tuple[str, Any]]:
    """Flatten nested mappings to dotted names; the name "" stands for the mapping itself."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(".".join(filter(None, [path, str(name)])), inner)
    else:
        yield path, value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_PARAM else text[: MAX_PARAM - 3] + "..."


def metrics(outcome: Outcome) -> dict[str, float]:
    """Diagnostics and stage times (``seconds/sample``, in seconds) that are finite numbers."""
    times = {f"seconds/{stage}": value for stage, value in outcome.seconds.items()}
    everything = dict(outcome.diagnostics) | times
    names = legal_names(everything)
    return {names[k]: float(v) for k, v in everything.items() if v is not None and math.isfinite(v)}


def tags(record: Record) -> dict[str, str]:
    """Tags of one fit: key, cell, status, verdict, hashes, versions, where it ran, and why it failed."""
    outcome, verdict = record.outcome, record.verdict
    word = "none" if verdict is None else "pass" if verdict.passed else "fail"
    found = {
        "bayesrun.key": outcome.key,
        "bayesrun.cell": outcome.cell,
        "bayesrun.status": outcome.status,
        "bayesrun.verdict": word if outcome.status == "done" else "failed",
        "bayesrun.data_hash": record.spec.data_hash,
        "bayesrun.where": outcome.where,
        "bayesrun.failures": "; ".join(verdict.failures) if verdict else "",
        "bayesrun.warnings": "; ".join(outcome.warnings),
        "bayesrun.absent": outcome.absent_text,
        "bayesrun.reason": outcome.reason or "",
        "bayesrun.message": outcome.message,
        "mlflow.loggedArtifacts": table_tag(["summary"] if outcome.status == "done" else []),
    }
    versions = {f"version.{name}": str(version) for name, version in outcome.versions.items()}
    return {name: value[:MAX_TAG] for name, value in (found | versions).items() if value}


def table_tag(names: Iterable[str]) -> str:
    """Value of the tag by which MLflow knows that a JSON artifact is a table; empty where there is none."""
    listed = [{"path": f"{name}.json", "type": "table"} for name in names]
    return json.dumps(listed) if listed else ""


def run_status(state: State) -> str:
    """Status of MLflow for a study, or a cell, in a state: what is unfinished has ended all the same."""
    return {"unfinished": "KILLED", "fail": "FAILED"}.get(state, "FINISHED")


def finished_at(folder: Path) -> int:
    """When a fit was committed, in milliseconds since 1970; now where that is not known."""
    try:
        return round(1000 * (folder / "outcome.json").stat().st_mtime)
    except OSError:
        return round(1000 * time.time())


def stage_fit(folder: Path, staged: Path, *, failed: bool) -> None:
    """Gather the artifacts of a fit in a folder of the same file system, by hard links where it has them.

    Parameters
    ----------
    folder
        The fit's folder in the store.
    staged
        Empty folder to fill: posterior.nc, config.yaml, figures, summary as CSV and as JSON table; of a
        failed fit error.txt.
    failed
        Whether the fit failed.
    """
    names = [*ARTIFACTS, *(["error.txt"] if failed else [])]
    figures = sorted((folder / "figures").glob("*.png"))
    if figures:
        (staged / "figures").mkdir()
    for source in (*(folder / name for name in names), *figures):
        if source.exists():
            link_or_copy(source, staged / source.relative_to(folder))
    summary = folder / "summary.parquet"
    if summary.exists() and not failed:
        import pandas as pd

        stage_table(pd.read_parquet(summary).rename_axis("scalar"), staged, "summary")


def link_or_copy(source: Path, target: Path) -> None:
    """Put a file at a second place: as a hard link where that is possible."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def stage_table(frame: pd.DataFrame, staged: Path, name: str) -> None:
    """Write a table as CSV, for people, and as the JSON that MLflow shows as a table: six significant digits."""
    without_formulas(frame).to_csv(staged / f"{name}.csv")
    shown = frame.reset_index()
    rows = [[_shown(value) for value in row] for row in shown.astype(object).to_numpy().tolist()]
    text = json.dumps({"columns": [str(column) for column in shown.columns], "data": rows}, allow_nan=False)
    (staged / f"{name}.json").write_text(text, encoding="utf-8")


def _shown(value: Any) -> Any:
    """Round a number for reading, however small it is; what is not defined is null."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{SHOWN_DIGITS}g}") if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
