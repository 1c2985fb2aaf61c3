"""Performance measures of simulation studies with their Monte Carlo error, rules that decide, numbers of replicates.

It fits nothing and stores nothing: arrays or tables go in, estimates or tables come out. Importing it loads no pandas.
"""

from bayesrun.statistics.measures.by_cell import errors_table, failures_table, measures_table
from bayesrun.statistics.measures.contrasts import contrasts_table
from bayesrun.statistics.measures.decisions import Decision, null_of, parse_decision, parse_decisions
from bayesrun.statistics.measures.estimate import Estimate, average, rate, wilson
from bayesrun.statistics.measures.intervals import (
    bias_eliminated_coverage,
    coverage,
    interval_score,
    interval_scores,
    miss_left,
    miss_right,
    misses,
    width,
)
from bayesrun.statistics.measures.points import bias, empirical_se, mae, mse, paired_contrast, relative_bias, rmse
from bayesrun.statistics.measures.sizes import (
    check_targets,
    needed,
    next_round,
    precision,
    reached,
    replicates_for_mean,
    replicates_for_sd,
    replicates_for_share,
)
from bayesrun.statistics.measures.spreads import (
    contraction,
    mcmc_error_share,
    model_se,
    relative_error_model_se,
    relative_precision,
    z_score,
)

__all__ = [
    "Decision",
    "Estimate",
    "average",
    "bias",
    "bias_eliminated_coverage",
    "check_targets",
    "contraction",
    "contrasts_table",
    "coverage",
    "empirical_se",
    "errors_table",
    "failures_table",
    "interval_score",
    "interval_scores",
    "mae",
    "mcmc_error_share",
    "measures_table",
    "miss_left",
    "miss_right",
    "misses",
    "model_se",
    "mse",
    "needed",
    "next_round",
    "null_of",
    "paired_contrast",
    "parse_decision",
    "parse_decisions",
    "precision",
    "rate",
    "reached",
    "relative_bias",
    "relative_error_model_se",
    "relative_precision",
    "replicates_for_mean",
    "replicates_for_sd",
    "replicates_for_share",
    "rmse",
    "width",
    "wilson",
    "z_score",
]
