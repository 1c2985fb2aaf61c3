"""The tables of a simulation study, made from what its fits left behind, at any time and without a posterior.

Measures, calibration and failures are worked out elsewhere; here the tables are read, joined, judged and kept.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bayesrun.base.digits import exact
from bayesrun.base.imports import import_target
from bayesrun.base.messages import few
from bayesrun.base.source_code import source_digest
from bayesrun.base.verb_hints import verb
from bayesrun.errors import ConfigError
from bayesrun.planning.completion import unmet
from bayesrun.planning.keys import data_digest, source_alone
from bayesrun.planning.meanings import superseded_part
from bayesrun.planning.posterior_sbc import doubts, originals
from bayesrun.report.comparison import SAMPLER_ORDER
from bayesrun.report.inventory import absent_lines, inventory, lacking_lines
from bayesrun.report.page import Sentence
from bayesrun.statistics import calibration, measures
from bayesrun.statistics.gates import judge
from bayesrun.statistics.states import cell_state
from bayesrun.store.folder import SUMMARY
from bayesrun.store.summaries import read_summaries
from bayesrun.store.table_marks import made_of, mark_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bayesrun.statistics.calibration import CellVerdict
    from bayesrun.statistics.states import Standing, State
    from bayesrun.store.folder import Store
    from bayesrun.types import CheckedCell, FitSpec, Outcome, StudyOptions

__all__ = ["Results", "groups", "keep", "tabulate"]

MOST_NAMED = 3

type Known = Mapping[str, tuple[FitSpec, CheckedCell]]


@dataclass(frozen=True, eq=False)
class Results:
    """What a simulation study found so far.

    Parameters
    ----------
    tables
        ``design``, ``states``, ``fits``, ``estimates``, ``failures``, ``errors``, ``measures``, ``contrasts``,
        ``ranks``, ``calibration`` and, for variational samplers, ``symmetry``, by name; see README for their columns.
    sentences
        One for each cell and question, for people.
    remarks
        What limits them.
    states, standings
        Cell to its state, by calibration, truths to hold estimates against, gates and the share of failed and not
        converged fits; and to what became of its fits.
    made_of
        Key of each planned fit to what of it the tables are made of, see `table_marks.made_of`.
    """

    tables: Mapping[str, pd.DataFrame]
    sentences: tuple[Sentence, ...]
    remarks: tuple[str, ...]
    states: Mapping[str, State]
    standings: Mapping[str, Standing]
    made_of: Mapping[str, str]


def tabulate(known: Known, store: Store, study: StudyOptions, outcomes: Mapping[str, Outcome] | None = None) -> Results:
    """Make every table of a study from the summaries of its fits.

    Parameters
    ----------
    known
        Every planned fit by key.
    store
        Where summaries and outcomes are read.
    study
        What is asked.
    outcomes
        Those that are at hand; the others are read.

    Returns
    -------
    Results
        Of the fits that are there; a study that is under way has valid partial results.
    """
    cells = list({checked.cell.label: checked for _, checked in known.values()}.values())
    there = inventory(known, store, outcomes)
    done = {key: outcome for key, outcome in there.outcomes.items() if outcome.status == "done"}
    summaries = read_summaries(store, {key: outcome.files.get(SUMMARY, (0, ""))[1] for key, outcome in done.items()})
    lacking = {**there.lacking, **summaries.lacking}
    settled = {key: None if key in lacking else there.outcomes.get(key) for key in known}
    fits = _fits(known, settled, lacking)
    estimates, outdated = _current(_estimates(fits, summaries.table), known, settled)
    strict = {checked.cell.label for checked in cells if checked.cell.gate.fail}
    standings = calibration.standings(fits, study.max_failed, strict)
    tables = {"design": _design(cells), "fits": fits, "estimates": estimates, "failures": measures.failures_table(fits)}
    has = not estimates.empty
    failed = "failed" in set(fits.get("status", ()))
    tables["errors"] = measures.errors_table(fits) if failed else pd.DataFrame()
    tables["measures"] = _measures(estimates, fits, cells, study) if has else pd.DataFrame()
    tables["contrasts"] = _contrasts(estimates, fits, cells, study) if has else pd.DataFrame()
    tables["ranks"] = _ranks(estimates)
    tables["calibration"] = _calibration(estimates, cells, study, standings) if has else pd.DataFrame()
    tables["symmetry"] = _symmetry(estimates, cells, study, standings) if has else pd.DataFrame()
    sentences, remarks, findings = _verdict(tables, cells, study, standings)
    remarks += _error_lines(tables["errors"], store)
    remarks += absent_lines([(spec, settled[key]) for key, (spec, _) in known.items()])
    remarks += [*lacking_lines(lacking, known), *outdated, *_without_sd(estimates)]
    states = {label: cell_state(standing, findings[label]) for label, standing in standings.items()}
    tables["states"] = pd.DataFrame(
        [{"cell": label, "state": states[label], **dataclasses.asdict(found)} for label, found in standings.items()]
    )
    marks = {key: made_of(outcome) for key, outcome in settled.items()}
    return Results(tables, tuple(sentences), tuple(remarks), states, standings, marks)


def groups(cells: Sequence[CheckedCell]) -> list[list[str]]:
    """Labels of the cells that see the same datasets, which are compared replicate by replicate."""
    found: dict[str, list[str]] = {}
    for checked in cells:
        found.setdefault(data_digest(checked), []).append(checked.cell.label)
    return list(found.values())


def _design(cells: Sequence[CheckedCell]) -> pd.DataFrame:
    rows = [
        {
            "cell": checked.cell.label,
            "model": " ".join(filter(None, (checked.cell.model.name, superseded_part(checked.cell.label)))),
            "data": checked.cell.data.name,
            "sampler": checked.cell.sampler.name,
            "kind": checked.kind,
            "replicates": checked.replicates,
            **{name: _plain(value) for name, value in checked.cell.overrides.items()},
        }
        for checked in cells
    ]
    return pd.DataFrame(rows)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, str, bool)) or value is None else str(value)


def _fits(known: Known, settled: Mapping[str, Outcome | None], lacking: Mapping[str, str]) -> pd.DataFrame:
    """One row for each planned fit; those that are not back yet, or no longer whole, are missing."""
    rows = []
    for key, (spec, checked) in known.items():
        outcome = settled[key]
        row: dict[str, Any] = {
            "cell": checked.cell.label,
            "replicate": spec.replicate,
            "key": key,
            "status": "missing",
            "reason": "",
            "converged": False,
            "failures": lacking.get(key, ""),
            "seconds": np.nan,
            "degenerate": False,
            "incomplete": False,
            "absent": "",
        }
        if outcome is not None:
            verdict = judge(checked.cell.gate, outcome, centred=checked.centred, kind=checked.kind)
            row |= {
                "status": outcome.status,
                "reason": outcome.reason or "",
                "converged": outcome.status == "done" and verdict.passed,
                "failures": outcome.message if outcome.status == "failed" else "; ".join(verdict.failures),
                "seconds": sum(outcome.seconds.values()) if outcome.status == "done" else np.nan,
                "degenerate": bool(outcome.degenerate),
                "incomplete": bool(unmet(outcome, spec)),
                "absent": outcome.absent_text,
                **dict(sorted(outcome.diagnostics.items())),
            }
        rows.append(row)
    return _same_data(pd.DataFrame(rows), known)


def _same_data(fits: pd.DataFrame, known: Known) -> pd.DataFrame:
    """Call a dataset degenerate in every cell that sees it, whatever became of its fit there."""
    if fits.empty:
        return fits
    digests = {checked.cell.label: data_digest(checked) for _, checked in known.values()}
    dataset = [fits["cell"].map(digests), fits["replicate"]]
    return fits.assign(degenerate=fits["degenerate"].groupby(dataset).transform("any"))


def _estimates(fits: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Summaries of all finished fits, one row a scalar."""
    done = fits.loc[fits["status"] == "done", ["cell", "replicate", "key"]]
    if table.empty:
        return table
    return done.merge(table, on="key", how="inner", validate="one_to_many").reset_index(drop=True)


