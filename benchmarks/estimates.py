"""Estimates held against what happened: disk and time of 20 studies, each after a short one of its kind.

`python -m benchmarks.estimates [FOLDER]` takes about ten minutes on one core and prints a table; it is no part of the
other benchmarks and needs no loops.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import say

__all__ = ["main"]

SHORT = ("sampler.draws=200", "sampler.tune=200", "sampler.iterations=2000", "sampler.chains=2")
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
BARS = 2.0, 1.3
"""Factors within which time and size are to be."""


@dataclass(frozen=True)
class Configuration:
    """A study to predict, and what differs in the short one that is done before it."""

    arguments: tuple[str, ...]
    short: tuple[str, ...] = SHORT


def _with(*arguments: str) -> Configuration:
    return Configuration(arguments)


CONFIGURATIONS = (
    _with("model=hierarchical", "sampler=nuts", "sampler.draws=10000", "sampler.tune=10000", "sampler.chains=2"),
    _with("model=linear", "sampler=nuts", "sampler.draws=2000", "sampler.tune=2000"),
    _with("model=linear", "sampler=nuts", "sampler.draws=2000", "steps.figures=false"),
    _with("model=ar1", "sampler=nuts", "sampler.draws=1000"),
    _with("model=meta_analysis", "sampler=nuts", "sampler.draws=4000", "steps.posterior_predictive=false"),
    _with("model=logistic", "sampler=nuts", "sampler.draws=1000", "steps.prior_predictive=false"),
    _with("model=varying_slopes", "sampler=nuts", "sampler.draws=500", "sampler.tune=500"),
    _with("model=polynomial", "sampler=nuts", "sampler.draws=3000", "sampler.chains=1"),
    _with("model=survival", "sampler=nuts", "sampler.draws=1000", "steps.log_likelihood=false"),
    _with("model=hierarchical", "sampler=metropolis", "sampler.draws=5000", "sampler.tune=5000"),
    _with("model=polynomial", "sampler=metropolis", "sampler.draws=10000", "sampler.tune=1000"),
    _with("model=hierarchical", "sampler=smc", "sampler.draws=2000"),
    _with("model=polynomial", "sampler=smc", "sampler.draws=1000"),
    _with("model=hierarchical", "sampler=advi", "sampler.iterations=30000"),
    _with("model=linear", "sampler=fullrank_advi", "sampler.iterations=20000"),
    _with("model=meta_analysis", "sampler=advi_jax", "sampler.iterations=30000"),
    _with("model=hierarchical", "sampler=numpyro", "sampler.draws=4000", "sampler.tune=2000"),
    Configuration(
        ("study=sbc", "model=hierarchical", "sampler=numpyro", "study.replicates=200"),
        ("study=sbc", "model=hierarchical", "sampler=numpyro", "study.replicates=20"),
    ),
    Configuration(
        ("study=recovery", "model=polynomial", "sampler=nuts", "study.replicates=30", "sampler.draws=500"),
        (*SHORT, "study.replicates=5"),
    ),
    Configuration(
        ("study=recovery", "model=meta_analysis", "sampler=advi_jax", "study.replicates=100"),
        (*SHORT, "study.replicates=10"),
    ),
)


@dataclass(frozen=True)
class Found:
    """What a command said and what it took: seconds (None: unknown) and MiB."""

    told_seconds: float | None
    told_mib: float
    seconds: float
    mib: float


def main(folder: Path) -> int:
    """Run all configurations; return how many are out of the bars."""
    out = 0
    say("| study | time told, s | took, s | factor | size told, MiB | has, MiB | factor |\n" + "|---" * 7 + "|")
    for number, configuration in enumerate(CONFIGURATIONS):
        _run(folder, f"short{number}", (*configuration.arguments, *configuration.short))
        found = _run(folder, f"whole{number}", configuration.arguments)
        size = found.told_mib / found.mib
        factor = found.told_seconds / found.seconds if found.told_seconds is not None else None
        wrong = size, factor if factor is not None else 1.0
        fine = all(1 / bar <= one <= bar for one, bar in zip(wrong, reversed(BARS), strict=True))
        out += not fine
        told = ("unknown", "") if factor is None else (f"{found.told_seconds:.0f}", f"{factor:.2f}")
        say(
            f"| {' '.join(configuration.arguments)} | {told[0]} | {found.seconds:.1f} | {told[1]} | "
            f"{found.told_mib:.1f} | {found.mib:.1f} | {size:.2f}{'' if fine else ' **out**'} |"
        )
    say(f"\n{len(CONFIGURATIONS) - out} of {len(CONFIGURATIONS)} within a factor of {BARS[0]:g} and {BARS[1]:g}")
    return out


def _run(folder: Path, name: str, arguments: tuple[str, ...]) -> Found:
    """Run a study here, one fit after another, and time it from its estimate to its last line."""
    last = {argument.partition("=")[0]: argument for argument in arguments}
    command = [
        *(str(Path(sys.executable).parent / "bayesrun"), *last.values()),
        *("dispatch=serial", "track.enabled=false", f"study.name={name}", f"output.dir={folder / 'studies'}"),
    ]
    begin, told = time.monotonic(), ""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with (
        (folder / f"{name}.log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=folder) as child,
    ):
        assert child.stdout is not None
        for line in child.stdout:
            log.write(line)
            if line.startswith("estimate:"):
                begin, told = time.monotonic(), line
        child.wait()
    seconds = time.monotonic() - begin
    size = re.search(r"([\d.]+) (MiB|GiB)", told)
    duration = re.search(r"about ([\d.]+) (s|min|h)", told)
    assert size is not None, f"{name}: no estimate; see {folder / name}.log"
    used = sum(path.stat().st_size for path in (folder / "studies" / name).rglob("*") if path.is_file())
    return Found(
        float(duration[1]) * UNITS[duration[2]] if duration else None,
        float(size[1]) * (1024 if size[2] == "GiB" else 1),
        seconds,
        used / 2**20,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp()))
