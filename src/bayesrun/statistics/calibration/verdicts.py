"""Verdicts on calibration for people: one sentence a cell, and what limits it.

It reads the tables of `by_cell` and tests nothing itself.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesrun.base.digits import against, exact
from bayesrun.statistics.calibration.by_cell import holm, one_sided
from bayesrun.statistics.calibration.views import FEWEST_PER_BIN, histogram_bins, wanted_bins

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["FEW_RANKS", "JOINT_LOG_LIKELIHOOD", "CellVerdict", "verdicts"]

FEW_RANKS = 50
"""With fewer ranks of a quantity than this, only gross faults are seen."""

JOINT_LOG_LIKELIHOOD = "log_likelihood"
"""The quantity without which a sampler that ignores the data passes (Modrák et al. 2023, doi:10.1214/23-BA1404)."""

CALIBRATED = "is calibrated: no departure seen"
CENTRED = "has the right centre, whatever its width: no bias seen"
"""What symmetry of the probabilities below the truth says, and uniform ranks would say more."""

MOST_NAMED = 3

SMALLEST_P = 0.0001
"""A p-value that is told; a smaller one is said to be smaller."""


@dataclass(frozen=True)
class CellVerdict:
    """Whether a cell is calibrated, for people.

    Parameters
    ----------
    cell
        Label of the cell.
    calibrated
        Whether it may be called so: no quantity departs after Holm's adjustment, and the verdict is about every
        planned replicate, of which there are enough (see `calibration_table`).
    departs
        Whether a quantity departs. Where neither is so, nothing was seen, and too little was looked at.
    sentence
        The same in one sentence, with the quantities that depart and how.
    blind
        Whether there are too few replicates for the level: not even truths that all lie on one side would depart.
    remarks
        What limits the verdict: few ranks, small tail-ESS, no joint log-likelihood, another test that disagrees.
    """

    cell: str
    calibrated: bool
    departs: bool
    sentence: str
    blind: bool = False
    remarks: tuple[str, ...] = ()


def verdicts(table: pd.DataFrame) -> tuple[CellVerdict, ...]:
    """Say of each cell whether it is calibrated, whether it departs, or that too little was looked at to say either.

    Parameters
    ----------
    table
        From `calibration_table` or `symmetry_table`.

    Returns
    -------
    tuple of CellVerdict
        One for each cell, in the order of the table.
    """
    return tuple(_verdict(str(cell), part) for cell, part in table.groupby("cell", sort=False))


def _verdict(cell: str, part: pd.DataFrame) -> CellVerdict:
    fine = part["p_holm"].to_numpy(dtype=float) > part["level"].to_numpy(dtype=float)
    failing = part[~fine].sort_values("p_value", kind="stable", na_position="last")
    calibrated = bool(part["calibrated"].all())
    size = _counted(len(part), "quantity", "quantities")
    level = float(part["level"].iloc[0])
    test = f"Holm, level {exact(level)}"
    least = f"smallest adjusted p {_p(float(part['p_holm'].min()), level)}; {test}"
    ranked = bool((part["n_ranks"] > 0).all())
    blind = _blind(part)
    if calibrated:
        sentence = f"{cell} {CALIBRATED if ranked else CENTRED} in {size} ({least}, {_replicates(part)})."
    elif failing.empty and blind:
        sentence = f"{cell}: whether it is calibrated cannot be told in {size} {_among(part)}: {_too_few(part)}."
    elif failing.empty:
        what = "no departure seen" if ranked else "no bias of the centre seen"
        sentence = f"{cell}: {what} in {size} {_among(part)} ({least})."
    else:
        worst = failing.head(MOST_NAMED)
        named = [
            f"{variable} ({shape}{f', adjusted p {_p(p, level)}' if p == p else ''})"
            for variable, shape, p in zip(worst["variable"], worst["shape"], worst["p_holm"].to_numpy(), strict=True)
        ]
        more = f" and {len(failing) - MOST_NAMED} more" if len(failing) > MOST_NAMED else ""
        depart = f"{len(failing)} of {size} {'departs' if len(failing) == 1 else 'depart'}"
        sentence = f"{cell} is not calibrated: {depart}: {', '.join(named)}{more} ({test}, {_replicates(part)})."
    return CellVerdict(cell, calibrated, not failing.empty, sentence, blind, tuple(_remarks(part)))


def _blind(part: pd.DataFrame) -> bool:
    """Whether there are too few replicates, in the best of cases, to call a quantity calibrated."""
    tested = int(part["p_holm"].notna().sum())
    return one_sided(int(part["n"].max()), tested) > float(part["level"].iloc[0])


def _too_few(part: pd.DataFrame) -> str:
    """Say what so few replicates cannot show, and how many could."""
    n, level = int(part["n"].max()), float(part["level"].iloc[0])
    tested = int(part["p_holm"].notna().sum())
    wanted = next(count for count in itertools.count(n) if one_sided(count, tested) <= level)
    p = _p(one_sided(n, tested), level)
    found = f"even if every truth lay on one side of its posterior, the adjusted p would be {p}"
    return f"{found}, and study.alpha is {exact(level)}; it takes {wanted} replicates or more"


def _replicates(part: pd.DataFrame) -> str:
    """Count what a verdict is about."""
    planned, unsure = int(part["planned"].iloc[0]), int(part["not_converged"].iloc[0])
    short = int(part["n"].min()) < planned
    of = f" of {planned}" if short else ""
    why = " (the data of the others are degenerate)" if short and bool(part["calibrated"].all()) else ""
    return f"{_range(part['n'].to_numpy())}{of} replicates{why}{f', {unsure} of them not converged' if unsure else ''}"


def _among(part: pd.DataFrame) -> str:
    """Say which replicates nothing was seen among, where these are not all that have to be looked at."""
    planned, unsure = int(part["planned"].iloc[0]), int(part["not_converged"].iloc[0])
    found = f"among the {_range(part['n'].to_numpy())} of {planned} replicates with output"
    return f"{found}, {unsure} of which did not converge" if unsure else found


def _remarks(part: pd.DataFrame) -> list[str]:
    found = []
    fewest = int(part["n"].min())
    if fewest < FEW_RANKS:
        found.append(
            f"only {_counted(fewest, 'replicate', 'replicates')}: below {FEW_RANKS} only gross faults are seen; raise "
            "study.replicates"
        )
    found += _too_fine(fewest, int(part["n_ranks"].max()))
    low = part[part["low_ess_share"] > 0].sort_values("low_ess_share", ascending=False, kind="stable")
    if not low.empty:
        worst = low.iloc[0]
        found.append(
            f"tail-ESS is below L = {int(worst['n_ranks'])} in up to {100.0 * worst['low_ess_share']:.2g} % of fits "
            f"({worst['variable']}), and correlated draws put ranks at both ends; raise sampler.draws"
        )
    if bool((part["n_ranks"] > 0).any()) and JOINT_LOG_LIKELIHOOD not in set(part["variable"]):
        found.append("the joint log-likelihood is not ranked: a sampler that ignores the data would pass")
    level = part["level"].to_numpy(dtype=float)
    second = part[(part["p_holm"].to_numpy(dtype=float) > level) & (holm(part["potc_p"]) <= level)]
    if not second.empty:
        named = ", ".join(map(str, second["variable"].head(MOST_NAMED)))
        found.append(f"POT-C sees a departure that the band does not see, in {named}: look at the ends of the ECDF")
    return found


def _too_fine(n: int, L: int) -> list[str]:
    """Say where only bins that are too fine hold equally many possible ranks; it is no matter for the test."""
    if n < 1 or L < 1:
        return []
    bins = histogram_bins(n, L)
    if bins < 2 * wanted_bins(n) or n >= FEWEST_PER_BIN * bins:
        return []
    return [
        f"the {L + 1} possible ranks make equal bins only by {bins}, with {n / bins:.1f} of {n} replicates in each: "
        "the histogram is too fine to be read, the test sees every rank; in another study choose study.ranks so that "
        "study.ranks + 1 has many divisors, 99 or 199"
    ]


def _range(values: NDArray[np.int64]) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low} to {high}"


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _p(value: float, level: float) -> str:
    return against(value, level, ".2g") if value >= SMALLEST_P else f"< {SMALLEST_P}"
