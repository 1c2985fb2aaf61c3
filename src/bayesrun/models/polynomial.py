"""Polynomial regression on one standardised predictor, with a rising first-order term."""

from __future__ import annotations

from typing import Final

import pymc as pm

from bayesrun.errors import ConfigError
from bayesrun.models.inputs import number, obs_labels, positive, standard_scores
from bayesrun.types import Dataset, Role

__all__ = ["DATA", "build"]

DATA: Final[dict[str, Role]] = {
    "y": Role("real", "outcome"),
    "x": Role("real", "predictor; standardised by the model"),
}


def build(
    data: Dataset,
    *,
    degree: int = 2,
    a_mean: float = 178.0,
    a_sigma: float = 100.0,
    b1_mu: float = 0.0,
    b1_sigma: float = 1.0,
    b_mean: float = 0.0,
    b_sigma: float = 1.0,
    sigma_upper: float = 50.0,
) -> pm.Model:
    r"""Build a polynomial regression.

    .. math::

        y_i \sim N(\mu_i, \sigma), \quad \mu_i = a + \sum_{k=1}^{d} b_k z_i^k, \quad
        z_i = (x_i - \bar x) / s_x

    Parameters
    ----------
    data
        Arrays ``y`` and ``x``, both (obs,).
    degree
        The highest power d, at least 1.
    a_mean, a_sigma
        Prior of the intercept, Normal, in units of y.
    b1_mu, b1_sigma
        Prior of b1, LogNormal (positive: y rises with x), mean and standard deviation of log b1.
    b_mean, b_sigma
        Prior of b2, b3, ..., Normal, in units of y.
    sigma_upper
        Upper bound of the uniform prior of the noise's standard deviation, in units of y.

    Returns
    -------
    pm.Model
        Variables a, b1, ..., b<degree>, sigma, mu (obs) and y_obs (obs).

    Raises
    ------
    ConfigError
        If the degree is below 1, a prior's number is not finite or a scale is not above 0.
    DataError
        If x has one value only.

    References
    ----------
    McElreath, R. (2020). Statistical Rethinking, 2nd edition, section 4.5. CRC Press. doi:10.1201/9780429029608
    """
    if degree != int(degree) or degree < 1:
        raise ConfigError(f"model.degree={degree!r}: want a whole number of at least 1")
    z = standard_scores(data["x"], "x")
    with pm.Model(coords={"obs": obs_labels(data, "y")}) as model:
        mean = pm.Normal("a", number("a_mean", a_mean), positive("a_sigma", a_sigma))
        mean += pm.LogNormal("b1", number("b1_mu", b1_mu), positive("b1_sigma", b1_sigma)) * z
        for power in range(2, int(degree) + 1):
            mean += pm.Normal(f"b{power}", number("b_mean", b_mean), positive("b_sigma", b_sigma)) * z**power
        sigma = pm.Uniform("sigma", 0.0, positive("sigma_upper", sigma_upper))
        mu = pm.Deterministic("mu", mean, dims="obs")
        pm.Normal("y_obs", mu, sigma, observed=data["y"], dims="obs")
    return model


def scaled(data: Dataset, *, degree: int = 2) -> pm.Model:
    r"""Build a polynomial regression whose priors have the scales of the data, as those of rstanarm.

    With m and s the mean and the standard deviation of y and of each power of z:

    .. math::

        a + \sum_k b_k \overline{z^k} \sim N(m_y, 2.5 s_y), \quad b_k \sim N(0, 2.5 s_y / s_{z^k}), \quad
        \sigma \sim \mathrm{Exponential}(1 / s_y)

    The intercept at the mean of the powers, ``a_at_mean``, is drawn, and a worked out from it. The first-order term may
    fall. The priors use the outcome, so that no data can be simulated from this model.

    Parameters
    ----------
    data
        Arrays ``y`` and ``x``, both (obs,).
    degree
        The highest power d, at least 1.

    Returns
    -------
    pm.Model
        The variables of `build`, and a_at_mean.

    Raises
    ------
    ConfigError
        If the degree is below 1.
    DataError
        If y, x or a power of x does not vary.

    References
    ----------
    Goodrich, B., Gabry, J., Ali, I., Brilleman, S. (2020). Prior distributions for rstanarm models.
    https://mc-stan.org/rstanarm/articles/priors.html
    """
    # imported here: what is run at import is part of the keys of fits of simulated data
    from bayesrun.models.inputs import WIDE, powers_of, spread

    powers = powers_of(data["x"], "x", degree)
    wide = WIDE * float(spread(data["y"], "y")) / spread(powers, "a power of x")
    centre = powers.mean(axis=0)
    with pm.Model(coords={"obs": obs_labels(data, "y")}) as model:
        at_mean = pm.Normal("a_at_mean", data["y"].mean(), WIDE * spread(data["y"], "y"))
        mean, shift = at_mean, 0.0
        for place in range(powers.shape[1]):
            slope = pm.Normal(f"b{place + 1}", 0.0, wide[place])
            mean += slope * (powers[:, place] - centre[place])
            shift += slope * centre[place]
        pm.Deterministic("a", at_mean - shift)
        sigma = pm.Exponential("sigma", 1.0 / spread(data["y"], "y"))
        mu = pm.Deterministic("mu", mean, dims="obs")
        pm.Normal("y_obs", mu, sigma, observed=data["y"], dims="obs")
    return model


def scaled_priors(data: Dataset, *, degree: int = 2) -> list[str]:
    """Write the priors of `scaled` for people."""
    from bayesrun.models.inputs import WIDE, normals, powers_of, spread

    powers = powers_of(data["x"], "x", degree)
    sd = float(spread(data["y"], "y"))
    slopes = WIDE * sd / spread(powers, "a power of x")
    return [
        normals("a_at_mean", data["y"].mean(), WIDE * sd),
        *(normals(f"b{power}", 0.0, slope) for power, slope in enumerate(slopes, start=1)),
        f"sigma ~ Exponential(rate {1.0 / sd:.4g})",
    ]