def _current(
    estimates: pd.DataFrame, known: Known, settled: Mapping[str, Outcome | None]
) -> tuple[pd.DataFrame, list[str]]:
    """Leave out what an earlier version of a quantity's source worked out, and say so: a column is of one function."""
    if estimates.empty:
        return estimates, []
    made = {key: _quantities(spec, settled[key]) for key, (spec, _) in known.items()}
    now = {path: _digest_now(path) for path in {path for own in made.values() for path in own.values()}}
    stale = {
        (key, name)
        for key, own in made.items()
        for name, path in own.items()
        if (outcome := settled[key]) is not None
        and now[path]
        and source_alone(outcome.quantity_sources.get(name, "")) != now[path]
    }
    if not stale:
        return estimates, []
    old = pd.MultiIndex.from_frame(estimates[["key", "variable"]]).isin(list(stale))
    pairs = Counter(zip(estimates.loc[old, "cell"], estimates.loc[old, "variable"], strict=True))
    told = [
        f"{cell}: {name} of {count} fits was worked out by another version of its source, and is left out; run the "
        "command again: nothing is drawn"
        for (cell, name), count in pairs.items()
    ]
    return estimates[~old].reset_index(drop=True), told


def _quantities(spec: FitSpec, outcome: Outcome | None) -> dict[str, str]:
    """Functions of what a summary has, and of what is wanted of it now."""
    had = outcome.diagnostics_options.quantities if outcome is not None else None
    return {**(had or {}), **(spec.diagnostics.quantities or {})}


