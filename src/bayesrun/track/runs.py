"""What is done to one run: values, parameters and tags within the limits of a request, and files."""

from __future__ import annotations

import contextlib
import shutil
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bayesrun.track.server import failures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["MAX_METRICS", "log", "quoted", "retag", "upload"]

ERROR = "error.txt"
MAX_METRICS = 1000
"""Metrics in one request, as every server takes them."""

MAX_NAMED = 100
"""Parameters, and tags, in one request."""


def quoted(text: str) -> str:
    """Quote a value of a search filter."""
    mark = '"' if "'" in text else "'"
    return f"{mark}{text}{mark}"


def log(
    client: MlflowClient,
    run_id: str,
    values: Mapping[str, float] | None = None,
    params: Mapping[str, str] | None = None,
    *,
    tags: Mapping[str, str] | None = None,
    step: int = 0,
) -> None:
    """Write metrics, parameters and tags to a run, in as few requests as a server takes.

    Parameters
    ----------
    client, run_id
        The run.
    values
        Metrics, all at `step`.
    params
        Parameters; one that is there must have the same value.
    tags
        Tags; one that is there is overwritten.
    step
        Step of the metrics.
    """
    from mlflow.entities import Metric, Param, RunTag

    now = round(1000 * time.time())
    metrics = iter([Metric(name, value, now, step) for name, value in (values or {}).items()])
    named = iter([Param(name, value) for name, value in (params or {}).items()])
    tagged = iter([RunTag(name, value) for name, value in (tags or {}).items()])
    while True:
        part = _take(metrics, MAX_METRICS - 2 * MAX_NAMED), _take(named, MAX_NAMED), _take(tagged, MAX_NAMED)
        if not any(part):
            return
        client.log_batch(run_id, *part)


def _take[T](items: Iterator[T], number: int) -> list[T]:
    return list(islice(items, number))


def retag(client: MlflowClient, run: Run, said: Mapping[str, str], ours: tuple[str, ...] = ("bayesrun.",)) -> None:
    """Give a run the tags it has now, and take away those under our prefixes that no longer hold."""
    log(client, run.info.run_id, tags=said)
    for name in run.data.tags:
        if name.startswith(ours) and name not in said:
            client.delete_tag(run.info.run_id, name)


def upload(client: MlflowClient, run: Run, staged: Path) -> None:
    """Move staged files into a local artifact folder, or send them to the server."""
    parts = urlsplit(run.info.artifact_uri)
    failed = (staged / ERROR).exists()
    if parts.scheme not in ("", "file"):
        client.log_artifacts(run.info.run_id, str(staged))
        if run.info.status == "FAILED" and not failed:
            _take_away(client, run)
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
        (target / ERROR).unlink(missing_ok=True)


def _take_away(client: MlflowClient, run: Run) -> None:
    """Take the traceback away from a run that failed before; where a server deletes nothing, the file says so."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    if all(file.path != ERROR for file in client.list_artifacts(run.info.run_id)):
        return
    client.log_text(run.info.run_id, "This fit failed, and was mended since.\n", ERROR)
    with contextlib.suppress(NotImplementedError, *failures()):
        get_artifact_repository(run.info.artifact_uri, client.tracking_uri).delete_artifacts(ERROR)
