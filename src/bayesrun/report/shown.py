"""What `bayesrun show` tells of a stored fit, of a cell and of a study, for people and for machines.

It reads the store and fits nothing.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from bayesrun.base.cell_labels import told_once
from bayesrun.base.messages import few
from bayesrun.base.rounding import plain
from bayesrun.base.spelling import did_you_mean
from bayesrun.base.verb_hints import verb
from bayesrun.errors import ConfigError, StoreError
from bayesrun.planning.prior_choice import NOTED
from bayesrun.report import real_data, terminal_tables
from bayesrun.report.estimates import Estimates, estimates_table, interval_name, of_variables
from bayesrun.report.inventory import absent_lines
from bayesrun.report.not_fitted import refused_in, refused_lines
from bayesrun.report.table_layout import Column, Sheet, numbers, words
from bayesrun.store.table_marks import read_table
from bayesrun.types import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from bayesrun.report.real_data import Known
    from bayesrun.store.folder import Store
    from bayesrun.types import CheckedCell, FitSpec, Outcome, Refused, Verdict

__all__ = [
    "Cell",
    "Fit",
    "across",
    "as_json",
    "find",
    "fit_of",
    "listed",
    "measures_of",
    "of_cells",
    "records",
    "show_cell",
    "show_fit",
    "show_list",
]

SHORTEST: Final = 4
"""Letters of a key that are enough where only one begins with them."""
MOST_CELLS: Final = 30
"""Cells of a list on the terminal, and replicates of a cell."""
MOST_NAMED: Final = 5


@dataclass(frozen=True)
class Fit:
    """One fit with all that is known of it.

    Parameters
    ----------
    spec, checked
        Its recipe, and its cell.
    outcome, verdict
        What came back of it; None where nothing did.
    harm
        What is missing or changed of its files; empty: nothing.
    """

    spec: FitSpec
    checked: CheckedCell
    outcome: Outcome | None
    verdict: Verdict | None
    harm: str = ""

    @property
    def state(self) -> str:
        """Say in a word what became of it."""
        if self.harm:
            return "damaged"
        if self.outcome is None or self.verdict is None:
            return "not done"
        return "failed" if self.outcome.status == "failed" else "pass" if self.verdict.passed else "fail"


@dataclass(frozen=True)
class Cell:
    """The fits of a cell by key."""

    label: str
    known: Known


def find(known: Known, word: str, store: Store) -> Cell | FitSpec:
    """Find the cell or the fit that a word names: a label, what a table writes of it, a key or how one begins.

    Raises
    ------
    ConfigError
        For a word that names none or several, with the nearest.
    """
    cells: dict[str, dict[str, tuple[FitSpec, CheckedCell]]] = {}
    for key, fit in known.items():
        cells.setdefault(fit[0].cell, {})[key] = fit
    _, own = told_once(cells)
    keys = [word] if word in known else [key for key in known if len(word) >= SHORTEST and key.startswith(word)]
    labels = [label for label in cells if word in (label, own[label])]
    if len(labels) == 1:
        label = labels[0]
        return Cell(label, cells[label])
    if len(keys) == 1:
        return known[keys[0]][0]
    if keys:
        raise ConfigError(
            f"{word}: {len(keys)} fits have keys that begin so: {', '.join(keys[:MOST_NAMED])}; type more"
        )
    why = next((one.reason for one in refused_in(store.read_study()) if one.label == word), None)
    if why is not None:
        raise StoreError(f"{word} is not fitted: {why}")
    hint = did_you_mean(word, [*cells, *own.values(), *known])
    named = few(list(cells), MOST_NAMED)
    raise ConfigError(
        f"{word}: study {store.root.name} has no cell and no fit of that name; {hint}its cells are {named}; "
        f"{verb('show', store.root)} has their keys"
    )


def fit_of(key: str, known: Known, store: Store) -> Fit:
    """Read what is known of a fit."""
    spec, checked = known[key]
    outcome = store.read_outcome(key)
    verdict = None if outcome is None else real_data.row(known, outcome).verdict
    return Fit(spec, checked, outcome, verdict, store.damage(key))


def _estimates(fit: Fit, store: Store) -> Estimates | None:
    """Read its estimates; None where it has none, which is no mistake of a fit that failed.

    Raises
    ------
    StoreError
        If they are damaged.
    """
    if fit.outcome is None or fit.outcome.status == "failed":
        return None
    terms = int(fit.outcome.diagnostics.get("n_loo_terms", 0))
    return Estimates(fit.spec, store.read_summary(fit.spec.key), terms, verb("show", store.root))


# ---- one fit


def show_fit(console: Console, fit: Fit, store: Store, variables: Sequence[str] = ()) -> None:
    """Print a fit: its estimates, recipe, verdict, absent steps, warnings, times and files; or some variables only."""
    if variables:
        told = _needed(fit, store)
        console.print(estimates_table(told, of_variables(_labels(told), variables)))
        return
    for line in _first_lines(fit):
        console.print(line, markup=False, soft_wrap=True)
    try:
        found = _estimates(fit, store)
    except StoreError as error:
        found = None
        console.print(f"no estimates: {error}", markup=False, soft_wrap=True)
    if found is not None and len(found.summary):
        console.print("\nestimates", markup=False, style="bold")
        real_data.show_part(console, found)
    for title, lines in (("recipe", _recipe_lines(fit)), ("fit", _fit_lines(fit, store))):
        console.print(f"\n{title}", markup=False, style="bold")
        for line in lines:
            console.print(line, markup=False, soft_wrap=True)


def _labels(told: Estimates) -> list[str]:
    return list(dict.fromkeys(map(str, told.summary.index)))


def _needed(fit: Fit, store: Store) -> Estimates:
    """Read estimates that were asked for.

    Raises
    ------
    StoreError
        If there are none.
    """
    found = _estimates(fit, store)
    if found is None or not len(found.summary):
        why = "it failed" if fit.state == "failed" else "it is not done" if fit.outcome is None else "they are absent"
        raise StoreError(
            f"fit {fit.spec.key} has no estimates: {why}; {verb('status', store.root)} says more, and the command of "
            "the study makes them"
        )
    return found


def _first_lines(fit: Fit) -> list[str]:
    number = f", replicate {fit.spec.replicate}" if fit.spec.simulation is not None else ""
    lines = [f"{fit.spec.cell}{number}: {fit.state}", f"key {fit.spec.key}"]
    if fit.checked.superseded:
        lines.append(f"superseded: what its words mean now differs in {fit.checked.superseded}")
    if fit.harm:
        lines.append(f"damaged: {fit.harm}; the command of the study mends it")
    if fit.outcome is not None and fit.outcome.status == "failed":
        lines.append(f"failed ({fit.outcome.reason}): {fit.outcome.message}")
    elif fit.verdict is not None:
        lines += [f"does not hold: {failure}" for failure in fit.verdict.failures]
        lines += [f"try: {remedy}" for remedy in fit.verdict.remedies]
        lines += [f"note: {note}" for note in fit.verdict.notes]
    return lines


def _recipe_lines(fit: Fit) -> list[str]:
    recipe = recipe_of(fit)
    lines = []
    for name in ("model", "data", "sampler"):
        part = recipe[name]
        lines.append(f"{name}: {part['name']} ({part['path']}){_stated(part['params'])}")
    lines += [note for note in fit.checked.notes if NOTED in note]
    lines.append(f"sampler options:{_stated(recipe['options'])}")
    lines.append(f"seed: {recipe['seed']}, from that of the study" + _data_seed(fit))
    return lines


def _data_seed(fit: Fit) -> str:
    return "" if fit.spec.simulation is None else f"; of its data: {fit.spec.data_seed}"


def _stated(params: Mapping[str, Any]) -> str:
    told = ", ".join(
        f"{name}={value if isinstance(value, str) else canonical_json(value)}"
        for name, value in params.items()
        if value is not None
    )
    return f" {told}" if told else ""


def recipe_of(fit: Fit) -> dict[str, Any]:
    """Return what a fit was made of: model, data and sampler with their parameters, and the seed."""
    cell, spec = fit.checked.cell, fit.spec
    options = {
        name: value
        for name, value in dataclasses.asdict(spec.options).items()
        if (name in fit.checked.sampler_options or name == "extra") and value not in ((), {}, None)
    }
    return {
        "model": _target(spec.model),
        "data": _target(cell.data) | {"hash": spec.data_hash},
        "sampler": _target(spec.sampler),
        "options": options,
        "seed": spec.fit_seed,
    }


def _target(target: Any) -> dict[str, Any]:
    return {"name": target.name, "path": target.path, "params": dict(target.params)}


def _worst_lines(outcome: Outcome) -> list[str]:
    """Name the worst parameter and the worst Deterministic by R-hat and effective sample size."""
    words = {"rhat_max": ("R-hat", max, ".3f"), "ess_bulk_min": ("bulk ESS", min, ".0f")}
    lines = []
    for what, suffix in (("parameter", ""), ("Deterministic", "_derived")):
        told = []
        for fact, (word, extreme, form) in words.items():
            if about := outcome.named.get(f"{fact}{suffix}", {}):
                label = extreme(about, key=lambda name: about[name])
                told.append(f"{label} ({word} {about[label]:{form}})")
        if told:
            lines.append(f"worst {what}: {', '.join(told)}")
    return lines


def _fit_lines(fit: Fit, store: Store) -> list[str]:
    """Say what came back: diagnostics, absent steps, warnings, times and files."""
    outcome = fit.outcome
    if outcome is None:
        return ["nothing is stored of it; the command of the study fits it"]
    lines = []
    if outcome.diagnostics:
        lines.append(
            "diagnostics: " + ", ".join(f"{name} {plain(value)}" for name, value in outcome.diagnostics.items())
        )
    lines += _worst_lines(outcome)
    lines += absent_lines([(fit.spec, outcome)])
    if "elpd_loo" in outcome.absent and fit.spec.steps.log_likelihood:
        lines.append(f"no LOO: {outcome.absent['elpd_loo']}")
    lines += [f"warning: {warning}" for warning in dict.fromkeys(outcome.warnings)]
    if outcome.seconds:
        lines.append("times: " + ", ".join(f"{stage} {_seconds(spent)} s" for stage, spent in outcome.seconds.items()))
    if outcome.where:
        lines.append(f"drawn on {outcome.where}")
    lines.append(f"files in {store.fit_folder(fit.spec.key)}: {', '.join(_files(fit, store)) or 'none'}")
    return lines


def _seconds(spent: float) -> str:
    return f"{spent:.1f}" if spent < 100 else f"{spent:.0f}"


def _files(fit: Fit, store: Store) -> list[str]:
    folder = store.fit_folder(fit.spec.key)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def as_json(fit: Fit, store: Store, variables: Sequence[str] = ()) -> dict[str, Any]:
    """Return a fit for machines."""
    found = _needed(fit, store) if variables else _estimates(fit, store)
    outcome, verdict = fit.outcome, fit.verdict
    labels = [] if found is None else of_variables(_labels(found), variables) if variables else _labels(found)
    return {
        "study": store.root.name,
        "cell": fit.spec.cell,
        "key": fit.spec.key,
        "replicate": fit.spec.replicate,
        "state": fit.state,
        "superseded": fit.checked.superseded,
        "damage": fit.harm,
        "message": "" if outcome is None else outcome.message,
        "verdict": None if verdict is None else dataclasses.asdict(verdict),
        "interval": None if found is None else found.interval,
        "estimates": [] if found is None else records(_part(found, labels)),
        "recipe": recipe_of(fit),
        "diagnostics": {} if outcome is None else dict(outcome.diagnostics),
        "absent_diagnostics": {} if outcome is None else dict(outcome.absent),
        "absent_steps": {} if outcome is None else {step: str(why) for step, why in outcome.absent_steps.items()},
        "warnings": [] if outcome is None else list(outcome.warnings),
        "seconds": {} if outcome is None else dict(outcome.seconds),
        "versions": {} if outcome is None else dict(outcome.versions),
        "folder": str(store.fit_folder(fit.spec.key)),
        "files": _files(fit, store),
    }


def _part(found: Estimates, labels: Sequence[str]) -> pd.DataFrame:
    """Take the rows of scalars, with their labels as a column."""
    frame = found.summary[~found.summary.index.duplicated()].loc[list(labels)]
    return frame.rename_axis("variable").reset_index()


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Make rows that JSON holds: it has no NaN and no infinity."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows


# ---- cells


def of_cells(fits: Iterable[Fit], store: Store, variables: Sequence[str] = ()) -> pd.DataFrame:
    """List the estimates of several fits as one table: cell, key, replicate, and the columns of their summaries.

    Raises
    ------
    ConfigError
        For a variable that none of them has, with the nearest.
    """
    parts, unknown = [], ConfigError("")
    for fit in fits:
        found = _estimates(fit, store)
        if found is None or not len(found.summary):
            continue
        try:
            labels = of_variables(_labels(found), variables) if variables else _labels(found)
        except ConfigError as error:
            unknown = error
            continue
        part = _part(found, labels)
        part.insert(0, "cell", fit.spec.cell)
        part.insert(1, "key", fit.spec.key)
        part.insert(2, "replicate", fit.spec.replicate)
        parts.append(part)
    if not parts and str(unknown):
        raise unknown
    return (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["cell", "key", "replicate", "variable"])
    )


def across(frame: pd.DataFrame, fits: Sequence[Fit]) -> Sheet:
    """Show estimates of several cells, a row for each cell and scalar, the cells of a scalar below each other."""
    shared, own = told_once(map(str, frame["cell"]))
    asked = fits[0].spec.diagnostics
    first = dict.fromkeys(map(str, frame["variable"]))
    frame = frame.assign(place=frame["variable"].map({name: n for n, name in enumerate(first)}))
    numbered = any(fit.spec.replicate for fit in fits)
    sheets = []
    for row in frame.sort_values("place", kind="stable").to_dict("records"):
        name = own[str(row["cell"])] + (f" #{row['replicate']}" if numbered else "")
        part = pd.DataFrame([row]).set_index("variable")
        sheets.append((name, estimates_table(Estimates(fits[0].spec, part), list(part.index)), row["variable"]))
    has = [column for column in ("ESS", "R-hat") if any(column in _heads(sheet) for _, sheet, _ in sheets)]
    heads = ("mean", "SD", interval_name(asked.ci_prob, asked.ci_kind), *has)
    table = Sheet((*words("variable", "cell"), *numbers(*heads)), f"all rows: {shared}" if shared else "")
    for name, sheet, variable in sheets:
        texts = dict(zip(_heads(sheet), sheet.rows[0][0], strict=True))
        table.add_row(str(variable), name, *(texts.get(head, "-") for head in heads))
    return table


def _heads(sheet: Sheet) -> list[str]:
    return [column.name for column in sheet.columns]


def show_list(console: Console, fits: Sequence[Fit], store: Store, refused: Sequence[Refused] = ()) -> None:
    """Print which fits there are, and how one is shown: a row for each cell, or for each replicate of one cell.

    Datasets that cannot be fitted stand below.
    """
    shared, own = told_once(fit.spec.cell for fit in fits)
    rows: dict[str, list[Fit]] = {}
    one = len(own) == 1
    for fit in fits:
        name = f"{fit.spec.cell} #{fit.spec.replicate}" if one and len(fits) > 1 else own[fit.spec.cell]
        rows.setdefault(name, []).append(fit)
    many = any(len(part) > 1 for part in rows.values())
    columns = (*words("cell"), *(numbers("fits", spare=1) if many else ()), Column("state"), Column("key"))
    table = Sheet(columns, f"all rows: {shared}" if shared else "")
    for name, part in list(rows.items())[:MOST_CELLS]:
        key = part[0].spec.key + (" ..." if len(part) > 1 else "")
        table.add_row(name, *([str(len(part))] if many else ()), _states(part), key)
    if len(rows) > MOST_CELLS:
        table.caption = f"{len(rows) - MOST_CELLS} more rows; --json and --csv have all of them"
    console.print(f"study {store.root.name}", markup=False)
    console.print(table)
    for line in refused_lines(refused):
        console.print(line, markup=False, soft_wrap=True)
    show = verb("show", store.root)
    example = next(iter(own.values()))
    if one:
        console.print(f"one of them: {show} {fits[0].spec.key}", markup=False, soft_wrap=True)
        return
    console.print(f"one of them: {show} {shlex.quote(example)}, or its key", markup=False, soft_wrap=True)
    console.print(f"one variable of all: {show} --var NAME", markup=False, soft_wrap=True)


def _states(fits: Sequence[Fit]) -> str:
    counts: dict[str, int] = {}
    for fit in fits:
        counts[fit.state] = counts.get(fit.state, 0) + 1
    return next(iter(counts)) if len(fits) == 1 else ", ".join(f"{count} {state}" for state, count in counts.items())


def measures_of(store: Store, cell: str | None, variables: Sequence[str]) -> pd.DataFrame:
    """Read the performance measures of a simulation study, of one cell and of some variables if these are named.

    Raises
    ------
    StoreError
        If the study has none yet.
    ConfigError
        For a variable that there is none of, with the nearest.
    """
    table = read_table(store, "measures")
    if table is None or table.empty:
        raise StoreError(f"study {store.root.name} has no table of measures; make it: {verb('report', store.root)}")
    if cell is not None:
        table = table[table["cell"] == cell]
    if variables:
        names = [name for name in dict.fromkeys(map(str, table["variable"])) if name]
        table = table[table["variable"].isin(of_variables(names, variables))]
    return table.reset_index(drop=True)


def show_cell(console: Console, cell: Cell | None, store: Store, variables: Sequence[str]) -> None:
    """Print the measures of a cell of simulated data, or of all cells, with the tables of a study."""
    tables = {name: read_table(store, name) for name in ("calibration", "measures")}
    frames = {name: pd.DataFrame() if table is None else table for name, table in tables.items()}
    if cell is not None:
        frames = {name: table[table["cell"] == cell.label] if len(table) else table for name, table in frames.items()}
    if variables:
        names = [str(x) for table in frames.values() if len(table) for x in dict.fromkeys(table["variable"]) if x]
        kept = of_variables(list(dict.fromkeys(names)), variables)
        frames = {name: table[table["variable"].isin(kept)] if len(table) else table for name, table in frames.items()}
    if not any(len(table) for table in frames.values()):
        console.print(f"no measures yet: {verb('report', store.root)} makes them", markup=False, soft_wrap=True)
    most = max(map(len, frames.values())) if variables else MOST_CELLS
    for title, table in terminal_tables.study_tables(frames, most):
        console.print(f"\n{title}", markup=False, style="bold")
        console.print(table)


def listed(fits: Sequence[Fit], refused: Sequence[Refused] = ()) -> pd.DataFrame:
    """List fits for machines: cell, replicate, key and state of each, and its diagnostics; then what is not fitted."""
    none: list[dict[str, object]] = [
        {"cell": one.label, "state": "not fitted", "reason": one.reason} for one in refused
    ]
    frame = pd.DataFrame(
        [
            {"cell": fit.spec.cell, "replicate": fit.spec.replicate, "key": fit.spec.key, "state": fit.state}
            | ({} if fit.outcome is None else dict(fit.outcome.diagnostics))
            for fit in fits
        ]
        + none
    )
    return frame.astype({"replicate": "Int64"})
