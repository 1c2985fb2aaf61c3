"""Verdicts on calibration for people: one sentence a cell, and what limits it.

It reads the tables of `tables` and tests nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesrun.calibration.tables import holm

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["FEW_RANKS", "JOINT_LOG_LIKELIHOOD", "CellVerdict", "verdicts"]

FEW_RANKS = 50
"""With fewer ranks of a quantity than this, only gross faults are seen."""

JOINT_LOG_LIKELIHOOD = "log_likelihood"
"""The quantity without which a sampler that ignores the data passes (Modrák et al. 2023, doi:10.1214/23-BA1404)."""

CENTRED = "has the right centre, whatever its width: no bias seen"
"""What symmetry of the probabilities below the truth says, and uniform ranks would say more."""

MOST_NAMED = 3


@dataclass(frozen=True)
class CellVerdict:
    """Whether a cell is calibrated, for people.

    Parameters
    ----------
    cell
        Label of the cell.
    calibrated
        Whether no quantity departs, after Holm's adjustment.
    sentence
        The same in one sentence, with the quantities that depart and how.
    remarks
        What limits the verdict: few ranks, small tail-ESS, no joint log-likelihood, another test that disagrees.
    """

    cell: str
    calibrated: bool
    sentence: str
    remarks: tuple[str, ...] = ()


def verdicts(table: pd.DataFrame) -> tuple[CellVerdict, ...]:
    """Say of each cell whether it is calibrated: it is if no quantity departs after Holm's adjustment.

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
    failing = part[~part["calibrated"].to_numpy(dtype=bool)].sort_values("p_value", kind="stable", na_position="last")
    counted = _range(part["n"].to_numpy())
    family = f"Holm, level {float(part['level'].iloc[0]):g}, {counted} replicates"
    size = _counted(len(part), "quantity", "quantities")
    if failing.empty:
        least = f"smallest adjusted p {_p(float(part['p_holm'].min()))}"
        seen = "is calibrated: no departure seen" if bool((part["n_ranks"] > 0).all()) else CENTRED
        sentence = f"{cell} {seen} in {size} ({least}; {family})."
    else:
        worst = failing.head(MOST_NAMED)
        named = [
            f"{variable} ({shape}{f', adjusted p {_p(p)}' if p == p else ''})"
            for variable, shape, p in zip(worst["variable"], worst["shape"], worst["p_holm"].to_numpy(), strict=True)
        ]
        more = f" and {len(failing) - MOST_NAMED} more" if len(failing) > MOST_NAMED else ""
        depart = f"{len(failing)} of {size} {'departs' if len(failing) == 1 else 'depart'}"
        sentence = f"{cell} is not calibrated: {depart}: {', '.join(named)}{more} ({family})."
    return CellVerdict(cell, failing.empty, sentence, tuple(_remarks(part)))


def _remarks(part: pd.DataFrame) -> list[str]:
    found = []
    fewest = int(part["n"].min())
    if fewest < FEW_RANKS:
        found.append(
            f"only {_counted(fewest, 'replicate', 'replicates')}: below {FEW_RANKS} only gross faults are seen; raise "
            "study.replicates"
        )
    low = part[part["low_ess_share"] > 0].sort_values("low_ess_share", ascending=False, kind="stable")
    if not low.empty:
        worst = low.iloc[0]
        found.append(
            f"tail-ESS is below L = {int(worst['n_ranks'])} in up to {float(worst['low_ess_share']):.0%} of fits "
            f"({worst['variable']}), and correlated draws put ranks at both ends; raise sampler.draws"
        )
    if bool((part["n_ranks"] > 0).any()) and JOINT_LOG_LIKELIHOOD not in set(part["variable"]):
        found.append("the joint log-likelihood is not ranked: a sampler that ignores the data would pass")
    second = part[part["calibrated"].to_numpy(dtype=bool) & (holm(part["potc_p"]) <= part["level"].to_numpy())]
    if not second.empty:
        named = ", ".join(map(str, second["variable"].head(MOST_NAMED)))
        found.append(f"POT-C sees a departure that the band does not see, in {named}: look at the ends of the ECDF")
    return found


def _range(values: NDArray[np.int64]) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low} to {high}"


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-4 else "< 0.0001"
