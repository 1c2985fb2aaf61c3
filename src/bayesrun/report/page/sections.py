"""Tables of a simulation study as a reader of its page wants them: rounded, shortened, nothing left blank.

It takes tables and gives text; it computes no measure and writes no file.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.messages import without_numbers
from bayesrun.base.rounding import ABSENT, plain, plus_minus, share
from bayesrun.figures.coverage import COVERAGE_WARNING
from bayesrun.figures.facets import short_cells
from bayesrun.figures.performance import rule_label, rules_of, usual_level
from bayesrun.figures.reading import small
from bayesrun.report.page.grids import LABELS, MOST_ROWS, Grid, distinct, floats_of, frame_grid, left_out, texts_of
from bayesrun.statistics.measures.estimate import wilson
from bayesrun.statistics.measures.names import CLASSES, REASONS, is_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["contents", "failures", "results", "standing_notes", "trouble"]

MOST_TROUBLE = 30
EXAMPLES = 3

SUMMARISED = ("fits", "estimates", "ranks", "datasets", "truth", "failures", "errors", "measures")
"""Tables that are not shown row by row: too long, or shown in another form."""

MAIN_MEASURES = ("bias", "empirical_se", "rmse", "model_se", "relative_error_model_se", "z_score")
TITLES = {
    "design": "Design",
    "calibration": "Calibration",
    "symmetry": "Symmetry of variational posteriors (VSBC)",
    "contrasts": "Contrasts between methods, on the same replicates",
}
JUDGED = ("design", "calibration", "symmetry")


def failures(tables: Mapping[str, pd.DataFrame]) -> Grid:
    """Count what went wrong in every cell, by class; a row a cell also where nothing did.

    Parameters
    ----------
    tables
        ``failures`` as `measures.failures_table` makes it, otherwise ``fits`` from which it is made; ``design``.
    """
    counts, sizes = _counts(tables)
    for cell in distinct(tables.get("design"), "cell"):
        counts.setdefault(cell, dict.fromkeys(CLASSES, 0))
        sizes.setdefault(cell, (0, 0))
    if not counts:
        return Grid("Failures", caption="No fit is planned, so there is no failure to count.")
    if len(counts) > 1:
        counts["all cells"] = {name: sum(found[name] for found in counts.values()) for name in CLASSES}
        sizes["all cells"] = (sum(planned for planned, _ in sizes.values()), sum(tried for _, tried in sizes.values()))
    rows = []
    for cell, found in counts.items():
        planned, tried = sizes[cell]
        failed = sum(found[name] for name in REASONS)
        of = {name: planned if name == "missing" else tried for name in CLASSES}
        classes = [_counted(found[name], of[name]) for name in CLASSES]
        rows.append((cell, f"{planned:,}", f"{tried:,}", _with_interval(failed, tried), *classes))
    return Grid(
        "Failures",
        ("cell", "planned", "tried", "failed, 95 % interval", *(LABELS.get(name, name) for name in CLASSES)),
        tuple(rows),
        (0,),
        "Fits by class, with shares of those tried (missing: of those planned). Failed fits are in one of the four "
        f"classes {', '.join(REASONS)}; not converged: the gate did not pass; degenerate: the simulated data are "
        "not finite or constant, whatever became of the fit.",
    )


def trouble(tables: Mapping[str, pd.DataFrame]) -> Grid:
    """Say why fits failed or did not converge: what reads the same but for its numbers is one row.

    Parameters
    ----------
    tables
        ``fits``: cell, replicate, status, reason, converged, failures.
    """
    title, fits = "Why fits failed or did not converge", tables.get("fits")
    if fits is None or fits.empty:
        return Grid(title)
    status = fits["status"].astype(str).to_numpy(dtype=object)
    passed = fits["converged"].to_numpy(dtype=bool, na_value=False) if "converged" in fits.columns else status == "done"
    part = fits[(status == "failed") | ((status == "done") & ~passed)]
    texts = (texts_of(part, name) for name in ("status", "reason", "failures", "cell", "replicate"))
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for state, reason, why, cell, replicate in zip(*texts, strict=True):
        what = f"failed: {reason}" if state == "failed" else "not converged"
        found.setdefault((what, without_numbers(why)), (why, []))[1].append(f"{cell} #{replicate}")
    ranked = sorted(found.items(), key=lambda item: (item[0][0] == "not converged", -len(item[1][1])))
    rows = tuple(
        (
            what,
            why,
            f"{len(where):,}",
            ", ".join(where[:EXAMPLES]) + (", \N{HORIZONTAL ELLIPSIS}" if len(where) > EXAMPLES else ""),
        )
        for (what, _), (why, where) in ranked[:MOST_TROUBLE]
    )
    return Grid(
        title,
        ("what", "why, of the first", "fits", "which"),
        rows,
        (0, 1, 3),
        "",
        left_out(len(rows), len(ranked), "rows"),
    )


def results(tables: Mapping[str, pd.DataFrame]) -> list[Grid]:
    """Make the tables of results: design, calibration, measures, contrasts, and whatever else there is."""
    found = [_known(name, tables[name]) for name in JUDGED if name in tables]
    measures = tables.get("measures")
    if measures is not None and not measures.empty:
        found += [_measures(measures, "all"), _measures(measures, "converged")]
    rest = ["contrasts", *(name for name in tables if name not in (*JUDGED, "contrasts", *SUMMARISED))]
    found += [_known(name, tables[name]) for name in rest if name in tables]
    alone = len(distinct(tables.get("design"), "cell")) == 1
    return [_without_cell(table) if alone else table for table in found if table.rows]


def standing_notes(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Write the warnings that every page with such results carries."""
    notes = []
    if "coverage" in set(distinct(tables.get("measures"), "measure")):
        notes.append(COVERAGE_WARNING)
    notes.append(
        "Numbers after \N{PLUS-MINUS SIGN} are Monte Carlo standard errors: how far the estimate would move if the "
        "study were run again with other seeds. Values are rounded by them. A value without one has no error to show."
    )
    fits, estimates = tables.get("fits"), tables.get("estimates")
    if fits is not None and "rhat_max" in fits.columns and np.isfinite(floats_of(fits, "rhat_max")).any():
        scalars = set(distinct(estimates, "variable"))
        over = f"of {len(scalars)} scalars and more" if scalars else "of all scalars of a fit"
        notes.append(
            f"rhat_max is the largest R-hat {over}: the maximum of many needs a looser bound than the R-hat of one."
        )
    if "variational" in set(distinct(tables.get("design"), "kind")):
        notes.append(
            "R-hat and ESS are not defined for draws from a variational approximation and are left out for such fits; "
            "their calibration is a test of symmetry (VSBC), which says whether the centre is biased and nothing of "
            "the width."
        )
    return notes


