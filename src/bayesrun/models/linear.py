"""Linear regression with Gaussian noise. It scales no data; its priors may be scaled to them."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import pymc as pm

from bayesrun.models.inputs import WIDE, normals, number, obs_labels, positive, spread, uses_scaled
from bayesrun.types import Dataset, Role

__all__ = ["DATA", "build", "scaled_priors"]

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
    priors: Literal["default", "scaled"] = "default",
) -> pm.Model:
    r"""Build a linear regression.

    .. math::

        y_i \sim N(\mu_i, \sigma), \quad \mu_i = \alpha + x_i^\top \beta

    Scaled priors are those of rstanarm, with m and s the mean and the standard deviation of a column:

    .. math::

        \alpha + \bar x^\top \beta \sim N(m_y, 2.5 s_y), \quad \beta_k \sim N(0, 2.5 s_y / s_k), \quad
        \sigma \sim \mathrm{Exponential}(1 / s_y)

    They are about the intercept at the mean of the predictors, ``alpha_at_mean``, which is drawn, and alpha is worked
    out from it. They use the outcome, so that no data can be simulated from such a model.

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
    priors
        ``default``: those of the numbers above. ``scaled``: from the means and standard deviations of the data.

    Returns
    -------
    pm.Model
        Variables alpha, beta (predictor), sigma, mu (obs) and y_obs (obs); of scaled priors alpha_at_mean too.

    Raises
    ------
    ConfigError
        If a prior's number is not finite, a scale is not above 0, or scaled priors come with numbers of their own.
    DataError
        If priors are to be scaled by what does not vary.

    References
    ----------
    Gelman, A., Hill, J., Vehtari, A. (2020). Regression and Other Stories. Cambridge University Press.
    doi:10.1017/9781139161879

    Goodrich, B., Gabry, J., Ali, I., Brilleman, S. (2020). Prior distributions for rstanarm models.
    https://mc-stan.org/rstanarm/articles/priors.html
    """
    given = {
        "alpha_mean": alpha_mean,
        "alpha_sigma": alpha_sigma,
        "beta_mean": beta_mean,
        "beta_sigma": beta_sigma,
        "sigma_scale": sigma_scale,
    }
    if uses_scaled(build, priors, given):
        return _scaled(data)
    coords = {"obs": obs_labels(data, "y"), "predictor": data.coords["predictor"]}
    with pm.Model(coords=coords) as model:
        alpha = pm.Normal("alpha", number("alpha_mean", alpha_mean), positive("alpha_sigma", alpha_sigma))
        beta = pm.Normal("beta", number("beta_mean", beta_mean), positive("beta_sigma", beta_sigma), dims="predictor")
        sigma = pm.HalfNormal("sigma", positive("sigma_scale", sigma_scale))
        mu = pm.Deterministic("mu", alpha + pm.math.dot(data["X"], beta), dims="obs")
        pm.Normal("y_obs", mu, sigma, observed=data["y"], dims="obs")
    return model


def scaled_priors(data: Dataset, *, priors: str = "default", **_: Any) -> list[str]:
    """Write the priors that are scaled to a dataset for people; none where they are not."""
    if priors != "scaled":
        return []
    y, labels = data["y"], data.coords["predictor"]
    sd = float(spread(y, "y"))
    return [
        normals("alpha_at_mean", float(np.mean(y)), np.asarray(WIDE * sd)),
        normals("beta", 0.0, WIDE * sd / spread(data["X"], "X"), labels),
        f"sigma ~ Exponential(rate {1.0 / sd:.4g})",
    ]


def _scaled(data: Dataset) -> pm.Model:
    y, X = data["y"], data["X"]
    sd = float(spread(y, "y"))
    coords = {"obs": obs_labels(data, "y"), "predictor": data.coords["predictor"]}
    with pm.Model(coords=coords) as model:
        at_mean = pm.Normal("alpha_at_mean", float(np.mean(y)), WIDE * sd)
        beta = pm.Normal("beta", 0.0, WIDE * sd / spread(X, "X"), dims="predictor")
        sigma = pm.Exponential("sigma", 1.0 / sd)
        pm.Deterministic("alpha", at_mean - pm.math.dot(X.mean(axis=0), beta))
        mu = pm.Deterministic("mu", at_mean + pm.math.dot(X - X.mean(axis=0), beta), dims="obs")
        pm.Normal("y_obs", mu, sigma, observed=y, dims="obs")
    return model
