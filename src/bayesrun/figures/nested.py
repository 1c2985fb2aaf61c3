"""Nested-loop figures: measures over every scenario of a design, with the levels of its factors below.

It draws what measures has computed and computes no measure itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayesrun.figures.canvas import CHAIN_COLOURS, blank, safe_text, tidy
from bayesrun.figures.facets import Drawing
from bayesrun.figures.performance import Points, far_off, main_analysis, points_of, rule_label, rules_of, usual_level
from bayesrun.figures.reading import ordered, small

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

__all__ = ["factors", "methods", "nested_loop"]

MOST_QUANTITIES = 3
MOST_SCENARIOS = 200
MOST_STEP_LABELS = 24
PANEL, BAND = 1.5, 0.42
"""Heights in inches: of the panel of a measure, and of the steps of a factor."""

METHOD = ("model", "data", "sampler")
NOT_FACTORS = ("cell", "kind", "replicates", *METHOD)
NESTED = ("bias", "rmse", "coverage")


def nested_loop(design: pd.DataFrame, measures: pd.DataFrame) -> Drawing | None:
    """Draw measures over all scenarios of a design, with the levels of its factors as steps below.

    Parameters
    ----------
    design
        One row a cell: columns cell, model, data, sampler, kind, and one for each swept factor.
    measures
        As for `bias_and_coverage`; used are bias, rmse and coverage, and the first decision rule.

    Returns
    -------
    Drawing or None
        One column for each quantity, at most three: those with most of the measures, those of small variables,
        those farthest off. One line a method. None unless a factor has several levels.

    References
    ----------
    Rücker, Schwarzer (2014), doi:10.1186/1471-2288-14-129.
    """
    table = main_analysis(measures)
    names = factors(design) if not design.empty and "cell" in design.columns else []
    if table.empty or not names:
        return None
    scenarios = _scenarios(design, names)
    if len(scenarios) > MOST_SCENARIOS:
        scenarios = scenarios[:MOST_SCENARIOS]
    level = usual_level(table)
    rules = rules_of(table)[:1]
    found = {name: points_of(table, name, level if name == "coverage" else math.nan) for name in (*NESTED, *rules)}
    found = {name: points for name, points in found.items() if points.values}
    if not found:
        return None
    quantities = ordered([variable for points in found.values() for _, variable in points.values])
    kept = _worst_quantities(quantities, found, level)
    title = f"Nested loops over {', '.join(_short(name) for name in names)}"
    heights = [PANEL] * len(found) + [BAND * len(names)]
    width, height = max(4.0 * len(kept) + 0.8, 6.2), sum(heights) + 0.18 * len(found) + 1.15
    figure = blank(width, height, title, layout=None)
    figure.suptitle(safe_text(title, 90), fontsize=11, y=1.0 - 0.12 / height, va="top")
    figure.subplots_adjust(
        left=0.8 / width,
        right=1.0 - 0.15 / width,
        bottom=0.45 / height,
        top=1.0 - 0.7 / height,
        hspace=0.18 * len(heights) / sum(heights),
        wspace=0.16,
    )
    panels = figure.subplots(len(found) + 1, len(kept), squeeze=False, sharex=True, height_ratios=heights)
    for place, variable in enumerate(kept):
        panels[0][place].set_title(safe_text(variable, 40), fontsize=9, loc="left")
        for axes, (name, points) in zip(panels[:, place], found.items(), strict=False):
            _method_lines(axes, design, scenarios, names, points, variable)
            _reference(axes, name, level)
            axes.set_ylabel(_measure_label(name, level) if place == 0 else "", fontsize=8)
        _factor_steps(panels[-1][place], scenarios, names)
    figure.align_ylabels(panels[:, 0])
    lines = panels[0][0].get_legend_handles_labels()
    if len(lines[0]) > 1:
        figure.legend(*lines, loc="lower center", ncols=min(4, len(lines[0])), frameon=False, fontsize=8)
    caption = (
        (
            f"Shown are {len(kept)} of {len(quantities)} quantities: of small variables, then those farthest off. "
            if len(kept) < len(quantities)
            else ""
        )
        + "From left to right all scenarios, the last factor changing fastest; the steps below show its levels. Bars: "
        "1.96 Monte Carlo standard errors. A gap: no fit of that method in that scenario."
    )
    return Drawing(figure, title, caption)


def factors(design: pd.DataFrame) -> list[str]:
    """Columns of a design that are swept: more than one level, and neither model, data nor sampler."""
    counts = {str(name): len(_levels(design[name])) for name in design.columns if name not in NOT_FACTORS}
    return sorted((name for name, count in counts.items() if count > 1), key=lambda name: counts[name])


def methods(design: pd.DataFrame) -> list[str]:
    """Name the method of each cell: those of model, data and sampler in which the cells differ."""
    differing = [name for name in METHOD if name in design.columns and design[name].astype(str).nunique() > 1]
    if not differing:
        return [""] * len(design)
    return [" ".join(row) for row in design[differing].astype(str).itertuples(index=False)]


def _levels(values: pd.Series) -> list[object]:
    """Distinct levels: numbers ascending, anything else in the order of the design; lists by their text."""
    plain = [value if isinstance(value, (int, float, np.number)) else str(value) for value in values]
    found = list(dict.fromkeys("" if isinstance(v, float) and math.isnan(v) else v for v in plain))
    numbers = [value for value in found if not isinstance(value, str)]
    return sorted(numbers, key=float) + [value for value in found if isinstance(value, str)]


def _scenarios(design: pd.DataFrame, names: Sequence[str]) -> list[tuple[object, ...]]:
    """Combine the levels that occur together, the last factor changing fastest."""
    rank = {name: {level: place for place, level in enumerate(_levels(design[name]))} for name in names}
    found = {_scenario(row, names) for _, row in design.iterrows()}
    return sorted(found, key=lambda levels: [rank[name][level] for name, level in zip(names, levels, strict=True)])


def _scenario(row: pd.Series, names: Sequence[str]) -> tuple[object, ...]:
    return tuple(_levels(pd.Series([row[name]], dtype=object))[0] for name in names)


def _worst_quantities(quantities: Sequence[str], found: dict[str, Points], level: float) -> list[str]:
    score = dict.fromkeys(quantities, 0.0)
    empty = Points({}, {})
    bias, coverage = found.get("bias", empty), found.get("coverage", empty)
    for pair in {**bias.values, **coverage.values}:
        score[pair[1]] = max(score[pair[1]], far_off(pair, bias, coverage, level))
    drawn = {v: sum(any(pair[1] == v for pair in points.values) for points in found.values()) for v in quantities}
    early = small(quantities)
    worst = sorted(quantities, key=lambda variable: (-drawn[variable], variable not in early, -score[variable]))
    kept = set(worst[:MOST_QUANTITIES])
    return [variable for variable in quantities if variable in kept]


def _method_lines(
    axes: Axes,
    design: pd.DataFrame,
    scenarios: Sequence[tuple[object, ...]],
    names: Sequence[str],
    points: Points,
    variable: str,
) -> None:
    place = {scenario: position for position, scenario in enumerate(scenarios)}
    lines: dict[str, Floats] = {}
    for method, (_, row) in zip(methods(design), design.iterrows(), strict=True):
        at = place.get(_scenario(row, names))
        line = lines.setdefault(method, np.full((len(scenarios), 3), np.nan))
        if at is not None and (str(row["cell"]), variable) in points.values:
            line[at] = points.values[str(row["cell"]), variable]
    if all(np.isnan(line).all() for line in lines.values()):
        axes.text(0.5, 0.5, "not defined", transform=axes.transAxes, ha="center", va="center", color="0.5", fontsize=8)
        axes.set_yticks(())
    edges = np.arange(len(scenarios) + 1) - 0.5
    for number, (method, line) in enumerate(lines.items()):
        colour = CHAIN_COLOURS[number % len(CHAIN_COLOURS)]
        label = safe_text(method or "all", 40)
        axes.stairs(line[:, 0], edges, baseline=None, color=colour, linewidth=1.3, label=label)
        # beside each other, or bars of methods that agree would hide one another
        shift = 0.5 * (number + 1) / (len(lines) + 1) - 0.25
        axes.vlines(np.arange(len(scenarios)) + shift, line[:, 1], line[:, 2], color=colour, linewidth=1.0, alpha=0.7)
    tidy(axes)
    axes.locator_params(axis="y", nbins=5)
    axes.tick_params(labelsize=7, bottom=False, labelbottom=False)
    axes.set_xlim(-0.5, len(scenarios) - 0.5)


def _reference(axes: Axes, measure: str, level: float) -> None:
    wanted = {"bias": 0.0, "coverage": level}.get(measure, math.nan)
    if wanted == wanted:
        axes.axhline(wanted, color="0.5", linewidth=0.7, linestyle="--", zorder=0)


def _measure_label(measure: str, level: float) -> str:
    if measure == "coverage" and level == level:
        return f"coverage, {level:.0%}"
    prefix, colon, rule = measure.partition(":")
    if colon:
        return f"{rule_label(prefix + ':').rstrip(': ') or 'says yes'}\n{safe_text(rule, 24)}"
    return {"rmse": "RMSE"}.get(measure, measure)


def _short(factor: str) -> str:
    """Name a factor as the labels of cells do."""
    return factor.removeprefix("model.").removeprefix("data.")


def _factor_steps(axes: Axes, scenarios: Sequence[tuple[object, ...]], names: Sequence[str]) -> None:
    """Draw each factor as a step line in a band of its own, first factor on top, levels written on long steps."""
    edges = np.arange(len(scenarios) + 1) - 0.5
    for band, name in enumerate(names):
        values = [scenario[band] for scenario in scenarios]
        levels = _levels(pd.Series(values, dtype=object))
        step = np.array([levels.index(value) for value in values]) / max(len(levels) - 1, 1)
        base = len(names) - 1 - band
        axes.stairs(base + 0.1 + 0.4 * step, edges, baseline=None, color="0.35", linewidth=1.1)
        starts = [0, *(i for i in range(1, len(values)) if values[i] != values[i - 1])]
        for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
            level = values[start]
            said = f"{level:g}" if isinstance(level, (int, float, np.number)) else str(level)
            text = f"{_short(name)}={said}" if start == 0 else said
            if len(starts) <= MOST_STEP_LABELS:
                axes.text(
                    (start + end - 1) / 2,
                    base + 0.16 + 0.4 * step[start],
                    safe_text(text, 24),
                    fontsize=6.5,
                    ha="center",
                    va="bottom",
                )
    axes.set_ylim(0.0, len(names))
    axes.set_yticks([])
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.tick_params(bottom=False, labelbottom=False)
