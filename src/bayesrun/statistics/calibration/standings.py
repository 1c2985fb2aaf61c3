"""What became of the fits of a cell: how many replicates a verdict on its calibration is about, and of how many.

It reads the table of fits and tests nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesrun.statistics.states import Standing

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd

__all__ = ["standings"]


def standings(fits: pd.DataFrame, most: float, strict: Collection[str] = ()) -> dict[str, Standing]:
    """Count for each cell what became of its fits.

    Parameters
    ----------
    fits
        One row for each planned fit: cell, status (done, failed, missing), converged; where they are known degenerate,
        and incomplete (a step that was asked for failed).
    most
        Largest share of failed, not converged and incomplete fits among those tried, ``study.max_failed``.
    strict
        Labels of the cells in which every verdict has to pass, ``gate.fail``.
    """
    groups = fits.groupby("cell", sort=False)
    return {str(label): _standing(part, most, strict=label in strict) for label, part in groups}


def _standing(part: pd.DataFrame, most: float, *, strict: bool) -> Standing:
    status = part["status"].to_numpy(dtype=object)
    done, failed = status == "done", status == "failed"
    unsure = done & ~part["converged"].to_numpy(dtype=bool, na_value=False)
    lacking = np.zeros(len(part), dtype=bool)
    if "incomplete" in part.columns:
        lacking = done & part["incomplete"].to_numpy(dtype=bool, na_value=False)
    odd = np.zeros(len(part), dtype=bool)
    if "degenerate" in part.columns:
        odd = part["degenerate"].to_numpy(dtype=bool, na_value=False)
    tried = int((done | failed).sum())
    return Standing(
        planned=len(part),
        failed=int(failed.sum()),
        missing=len(part) - tried,
        not_converged=int(unsure.sum()),
        incomplete=int(lacking.sum()),
        left_out=0 if (odd & done).any() else int((odd & failed).sum()),
        enough=not tried or int((failed | unsure | lacking).sum()) / tried <= most,
        strict=strict,
    )
