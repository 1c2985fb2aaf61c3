"""What users' functions are called with and return: those that build models, and those that draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pymc as pm
    import xarray as xr

    from bayesrun.types.data import Dataset
    from bayesrun.types.options import SamplerOptions

__all__ = ["BESIDE", "LEFT", "NO_DENSITY", "PSEUDO", "Builder", "SampleFunction"]

LEFT = "deterministics_left"
"""Attribute of a tree with the names of Deterministics that are still to be worked out from its draws, one a line."""

NO_DENSITY = "no_density"
"""Attribute of a tree: why the density of its draws is not there, by which an approximation is judged."""
PSEUDO = "pseudo_likelihoods"
"""Attribute of a log-likelihood: a line for each observed variable that it lacks since its terms are no log densities,
its name and after a tab the reason."""
BESIDE = "beside"
"""Attribute of a log-likelihood: a line for each observed variable, its name and after a tab what the likelihood has
beside its terms."""


class Builder(Protocol):
    """A model: any importable function of a dataset and parameters."""

    def __call__(self, data: Dataset, **params: Any) -> pm.Model:
        """Build the model conditioned on `data`."""
        ...


class SampleFunction(Protocol):
    """One way to draw. Its module also has ``VERSION: int`` and ``KIND`` (nuts, mcmc, smc, variational).

    Parameters
    ----------
    build
        Builds the model of one dataset.
    datasets
        One for each fit.
    seeds
        One integer for each fit; the same seed gives the same draws.
    options
        What every sampler is told.

    Returns
    -------
    Iterator of xarray.DataTree
        One for each dataset, in their order, each as soon as it is there, with groups ``posterior``
        (dims chain, draw, ...), ``sample_stats`` and ``observed_data``.
    """

    def __call__(
        self,
        build: Callable[[Dataset], pm.Model],
        datasets: Iterable[Dataset],
        seeds: Iterable[int],
        options: SamplerOptions,
    ) -> Iterator[xr.DataTree]:
        """Draw from the posterior of each dataset."""
        ...
