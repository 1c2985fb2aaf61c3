"""Figures of one fit, as PNG files; it draws and judges nothing.

The figures are drawn with matplotlib alone: that takes a fraction of the time of a general plotting layer,
and panels stay legible from one scalar to many. What is plotted (ranks, effective sample sizes, Pareto k)
is what ArviZ computes.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.label_forms import told_apart
from bayesrun.base.large_arrays import PART, columns
from bayesrun.base.messages import in_one_line
from bayesrun.figures.canvas import CHAIN_COLOURS, blank, footer, panels, safe_text, save, tidy, whole_ticks
from bayesrun.figures.chain_ranks import BAND, rank_band, rank_differences, thin
from bayesrun.figures.predictive import predictive_figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import xarray as xr
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

__all__ = ["MAX_SCALARS", "Figures", "choose_scalars", "fit_figures"]

MAX_SCALARS = 24
"""Scalars in one figure: six rows of four panels, the most that stays readable on one screen."""

FIGURE_ERRORS = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What may break a drawing; a fit is worth more than its pictures, so these become a reported problem."""


@dataclass(frozen=True)
class Figures:
    """What was drawn for one fit.

    Parameters
    ----------
    paths
        The PNG files, in the order they were drawn.
    problems
        One line for each figure that applies to the fit and could not be drawn.
    """

    paths: tuple[Path, ...] = ()
    problems: tuple[str, ...] = ()


def fit_figures(
    tree: xr.DataTree, folder: Path, *, kind: str, attempt: Callable[..., Path | None] | None = None
) -> Figures:
    """Draw every figure that applies to a fit.

    Parameters
    ----------
    tree
        The fit: group ``posterior`` (dims chain, draw, ...) and, where there are, ``sample_stats``,
        ``loo`` (``pareto_k`` over the observations), ``observed_data``,
        ``posterior_predictive``, ``prior_predictive`` and ``optimization`` (``elbo`` over ``iteration``).
    folder
        Where the files go; it is made.
    kind
        Kind of the sampler: nuts, mcmc, smc or variational. Ranks and traces are for chains, so a
        variational fit has none; energy is for nuts.
    attempt
        Takes ``figure NAME`` and a function, and returns what that does, or None where it failed; it tells of it. None:
        what cannot be drawn is a problem.

    Returns
    -------
    Figures
        The files, and what could not be drawn. A figure that does not apply is in neither.
    """
    chains = kind != "variational"
    drawings: dict[str, tuple[bool, Callable[[xr.DataTree], Figure]]] = {
        "rank": (chains and tree["posterior"].sizes["chain"] > 1, _rank),
        "trace": (chains, _trace),
        "forest": (True, _forest),
        "energy": (kind == "nuts" and _has(tree, "sample_stats", "energy"), _energy),
        "pareto_k": (_has(tree, "loo", "pareto_k"), _pareto_k),
        "posterior_predictive": (
            "posterior_predictive" in tree.children and "observed_data" in tree.children,
            lambda tree: predictive_figure(tree, "posterior_predictive"),
        ),
        "prior_predictive": (
            "prior_predictive" in tree.children,
            lambda tree: predictive_figure(tree, "prior_predictive"),
        ),
        "elbo": (_has(tree, "optimization", "elbo"), _elbo),
    }
    paths, problems = [], []
    for name, (applies, draw) in drawings.items():
        path = folder / f"{name}.png"
        if not applies:
            continue
        path.unlink(missing_ok=True)
        if attempt is not None:
            if attempt(f"figure {name}", functools.partial(_drawn, draw, tree, path)) is not None:
                paths.append(path)
            continue
        try:
            paths.append(_drawn(draw, tree, path))
        except FIGURE_ERRORS as error:
            problems.append(f"figure {name}: {in_one_line(error)}")
    return Figures(tuple(paths), tuple(problems))


def _drawn(draw: Callable[[xr.DataTree], Figure], tree: xr.DataTree, path: Path) -> Path:
    save(draw(tree), path)
    return path


def choose_scalars(posterior: xr.Dataset, limit: int = MAX_SCALARS) -> tuple[dict[str, Floats], int]:
    """Choose the scalars that a figure shows: those of small variables first, in the posterior's order.

    Hyperparameters are scalars, group effects have one value a group, and what is derived for each
    observation is largest and comes last. Scalars that do not vary (the diagonal of a correlation matrix)
    or are not finite are left out.

    Parameters
    ----------
    posterior
        Variables with dims (chain, draw, ...).
    limit
        How many scalars at most.

    Returns
    -------
    chosen
        Label (``theta[A]``) to draws with dims (chain, draw).
    left_out
        How many varying scalars are not among them.
    """
    chosen: dict[str, Floats] = {}
    total = 0
    for name, variable in sorted(posterior.data_vars.items(), key=lambda item: item[1].size):
        for label, values in _scalars(str(name), variable):
            if not np.isfinite(values).all() or values.min() == values.max():
                continue
            total += 1
            if len(chosen) < limit:
                chosen[label] = values
    return chosen, total - len(chosen)


