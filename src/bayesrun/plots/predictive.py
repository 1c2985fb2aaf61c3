"""Predictive figures: datasets that a model predicts, beside the observed one.

What is drawn depends on the data: counts of few whole values, an interval for each of few observations,
otherwise cumulative distributions, which need no bandwidth and show discrete data as they are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.plots.canvas import CHAIN_COLOURS, blank, safe_text, tidy, whole_ticks

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

__all__ = ["predictive_figure"]

PREDICTIVE_CURVES = 50
FEW_OBSERVATIONS = 40
FEW_VALUES = 20
MAX_VARIABLES = 4


def predictive_figure(tree: xr.DataTree, group: str) -> Figure:
    """Draw predicted datasets beside the observed one, at most four variables.

    Parameters
    ----------
    tree
        The fit, with `group` (dims chain, draw, ...) and, where there are, ``observed_data``.
    group
        ``prior_predictive`` or ``posterior_predictive``.

    Raises
    ------
    ValueError
        If no predicted dataset of a variable is finite.
    """
    predicted = tree[group].to_dataset()
    observed = tree["observed_data"].to_dataset() if "observed_data" in tree.children else {}
    shown = ([name for name in predicted.data_vars if name in observed] or list(predicted.data_vars))[:MAX_VARIABLES]
    title = {"prior_predictive": "Prior", "posterior_predictive": "Posterior"}[group] + " predictive"
    rows, columns = math.ceil(len(shown) / 2), min(2, len(shown))
    figure = blank(6.2 * columns, 3.6 * rows, title)
    for axes, name in zip(figure.subplots(rows, columns, squeeze=False).flat, shown, strict=False):
        draws = predicted[name].transpose("chain", "draw", ...).values.astype(float)
        draws = draws.reshape(draws.shape[0] * draws.shape[1], -1)
        draws = draws[np.isfinite(draws).all(axis=1)]
        if not draws.size:
            raise ValueError(f"no predicted dataset of {name} is finite")
        data = observed[name].values.astype(float).ravel() if name in observed else None
        _draw_predictive(draws, data)(axes, draws, data)
        axes.set_title(safe_text(str(name), 40), fontsize=9)
        tidy(axes)
        axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    return figure


def _draw_predictive(draws: Floats, data: Floats | None) -> Callable[[Axes, Floats, Floats | None], None]:
    """Choose the drawing: counts of few whole values, intervals of few observations, else distributions."""
    whole = bool(np.all(draws == np.round(draws)))
    if whole and np.ptp(draws if data is None else data[np.isfinite(data)]) < FEW_VALUES:
        return _predictive_counts
    return _predictive_intervals if draws.shape[1] <= FEW_OBSERVATIONS else _predictive_shares


def _predictive_counts(axes: Axes, draws: Floats, data: Floats | None) -> None:
    reference = draws if data is None else data[np.isfinite(data)]
    at = np.arange(reference.min(), reference.max() + 1)
    counts = np.stack([(draws == value).sum(axis=1) for value in at], axis=1)
    low, middle, high = np.quantile(counts, [0.055, 0.5, 0.945], axis=0)
    spans = [middle - low, high - middle]
    axes.errorbar(at, middle, spans, fmt="o", color=CHAIN_COLOURS[0], capsize=3, label="predicted, median and 89 %")
    if data is not None:
        axes.bar(at, (data[:, None] == at).sum(axis=0), color="0.8", zorder=0, label="observed")
    axes.set_xlabel("value", fontsize=9)
    axes.set_ylabel("observations", fontsize=9)
    whole_ticks(axes)


def _predictive_intervals(axes: Axes, draws: Floats, data: Floats | None) -> None:
    low, low_inner, high_inner, high = np.quantile(draws, [0.055, 0.25, 0.75, 0.945], axis=0)
    at = np.arange(draws.shape[1])
    axes.vlines(at, low, high, color=CHAIN_COLOURS[0], linewidth=1.0, label="predicted, 50 % and 89 %")
    axes.vlines(at, low_inner, high_inner, color=CHAIN_COLOURS[0], linewidth=3.5)
    if data is not None:
        axes.plot(at, data, "o", color="k", markersize=4.5, label="observed")
    axes.set_xlabel("observation, in the order of the data", fontsize=9)
    whole_ticks(axes)


def _predictive_shares(axes: Axes, draws: Floats, data: Floats | None) -> None:
    some = np.sort(draws[np.linspace(0, len(draws) - 1, min(PREDICTIVE_CURVES, len(draws))).astype(int)], axis=1)
    share = np.arange(some.shape[1] + 1) / some.shape[1]
    for number, curve in enumerate(some):
        label = f"predicted ({len(some)} of {len(draws)} datasets)" if number == 0 else None
        axes.step(np.r_[curve[0], curve], share, where="post", color=CHAIN_COLOURS[0], lw=0.6, alpha=0.35, label=label)
    # heavy tails (a Cauchy prior) would squeeze everything else into one line
    low, high = np.quantile(some, [0.01, 0.99])
    if data is not None:
        seen = np.sort(data[np.isfinite(data)])
        share = np.arange(seen.size + 1) / seen.size
        axes.step(np.r_[seen[0], seen], share, where="post", color="k", label="observed")
        low, high = min(low, seen[0]), max(high, seen[-1])
    margin = 0.05 * (high - low) or 1.0
    axes.set_xlim(low - margin, high + margin)
    axes.set_xlabel("value", fontsize=9)
    axes.set_ylabel("cumulative share", fontsize=9)
