"""What a study says before and after its fits: the plan, the outcomes, the comparisons; printed and stored.

It reads the store and fits nothing, so everything can be made again at any time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayesrun import tables
from bayesrun.compare import Agreement, Apart, Comparison, Fitted, agreement, loo_comparisons, version
from bayesrun.gates import judge
from bayesrun.originals import originals
from bayesrun.types import CheckedCell, FitSpec, Outcome, Plan, Verdict, digest

if TYPE_CHECKING:
    from rich.console import Console

    from bayesrun.costs import Estimate
    from bayesrun.results import Results
    from bayesrun.store import Store

__all__ = [
    "Findings",
    "Row",
    "announce",
    "close",
    "compared",
    "exit_code",
    "objective",
    "row",
    "rows",
    "show",
    "show_plan",
    "show_results",
]


type Known = Mapping[str, tuple[FitSpec, CheckedCell]]

MOST_REASONS = 10
"""Lines on the terminal that say why cells are not compared."""


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
    apart
        Cells that LOO does not compare, and why.
    """

    outcomes: pd.DataFrame
    comparisons: Sequence[Comparison]
    agreements: Sequence[Agreement]
    apart: Sequence[Apart] = ()

    def by_name(self) -> dict[str, pd.DataFrame]:
        """Tables by name, as they are logged: comparisons and agreements of all groups in one each."""
        found = {"fits": self.outcomes.reset_index()}
        if self.comparisons:
            parts = [
                part.frame.rename_axis("cell").reset_index().assign(sampler=part.sampler) for part in self.comparisons
            ]
            found["comparison"] = pd.concat(parts, ignore_index=True)
        if self.agreements:
            parts = [part.frame.assign(reference=part.reference) for part in self.agreements]
            found["agreement"] = pd.concat(parts, ignore_index=True)
        if self.apart:
            lines = [(part.sampler, cell, part.reason) for part in self.apart for cell in part.cells]
            found["not_compared"] = pd.DataFrame(lines, columns=["sampler", "cell", "reason"])
        return found


def announce(console: Console, name: str, plan: Plan, cells: Sequence[CheckedCell], estimate: Estimate) -> None:
    """Say what will be done, what is done already, and what to look out for."""
    left = len(plan.specs) - len(plan.done)
    console.print(f"study {name}: {len(plan.specs)} fits, {len(plan.done)} done, {left} to do", markup=False)
    for original in originals(cells):
        console.print(f"original: {original}", markup=False, soft_wrap=True)
    for note in dict.fromkeys(note for cell in cells for note in cell.notes):
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    for warning in dict.fromkeys(warning for cell in cells for warning in cell.warnings):
        console.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    if not left:
        console.print("nothing to fit: every fit of this study is done")
    else:
        time = (
            f"about {_duration(estimate.seconds)}"
            if estimate.seconds is not None
            else "unknown, no fit like it was done here"
        )
        console.print(f"estimate: {estimate.bytes / 2**20:.1f} MiB of posteriors; time {time}", markup=False)


def show_plan(console: Console, plan: Plan) -> None:
    """List every fit of a plan with what would happen to it, for a dry run; replicates of a cell as one line."""
    cells: dict[str, list[FitSpec]] = {}
    for spec in plan.specs:
        cells.setdefault(spec.cell, []).append(spec)
    for label, specs in cells.items():
        if len(specs) > 1:
            done = sum(spec.key in plan.done for spec in specs)
            sizes = sorted({len(batch.specs) for batch in plan.batches if batch.label == label})
            told = f" in batches of {' and '.join(map(str, sizes))}" if sizes else ""
            console.print(f"{len(specs)} replicates, {done} done{told}  {label}", markup=False, soft_wrap=True)
            continue
        word = "done " if specs[0].key in plan.done else "to do"
        console.print(f"{word}  {specs[0].key}  {label}", markup=False, soft_wrap=True)
    console.print("dry run: nothing was started")