def contents(tables: Mapping[str, pd.DataFrame]) -> Grid:
    """List the tables of the study with their files, relative to the page."""
    rows = tuple((f"tables/{name}.csv", f"{len(table):,}") for name, table in tables.items() if not table.empty)
    caption = (
        "All tables, complete and unrounded; beside each .csv is a .parquet." if rows else "There is no table yet."
    )
    return Grid("Files", ("file", "rows"), rows, (0,), caption)


def _known(name: str, frame: pd.DataFrame) -> Grid:
    """Write a table that is shown row by row, the worst rows first where not all are shown."""
    title = TITLES.get(name, name.replace("_", " ").capitalize())
    if name not in ("calibration", "symmetry"):
        return frame_grid(title, name, frame)
    unused = ("gamma", "level") if name == "calibration" else ("gamma", "level", "n_ranks", "potc_p", "low_ess_share")
    hidden = [column for column in (*unused, *_saying_nothing(frame)) if column in frame.columns]
    cut = len(frame) > MOST_ROWS and "p_value" in frame.columns
    shown = frame.sort_values("p_value", kind="stable", na_position="last") if cut else frame
    return frame_grid(f"{title}, smallest p first" if cut else title, name, shown.drop(columns=hidden))


def _saying_nothing(frame: pd.DataFrame) -> list[str]:
    """List counts that are what a reader expects, all judged and converged, and contractions that there are not."""
    if not {"n", "planned", "not_converged"} <= set(frame.columns):
        return []
    whole, sure = (frame["planned"] == frame["n"]).all(), not frame["not_converged"].any()
    empty = [name for name in frame.columns if "contraction" in str(name) and frame[name].isna().all()]
    return [name for name, unsaid in (("planned", whole), ("not_converged", sure)) if unsaid] + empty


def _without_cell(table: Grid) -> Grid:
    """Leave the name of the only cell out, which the design says once; wide tables then fit a page."""
    if table.head[:1] != ("cell",) or table.title == TITLES["design"]:
        return table
    rows, words = tuple(row[1:] for row in table.rows), tuple(place - 1 for place in table.words if place)
    return replace(table, head=table.head[1:], rows=rows, words=words)


