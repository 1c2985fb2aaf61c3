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
