"""Logistic regression of a binary outcome. It neither centres nor scales its data."""

from __future__ import annotations

from typing import Final

import pymc as pm

from bayesrun.models.inputs import number, obs_labels, positive
from bayesrun.types import Dataset, Role

__all__ = ["DATA", "build"]

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
) -> pm.Model:
    r"""Build a logistic regression.

    .. math::

        y_i \sim \mathrm{Bernoulli}(p_i), \quad \log \frac{p_i}{1 - p_i} = \alpha + x_i^\top \beta

    The density is computed from the log odds, so that it stays finite where p rounds to 0 or 1.

    Parameters
    ----------
    data
        Arrays ``y`` (obs,) of 0 and 1, and ``X`` (obs, predictor).
    alpha_mean, alpha_sigma
        Prior of the intercept, Normal, in log odds.
    beta_mean, beta_sigma
        Prior of every slope, Normal, in log odds for one unit of the predictor.

    Returns
    -------
    pm.Model
        Variables alpha, beta (predictor), p (obs) and y_obs (obs).

    Raises
    ------
    ConfigError
        If a prior's number is not finite, or a scale is not above 0.

    References
    ----------
    Gelman, A., Jakulin, A., Pittau, M. G., Su, Y.-S. (2008). A weakly informative default prior distribution
    for logistic and other regression models. Annals of Applied Statistics 2, 1360-1383. doi:10.1214/08-AOAS191
    """
    coords = {"obs": obs_labels(data, "y"), "predictor": data.coords["predictor"]}
    with pm.Model(coords=coords) as model:
        alpha = pm.Normal("alpha", number("alpha_mean", alpha_mean), positive("alpha_sigma", alpha_sigma))
        beta = pm.Normal("beta", number("beta_mean", beta_mean), positive("beta_sigma", beta_sigma), dims="predictor")
        log_odds = alpha + pm.math.dot(data["X"], beta)
        pm.Deterministic("p", pm.math.sigmoid(log_odds), dims="obs")
        pm.Bernoulli("y_obs", logit_p=log_odds, observed=data["y"], dims="obs")
    return model


def scaled(data: Dataset) -> pm.Model:
    r"""Build a logistic regression whose priors have the scales of the predictors, as those of rstanarm.

    With s the standard deviation of a predictor:

    .. math::

        \alpha + \bar x^\top \beta \sim N(0, 2.5), \quad \beta_k \sim N(0, 2.5 / s_k)

    The intercept at the mean of the predictors, ``alpha_at_mean``, is drawn, and alpha worked out from it. The priors
    do not use the outcome, so that data can be simulated.

    Parameters
    ----------
    data
        Arrays ``y`` (obs,) of 0 and 1, and ``X`` (obs, predictor).

    Returns
    -------
    pm.Model
        The variables of `build`, and alpha_at_mean.

    Raises
    ------
    DataError
        If a predictor does not vary.

    References
    ----------
    Goodrich, B., Gabry, J., Ali, I., Brilleman, S. (2020). Prior distributions for rstanarm models.
    https://mc-stan.org/rstanarm/articles/priors.html
    """
    # imported here: what is run at import is part of the keys of fits of simulated data
    from bayesrun.models.inputs import WIDE, spread

    X, centre = data["X"], data["X"].mean(axis=0)
    coords = {"obs": obs_labels(data, "y"), "predictor": data.coords["predictor"]}
    with pm.Model(coords=coords) as model:
        at_mean = pm.Normal("alpha_at_mean", 0.0, WIDE)
        beta = pm.Normal("beta", 0.0, WIDE / spread(X, "X"), dims="predictor")
        pm.Deterministic("alpha", at_mean - pm.math.dot(centre, beta))
        log_odds = at_mean + pm.math.dot(X - centre, beta)
        pm.Deterministic("p", pm.math.sigmoid(log_odds), dims="obs")
        pm.Bernoulli("y_obs", logit_p=log_odds, observed=data["y"], dims="obs")
    return model


def scaled_priors(data: Dataset) -> list[str]:
    """Write the priors of `scaled` for people."""
    from bayesrun.models.inputs import WIDE, normals, spread

    return [
        normals("alpha_at_mean", 0.0, WIDE),
        normals("beta", 0.0, WIDE / spread(data["X"], "X"), data.coords["predictor"]),
    ]
