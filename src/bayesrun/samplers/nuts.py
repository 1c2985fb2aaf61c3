"""NUTS of PyMC, the reference sampler; it judges no convergence, which is the diagnostics' part."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from bayesrun.samplers import groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pymc as pm
    import xarray as xr

    from bayesrun.types import Dataset, SamplerOptions

__all__ = ["DISCRETE", "EXTRA", "KIND", "NEEDS", "OPTIONS", "SAME_DRAWS", "VERSION", "sample"]

VERSION: Final = 2
KIND: Final = "nuts"
DISCRETE: Final = False
NEEDS: Final = ("density", "rows", "gradient")
"""What it needs of a density: see `planning.sampler_needs`."""
OPTIONS: Final = ("draws", "tune", "chains", "target_accept", "max_treedepth", "escalate", "extra")
"""Options that change the draws."""
EXTRA: Final = ("init", "n_init", "jitter_max_retries", "initvals", "cores", "blas_cores", "mp_ctx")
"""Keys of ``extra``: `pymc.sample` takes others without a word and does nothing with them."""
SAME_DRAWS: Final = ("cores", "mp_ctx")
"""Keys of ``extra`` that say where chains run, and change no draw."""


def sample(
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    options: SamplerOptions,
) -> Iterator[xr.DataTree]:
    """Draw with the No-U-Turn sampler of PyMC (Hoffman and Gelman 2014, JMLR 15:1593), one fit at a time.

    Parameters
    ----------
    build
        Builds the model of one dataset; its free variables are continuous.
    datasets, seeds
        One of each for a fit.
    options
        ``extra`` goes to ``pymc.sample`` (``init``, ...). Chains run one after another, or side by side on
        the cores of ``sampler.resources.num_cpus``; the draws are the same.

    Yields
    ------
    xarray.DataTree
        Groups ``posterior``, ``sample_stats`` (`groups.NUTS_STATS`), ``observed_data``. Attributes
        ``sampling_seconds``, all wall-clock seconds from the model to the draws, and ``compile_seconds``, the
        part of them before the first step.

    Notes
    -----
    Gradients are PyTensor's. That of the incomplete beta function (censored and truncated Student t, beta, binomial and
    negative binomial) in its shapes is not finite at some arguments where a shape is at most 0.01 or both are 30,000
    and more: there a trajectory ends, and is counted as a divergence. That of ``sampler=numpyro`` is finite there.
    """
    for dataset, seed in zip(datasets, seeds, strict=True):
        yield _draw(build(dataset), seed, options)


def _draw(model: pm.Model, seed: int, options: SamplerOptions) -> xr.DataTree:
    start = time.perf_counter()
    with groups.quiet():
        drawn = groups.nuts_draws(
            model,
            seed,
            options,
            nuts_sampler="pymc",  # the default is another sampler when it is installed
            nuts={"target_accept": options.target_accept, "max_treedepth": options.max_treedepth},
            # a fork of a process with JAX's threads may hang
            **{"cores": groups.cores(options.chains), "mp_ctx": "spawn", **options.extra},
        )
    seconds = time.perf_counter() - start
    stats = {name: np.asarray(drawn.sample_stats[name]) for name in groups.NUTS_STATS}
    stats["n_steps"] = stats["n_steps"].astype(np.int64)  # PyMC counts them in floats
    attrs: groups.Attributes = {
        "sampler": "nuts",
        "sampler_version": VERSION,
        "target_accept": options.target_accept,
        "sampling_seconds": seconds,
        "compile_seconds": seconds - float(drawn.posterior.attrs["sampling_time"]),
    }
    return groups.tree(model, groups.arrays(drawn.posterior, groups.posterior_names(model)), stats, attrs)
