"""Groups with exchangeable means, non-centred or centred. The standard errors of the rows may be known."""

from __future__ import annotations

from typing import Final, Literal

import pymc as pm

from bayesrun.errors import ConfigError
from bayesrun.models.inputs import number, obs_labels, positive
from bayesrun.types import Dataset, Role

__all__ = ["DATA", "build"]

DATA: Final[dict[str, Role]] = {
    "y": Role("real", "outcome, or an estimate for each row"),
    "group": Role("category", "group of each row"),
    "sigma": Role(
        "positive", "known standard error of each row; estimated as one number when absent", optional=True, unit="y"
    ),
}


def build(
    data: Dataset,
    *,
    mu_mean: float = 0.0,
    mu_sigma: float = 5.0,
    tau_scale: float = 2.5,
    sigma_scale: float = 1.0,
    parameterization: Literal["noncentered", "centered"] = "noncentered",
) -> pm.Model:
    r"""Build a hierarchical model of group means.

    .. math::

        y_i \sim N(\theta_{g(i)}, \sigma_i), \quad \theta_j = \mu + \tau z_j, \quad z_j \sim N(0, 1)

    The centred form draws :math:`\theta_j \sim N(\mu, \tau)` directly: the same posterior in another geometry,
    better for NUTS only where every group is known precisely.

    Parameters
    ----------
    data
        Arrays ``y`` (obs,), ``group`` (obs,) and, if the standard errors are known, ``sigma`` (obs,).
    mu_mean, mu_sigma
        Prior of the mean of the groups, Normal, in units of y.
    tau_scale
        Prior of the standard deviation between groups, HalfCauchy, in units of y.
    sigma_scale
        Prior of the standard deviation within groups, HalfNormal, in units of y; used when ``sigma`` is absent.
    parameterization
        ``noncentered`` or ``centered``.

    Returns
    -------
    pm.Model
        Variables mu, tau, theta_raw (group; non-centred only), theta (group), sigma_y (only without known standard
        errors) and y_obs (obs).

    Raises
    ------
    ConfigError
        If a prior's number is not finite, a scale is not above 0 or the parameterization is unknown.

    References
    ----------
    Rubin, D. B. (1981). Estimation in parallel randomized experiments. Journal of Educational Statistics 6,
    377-401. doi:10.3102/10769986006004377

    Betancourt, M., Girolami, M. (2015). Hamiltonian Monte Carlo for hierarchical models. In Current Trends in
    Bayesian Methodology with Applications. doi:10.1201/b18502-5
    """
    if parameterization not in ("noncentered", "centered"):
        raise ConfigError(f"model.parameterization={parameterization!r}: want noncentered or centered")
    coords = {"obs": obs_labels(data, "y"), "group": data.coords["group"]}
    with pm.Model(coords=coords) as model:
        mu = pm.Normal("mu", number("mu_mean", mu_mean), positive("mu_sigma", mu_sigma))
        tau = pm.HalfCauchy("tau", positive("tau_scale", tau_scale))
        if parameterization == "centered":
            theta = pm.Normal("theta", mu, tau, dims="group")
        else:
            theta_raw = pm.Normal("theta_raw", 0.0, 1.0, dims="group")
            theta = pm.Deterministic("theta", mu + tau * theta_raw, dims="group")
        sigma = data["sigma"] if "sigma" in data else pm.HalfNormal("sigma_y", positive("sigma_scale", sigma_scale))
        pm.Normal("y_obs", theta[data["group"]], sigma, observed=data["y"], dims="obs")
    return model
