"""Lognormal survival times with right censoring and predictors. No left censoring, no truncation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayesrun.models.inputs import (
    censoring_bounds,
    events_and_bounds,
    number,
    obs_labels,
    positive,
    without_planned_ends,
)
from bayesrun.types import Dataset, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytensor.tensor import TensorVariable

__all__ = ["DATA", "build", "can_simulate", "from_draws"]

DATA: Final[dict[str, Role]] = {
    "time": Role("positive", "time of the event, or of the end of observation"),
    "event": Role("binary", "1 if the event was seen, 0 if the time is censored"),
    "X": Role("predictors", "predictors, one column each"),
    "censoring_time": Role("positive", "planned end of observation of each unit", optional=True, unit="time"),
}


def build(
    data: Dataset,
    *,
    alpha_mean: float = 0.0,
    alpha_sigma: float = 5.0,
    beta_mean: float = 0.0,
    beta_sigma: float = 2.0,
    sigma_scale: float = 1.0,
) -> pm.Model:
    r"""Build a lognormal regression of right-censored survival times: an accelerated failure time model.

    .. math::

        t_i = \min(w_i, c_i), \quad \log w_i \sim N(\mu_i, \sigma), \quad \mu_i = \alpha + x_i^\top \beta

    An event contributes the log density, a censored time the log survival
    :math:`\log \Phi(-(\log t_i - \mu_i) / \sigma)`, which is computed as such and never as log(1 - F). The bound
    :math:`c_i` is the time of a censored unit, the planned end of observation of a unit with an event, and infinite
    where none is given.

    One unit of a predictor multiplies every quantile of the time by :math:`e^\beta`, here and in the Weibull model
    `survival`: beta and median_time mean the same in both, and can be compared between them. The intercept does not:
    alpha is the log median here, and there the log of the time by which a share 1 - 1/e has had its event.

    Simulating from the model draws w and cuts it at c, and `from_draws` makes the event indicator from it. Without
    planned ends of observation a unit that had its event would never be censored in simulated data: see
    `can_simulate`.

    Parameters
    ----------
    data
        Arrays ``time`` and ``event`` (obs,), ``X`` (obs, predictor) and, if known, ``censoring_time`` (obs,).
    alpha_mean, alpha_sigma
        Prior of the intercept, Normal, in units of log time.
    beta_mean, beta_sigma
        Prior of every slope, Normal, in units of log time for one unit of the predictor; positive slopes
        lengthen life.
    sigma_scale
        Prior of the standard deviation of log time, HalfNormal, in units of log time.

    Returns
    -------
    pm.Model
        Variables alpha, beta (predictor), sigma, median_time (obs: the median survival time) and y_obs (obs).

    Raises
    ------
    ConfigError
        If a prior's number is not finite, or a scale is not above 0.
    DataError
        If a time lies beyond the planned end of observation, or an event exactly on it.

    References
    ----------
    Kalbfleisch, J. D., Prentice, R. L. (2002). The Statistical Analysis of Failure Time Data, 2nd edition,
    chapters 2, 3 and 7. Wiley. doi:10.1002/9781118032985
    """
    bounds = censoring_bounds(data)
    coords = {"obs": obs_labels(data, "time"), "predictor": data.coords["predictor"]}
    with pm.Model(coords=coords) as model:
        alpha = pm.Normal("alpha", number("alpha_mean", alpha_mean), positive("alpha_sigma", alpha_sigma))
        beta = pm.Normal("beta", number("beta_mean", beta_mean), positive("beta_sigma", beta_sigma), dims="predictor")
        sigma = pm.HalfNormal("sigma", positive("sigma_scale", sigma_scale))
        log_median = alpha + pm.math.dot(data["X"], beta)
        pm.Deterministic("median_time", pm.math.exp(log_median), dims="obs")
        pm.CustomDist(
            "y_obs",
            log_median,
            sigma,
            bounds,
            dist=_censored_draw,
            logp=_censored_logp,
            class_name="CensoredLogNormal",
            observed=data["time"],
            dims="obs",
        )
    return model


def can_simulate(data: Dataset) -> str | None:
    """Return why data cannot be simulated from this dataset's design, or None if they can."""
    return without_planned_ends("survival_lognormal", data)


def from_draws(data: Dataset, drawn: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give the arrays that draws of the model replace: the event indicator is drawn with the time.

    Parameters
    ----------
    data
        The dataset that the model was built on, which says when the observation of each unit ends.
    drawn
        ``y_obs`` (obs,): times cut at the end of observation.

    Returns
    -------
    dict of str to numpy.ndarray
        ``time``, ``event`` (1 where the time lies before the end of observation) and ``censoring_time`` (that end, so
        that a unit keeps it whether or not its event was seen), all (obs,).
    """
    return events_and_bounds(data, drawn["y_obs"])


def _censored_draw(
    log_median: TensorVariable, sigma: TensorVariable, bound: TensorVariable, size: TensorVariable
) -> TensorVariable:
    return pt.minimum(pm.LogNormal.dist(log_median, sigma, size=size), bound)


def _censored_logp(
    value: TensorVariable, log_median: TensorVariable, sigma: TensorVariable, bound: TensorVariable
) -> TensorVariable:
    score = (pt.log(value) - log_median) / sigma
    log_density = -0.5 * score**2 - pt.log(sigma) - pt.log(value) - 0.5 * math.log(2.0 * math.pi)
    at_bound = pt.switch(pt.eq(value, bound), _log_survival(score), -np.inf)
    return pt.switch(pt.lt(value, bound), log_density, at_bound)


def _log_survival(score: TensorVariable) -> TensorVariable:
    """Log of the standard normal's survival, exact in both tails.

    Each formula is given only values at which it is finite: in the gradient of a switch the branch that is not taken is
    multiplied by 0, and 0 times infinity is no number. A maximum with 0 would do for the values, but its slope at 0
    itself is one half in JAX.
    """
    scaled = score / math.sqrt(2.0)
    late = pt.gt(scaled, 0.0)
    above, below = pt.switch(late, scaled, 0.0), pt.switch(late, 0.0, scaled)
    tail = pt.log(0.5 * pt.erfcx(above)) - above**2
    return pt.switch(late, tail, pt.log1p(-0.5 * pt.erfc(-below)))
