"""A study's folder, and places that its runs are written to."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient

from bayesrun.store.folder import Store
from bayesrun.track import default_uri
from tracking_server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "out" / "demo")
    store.prepare()
    return store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take it seconds to make."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments(max_results=1)
    return path


@pytest.fixture
def uri(store: Store, empty_database: Path) -> str:
    shutil.copy(empty_database, store.root.parent / "mlflow.db")
    return default_uri(store.root.parent)


@pytest.fixture
def server(tmp_path: Path, empty_database: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(empty_database, folder / "server.db")
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
