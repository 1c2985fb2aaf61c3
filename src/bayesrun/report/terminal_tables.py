"""Tables for the terminal: outcomes, LOO comparison, agreement of samplers.

Every colour repeats what a word already says, so the tables read the same in a log file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.text import Text

from bayesrun.base.cell_labels import told_once
from bayesrun.report.table_layout import Column, Sheet, numbers, words
from bayesrun.types import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import pandas as pd

__all__ = ["agreement_table", "comparison_table", "decision_table", "outcome_table", "study_tables", "verdict_lines"]

type Row = tuple[Outcome, Verdict | None]

LARGE = 1e7
"""From here on a number is written with a power of ten."""

WHERE = 13
"""Letters of the place where a fit was drawn."""


def outcome_table(rows: Sequence[Row]) -> Sheet:
    """Show what came back from each fit: one row a fit, readable from 80 columns on.

    Parameters
    ----------
    rows
        Outcome and verdict of each fit; the verdict is None where no gate was asked.

    Returns
    -------
    Sheet
        Columns cell, verdict (pass, fail, done without a gate, failed without a posterior), rhat_max, ess
        (smallest bulk), n_divergent, elpd_loo with its standard error, time in seconds, where. A dash: not defined.
        Where it was drawn, and how long that took, are left out where names would have no room.
    """
    shared, own = told_once(outcome.cell for outcome, _ in rows)
    table = Sheet(
        (
            *words("cell"),
            Column("verdict"),
            *numbers("rhat", "ess", "div", "elpd_loo±se"),
            *numbers("time", spare=1),
            Column("where", spare=2),
        ),
        _all(shared),
    )
    for outcome, verdict in rows:
        facts = outcome.diagnostics
        elpd = _number(facts.get("elpd_loo"), ".1f")
        name = own[outcome.cell]
        table.add_row(
            name if not outcome.replicate else f"{name} #{outcome.replicate}",
            _verdict(outcome, verdict),
            _number(facts.get("rhat_max"), ".3f"),
            _number(facts.get("ess_bulk_min"), ".0f"),
            _number(facts.get("n_divergent"), ".0f"),
            elpd if elpd == "-" else f"{elpd} ± {_number(facts.get('se_elpd_loo'), '.1f')}",
            _seconds(sum(outcome.seconds.values())),
            _cut(outcome.where or "-", WHERE),
        )
    return table


def verdict_lines(rows: Sequence[Row]) -> list[str]:
    """Say in one line for each fit that failed or did not pass why, and what to try; and notes on its verdict.

    Parameters
    ----------
    rows
        Outcome and verdict of each fit.

    Returns
    -------
    list of str
        Plain text, empty when all passed without a note.
    """
    lines = []
    for outcome, verdict in rows:
        if outcome.status == "failed":
            lines.append(f"{outcome.cell} failed ({outcome.reason}): {outcome.message}")
        elif verdict is not None and not verdict.passed:
            remedy = f"; try: {verdict.remedies[0]}" if verdict.remedies else ""
            lines.append(f"{outcome.cell}: {', '.join(verdict.failures)}{remedy}")
        lines += [f"{outcome.cell}: note: {note}" for note in (verdict.notes if verdict is not None else ())]
    return lines


def comparison_table(frame: pd.DataFrame) -> Sheet:
    """Show a LOO comparison, best cell first.

    Parameters
    ----------
    frame
        A `Comparison.frame` of compare.
    """
    shared, own = told_once(map(str, frame.index))
    table = Sheet(
        (
            *words("cell"),
            *numbers("elpd_loo ± se"),
            *numbers("diff ± dse"),
            *numbers("p_loo", spare=2),
            *numbers("weight", spare=1),
            *numbers("bad k"),
            *(words("warning") if frame["warning"].astype(bool).any() else ()),
        ),
        _all(shared),
    )
    for label, row in frame.iterrows():
        best = row["rank"] == 0
        table.add_row(
            own[str(label)],
            f"{_number(row['elpd_loo'], '.1f')} ± {_number(row['se'], '.1f')}",
            "best" if best else f"{_number(row['elpd_diff'], '.1f')} ± {_number(row['dse'], '.1f')}",
            _number(row["p_loo"], ".1f"),
            f"{row['weight']:.2f}",
            f"{row['n_bad_pareto_k']:.0f}",
            *([Text(str(row["warning"]), style="yellow")] if len(table.columns) > 6 else []),
            style="bold" if best else "",
        )
    return table


def agreement_table(frame: pd.DataFrame, top: int = 10) -> Sheet:
    """Show where samplers differ from their reference, worst scalars first.

    Parameters
    ----------
    frame
        An `Agreement.frame` of compare.
    top
        How many rows; the caption says how many more there are.
    """
    shared, own = told_once(map(str, frame["cell"]))
    table = Sheet(
        (
            *words(*_where(own), "variable"),
            *numbers("mean diff (SD)"),
            *numbers("mcse", spare=1),
            *numbers("SD ratio"),
            Column("reads"),
        ),
        _all(shared or _only(own)),
    )
    for row in frame.head(top).to_dict("records"):
        table.add_row(
            *_named(own, row["cell"], row["variable"]),
            _number(row["mean_diff"], "+.2f"),
            _number(row["mean_diff_mcse"], ".2f"),
            _number(row["sd_ratio"], ".2f"),
            _READS["differs" if row["differs"] else "unclear" if row["unclear"] else "agrees"],
        )
    if len(frame) > top:
        table.caption = f"{len(frame) - top} more rows, {int(frame['differs'].iloc[top:].sum())} of them differ"
    return table


def decision_table(frame: pd.DataFrame, top: int = 12) -> Sheet:
    """Show what one decision rule says of each fit and scalar.

    Parameters
    ----------
    frame
        Rows of one rule, see `decided`.
    top
        How many rows; the caption says how many more there are, and where.
    """
    shared, own = told_once(map(str, frame["cell"]))
    judged = bool(frame["probability"].notna().any())
    probabilities = numbers("probability") if judged else ()
    table = Sheet((*words(*_where(own), "variable"), *probabilities, Column("says")), _all(shared or _only(own)))
    for row in frame.head(top).to_dict("records"):
        probability = [_with_error(row["probability"], row["mcse"])] if judged else []
        table.add_row(*_named(own, row["cell"], row["variable"]), *probability, str(row["says"]))
    if len(frame) > top:
        said = frame["says"].iloc[top:].eq("yes").sum()
        table.caption = f"{len(frame) - top} more in the table decisions, yes for {said} of them"
    return table


def study_tables(frames: Mapping[str, pd.DataFrame], top: int = 12) -> list[tuple[str, Sheet]]:
    """Show what a simulation study found, as far as it fits a terminal: the files have all of it.

    Parameters
    ----------
    frames
        ``calibration``, ``measures`` and ``contrasts`` (see `simulated_data`).
    top
        Rows of a table; those that matter most come first, and the caption says how many more there are.

    Returns
    -------
    list of str and Sheet
    """
    shown = []
    judged, measured = frames["calibration"], frames["measures"]
    if not judged.empty:
        shared, cells = told_once(map(str, judged["cell"]))
        contraction = _contraction(judged)
        columns = (
            *words(*_where(cells), "quantity"),
            *numbers("n"),
            *numbers("p", spare=2),
            *numbers("p (Holm)", "z-score"),
            *numbers(contraction.replace("_", " "), spare=1),
            *words("reads"),
        )
        table = Sheet(columns, _all(shared))
        for row in judged.sort_values("p_value", kind="stable").head(top).to_dict("records"):
            table.add_row(
                *_named(cells, row["cell"], row["variable"]),
                str(row["n"]),
                _number(row["p_value"], ".3f"),
                _number(row["p_holm"], ".3f"),
                _with_error(row["z_mean"], row["z_mcse"]),
                _with_error(row[contraction], row[f"{contraction}_mcse"]),
                Text(str(row["shape"]), style=_shade(row)),
            )
        shown.append(("calibration", _captioned(table, len(judged) - top)))
    if not measured.empty:
        part = measured[(measured["analysis"] == "all") & (measured["variable"] != "")]
        shared, cells = told_once(map(str, part["cell"]))
        shown.append(("measures, with their Monte Carlo standard errors", _measures(part, cells, shared, top)))
        decided = _decisions(part, cells, shared, top)
        if decided.row_count:
            shown.append(("decisions: share of replicates that say yes", decided))
    return shown


def _contraction(judged: pd.DataFrame) -> str:
    """Name the contraction that a study has: of the prior, or of the posterior given the observed data."""
    other = "posterior_contraction"
    return (
        other
        if other in judged and judged["contraction"].isna().all() and judged[other].notna().any()
        else "contraction"
    )


def _shade(row: Mapping[Hashable, Any]) -> str:
    """Green is what is calibrated; where too few replicates could be judged, that none departs is no good news."""
    if row["calibrated"]:
        return "green"
    return "" if row["p_holm"] > row["level"] else "red"


def _measures(part: pd.DataFrame, cells: Mapping[str, str], shared: str, top: int) -> Sheet:
    """One row a cell and quantity, parameters first: bias, RMSE, and the coverage and width of the widest interval."""
    from bayesrun.figures.reading import small

    level = part["level"].max()
    at = part[part["level"].isna() | (part["level"] == level)]
    values = at.pivot_table("value", ["cell", "variable"], "measure", sort=False)
    errors = at.pivot_table("mcse", ["cell", "variable"], "measure", sort=False)
    columns = [name for name in ("bias", "rmse", "coverage", "width") if name in values]
    heads = [f"{name} ({level:g})" if name in ("coverage", "width") else name for name in columns]
    table = Sheet((*words(*_where(cells), "quantity"), *numbers(*heads)), _all(shared))
    early = small(values.index.get_level_values("variable"))
    for cell, variable in sorted(values.index, key=lambda pair: pair[1] not in early)[:top]:
        row = values.loc[(cell, variable)]
        own = errors.loc[(cell, variable)] if (cell, variable) in errors.index else {}
        table.add_row(
            *_named(cells, cell, variable),
            *(_with_error(row[name], own.get(name, math.nan)) for name in columns),
        )
    return _captioned(table, len(values) - top)


def _decisions(part: pd.DataFrame, cells: Mapping[str, str], shared: str, top: int) -> Sheet:
    """One row a cell, quantity and rule: its power or type I error, otherwise how often it says yes."""
    from bayesrun.figures.performance import rule_label, rules_of

    table = Sheet((*words(*_where(cells), "quantity", "rule"), *numbers("share")), _all(shared))
    rules = part[part["measure"].isin(rules_of(part)) & part["value"].notna()]
    for row in rules.head(top).to_dict("records"):
        names = _named(cells, row["cell"], row["variable"], rule_label(str(row["measure"])))
        table.add_row(*names, _with_error(row["value"], row["mcse"]))
    return _captioned(table, len(rules) - top)


def _where(cells: Mapping[str, str]) -> tuple[str, ...]:
    """Head of the column of cells; a study of one cell needs none."""
    return ("cell",) if len(cells) > 1 else ()


def _named(cells: Mapping[str, str], cell: object, *words: object) -> list[str]:
    return [str(word) for word in ((cells[str(cell)], *words) if len(cells) > 1 else words)]


def _captioned(table: Sheet, more: int) -> Sheet:
    if more > 0:
        table.caption = f"{more} more rows in the folder tables"
    return table


def _with_error(value: float, error: float) -> str:
    """Write a number with as many digits as its error has meaning."""
    if math.isnan(value):
        return "-"
    if not error or math.isnan(error) or max(abs(value), error) >= LARGE:
        return f"{value:.3g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


_READS = {word: Text(word, style=c) for word, c in (("differs", "red"), ("unclear", "yellow"), ("agrees", "green"))}


def _all(shared: str) -> str:
    """Say once what all cells share."""
    return f"all rows: {shared}" if shared else ""


def _only(own: Mapping[str, str]) -> str:
    """Return the label of the only cell; empty where there are several."""
    return next(iter(own)) if len(own) == 1 else ""


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}\N{HORIZONTAL ELLIPSIS}"


def _verdict(outcome: Outcome, verdict: Verdict | None) -> Text:
    if outcome.status == "failed":
        return Text("failed", style="bold red")
    if verdict is None:
        return Text("done")
    return Text("pass", style="green") if verdict.passed else Text("fail", style="yellow")


def _number(value: float | None, form: str) -> str:
    if value is None or math.isnan(value):
        return "-"
    return format(value, form if abs(value) < LARGE else ".3g")


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