def _digest_now(path: str) -> str:
    """Digest the source of a function as it is now; empty where it cannot be imported here."""
    try:
        return source_digest(import_target("quantity", path))
    except ConfigError:
        return ""


def _without_sd(estimates: pd.DataFrame) -> list[str]:
    """Say what has no contraction because its prior has no SD."""
    if "prior_sd" not in estimates:
        return []
    none = estimates[np.isinf(estimates["prior_sd"].to_numpy(dtype=float, na_value=np.nan))]
    found = []
    for cell, part in none.groupby("cell", sort=False):
        names = list(dict.fromkeys(part["variable"]))
        found.append(
            f"{cell}: contraction is left out for {few(names, MOST_NAMED)}: the prior has no finite SD, "
            "or tails so heavy that draws do not tell it"
        )
    return found


def _ranked(cells: Iterable[CheckedCell]) -> set[str]:
    return {c.cell.label for c in cells if c.simulation is not None and c.simulation.ranked}


def _ranks(estimates: pd.DataFrame) -> pd.DataFrame:
    columns = ["cell", "replicate", "variable", "rank", "n_ranks"]
    return estimates[columns] if set(columns) <= set(estimates) else pd.DataFrame(columns=columns)


def _measures(
    estimates: pd.DataFrame, fits: pd.DataFrame, cells: Sequence[CheckedCell], study: StudyOptions
) -> pd.DataFrame:
    """Measure the cells, those of the same rules and levels together: a name may mean another rule in another cell."""
    alike: dict[tuple[tuple[measures.Decision, ...], tuple[float, ...]], list[str]] = {}
    for checked in cells:
        asked, label = checked.cell.diagnostics, checked.cell.label
        own = measures.parse_decisions(dict.fromkeys(asked.decisions), asked.ci_kind)
        names = {rule.name for rule in own}
        of_study = measures.parse_decisions(study.decisions, asked.ci_kind)
        rules = (*own, *(rule for rule in of_study if rule.name not in names))
        alike.setdefault((rules, _levels(estimates, [label], study)), []).append(label)
    parts = []
    for (rules, levels), labels in alike.items():
        rows, planned = estimates[estimates["cell"].isin(labels)], fits[fits["cell"].isin(labels)]
        parts.append(measures.measures_table(rows, planned, list(levels), rules, study.nulls))
    if len(parts) == 1:
        return parts[0]
    place = {label: number for number, label in enumerate(dict.fromkeys(fits["cell"]))}
    return pd.concat(parts, ignore_index=True).sort_values(
        "cell", key=lambda column: column.map(place), kind="stable", ignore_index=True
    )


