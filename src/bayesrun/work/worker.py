"""execute(batch, store) -> outcomes: the worker's entry; with `attempts` the only place that catches everything.

A fit that fails is an outcome; the others of its batch go on. Once its draws are there a fit does not fail any more: a
step that does is absent with its reason.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import socket
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bayesrun.base import stop_signals
from bayesrun.base.imports import at_once, import_target, make_importable, sampler_constant
from bayesrun.base.large_arrays import kept_in
from bayesrun.base.machine import versions
from bayesrun.base.messages import first_line, in_one_line
from bayesrun.base.secrets import keep_to_oneself, without_secrets
from bayesrun.dispatch.retries import spent, told
from bayesrun.errors import DiskError, FitError, FitTimeoutError, StoreError
from bayesrun.planning.completion import (
    IN_POSTERIOR,
    SWITCHES,
    Wants,
    added_up,
    asked_steps,
    is_complete,
    joined_steps,
    missing_steps,
    without,
)
from bayesrun.planning.keys import of_data
from bayesrun.statistics.measures.decisions import decided_columns, parse_decision
from bayesrun.store.folder import SUMMARY, Store
from bayesrun.types import Absent, Batch, Drawn, FitSpec, Outcome, Try
from bayesrun.work.attempts import Attempts, lost_in, stopped
from bayesrun.work.building import parameters_of
from bayesrun.work.datasets import Sources
from bayesrun.work.fit import ESCALATED, fits, ready, resumed
from bayesrun.work.kept import as_kept, in_tree, made_again
from bayesrun.work.steps import each_step

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from bayesrun.statistics.fit_summary import Diagnosis
    from bayesrun.work.case import Case, Fitted

__all__ = ["Workplace", "execute", "kept", "measured", "reports"]

type Tried = Mapping[str, tuple[Try, ...]]
"""Key to the times that a fit was started before in calls that broke."""

AGAIN = ("diagnose", "figures", "failed")
"""Stages that a completion does anew: their earlier time is not added."""

OF_FIGURE = "figure "
"""What the names of single figures begin with."""
OF_SUMMARY = ("quantity ", "decision ")
"""What the names of steps begin with that add to a summary."""
IN_TREE = frozenset(("truth", "diagnostics", "loo"))
"""Steps that change a posterior.nc, beside `IN_POSTERIOR`."""
MEASURED, MOST_FIGURES = 4, 8
"""Bounds on what is attempted of a fit: when it is measured, beside quantities and decisions, and figures."""
BEFORE = Absent("lost", "its worker was lost before it")
LONG_SECONDS = 10.0
"""Draws that took longer are committed before the steps of the fit, also of simulated data."""

TEXT_LENGTH = 300
MOST_WARNINGS = 10
"""Bounds on what an outcome carries in words, so that it stays a few kB; error.txt has everything."""


@dataclass(frozen=True)
class Workplace:
    """Where a batch finds its store and the user's modules: absolute paths made on the driver."""

    root: Path
    folder: Path

    def __call__(self, batch: Batch) -> Iterator[Outcome | Drawn]:
        """Do the fits of a batch; between their outcomes it says which are drawn."""
        make_importable(self.folder)
        yield from reports(batch, Store(self.root))


def execute(batch: Batch, store: Store) -> Iterator[Outcome]:
    """Do the fits of a batch: what `reports` gives but for what is said on the way."""
    for said in reports(batch, store):
        if isinstance(said, Outcome):
            yield said


def reports(batch: Batch, store: Store) -> Iterator[Outcome | Drawn]:
    """Do the fits of a batch together, and commit each as it is done.

    Where a sampler fails as a whole, the halves of what is left are tried, until the fit that does it is alone.

    Parameters
    ----------
    batch
        Fits that share a model and a sampler.
    store
        Where data are read and posteriors written.

    Yields
    ------
    Outcome or Drawn
        One outcome for each fit; a failed one carries its reason, and its traceback is in error.txt. Before the steps
        of a fit that may take their time, that it is drawn.
    """
    keep_to_oneself([spec.model.params for spec in batch.specs])
    with kept_in(store.root):
        yield from _reports(batch, store)


