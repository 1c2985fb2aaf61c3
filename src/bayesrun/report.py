"""What a study says before and after its fits: the plan, the outcomes, the comparisons; printed and stored.

It reads the store and fits nothing, so everything can be made again at any time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console

from bayesrun import tables
from bayesrun.compare import Agreement, Comparison, Fitted, agreement, loo_comparisons
from bayesrun.gates import judge
from bayesrun.types import CheckedCell, FitSpec, Outcome, Plan, Verdict, digest

if TYPE_CHECKING:
    from bayesrun.costs import Estimate
    from bayesrun.store import Store

__all__ = ["Findings", "Row", "announce", "compared", "exit_code", "objective", "rows", "show", "write"]


@dataclass(frozen=True)
class Row:
    """One fit of the study with all that is known about it."""

    spec: FitSpec
    checked: CheckedCell
    outcome: Outcome
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Findings:
    """The tables of a study.

    Parameters
    ----------
    outcomes
        One row per fit.
    comparisons, agreements
        LOO between models, and agreement between samplers.
    """

    outcomes: pd.DataFrame
    comparisons: Sequence[Comparison]
    agreements: Sequence[Agreement]


def announce(console: Console, store: Store, plan: Plan, cells: Sequence[CheckedCell], estimate: Estimate) -> None:
    """Say what will be done, what is done already, and what to look out for."""
    left = len(plan.specs) - len(plan.done)
    console.print(f"study {store.root.name}: {len(plan.specs)} fits, {len(plan.done)} done, {left} to do", markup=False)
    for warning in dict.fromkeys(warning for cell in cells for warning in cell.warnings):
        console.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    if left:
        time = (
            f"about {_duration(estimate.seconds)}"
            if estimate.seconds is not None
            else "unknown, no fit like it was done here"
        )
        console.print(f"estimate: {estimate.bytes / 2**20:.1f} MiB of posteriors; time {time}", markup=False)


def plan_lines(plan: Plan) -> list[str]:
    """List every fit of a plan with what will happen to it, for a dry run."""
    waiting = {spec.key for batch in plan.batches for spec in batch.specs}
    return [f"{'to do' if spec.key in waiting else 'done '}  {spec.key}  {spec.cell}" for spec in plan.specs]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def rows(plan: Plan, cells: Sequence[CheckedCell], store: Store, fresh: Mapping[str, Outcome]) -> tuple[Row, ...]:
    """Join every fit of the plan with its outcome and verdict.

    Parameters
    ----------
    plan
        The study's fits.
    cells
        Their cells.
    store
        Where outcomes of earlier commands are.
    fresh
        Outcomes of this command by key; a fit that was lost with its worker is only there.
    """
    by_label = {checked.cell.label: checked for checked in cells}
    found = []
    for spec in plan.specs:
        checked = by_label[spec.cell]
        outcome = fresh.get(spec.key) or store.read_outcome(spec.key)
        if outcome is None:
            continue
        outcome = dataclasses.replace(outcome, cell=spec.cell)
        verdict = judge(checked.cell.gate, outcome, centred=checked.centred, kind=checked.kind)
        found.append(Row(spec, checked, outcome, verdict))
    return tuple(found)


def compared(found: Sequence[Row], store: Store, reference: str | None) -> Findings:
    """Make the tables of a study and keep them in its folder.

    Parameters
    ----------
    found
        Every fit.
    store
        Where posteriors and summaries are read, and tables written.
    reference
        Sampler that the others are held against, or None.
    """
    fits = [
        Fitted(
            label=row.spec.cell,
            key=row.spec.key,
            model=(row.spec.model.path, digest(row.spec.model.params), row.checked.fingerprint),
            data_hash=row.spec.data_hash,
            observed_hash=row.spec.observed_hash,
            sampler=row.spec.sampler.name,
            sampler_path=row.spec.sampler.path,
            kind=row.checked.kind,
        )
        for row in found
        if row.outcome.status == "done"
    ]
    findings = Findings(
        _outcome_frame(found), loo_comparisons(fits, store.read_tree), agreement(fits, store.read_summary, reference)
    )
    store.write_table("fits", findings.outcomes)
    for name, parts in (
        ("comparison", {part.sampler: part.frame for part in findings.comparisons}),
        ("agreement", {part.reference: part.frame for part in findings.agreements}),
    ):
        if parts:
            store.write_table(name, pd.concat(parts, names=["sampler" if name == "comparison" else "reference"]))
    return findings


def _outcome_frame(found: Sequence[Row]) -> pd.DataFrame:
    records = [
        {
            "cell": row.spec.cell,
            "key": row.spec.key,
            "replicate": row.spec.replicate,
            "status": row.outcome.status,
            "reason": row.outcome.reason or "",
            "verdict": "pass" if row.verdict.passed else "fail",
            "failures": "; ".join(row.verdict.failures),
            "remedies": "; ".join(row.verdict.remedies),
            "seconds": sum(row.outcome.seconds.values()),
            "where": row.outcome.where,
            **row.outcome.diagnostics,
        }
        for row in found
    ]
    return pd.DataFrame(records).set_index("cell")


def show(console: Console, found: Sequence[Row], findings: Findings) -> None:
    """Print the outcomes, why verdicts failed and what to try, and the comparisons."""
    pairs = [(row.outcome, row.verdict) for row in found]
    console.print(tables.outcome_table(pairs))
    for line in tables.verdict_lines(pairs):
        console.print(line, markup=False, soft_wrap=True)
    for comparison in findings.comparisons:
        console.print(f"\nLOO comparison, sampler {comparison.sampler}", markup=False, style="bold")
        console.print(tables.comparison_table(comparison.frame))
        _notes(console, comparison.notes)
    for part in findings.agreements:
        console.print(f"\nagreement with {part.reference}", markup=False, style="bold")
        console.print(tables.agreement_table(part.frame))
        _notes(console, part.notes)


def _notes(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(f"- {note}", markup=False, soft_wrap=True)


def exit_code(found: Sequence[Row]) -> int:
    """Return 1 if a fit failed, or a verdict failed whose gate says `fail`; otherwise 0."""
    return int(
        any(row.outcome.status == "failed" or (row.checked.cell.gate.fail and not row.verdict.passed) for row in found)
    )


def objective(found: Sequence[Row], name: str) -> dict[str, float]:
    """Read one diagnostic of every cell, for sweepers that optimise."""
    return {row.spec.cell: row.outcome.diagnostics[name] for row in found if name in row.outcome.diagnostics}