def _measures(measures: pd.DataFrame, analysis: str) -> Grid:
    """Write measures with a row for each cell and quantity; of another analysis than the main one only what differs."""
    title = (
        "Performance"
        if analysis == "all"
        else "Performance over the replicates that converged, where there are some and not all"
    )
    table = measures[(measures["variable"].astype(str) != "").to_numpy(dtype=bool)]
    if "analysis" in table.columns:
        chosen = table[(table["analysis"] == analysis).to_numpy(dtype=bool)]
    else:
        chosen = table if analysis == "all" else table.iloc[:0]
    if analysis != "all":
        chosen = _other_sizes(table, chosen)
        chosen = chosen[floats_of(chosen, "n") > 0]
    if chosen.empty:
        return Grid(title)
    level = usual_level(chosen)
    there = set(chosen["measure"].astype(str))
    names = [name for name in (*MAIN_MEASURES, "coverage", *rules_of(chosen)) if name in there]
    chosen = chosen[chosen["measure"].isin(names).to_numpy(dtype=bool)]
    covers = (chosen["measure"] == "coverage").to_numpy(dtype=bool)
    chosen = chosen[~covers | np.isclose(floats_of(chosen, "level"), level)]
    pairs = list(dict.fromkeys(zip(texts_of(chosen, "cell"), texts_of(chosen, "variable"), strict=True)))
    if len(pairs) > MOST_ROWS:
        early = small(variable for _, variable in pairs)
        pairs.sort(key=lambda pair: pair[1] not in early)
    kept = set(pairs[:MOST_ROWS])
    found: dict[tuple[str, str], dict[str, str]] = {pair: {} for pair in pairs[:MOST_ROWS]}
    sizes: dict[tuple[str, str], int] = {}
    numbers = zip(*(floats_of(chosen, name) for name in ("value", "mcse", "lower", "upper", "n")), strict=True)
    keys = zip(texts_of(chosen, "cell"), texts_of(chosen, "variable"), texts_of(chosen, "measure"), strict=True)
    for (cell, variable, measure), (value, error, low, high, n) in zip(keys, numbers, strict=True):
        if (cell, variable) in kept:
            found[cell, variable][measure] = _estimate(measure, value, error, (low, high))
            sizes[cell, variable] = max(sizes.get((cell, variable), 0), int(n) if math.isfinite(n) else 0)
    labels, short = [_measure_label(name, level) for name in names], short_cells([cell for cell, _ in pairs])
    rows = tuple(
        (short[cell], variable, str(sizes[cell, variable]), *(said.get(name, ABSENT) for name in names))
        for (cell, variable), said in found.items()
    )
    return Grid(
        title,
        ("cell", "quantity", "n", *labels),
        rows,
        (0, 1),
        "Estimate \N{PLUS-MINUS SIGN} Monte Carlo standard error; a share of 0 or 1 with its 95 % Wilson interval. "
        "n: the most replicates that any of the measures used. More measures are in tables/measures.csv.",
        left_out(len(rows), len(pairs), "rows", "measures"),
    )


def _other_sizes(table: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """Rows of an analysis whose number of replicates differs from that of the main analysis."""
    keys = ["cell", "variable", "measure", "level"]
    if chosen.empty:
        return chosen
    main = table[(table["analysis"] == "all").to_numpy(dtype=bool)].drop_duplicates(keys)
    sizes = chosen.merge(main[[*keys, "n"]], on=keys, how="left", suffixes=("", "_all"))
    differs = floats_of(sizes, "n") != floats_of(sizes, "n_all")
    kept: pd.DataFrame = chosen[differs]
    return kept


def _estimate(measure: str, value: float, error: float, ends: tuple[float, float]) -> str:
    if is_share(measure) and not error > 0.0 and all(map(math.isfinite, (value, *ends))):
        return f"{plain(value)} [{ends[0]:.3f}, {ends[1]:.3f}]"
    return plus_minus(value, error)


def _measure_label(name: str, level: float) -> str:
    if name == "coverage":
        return f"coverage of {level:.0%}"
    return rule_label(name) if ":" in name else LABELS.get(name, name.replace("_", " "))


def _counts(tables: Mapping[str, pd.DataFrame]) -> tuple[dict[str, dict[str, int]], dict[str, tuple[int, int]]]:
    """Cell to class to count, and cell to fits planned and tried."""
    table, fits = tables.get("failures"), tables.get("fits")
    if (table is None or table.empty) and fits is not None and not fits.empty:
        from bayesrun.statistics.measures.by_cell import failures_table

        table = failures_table(fits)
    counts: dict[str, dict[str, int]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    if table is None or table.empty:
        return counts, sizes
    rows = zip(texts_of(table, "cell"), texts_of(table, "class"), table["count"], table["n"], strict=True)
    for cell, name, count, n in rows:
        counts.setdefault(cell, dict.fromkeys(CLASSES, 0))[name] = int(count)
        planned, tried = sizes.get(cell, (0, 0))
        sizes[cell] = (int(n), tried) if name == "missing" else (planned, int(n))
    return counts, sizes


def _counted(count: int, of: int) -> str:
    return f"{count:,} ({share(count / of)})" if count and of else f"{count:,}"


def _with_interval(count: int, of: int) -> str:
    if not of:
        return ABSENT
    low, high = (float(end) for end in wilson(count, of))
    return f"{count:,} ({share(count / of)}; {100 * low:.1f} to {100 * high:.1f} %)"