def _reports(batch: Batch, store: Store) -> Iterator[Outcome | Drawn]:
    fresh: list[Case] = []
    sources = Sources(store)
    for spec in batch.specs:
        degenerate, begin = "", time.perf_counter()
        try:
            whole = store.done(spec.key)
            if whole is not None and is_complete(whole, spec):
                yield whole
                continue
            case = dataclasses.replace(sources.case(spec), timeout=batch.timeout)
            degenerate = case.degenerate
            stored = store.drawn(spec.key)
            if stored is None or not store.verify(spec.key):
                fresh.append(case)
                continue
            mark = store.mark(spec.key)
            attempt = Attempts(spec.steps.timeout, mark, lost_in(mark, batch.tried.get(spec.key, ())))
            yield from _completed(case, stored, store, attempt)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a fit raises is its outcome
            yield _failed(spec, store, error, degenerate, _broke(batch.tried.get(spec.key, ()), error, 1, begin))
    yield from _draw(fresh, store, batch.tried)


def _draw(cases: Sequence[Case], store: Store, before: Tried) -> Iterator[Outcome | Drawn]:
    """Draw for what is left of a batch; what breaks is one fit where they are drawn one after another."""
    left = {case.spec.key: case for case in cases}
    together = bool(cases) and at_once(cases[0].spec.sampler.path)
    while left:
        begin = time.perf_counter()
        try:
            for case, found in fits(list(left.values())):
                del left[case.spec.key]
                started = before.get(case.spec.key, ()), len(left) + 1 if together else 1, begin
                yield from _settled(case, found, store, started)
                if not together:
                    begin = time.perf_counter()
            return
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a fit raises is its outcome
            rest = list(left.values())
            count = len(rest) if together else 1
            tried = {c.spec.key: _broke(before.get(c.spec.key, ()), error, count, begin) for c in rest[:count]}
            if count > 1:
                yield from _draw(rest[: count // 2], store, tried)
                yield from _draw(rest[count // 2 :], store, tried)
                return
            for case in rest[:1]:
                del left[case.spec.key]
                yield _failed(case.spec, store, error, case.degenerate, tried[case.spec.key])


def _broke(before: tuple[Try, ...], error: BaseException, together: int, begin: float) -> tuple[Try, ...]:
    """Add how a fit ended that was under way since `begin`, unless a signal ended it."""
    stop_signals.check()
    return (*before, Try(_reason(error), together, time.perf_counter() - begin))


def _completed(case: Case, stored: Outcome, store: Store, attempt: Attempts) -> Iterator[Outcome | Drawn]:
    """Do what a fit lacks from its stored draws, beside what it has; what would be the same is not made again."""
    missing = missing_steps(stored, case.spec)
    case, lost = _with_stored(case, stored)
    tree = store.read_tree(stored.key)
    there = in_tree(tree)
    missing = made_again(missing, stored, case.spec.steps)
    same = case.spec.diagnostics.loo_var == stored.diagnostics_options.loo_var
    same = same and not IN_TREE & set(stored.absent_steps)
    same = same and not (missing.log_likelihood and stored.steps.log_likelihood)  # which goes, whatever comes
    found = _resume(stored, resumed(tree, missing, case))
    attempt.absent |= {name: why for name, why in stored.absent_steps.items() if name in (*IN_POSTERIOR, "log_prior")}
    if "truth" in stored.absent_steps:
        attempt("truth", lambda: ready(found, case))
    tried = []
    for name in each_step(found, case, missing, attempt):
        tried.append(name)
        yield _drawn(case, 1)
    same = same and all(name in attempt.absent for name in tried)
    unseen = any(name.startswith(OF_FIGURE) for name in stored.absent_steps)
    shown = same and stored.steps.figures and not unseen and store.done(stored.key) is not None
    if shown:
        found.seconds["figures"] = stored.seconds.get("figures", 0.0)
    outcome, summary = yield from _reported(case, found, store, attempt, lost=lost, figures=not shown)
    as_drawn = dataclasses.replace(
        outcome,
        size=stored.size,
        checksum=stored.checksum,
        versions=stored.versions,
        where=stored.where,
        migrated=stored.migrated,
    )
    if same:
        as_drawn = dataclasses.replace(as_drawn, left_out=stored.left_out, single=stored.single)
        yield store.write_fit(as_drawn, None, summary, traceback=attempt.traceback)
        return
    as_drawn = dataclasses.replace(as_drawn, single=stored.single)
    yield store.write_fit(
        *as_kept(as_drawn, found.tree, case, there, stored.left_out), summary, traceback=attempt.traceback
    )


def _drawn(case: Case, steps: int) -> Drawn:
    """Say that a fit is drawn, and how long the steps may take that come next."""
    bound = case.spec.steps.timeout
    return Drawn(case.spec.key, bound and bound * steps)


def _with_stored(case: Case, stored: Outcome) -> tuple[Case, tuple[str, ...]]:
    """Add what a fit has to what is wanted of it; the second value says what can no longer be made."""
    spec = case.spec
    had = Wants(stored.diagnostics_options, stored.quantity_sources)
    both, lost = added_up(had, Wants(spec.diagnostics, spec.quantity_sources))
    ready = dataclasses.replace(
        spec,
        steps=joined_steps(stored.steps, spec.steps),
        diagnostics=both.diagnostics,
        quantity_sources=both.sources,
        step_sources=spec.step_sources if spec.steps.log_likelihood else stored.step_sources,
        asked=spec.required,
    )
    return dataclasses.replace(case, spec=ready), lost


def _settled(
    case: Case, found: Fitted | FitError, store: Store, started: tuple[tuple[Try, ...], int, float]
) -> Iterator[Outcome | Drawn]:
    """Commit a fit, or record why there is none, and how often it was started, with how many others and when."""
    before, together, begin = started
    spec = case.spec
    try:
        if isinstance(found, FitError):
            raise found
        attempt = Attempts(spec.steps.timeout)
        attempt("truth", lambda: ready(found, case))
        first = _comes_first(spec, found, before)
        if first:
            attempt.mark = store.mark(spec.key)
            attempt.mark.unlink(missing_ok=True)
            store.write_draws(*as_kept(_without_steps(case, found), found.tree, case))
        for _ in each_step(found, case, spec.steps, attempt):
            if first or case.timeout is not None:
                yield _drawn(case, 1)
        outcome, summary = yield from _reported(case, found, store, attempt)
        yield store.write_fit(*as_kept(outcome, found.tree, case), summary, traceback=attempt.traceback)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a fit raises is its outcome
        yield _failed(spec, store, error, case.degenerate, _broke(before, error, together, begin))


def _comes_first(spec: FitSpec, found: Fitted, before: tuple[Try, ...]) -> bool:
    """Whether the draws are committed before the steps.

    Not those of simulated data that took little time: thousands of these are quicker drawn again than written twice.
    But one whose worker was lost before may have been lost in a step.
    """
    took = found.seconds.get("sample", 0.0)
    return spec.simulation is None or took >= LONG_SECONDS or bool(before) or spec.steps.timeout is not None


def _without_steps(case: Case, found: Fitted) -> Outcome:
    """Say of a fit that it is drawn, and that nothing was done with its draws."""
    spec = case.spec
    bare = dataclasses.replace(
        spec,
        steps=dataclasses.replace(spec.steps, **dict.fromkeys(SWITCHES, False)),
        diagnostics=dataclasses.replace(spec.diagnostics, quantities=None, decisions=()),
        quantity_sources={},
    )
    return _outcome(
        dataclasses.replace(case, spec=bare), found, {}, absent_steps=dict.fromkeys(asked_steps(spec), BEFORE)
    )


def _out_of_memory(error: BaseException) -> bool:
    """Whether the host or, in XLA's words, the device had no memory left."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _reason(error: BaseException) -> Literal["error", "timeout", "oom", "disk"]:
    if isinstance(error, DiskError):
        return "disk"
    if _out_of_memory(error):
        return "oom"
    return "timeout" if isinstance(error, FitTimeoutError) else "error"


def _failed(spec: FitSpec, store: Store, error: BaseException, degenerate: str, tries: tuple[Try, ...]) -> Outcome:
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()) if str(note).startswith(ESCALATED))
    outcome = Outcome(
        key=spec.key,
        cell=spec.cell,
        replicate=spec.replicate,
        status="failed",
        reason=_reason(error),
        message=_short(first_line(error) if isinstance(error, DiskError) else in_one_line(error)) + notes + told(tries),
        seconds={"failed": spent(tries)},
        where=_where(),
        degenerate=degenerate,
    )
    try:
        return store.write_failure(outcome, without_secrets("".join(traceback.format_exception(error))))
    except DiskError as full:
        if outcome.reason == "disk":
            return outcome
        return dataclasses.replace(outcome, reason="disk", message=_short(f"{first_line(full)} ({outcome.message})"))
    except (OSError, StoreError) as full:
        return dataclasses.replace(outcome, message=_short(f"{outcome.message}; and it cannot be recorded: {full}"))


def _few(warnings: Sequence[str]) -> tuple[str, ...]:
    return tuple(_short(without_secrets(text)) for text in warnings[:MOST_WARNINGS])


def _short(text: str) -> str:
    return text if len(text) <= TEXT_LENGTH else f"{text[: TEXT_LENGTH - 3]}..."


def _where() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def measured(case: Case, found: Fitted, attempt: Attempts | None = None) -> tuple[Diagnosis, pd.DataFrame]:
    """Diagnose a posterior, and score what the study asks of it.

    Raises
    ------
    FitError
        If a quantity of the user's fails, and nothing is given that attempts it.
    """
    from bayesrun.statistics.fit_summary import diagnose
    from bayesrun.work.summary_columns import score

    of_data = case.dataset.coords.values()
    facts = diagnose(found.tree, _kind(case.spec), case.spec.diagnostics, attempt, parameters_of(case), of_data)
    if attempt is not None and "diagnostics" in attempt.absent:
        for name in (n for n in asked_steps(case.spec) if n.startswith(OF_SUMMARY)):
            attempt.leave_out(name, "there are no diagnostics that it could be added to")
        return facts, facts.summary
    return facts, score(facts.summary, found.tree, case, kind=_kind(case.spec), attempt=attempt)


def _measurable(case: Case, found: Fitted, attempt: Attempts) -> tuple[Case, Diagnosis, pd.DataFrame, tuple[str, ...]]:
    """Measure a posterior; the recipe comes back without the quantities and decisions that are absent.

    What only earlier commands ask for and fails is left out for good, and the last value says so.
    """
    facts, summary = measured(case, found, attempt)
    spec, asked = case.spec, asked_steps(case.spec)
    had = spec.diagnostics
    failed = [name for name in had.quantities or {} if f"quantity {name}" in attempt.absent]
    less, undecided = without(Wants(had, spec.quantity_sources), failed)
    about = [rule for rule in had.decisions if rule not in less.diagnostics.decisions]
    lost = [line for rule, line in zip(about, undecided, strict=True) if f"decision {rule}" not in asked]
    for rule in about:
        columns = decided_columns(parse_decision(rule, had.ci_kind).name)
        summary = summary.drop(columns=list(columns), errors="ignore")
        attempt.absent.pop(f"decision {rule}", None)
        if f"decision {rule}" in asked:
            attempt.leave_out(f"decision {rule}", "the quantity that it is about is not there")
    gone = {name for name in attempt.absent if name.startswith(OF_SUMMARY)}
    for name in sorted(gone - set(asked)):
        lost.insert(0, f"{attempt.absent.pop(name).why}; an earlier command asked for it, and it is left out")
    decided = tuple(rule for rule in less.diagnostics.decisions if f"decision {rule}" not in gone)
    options = dataclasses.replace(less.diagnostics, decisions=decided)
    spec = dataclasses.replace(spec, diagnostics=options, quantity_sources=less.sources)
    return dataclasses.replace(case, spec=spec), facts, summary, tuple(lost)


def _reported(
    case: Case,
    found: Fitted,
    store: Store,
    attempt: Attempts,
    *,
    lost: tuple[str, ...] = (),
    figures: bool = True,
) -> Generator[Drawn, None, tuple[Outcome, pd.DataFrame]]:
    """Measure a posterior and draw its figures."""
    told = attempt.mark is not None or case.timeout is not None
    if told:
        options = case.spec.diagnostics
        yield _drawn(case, MEASURED + len(options.quantities or {}) + len(options.decisions))
    with found.timed("diagnose"):
        case, facts, summary, failing = _measurable(case, found, attempt)
        spec = case.spec
        if "loo" in found.tree.children:
            del found.tree["loo"]
        if facts.loo is not None:
            found.tree["loo"] = type(found.tree)(facts.loo)
    if spec.steps.figures and figures:
        if told:
            yield _drawn(case, MOST_FIGURES)
        with found.timed("figures"):
            attempt("figures", lambda: _figures(spec, found, store, attempt), bounded=False)
    outcome = _outcome(case, found, facts.facts, absent_steps=attempt.absent)
    from bayesrun.statistics.loo import LOO_FACTS

    missing = attempt.absent.get("log_likelihood")
    absent = {
        name: _short(str(missing) if missing and name in LOO_FACTS else why) for name, why in facts.absent.items()
    }
    named = {fact: {_short(label): value for label, value in about.items()} for fact, about in facts.named.items()}
    outcome = dataclasses.replace(
        outcome, absent=absent, warnings=_few((*lost, *failing, *found.warnings, *facts.warnings)), named=named
    )
    return outcome, summary


def _figures(spec: FitSpec, found: Fitted, store: Store, attempt: Attempts) -> bool:
    from bayesrun.figures import fit_figures

    fit_figures(found.tree, store.fit_folder(spec.key) / "figures", kind=_kind(spec), attempt=attempt)
    return True


def _outcome(
    case: Case, found: Fitted, diagnostics: Mapping[str, float], *, absent_steps: Mapping[str, Absent]
) -> Outcome:
    """Say what became of a fit that is drawn."""
    spec = case.spec
    steps = dataclasses.replace(
        spec.steps, **{name: getattr(spec.steps, name) and name not in absent_steps for name in SWITCHES}
    )
    cannot = "log_likelihood" in absent_steps and absent_steps["log_likelihood"].kind == "cannot"
    return Outcome(
        key=spec.key,
        cell=spec.cell,
        replicate=spec.replicate,
        status="done",
        diagnostics=diagnostics,
        absent_steps={name: dataclasses.replace(why, why=_short(why.why)) for name, why in absent_steps.items()},
        seconds=found.seconds,
        effort=found.effort,
        attempts=found.attempts,
        steps=steps,
        diagnostics_options=spec.diagnostics,
        quantity_sources=of_data(spec.quantity_sources, spec.data_hash),
        step_sources=spec.step_sources if steps.log_likelihood or cannot else {},
        observed_hash=spec.observed_hash,
        where=_where(),
        versions=versions(),
        degenerate=case.degenerate,
    )


def kept(outcome: Outcome, spec: FitSpec, store: Store) -> Outcome:
    """Record what only the driver knows: that a worker was lost, or ran out of time or memory.

    Parameters
    ----------
    outcome
        What came back.
    spec
        Of the fit.
    store
        Where it is.

    Returns
    -------
    Outcome
        The stored one where the fit had been committed before its worker was lost. Where its draws had been, the fit is
        done without the steps that are not there.
    """
    from bayesrun.statistics.fit_summary import no_diagnosis

    complete = functools.partial(is_complete, spec=spec)
    stored = store.drawn(spec.key) if outcome.reason in ("lost", "oom", "timeout") else None
    if stored is None or stored.status != "done" or complete(store.done(spec.key)):
        return store.keep(outcome, complete)
    mark = store.mark(spec.key)
    under_way = mark.read_text().splitlines() if mark.exists() else []
    absent = {
        **{name: BEFORE for name in asked_steps(spec) if not _there(name, stored)},
        **stored.absent_steps,
        **{name: stopped(outcome.reason or "lost") for name in under_way},
    }
    whole = dataclasses.replace(stored, cell=spec.cell, absent_steps=absent)
    try:
        if store.done(spec.key) is None:
            return store.write_fit(whole, None, no_diagnosis(spec.diagnostics).summary)
        return store.write_outcome(whole)
    except (OSError, StoreError):
        return whole  # the disk may be what failed; the study goes on and shows the outcome


def _there(step: str, stored: Outcome) -> bool:
    """Whether a fit has a step that is asked for."""
    word, _, name = step.partition(" ")
    options = stored.diagnostics_options
    parts = {"quantity": options.quantities or {}, "decision": options.decisions}
    if word in parts:
        return name in parts[word]
    return SUMMARY in stored.files if step == "diagnostics" else getattr(stored.steps, step)


def _kind(spec: FitSpec) -> str:
    return str(sampler_constant(import_target("sampler", spec.sampler.path), "KIND"))


def _resume(stored: Outcome, found: Fitted) -> Fitted:
    """Keep the times and attempts of the fit that is completed."""
    for stage, seconds in stored.seconds.items():
        if stage not in AGAIN:
            found.seconds.setdefault(stage, seconds)
    found.attempts, found.effort = stored.attempts, stored.effort
    return found
