"""Settings that every test shares."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Read when the libraries are imported, in this process and in those it starts: nothing is shown on a screen or sent
# over the network, and each process keeps to one core, so that tests share a small machine.
os.environ |= {
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # tests marked gpu are run with JAX_PLATFORMS=cuda
os.environ.pop("MLFLOW_TRACKING_URI", None)  # the default store is under test, not the developer's server
os.environ.pop("COLUMNS", None)  # logs are as wide as they are where nobody asks

# What runs in the background, or under nohup, inherits that these are ignored, and so would what tests start.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import settings

import bayesrun  # noqa: F401 - it sets PyTensor's flags, so it has to be there before any test imports PyMC

# An example is as slow as the machine is busy, and a failure in CI has to be one that a developer can see again.
settings.register_profile("bayesrun", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("bayesrun")


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working directory of the test."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def interpreted() -> Iterator[None]:
    """PyTensor in Python: few evaluations of a tiny model cost less than its compilation."""
    import pytensor

    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        yield


@pytest.fixture
def no_study_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of a simulation study without its figures, which take longer than a study of few replicates."""
    monkeypatch.setattr("bayesrun.figures.one_study.study_figures", lambda *_: ())


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One folder of compiled programs for all tests that ask for it, and none of the developer's."""
    monkeypatch.setenv("BAYESRUN_CACHE", str(tmp_path_factory.getbasetemp() / "programs"))
