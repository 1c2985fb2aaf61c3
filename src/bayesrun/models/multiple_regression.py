"""Regression on standardised predictors, to find masked and spurious associations.

It standardises the predictors but not y, because a model that rescales its outcome cannot simulate it.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import pymc as pm

from bayesrun.models.inputs import (
    WIDE,
    normals,
    number,
    obs_labels,
    positive,
    spread,
    standard_scores,
    uses_scaled,
)
from bayesrun.types import Dataset, Role

__all__ = ["DATA", "build", "scaled_priors"]

DATA: Final[dict[str, Role]] = {
    "y": Role("real", "outcome, standardised for the default priors"),
    "X": Role("predictors", "predictors, one column each; standardised by the model"),
}


def build(
    data: Dataset,
    *,
    a_mean: float = 0.0,
    a_sigma: float = 0.2,
    beta_mean: float = 0.0,
    beta_sigma: float = 0.5,
    sigma_rate: float = 1.0,
    priors: Literal["default", "scaled"] = "default",
) -> pm.Model:
    r"""Build a multiple regression on standard scores.

    .. math::

        y_i \sim N(\mu_i, \sigma), \quad \mu_i = a + \sum_k \beta_k z_{ik}, \quad
        z_{ik} = (x_{ik} - \bar x_k) / s_k

    The default priors expect a standardised y: then a slope is a partial correlation's scale, and a predictor whose
    slope vanishes beside another one was only a proxy for it. Scaled priors take y in its own unit, and are those of
    rstanarm, with m and s its mean and standard deviation:

    .. math::

        a \sim N(m_y, 2.5 s_y), \quad \beta_k \sim N(0, 2.5 s_y), \quad \sigma \sim \mathrm{Exponential}(1 / s_y)

    They use the outcome, so that no data can be simulated from such a model.

    Parameters
    ----------
    data
        Arrays ``y`` (obs,) and ``X`` (obs, predictor).
    a_mean, a_sigma
        Prior of the intercept, Normal, in units of y.
    beta_mean, beta_sigma
        Prior of every slope, Normal, in units of y for one standard deviation of the predictor.
    sigma_rate
        Rate of the exponential prior of the noise's standard deviation, in 1 / units of y.
    priors
        ``default``: those of the numbers above. ``scaled``: from the mean and standard deviation of y.

    Returns
    -------
    pm.Model
        Variables a, beta (predictor), sigma, mu (obs) and y_obs (obs).

    Raises
    ------
    ConfigError
        If a prior's number is not finite, a scale is not above 0, or scaled priors come with numbers of their own.
    DataError
        If a predictor has one value only, or y where priors are to be scaled by it.

    References
    ----------
    McElreath, R. (2020). Statistical Rethinking, 2nd edition, chapter 5. CRC Press. doi:10.1201/9780429029608

    Goodrich, B., Gabry, J., Ali, I., Brilleman, S. (2020). Prior distributions for rstanarm models.
    https://mc-stan.org/rstanarm/articles/priors.html
    """
    given = {
        "a_mean": a_mean,
        "a_sigma": a_sigma,
        "beta_mean": beta_mean,
        "beta_sigma": beta_sigma,
        "sigma_rate": sigma_rate,
    }
    if uses_scaled(build, priors, given):
        sd = float(spread(data["y"], "y"))
        a_mean, a_sigma, beta_mean, beta_sigma = float(np.mean(data["y"])), WIDE * sd, 0.0, WIDE * sd
        sigma_rate = 1.0 / sd
    z = standard_scores(data["X"], "X")
    coords = {"obs": obs_labels(data, "y"), "predictor": data.coords["predictor"]}
    with pm.Model(coords=coords) as model:
        a = pm.Normal("a", number("a_mean", a_mean), positive("a_sigma", a_sigma))
        beta = pm.Normal("beta", number("beta_mean", beta_mean), positive("beta_sigma", beta_sigma), dims="predictor")
        sigma = pm.Exponential("sigma", positive("sigma_rate", sigma_rate))
        mu = pm.Deterministic("mu", a + pm.math.dot(z, beta), dims="obs")
        pm.Normal("y_obs", mu, sigma, observed=data["y"], dims="obs")
    return model


def scaled_priors(data: Dataset, *, priors: str = "default", **_: Any) -> list[str]:
    """Write the priors that are scaled to a dataset for people; none where they are not."""
    if priors != "scaled":
        return []
    sd = float(spread(data["y"], "y"))
    return [
        normals("a", float(np.mean(data["y"])), np.asarray(WIDE * sd)),
        normals("every beta", 0.0, np.asarray(WIDE * sd)),
        f"sigma ~ Exponential(rate {1.0 / sd:.4g})",
    ]
