"""Observed and simulated data as one dataset, for calibration given the data at hand (posterior SBC).

Truth is drawn from p(theta | y_obs) and data from p(y | theta), so that the fit has to be to both (Säilynoja, Schmitt,
Bürkner, Vehtari 2025, arXiv:2502.03279). It draws nothing and fits nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.errors import BayesrunError, ConfigError
from bayesrun.simulate.programs import MODE, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pymc as pm

    from bayesrun.types import Dataset

__all__ = ["check_joint", "joined"]

AGREEMENT = 1e-8
"""Largest relative difference of log densities that is put down to rounding."""
POINTS = 3
"""Random points at which a joint log density is compared."""


def joined(observed: Dataset, simulated: Dataset, drawn: Sequence[str]) -> Dataset:
    """Put simulated observations below the observed ones.

    Parameters
    ----------
    observed, simulated
        Datasets of one form.
    drawn
        Names of the arrays that hold drawn values. Every array whose first dim is that of one of them has an
        observation in each row, and becomes twice as long; the others stay as they are.

    Raises
    ------
    ConfigError
        If an array has the dim of the observations elsewhere, as a matrix of distances has.
    """
    dims = {name: _dims(observed, name) for name in observed}
    rows = {dims[name][0] for name in drawn if dims[name]}
    square = [name for name, own in dims.items() if rows & set(own[1:])]
    if square:
        raise ConfigError(
            f"{', '.join(square)} has the observations as columns, so that there is no one dataset of the observed and "
            "the simulated ones"
        )
    below = [name for name, own in dims.items() if own and own[0] in rows]
    arrays = {name: np.concatenate([observed[name], simulated[name]]) for name in below}
    coords = {dim: tuple(range(2 * len(labels))) if dim in rows else labels for dim, labels in observed.coords.items()}
    return replace(observed, arrays={**simulated.arrays, **arrays}, coords=coords)


def _dims(dataset: Dataset, name: str) -> tuple[str, ...]:
    """Dims of an array; one that says nothing has observations as its first dim."""
    others = tuple(f"{name}_dim_{axis}" for axis in range(1, np.ndim(dataset[name])))
    return tuple(dataset.dims.get(name, ("obs", *others) if np.ndim(dataset[name]) else ()))


def check_joint(build: Callable[[Dataset], pm.Model], observed: Dataset, simulated: Dataset, both: Dataset) -> None:
    """Refuse a model whose fit to both datasets is not the posterior given both.

    The observations have to be independent given the parameters: log p(y_obs, y | theta) is the sum of the two
    log-likelihoods, and the prior stays the same. It is compared at random points.

    Parameters
    ----------
    build
        The model's builder.
    observed, simulated, both
        Datasets, the last one `joined`.

    Raises
    ------
    ConfigError
        If the model cannot be built on both together, has other parameters there, or its log density is no sum.
    """
    try:
        models = [build(dataset) for dataset in (observed, simulated, both)]
    except BayesrunError as error:
        raise ConfigError(f"the model cannot be built on the observed and simulated data together: {error}") from error
    points = [{name: np.shape(value) for name, value in model.initial_point().items()} for model in models]
    if points[0] != points[1] or points[0] != points[2]:
        raise ConfigError(
            "the model has other parameters for the observed and simulated data together than for one of them, such as "
            "one for each observation"
        )
    with plain(), np.errstate(all="ignore"):
        likelihoods = [model.compile_logp(model.observed_RVs, mode=MODE) for model in models]
        priors = [model.compile_logp(model.free_RVs, mode=MODE) for model in models]
        rng = np.random.default_rng(0)
        for _ in range(POINTS):
            at = {
                name: np.asarray(value + 0.3 * rng.standard_normal(np.shape(value)))
                for name, value in models[0].initial_point().items()
            }
            first, second, together = (float(function(at)) for function in likelihoods)
            same = np.allclose([float(p(at)) for p in priors[1:]], float(priors[0](at)), rtol=AGREEMENT)
            if not (same and np.isclose(together, first + second, rtol=AGREEMENT, atol=AGREEMENT)):
                raise ConfigError(
                    f"the log-likelihood of the observed and simulated data together is {together:.6g} where the two "
                    f"add up to {first + second:.6g}, so that they are not independent given the parameters (a time "
                    "series goes on from one into the other)"
                )
