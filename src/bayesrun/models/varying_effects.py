"""Correlated intercepts and slopes of groups, partially pooled, non-centred or centred."""

from __future__ import annotations

from typing import Final, Literal

import pymc as pm

from bayesrun.errors import ConfigError
from bayesrun.models.inputs import number, obs_labels, positive
from bayesrun.types import Dataset, Role

__all__ = ["DATA", "build"]

DATA: Final[dict[str, Role]] = {
    "y": Role("real", "outcome; the default priors expect standard scores"),
    "x": Role("real", "predictor; centred by the model"),
    "group": Role("category", "group of each row"),
}


def build(
    data: Dataset,
    *,
    alpha_mean: float = 0.0,
    alpha_sigma: float = 1.0,
    beta_mean: float = 0.0,
    beta_sigma: float = 1.0,
    sd_rate: float = 1.0,
    lkj_eta: float = 2.0,
    sigma_rate: float = 1.0,
    parameterization: Literal["noncentered", "centered"] = "noncentered",
) -> pm.Model:
    r"""Build a regression whose intercepts and slopes vary together between groups.

    .. math::

        y_i \sim N(\mu_i, \sigma), \quad \mu_i = a_{g(i)} + b_{g(i)} (x_i - \bar x), \quad
        \binom{a_j}{b_j} = \binom{\alpha}{\beta} + L z_j, \quad z_j \sim N(0, I)

    .. math::

        L = \begin{pmatrix} s_1 & 0 \\ s_2 \rho & s_2 \sqrt{1 - \rho^2} \end{pmatrix}, \quad
        s_k \sim \mathrm{Exponential}, \quad \rho \sim \mathrm{LKJ}(\eta)

    The LKJ density of a 2 x 2 correlation matrix is proportional to :math:`(1 - \rho^2)^{\eta - 1}`, so that
    :math:`(\rho + 1) / 2 \sim \mathrm{Beta}(\eta, \eta)`. It is written in that form because PyMC's general
    form needs a loop, whose compilation takes longer than the fit.

    The centred form draws a and b themselves, b given a. It is the same posterior in another geometry, better for NUTS
    where the groups are known precisely, as with many observations in each and little noise.

    Parameters
    ----------
    data
        Arrays ``y``, ``x`` and ``group``, all (obs,).
    alpha_mean, alpha_sigma
        Prior of the mean intercept (the expectation at the mean of x), Normal, in units of y.
    beta_mean, beta_sigma
        Prior of the mean slope, Normal, in units of y for one unit of x.
    sd_rate
        Rate of the exponential prior of both standard deviations between groups.
    lkj_eta
        Shape of the LKJ prior of the correlation: 1 is uniform, larger values favour small correlations.
    sigma_rate
        Rate of the exponential prior of the noise's standard deviation, in 1 / units of y.
    parameterization
        ``noncentered`` or ``centered``.

    Returns
    -------
    pm.Model
        Variables alpha, beta, sd (effect), rho_unit, which is (rho + 1) / 2, rho (the correlation of intercepts and
        slopes), z (effect, group; non-centred only), a (group), b (group), sigma, mu (obs) and y_obs (obs).

    Raises
    ------
    ConfigError
        If a prior's number is not finite, a scale is not above 0 or the parameterization is unknown.

    References
    ----------
    Lewandowski, D., Kurowicka, D., Joe, H. (2009). Generating random correlation matrices based on vines and
    extended onion method. Journal of Multivariate Analysis 100, 1989-2001. doi:10.1016/j.jmva.2009.04.008

    Gelfand, A. E., Hills, S. E., Racine-Poon, A., Smith, A. F. M. (1990). Illustration of Bayesian inference in
    normal data models using Gibbs sampling. Journal of the American Statistical Association 85, 972-985.
    doi:10.1080/01621459.1990.10474968
    """
    return _model(
        data,
        normals=(
            (number("alpha_mean", alpha_mean), positive("alpha_sigma", alpha_sigma)),
            (number("beta_mean", beta_mean), positive("beta_sigma", beta_sigma)),
        ),
        sd_rates=positive("sd_rate", sd_rate),
        eta=positive("lkj_eta", lkj_eta),
        sigma_rate=positive("sigma_rate", sigma_rate),
        parameterization=parameterization,
    )