def _levels(estimates: pd.DataFrame, labels: Sequence[str], study: StudyOptions) -> tuple[float, ...]:
    """Find the levels of the study that cells have intervals for: those of a later command are not in every cell."""
    has = estimates[estimates["cell"].isin(labels)]
    there = has.notna().groupby(has["cell"]).any().all()
    return tuple(level for level in study.levels if there.get(f"lower_{level:g}", False))


def _contrasts(
    estimates: pd.DataFrame, fits: pd.DataFrame, cells: Sequence[CheckedCell], study: StudyOptions
) -> pd.DataFrame:
    """Paired comparisons of the cells that see the same datasets, each with the reference among them."""
    by_label = {checked.cell.label: checked for checked in cells}
    parts = []
    for group in groups(cells):
        if len(group) < 2:
            continue
        reference = min(group, key=lambda label: _preference(by_label[label], study.reference))
        rows, tried = estimates[estimates["cell"].isin(group)], fits[fits["cell"].isin(group)]
        if rows["cell"].nunique() > 1 and reference in set(rows["cell"]):
            levels = _levels(rows, group, study)
            parts.append(measures.contrasts_table(rows, tried, reference, list(levels), [group]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _preference(checked: CheckedCell, reference: str | None) -> tuple[bool, bool, int]:
    name = checked.cell.sampler.name
    place = SAMPLER_ORDER.index(name) if name in SAMPLER_ORDER else len(SAMPLER_ORDER)
    return checked.cell.label != reference, name != reference, place


def _calibration(
    estimates: pd.DataFrame,
    cells: Sequence[CheckedCell],
    study: StudyOptions,
    standings: Mapping[str, Standing],
) -> pd.DataFrame:
    """Test the ranks of every cell; truth that is drawn from elsewhere has none."""
    part = estimates[estimates["cell"].isin(_ranked(cells))]
    if part.empty or "rank" not in part:
        return pd.DataFrame()
    return calibration.calibration_table(part, study.alpha, study.seed, standings=standings)


def _symmetry(
    estimates: pd.DataFrame,
    cells: Sequence[CheckedCell],
    study: StudyOptions,
    standings: Mapping[str, Standing],
) -> pd.DataFrame:
    """Test of variational cells whether their centres are biased."""
    own = _ranked(cells) & {c.cell.label for c in cells if c.kind == "variational"}
    part = estimates[estimates["cell"].isin(own)]
    if part.empty or "p_truth" not in part:
        return pd.DataFrame()
    return calibration.symmetry_table(part, study.alpha, standings)


def _verdict(
    tables: Mapping[str, pd.DataFrame],
    cells: Sequence[CheckedCell],
    study: StudyOptions,
    standings: Mapping[str, Standing],
) -> tuple[list[Sentence], list[str], dict[str, State]]:
    sentences: list[Sentence] = []
    remarks: list[str] = []
    asked: State = "note" if study.kind == "sbc" else "pass"
    found = {checked.cell.label: asked for checked in cells}
    doubtful = _doubtful(cells)
    if study.kind == "sbc" and not tables["calibration"].empty:
        for verdict in calibration.verdicts(tables["calibration"]):
            sentences.append(Sentence(verdict.sentence, _state(verdict)))
            remarks += [f"{verdict.cell}: {remark}" for remark in verdict.remarks]
            found[verdict.cell] = _state(verdict)
            if verdict.departs and verdict.cell in doubtful:
                cause = "; and ".join(doubtful.pop(verdict.cell))
                sentences.append(Sentence(f"{verdict.cell}: the likely cause is the original: {cause}.", "note"))
        for verdict in calibration.verdicts(tables["symmetry"]) if not tables["symmetry"].empty else ():
            remarks.append(f"centre of the approximation (VSBC): {verdict.sentence}")
        if any(c.simulation is not None and c.simulation.joint for c in cells):
            remarks.append(
                "truth is drawn from the posterior given the observed data, and fits are to these and the simulated "
                "data: calibration near the data at hand, not over the prior"
            )
        if study.generator is not None:
            remarks.append(
                "the data were drawn from another model than the fitted one: this tests the pair, and a departure need "
                "not be a fault of the sampler"
            )
    remarks += [f"the original, from whose posterior truth is drawn: {line}" for line in originals(cells)]
    remarks += dict.fromkeys(doubt for doubts_of in doubtful.values() for doubt in doubts_of)
    for label in _without_truth(tables, study):
        sentences.append(Sentence(f"{label}: {NOTHING_KNOWN[study.kind]}; {SHARE_NAMES}.", "fail"))
        found[label] = "fail"
    for label, standing in standings.items():
        sentences.append(_share(label, standing, tables["fits"], study.max_failed))
    return sentences, remarks, found


def _doubtful(cells: Sequence[CheckedCell]) -> dict[str, tuple[str, ...]]:
    """Cell to what makes truths from its original doubtful, where something does."""
    found = {}
    for checked in cells:
        original = checked.simulation.original if checked.simulation is not None else None
        if original is not None and (why := doubts(original, checked.replicates)):
            found[checked.cell.label] = why
    return found


NOTHING_KNOWN = {
    "sbc": "whether it is calibrated cannot be said: no quantity has a rank, because no true value of one is known",
    "recovery": "nothing is recovered: no true value of any quantity is known",
    "power": "nothing is decided: no rule is about a quantity of this model, and no true value is known",
}
SHARE_NAMES = "the model that draws the data and the one that is fitted have to share parameters by name"


def _state(verdict: CellVerdict) -> Literal["pass", "fail", "note"]:
    """Good news is only what is about every replicate."""
    if verdict.departs:
        return "fail"
    return "pass" if verdict.calibrated else "note"


def _without_truth(tables: Mapping[str, pd.DataFrame], study: StudyOptions) -> list[str]:
    """Find the cells with output whose estimates cannot be held against anything."""
    estimates = tables["estimates"]
    if estimates.empty:
        return []
    if study.kind == "sbc":
        judged = set() if tables["calibration"].empty else set(tables["calibration"]["cell"])
    else:
        rules = [name for name in estimates.columns if str(name).startswith("decision_")]
        told = estimates[["truth", *rules]].notna().any(axis=1)
        judged = set(estimates.loc[told, "cell"])
    return [label for label in dict.fromkeys(map(str, estimates["cell"])) if label not in judged]


def _share(label: str, standing: Standing, fits: pd.DataFrame, most: float) -> Sentence:
    """Say how many fits of a cell failed, did not converge or are missing, zeros included."""
    part = fits[fits["cell"] == label]
    diverging = int((part.get("n_divergent", pd.Series(dtype=float)) > 0).sum())
    missing = f", {standing.missing} not there yet" if standing.missing else ""
    lacking = f", {standing.incomplete} without a step that was asked for" if standing.incomplete else ""
    told = f"{standing.failed} failed, {standing.not_converged} not converged{lacking}{missing}"
    wrong = [] if standing.enough else [f"more than study.max_failed = {exact(most)} of them"]
    wrong += ["gate.fail=true, and every verdict has to pass"] if standing.gated else []
    bound = f": {'; '.join(wrong)}" if wrong else ""
    state: Literal["pass", "fail", "note"] = "note" if standing.missing else "pass"
    text = f"{label}: of {standing.planned} fits {told}, {diverging} with divergences{bound}."
    return Sentence(text, "fail" if wrong else state)


def _error_lines(errors: pd.DataFrame, store: Store) -> list[str]:
    """Say what failed fits have in common, the most frequent first, with one of each to look at."""
    lines = [
        f"{row.cell}: {row.count} failed with {row.example}; one of them again: {verb('replay', store.root)} {row.key}"
        for row in errors.itertuples(index=False)
    ]
    more = len(lines) - MOST_NAMED
    return [*lines[:MOST_NAMED], *([f"{more} more kinds of failures: tables/errors.csv"] if more > 0 else [])]


def keep(results: Results, store: Store) -> None:
    """Write every table as parquet and CSV, and remove those of an earlier command that have nothing to say now."""
    for name, table in results.tables.items():
        if len(table.columns):
            store.write_table(name, table, index=False)
        else:
            store.remove_table(name)
    mark_tables(store, results.made_of)
