"""A command that a signal ends in its middle: what is in is kept, MLflow says so, and the same command ends it.

The signals are real, and so are Ray and MLflow; the sampler is a fake that takes a second.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from places import SUPPORT

MODEL = """
import pymc as pm

def build(data):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 1.0)
        pm.Normal("y_obs", mu, 1.0, observed=data["y"])
    return model
"""
FITS = 5
COMMAND = (
    "--config-dir", "conf", "model=tiny", "data=csv", "data.path=y.csv", "study=recovery", "study.name=s",
    f"study.replicates={FITS}", "sampler._target_=fake_samplers.sample", "sampler.draws=20", "sampler.chains=2",
    "sampler.extra={hang: 1.0}", "study.ranks=10", "steps.figures=false", "study.max_failed=1", "gate.rhat_max=null",
    "gate.ess_bulk_per_chain=null", "gate.ess_tail_per_chain=null", "gate.bfmi_min=null",
)  # fmt: skip
GOES_ON = "; finished fits are kept, and the same command goes on from there\n"


class Command:
    """The command in an empty folder; its processes carry a mark."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder, self.words, self.mark = folder, words, uuid.uuid4().hex
        (folder / "conf" / "model").mkdir(parents=True)
        (folder / "conf" / "model" / "tiny.yaml").write_text("_target_: signalled.build\n")
        (folder / "signalled.py").write_text(MODEL)
        (folder / "y.csv").write_text("y\n0.5\n-0.2\n1.1\n")

    def start(self) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(SUPPORT), "BAYESRUN_TEST_MARK": self.mark}
        return subprocess.Popen(
            [sys.executable, "-m", "bayesrun", *COMMAND, *self.words], cwd=self.folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            # a test that runs in the background inherits that interrupts are ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    def outcomes(self) -> int:
        return len(list(self.folder.glob("studies/s/fits/*/outcome.json")))

    def reaches(self, process: subprocess.Popen[str], outcomes: int) -> None:
        end = time.monotonic() + 240
        while self.outcomes() < outcomes:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.1)

    def runs(self) -> dict[str, str]:
        with contextlib.closing(sqlite3.connect(self.folder / "studies" / "mlflow.db")) as database:
            return dict(database.execute("select name, status from runs"))

    def alive(self) -> list[str]:
        found = []
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if process.name.isdigit() and f"MARK={self.mark}".encode() in (process / "environ").read_bytes():
                    found.append((process / "comm").read_text().strip())
        return found

    def leaves_nothing(self) -> bool:
        end = time.monotonic() + 30
        while self.alive() and time.monotonic() < end:
            time.sleep(0.2)
        return not self.alive()


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(
    ("number", "to_group", "words"),
    [
        (signal.SIGTERM, False, ("dispatch=serial",)),
        (signal.SIGINT, True, ("dispatch=serial",)),
        (signal.SIGTERM, False, ("dispatch.num_cpus=1",)),
        (signal.SIGHUP, True, ("dispatch.num_cpus=1",)),
    ],
)
def test_what_is_in_is_kept_and_the_same_command_goes_on(number, to_group, words, workdir):
    command = Command(workdir, *words)
    process = command.start()
    command.reaches(process, 2)
    assert set(command.runs().values()) == {"RUNNING"}, "of the study and of its cell, from the start"
    (os.killpg if to_group else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err == f"bayesrun: {'interrupted' if number == signal.SIGINT else f'stopped by {number.name}'}{GOES_ON}"
    assert "study s: " not in out.splitlines()[-1], "it has not ended"
    assert command.leaves_nothing(), command.alive()
    assert list(command.runs().values()) == ["KILLED", "KILLED"]
    before = command.outcomes()
    assert 2 <= before < FITS

    process = command.start()
    out, err = process.communicate(timeout=240)
    assert (process.returncode, err) == (0, "")
    assert f"{FITS} fits, {before} done, {FITS - before} to do" in out
    assert command.outcomes() == FITS
    assert list(command.runs().values()) == ["FINISHED", "FINISHED"]
    assert command.leaves_nothing()


@pytest.mark.slow
@pytest.mark.ray
def test_a_second_signal_ends_it_at_once_and_leaves_no_process(workdir):
    command = Command(workdir, "dispatch.num_cpus=1")
    process = command.start()
    command.reaches(process, 1)
    process.send_signal(signal.SIGTERM)
    time.sleep(1.2)  # by then it shuts Ray down
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, "bayesrun: interrupted at once\n")
    assert command.leaves_nothing(), command.alive()
