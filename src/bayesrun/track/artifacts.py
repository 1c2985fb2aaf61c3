"""What the tables of a simulation study say to a tracking server; it computes no measure and knows no server.

A cell's run has its headline measures as metrics. All measures are in the tables, which are files of the parent run.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["HEADLINES", "aggregates", "replicate_metrics", "verdicts"]

HEADLINES = (
    "failure",
    "nonconvergence",
    "bias",
    "empirical_se",
    "rmse",
    "coverage",
    "width",
    "z_score",
    "contraction",
    "posterior_contraction",
)
"""Measures that become metrics; so do the rates of all decision rules."""

NO_METRICS = ("replicate", "degenerate")
"""Columns of the table of fits that are numbers and no diagnostics."""


def aggregates(
    tables: Mapping[str, pd.DataFrame], label: str, measures: Sequence[str] = HEADLINES
) -> dict[str, tuple[float, float | None]]:
    """Pick the headline measures of a cell.

    Parameters
    ----------
    tables
        ``measures`` (columns cell, variable, measure, level, value, mcse, analysis) and, where ranks were tested,
        ``calibration`` (cell, p_holm, calibrated).
    label
        The cell.
    measures
        Which measures.

    Returns
    -------
    dict
        ``MEASURE/VARIABLE``, ``MEASURE_LEVEL/VARIABLE`` for intervals and ``MEASURE`` for shares of fits, over all
        replicates with output, to value and Monte Carlo standard error; ``calibrated`` (1 where the report says so,
        0 where a quantity departs, or too little could be judged) and ``p_holm_min``, the smallest p-value after Holm's
        adjustment, which have none.
    """
    found: dict[str, tuple[float, float | None]] = {}
    table = tables.get("calibration")
    if table is not None and "calibrated" in table.columns:
        part = table[table["cell"] == label]
        found["calibrated"] = float(len(part) and part["calibrated"].all()), None
        if len(part):
            found["p_holm_min"] = float(part["p_holm"].min()), None
    table = tables.get("measures")
    if table is None or table.empty:
        return found
    part = table[(table["cell"] == label) & (table["analysis"] == "all")]
    wanted = part["measure"].isin(list(measures)) | part["measure"].str.startswith("decision:")
    columns = ["measure", "level", "variable", "value", "mcse"]
    for measure, level, variable, value, mcse in part.loc[wanted, columns].itertuples(index=False):
        name = measure if level is None or math.isnan(level) else f"{measure}_{level:g}"
        name += f"/{variable}" if isinstance(variable, str) and variable else ""
        found[name] = float(value), None if mcse is None or math.isnan(mcse) else float(mcse)
    return found


def replicate_metrics(fits: pd.DataFrame, label: str) -> pd.DataFrame:
    """Pick the diagnostics of the fits of a cell that came back.

    Parameters
    ----------
    fits
        One row for each planned fit: cell, replicate, status, and diagnostics.
    label
        The cell.

    Returns
    -------
    DataFrame
        Index replicate; every column of numbers that has a value, converged and seconds among them.
    """
    part = fits[(fits["cell"] == label) & (fits["status"] != "missing")].set_index("replicate")
    numbers = part.select_dtypes(["number", "bool"]).dropna(axis="columns", how="all")
    return numbers.drop(columns=[name for name in NO_METRICS if name in numbers])


def verdicts(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Count what became of the fits of a study, and say whether all of its cells are calibrated.

    Parameters
    ----------
    tables
        ``fits`` (columns status, converged) and, where ranks were tested, ``calibration`` (calibrated).

    Returns
    -------
    dict
        n_done, n_failed, n_missing, n_not_converged (done, but not through the gate), and calibrated: 1 where the
        report says so of every cell, otherwise 0.
    """
    fits = tables["fits"]
    counts = {f"n_{status}": float((fits["status"] == status).sum()) for status in ("done", "failed", "missing")}
    counts["n_not_converged"] = float(((fits["status"] == "done") & ~fits["converged"].astype(bool)).sum())
    table = tables.get("calibration")
    if table is not None and "calibrated" in table.columns:
        judged = set(fits["cell"]) <= set(table["cell"])
        counts["calibrated"] = float(judged and table["calibrated"].all())
    return counts