def _scalars(name: str, variable: xr.DataArray) -> Iterator[tuple[str, Floats]]:
    ordered = variable.transpose("chain", "draw", ...)
    dims = ordered.dims[2:]
    sizes = ordered.shape[:2]
    along = [told_apart([str(label) for label in variable[dim].values]) for dim in dims]
    indices = np.ndindex(ordered.shape[2:])
    for _, rows in columns(ordered.values.reshape(math.prod(sizes), -1), PART):
        for row in rows:
            labels = [texts[i] for texts, i in zip(along, next(indices), strict=True)]
            values = row.astype(float).reshape(sizes)
            yield (f"{name}[{', '.join(labels)}]" if labels else name), values


def _has(tree: xr.DataTree, group: str, variable: str) -> bool:
    return group in tree.children and variable in tree[group].data_vars


def _chosen(tree: xr.DataTree) -> tuple[dict[str, Floats], int]:
    chosen, left_out = choose_scalars(tree["posterior"].to_dataset())
    if not chosen:
        raise ValueError("no scalar of the posterior varies and is finite")
    return chosen, left_out


def _rank(tree: xr.DataTree) -> Figure:
    """Draw how the ranks of each chain differ from a uniform, with the band of equal chains."""
    chosen, left_out = _chosen(tree)
    figure, grid = panels("Ranks of each chain: difference to uniform", list(chosen), left_out, sharey=True)
    for axes, values in zip(grid, chosen.values(), strict=True):
        kept = thin(values)
        at, half = rank_band(*kept.shape)
        axes.fill_between(at, -half, half, color="0.88", linewidth=0)
        axes.axhline(0.0, color="0.6", linewidth=0.6)
        for difference, colour in zip(rank_differences(kept, at), itertools.cycle(CHAIN_COLOURS), strict=False):
            axes.plot(at, difference, color=colour, linewidth=1.0)
    footer(
        figure, f"fractional rank; one colour a chain, thinned to its ESS; grey: {BAND:.0%} of equal chains stay inside"
    )
    return figure


def _trace(tree: xr.DataTree) -> Figure:
    chosen, left_out = _chosen(tree)
    diverging = _diverging(tree)
    hits = int(diverging.sum())
    title = "Traces" + (f"; {hits} divergent transitions marked in black" if hits else "")
    figure, grid = panels(title, list(chosen), left_out)
    for axes, values in zip(grid, chosen.values(), strict=True):
        for chain, colour in zip(values, itertools.cycle(CHAIN_COLOURS), strict=False):
            axes.plot(chain, color=colour, linewidth=0.4, alpha=0.7)
        if hits:
            where = np.nonzero(diverging.any(axis=0))[0]
            axes.plot(where, np.full(where.size, 0.02), "|k", markersize=6, transform=axes.get_xaxis_transform())
    footer(figure, "draw; one colour a chain")
    return figure


def _diverging(tree: xr.DataTree) -> NDArray[np.bool_]:
    """Which transitions diverged, dims (chain, draw); none where the sampler does not say."""
    if _has(tree, "sample_stats", "diverging"):
        return np.asarray(tree["sample_stats"]["diverging"].transpose("chain", "draw").values, dtype=bool)
    sizes = tree["posterior"].sizes
    return np.zeros((sizes["chain"], sizes["draw"]), dtype=bool)


def _forest(tree: xr.DataTree) -> Figure:
    chosen, left_out = _chosen(tree)
    figure = blank(7.0, 0.24 * len(chosen) + 1.3, "Posterior: median, 50 % and 89 % intervals", left_out)
    axes = figure.subplots()
    for row, values in enumerate(chosen.values()):
        outer, inner, middle, inner_top, outer_top = np.quantile(values, [0.055, 0.25, 0.5, 0.75, 0.945])
        axes.plot([outer, outer_top], [row, row], color=CHAIN_COLOURS[0], linewidth=1.0)
        axes.plot([inner, inner_top], [row, row], color=CHAIN_COLOURS[0], linewidth=3.2)
        axes.plot(middle, row, "o", color="white", markeredgecolor=CHAIN_COLOURS[0], markersize=4.5)
    axes.set_yticks(range(len(chosen)), [safe_text(label, 36) for label in chosen], fontsize=8)
    axes.set_ylim(len(chosen) - 0.4, -0.6)
    axes.axvline(0.0, color="0.7", linewidth=0.6, zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="0.93")
    axes.set_axisbelow(True)
    return figure


