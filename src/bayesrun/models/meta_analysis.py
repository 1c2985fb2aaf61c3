"""Random-effects meta-analysis of estimates with known standard errors, one estimate for each study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pymc as pm

from bayesrun.errors import DataError
from bayesrun.models.inputs import number, obs_labels, positive
from bayesrun.types import Dataset, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = ["DATA", "build", "typical_variance"]

DATA: Final[dict[str, Role]] = {
    "y": Role("real", "estimate of each study"),
    "se": Role("positive", "standard error of each estimate", unit="y"),
    "study": Role("category", "name of each study", optional=True),
}


def typical_variance(se: np.ndarray) -> float:
    r"""Compute the typical within-study variance, after Higgins and Thompson (2002), doi:10.1002/sim.1186.

    .. math::

        s^2 = \frac{(k - 1) \sum w_i}{(\sum w_i)^2 - \sum w_i^2}, \quad w_i = 1 / se_i^2

    Parameters
    ----------
    se
        Standard errors, shape (study,), at least two.

    Raises
    ------
    DataError
        If there is one study only.
    """
    if len(se) < 2:
        raise DataError(f"a meta-analysis wants at least 2 studies; the data have {len(se)}")
    # Weights relative to the largest: the same value, without underflow for very large standard errors.
    reference = float(se.min())
    weights = (reference / se) ** 2
    total = weights.sum()
    return float(reference**2 * (len(se) - 1) * total / (total**2 - (weights**2).sum()))


def build(
    data: Dataset,
    *,
    mu_mean: float = 0.0,
    mu_sigma: float = 1.0,
    tau_scale: float = 0.5,
) -> pm.Model:
    r"""Build a random-effects meta-analysis, non-centred.

    .. math::

        y_i \sim N(\theta_i, se_i), \quad \theta_i = \mu + \tau \eta_i, \quad \eta_i \sim N(0, 1), \quad
        I^2 = \tau^2 / (\tau^2 + s^2)

    with the typical within-study variance :math:`s^2` of `typical_variance`.

    Parameters
    ----------
    data
        Arrays ``y`` (obs,), ``se`` (obs,) and, as labels, ``study`` (obs,).
    mu_mean, mu_sigma
        Prior of the mean effect, Normal, in units of y.
    tau_scale
        Prior of the standard deviation between studies, HalfCauchy, in units of y.

    Returns
    -------
    pm.Model
        Variables mu, tau, eta (study), theta (study), I2 and y_obs (obs).

    Raises
    ------
    ConfigError
        If a prior's number is not finite, or a scale is not above 0.
    DataError
        If there is one study only, or a study has several rows.

    References
    ----------
    Higgins, J. P. T., Thompson, S. G. (2002). Quantifying heterogeneity in a meta-analysis. Statistics in
    Medicine 21, 1539-1558. doi:10.1002/sim.1186

    Higgins, J. P. T., Thompson, S. G., Spiegelhalter, D. J. (2009). A re-evaluation of random-effects
    meta-analysis. Journal of the Royal Statistical Society A 172, 137-159. doi:10.1111/j.1467-985X.2008.00552.x
    """
    within = typical_variance(data["se"])
    studies = _study_labels(data)
    with pm.Model(coords={"obs": data.coords.get("obs", studies), "study": studies}) as model:
        mu = pm.Normal("mu", number("mu_mean", mu_mean), positive("mu_sigma", mu_sigma))
        tau = pm.HalfCauchy("tau", positive("tau_scale", tau_scale))
        eta = pm.Normal("eta", 0.0, 1.0, dims="study")
        theta = pm.Deterministic("theta", mu + tau * eta, dims="study")
        pm.Deterministic("I2", tau**2 / (tau**2 + within))
        pm.Normal("y_obs", theta, data["se"], observed=data["y"], dims="obs")
    return model


def _study_labels(data: Dataset) -> Sequence[Any]:
    if "study" not in data:
        return obs_labels(data, "y")
    labels = [data.coords["study"][code] for code in data["study"]]
    repeated = sorted({str(label) for label in labels if labels.count(label) > 1})
    if repeated:
        raise DataError(
            f"meta_analysis wants one row for each study; several rows have study {', '.join(repeated[:5])}. "
            "Give the rows names of their own, or use model=hierarchical with group=study and sigma=se."
        )
    return labels
