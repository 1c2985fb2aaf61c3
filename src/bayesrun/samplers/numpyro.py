"""NUTS on JAX: many datasets at once in lanes of their own pace, or NumPyro's kernel; it judges no convergence.

The lanes (`bayesrun.samplers.lanes`) follow NumPyro's transition and adaptation. ``engine=numpyro`` runs NumPyro's own
kernel through PyMC's entry, one dataset at a time: the reference, and the fallback.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from bayesrun.errors import FitError
from bayesrun.samplers import groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pymc as pm
    import xarray as xr

    from bayesrun.types import Dataset, SamplerOptions

__all__ = ["DISCRETE", "EXTRA", "KIND", "NEEDS", "OPTIONS", "VERSION", "fits", "sample"]

VERSION: Final = 4
KIND: Final = "nuts"
DISCRETE: Final = False
NEEDS: Final = ("density", "rows", "gradient", "jax")
"""What it needs of a density: see `planning.sampler_needs`."""
OPTIONS: Final = (
    "draws",
    "tune",
    "chains",
    "target_accept",
    "max_treedepth",
    "escalate",
    "engine",
    "precision",
    "restart",
    "extra",
)
"""Options that change the draws."""
EXTRA: Final = (
    "dense_mass",
    "lanes",
    "chain_method",
    "adapt_mass_matrix",
    "adapt_step_size",
    "find_heuristic_step_size",
    "forward_mode_differentiation",
    "init_strategy",
    "inverse_mass_matrix",
    "jitter",
    "regularize_mass_matrix",
    "step_size",
)
"""Keys of ``extra``; ``dense_mass`` is for both engines, ``lanes`` for the lanes, the others for NumPyro's kernel."""


def sample(
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    options: SamplerOptions,
) -> Iterator[xr.DataTree]:
    """Draw with the No-U-Turn sampler (Hoffman and Gelman 2014, JMLR 15:1593) on JAX, many datasets side by side.

    Parameters
    ----------
    build
        Builds the model of one dataset; its free variables are continuous.
    datasets, seeds
        One of each for a fit. A fit's seed gives it the same random numbers in every batch.
    options
        ``engine`` is lanes, or numpyro for NumPyro's kernel (Phan, Pradhan, Jankowiak 2019, arXiv:1912.11554);
        ``extra`` see `EXTRA`.

    Yields
    ------
    xarray.DataTree
        One for each dataset, in their order: groups ``posterior``, ``sample_stats`` (`groups.NUTS_STATS`),
        ``observed_data`` and, from the lanes, ``log_likelihood``. Attribute ``sampling_seconds``: wall-clock seconds
        with compilation.

    Raises
    ------
    FitError
        When it is the turn of a dataset that has no posterior.
    """
    from bayesrun.samplers.lanes.same_form import in_turn

    yield from in_turn(fits(build, datasets, seeds, options))


def fits(
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    options: SamplerOptions,
    *,
    like: Dataset | None = None,
    timeout: float | None = None,
) -> Iterator[tuple[int, xr.DataTree | FitError]]:
    """Draw like `sample`, but in the order in which fits are done, and with errors as values.

    The arguments `like` and `timeout`, and what is yielded, are as in `bayesrun.samplers.lanes.engine.fits`; NumPyro's
    own kernel compiles each model alone and keeps no timeout.
    """
    if options.engine == "lanes":
        from bayesrun.samplers.lanes import engine

        yield from engine.fits(build, datasets, seeds, options, like=like, timeout=timeout)
        return
    _prepare_jax()
    for index, (dataset, seed) in enumerate(zip(datasets, seeds, strict=True)):
        yield index, _draw(build(dataset), seed, options)


def _prepare_jax() -> None:
    """Load PyMC's JAX entry without its side effect on this process and its children.

    Its import asks XLA for a hundred host devices, which cost threads and memory. The flag is read when
    JAX's backend starts, so the backend is started before the import, and the environment is put back.
    """
    from bayesrun.samplers.lanes.engine import prepare_jax

    prepare_jax()
    before = os.environ.get("XLA_FLAGS")
    import pymc.sampling.jax  # noqa: F401  (what matters is when it is imported)

    if before is None:
        os.environ.pop("XLA_FLAGS", None)
    else:
        os.environ["XLA_FLAGS"] = before


def _draw(model: pm.Model, seed: int, options: SamplerOptions) -> xr.DataTree:
    start = time.perf_counter()
    if options.precision != "float64":
        raise FitError("sampler.precision=float32 is for sampler.engine=lanes; NumPyro's kernel runs in float64 here")
    with groups.quiet():
        drawn = groups.nuts_draws(
            model,
            seed,
            options,
            nuts_sampler="numpyro",
            nuts={
                "chain_method": "vectorized",
                "target_accept": options.target_accept,
                "max_tree_depth": options.max_treedepth,
                **options.extra,
            },
            cores=1,
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
