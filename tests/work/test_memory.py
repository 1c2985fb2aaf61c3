"""The peak memory of a command does not follow the number of draws, rows or intermediate results."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import large_models

BEYOND = 300e6
"""Bytes that a fit may need beside what a short one of the same model does, and beside its draws."""


def peak(folder: Path, model: str, data: Path, draws: int, *words: str) -> int:
    """Run a fit in a process of its own and return the most bytes that it had in memory."""
    configs = folder / "conf" / "model"
    configs.mkdir(parents=True, exist_ok=True)
    (configs / "large.yaml").write_text(f"_target_: large_models.{model}\n")
    command = [sys.executable, "-m", "bayesrun", "--config-dir", "conf", "model=large", "data=csv", f"data.path={data}"]
    command += [f"sampler.draws={draws}", "sampler.tune=50", "sampler.max_treedepth=1", "dispatch=serial", "track=off"]
    command += [f"study.name={model}-{draws}", *words]
    environment = os.environ | {"PYTHONPATH": str(Path(large_models.__file__).parent)}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    assert "finished" in said
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "count", "free", "sampler"),
    [("rows", 20_000, 2, "numpyro"), ("process", 300, 3, "numpyro"), ("rows", 20_000, 2, "nuts")],
)
def test_peak_memory_is_a_short_fit_and_the_draws_and_a_bound(tmp_path, model, count, free, sampler):
    data = large_models.table(tmp_path / "table.csv", count)
    short = peak(tmp_path, model, data, 25, f"sampler={sampler}")
    long = peak(tmp_path, model, data, 2500, f"sampler={sampler}")
    assert long - short <= 4 * 2500 * free * 8 + BEYOND
