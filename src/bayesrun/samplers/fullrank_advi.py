"""Full-rank ADVI of PyMC: one multivariate normal in the unconstrained space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bayesrun.samplers import variational

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pymc as pm
    import xarray as xr

    from bayesrun.types import Dataset, SamplerOptions

__all__ = ["DISCRETE", "KIND", "NEEDS", "OPTIONS", "VERSION", "sample"]

VERSION: Final = 2
KIND: Final = "variational"
DISCRETE: Final = False
NEEDS: Final = ("density", "gradient")
"""What it needs of a density: see `planning.sampler_needs`."""
OPTIONS: Final = ("draws", "chains", "iterations", "learning_rate", "extra")
"""Options that change the draws."""


def sample(
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    options: SamplerOptions,
) -> Iterator[xr.DataTree]:
    """Fit a multivariate normal by ADVI and draw from it.

    What the options mean, what is in the trees and what is raised: `bayesrun.samplers.variational.draws`.
    """
    return variational.draws("fullrank_advi", VERSION, build, datasets, seeds, options)