def close(console: Console, store: Store, lines: Sequence[str]) -> None:
    """Say where everything is."""
    for line in (f"files: {store.root}", *lines):
        console.print(line, markup=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def row(known: Known, outcome: Outcome) -> Row:
    """Join an outcome with its recipe, its cell and the gate's verdict."""
    spec, checked = known[outcome.key]
    named = dataclasses.replace(outcome, cell=spec.cell)
    verdict = judge(checked.cell.gate, named, centred=checked.centred, kind=checked.kind)
    return Row(spec, checked, named, verdict)


def rows(known: Known, store: Store, fresh: Mapping[str, Outcome]) -> tuple[Row, ...]:
    """Join every fit that has an outcome.

    Parameters
    ----------
    known
        The study's fits by key.
    store
        Where outcomes of earlier commands are.
    fresh
        Outcomes of this command by key.
    """
    outcomes = (fresh.get(key) or store.settled(key) for key in known)
    return tuple(row(known, outcome) for outcome in outcomes if outcome is not None)


def compared(found: Sequence[Row], store: Store, reference: str | None) -> Findings:
    """Make the tables of a study and keep them in its folder.

    Unchanged fits are not compared again, unless what compares them has changed.

    Parameters
    ----------
    found
        Every fit.
    store
        Where posteriors and summaries are read, and tables written.
    reference
        Sampler that the others are held against, or None.
    """
    fits = [_fitted(row) for row in found if row.outcome.status == "done"]
    verdicts = [[r.spec.key, r.spec.cell, r.outcome.checksum, r.verdict] for r in found]
    inputs = digest([version(), reference, verdicts, fits])
    outcomes = _outcome_frame(found)
    kept = store.read_findings()
    if kept.get("inputs") == inputs:
        return Findings(
            outcomes,
            [Comparison(part["name"], _frame(part), tuple(part["notes"])) for part in kept["comparisons"]],
            [Agreement(part["name"], _frame(part), tuple(part["notes"])) for part in kept["agreements"]],
            [Apart(part["sampler"], tuple(part["cells"]), part["reason"]) for part in kept["apart"]],
        )
    comparisons, apart = loo_comparisons(fits, store.read_tree)
    agreements = agreement(fits, store.read_summary, reference)
    findings = Findings(outcomes, comparisons, agreements, apart)
    written = findings.by_name()
    for name in ("comparison", "agreement", "not_compared"):
        if name not in written:
            store.remove_table(name)
    for name, frame in written.items():
        store.write_table(name, frame)
    store.write_findings(
        {
            "inputs": inputs,
            "comparisons": [_plain(part.sampler, part.frame, part.notes) for part in comparisons],
            "agreements": [_plain(part.reference, part.frame, part.notes) for part in agreements],
            "apart": [dataclasses.asdict(part) for part in apart],
        }
    )
    return findings


def _plain(name: str, frame: pd.DataFrame, notes: Sequence[str]) -> dict[str, object]:
    return {"name": name, "notes": list(notes), "frame": frame.to_dict("split")}


def _frame(part: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(**part["frame"])


def _fitted(row: Row) -> Fitted:
    facts = row.outcome.diagnostics
    return Fitted(
        label=row.spec.cell,
        key=row.spec.key,
        model=(row.spec.model.path, digest(row.spec.model.params), row.checked.fingerprint),
        data_hash=row.spec.data_hash,
        observed=row.checked.observed,
        n_terms=int(facts.get("n_loo_terms", 0)) if "elpd_loo" in facts else 0,
        sampler=row.spec.sampler.name,
        sampler_path=row.spec.sampler.path,
        kind=row.checked.kind,
    )


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
    for line in (*tables.verdict_lines(pairs), *_remarks(found)):
        console.print(line, markup=False, soft_wrap=True)
    for comparison in findings.comparisons:
        console.print(f"\nLOO comparison, sampler {comparison.sampler}", markup=False, style="bold")
        console.print(tables.comparison_table(comparison.frame))
        _notes(console, comparison.notes)
    for sampler in dict.fromkeys(part.sampler for part in findings.apart):
        console.print(f"\nnot compared by LOO, sampler {sampler}", markup=False, style="bold")
        lines = [str(part) for part in findings.apart if part.sampler == sampler]
        more = len(lines) - MOST_REASONS
        _notes(console, [*lines[:MOST_REASONS], *([f"{more} more in the table not_compared"] if more > 0 else ())])
    for part in findings.agreements:
        console.print(f"\nagreement with {part.reference}", markup=False, style="bold")
        console.print(tables.agreement_table(part.frame))
        _notes(console, part.notes)


def show_results(console: Console, results: Results) -> None:
    """Print what a simulation study found: sentences, what limits them, and the tables that fit a terminal."""
    for name, table in tables.study_tables(results.tables):
        console.print(f"\n{name}", markup=False, style="bold")
        console.print(table)
    console.print()
    for sentence in results.sentences:
        style = "red" if sentence.state == "fail" else None
        console.print(sentence.text, style=style, markup=False, soft_wrap=True)
    _notes(console, results.remarks)


def _remarks(found: Sequence[Row]) -> list[str]:
    """Say why LOO is absent, and what fits met on their way."""
    lines = []
    for r in found:
        if r.outcome.status == "done" and r.checked.cell.steps.log_likelihood and "elpd_loo" in r.outcome.absent:
            lines.append(f"{r.spec.cell}: no LOO: {r.outcome.absent['elpd_loo']}")
        lines += [f"{r.spec.cell}: {warning}" for warning in r.outcome.warnings]
    return lines


def _notes(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(f"- {note}", markup=False, soft_wrap=True)


def exit_code(plan: Plan, found: Sequence[Row]) -> int:
    """Return 1 if a fit failed or is missing, or a verdict failed whose gate says `fail`; otherwise 0."""
    missing = len(found) < len(plan.specs)
    failed = any(r.outcome.status == "failed" or (r.checked.cell.gate.fail and not r.verdict.passed) for r in found)
    return int(missing or failed)


def objective(plan: Plan, found: Sequence[Row], name: str) -> dict[str, float]:
    """Read one diagnostic of every cell, by the plan's labels, for sweepers that optimise."""
    values = {row.spec.key: row.outcome.diagnostics for row in found}
    return {s.cell: values[s.key][name] for s in plan.specs if name in values.get(s.key, {})}
