"""execute(batch, store) -> outcomes: the worker's entry, and the only place that catches everything.

A fit that fails is an outcome; the others of its batch go on.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bayesrun.base.imports import at_once, import_target, make_importable, sampler_constant
from bayesrun.base.machine import versions
from bayesrun.dispatch.retries import spent, told
from bayesrun.errors import BayesrunError, FitError, FitTimeoutError, StoreError
from bayesrun.planning.completion import (
    IN_POSTERIOR,
    Wants,
    added_up,
    is_complete,
    joined_steps,
    missing_steps,
    without,
)
from bayesrun.store.folder import Store
from bayesrun.types import Batch, FitSpec, Outcome, Try
from bayesrun.work.datasets import Sources
from bayesrun.work.fit import ESCALATED, complete, fits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from bayesrun.statistics.fit_summary import Diagnosis
    from bayesrun.work.case import Case, Fitted

__all__ = ["Workplace", "execute", "measured"]

type Tried = Mapping[str, tuple[Try, ...]]
"""Key to the times that a fit was started before in calls that broke."""

AGAIN = ("diagnose", "figures", "failed")
"""Stages that a completion does anew: their earlier time is not added."""

OF_FIGURE = "figure "
"""What a warning begins with that tells of a figure."""

TEXT_LENGTH = 300
MOST_WARNINGS = 10
"""Bounds on what an outcome carries in words, so that it stays a few kB; error.txt has everything."""


@dataclass(frozen=True)
class Workplace:
    """Where a batch finds its store and the user's modules: absolute paths made on the driver."""

    root: Path
    folder: Path

    def __call__(self, batch: Batch) -> Iterator[Outcome]:
        """Do the fits of a batch."""
        make_importable(self.folder)
        yield from execute(batch, Store(self.root))


def execute(batch: Batch, store: Store) -> Iterator[Outcome]:
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
    Outcome
        One for each fit; a failed one carries its reason, and its traceback is in error.txt.
    """
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
            yield _completed(case, stored, store)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a fit raises is its outcome
            yield _failed(spec, store, error, degenerate, _broke(batch.tried.get(spec.key, ()), error, 1, begin))
    yield from _draw(fresh, store, batch.tried)


def _draw(cases: Sequence[Case], store: Store, before: Tried) -> Iterator[Outcome]:
    """Draw for what is left of a batch; what breaks is one fit where they are drawn one after another."""
    left = {case.spec.key: case for case in cases}
    together = bool(cases) and at_once(cases[0].spec.sampler.path)
    while left:
        begin = time.perf_counter()
        try:
            for case, found in fits(list(left.values())):
                del left[case.spec.key]
                started = before.get(case.spec.key, ()), len(left) + 1 if together else 1, begin
                yield _settled(case, found, store, started)
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
    """Add how a fit ended that was under way since `begin`."""
    return (*before, Try(_reason(error), together, time.perf_counter() - begin))


def _completed(case: Case, stored: Outcome, store: Store) -> Outcome:
    """Do what a fit lacks from its stored draws, beside what it has; what would be the same is not made again."""
    missing = missing_steps(stored, case.spec)
    case, lost = _with_stored(case, stored)
    found = _resume(stored, complete(store.read_tree(stored.key), missing, case))
    loo_var = case.spec.diagnostics.loo_var
    same = not any(getattr(missing, name) for name in IN_POSTERIOR) and loo_var == stored.diagnostics_options.loo_var
    drawn = same and stored.steps.figures and store.done(stored.key) is not None
    if drawn:
        lost += tuple(line for line in stored.warnings if line.startswith(OF_FIGURE))
        found.seconds["figures"] = stored.seconds.get("figures", 0.0)
    outcome, summary = _reported(case, found, store, lost=lost, figures=not drawn)
    as_drawn = dataclasses.replace(
        outcome, size=stored.size, checksum=stored.checksum, versions=stored.versions, where=stored.where
    )
    return store.write_fit(as_drawn, None if same else found.tree, summary)


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
) -> Outcome:
    """Commit a fit, or record why there is none, and how often it was started, with how many others and when."""
    before, together, begin = started
    try:
        if isinstance(found, FitError):
            raise found
        outcome, summary = _reported(case, found, store)
        return store.write_fit(outcome, found.tree, summary)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a fit raises is its outcome
        return _failed(case.spec, store, error, case.degenerate, _broke(before, error, together, begin))


def _out_of_memory(error: BaseException) -> bool:
    """Whether the host or, in XLA's words, the device had no memory left."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _reason(error: BaseException) -> Literal["error", "timeout", "oom"]:
    if _out_of_memory(error):
        return "oom"
    return "timeout" if isinstance(error, FitTimeoutError) else "error"


