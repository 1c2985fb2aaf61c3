"""Weibull survival times with right censoring and predictors. No left censoring, no truncation."""

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
    shape_rate: float = 1.0,
) -> pm.Model:
    r"""Build a Weibull regression of right-censored survival times.

    .. math::

        t_i = \min(w_i, c_i), \quad w_i \sim \mathrm{Weibull}(k, \lambda_i), \quad
        \log \lambda_i = \alpha + x_i^\top \beta

    An event contributes the log density, a censored time the log survival :math:`-(t_i / \lambda_i)^k`, which is
    computed as such and never as log(1 - F). The bound :math:`c_i` is the time of a censored unit, the planned end
    of observation of a unit with an event, and infinite where none is given.

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
    shape_rate
        Rate of the exponential prior of the Weibull shape k; k > 1 is a rising hazard.

    Returns
    -------
    pm.Model
        Variables alpha, beta (predictor), shape, median_time (obs: the median survival time) and y_obs (obs).

    Raises
    ------
    ConfigError
        If a prior's number is not finite, or a scale is not above 0.
    DataError
        If a time lies beyond the planned end of observation, or an event exactly on it.

    References
    ----------
    Kalbfleisch, J. D., Prentice, R. L. (2002). The Statistical Analysis of Failure Time Data, 2nd edition,
    chapters 2 and 3. Wiley. doi:10.1002/9781118032985
    """
    bounds = censoring_bounds(data)
    coords = {"obs": obs_labels(data, "time"), "predictor": data.coords["predictor"]}
    with pm.Model(coords=coords) as model:
        alpha = pm.Normal("alpha", number("alpha_mean", alpha_mean), positive("alpha_sigma", alpha_sigma))
        beta = pm.Normal("beta", number("beta_mean", beta_mean), positive("beta_sigma", beta_sigma), dims="predictor")
        shape = pm.Exponential("shape", positive("shape_rate", shape_rate))
        log_scale = alpha + pm.math.dot(data["X"], beta)
        pm.Deterministic("median_time", pm.math.exp(log_scale + math.log(math.log(2.0)) / shape), dims="obs")
        pm.CustomDist(
            "y_obs",
            shape,
            log_scale,
            bounds,
            dist=_censored_draw,
            logp=_censored_logp,
            class_name="CensoredWeibull",
            observed=data["time"],
            dims="obs",
        )
    return model


def can_simulate(data: Dataset) -> str | None:
    """Return why data cannot be simulated from this dataset's design, or None if they can."""
    return without_planned_ends("survival", data)


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
    shape: TensorVariable, log_scale: TensorVariable, bound: TensorVariable, size: TensorVariable
) -> TensorVariable:
    return pt.minimum(pm.Weibull.dist(shape, pt.exp(log_scale), size=size), bound)


def _censored_logp(
    value: TensorVariable, shape: TensorVariable, log_scale: TensorVariable, bound: TensorVariable
) -> TensorVariable:
    log_ratio = pt.log(value) - log_scale
    log_survival = -pt.exp(shape * log_ratio)
    log_density = pt.log(shape) + shape * log_ratio - pt.log(value) + log_survival
    at_bound = pt.switch(pt.eq(value, bound), log_survival, -np.inf)
    return pt.switch(pt.lt(value, bound), log_density, at_bound)
