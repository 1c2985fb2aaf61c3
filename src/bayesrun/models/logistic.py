"""Logistic regression of a binary outcome. It scales no data; its priors may be scaled to them."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import pymc as pm

from bayesrun.models.inputs import WIDE, normals, number, obs_labels, positive, spread, uses_scaled
from bayesrun.types import Dataset, Role

__all__ = ["DATA", "build", "scaled_priors"]

DATA: Final[dict[str, Role]] = {
    "y": Role("binary", "outcome, 0 or 1"),
    "X": Role("predictors", "predictors, one column each"),
}


def build(
    data: Dataset,
    *,
    alpha_mean: float = 0.0,
    alpha_sigma: float = 2.5,
    beta_mean: float = 0.0,
    beta_sigma: float = 2.5,
    priors: Literal["default", "scaled"] = "default",
) -> pm.Model:
    r"""Build a logistic regression.

    .. math::

        y_i \sim \mathrm{Bernoulli}(p_i), \quad \log \frac{p_i}{1 - p_i} = \alpha + x_i^\top \beta

    Scaled priors are those of rstanarm, with s the standard deviation of a predictor:

    .. math::

        \alpha + \bar x^\top \beta \sim N(0, 2.5), \quad \beta_k \sim N(0, 2.5 / s_k)

    They are about the intercept at the mean of the predictors, ``alpha_at_mean``, which is drawn, and alpha is worked
    out from it. They do not use the outcome, so that data can be simulated.

    The density is computed from the log odds, so that it stays finite where p rounds to 0 or 1.

    Parameters
    ----------
    data
        Arrays ``y`` (obs,) of 0 and 1, and ``X`` (obs, predictor).
    alpha_mean, alpha_sigma
        Prior of the intercept, Normal, in log odds.
    beta_mean, beta_sigma
        Prior of every slope, Normal, in log odds for one unit of the predictor.
    priors
        ``default``: those of the numbers above. ``scaled``: from the standard deviations of the predictors.

    Returns
    -------
    pm.Model
        Variables alpha, beta (predictor), p (obs) and y_obs (obs); of scaled priors alpha_at_mean too.

    Raises
    ------
    ConfigError
        If a prior's number is not finite, a scale is not above 0, or scaled priors come with numbers of their own.
    DataError
        If priors are to be scaled by what does not vary.

    References
    ----------
    Gelman, A., Jakulin, A., Pittau, M. G., Su, Y.-S. (2008). A weakly informative default prior distribution
    for logistic and other regression models. Annals of Applied Statistics 2, 1360-1383. doi:10.1214/08-AOAS191

    Goodrich, B., Gabry, J., Ali, I., Brilleman, S. (2020). Prior distributions for rstanarm models.
    https://mc-stan.org/rstanarm/articles/priors.html
    """
    given = {
        "alpha_mean": alpha_mean,
        "alpha_sigma": alpha_sigma,
        "beta_mean": beta_mean,
        "beta_sigma": beta_sigma,
    }
    if uses_scaled(build, priors, given):
        return _scaled(data)
    coords = {"obs": obs_labels(data, "y"), "predictor": data.coords["predictor"]}
    with pm.Model(coords=coords) as model:
        alpha = pm.Normal("alpha", number("alpha_mean", alpha_mean), positive("alpha_sigma", alpha_sigma))
        beta = pm.Normal("beta", number("beta_mean", beta_mean), positive("beta_sigma", beta_sigma), dims="predictor")
        log_odds = alpha + pm.math.dot(data["X"], beta)
        pm.Deterministic("p", pm.math.sigmoid(log_odds), dims="obs")
        pm.Bernoulli("y_obs", logit_p=log_odds, observed=data["y"], dims="obs")
    return model


def scaled_priors(data: Dataset, *, priors: str = "default", **_: Any) -> list[str]:
    """Write the priors that are scaled to a dataset for people; none where they are not."""
    if priors != "scaled":
        return []
    labels = data.coords["predictor"]
    return [
        normals("alpha_at_mean", 0.0, np.asarray(WIDE)),
        normals("beta", 0.0, WIDE / spread(data["X"], "X"), labels),
    ]


def _scaled(data: Dataset) -> pm.Model:
    X = data["X"]
    coords = {"obs": obs_labels(data, "y"), "predictor": data.coords["predictor"]}
    with pm.Model(coords=coords) as model:
        at_mean = pm.Normal("alpha_at_mean", 0.0, WIDE)
        beta = pm.Normal("beta", 0.0, WIDE / spread(X, "X"), dims="predictor")
        pm.Deterministic("alpha", at_mean - pm.math.dot(X.mean(axis=0), beta))
        log_odds = at_mean + pm.math.dot(X - X.mean(axis=0), beta)
        pm.Deterministic("p", pm.math.sigmoid(log_odds), dims="obs")
        pm.Bernoulli("y_obs", logit_p=log_odds, observed=data["y"], dims="obs")
    return model
