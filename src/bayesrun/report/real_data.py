"""What a study of real data comes to: its fits with their verdicts, compared, printed and stored.

It reads the store and fits nothing, so everything can be made again at any time.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayesrun.base.cell_labels import told_once
from bayesrun.base.messages import in_one_line
from bayesrun.base.verb_hints import verb
from bayesrun.errors import BayesrunError, StoreError
from bayesrun.planning.completion import unmet
from bayesrun.report import terminal_tables
from bayesrun.report.comparison import Agreement, Apart, Comparison, Fitted, agreement, loo_comparisons, version
from bayesrun.report.decided import decided
from bayesrun.report.estimates import FEW_CELLS, Estimates, Told, shown_after
from bayesrun.report.inventory import absent_lines, inventory
from bayesrun.report.not_fitted import TABLE
from bayesrun.statistics.gates import judge
from bayesrun.statistics.states import Standing, State, cell_state
from bayesrun.store.folder import SUMMARY
from bayesrun.types import CheckedCell, FitSpec, Outcome, Plan, Verdict, digest

if TYPE_CHECKING:
    from rich.console import Console

    from bayesrun.report.simulated_data import Results
    from bayesrun.store.folder import Store

__all__ = [
    "Findings",
    "Row",
    "compared",
    "decisions_of",
    "estimates_of",
    "keep",
    "objective",
    "row",
    "rows",
    "show",
    "show_decisions",
    "show_estimates",
    "show_part",
    "show_results",
    "standings",
    "states",
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
    decisions
        What each rule says of each fit, see `decided`; empty where none was asked.
    not_fitted
        Datasets that cannot be fitted, and why.
    inputs
        Digest of what they were made from; empty where something could not be made.
    failed
        One line for each comparison that raised.
    """

    outcomes: pd.DataFrame
    comparisons: Sequence[Comparison]
    agreements: Sequence[Agreement]
    apart: Sequence[Apart] = ()
    decisions: pd.DataFrame = field(default_factory=pd.DataFrame)
    inputs: str = ""
    failed: tuple[str, ...] = ()
    not_fitted: pd.DataFrame = field(default_factory=pd.DataFrame)

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
        if not self.decisions.empty:
            found["decisions"] = self.decisions
        if not self.not_fitted.empty:
            found[TABLE] = self.not_fitted
        return found


def row(known: Known, outcome: Outcome) -> Row:
    """Join an outcome with its recipe, its cell and the gate's verdict."""
    spec, checked = known[outcome.key]
    named = dataclasses.replace(outcome, cell=spec.cell)
    verdict = judge(checked.cell.gate, named, centred=checked.centred, kind=checked.kind)
    return Row(spec, checked, named, verdict)


def rows(known: Known, store: Store, fresh: Mapping[str, Outcome]) -> tuple[Row, ...]:
    """Join every fit that failed, or is done and whole.

    Parameters
    ----------
    known
        The study's fits by key.
    store
        Where outcomes of earlier commands are.
    fresh
        Outcomes of this command by key.
    """
    return tuple(row(known, outcome) for outcome in inventory(known, store, fresh).outcomes.values())


def compared(found: Sequence[Row], store: Store, reference: str | None) -> Findings:
    """Make the tables of a study.

    Unchanged fits are not compared again, unless what compares them has changed.

    Parameters
    ----------
    found
        Every fit.
    store
        Where posteriors and summaries are read.
    reference
        Sampler that the others are held against, or None.
    """
    fits = [_fitted(row) for row in found if row.outcome.status == "done"]
    verdicts = [[r.spec.key, r.spec.cell, r.outcome.checksum, r.outcome.files.get(SUMMARY), r.verdict] for r in found]
    inputs = digest([version(), reference, verdicts, fits])
    outcomes = _outcome_frame(found)
    decisions = decisions_of(found, store)
    kept = store.read_findings()
    if kept.get("inputs") == inputs:
        comparisons = [Comparison(part["name"], _frame(part), tuple(part["notes"])) for part in kept["comparisons"]]
        agreements = [Agreement(part["name"], _frame(part), tuple(part["notes"])) for part in kept["agreements"]]
        apart = [Apart(part["sampler"], tuple(part["cells"]), part["reason"]) for part in kept["apart"]]
    else:
        failed: list[str] = []
        measured = {r.spec.key for r in found if "diagnostics" not in r.outcome.absent_steps}
        alike = [fit for fit in fits if fit.key in measured]
        none: tuple[list[Comparison], list[Apart]] = ([], [])
        comparisons, apart = _attempted("LOO comparison", failed, lambda: loo_comparisons(fits, store.read_tree), none)
        agreements = _attempted(
            "agreement of samplers", failed, lambda: agreement(alike, store.read_summary, reference), []
        )
        if failed:
            return Findings(outcomes, comparisons, agreements, apart, decisions, failed=tuple(failed))
    return Findings(outcomes, comparisons, agreements, apart, decisions, inputs)


