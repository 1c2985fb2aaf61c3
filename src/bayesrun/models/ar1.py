"""A stationary autoregression of order 1, in the form with a mean. It does not difference or detrend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pymc as pm

from bayesrun.errors import ConfigError, DataError
from bayesrun.models.inputs import number, obs_labels, positive
from bayesrun.types import Dataset, Role

if TYPE_CHECKING:
    from pytensor.tensor import TensorVariable

__all__ = ["DATA", "build", "pointwise"]

DATA: Final[dict[str, Role]] = {
    "y": Role("real", "the series in the order of time, equally spaced", series=True),
}


def build(
    data: Dataset,
    *,
    mu_mean: float = 0.0,
    mu_sigma: float = 10.0,
    phi_lower: float = -1.0,
    phi_upper: float = 1.0,
    sigma_scale: float = 1.0,
) -> pm.Model:
    r"""Build a stationary AR(1) series.

    .. math::

        y_1 \sim N\left(\mu, \frac{\sigma}{\sqrt{1 - \phi^2}}\right), \quad
        y_t - \mu = \phi (y_{t-1} - \mu) + \epsilon_t, \quad \epsilon_t \sim N(0, \sigma)

    The likelihood is one joint density; `pointwise` gives its terms.

    Parameters
    ----------
    data
        Array ``y`` (obs,), at least two points, in the order of time and equally spaced: rows are sorted by their index
        before they come here, and a series with gaps is refused.
    mu_mean, mu_sigma
        Prior of the mean of the series, Normal, in units of y.
    phi_lower, phi_upper
        Bounds of the uniform prior of the autocorrelation at lag 1, within [-1, 1].
    sigma_scale
        Prior of the innovations' standard deviation, HalfNormal, in units of y.

    Returns
    -------
    pm.Model
        Variables mu, phi, sigma, stationary_sd (of the series) and y_obs (obs).

    Raises
    ------
    ConfigError
        If a prior's number is not finite, a scale is not above 0 or the bounds of phi are not in order.
    DataError
        If the series has fewer than two points.

    References
    ----------
    Hamilton, J. D. (1994). Time Series Analysis, section 5.2. Princeton University Press. doi:10.1515/9780691218632
    """
    if len(data["y"]) < 2:
        raise DataError(f"ar1 wants a series of at least 2 points; y has {len(data['y'])}")
    lower, upper = number("phi_lower", phi_lower), number("phi_upper", phi_upper)
    if not -1.0 <= lower < upper <= 1.0:
        raise ConfigError(
            f"model.phi_lower={phi_lower} and model.phi_upper={phi_upper}: want -1 <= phi_lower < phi_upper <= 1, "
            "because the series is stationary"
        )
    with pm.Model(coords={"obs": obs_labels(data, "y")}) as model:
        mu = pm.Normal("mu", number("mu_mean", mu_mean), positive("mu_sigma", mu_sigma))
        phi = pm.Uniform("phi", lower, upper)
        sigma = pm.HalfNormal("sigma", positive("sigma_scale", sigma_scale))
        stationary_sd = pm.Deterministic("stationary_sd", sigma / pm.math.sqrt(1.0 - phi**2))
        pm.AR(
            "y_obs",
            rho=[mu * (1.0 - phi), phi],
            sigma=sigma,
            constant=True,
            init_dist=pm.Normal.dist(mu, stationary_sd),
            observed=data["y"],
            dims="obs",
        )
    return model


def pointwise(model: pm.Model, data: Dataset) -> dict[str, TensorVariable]:
    """Give the log density of every time point given the one before it; the first is marginal.

    Parameters
    ----------
    model
        What `build` returned.
    data
        The dataset it was built on; unused, because the observed values are taken from the model.

    Returns
    -------
    dict of str to TensorVariable
        ``y_obs``: shape (obs,), a graph of the model's random variables. Its sum is the log density of the series.
        Leaving one term out leaves one point out given the points before it, not the future.
    """
    del data
    y = model.rvs_to_values[model["y_obs"]]
    mu, phi, sigma = model["mu"], model["phi"], model["sigma"]
    first = pm.logp(pm.Normal.dist(mu, sigma / pm.math.sqrt(1.0 - phi**2)), y[:1])
    rest = pm.logp(pm.Normal.dist(mu + phi * (y[:-1] - mu), sigma), y[1:])
    return {"y_obs": pm.math.concatenate([first, rest])}
