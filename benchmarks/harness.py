"""What the benchmarks share: child processes on stated cores, CPU and memory of a process tree, figures and tables.

It knows no model and no sampler. CPU and memory of other processes are read from /proc, so it needs Linux.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "CACHE",
    "ENVIRONMENT",
    "FIGURE_HEAD",
    "FULL",
    "QUICK",
    "REPOSITORY",
    "WORK",
    "Figure",
    "Job",
    "Size",
    "Table",
    "Tree",
    "core",
    "cores",
    "cpu_seconds",
    "finish",
    "job",
    "machine",
    "markdown",
    "median",
    "say",
    "together",
]

REPOSITORY = Path(__file__).resolve().parent.parent
WORK = REPOSITORY / "build" / "bench"
"""Datasets, studies and logs of a run; `make clean` removes it."""
CACHE = WORK / "cache"
"""Compiled programs of bayesrun's batched engine: a run starts without any."""

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "BAYESRUN_CACHE": str(CACHE),
}
"""Of everything that is measured. How many cores a loop may use is said by the cores it is bound to."""

SAMPLED_EVERY = 0.25
"""Seconds between two looks at a process tree; a process that ends in between loses that much of its CPU time."""
TICKS = os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    """Write a line to the terminal at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def cpu_seconds() -> float:
    """CPU seconds of this process with all its threads, and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def median(values: Iterable[float]) -> float:
    """Median; NaN of nothing."""
    found = list(values)
    return statistics.median(found) if found else float("nan")


# Child processes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """A script of this folder with its plain values, for a process of its own; `bound`: cores it may use, None: all."""

    script: str
    given: Mapping[str, Any]
    bound: Sequence[int] | None = None


def together(name: str, *jobs: Job) -> list[dict[str, Any]]:
    """Run jobs at the same time, each in a process of its own.

    Parameters
    ----------
    name
        Of this measurement, for people and for the logs.
    jobs
        One or a few.

    Returns
    -------
    list of dict
        What each found, with ``load``, the load average when it started, and ``began``, the time of day.

    Raises
    ------
    RuntimeError
        If one failed: the end of its log.
    """
    begin, facts = time.perf_counter(), {"load": os.getloadavg()[0], "began": time.time()}
    started = []
    for number, one in enumerate(jobs):
        stem = WORK / "logs" / f"{''.join(c if c.isalnum() else '-' for c in name)}-{number}"
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".job.json").write_text(json.dumps({**one.given, "bound": one.bound}))
        with stem.with_suffix(".log").open("w") as log:
            command = [sys.executable, "-m", f"benchmarks.{one.script}", str(stem)]
            process = subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | ENVIRONMENT, stdout=log, stderr=log)
        started.append((stem, process))
    failed = [stem for stem, process in started if process.wait() != 0]
    if failed:
        log_end = failed[0].with_suffix(".log").read_text()[-3000:]
        raise RuntimeError(f"{name} failed; the end of its log:\n{log_end}")
    say(f"{time.perf_counter() - begin:6.1f} s  {name}")
    return [json.loads(stem.with_suffix(".json").read_text()) | facts for stem, _ in started]


def core(number: int) -> list[int]:
    """One core, counted from 0, for a process that is bound to it."""
    return [cores()[number % len(cores())]]


def job() -> tuple[dict[str, Any], Path]:
    """In a child: read the job, bind this process to its cores, and say where the result belongs.

    To be called before JAX starts, because it counts the cores then.
    """
    stem = Path(sys.argv[1])
    found: dict[str, Any] = json.loads(stem.with_suffix(".job.json").read_text())
    if found["bound"] is not None:
        os.sched_setaffinity(0, found["bound"])
    return found, stem.with_suffix(".json")


def finish(result: Mapping[str, Any], path: Path) -> None:
    """In a child: hand the result over."""
    path.write_text(json.dumps(result))


# Process trees -------------------------------------------------------------------------------------------------------


class Tree:
    """Watches this process and everything below it: CPU seconds and peak memory of each process by its number.

    Used as a context manager; a thread looks every `SAMPLED_EVERY` seconds. The peak is the kernel's own high-water
    mark of resident memory, shared pages included.
    """

    def __init__(self) -> None:
        self.cpu: dict[int, float] = {}
        self.peak_bytes: dict[int, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Tree:
        """Start to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look a last time and stop."""
        self._stop.set()
        self._thread.join()

    def total_cpu(self) -> float:
        """CPU seconds of all processes so far, those that have ended included."""
        self._look()
        return sum(self.cpu.values())

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLED_EVERY):
            self._look()

    def _look(self) -> None:
        waiting = [os.getpid()]
        while waiting:
            process = waiting.pop()
            try:
                self._read(process)
                for task in Path(f"/proc/{process}/task").iterdir():
                    waiting += map(int, (task / "children").read_text().split())
            except (OSError, ValueError):
                continue  # it has ended meanwhile

    def _read(self, process: int) -> None:
        # the name of the program, in parentheses, may contain blanks
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        self.cpu[process] = (int(fields[11]) + int(fields[12])) / TICKS
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                self.peak_bytes[process] = int(line.split()[1]) * 1024