def decisions_of(found: Sequence[Row], store: Store) -> pd.DataFrame:
    """List what each decision rule says of each fit that is done, see `decided`."""
    return decided((row.spec for row in found if row.outcome.status == "done"), store.read_summary)


def _attempted[T](what: str, failed: list[str], make: Callable[[], T], otherwise: T) -> T:
    """Compare; what raises for another reason than a damaged fit is noted, and the study goes on without."""
    try:
        return make()
    except BayesrunError:
        raise
    except Exception as error:  # noqa: BLE001 - fits are worth more than what compares them
        failed.append(f"no {what}: failed: {in_one_line(error)}; the same command, or bayesrun compare, tries it again")
        return otherwise


def keep(findings: Findings, store: Store) -> None:
    """Write the tables of a study to its folder, and take away those that it no longer has."""
    written = findings.by_name()
    for name in ("comparison", "agreement", "not_compared", "decisions", TABLE):
        if name not in written:
            store.remove_table(name)
    for name, frame in written.items():
        store.write_table(name, frame)
    store.write_findings(
        {
            "inputs": findings.inputs,
            "comparisons": [_plain(part.sampler, part.frame, part.notes) for part in findings.comparisons],
            "agreements": [_plain(part.reference, part.frame, part.notes) for part in findings.agreements],
            "apart": [dataclasses.asdict(part) for part in findings.apart],
        }
    )


def _plain(name: str, frame: pd.DataFrame, notes: Sequence[str]) -> dict[str, object]:
    return {"name": name, "notes": list(notes), "frame": frame.to_dict("split")}


def _frame(part: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(**part["frame"])


def _fitted(row: Row) -> Fitted:
    facts = row.outcome.diagnostics
    return Fitted(
        label=row.spec.cell,
        key=row.spec.key,
        posterior=_posterior(row),
        observed=row.checked.observed,
        n_terms=int(facts.get("n_loo_terms", 0)) if "elpd_loo" in facts else 0,
        sampler=row.spec.sampler.name,
        sampler_path=row.spec.sampler.path,
        kind=row.checked.kind,
    )


def _posterior(row: Row) -> tuple[str, ...]:
    checked, spec = row.checked, row.spec
    if checked.fingerprint and checked.conditioned:
        return checked.fingerprint, checked.conditioned
    return spec.model.path, digest(spec.model.params), checked.fingerprint, spec.data_hash


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
            "absent": row.outcome.absent_text,
            **dict(sorted(row.outcome.diagnostics.items())),
        }
        for row in found
    ]
    return pd.DataFrame(records, columns=None if records else ["cell", "key", "status"]).set_index("cell")


def show(console: Console, found: Sequence[Row], findings: Findings, told: Told | None = None) -> None:
    """Print the outcomes, why verdicts failed and what to try, the estimates that are told, and the comparisons."""
    pairs = [(row.outcome, row.verdict) for row in found]
    console.print(terminal_tables.outcome_table(pairs))
    for line in (*terminal_tables.verdict_lines(pairs), *_remarks(found)):
        console.print(line, markup=False, soft_wrap=True)
    show_estimates(console, told or Told())
    show_decisions(console, findings.decisions)
    for comparison in findings.comparisons:
        console.print(f"\nLOO comparison, sampler {comparison.sampler}", markup=False, style="bold")
        console.print(terminal_tables.comparison_table(comparison.frame))
        _notes(console, comparison.notes)
    for sampler in dict.fromkeys(part.sampler for part in findings.apart):
        console.print(f"\nnot compared by LOO, sampler {sampler}", markup=False, style="bold")
        lines = [str(part) for part in findings.apart if part.sampler == sampler]
        more = len(lines) - MOST_REASONS
        _notes(console, [*lines[:MOST_REASONS], *([f"{more} more in the table not_compared"] if more > 0 else ())])
    _notes(console, findings.failed)
    for part in findings.agreements:
        console.print(f"\nagreement with {part.reference}", markup=False, style="bold")
        console.print(terminal_tables.agreement_table(part.frame))
        _notes(console, part.notes)


