"""A pipeline as a job of a local Ray cluster with its job server: a real study, small, submitted by the shipped script.

The job server comes with ray[default], which the extra ``dev`` brings.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUBMIT = ROOT / "pipelines" / "ray" / "submit.sh"
SMALL = (
    *("study.replicates=6", "sampler.draws=250", "sampler.tune=250", "sampler.chains=2", "study.max_failed=1.0"),
    "track=off",
)
HEAD = """
import sys
import ray
ray.init(include_dashboard=True, dashboard_host="127.0.0.1", dashboard_port=int(sys.argv[1]), num_cpus=2,
         _temp_dir=sys.argv[2], log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
ray.shutdown()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Environment in which `ray job` finds a cluster of this module's own, which ends with the process that made it."""
    assert find_spec("aiohttp_cors"), "the job server needs ray[default]: pip install 'ray[default]'"
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(secrets.token_hex(32))
    short = tempfile.mkdtemp(prefix="r", dir="/tmp")  # Ray makes sockets below it, whose paths have a bound
    port = free_port()
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{port}",
    }
    head = subprocess.Popen(
        [sys.executable, "-c", HEAD, str(port), short],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert head.stdout is not None
    try:
        address = head.stdout.readline().strip()
        assert address, "Ray did not start"
        # where several clusters are on a machine, Ray tells a job the address of any of them
        yield environment | {"CLUSTER": address}
    finally:
        head.communicate()
        shutil.rmtree(short, ignore_errors=True)


def submit(environment: Mapping[str, str], date: str, output: Path) -> subprocess.CompletedProcess[str]:
    cluster = f"dispatch.address={environment['CLUSTER']}"
    words = [str(SUBMIT), "nightly_calibration", date, str(output), *SMALL, cluster]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
@pytest.mark.ray
def test_date_is_one_job_whose_exit_code_is_the_verdict(cluster: Mapping[str, str], tmp_path: Path) -> None:
    first = submit(cluster, "2026-11-22", tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "nightly_calibration 2026-11-22: within its bounds, 1 cell, 6 fits." in first.stdout
    study = tmp_path / "nightly_calibration" / "2026-11-22"
    mark = json.loads((study / "done.json").read_text())
    assert mark["code"] == 0
    assert (study / "report.html").is_file()

    second = submit(cluster, "2026-11-22", tmp_path)
    assert second.returncode == 1
    assert "nightly_calibration-2026-11-22 already exists" in second.stdout + second.stderr

    bad = mark | {"code": 1, "sentence": "nightly_calibration 2026-11-23: out of bounds."}
    bad["overrides"] = [word.replace("20261122", "20261123") for word in mark["overrides"]]
    (study.parent / "2026-11-23").mkdir()
    (study.parent / "2026-11-23" / "done.json").write_text(json.dumps(bad))
    third = submit(cluster, "2026-11-23", tmp_path)
    assert third.returncode == 1
    assert "finished before, nothing done: out of bounds." in third.stdout + third.stderr