# Sizes -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """How much of everything is measured.

    Parameters
    ----------
    replicates, warm_up, repeats
        Of bayesrun's study of eight schools; of the study that warms its workers; how often the former is run.
    warm_up_fits
        Fits of a loop that compile and are not measured: the second is still slower than the third.
    pymc, pymc_shared, numpyro, nutpie
        Fits of the loops; of `pymc_shared` for each of the processes that share them.
    drawn
        Fits of eight schools whose draws alone are measured.
    regressions
        Fits of bayesrun, PyMC and nutpie for the two regressions.
    restarts
        How often a fresh process is timed.
    batches
        Datasets together, and how many in all.
    everything
        Whether the variants without a bar are measured too.
    """

    replicates: int
    warm_up: int
    repeats: int
    warm_up_fits: int
    pymc: int
    pymc_shared: int
    numpyro: int
    nutpie: int
    drawn: int
    regressions: tuple[int, int, int]
    restarts: int
    batches: tuple[tuple[int, int], ...]
    everything: bool


FULL = Size(
    replicates=256,
    warm_up=64,
    repeats=3,
    warm_up_fits=2,
    pymc=12,
    pymc_shared=8,
    numpyro=6,
    nutpie=48,
    drawn=64,
    regressions=(16, 6, 8),
    restarts=3,
    batches=((1, 8), (4, 16), (8, 16), (16, 32), (32, 64), (64, 64)),
    everything=True,
)
QUICK = Size(
    replicates=64,
    warm_up=32,
    repeats=1,
    warm_up_fits=1,
    pymc=3,
    pymc_shared=2,
    numpyro=1,
    nutpie=12,
    drawn=32,
    regressions=(8, 1, 3),
    restarts=1,
    batches=((1, 2), (16, 16)),
    everything=False,
)


# Figures -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Parameters
    ----------
    name
        What was measured, with its unit.
    ours
        What bayesrun reached.
    baseline, against
        What the alternative reached, and which it is; None and empty where there is none.
    better
        ``less`` or ``more`` of the unit is better; the ratio is how many times better bayesrun is.
    bar, of
        The threshold, and whether it is ``at least`` of the ratio or ``at most`` of bayesrun's own value; None: none.
    """

    name: str
    ours: float
    baseline: float | None = None
    against: str = ""
    better: Literal["less", "more"] = "less"
    bar: float | None = None
    of: Literal["at least", "at most"] = "at least"

    @property
    def ratio(self) -> float | None:
        """How many times better than the baseline."""
        if self.baseline is None:
            return None
        return self.baseline / self.ours if self.better == "less" else self.ours / self.baseline

    @property
    def passed(self) -> bool | None:
        """Whether the bar holds; None where there is none."""
        if self.bar is None:
            return None
        if self.of == "at most":
            return self.ours <= self.bar
        return self.ratio is not None and self.ratio >= self.bar

    def cells(self) -> list[str]:
        """Words for the table."""
        verdict = {None: "", True: "pass", False: "**miss**"}[self.passed]
        unit = "x" if self.of == "at least" else ""
        return [
            self.name,
            number(self.ours),
            f"{number(self.baseline)} {self.against}".strip() if self.baseline is not None else self.against,
            "" if self.ratio is None else f"{number(self.ratio)}x",
            "" if self.bar is None else f"{self.of} {self.bar:g}{unit}",
            verdict,
        ]


FIGURE_HEAD = ("figure", "bayesrun", "baseline", "ratio", "bar", "verdict")


@dataclass
class Table:
    """What one benchmark found: figures with bars, further rows of its own, and everything that was measured."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    head: tuple[str, ...] = ()
    rows: list[list[str]] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        figures = [{**vars(figure), "ratio": figure.ratio, "passed": figure.passed} for figure in self.figures]
        return {"title": self.title, "figures": figures, "head": self.head, "rows": self.rows, **self.measured}


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table, its columns aligned for people who read the source."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def machine() -> dict[str, Any]:
    """Say what this was measured on, and how busy it was."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": len(cores()),
        "cpu": models[0] if models else platform.machine(),
        "memory_gib": round(total / 2**30, 1),
        "load_average_at_start": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }
