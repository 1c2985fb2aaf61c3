"""The composition root: where the stages meet, in the order of the data's way."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from bayesrun.base import stop_signals
from bayesrun.command.progress import follow
from bayesrun.dispatch import outcomes
from bayesrun.dispatch.alike import stopped_cells
from bayesrun.errors import BayesrunError, DispatchError
from bayesrun.planning import costs, preflight
from bayesrun.planning.batches import expand, study_name
from bayesrun.planning.generators import mechanisms
from bayesrun.planning.kept import with_kept
from bayesrun.planning.keys import fit_key, specs_of
from bayesrun.planning.reasons import reasons
from bayesrun.planning.same_fits import Together, together
from bayesrun.planning.stopping_rule import first_round, next_round
from bayesrun.report import announcement, real_data, study_file, tracking
from bayesrun.report.not_fitted import Refusals, refusals, refused_lines
from bayesrun.report.verdict import Ending, ending
from bayesrun.statistics.gates import check_asked
from bayesrun.store.folder import Store
from bayesrun.types import StudyOptions
from bayesrun.work.datasets import Sources
from bayesrun.work.worker import Workplace, kept

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from rich.console import Console

    from bayesrun.types import Cell, Outcome, Plan, Settings

__all__ = ["Result", "run"]


@dataclass(frozen=True)
class Result:
    """How a study ended: exit code, and the objective by cell label for sweepers that optimise."""

    exit_code: int
    objective: Mapping[str, float] = field(default_factory=dict)


def run(
    settings: Settings, cells: tuple[Cell, ...], console: Console, apart: Mapping[str, str] = MappingProxyType({})
) -> Result:
    """Run a study: check and plan, then dispatch what is left, record and compare; in rounds if it asks for that.

    Parameters
    ----------
    settings, cells
        As the config states them.
    console
        Where people are told.
    apart
        What the datasets are together of each cell of one of several, by label: those that cannot be fitted do not
        stop the others, and the exit code is then 1.

    Raises
    ------
    BayesrunError
        Before any fit starts, with every mistake that was found.
    """
    study, output = settings.study, Path(settings.output.dir).expanduser().absolute()
    store = Store(output / (study.name or study_name(cells, study.seed, StudyOptions().seed, study.kind)))
    stored = study_file.read(store)
    whole = study_file.joined_study(stored, study)
    checked, joined = _checked(settings, cells, stored, whole, apart)
    refused = refusals(cells, apart, checked.refused)
    for line in (*study_file.older_lines(store, stored), *(f"note: {line}" for line in joined.notes)):
        console.print(line, markup=False, soft_wrap=True)
    settings = dataclasses.replace(settings, study=whole)
    check_asked(checked.cells)
    while True:
        plan, estimate, why = _planned(settings, checked, stored, store)
        announcement.announce(console, store.root.name, plan, checked.cells, estimate, why)
        study_file.check_extended(stored, checked.cells, whole)
        if plan.batches:
            preflight.last_checks(plan, checked, settings.dispatch, output, estimate.bytes + estimate.meanwhile)
        for line in refused_lines(refused.now):
            console.print(line, style="yellow", markup=False, soft_wrap=True)
        if settings.dry_run:
            if plan.batches:
                tracking.check_server(settings.track, output)
            announcement.show_plan(console, plan, why)
            return Result(0)
        with store.locked():
            end = _work(settings, plan, checked, store, console, refused)
        following = next_round(checked, end.results, end.own, whole)
        if following.why:
            console.print(following.why, markup=False, soft_wrap=True)
        if following.checked is None:
            return Result(max(end.exit_code, int(bool(refused.now))), joined.of_each(end.objective))
        checked, stored = following.checked, study_file.read(store)


def _checked(
    settings: Settings,
    cells: tuple[Cell, ...],
    stored: study_file.Stored,
    whole: StudyOptions,
    apart: Collection[str],
) -> tuple[preflight.Checked, Together]:
    """Check cells, and add up what they and earlier commands ask; the second value says which are one fit."""
    seed = whole.seed
    own = dataclasses.replace(settings.study, levels=whole.levels)  # the rest may be about another model
    found = preflight.check(cells, simulated=own.kind != "fit", generator=settings.generator, apart=apart)
    checked = mechanisms(found, dataclasses.replace(settings, study=own))
    kept = with_kept(checked.cells, checked.models.values(), settings.output)
    checked = dataclasses.replace(checked, cells=kept)
    joined = together(checked.cells, [fit_key(cell, seed, 0) for cell in checked.cells])
    checked = dataclasses.replace(
        checked,
        cells=stored.with_earlier_wants(joined.cells, seed),
        models=joined.by_label(checked.models),
        datasets=joined.by_label(checked.datasets),
    )
    return first_round(checked, stored.replicates, whole), joined


def _planned(
    settings: Settings, checked: preflight.Checked, stored: study_file.Stored, store: Store
) -> tuple[Plan, costs.Estimate, dict[str, str]]:
    """Find what is left to do, what that takes, and why fits like stored ones are drawn anew."""
    seed, workers = settings.study.seed, costs.workers(settings.dispatch)
    plan = expand(
        checked.cells, seed, store.done, drawn=store.drawn, workers=workers, seconds=costs.known_seconds(store)
    )
    why = reasons(
        plan,
        checked.cells,
        stored.cells,
        data=checked.datasets,
        read=store.read_data,
        drawn_with=functools.partial(study_file.drawn_with, store, seed),
    )
    return plan, costs.estimate(plan, checked.cells, checked.models, store, settings.dispatch), why


def _work(
    settings: Settings, plan: Plan, checked: preflight.Checked, store: Store, console: Console, refused: Refusals
) -> Ending:
    recorder = tracking.Careful(tracking.recorder(store, settings.study, settings.track))
    if plan.batches:
        recorder.check()
    # what is kept may change where nothing is left to do
    fresh_data = (data for data in checked.datasets.values() if not store.data_file(data.digest()).exists())
    store.write_datasets(checked.datasets.values() if plan.batches else fresh_data)
    design, study = study_file.extend_design(store, settings, checked.cells, refused)
    known = specs_of(design, settings.study.seed)
    fresh: dict[str, Outcome] = {}
    sources = Sources(store)
    for spec in {batch.label: batch.specs[0] for batch in plan.batches}.values():
        sources.keep_spread(spec)
    total = sum(len(batch.specs) for batch in plan.batches)
    begun = {spec.cell: known[spec.key][1] for batch in plan.batches for spec in batch.specs}
    work = Workplace(store.root, Path.cwd())
    with _told_if_stopped(recorder):
        try:
            arriving = outcomes(plan.batches, work, settings.dispatch, lambda: recorder.begin(begun.values()))
            with contextlib.closing(arriving):
                for outcome in follow(arriving, total, console):
                    spec, _ = known[outcome.key]
                    fresh[outcome.key] = kept(sources.judged(outcome, spec), spec, store)
                    recorder.tell(real_data.row(known, fresh[outcome.key]))
        except BayesrunError as error:
            if not fresh and not isinstance(error, DispatchError):
                raise
            console.print(f"stopped: {error}", markup=False, soft_wrap=True)
        for line in stopped_cells(plan.batches, fresh.values()):
            console.print(line, markup=False, soft_wrap=True)
        end = ending(known, store, study, fresh, plan)
        end.show(console)
        announcement.close(console, store, [*([str(end.page)] if end.page else []), *recorder.finish(end)])
    return end


@contextlib.contextmanager
def _told_if_stopped(recorder: tracking.Careful) -> Iterator[None]:
    """Tell MLflow where a command does not come to its end: by a signal, or by an error that leaves no tables."""
    try:
        with stop_signals.at_last(recorder.stop):
            yield
    except BaseException:
        with stop_signals.held():
            recorder.stop()
        raise
