"""The tables of a simulation study, made from what its fits left behind, at any time and without a posterior.

Measures, calibration and failures are worked out elsewhere; here the tables are read, joined, judged and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesrun import calibration, measures
from bayesrun.compare import SAMPLER_ORDER
from bayesrun.gates import judge
from bayesrun.plan import data_digest
from bayesrun.summaries import read_summaries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bayesrun.store import Store
    from bayesrun.types import CheckedCell, FitSpec, Outcome, StudyOptions

__all__ = ["Results", "groups", "keep", "tabulate"]

type Known = Mapping[str, tuple[FitSpec, CheckedCell]]


@dataclass(frozen=True, eq=False)
class Results:
    """What a simulation study found so far.

    Parameters
    ----------
    tables
        ``design``, ``fits``, ``estimates``, ``failures``, ``measures``, ``contrasts``, ``ranks``, ``calibration`` and,
        for variational samplers, ``symmetry``, by name; see README for their columns.
    sentences
        One for each cell and question, for people, and whether it is good news.
    remarks
        What limits them.
    passed
        Cell to whether nothing is out of bounds: calibration, and the share of failed and not converged fits.
    """

    tables: Mapping[str, pd.DataFrame]
    sentences: tuple[tuple[str, bool], ...]
    remarks: tuple[str, ...]
    passed: Mapping[str, bool]


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
    fits = _fits(known, store, outcomes or {})
    estimates = _with_prior(_estimates(fits, store), cells)
    decisions = measures.parse_decisions(study.decisions)
    levels = list(study.levels)
    tables = {"design": _design(cells), "fits": fits, "estimates": estimates, "failures": measures.failures_table(fits)}
    has = not estimates.empty
    tables["measures"] = (
        measures.measures_table(estimates, fits, levels, decisions, study.nulls) if has else pd.DataFrame()
    )
    tables["contrasts"] = _contrasts(estimates, fits, cells, study) if has else pd.DataFrame()
    tables["ranks"] = _ranks(estimates)
    tables["calibration"] = _calibration(estimates, cells, study) if has else pd.DataFrame()
    tables["symmetry"] = _symmetry(estimates, cells, study) if has else pd.DataFrame()
    sentences, remarks, passed = _verdict(tables, cells, study)
    return Results(tables, tuple(sentences), tuple(remarks), passed)


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
            "model": checked.cell.model.name,
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


def _fits(known: Known, store: Store, outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """One row for each planned fit; those that are not back yet are missing."""
    rows = []
    for key, (spec, checked) in known.items():
        outcome = outcomes.get(key) or store.settled(key)
        row: dict[str, Any] = {
            "cell": checked.cell.label,
            "replicate": spec.replicate,
            "key": key,
            "status": "missing",
            "reason": "",
            "converged": False,
            "failures": "",
            "seconds": np.nan,
            "degenerate": False,
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
                **dict(sorted(outcome.diagnostics.items())),
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _estimates(fits: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Summaries of all finished fits, one row a scalar."""
    done = fits.loc[fits["status"] == "done", ["cell", "replicate", "key"]]
    table = read_summaries(store, done["key"].tolist())
    if table.empty:
        return table
    return done.merge(table, on="key", how="inner", validate="one_to_many").reset_index(drop=True)


def _with_prior(estimates: pd.DataFrame, cells: Iterable[CheckedCell]) -> pd.DataFrame:
    """Add the SD of the truths of a cell, where fits start from their distribution; contraction is measured by it."""
    if estimates.empty:
        return estimates
    drawn = _ranked(cells)
    spread = estimates.groupby(["cell", "variable"], sort=False)["truth"].transform("std")
    return estimates.assign(prior_sd=spread.where(estimates["cell"].isin(drawn) & (spread > 0)))


def _ranked(cells: Iterable[CheckedCell]) -> set[str]:
    return {c.cell.label for c in cells if c.simulation is not None and c.simulation.ranked}


def _ranks(estimates: pd.DataFrame) -> pd.DataFrame:
    columns = ["cell", "replicate", "variable", "rank", "n_ranks"]
    return estimates[columns] if set(columns) <= set(estimates) else pd.DataFrame(columns=columns)


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
            parts.append(measures.contrasts_table(rows, tried, reference, list(study.levels), [group]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _preference(checked: CheckedCell, reference: str | None) -> tuple[bool, bool, int]:
    name = checked.cell.sampler.name
    place = SAMPLER_ORDER.index(name) if name in SAMPLER_ORDER else len(SAMPLER_ORDER)
    return checked.cell.label != reference, name != reference, place


def _calibration(estimates: pd.DataFrame, cells: Sequence[CheckedCell], study: StudyOptions) -> pd.DataFrame:
    """Test the ranks of every cell; truth that is drawn from elsewhere has none."""
    part = estimates[estimates["cell"].isin(_ranked(cells))]
    if part.empty or "rank" not in part:
        return pd.DataFrame()
    return calibration.calibration_table(part, study.alpha, study.seed)


def _symmetry(estimates: pd.DataFrame, cells: Sequence[CheckedCell], study: StudyOptions) -> pd.DataFrame:
    """Test of variational cells whether their centres are biased."""
    own = _ranked(cells) & {c.cell.label for c in cells if c.kind == "variational"}
    part = estimates[estimates["cell"].isin(own)]
    return pd.DataFrame() if part.empty or "p_truth" not in part else calibration.symmetry_table(part, study.alpha)


def _verdict(
    tables: Mapping[str, pd.DataFrame], cells: Sequence[CheckedCell], study: StudyOptions
) -> tuple[list[tuple[str, bool]], list[str], dict[str, bool]]:
    sentences: list[tuple[str, bool]] = []
    remarks: list[str] = []
    passed = {checked.cell.label: True for checked in cells}
    if study.kind == "sbc" and not tables["calibration"].empty:
        for verdict in calibration.verdicts(tables["calibration"]):
            sentences.append((verdict.sentence, verdict.calibrated))
            remarks += [f"{verdict.cell}: {remark}" for remark in verdict.remarks]
            passed[verdict.cell] = verdict.calibrated
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
    for label, sentence, fine in _shares(tables["fits"], study):
        sentences.append((sentence, fine))
        passed[label] = passed[label] and fine
    return sentences, remarks, passed


def _shares(fits: pd.DataFrame, study: StudyOptions) -> list[tuple[str, str, bool]]:
    """Say for each cell how many fits failed, did not converge or are missing, zeros included."""
    found = []
    for label, part in fits.groupby("cell", sort=False):
        tried = part[part["status"] != "missing"]
        failed = int((tried["status"] == "failed").sum())
        unsure = int(((tried["status"] == "done") & ~tried["converged"]).sum())
        missing = len(part) - len(tried)
        share = (failed + unsure) / max(len(tried), 1)
        diverging = int((tried.get("n_divergent", pd.Series(dtype=float)) > 0).sum())
        fine = share <= study.max_failed or not len(tried)
        told = f"{failed} failed, {unsure} not converged" + (f", {missing} not there yet" if missing else "")
        bound = "" if fine else f": more than study.max_failed = {study.max_failed:g} of them"
        found.append((str(label), f"{label}: of {len(part)} fits {told}, {diverging} with divergences{bound}.", fine))
    return found


def keep(results: Results, store: Store) -> None:
    """Write every table as parquet and CSV."""
    for name, table in results.tables.items():
        if len(table.columns):
            store.write_table(name, table, index=False)
