"""What became of the fits of a cell: how many replicates a verdict on its calibration is about, and of how many.

It reads the table of fits and tests nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Standing", "standings"]


@dataclass(frozen=True)
class Standing:
    """What became of the fits of a cell.

    Parameters
    ----------
    planned
        Replicates of the design.
    failed, missing
        Without output: tried in vain, and not there yet.
    not_converged
        With output that did not pass the gate.
    left_out
        Failed fits that may be left out of a verdict: those of degenerate datasets, if no degenerate dataset of the
        cell has output. What is left out then follows from the data alone.
    enough
        Whether failed and not converged fits are no larger a share of those tried than the study allows.

    References
    ----------
    Talts et al. (2018), doi:10.48550/arXiv.1804.06788: ranks are uniform over the prior, or over the part of it that a
    rule on the data alone selects; leaving out what a sampler could not fit selects by the truth.
    """

    planned: int
    failed: int = 0
    missing: int = 0
    not_converged: int = 0
    left_out: int = 0
    enough: bool = True


def standings(fits: pd.DataFrame, most: float) -> dict[str, Standing]:
    """Count for each cell what became of its fits.

    Parameters
    ----------
    fits
        One row for each planned fit: cell, status (done, failed, missing), converged; degenerate where it is known.
    most
        Largest share of failed and not converged fits among those tried, ``study.max_failed``.
    """
    return {str(label): _standing(part, most) for label, part in fits.groupby("cell", sort=False)}


def _standing(part: pd.DataFrame, most: float) -> Standing:
    status = part["status"].to_numpy(dtype=object)
    done, failed = status == "done", status == "failed"
    unsure = int((done & ~part["converged"].to_numpy(dtype=bool, na_value=False)).sum())
    odd = np.zeros(len(part), dtype=bool)
    if "degenerate" in part.columns:
        odd = part["degenerate"].to_numpy(dtype=bool, na_value=False)
    tried = int((done | failed).sum())
    return Standing(
        planned=len(part),
        failed=int(failed.sum()),
        missing=len(part) - tried,
        not_converged=unsure,
        left_out=0 if (odd & done).any() else int((odd & failed).sum()),
        enough=not tried or (int(failed.sum()) + unsure) / tried <= most,
    )
