"""NUTS of NumPyro on JAX, through PyMC's own entry; it judges no convergence."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

import numpy as np
import pymc as pm

from bayesrun.samplers import groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import xarray as xr

    from bayesrun.types import Dataset, SamplerOptions

__all__ = ["DISCRETE", "KIND", "OPTIONS", "VERSION", "sample"]

VERSION: Final = 1
KIND: Final = "nuts"
DISCRETE: Final = False
OPTIONS: Final = ("draws", "tune", "chains", "target_accept", "max_treedepth", "escalate", "extra")
"""Options that change the draws."""


def sample(
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    options: SamplerOptions,
) -> Iterator[xr.DataTree]:
    """Draw with the No-U-Turn sampler of NumPyro (Phan, Pradhan, Jankowiak 2019, arXiv:1912.11554).

    Chains run together as one vectorised program in double precision, on whatever device JAX has.

    Parameters
    ----------
    build
        Builds the model of one dataset; its free variables are continuous.
    datasets, seeds
        One of each for a fit.
    options
        ``extra`` goes to PyMC's JAX entry and NumPyro's kernel (``dense_mass``, ``chain_method``, ...).

    Yields
    ------
    xarray.DataTree
        Groups ``posterior``, ``sample_stats`` (`groups.NUTS_STATS`), ``observed_data``. Attribute
        ``sampling_seconds``: wall-clock seconds from the model to the draws; compilation is part of the same
        call and cannot be told apart. NumPyro does not say whether a tree was cut off, so
        ``reached_max_treedepth`` is true where a tree has all the steps that it may have.
    """
    _prepare_jax()
    for dataset, seed in zip(datasets, seeds, strict=True):
        yield _draw(build(dataset), seed, options)


def _prepare_jax() -> None:
    """Load PyMC's JAX entry without its side effect on this process and its children.

    Its import asks XLA for a hundred host devices, which cost threads and memory. The flag is read when
    JAX's backend starts, so the backend is started before the import, and the environment is put back.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.devices()
    before = os.environ.get("XLA_FLAGS")
    import pymc.sampling.jax  # noqa: F401  (what matters is when it is imported)

    if before is None:
        os.environ.pop("XLA_FLAGS", None)
    else:
        os.environ["XLA_FLAGS"] = before


def _draw(model: pm.Model, seed: int, options: SamplerOptions) -> xr.DataTree:
    start = time.perf_counter()
    with groups.quiet():
        drawn = pm.sample(
            model=model,
            draws=options.draws,
            tune=options.tune,
            chains=options.chains,
            random_seed=seed,
            nuts_sampler="numpyro",
            nuts={
                "chain_method": "vectorized",
                "target_accept": options.target_accept,
                "max_tree_depth": options.max_treedepth,
                **options.extra,
            },
            cores=1,
            progressbar=False,
            quiet=True,
            compute_convergence_checks=False,
        )
    posterior = groups.arrays(drawn.posterior, groups.posterior_names(model))
    seconds = time.perf_counter() - start
    stats = {name: np.asarray(values) for name, values in drawn.sample_stats.data_vars.items()}
    stats["lp"] = -stats["lp"]  # NumPyro's potential energy
    stats["reached_max_treedepth"] = stats["n_steps"] >= 2**options.max_treedepth - 1
    attrs: groups.Attributes = {
        "sampler": "numpyro",
        "sampler_version": VERSION,
        "target_accept": options.target_accept,
        "sampling_seconds": seconds,
    }
    return groups.tree(model, posterior, {name: stats[name] for name in groups.NUTS_STATS}, attrs)
