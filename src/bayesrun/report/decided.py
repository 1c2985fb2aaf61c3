"""What the decision rules of real data say: one row for each fit, rule and scalar that the rule is about.

It reads the summaries of the fits, which have the answers; it decides nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayesrun.statistics.measures.decisions import decided_columns, parse_decisions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bayesrun.types import FitSpec

__all__ = ["COLUMNS", "decided"]

COLUMNS = ("cell", "rule", "variable", "says", "probability", "mcse")


def decided(specs: Iterable[FitSpec], read_summary: Callable[[str], pd.DataFrame]) -> pd.DataFrame:
    """List what each rule says.

    Parameters
    ----------
    specs
        Of the fits that are done.
    read_summary
        Returns the summary of a fit by its key.

    Returns
    -------
    pandas.DataFrame
        cell, rule, variable (label of the scalar), says (``yes``, ``no``, or ``not known`` where a draw is NaN),
        probability (the share of draws on the rule's side; NaN for rules about intervals) and mcse, its Monte Carlo
        standard error (NaN where all draws are on one side). A rule that is absent in a fit has no row of that fit.
    """
    rows: list[Mapping[str, object]] = []
    for spec in specs:
        asked = spec.diagnostics
        if not asked.decisions:
            continue
        summary = read_summary(spec.key)
        for rule in parse_decisions(asked.decisions, asked.ci_kind):
            decision, probability, mcse = decided_columns(rule.name)
            if decision not in summary:
                continue
            none = pd.Series(np.nan, index=summary.index)
            shares, errors = (summary.get(name, none) for name in (probability, mcse))
            rows += [
                {
                    "cell": spec.cell,
                    "rule": rule.text,
                    "variable": label,
                    "says": _word(summary[decision].iloc[place]),
                    "probability": shares.iloc[place],
                    "mcse": errors.iloc[place],
                }
                for place, label in enumerate(summary.index)
                if rule.about(label)
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _word(value: float) -> str:
    return "not known" if math.isnan(value) else "yes" if value else "no"
