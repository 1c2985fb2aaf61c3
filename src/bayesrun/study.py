"""The composition root: where the stages meet, in the order of the data's way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bayesrun import costs, preflight, records, report
from bayesrun.dispatch import ray, serial
from bayesrun.job import Workplace
from bayesrun.plan import expand, specs_of, study_name
from bayesrun.progress import follow
from bayesrun.store import Store
from bayesrun.types import Cell, Outcome, Plan, Settings, StudyOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

__all__ = ["Result", "run"]

DISPATCHERS = {"ray": ray.dispatch, "serial": serial.dispatch}


@dataclass(frozen=True)
class Result:
    """How a study ended: exit code, and the objective by cell label for sweepers that optimise."""

    exit_code: int
    objective: Mapping[str, float] = field(default_factory=dict)


def run(settings: Settings, cells: tuple[Cell, ...], console: Console) -> Result:
    """Run a study: check, plan, dispatch what is left, record, compare.

    Raises
    ------
    BayesrunError
        Before any fit starts, with every mistake that was found.
    """
    seed, output = settings.study.seed, Path(settings.output.dir).expanduser().absolute()
    store = Store(output / (settings.study.name or study_name(cells, seed, StudyOptions().seed)))
    records.same_seed(store, seed)
    checked = preflight.check(cells)
    plan = expand(checked.cells, seed, store.done)
    estimate = costs.estimate(plan, checked.by_label(), checked.models, store, settings.dispatch)
    report.announce(console, store.root.name, plan, checked.cells, estimate)
    if settings.dry_run:
        report.show_plan(console, plan)
        return Result(0)
    recorder = records.Recorder(store, settings.track, output)
    if plan.batches:
        preflight.last_checks(plan, checked, settings.dispatch, output, estimate.bytes)
        store.prepare()
        recorder.check()
        store.write_datasets(checked.datasets.values())
    design = specs_of(records.extend_design(store, settings, checked.cells), seed)
    fresh: dict[str, Outcome] = {}
    for outcome in follow(_outcomes(settings, plan, store), len(plan.batches), console):
        fresh[outcome.key] = store.keep(outcome)
        recorder.tell(report.row(design, outcome))
    rows = report.rows(design, store, fresh)
    findings = report.compared(rows, store, settings.study.reference)
    report.show(console, rows, findings)
    report.close(console, store, recorder.finish(rows, findings))
    own = [row for row in rows if row.spec.key in plan]
    return Result(report.exit_code(own), report.objective(plan, own, settings.study.objective))


def _outcomes(settings: Settings, plan: Plan, store: Store) -> Iterator[Outcome]:
    if plan.batches:
        work = Workplace(store.root, Path.cwd())
        yield from DISPATCHERS[settings.dispatch.kind](plan.batches, work, settings.dispatch)
