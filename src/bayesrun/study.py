"""The composition root: where the stages meet, in the order of the data's way."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bayesrun import costs, preflight, report
from bayesrun.dispatch import ray, serial
from bayesrun.job import Workplace
from bayesrun.plan import expand, study_name
from bayesrun.progress import follow
from bayesrun.store import Store
from bayesrun.types import Cell, Outcome, Plan, Settings, StudyOptions

__all__ = ["Result", "run"]

LOG_WIDTH = 120
DISPATCHERS = {"ray": ray.dispatch, "serial": serial.dispatch}


@dataclass(frozen=True)
class Result:
    """How a study ended: exit code, and the objective by cell label for sweepers that optimise."""

    exit_code: int
    objective: Mapping[str, float] = field(default_factory=dict)


def run(settings: Settings, cells: tuple[Cell, ...], console: Console | None = None) -> Result:
    """Run a study: check, plan, dispatch what is left, record, compare."""
    console = console or _console()
    output = Path(settings.output.dir).expanduser().absolute()
    name = settings.study.name or study_name(cells, settings.study.seed, StudyOptions().seed)
    store = Store(output / name)
    checked = preflight.check(cells)
    plan = expand(checked.cells, settings.study.seed, store.done)
    estimate = costs.estimate(
        plan, {c.cell.label: c.cell for c in checked.cells}, checked.models, store, settings.dispatch
    )
    report.announce(console, store, plan, checked.cells, estimate)
    if settings.dry_run:
        return Result(0)
    preflight.last_checks(plan, checked, settings.dispatch, output, estimate.bytes)
    store.prepare()
    for d in checked.datasets.values():
        store.write_data(d)
    fresh = {}
    for outcome in follow(_outcomes(settings, plan, store), len(plan.batches), console):
        fresh[outcome.key] = outcome
    found = report.rows(plan, checked.cells, store, fresh)
    findings = report.compared(found, store, settings.study.reference)
    report.show(console, found, findings)
    return Result(report.exit_code(found), report.objective(found, settings.study.objective))


def _console() -> Console:
    """Standard output; a log file gets lines wide enough for the tables."""
    return Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH)


def _outcomes(settings: Settings, plan: Plan, store: Store) -> Iterator[Outcome]:
    if plan.batches:
        work = Workplace(store.root, Path.cwd())
        yield from DISPATCHERS[settings.dispatch.kind](plan.batches, work, settings.dispatch)
