"""What measures, classes of failures and columns are called. It computes nothing."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ANALYSES",
    "CHECKS",
    "CLASSES",
    "CONTRASTS",
    "CONTRAST_COLUMNS",
    "ERROR_COLUMNS",
    "FAILURE_COLUMNS",
    "LEVEL_MEASURES",
    "MEASURES",
    "MEASURE_COLUMNS",
    "PREFIXES",
    "REASONS",
    "SHARES",
    "is_share",
]

MEASURES: Final = (
    *("bias", "relative_bias", "empirical_se", "mse", "rmse", "mae", "model_se", "relative_error_model_se"),
    *("z_score", "contraction", "posterior_contraction", "mcmc_error_share"),
)
"""Measures of point estimates and SDs, in the order of the table."""

LEVEL_MEASURES: Final = (
    *("coverage", "bias_eliminated_coverage", "miss_left", "miss_right"),
    *("width", "interval_score"),
)
"""Measures of intervals, one for each level."""

PREFIXES: Final = ("decision", "power", "type_1_error")
"""Measures of a rule, ``decision:NAME``: how often it says yes; where yes is right; where yes is wrong."""

SHARES: Final = ("coverage", "bias_eliminated_coverage", "miss_left", "miss_right", "failure", "nonconvergence")
"""Measures that are shares of replicates, beside those of rules; their intervals are Wilson's."""

ANALYSES: Final = ("all", "converged", "common")
"""Replicates used: with output; that passed the gate; that passed the gate with every method of the group."""

REASONS: Final = ("error", "timeout", "oom", "lost")
"""Why a fit failed."""

CLASSES: Final = (*REASONS, "missing", "non_converged", "degenerate")
"""What is counted in the table of failures, zeros included."""

CONTRASTS: Final = ("squared_error", "absolute_error", "relative_precision", "interval_score", "miss", "negative_elpd")
"""What methods are compared by in pairs; all but relative_precision are losses, and negative means better."""

CHECKS: Final = ("log_likelihood",)
"""Scalars that are there to test calibration, and whose truth depends on the model that is fitted."""

MEASURE_COLUMNS: Final = (
    *("cell", "variable", "measure", "level", "value", "mcse", "lower", "upper", "n", "analysis"),
)
ERROR_COLUMNS: Final = ("cell", "reason", "message", "count", "example", "replicate", "key")
CONTRAST_COLUMNS: Final = (
    *("cell", "reference", "variable", "measure", "level", "value", "mcse", "lower", "upper", "n", "analysis"),
)
FAILURE_COLUMNS: Final = ("cell", "class", "count", "n", "rate", "mcse", "lower", "upper")


def is_share(measure: str) -> bool:
    """Whether a measure is a share of replicates."""
    return measure in SHARES or measure.partition(":")[0] in PREFIXES
