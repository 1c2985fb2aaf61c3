"""Simulation-based calibration: ranks of the truth, their simultaneous bands and tests, and readings in words.

It takes arrays and tables; it simulates no data, fits no model and draws no figure.
"""

from bayesrun.statistics.calibration.bands import Band, Gamma, band, find_gamma, global_p_value, observed_gamma
from bayesrun.statistics.calibration.by_cell import CALIBRATION_COLUMNS, calibration_table, holm, pot_c, symmetry_table
from bayesrun.statistics.calibration.ranks import NO_RANK, low_ess_share, probability_below, rank_truth, thin
from bayesrun.statistics.calibration.shapes import NO_DEPARTURE, NO_RANKS, rank_shape, shift_and_width
from bayesrun.statistics.calibration.simulated import simulated_gamma, simulated_gammas, simulated_p_value
from bayesrun.statistics.calibration.standings import standings
from bayesrun.statistics.calibration.symmetry import Symmetry, symmetry_shape, symmetry_test
from bayesrun.statistics.calibration.verdicts import FEW_RANKS, JOINT_LOG_LIKELIHOOD, CellVerdict, verdicts
from bayesrun.statistics.calibration.views import (
    EcdfDifference,
    RankHistogram,
    coverage_from_ranks,
    ecdf_difference,
    rank_histogram,
)

__all__ = [
    "CALIBRATION_COLUMNS",
    "FEW_RANKS",
    "JOINT_LOG_LIKELIHOOD",
    "NO_DEPARTURE",
    "NO_RANK",
    "NO_RANKS",
    "Band",
    "CellVerdict",
    "EcdfDifference",
    "Gamma",
    "RankHistogram",
    "Symmetry",
    "band",
    "calibration_table",
    "coverage_from_ranks",
    "ecdf_difference",
    "find_gamma",
    "global_p_value",
    "holm",
    "low_ess_share",
    "observed_gamma",
    "pot_c",
    "probability_below",
    "rank_histogram",
    "rank_shape",
    "rank_truth",
    "shift_and_width",
    "simulated_gamma",
    "simulated_gammas",
    "simulated_p_value",
    "standings",
    "symmetry_shape",
    "symmetry_table",
    "symmetry_test",
    "thin",
    "verdicts",
]