def _failed(spec: FitSpec, store: Store, error: BaseException, degenerate: str, tries: tuple[Try, ...]) -> Outcome:
    text = str(error).strip().splitlines()
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()) if str(note).startswith(ESCALATED))
    outcome = Outcome(
        key=spec.key,
        cell=spec.cell,
        replicate=spec.replicate,
        status="failed",
        reason=_reason(error),
        message=_short(f"{type(error).__name__}: {text[0] if text else ''}") + notes + told(tries),
        seconds={"failed": spent(tries)},
        where=_where(),
        degenerate=degenerate,
    )
    try:
        return store.write_failure(outcome, "".join(traceback.format_exception(error)))
    except (OSError, StoreError) as full:
        return dataclasses.replace(outcome, message=_short(f"{outcome.message}; and it cannot be recorded: {full}"))


def _few(warnings: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(_short, warnings[:MOST_WARNINGS]))


def _short(text: str) -> str:
    return text if len(text) <= TEXT_LENGTH else f"{text[: TEXT_LENGTH - 3]}..."


def _where() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def measured(case: Case, found: Fitted) -> tuple[Diagnosis, pd.DataFrame]:
    """Diagnose a posterior, and score what the study asks of it.

    Raises
    ------
    FitError
        If a quantity of the user's fails.
    """
    from bayesrun.statistics.fit_summary import diagnose
    from bayesrun.work.summary_columns import score

    facts = diagnose(found.tree, _kind(case.spec), case.spec.diagnostics)
    return facts, score(facts.summary, found.tree, case, kind=_kind(case.spec))


def _measurable(case: Case, found: Fitted) -> tuple[Case, Diagnosis, pd.DataFrame, tuple[str, ...]]:
    """Measure a posterior; what only earlier commands ask for and fails is left out, and the last value says so."""
    lost: tuple[str, ...] = ()
    while True:
        try:
            return case, *measured(case, found), lost
        except BayesrunError as error:
            name, spec = error.quantity, case.spec
            if name is None or name in (spec.required.quantities or {}):
                raise
            less, undecided = without(Wants(spec.diagnostics, spec.quantity_sources), [name])
            lost = (*lost, f"{error}; an earlier command asked for it, and it is left out", *undecided)
            case = dataclasses.replace(
                case, spec=dataclasses.replace(spec, diagnostics=less.diagnostics, quantity_sources=less.sources)
            )


def _reported(
    case: Case, found: Fitted, store: Store, *, lost: tuple[str, ...] = (), figures: bool = True
) -> tuple[Outcome, pd.DataFrame]:
    """Measure a posterior and draw its figures."""
    with found.timed("diagnose"):
        case, facts, summary, failing = _measurable(case, found)
        spec, steps = case.spec, case.spec.steps
        if "loo" in found.tree.children:
            del found.tree["loo"]
        if facts.loo is not None:
            found.tree["loo"] = type(found.tree)(facts.loo)
    problems: Sequence[str] = ()
    if steps.figures and figures:
        from bayesrun.figures import fit_figures

        with found.timed("figures"):
            problems = fit_figures(found.tree, store.fit_folder(spec.key) / "figures", kind=_kind(spec)).problems
    outcome = Outcome(
        key=spec.key,
        cell=spec.cell,
        replicate=spec.replicate,
        status="done",
        diagnostics=facts.facts,
        absent={name: _short(why) for name, why in facts.absent.items()},
        warnings=_few((*lost, *failing, *found.warnings, *facts.warnings, *problems)),
        seconds=found.seconds,
        effort=found.effort,
        attempts=found.attempts,
        steps=steps,
        diagnostics_options=spec.diagnostics,
        quantity_sources=spec.quantity_sources,
        step_sources=spec.step_sources if steps.log_likelihood else {},
        observed_hash=spec.observed_hash,
        where=_where(),
        versions=versions(),
        degenerate=case.degenerate,
    )
    return outcome, summary


def _kind(spec: FitSpec) -> str:
    return str(sampler_constant(import_target("sampler", spec.sampler.path), "KIND"))


def _resume(stored: Outcome, found: Fitted) -> Fitted:
    """Keep the times and attempts of the fit that is completed."""
    for stage, seconds in stored.seconds.items():
        if stage not in AGAIN:
            found.seconds.setdefault(stage, seconds)
    found.attempts, found.effort = stored.attempts, stored.effort
    return found
