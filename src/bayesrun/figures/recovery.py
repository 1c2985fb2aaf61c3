"""Figures of recovery: estimates against the truth, and z-scores against how much was learnt.

It draws single fits; what they amount to over all replicates is drawn by `performance`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.rounding import plain, plus_minus
from bayesrun.figures.canvas import safe_text
from bayesrun.figures.facets import (
    BLUE,
    ORANGE,
    SHARES,
    Drawing,
    Scale,
    choose,
    evenly,
    grid,
    heading,
    short_cells,
    span,
)
from bayesrun.figures.reading import (
    column,
    estimands,
    facts,
    fixed_truth,
    groups,
    interval,
    number,
    ordered,
    widest_level,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

__all__ = ["recovery_scatter", "recovery_strips", "z_contraction"]

MOST_INTERVALS = 250
MOST_DOTS = 150
MOST_POINTS = 400
MOST_CELLS = 12

Z_FRAME = 4.5
"""Half height of the panels of z-scores, in posterior SDs: of a million exact ones seven lie outside."""

Z_SCORES = Scale((-Z_FRAME, Z_FRAME), (-4.0, -2.0, 0.0, 2.0, 4.0))

LOW_CONTRACTION = -0.25
"""Smallest contraction that is drawn in its place: the posterior's SD is 1.12 times the prior's."""


def recovery_scatter(estimates: pd.DataFrame) -> Drawing | None:
    """Draw posterior means with their intervals against a truth that differs between replicates.

    Parameters
    ----------
    estimates
        Columns cell, variable, truth, mean, sd, and ``lower_p``, ``upper_p`` for the levels p.

    Returns
    -------
    Drawing or None
        One panel for each cell and quantity whose truth is not fixed, the 12 with the mean z-score farthest from
        0 (in its standard error) where there are more. None without any.
    """
    known = estimands(estimates)
    fixed = fixed_truth(known)
    found = {pair: part for pair, part in groups(known).items() if pair[1] not in fixed}
    if not found:
        return None
    facets = choose(list(found), {pair: _distance(part) for pair, part in found.items()}, small_first=True)
    level = widest_level(known)
    title = "Recovery: posterior mean against truth"
    figure, shown = grid(title, facets, xlabel="truth", ylabel="posterior mean and interval")
    thinned = False
    for pair, axes in shown.items():
        part = found[pair]
        kept = part.iloc[evenly(len(part), MOST_INTERVALS)]
        thinned = thinned or len(kept) < len(part)
        truth, mean = column(kept, "truth"), column(kept, "mean")
        low, high = interval(kept, level)
        covers = (low <= truth) & (truth <= high)
        misses = np.isfinite(low) & ~covers
        for hit, colour, depth in ((~misses, BLUE, 2), (misses, ORANGE, 3)):
            axes.vlines(truth[hit], low[hit], high[hit], color=colour, linewidth=0.7, alpha=0.35, zorder=depth)
            axes.plot(truth[hit], mean[hit], "o", color=colour, markersize=2.6, alpha=0.8, mew=0, zorder=depth + 2)
        axes.axline((0.0, 0.0), slope=1.0, color="0.35", linewidth=0.8, zorder=1)
        # one scale for both, or a few extreme truths of a wide prior turn the line and hide what is near it
        limits = span(np.concatenate([truth, mean]), tail=0.01)
        axes.set(xlim=limits, ylim=limits)
        whole_truth, whole_mean = column(part, "truth"), column(part, "mean")
        if len(part) > 2 and np.ptp(whole_truth) > 0 and np.ptp(whole_mean) > 0:
            heading(axes, f"correlation {np.corrcoef(whole_truth, whole_mean)[0, 1]:.3f}, n = {len(part)}")
        else:
            heading(axes, f"n = {len(part)}")
    caption = (
        f"{facets.selection('the mean z-score farthest from 0 in its standard error')}Line: estimate = truth. "
        + (f"Lines up and down: {level:.0%} intervals, in orange where they miss the truth. " if level == level else "")
        + "A cloud flatter than the line is shrinkage towards the prior. "
        + (f"At most {MOST_INTERVALS} fits a panel are drawn, evenly chosen. " if thinned else "")
        + "Both axes have the same scale, and leave out the outermost 1 % on either side."
    )
    return Drawing(figure, title, caption)


def recovery_strips(estimates: pd.DataFrame) -> Drawing | None:
    """Draw posterior means of every cell beside each other, for a truth that is the same in all replicates.

    Parameters
    ----------
    estimates
        Columns cell, variable, truth, mean, sd.

    Returns
    -------
    Drawing or None
        One panel for each quantity with a fixed truth, the 12 with the mean z-score farthest from 0 (in its
        standard error) where there are more. None without any.
    """
    known = estimands(estimates)
    fixed = fixed_truth(known)
    found = {pair: part for pair, part in groups(known).items() if pair[1] in fixed}
    if not found:
        return None
    cells = ordered([cell for cell, _ in found])
    quantities = ordered([variable for _, variable in found])
    worst = {
        ("", variable): max(_distance(part) for pair, part in found.items() if pair[1] == variable)
        for variable in quantities
    }
    facets = choose([("", variable) for variable in quantities], worst, small_first=True)
    title = "Recovery: posterior means around a fixed truth"
    names = short_cells(cells)
    drawn = cells[:MOST_CELLS]
    words = [safe_text(names[cell], 22) for cell in drawn]
    rows = Scale((len(drawn) - 0.4, -0.6), tuple(range(len(drawn))))
    figure, shown = grid(title, facets, xlabel="posterior mean", ylabel="", yscale=rows)
    for (_, variable), axes in shown.items():
        for row, cell in enumerate(drawn):
            if (cell, variable) in found:
                _strip(axes, row, found[cell, variable])
        own = [part for pair, part in found.items() if pair[1] == variable]
        axes.set_xlim(*span(np.concatenate([column(part, "mean") for part in own])))
        truths = ordered([plain(float(column(part, "truth")[0])) for part in own])
        heading(axes, f"truth {', '.join(truths[:4])}{', ...' if len(truths) > 4 else ''}")
        if len(axes.get_yticks()):
            axes.set_yticks(rows.ticks, words)
            axes.tick_params(axis="y", length=0)
    _room_for_names(figure, max(map(len, words)))
    caption = (
        f"{facets.selection('the mean z-score farthest from 0 in its standard error')}"
        + (f"Shown are the first {len(drawn)} of {len(cells)} cells. " if len(drawn) < len(cells) else "")
        + "Black line: the truth. Dots: fits "
        f"(at most {MOST_DOTS} a row, evenly chosen). Diamond and bar: their mean with 1.96 Monte Carlo standard "
        "errors, in orange where the bar misses the truth."
    )
    return Drawing(figure, title, caption)


def z_contraction(estimates: pd.DataFrame, calibration: pd.DataFrame) -> Drawing | None:
    """Draw the z-score of every fit against its posterior contraction.

    Parameters
    ----------
    estimates
        Columns cell, variable, truth, mean, sd, prior_sd; observed_sd instead where fits are to the observed and the
        simulated data together.
    calibration
        Columns cell, variable, z_mean, z_mcse, contraction, contraction_mcse, and those of posterior_contraction; may
        be empty.

    Returns
    -------
    Drawing or None
        One panel for each cell and quantity, the 12 with the mean z-score farthest from 0 (in its MCSE) where
        there are more. None where no SD before the data of the replicate is known, or none is finite.

    References
    ----------
    Schad, Betancourt, Vasishth (2021), doi:10.1037/met0000275.
    """
    clouds = {pair: cloud for pair, part in groups(estimates).items() if (cloud := _z_cloud(part)) is not None}
    if not clouds:
        return None
    judged = facts(calibration)
    facets = choose(list(clouds), {pair: _z_distance(row) for pair, row in judged.items()})
    title = "z-score against contraction, one point a fit"
    joint = not np.isfinite(column(estimates, "prior_sd")).any()
    name = "posterior_contraction" if joint else "contraction"
    before = "variance given the observed data alone" if joint else "prior variance"
    label = f"contraction, 1 - posterior variance / {before}"
    left = max(LOW_CONTRACTION, min(float(np.min(cloud[0])) for cloud in clouds.values()) - 0.05)
    scale = Scale((min(left, 0.0), 1.02), SHARES.ticks)
    figure, shown = grid(title, facets, xlabel=label, ylabel="z, (mean - truth) / SD", xscale=scale, yscale=Z_SCORES)
    clipped = thinned = False
    for pair, axes in shown.items():
        contraction, z = clouds[pair]
        kept = evenly(z.size, MOST_POINTS)
        thinned = thinned or kept.size < z.size
        x, y = np.clip(contraction[kept], left, None), np.clip(z[kept], -Z_FRAME, Z_FRAME)
        clipped = clipped or bool((x > contraction[kept]).any() or (y != z[kept]).any())
        axes.axhline(0.0, color="0.6", linewidth=0.6)
        axes.plot(x, y, "o", color=BLUE, markersize=2.6, alpha=0.45, markeredgewidth=0, clip_on=False)
        row = judged.get(pair)
        if row is not None:
            mean = f"{plus_minus(number(row, 'z_mean'), number(row, 'z_mcse'))}"
            share = f"{plus_minus(number(row, name), number(row, f'{name}_mcse'))}"
            heading(axes, f"z {mean}; contraction {share}", alarm=_z_distance(row) > 3.0)
    caption = (
        f"{facets.selection('the mean z-score farthest from 0 in its standard error')}Right: the data say much more "
        f"than {'the observed data alone' if joint else 'the prior'}. z should scatter around 0 with an SD of about 1: "
        "a cloud above 0 overestimates, a tall one is overconfident. "
        + (f"At most {MOST_POINTS} fits a panel are drawn, evenly chosen. " if thinned else "")
        + ("Points beyond the frame are drawn on its edge." if clipped else "")
    )
    return Drawing(figure, title, caption.strip())


def _strip(axes: Axes, row: int, part: pd.DataFrame) -> None:
    mean, truth = column(part, "mean"), float(column(part, "truth")[0])
    dots = mean[evenly(mean.size, MOST_DOTS)]
    # a fixed pattern, not a random one, so that the same table gives the same file
    jitter = 0.56 * ((np.arange(dots.size) * 0.618034) % 1.0 - 0.5)
    axes.plot(dots, row + jitter, ".", color=BLUE, markersize=3, alpha=0.4, markeredgewidth=0)
    axes.vlines(truth, row - 0.42, row + 0.42, color="k", linewidth=1.2, zorder=4)
    centre = float(mean.mean())
    half = 1.96 * float(mean.std(ddof=1)) / math.sqrt(mean.size) if mean.size > 1 else 0.0
    colour = ORANGE if abs(centre - truth) > half > 0 else "0.1"
    axes.plot([centre - half, centre + half], [row, row], color=colour, linewidth=1.6, zorder=5)
    axes.plot(centre, row, "D", color="white", markeredgecolor=colour, markersize=4.5, zorder=6)


def _room_for_names(figure: Figure, letters: int) -> None:
    figure.subplots_adjust(left=max(0.5, 0.2 + 0.062 * letters) / figure.get_figwidth())


def _distance(part: pd.DataFrame) -> float:
    """How many standard errors the mean z-score is from 0."""
    z = (column(part, "mean") - column(part, "truth")) / column(part, "sd")
    spread = float(z.std(ddof=1)) if z.size > 1 else 0.0
    return abs(float(z.mean())) * math.sqrt(z.size) / spread if spread > 0 else math.nan


def _z_cloud(part: pd.DataFrame) -> tuple[Floats, Floats] | None:
    sd, prior, observed = (column(part, name) for name in ("sd", "prior_sd", "observed_sd"))
    prior = np.where(np.isfinite(prior), prior, observed)
    with np.errstate(divide="ignore", invalid="ignore"):
        contraction = 1.0 - (sd / prior) ** 2
        z = (column(part, "mean") - column(part, "truth")) / sd
    known = np.isfinite(contraction) & np.isfinite(z)
    return (contraction[known], z[known]) if known.any() else None


def _z_distance(row: Mapping[str, object]) -> float:
    mean, error = number(row, "z_mean"), number(row, "z_mcse")
    return abs(mean) / error if error > 0 else math.nan