def estimates_of(found: Sequence[Row], store: Store) -> Told:
    """Read the estimates of fits; one whose summary cannot be read, or has no rows, has none. Of many none is read."""
    done = [row for row in found if row.outcome.status == "done" and SUMMARY in row.outcome.files]
    show = verb("show", store.root)
    if len(done) > FEW_CELLS:
        return Told(hint=f"estimates of {len(done)} cells: {show} CELL, or {show} --var NAME for all cells")
    told = []
    for row in done:
        with contextlib.suppress(StoreError):
            summary = store.read_summary(row.spec.key)
            if len(summary):
                terms = int(row.outcome.diagnostics.get("n_loo_terms", 0))
                told.append(Estimates(row.spec, summary, terms, show))
    return Told(tuple(told))


def show_estimates(console: Console, told: Told) -> None:
    """Print the estimates of a few cells; of many how they are shown."""
    if told.hint:
        console.print(f"\n{told.hint}", markup=False, soft_wrap=True)
    _, own = told_once(part.spec.cell for part in told.parts)
    for part in told.parts:
        name = f" of {own[part.spec.cell]}" if len(told.parts) > 1 else ""
        console.print(f"\nestimates{name}", markup=False, style="bold")
        show_part(console, part, len(told.parts))


def show_part(console: Console, told: Estimates, cells: int = 1) -> None:
    """Print the estimates of one fit, and which of them are not shown."""
    table, rest = shown_after(told, cells)
    if table.row_count:
        console.print(table)
    if rest:
        console.print(rest, markup=False, soft_wrap=True)


def show_decisions(console: Console, decisions: pd.DataFrame) -> None:
    """Print what the decision rules say, a table for each rule."""
    for rule, part in decisions.groupby("rule", sort=False) if len(decisions) else ():
        console.print(f"\nrule {rule}", markup=False, style="bold")
        console.print(terminal_tables.decision_table(part))


def show_results(console: Console, results: Results) -> None:
    """Print what a simulation study found: sentences, what limits them, and the tables that fit a terminal."""
    for name, table in terminal_tables.study_tables(results.tables):
        console.print(f"\n{name}", markup=False, style="bold")
        console.print(table)
    console.print()
    for sentence in results.sentences:
        style = "red" if sentence.state == "fail" else None
        console.print(sentence.text, style=style, markup=False, soft_wrap=True)
    _notes(console, results.remarks)


def _remarks(found: Sequence[Row]) -> list[str]:
    """Say which steps are absent, why LOO is, and what fits met on their way."""
    lines = absent_lines([(r.spec, r.outcome) for r in found])
    for r in found:
        told = {"log_likelihood", "loo", "diagnostics"} & set(r.outcome.absent_steps)
        wanted = r.outcome.status == "done" and r.checked.cell.steps.log_likelihood and not told
        if wanted and "elpd_loo" in r.outcome.absent:
            lines.append(f"{r.spec.cell}: no LOO: {r.outcome.absent['elpd_loo']}")
        lines += [f"{r.spec.cell}: {warning}" for warning in r.outcome.warnings]
    return lines


def _notes(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(f"- {note}", markup=False, soft_wrap=True)


def standings(known: Known, found: Sequence[Row]) -> dict[str, Standing]:
    """Count for each cell of real data what became of its fits, of which none may fail.

    Parameters
    ----------
    known
        Planned fits by key.
    found
        Those that have an outcome, and maybe others.
    """
    there = {row.spec.key: row for row in found}
    planned: dict[str, list[Row | None]] = {}
    strict = {}
    for key, (_, checked) in known.items():
        planned.setdefault(checked.cell.label, []).append(there.get(key))
        strict[checked.cell.label] = checked.cell.gate.fail
    return {label: _standing(rows, strict=strict[label]) for label, rows in planned.items()}


def _standing(found: Sequence[Row | None], *, strict: bool) -> Standing:
    back = [row for row in found if row is not None]
    failed = sum(row.outcome.status == "failed" for row in back)
    incomplete = sum(row.outcome.status == "done" and bool(unmet(row.outcome, row.spec)) for row in back)
    passed = sum(row.verdict.passed for row in back)
    return Standing(
        planned=len(found),
        failed=failed,
        missing=len(found) - len(back),
        not_converged=len(back) - failed - passed,
        incomplete=incomplete,
        enough=not failed and not incomplete,
        strict=strict,
    )


def states(standings: Mapping[str, Standing]) -> dict[str, State]:
    """Say in which state each cell of real data is; a verdict that need not pass and does not is worth a note."""
    return {
        label: cell_state(standing, "note" if standing.not_converged else "pass")
        for label, standing in standings.items()
    }


def objective(plan: Plan, found: Sequence[Row], name: str) -> dict[str, float]:
    """Read one diagnostic of every cell, by the plan's labels, for sweepers that optimise."""
    values = {row.spec.key: row.outcome.diagnostics for row in found}
    return {s.cell: values[s.key][name] for s in plan.specs if name in values.get(s.key, {})}