def scaled(data: Dataset, *, parameterization: Literal["noncentered", "centered"] = "noncentered") -> pm.Model:
    r"""Build the regression whose priors have the scales of the data, as those of rstanarm.

    With m and s the mean and the standard deviation of y, and of x:

    .. math::

        \alpha \sim N(m_y, 2.5 s_y), \quad \beta \sim N(0, 2.5 s_y / s_x), \quad
        \sigma \sim \mathrm{Exponential}(1 / s_y)

    .. math::

        s_1 \sim \mathrm{Exponential}(1 / s_y), \quad s_2 \sim \mathrm{Exponential}(s_x / s_y), \quad
        \rho \sim \mathrm{LKJ}(1)

    The first three are those of rstanarm. Its priors of groups (``decov``) are a uniform correlation matrix and an
    Exponential(1) standard deviation too, in units of the noise; here the unit is that of the data, as for the slopes,
    so that a change of the unit of x or y changes nothing else. The priors use the outcome, so that no data can be
    simulated from this model.

    Parameters
    ----------
    data
        Arrays ``y``, ``x`` and ``group``, all (obs,).
    parameterization
        ``noncentered`` or ``centered``.

    Returns
    -------
    pm.Model
        The variables of `build`.

    Raises
    ------
    ConfigError
        If the parameterization is unknown.
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
    return _model(
        data,
        normals=((data["y"].mean(), WIDE * sd), (0.0, WIDE * sd / of_x)),
        sd_rates=[1.0 / sd, of_x / sd],
        eta=1.0,
        sigma_rate=1.0 / sd,
        parameterization=parameterization,
    )


def scaled_priors(data: Dataset, *, parameterization: str = "noncentered") -> list[str]:
    """Write the priors of `scaled` for people."""
    from bayesrun.models.inputs import WIDE, normals, spread

    del parameterization
    sd, of_x = float(spread(data["y"], "y")), float(spread(data["x"], "x"))
    return [
        normals("alpha", data["y"].mean(), WIDE * sd),
        normals("beta", 0.0, WIDE * sd / of_x),
        f"sd[intercept] ~ Exponential(rate {1.0 / sd:.4g})",
        f"sd[slope] ~ Exponential(rate {of_x / sd:.4g})",
        "rho ~ LKJ(1)",
        f"sigma ~ Exponential(rate {1.0 / sd:.4g})",
    ]


def _model(
    data: Dataset,
    *,
    normals: tuple[tuple[float, float], tuple[float, float]],
    sd_rates: float | list[float],
    eta: float,
    sigma_rate: float,
    parameterization: str,
) -> pm.Model:
    """Build the model: mean and standard deviation of the priors of alpha and beta, and the numbers of the others."""
    if parameterization not in ("noncentered", "centered"):
        raise ConfigError(f"model.parameterization={parameterization!r}: want noncentered or centered")
    group = data["group"]
    x = data["x"] - data["x"].mean()
    coords = {
        "obs": obs_labels(data, "y"),
        "group": data.coords["group"],
        "effect": ("intercept", "slope"),
    }
    with pm.Model(coords=coords) as model:
        alpha = pm.Normal("alpha", *normals[0])
        beta = pm.Normal("beta", *normals[1])
        sd = pm.Exponential("sd", sd_rates, dims="effect")
        rho = pm.Deterministic("rho", 2.0 * pm.Beta("rho_unit", eta, eta) - 1.0)
        rest = pm.math.sqrt(1.0 - rho**2)
        if parameterization == "centered":
            a = pm.Normal("a", alpha, sd[0], dims="group")
            b = pm.Normal("b", beta + sd[1] * rho * (a - alpha) / sd[0], sd[1] * rest, dims="group")
        else:
            z = pm.Normal("z", 0.0, 1.0, dims=("effect", "group"))
            a = pm.Deterministic("a", alpha + sd[0] * z[0], dims="group")
            b = pm.Deterministic("b", beta + sd[1] * (rho * z[0] + rest * z[1]), dims="group")
        sigma = pm.Exponential("sigma", sigma_rate)
        mu = pm.Deterministic("mu", a[group] + b[group] * x, dims="obs")
        pm.Normal("y_obs", mu, sigma, observed=data["y"], dims="obs")
    return model
