"""Runs the benchmarks one after another and writes down what they found: `make bench`, or `make bench QUICK=1`.

A full run writes results.json and the tables of README.md in this folder; a quick one leaves both alone.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from benchmarks import batch_sizes, eight_schools, regressions, restart
from benchmarks.harness import FIGURE_HEAD, FULL, QUICK, REPOSITORY, WORK, Job, cores, machine, markdown, say, together

if TYPE_CHECKING:
    from benchmarks.harness import Table

__all__: list[str] = []

HERE = REPOSITORY / "benchmarks"
BENCHMARKS = {
    "eight_schools": eight_schools.measure,
    "regressions": regressions.measure,
    "restart": restart.measure,
    "batch_sizes": batch_sizes.measure,
}
MEASURED_WITH = ("bayesrun", "pymc", "pytensor", "nutpie", "numpyro", "jax", "arviz", "ray", "mlflow")
MARKS = ("<!-- the last full run -->", "<!-- end -->")


def main() -> int:
    """Run what was asked for; 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few fits: shows that all runs, and roughly how fast")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), help="some of them")
    given = parser.parse_args()
    size = QUICK if given.quick else FULL
    if len(cores()) < 2:
        parser.error("the benchmarks compare two processes with one: they need at least two cores")
    begin, facts = time.perf_counter(), machine()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    counts = {"eight_schools": max(size.replicates, size.drawn), **dict.fromkeys(regressions.BARS, size.regressions[0])}
    together("datasets, and the models compared", Job("cases", {"counts": counts}))
    tables: dict[str, Table] = {}
    for name in given.only:
        try:
            tables[name] = BENCHMARKS[name](size)
        except RuntimeError as error:  # of a child process; the others are still worth their time
            say(f"{name}: {error}")
    seconds = time.perf_counter() - begin
    text = report(tables, facts, seconds)
    say(f"\n{text}")
    found = {
        "machine": facts,
        "versions": {name: version(name) for name in MEASURED_WITH},
        "size": vars(size),
        "seconds": seconds,
        "benchmarks": {name: table.as_json() for name, table in tables.items()},
    }
    keep(found, text, published=not given.quick and len(tables) == len(BENCHMARKS))
    return int(len(tables) < len(given.only))


def report(tables: dict[str, Table], facts: dict[str, Any], seconds: float) -> str:
    """Lay out what was found as Markdown."""
    parts = [
        f"{facts['cores']} cores of {facts['cpu']}, {facts['memory_gib']} GiB, load average at the start "
        f"{facts['load_average_at_start']:.1f}, Python {facts['python']}; {seconds / 60.0:.0f} minutes.",
    ]
    figures = [figure for table in tables.values() for figure in table.figures]
    bars = [figure.passed for figure in figures if figure.passed is not None]
    if figures:
        parts += [
            markdown(FIGURE_HEAD, [figure.cells() for figure in figures]),
            f"{sum(bars)} of {len(bars)} bars are met.",
        ]
    for table in tables.values():
        if table.rows:
            parts += [f"{table.title}:", markdown(table.head, table.rows)]
    return "\n\n".join(parts)


def keep(found: dict[str, Any], text: str, *, published: bool) -> None:
    """Write the results; those of a full run into the repository."""
    folder = HERE if published else WORK
    (folder / "results.json").write_text(_compact(found))
    if published:
        page = HERE / "README.md"
        pattern = re.compile(f"{re.escape(MARKS[0])}.*{re.escape(MARKS[1])}", re.DOTALL)
        inner = f"{MARKS[0]}\n\n{text}\n\n{MARKS[1]}"
        page.write_text(pattern.sub(lambda _: inner, page.read_text()))
    else:
        (folder / "results.md").write_text(text + "\n")
    say(f"\nwritten to {(folder / 'results.json').relative_to(REPOSITORY)}")


def _compact(found: dict[str, Any]) -> str:
    """Write JSON with five digits, and lists of numbers on one line."""
    rounded = json.loads(json.dumps(found), parse_float=lambda text: float(f"{float(text):.5g}"))
    lists = re.compile(r"\[\s+[-+.\deE,\s]+?\]")
    return lists.sub(lambda match: " ".join(match.group().split()), json.dumps(rounded, indent=1)) + "\n"


if __name__ == "__main__":
    sys.exit(main())
