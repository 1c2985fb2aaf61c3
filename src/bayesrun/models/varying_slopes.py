"""An intercept and a slope for each category, without pooling between categories."""

from __future__ import annotations

from typing import Final

import pymc as pm

from bayesrun.models.inputs import number, obs_labels, positive
from bayesrun.types import Dataset, Role

__all__ = ["DATA", "build"]

DATA: Final[dict[str, Role]] = {
    "y": Role("real", "outcome; its prior expects values near 1"),
    "x": Role("real", "predictor; centred by the model"),
    "group": Role("category", "category of each row"),
}


def build(
    data: Dataset,
    *,
    a_mean: float = 1.0,
    a_sigma: float = 0.2,
    b_mean: float = 0.0,
    b_sigma: float = 0.3,
    sigma_rate: float = 1.0,
) -> pm.Model:
    r"""Build a regression with an intercept and a slope for each category.

    .. math::

        y_i \sim N(\mu_i, \sigma), \quad \mu_i = a_{g(i)} + b_{g(i)} (x_i - \bar x)

    Parameters
    ----------
    data
        Arrays ``y``, ``x`` and ``group``, all (obs,).
    a_mean, a_sigma
        Prior of every intercept (the expectation at the mean of x), Normal, in units of y.
    b_mean, b_sigma
        Prior of every slope, Normal, in units of y for one unit of x.
    sigma_rate
        Rate of the exponential prior of the noise's standard deviation, in 1 / units of y.

    Returns
    -------
    pm.Model
        Variables a (group), b (group), sigma, mu (obs) and y_obs (obs).

    Raises
    ------
    ConfigError
        If a prior's number is not finite, or a scale is not above 0.

    References
    ----------
    McElreath, R. (2020). Statistical Rethinking, 2nd edition, section 8.1. CRC Press. doi:10.1201/9780429029608
    """
    group = data["group"]
    x = data["x"] - data["x"].mean()
    with pm.Model(coords={"obs": obs_labels(data, "y"), "group": data.coords["group"]}) as model:
        a = pm.Normal("a", number("a_mean", a_mean), positive("a_sigma", a_sigma), dims="group")
        b = pm.Normal("b", number("b_mean", b_mean), positive("b_sigma", b_sigma), dims="group")
        sigma = pm.Exponential("sigma", positive("sigma_rate", sigma_rate))
        mu = pm.Deterministic("mu", a[group] + b[group] * x, dims="obs")
        pm.Normal("y_obs", mu, sigma, observed=data["y"], dims="obs")
    return model


def scaled(data: Dataset) -> pm.Model:
    r"""Build the regression whose priors have the scales of the data: each category has those of rstanarm.

    With m and s the mean and the standard deviation of y, and of x, over all categories:

    .. math::

        a_j \sim N(m_y, 2.5 s_y), \quad b_j \sim N(0, 2.5 s_y / s_x), \quad \sigma \sim \mathrm{Exponential}(1 / s_y)

    They are those that rstanarm states for an intercept at the mean of the predictor, a slope and the noise. The priors
    use the outcome, so that no data can be simulated from this model.

    Parameters
    ----------
    data
        Arrays ``y``, ``x`` and ``group``, all (obs,).

    Returns
    -------
    pm.Model
        The variables of `build`.

    Raises
    ------
    DataError
        If y or x does not vary.

    References
    ----------
    Goodrich, B., Gabry, J., Ali, I., Brilleman, S. (2020). Prior distributions for rstanarm models.
    https://mc-stan.org/rstanarm/articles/priors.html
    """
    # imported here: what is run at import is part of the keys of fits of simulated data
    from bayesrun.models.inputs import WIDE, spread

    sd, of_x = float(spread(data["y"], "y")), float(spread(data["x"], "x"))
    return build(data, a_mean=data["y"].mean(), a_sigma=WIDE * sd, b_sigma=WIDE * sd / of_x, sigma_rate=1.0 / sd)


def scaled_priors(data: Dataset) -> list[str]:
    """Write the priors of `scaled` for people."""
    from bayesrun.models.inputs import WIDE, normals, spread

    sd, of_x = float(spread(data["y"], "y")), float(spread(data["x"], "x"))
    return [
        normals("every a", data["y"].mean(), WIDE * sd),
        normals("every b", 0.0, WIDE * sd / of_x),
        f"sigma ~ Exponential(rate {1.0 / sd:.4g})",
    ]
