"""Tables for the terminal: outcomes, LOO comparison, agreement of samplers.

Every colour repeats what a word already says, so the tables read the same in a log file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bayesrun.types import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import pandas as pd

__all__ = ["agreement_table", "comparison_table", "decision_table", "outcome_table", "study_tables", "verdict_lines"]

type Row = tuple[Outcome, Verdict | None]


def outcome_table(rows: Sequence[Row]) -> Table:
    """Show what came back from each fit: one row a fit, readable from 80 columns on.

    Parameters
    ----------
    rows
        Outcome and verdict of each fit; the verdict is None where no gate was asked.

    Returns
    -------
    rich.table.Table
        Columns cell, verdict (pass, fail, done without a gate, failed without a posterior), rhat_max, ess
        (smallest bulk), n_divergent, elpd_loo with its standard error, time in seconds, where. A dash: not defined.
    """
    table = _table("cell")
    table.add_column("verdict", no_wrap=True)
    for name in ("rhat", "ess", "div", "elpd_loo±se", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("where", no_wrap=True, overflow="ellipsis", max_width=13)
    for outcome, verdict in rows:
        facts = outcome.diagnostics
        elpd = _number(facts.get("elpd_loo"), ".1f")
        table.add_row(
            escape(outcome.cell if not outcome.replicate else f"{outcome.cell} #{outcome.replicate}"),
            _verdict(outcome, verdict),
            _number(facts.get("rhat_max"), ".3f"),
            _number(facts.get("ess_bulk_min"), ".0f"),
            _number(facts.get("n_divergent"), ".0f"),
            elpd if elpd == "-" else f"{elpd} ± {_number(facts.get('se_elpd_loo'), '.1f')}",
            _seconds(sum(outcome.seconds.values())),
            escape(outcome.where or "-"),
        )
    return table


def verdict_lines(rows: Sequence[Row]) -> list[str]:
    """Say in one line for each fit that failed or did not pass why, and what to try.

    Parameters
    ----------
    rows
        Outcome and verdict of each fit.

    Returns
    -------
    list of str
        Plain text, empty when all passed.
    """
    lines = []
    for outcome, verdict in rows:
        if outcome.status == "failed":
            lines.append(f"{outcome.cell} failed ({outcome.reason}): {outcome.message}")
        elif verdict is not None and not verdict.passed:
            remedy = f"; try: {verdict.remedies[0]}" if verdict.remedies else ""
            lines.append(f"{outcome.cell}: {', '.join(verdict.failures)}{remedy}")
    return lines


def comparison_table(frame: pd.DataFrame) -> Table:
    """Show a LOO comparison, best cell first.

    Parameters
    ----------
    frame
        A `Comparison.frame` of compare.
    """
    table = _table("cell")
    for name in ("elpd_loo ± se", "diff ± dse", "p_loo", "weight", "bad k"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("warning", overflow="fold")
    for label, row in frame.iterrows():
        best = row["rank"] == 0
        table.add_row(
            escape(str(label)),
            f"{row['elpd_loo']:.1f} ± {row['se']:.1f}",
            "best" if best else f"{row['elpd_diff']:.1f} ± {row['dse']:.1f}",
            _number(row["p_loo"], ".1f"),
            f"{row['weight']:.2f}",
            f"{row['n_bad_pareto_k']:.0f}",
            Text(str(row["warning"]), style="yellow"),
            style="bold" if best else "",
        )
    return table


def agreement_table(frame: pd.DataFrame, top: int = 10) -> Table:
    """Show where samplers differ from their reference, worst scalars first.

    Parameters
    ----------
    frame
        An `Agreement.frame` of compare.
    top
        How many rows; the caption says how many more there are.
    """
    table = _table("cell", "variable")
    for name in ("mean diff (SD)", "mcse", "SD ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("reads", no_wrap=True)
    for row in frame.head(top).itertuples(index=False):
        table.add_row(
            escape(str(row.cell)),
            escape(str(row.variable)),
            f"{row.mean_diff:+.2f}",
            f"{row.mean_diff_mcse:.2f}",
            f"{row.sd_ratio:.2f}",
            _READS["differs" if row.differs else "unclear" if row.unclear else "agrees"],
        )
    if len(frame) > top:
        table.caption = f"{len(frame) - top} more rows, {int(frame['differs'].iloc[top:].sum())} of them differ"
        table.caption_justify = "left"
    return table


def decision_table(frame: pd.DataFrame, top: int = 12) -> Table:
    """Show what one decision rule says of each fit and scalar.

    Parameters
    ----------
    frame
        Rows of one rule, see `decided`.
    top
        How many rows; the caption says how many more there are, and where.
    """
    table = _table("cell", "variable")
    judged = bool(frame["probability"].notna().any())
    if judged:
        table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("says", no_wrap=True)
    for row in frame.head(top).to_dict("records"):
        probability = [_with_error(row["probability"], row["mcse"])] if judged else []
        table.add_row(escape(str(row["cell"])), escape(str(row["variable"])), *probability, str(row["says"]))
    if len(frame) > top:
        said = frame["says"].iloc[top:].eq("yes").sum()
        table.caption = f"{len(frame) - top} more in the table decisions, yes for {said} of them"
        table.caption_justify = "left"
    return table


def study_tables(frames: Mapping[str, pd.DataFrame], top: int = 12) -> list[tuple[str, Table]]:
    """Show what a simulation study found, as far as it fits a terminal: the files have all of it.

    Parameters
    ----------
    frames
        ``calibration``, ``measures`` and ``contrasts`` (see `simulated_data`).
    top
        Rows of a table; those that matter most come first, and the caption says how many more there are.

    Returns
    -------
    list of str and Table
    """
    from bayesrun.figures.facets import short_cells

    shown = []
    judged, measured = frames["calibration"], frames["measures"]
    if not judged.empty:
        cells = short_cells(list(dict.fromkeys(map(str, judged["cell"]))))
        table = _table(*_where(cells), "quantity")
        contraction = _contraction(judged)
        for name in ("n", "p", "p (Holm)", "z-score", contraction.replace("_", " ")):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("reads", overflow="fold")
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
        cells = short_cells(list(dict.fromkeys(map(str, part["cell"]))))
        shown.append(("measures, with their Monte Carlo standard errors", _measures(part, cells, top)))
        decided = _decisions(part, cells, top)
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


def _measures(part: pd.DataFrame, cells: Mapping[str, str], top: int) -> Table:
    """One row a cell and quantity, parameters first: bias, RMSE, and the coverage and width of the widest interval."""
    from bayesrun.figures.reading import small

    level = part["level"].max()
    at = part[part["level"].isna() | (part["level"] == level)]
    values = at.pivot_table("value", ["cell", "variable"], "measure", sort=False)
    errors = at.pivot_table("mcse", ["cell", "variable"], "measure", sort=False)
    columns = [name for name in ("bias", "rmse", "coverage", "width") if name in values]
    table = _table(*_where(cells), "quantity")
    for name in columns:
        head = f"{name} ({level:g})" if name in ("coverage", "width") else name
        table.add_column(head, justify="right", no_wrap=True)
    early = small(values.index.get_level_values("variable"))
    for cell, variable in sorted(values.index, key=lambda pair: pair[1] not in early)[:top]:
        row = values.loc[(cell, variable)]
        own = errors.loc[(cell, variable)] if (cell, variable) in errors.index else {}
        table.add_row(
            *_named(cells, cell, variable),
            *(_with_error(row[name], own.get(name, math.nan)) for name in columns),
        )
    return _captioned(table, len(values) - top)


def _decisions(part: pd.DataFrame, cells: Mapping[str, str], top: int) -> Table:
    """One row a cell, quantity and rule: its power or type I error, otherwise how often it says yes."""
    from bayesrun.figures.performance import rule_label, rules_of

    table = _table(*_where(cells), "quantity", "rule")
    table.add_column("share", justify="right", no_wrap=True)
    rules = part[part["measure"].isin(rules_of(part)) & part["value"].notna()]
    for row in rules.head(top).to_dict("records"):
        names = _named(cells, row["cell"], row["variable"], rule_label(str(row["measure"])))
        table.add_row(*names, _with_error(row["value"], row["mcse"]))
    return _captioned(table, len(rules) - top)


def _where(cells: Mapping[str, str]) -> tuple[str, ...]:
    """Head of the column of cells; a study of one cell needs none."""
    return ("cell",) if len(cells) > 1 else ()


def _named(cells: Mapping[str, str], cell: object, *words: object) -> list[str]:
    return [escape(str(word)) for word in ((cells[str(cell)], *words) if len(cells) > 1 else words)]


def _captioned(table: Table, more: int) -> Table:
    if more > 0:
        table.caption = f"{more} more rows in the folder tables"
        table.caption_justify = "left"
    return table


def _with_error(value: float, error: float) -> str:
    """Write a number with as many digits as its error has meaning."""
    if math.isnan(value):
        return "-"
    if not error or math.isnan(error):
        return f"{value:.3g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


_READS = {word: Text(word, style=c) for word, c in (("differs", "red"), ("unclear", "yellow"), ("agrees", "green"))}


def _table(*names: str) -> Table:
    """Make an empty table whose first columns hold words, which may wrap."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _verdict(outcome: Outcome, verdict: Verdict | None) -> Text:
    if outcome.status == "failed":
        return Text("failed", style="bold red")
    if verdict is None:
        return Text("done")
    return Text("pass", style="green") if verdict.passed else Text("fail", style="yellow")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
