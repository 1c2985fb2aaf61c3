"""The composition root: where the stages meet, in the order of the data's way."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bayesrun.command.progress import follow
from bayesrun.dispatch import outcomes
from bayesrun.dispatch.alike import stopped_cells
from bayesrun.errors import BayesrunError
from bayesrun.planning import costs, preflight
from bayesrun.planning.batches import expand, study_name
from bayesrun.planning.generators import mechanisms
from bayesrun.planning.keys import specs_of
from bayesrun.planning.reasons import reasons
from bayesrun.planning.stopping_rule import first_round, next_round
from bayesrun.report import announcement, real_data, study_file, tracking
from bayesrun.report.verdict import Ending, ending
from bayesrun.statistics.gates import check_asked
from bayesrun.store.folder import Store
from bayesrun.types import StudyOptions
from bayesrun.work.datasets import Sources
from bayesrun.work.worker import Workplace, kept

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
    """Run a study: check and plan, then dispatch what is left, record and compare; in rounds if it asks for that.

    Raises
    ------
    BayesrunError
        Before any fit starts, with every mistake that was found.
    """
    study, output = settings.study, Path(settings.output.dir).expanduser().absolute()
    store = Store(output / (study.name or study_name(cells, study.seed, StudyOptions().seed, study.kind)))
    study_file.same_study(store, study)
    whole = study_file.joined_study(store, study)
    own = dataclasses.replace(study, levels=whole.levels)  # quantities and decisions may be about another model
    checked = mechanisms(preflight.check(cells), dataclasses.replace(settings, study=own))
    checked = dataclasses.replace(checked, cells=study_file.with_earlier_wants(store, study.seed, checked.cells))
    settings = dataclasses.replace(settings, study=whole)
    for line in study_file.older_lines(store):
        console.print(line, markup=False, soft_wrap=True)
    check_asked(checked.cells)
    checked = first_round(checked, study_file.replicates(store, study.seed), whole)
    while True:
        workers = costs.workers(settings.dispatch)
        plan = expand(
            checked.cells,
            study.seed,
            store.done,
            drawn=store.drawn,
            workers=workers,
            seconds=costs.known_seconds(store),
        )
        estimate = costs.estimate(plan, checked.cells, checked.models, store, settings.dispatch)
        stored = study_file.stored_cells(store) if plan.batches else ()
        why = reasons(plan, checked.cells, stored, data=checked.datasets, read=store.read_data)
        announcement.announce(console, store.root.name, plan, checked.cells, estimate, why)
        if settings.dry_run:
            announcement.show_plan(console, plan, why)
            return Result(0)
        if plan.batches:
            preflight.last_checks(plan, checked, settings.dispatch, output, estimate.bytes)
        with store.locked():
            end = _work(settings, plan, checked, store, console)
        following = next_round(checked, end.results, end.own, whole)
        if following.why:
            console.print(following.why, markup=False, soft_wrap=True)
        if following.checked is None:
            return Result(end.exit_code, end.objective)
        checked = following.checked


def _work(settings: Settings, plan: Plan, checked: preflight.Checked, store: Store, console: Console) -> Ending:
    recorder = tracking.recorder(store, settings.study, settings.track)
    if plan.batches:
        recorder.check()
        store.write_datasets(checked.datasets.values())
    design = study_file.extend_design(store, settings, checked.cells)
    known = specs_of(design, settings.study.seed)
    fresh: dict[str, Outcome] = {}
    sources = Sources(store)
    for spec in {batch.label: batch.specs[0] for batch in plan.batches}.values():
        sources.keep_spread(spec)
    total = sum(len(batch.specs) for batch in plan.batches)
    try:
        arriving = outcomes(plan.batches, Workplace(store.root, Path.cwd()), settings.dispatch)
        for outcome in follow(arriving, total, console):
            spec, _ = known[outcome.key]
            fresh[outcome.key] = kept(sources.judged(outcome, spec), spec, store)
            recorder.tell(real_data.row(known, fresh[outcome.key]))
    except BayesrunError as error:
        if not fresh:
            raise
        console.print(f"stopped: {error}", markup=False, soft_wrap=True)
    for line in stopped_cells(plan.batches, fresh.values()):
        console.print(line, markup=False, soft_wrap=True)
    end = ending(known, store, settings.study, fresh, plan)
    end.show(console)
    announcement.close(console, store, [*map(str, end.files[:1]), *recorder.finish(end)])
    return end
