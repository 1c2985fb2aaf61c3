"""The tracking server: its address, whether it answers, a client that is quiet and does not wait for minutes."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shlex
import socket
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bayesrun.base.machine import environment
from bayesrun.base.secrets import without_secrets
from bayesrun.errors import TrackError
from bayesrun.track.journal import public_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

__all__ = [
    "check",
    "check_place",
    "connect",
    "default_uri",
    "failures",
    "find_experiment",
    "is_gone",
    "is_refusal",
    "one_line",
    "ui_command",
]

PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
"""MLflow's own defaults keep a study waiting for minutes when its server has gone."""

CORRECT = "correct track.uri, or go without: track=off"

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def default_uri(output_dir: Path) -> str:
    """Address of the SQLite database in an output folder; its artifacts lie beside it, in mlartifacts."""
    return f"sqlite:///{output_dir.absolute() / 'mlflow.db'}"


def ui_command(uri: str, experiment_id: str = "") -> str:
    """Say how to look at the runs: a command to start where one is needed, and the page to open.

    Parameters
    ----------
    uri
        Tracking address.
    experiment_id
        MLflow's id of the experiment, to open its runs at once.
    """
    page = f"/#/experiments/{experiment_id}/runs" if experiment_id else "/#/experiments"
    page += "?workflowType=machine_learning"  # without it, MLflow 3 opens its pages for language models
    if uri.startswith(("http://", "https://")):
        return f"open {public_uri(uri).rstrip('/')}{page}"
    serve = f"mlflow server --backend-store-uri {shlex.quote(public_uri(uri))} --host 127.0.0.1 --port 5000"
    return f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {serve}\nthen open http://127.0.0.1:5000{page}"


def check(uri: str, timeout: float = 4.0) -> None:
    """Make sure, before any fit, that runs can be written to an address.

    Parameters
    ----------
    uri
        Tracking address.
    timeout
        Seconds to wait for an answer.

    Raises
    ------
    TrackError
        If the address cannot be used, with the remedy.
    """
    if (database := _sqlite_file(uri)) is not None:
        _check_sqlite(database)
        return
    shown = public_uri(uri)
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise TrackError(f"track.uri={shown} is no address ({error}); {CORRECT}") from None
    if parts.scheme in ("", "file"):
        raise TrackError(f"track.uri={shown} is a folder, which MLflow no longer writes to; use sqlite:///FILE.db")
    remedy = "start it, or correct track.uri, or go without: track=off"
    try:
        if parts.scheme in ("http", "https"):
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), timeout=timeout).close()
    except (OSError, ValueError) as error:
        raise TrackError(f"no MLflow server answers at {shown} ({error}); {remedy}") from None
    once = {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, round(timeout))), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    with environment(once):
        try:
            connect(uri).search_experiments(max_results=1)
        except failures() as error:
            raise TrackError(f"{shown} does not answer as an MLflow server ({one_line(error)}); {remedy}") from None


def connect(uri: str) -> MlflowClient:
    """Import MLflow and make a client that neither prints nor waits for minutes."""
    for name, value in (PATIENCE | QUIET).items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        # MLflow 3.17 under SQLAlchemy 2.1, when it reads its own tables
        warnings.filterwarnings("ignore", message="The ``noload`` loader strategy", category=DeprecationWarning)
        from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with _alone(_sqlite_file(uri)):
        return MlflowClient(tracking_uri=uri)


@contextlib.contextmanager
def _alone(database: Path | None) -> Iterator[None]:
    """Let one process at a time open a database: MLflow makes or upgrades its tables then, step by step."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # where there are no locks, several at once may have to try again
            if database is not None:
                file = held.enter_context(database.with_name(f".{database.name}.lock").open("a"))
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def failures() -> tuple[type[Exception], ...]:
    """List what a tracking server or a tracking database that fails may raise."""
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, CommandError, OSError, TrackError


def is_refusal(error: Exception) -> bool:
    """Whether the server is there and rejects this one request."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and 400 <= error.get_http_status_code() < 500


def one_line(error: Exception) -> str:
    """Say an error in one line, without the credentials of addresses in it, which MLflow's own messages show."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return without_secrets(line)[:300]


def is_gone(uri: str) -> bool:
    """Whether an address is a SQLite file that is not there: then it has confirmed nothing."""
    database = _sqlite_file(uri)
    return database is not None and not database.exists()


def _sqlite_file(uri: str) -> Path | None:
    """File of a SQLite address; None for other addresses."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]).absolute()


def check_place(uri: str) -> None:
    """Make sure that the SQLite file of an address could be made where there is none, without making it or its folder.

    Raises
    ------
    TrackError
        If it could not, with the remedy.
    """
    if (database := _sqlite_file(uri)) is not None:
        with _written(database):
            _try_nearest_folder(database)


def _check_sqlite(database: Path) -> None:
    with _written(database):
        _try_nearest_folder(database)
        database.parent.mkdir(parents=True, exist_ok=True)
        head = _beginning(database)
    if head and head != b"SQLite format 3":
        raise TrackError(f"{database} is not a SQLite database; {CORRECT}")


@contextlib.contextmanager
def _written(database: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrackError(f"cannot write the tracking database {database}: {error.strerror}; {CORRECT}") from None


def _try_nearest_folder(database: Path) -> None:
    """Write into the folder of a file, or into the one that it would be made in; nothing stays there."""
    with tempfile.TemporaryFile(dir=next(folder for folder in database.parents if folder.exists())):
        pass


def _beginning(database: Path) -> bytes:
    """Read the first bytes of a file; none where MLflow has yet to make it."""
    try:
        with database.open("rb") as file:
            return file.read(15)
    except FileNotFoundError:
        return b""


def find_experiment(client: MlflowClient, uri: str, name: str) -> str:
    """Find or make the experiment; artifacts of a SQLite address lie beside the database."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        database = _sqlite_file(uri)
        location = None if database is None else (database.parent / "mlartifacts").as_uri()
        try:
            created: str = client.create_experiment(name, artifact_location=location)
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
        else:
            return created
    if found.lifecycle_stage != "active":
        raise TrackError(
            f"the MLflow experiment {name!r} was deleted; restore it, or choose another: track.experiment=NAME"
        )
    existing: str = found.experiment_id
    return existing
