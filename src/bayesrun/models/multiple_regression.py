"""Regression on standardised predictors, to find masked and spurious associations.

It standardises the predictors but not y, because a model that rescales its outcome cannot simulate it.
"""

from __future__ import annotations

from typing import Final

import pymc as pm

from bayesrun.models.inputs import number, obs_labels, positive, standard_scores
from bayesrun.types import Dataset, Role

__all__ = ["DATA", "build"]

DATA: Final[dict[str, Role]] = {
    "y": Role("real", "outcome, standardised"),
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
) -> pm.Model:
    r"""Build a multiple regression on standard scores.

    .. math::

        y_i \sim N(\mu_i, \sigma), \quad \mu_i = a + \sum_k \beta_k z_{ik}, \quad
        z_{ik} = (x_{ik} - \bar x_k) / s_k

    The default priors expect a standardised y: then a slope is a partial correlation's scale, and a predictor whose
    slope vanishes beside another one was only a proxy for it.

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

    Returns
    -------
    pm.Model
        Variables a, beta (predictor), sigma, mu (obs) and y_obs (obs).

    Raises
    ------
    ConfigError
        If a prior's number is not finite, or a scale is not above 0.
    DataError
        If a predictor has one value only.

    References
    ----------
    McElreath, R. (2020). Statistical Rethinking, 2nd edition, chapter 5. CRC Press. doi:10.1201/9780429029608
    """
    z = standard_scores(data["X"], "X")
    coords = {"obs": obs_labels(data, "y"), "predictor": data.coords["predictor"]}
    with pm.Model(coords=coords) as model:
        a = pm.Normal("a", number("a_mean", a_mean), positive("a_sigma", a_sigma))
        beta = pm.Normal("beta", number("beta_mean", beta_mean), positive("beta_sigma", beta_sigma), dims="predictor")
        sigma = pm.Exponential("sigma", positive("sigma_rate", sigma_rate))
        mu = pm.Deterministic("mu", a + pm.math.dot(z, beta), dims="obs")
        pm.Normal("y_obs", mu, sigma, observed=data["y"], dims="obs")
    return model


def scaled(data: Dataset) -> pm.Model:
    r"""Build a multiple regression on standard scores whose priors have the scale of y, as those of rstanarm.

    With m and s the mean and the standard deviation of y, which may be in its own unit:

    .. math::

        a \sim N(m_y, 2.5 s_y), \quad \beta_k \sim N(0, 2.5 s_y), \quad \sigma \sim \mathrm{Exponential}(1 / s_y)

    The priors use the outcome, so that no data can be simulated from this model.

    Parameters
    ----------
    data
        Arrays ``y`` (obs,) and ``X`` (obs, predictor).

    Returns
    -------
    pm.Model
        The variables of `build`.

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

    sd = float(spread(data["y"], "y"))
    return build(data, a_mean=data["y"].mean(), a_sigma=WIDE * sd, beta_sigma=WIDE * sd, sigma_rate=1.0 / sd)


def scaled_priors(data: Dataset) -> list[str]:
    """Write the priors of `scaled` for people."""
    from bayesrun.models.inputs import WIDE, normals, spread

    sd = float(spread(data["y"], "y"))
    return [
        normals("a", data["y"].mean(), WIDE * sd),
        normals("every beta", 0.0, WIDE * sd),
        f"sigma ~ Exponential(rate {1.0 / sd:.4g})",
    ]
