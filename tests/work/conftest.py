"""What tests of workers begin with: a store that has a dataset, and a file for the calls of a fake sampler."""

import pytest

from bayesrun.store.folder import Store
from tiny_models import stored


@pytest.fixture
def store(tmp_path) -> Store:
    return stored(tmp_path)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "calls.txt"
