"""Predictive figures: datasets that a model predicts, beside the observed one.

What is drawn depends on the data: counts of few whole values, an interval for each of few observations,
otherwise cumulative distributions, which need no bandwidth and show discrete data as they are. Values that were cut
off where their observation ended, while others have no end, are compared by Kaplan and Meier's estimate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.large_arrays import LARGE, let_go
from bayesrun.base.rounding import share
from bayesrun.figures.canvas import CHAIN_COLOURS, blank, safe_text, tidy, whole_ticks

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

__all__ = ["kaplan_meier", "predictive_figure"]

PREDICTIVE_CURVES = 50
FEW_OBSERVATIONS = 40
FEW_VALUES = 20
BESIDE = 0.1
"""What the axis of censored values shows beside the observed ones, of their range."""

SHOWN = 0.99
"""Share of what is drawn that the axis of counts holds; what it leaves out is said."""

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
        draws = _flat(predicted[name])
        draws = draws[np.isfinite(draws).all(axis=1)]
        if not draws.size:
            raise ValueError(f"no predicted dataset of {name} is finite")
        data = observed[name].values.astype(float).ravel() if name in observed else None
        cut = None if data is None else _cut(draws, data)
        if data is None or cut is None:
            _draw_predictive(draws, data)(axes, draws, data)
        else:
            _predictive_cut(axes, draws, data, *cut)
        axes.set_title(safe_text(str(name), 40), fontsize=9)
        tidy(axes)
        axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    return figure


def _flat(variable: xr.DataArray) -> Floats:
    drawn = variable.transpose("chain", "draw", ...).values
    draws = drawn.reshape(drawn.shape[0] * drawn.shape[1], -1)
    some = draws[_evenly(len(draws), max(PREDICTIVE_CURVES, LARGE * len(draws) // max(draws.nbytes, 1)))]
    let_go(draws)
    return some.astype(float)


def _evenly(count: int, most: int) -> NDArray[np.int_] | slice:
    """Choose so many of the predicted datasets, evenly spaced; all where they are few."""
    return slice(None) if count <= most else np.linspace(0, count - 1, most).astype(int)


def _cut(draws: Floats, data: Floats) -> tuple[int, Floats] | None:
    """Find on which side some units were cut off (1 above, -1 below), and where, times that sign; None if all alike."""
    found = ((side, _ends(side * draws, side * data)) for side in (1, -1))
    return next(((side, ends) for side, ends in found if ends is not None), None)


def _ends(draws: Floats, data: Floats) -> Floats | None:
    """Find where the observation of each unit ends, infinity where it has no end; None where units are all alike.

    A continuous value that is drawn more than once was cut there. Where every unit has its end, predicted and
    observed values are cut alike. Where only those have one whose end was seen, the others are predicted beyond what
    could be observed of them, and the two distributions differ under the true model already.
    """
    if draws.shape[1] != data.size or np.all(draws == np.round(draws)):
        return None
    most = draws.max(axis=0)
    ends = np.where(((draws == most).sum(axis=0) > 1) | (data == most), most, np.inf)
    return ends if np.any(data == ends) and np.any(np.isinf(ends)) else None


def _draw_predictive(draws: Floats, data: Floats | None) -> Callable[[Axes, Floats, Floats | None], None]:
    """Choose the drawing: counts of few whole values, intervals of few observations, else distributions."""
    if np.all(draws == np.round(draws)) and len(_values(draws, data)) <= FEW_VALUES:
        return _predictive_counts
    return _predictive_intervals if draws.shape[1] <= FEW_OBSERVATIONS else _predictive_shares


def _values(draws: Floats, data: Floats | None) -> Floats:
    """List the whole values from the smallest to the largest of what was observed and nearly all that was drawn."""
    ends = np.quantile(draws, [(1.0 - SHOWN) / 2.0, (1.0 + SHOWN) / 2.0], method="nearest")
    seen = ends if data is None else np.r_[ends, data[np.isfinite(data)]]
    return np.arange(seen.min(), min(seen.max(), seen.min() + FEW_VALUES) + 1.0)


def _beyond(axes: Axes, draws: Floats, low: float, high: float, word: str = "value") -> None:
    """Name the axis, and say how much of what is drawn lies beyond it."""
    out = float(np.mean((draws < low) | (draws > high)))
    axes.set_xlabel(f"{word}; {share(out)} of the predicted values lie outside" if out else word, fontsize=9)


def _predictive_counts(axes: Axes, draws: Floats, data: Floats | None) -> None:
    at = _values(draws, data)
    counts = np.stack([(draws == value).sum(axis=1) for value in at], axis=1)
    low, middle, high = np.quantile(counts, [0.055, 0.5, 0.945], axis=0)
    spans = [middle - low, high - middle]
    axes.errorbar(at, middle, spans, fmt="o", color=CHAIN_COLOURS[0], capsize=3, label="predicted, median and 89 %")
    if data is not None:
        axes.bar(at, (data[:, None] == at).sum(axis=0), color="0.8", zorder=0, label="observed")
    _beyond(axes, draws, at[0], at[-1])
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
    some = _some(draws)
    for number, curve in enumerate(np.sort(draws[some], axis=1)):
        _step(axes, curve, np.arange(1, curve.size + 1) / curve.size, _label(some, draws) if number == 0 else None)
    seen = np.sort(data[np.isfinite(data)]) if data is not None else None
    if seen is not None:
        _step(axes, seen, np.arange(1, seen.size + 1) / seen.size, "observed", predicted=False)
    low, high = _limits(draws[some], seen)
    axes.set_xlim(low, high)
    _beyond(axes, draws, low, high)
    axes.set_ylabel("cumulative share", fontsize=9)


def _predictive_cut(axes: Axes, draws: Floats, data: Floats, sign: int, ends: Floats) -> None:
    """Draw the distributions of values some of which were cut off; see `_cut`."""
    some = _some(draws)
    for number, values in enumerate(draws[some]):
        _step(axes, *_distribution(values, sign, ends), _label(some, draws) if number == 0 else None)
    _step(axes, *_distribution(data, sign, ends), "observed", predicted=False)
    # beyond the last observed value there is nothing to compare with
    low, high = float(data.min()), float(data.max())
    low, high = low - BESIDE * (high - low), high + BESIDE * (high - low)
    axes.set_xlim(low, high)
    _beyond(axes, draws, low, high)
    axes.set_ylabel("cumulative share (Kaplan-Meier)", fontsize=9)


def _distribution(values: Floats, sign: int, ends: Floats) -> tuple[Floats, Floats]:
    at, shares = kaplan_meier(sign * values, sign * values < ends)
    return (at, shares) if sign > 0 else (-at[::-1], 1.0 - np.r_[0.0, shares[:-1]][::-1])


def kaplan_meier(times: Floats, seen: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Estimate the distribution of times some of which are only known to lie beyond where observation ended.

    One minus the product-limit estimate (Kaplan and Meier 1958, doi:10.1080/01621459.1958.10501452).

    Parameters
    ----------
    times
        Time of the event, or of the end of observation, shape (obs,).
    seen
        Whether it is the event, shape (obs,).

    Returns
    -------
    at, share : numpy.ndarray
        Times in increasing order, and the share of units with the event by then.
    """
    at = np.unique(times)
    events = np.array([(times[seen] == time).sum() for time in at])
    at_risk = np.array([(times >= time).sum() for time in at])
    return at, 1.0 - np.cumprod(1.0 - events / at_risk)


def _some(draws: Floats) -> NDArray[np.int_]:
    return np.linspace(0, len(draws) - 1, min(PREDICTIVE_CURVES, len(draws))).astype(int)


def _label(some: NDArray[np.int_], draws: Floats) -> str:
    return f"predicted ({len(some)} of {len(draws)} datasets)"


def _step(axes: Axes, at: Floats, shares: Floats, label: str | None, *, predicted: bool = True) -> None:
    x, y = np.r_[at[0], at], np.r_[0.0, shares]
    if predicted:
        axes.step(x, y, where="post", color=CHAIN_COLOURS[0], lw=0.6, alpha=0.35, label=label)
    else:
        axes.step(x, y, where="post", color="k", label=label)


def _limits(some: Floats, seen: Floats | None) -> tuple[float, float]:
    """Choose an axis: heavy tails (a Cauchy prior) would squeeze everything else into one line."""
    low, high = map(float, np.nanquantile(some, [0.01, 0.99]))
    if seen is not None:
        low, high = min(low, float(np.nanmin(seen))), max(high, float(np.nanmax(seen)))
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin
