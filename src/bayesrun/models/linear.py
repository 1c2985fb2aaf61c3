"""Linear regression with Gaussian noise. It neither centres nor scales its data."""

from __future__ import annotations

from typing import Final

import pymc as pm

from bayesrun.models.inputs import number, obs_labels, positive
from bayesrun.types import Dataset, Role

__all__ = ["DATA", "build"]

DATA: Final[dict[str, Role]] = {
    "y": Role("real", "outcome"),
    "X": Role("predictors", "predictors, one column each"),
}


def build(
    data: Dataset,
    *,
    alpha_mean: float = 0.0,
    alpha_sigma: float = 10.0,
    beta_mean: float = 0.0,
    beta_sigma: float = 5.0,
    sigma_scale: float = 1.0,
) -> pm.Model:
    r"""Build a linear regression.

    .. math::

        y_i \sim N(\mu_i, \sigma), \quad \mu_i = \alpha + x_i^\top \beta

    Parameters
    ----------
    data
        Arrays ``y`` (obs,) and ``X`` (obs, predictor).
    alpha_mean, alpha_sigma
        Prior of the intercept, Normal, in units of y.
    beta_mean, beta_sigma
        Prior of every slope, Normal, in units of y for one unit of the predictor.
    sigma_scale
        Prior of the noise's standard deviation, HalfNormal, in units of y.

    Returns
    -------
    pm.Model
        Variables alpha, beta (predictor), sigma, mu (obs) and y_obs (obs).

    Raises
    ------
    ConfigError
        If a prior's number is not finite, or a scale is not above 0.

    References
    ----------
    Gelman, A., Hill, J., Vehtari, A. (2020). Regression and Other Stories. Cambridge University Press.
    doi:10.1017/9781139161879
    """
    coords = {"obs": obs_labels(data, "y"), "predictor": data.coords["predictor"]}
    with pm.Model(coords=coords) as model:
        alpha = pm.Normal("alpha", number("alpha_mean", alpha_mean), positive("alpha_sigma", alpha_sigma))
        beta = pm.Normal("beta", number("beta_mean", beta_mean), positive("beta_sigma", beta_sigma), dims="predictor")
        sigma = pm.HalfNormal("sigma", positive("sigma_scale", sigma_scale))
        mu = pm.Deterministic("mu", alpha + pm.math.dot(data["X"], beta), dims="obs")
        pm.Normal("y_obs", mu, sigma, observed=data["y"], dims="obs")
    return model


def scaled(data: Dataset) -> pm.Model:
    r"""Build a linear regression whose priors have the scales of the data, as those of rstanarm.

    With m and s the mean and the standard deviation of a column:

    .. math::

        \alpha + \bar x^\top \beta \sim N(m_y, 2.5 s_y), \quad \beta_k \sim N(0, 2.5 s_y / s_k), \quad
        \sigma \sim \mathrm{Exponential}(1 / s_y)

    The intercept at the mean of the predictors, ``alpha_at_mean``, is drawn, and alpha worked out from it. The priors
    use the outcome, so that no data can be simulated from this model.

    Parameters
    ----------
    data
        Arrays ``y`` (obs,) and ``X`` (obs, predictor).

    Returns
    -------
    pm.Model
        The variables of `build`, and alpha_at_mean.

    Raises
    ------
    DataError
        If y or a predictor does not vary.

    References
    ----------
    Goodrich, B., Gabry, J., Ali, I., Brilleman, S. (2020). Prior distributions for rstanarm models.
    https://mc-stan.org/rstanarm/articles/priors.html
    """
    # imported here: what is run at import is part of the keys of fits of simulated data
    from bayesrun.models.inputs import WIDE, spread

    y, X = data["y"], data["X"]
    sd, centre = spread(y, "y"), X.mean(axis=0)
    coords = {"obs": obs_labels(data, "y"), "predictor": data.coords["predictor"]}
    with pm.Model(coords=coords) as model:
        at_mean = pm.Normal("alpha_at_mean", y.mean(), WIDE * sd)
        beta = pm.Normal("beta", 0.0, WIDE * sd / spread(X, "X"), dims="predictor")
        sigma = pm.Exponential("sigma", 1.0 / sd)
        pm.Deterministic("alpha", at_mean - pm.math.dot(centre, beta))
        mu = pm.Deterministic("mu", at_mean + pm.math.dot(X - centre, beta), dims="obs")
        pm.Normal("y_obs", mu, sigma, observed=y, dims="obs")
    return model


def scaled_priors(data: Dataset) -> list[str]:
    """Write the priors of `scaled` for people."""
    from bayesrun.models.inputs import WIDE, normals, spread

    sd = float(spread(data["y"], "y"))
    return [
        normals("alpha_at_mean", data["y"].mean(), WIDE * sd),
        normals("beta", 0.0, WIDE * sd / spread(data["X"], "X"), data.coords["predictor"]),
        f"sigma ~ Exponential(rate {1.0 / sd:.4g})",
    ]
