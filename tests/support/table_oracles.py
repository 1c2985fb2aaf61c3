"""What statsmodels estimates of a table's numbers, against which tables that were read are held."""

import numpy as np
import statsmodels.api as sm

__all__ = ["log_odds_of", "slope_of"]


def slope_of(x: np.ndarray, y: np.ndarray) -> float:
    """The slope of ordinary least squares, of an outcome on one predictor and a constant."""
    return float(sm.OLS(np.asarray(y, dtype=float), sm.add_constant(np.asarray(x, dtype=float))).fit().params[1])


def log_odds_of(x: np.ndarray, y: np.ndarray) -> float:
    """The slope of a logistic regression, of a binary outcome on one predictor and a constant."""
    design = sm.add_constant(np.asarray(x, dtype=float))
    return float(sm.Logit(np.asarray(y, dtype=float), design).fit(disp=0).params[1])
