"""Figures of performance measures with their Monte Carlo error, by cell and quantity.

It draws what measures has computed and computes no measure itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.figures.canvas import blank, safe_text, tidy
from bayesrun.figures.facets import BLUE, ORANGE, Drawing, short_cells, span
from bayesrun.figures.reading import USUAL_LEVEL, column, ordered, small
from bayesrun.statistics.measures.names import CHECKS, PREFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bayesrun.figures.reading import Pair

    type Floats = NDArray[np.float64]

__all__ = [
    "Points",
    "bias_and_coverage",
    "decisions",
    "far_off",
    "main_analysis",
    "points_of",
    "rule_label",
    "rules_of",
    "usual_level",
]

MOST_ROWS = 36
MOST_COLUMNS = 3
NORMAL = 1.96
"""Half width of a 95 % interval in standard errors."""


@dataclass(frozen=True, eq=False)
class Points:
    """One measure: cell and quantity to value and the ends of its interval."""

    values: dict[Pair, tuple[float, float, float]]
    errors: dict[Pair, float]


def main_analysis(measures: pd.DataFrame) -> pd.DataFrame:
    """Rows of the main analysis, over all replicates with output, without the quantities that are only checks."""
    if measures.empty or "variable" not in measures.columns:
        return measures.iloc[:0]
    kept = ~measures["variable"].isin(CHECKS).to_numpy()
    if "analysis" in measures.columns:
        kept &= (measures["analysis"] == "all").to_numpy(dtype=bool, na_value=False)
    return measures[kept]


def bias_and_coverage(measures: pd.DataFrame) -> Drawing | None:
    """Draw bias, in posterior SDs, and coverage of each cell and quantity with 1.96 MCSE to either side.

    Parameters
    ----------
    measures
        Columns cell, variable, measure, level, value, mcse, lower, upper, analysis; used are bias, model_se and
        coverage.

    Returns
    -------
    Drawing or None
        At most 36 rows: where there are more, scalars of small variables, then those that are farthest off in any
        cell. None without bias and coverage.
    """
    table = main_analysis(measures)
    level = usual_level(table)
    bias, coverage, scale = points_of(table, "bias"), points_of(table, "coverage", level), points_of(table, "model_se")
    pairs = list(dict.fromkeys([*bias.values, *coverage.values]))
    if not pairs:
        return None
    scaled = all(scale.values.get(pair, (math.nan,))[0] > 0 for pair in bias.values)
    if scaled:
        bias = _divided(bias, scale)
    shown, total = _rows(pairs, {pair: far_off(pair, bias, coverage, level) for pair in pairs})
    title = "Bias and coverage with 1.96 Monte Carlo standard errors"
    cells = ordered([cell for cell, _ in shown])
    figure, (left, right), places = _row_figure(title, shown, cells)
    _lollipops(left, bias, places, 0.0)
    left.set_xlabel("bias / model SE" if scaled else "bias", fontsize=9)
    _lollipops(right, coverage, places, level)
    right.set_xlabel(f"coverage of {level:.0%} intervals" if level == level else "coverage", fontsize=9)
    left_out = (
        f"Shown are {len(shown)} of {total} rows: quantities of small variables, then those farthest off. "
        if total > len(shown)
        else ""
    )
    caption = (
        f"{left_out}Orange: 0 bias or the nominal level lies outside the bar; by chance one in twenty does. "
        + (
            "Bias is divided by the root mean square of the posterior SDs, so that quantities compare. "
            if scaled
            else ""
        )
        + "Bars of coverage are Wilson intervals where the table has them."
    )
    return Drawing(figure, title, caption)


def decisions(measures: pd.DataFrame) -> Drawing | None:
    """Draw how often each decision rule decides yes, by cell and quantity: power, or the type I error.

    Parameters
    ----------
    measures
        As for `bias_and_coverage`; used are the measures ``power:NAME`` and ``type_1_error:NAME``, or
        ``decision:NAME`` of a rule that has neither.

    Returns
    -------
    Drawing or None
        One column for each rule, at most three. None without a rule.
    """
    table = main_analysis(measures)
    if table.empty:
        return None
    rules = rules_of(table)
    found = {name: points_of(table, name) for name in rules[:MOST_COLUMNS]}
    pairs = list(dict.fromkeys(pair for points in found.values() for pair in points.values))
    if not pairs:
        return None
    shown, total = _rows(pairs, {})
    title = "Decisions: share of replicates that say yes"
    figure, panels, places = _row_figure(title, shown, ordered([cell for cell, _ in shown]), len(found))
    for axes, (name, points) in zip(panels, found.items(), strict=True):
        _lollipops(axes, points, places, 0.0, alarm=False)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel(safe_text(rule_label(name), 44), fontsize=9)
    caption = (
        (f"Shown are the first {len(shown)} of {total} rows. " if total > len(shown) else "")
        + (f"Shown are {len(found)} of {len(rules)} rules. " if len(rules) > len(found) else "")
        + "Power: of the replicates with an effect; type I error: of those without. Bars: 95 % intervals (Wilson where "
        "the table has them)."
    )
    return Drawing(figure, title, caption)


def rules_of(table: pd.DataFrame) -> list[str]:
    """Measures of decision rules: power and type I error of each rule, otherwise how often it says yes."""
    found = [name for name in ordered([str(name) for name in table["measure"]]) if name.partition(":")[0] in PREFIXES]
    judged = {name.partition(":")[2] for name in found if not name.startswith("decision:")}
    kept = [name for name in found if not (name.startswith("decision:") and name.partition(":")[2] in judged)]
    return sorted(kept, key=lambda name: [other.partition(":")[2] for other in kept].index(name.partition(":")[2]))


def rule_label(name: str) -> str:
    """Name the measure of a rule for people: ``power: positive``."""
    prefix, _, rule = name.partition(":")
    return {"type_1_error": "type I error: ", "power": "power: "}.get(prefix, "") + rule


def usual_level(table: pd.DataFrame) -> float:
    """Level whose coverage is drawn: 0.95 where the table has it, otherwise the largest; NaN without any."""
    if table.empty:
        return math.nan
    levels = column(table[table["measure"] == "coverage"], "level")
    levels = levels[np.isfinite(levels)]
    return USUAL_LEVEL if np.isclose(levels, USUAL_LEVEL).any() else max(levels.tolist(), default=math.nan)


def points_of(table: pd.DataFrame, measure: str, level: float = math.nan) -> Points:
    """Values of one measure with the ends of their intervals; what is not finite is left out."""
    if table.empty:
        return Points({}, {})
    rows = table[(table["measure"] == measure).to_numpy(dtype=bool)]
    if level == level:
        rows = rows[np.isclose(column(rows, "level"), level)]
    rows = rows.drop_duplicates(["cell", "variable"])
    value, error = column(rows, "value"), column(rows, "mcse")
    low, high = column(rows, "lower"), column(rows, "upper")
    low, high = (np.where(np.isnan(end), value + sign * NORMAL * error, end) for end, sign in ((low, -1), (high, 1)))
    known = np.isfinite(value)
    pairs = [(str(c), str(v)) for c, v in zip(rows["cell"], rows["variable"], strict=True)]
    chosen = [(pair, i) for i, pair in enumerate(pairs) if known[i]]
    return Points(
        {pair: (float(value[i]), float(low[i]), float(high[i])) for pair, i in chosen},
        {pair: float(error[i]) for pair, i in chosen},
    )


def _divided(points: Points, scale: Points) -> Points:
    by = {pair: scale.values[pair][0] for pair in points.values}
    return Points(
        {pair: (v / by[pair], low / by[pair], high / by[pair]) for pair, (v, low, high) in points.values.items()},
        {pair: error / by[pair] for pair, error in points.errors.items()},
    )


def far_off(pair: Pair, bias: Points, coverage: Points, level: float) -> float:
    """Largest distance of bias and coverage from where they should be, in standard errors."""
    found = [0.0]
    for points, wanted in ((bias, 0.0), (coverage, level)):
        if pair in points.values:
            value, low, high = points.values[pair]
            half = (high - low) / (2.0 * NORMAL)
            if half > 0 and wanted == wanted:
                found.append(abs(value - wanted) / half)
    return max(found)


def _rows(pairs: Sequence[Pair], badness: dict[Pair, float]) -> tuple[list[Pair], int]:
    """Choose whole quantities, those of small variables first, until the rows are full; group rows by quantity."""
    cells, quantities = ordered([cell for cell, _ in pairs]), ordered([variable for _, variable in pairs])
    most = max(1, MOST_ROWS // len(cells))
    if len(quantities) > most:
        score = {v: max(badness.get(pair, 0.0) for pair in pairs if pair[1] == v) for v in quantities}
        early = small(quantities)
        kept = set(sorted(quantities, key=lambda variable: (variable not in early, -score[variable]))[:most])
        quantities = [variable for variable in quantities if variable in kept]
    there = set(pairs)
    rows = [(cell, variable) for variable in quantities for cell in cells if (cell, variable) in there]
    return rows[:MOST_ROWS], len(pairs)


def _row_figure(
    title: str, shown: Sequence[Pair], cells: Sequence[str], columns: int = 2
) -> tuple[Figure, list[Axes], dict[Pair, float]]:
    """Make columns of panels with one row for each cell and quantity; a quantity of several cells has a heading."""
    quantities = ordered([variable for _, variable in shown])
    several = len(cells) > 1
    places, labels, at = {}, [], 0.0
    heads = []
    for variable in quantities:
        if several:
            heads.append((at, variable))
            at += 1.0
        for cell, _ in (pair for pair in shown if pair[1] == variable):
            places[cell, variable] = at
            labels.append(cell)
            at += 1.0
        at += 0.4 if several else 0.0
    names = short_cells(cells)
    words = [safe_text(names[cell] if several else variable, 34) for cell, variable in places]
    letters = max(len(word) for word in [*words, *(safe_text(v, 34) for v in quantities)])
    left = 0.3 + 0.066 * letters
    width, height = left + (3.1 * columns if columns > 1 else 4.6), 0.2 * at + 1.35
    figure = blank(width, height, title, layout=None)
    figure.suptitle(title, fontsize=11, y=1.0 - 0.1 / height, va="top")
    figure.subplots_adjust(
        left=left / width, right=1 - 0.15 / width, bottom=0.65 / height, top=1 - 0.45 / height, wspace=0.08
    )
    panels = list(figure.subplots(1, columns, squeeze=False, sharey=True)[0])
    for axes in panels:
        tidy(axes)
        axes.set_ylim(at - 0.4, -0.8)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color="0.94", linewidth=0.8)
        axes.set_axisbelow(True)
    panels[0].set_yticks(list(places.values()), words, fontsize=8)
    for place, variable in heads:
        panels[0].text(
            0.0,
            place,
            safe_text(variable, 34),
            transform=panels[0].get_yaxis_transform(),
            fontsize=8,
            weight="bold",
            va="center",
            ha="left",
        )
    return figure, panels, places


def _lollipops(axes: Axes, points: Points, places: dict[Pair, float], wanted: float, *, alarm: bool = True) -> None:
    pairs = [pair for pair in places if pair in points.values]
    if not pairs:
        axes.text(0.5, 0.5, "not defined", transform=axes.transAxes, ha="center", color="0.5", fontsize=9)
        axes.set_xticks([])
        return
    value, low, high = np.array([points.values[pair] for pair in pairs]).T
    at = np.array([places[pair] for pair in pairs])
    centre = wanted if wanted == wanted else 0.0
    off = ((low > centre) | (high < centre)) if alarm else np.zeros(at.size, dtype=bool)
    for hit, colour in ((~off, BLUE), (off, ORANGE)):
        axes.hlines(at[hit], centre, value[hit], color=colour, linewidth=1.0, alpha=0.5)
        axes.hlines(at[hit], low[hit], high[hit], color=colour, linewidth=2.4, alpha=0.55)
        axes.plot(value[hit], at[hit], "o", color=colour, markersize=4.2)
    axes.axvline(centre, color="0.4", linewidth=0.8, zorder=0)
    ends = np.concatenate([value, low, high, [centre]])
    axes.set_xlim(*span(ends, tail=0.0))
    axes.locator_params(axis="x", nbins=6)
