"""The composition root: where the stages meet, in the order of the data's way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bayesrun import costs, preflight, records, report
from bayesrun.dispatch import outcomes
from bayesrun.errors import BayesrunError
from bayesrun.job import Workplace
from bayesrun.plan import expand, specs_of, study_name
from bayesrun.progress import follow
from bayesrun.store import Store
from bayesrun.types import StudyOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from bayesrun.types import Cell, Outcome, Plan, Settings

__all__ = ["Result", "run"]


@dataclass(frozen=True)
class Result:
    """How a study ended: exit code, and the objective by cell label for sweepers that optimise."""

    exit_code: int
    objective: Mapping[str, float] = field(default_factory=dict)


def run(settings: Settings, cells: tuple[Cell, ...], console: Console) -> Result:
    """Run a study: check and plan, then dispatch what is left, record and compare.

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
    if plan.batches:
        preflight.last_checks(plan, checked, settings.dispatch, output, estimate.bytes)
    with store.locked():
        return _work(settings, plan, checked, store, console)


def _work(settings: Settings, plan: Plan, checked: preflight.Checked, store: Store, console: Console) -> Result:
    recorder = records.Recorder(store, settings.track, store.root.parent)
    if plan.batches:
        recorder.check()
        store.write_datasets(checked.datasets.values())
    design = records.extend_design(store, settings, checked.cells)
    records.check_reference(design, settings.study.reference)
    known = specs_of(design, settings.study.seed)
    fresh: dict[str, Outcome] = {}
    try:
        arriving = outcomes(plan.batches, Workplace(store.root, Path.cwd()), settings.dispatch)
        for outcome in follow(arriving, len(plan.batches), console):
            fresh[outcome.key] = store.keep(outcome)
            recorder.tell(report.row(known, outcome))
    except BayesrunError as error:
        if not fresh:
            raise
        console.print(f"stopped: {error}", markup=False, soft_wrap=True)
    rows = report.rows(known, store, fresh)
    findings = report.compared(rows, store, settings.study.reference)
    report.show(console, rows, findings)
    report.close(console, store, recorder.finish(rows, findings))
    own = [row for row in rows if row.spec.key in plan]
    return Result(report.exit_code(plan, own), report.objective(plan, own, settings.study.objective))