def _energy(tree: xr.DataTree) -> Figure:
    """Marginal energy against energy transitions (Betancourt 2016, arXiv:1604.00695), with E-BFMI."""
    energy = tree["sample_stats"]["energy"].transpose("chain", "draw").values.astype(float)
    steps = np.diff(energy, axis=1)
    figure = blank(7.0, 3.4, "Energy: transitions should be as wide as the marginal")
    axes = figure.subplots()
    centred = (energy - energy.mean(axis=1, keepdims=True)).ravel()
    edges = np.histogram_bin_edges(np.concatenate([centred, steps.ravel()]), bins=50).tolist()
    axes.hist(centred, edges, density=True, alpha=0.45, color=CHAIN_COLOURS[0], label="marginal energy, centred")
    axes.hist(steps.ravel(), edges, density=True, histtype="step", color=CHAIN_COLOURS[1], label="energy transition")
    bfmi = (steps**2).mean(axis=1) / energy.var(axis=1)
    text = ", ".join(f"{value:.2f}" for value in bfmi[:8])
    axes.set_xlabel(f"E-BFMI by chain: {text} (above 0.3 is fine)", fontsize=9)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _pareto_k(tree: xr.DataTree) -> Figure:
    values, good = _pareto_values(tree)
    known = np.isfinite(values)
    above = known & (values > good)
    bad = int((~(values <= good)).sum())
    unknown = "" if known.all() else f" or not defined ({int((~known).sum())})"
    figure = blank(7.0, 3.4, f"PSIS-LOO: Pareto k of {values.size} observations, {bad} above {good:.2f}{unknown}")
    axes = figure.subplots()
    position = np.arange(values.size)
    fine = known & ~above
    axes.plot(position[fine], values[fine], ".", color=CHAIN_COLOURS[0], markersize=6)
    axes.plot(position[above], values[above], "x", color=CHAIN_COLOURS[1], markersize=6)
    low = min(-0.05, float(values[known].min(initial=0.0)) - 0.05)
    high = max(1.0, float(values[known].max(initial=0.0)) + 0.1)
    # a k that is not finite has no height: it is marked at the top
    top = np.full(int((~known).sum()), high - 0.03)
    axes.plot(position[~known], top, "^", color=CHAIN_COLOURS[1], markersize=6, label="no finite k")
    axes.axhline(good, color="0.4", linewidth=0.8, linestyle="--")
    for index in position[above][np.argsort(values[above])[::-1][:10]]:
        axes.annotate(str(index), (index, values[index]), (4, 3), textcoords="offset points", fontsize=7)
    axes.set_ylim(low, high)
    axes.set_xlim(-0.04 * values.size - 0.5, 1.04 * values.size - 0.5)
    if not known.all():
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.set_xlabel("observation, in the order of the data", fontsize=9)
    axes.set_ylabel("Pareto k", fontsize=9)
    whole_ticks(axes)
    tidy(axes)
    return figure


def _pareto_values(tree: xr.DataTree) -> tuple[Floats, float]:
    """Pareto k of the observations, and the bound above which LOO is unreliable."""
    group = tree["loo"].to_dataset()
    values = group["pareto_k"].values.astype(float).ravel()
    if "good_k" in group.attrs:
        return values, float(group.attrs["good_k"])
    sizes = tree["posterior"].sizes
    # Vehtari et al. 2024, Pareto smoothed importance sampling, section 3.2.4
    return values, min(1.0 - 1.0 / math.log10(sizes["chain"] * sizes["draw"]), 0.7)


def _elbo(tree: xr.DataTree) -> Figure:
    values = tree["optimization"].to_dataset()["elbo"].values.astype(float).ravel()
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("the ELBO is never finite")
    figure = blank(9.0, 3.4, "ELBO: all iterations, and the last half")
    whole, last = figure.subplots(1, 2)
    window = max(1, values.size // 100)
    for axes, start in ((whole, 0), (last, values.size // 2)):
        steps = np.arange(start, values.size)[finite[start:]]
        part = values[steps]
        axes.plot(steps, part, color="0.75", linewidth=0.4)
        if part.size >= window:
            mean = np.convolve(part, np.full(window, 1.0 / window), mode="valid")
            axes.plot(steps[window - 1 :], mean, color=CHAIN_COLOURS[0], linewidth=1.3, label=f"mean of {window}")
            axes.legend(frameon=False, fontsize=8, loc="lower right")
        low, high = np.quantile(part, [0.01 if start else 0.05, 1.0])
        axes.set_ylim(low - 0.1 * (high - low or 1.0), high + 0.1 * (high - low or 1.0))
        axes.set_xlabel("iteration", fontsize=9)
        tidy(axes)
    whole.set_ylabel("ELBO", fontsize=9)
    return figure
