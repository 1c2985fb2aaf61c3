"""Random-walk Metropolis of PyMC, for models without gradients; expect it to need many draws."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pymc as pm
from pymc.initial_point import make_initial_point_fn

from bayesrun.errors import FitError
from bayesrun.samplers import groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import xarray as xr

    from bayesrun.types import Dataset, SamplerOptions

__all__ = ["DISCRETE", "KIND", "NEEDS", "OPTIONS", "VERSION", "sample"]

VERSION: Final = 2
KIND: Final = "mcmc"
DISCRETE: Final = True
NEEDS: Final = ("density", "rows")
"""What it needs of a density: see `planning.sampler_needs`."""
OPTIONS: Final = ("draws", "tune", "chains", "extra")
"""Options that change the draws."""

START_RETRIES: Final = 20
"""Jittered starts to try for each chain before a model is given up."""


def sample(
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    options: SamplerOptions,
) -> Iterator[xr.DataTree]:
    """Draw with random-walk Metropolis (Metropolis et al. 1953, doi:10.1063/1.1699114), one fit at a time.

    Continuous variables move one scalar at a time; discrete ones by the step that PyMC finds best for them.
    Chains start at points jittered by U(-1, 1) in the unconstrained space, as NUTS does, because R-hat says
    nothing of chains that start together.

    Parameters
    ----------
    build
        Builds the model of one dataset.
    datasets, seeds
        One of each for a fit.
    options
        ``extra`` goes to ``pymc.Metropolis`` (``scaling``, ``tune_interval``, ...).

    Yields
    ------
    xarray.DataTree
        Groups ``posterior``, ``sample_stats`` (``lp``, and for continuous variables ``acceptance_rate``, the
        share of moves that were accepted, and ``scaling``), ``observed_data``. Attributes
        ``sampling_seconds``, all wall-clock seconds from the model to the draws, and ``compile_seconds``, the
        part of them before the first step.

    Raises
    ------
    FitError
        If no start with a finite log density is found.
    """
    for dataset, seed in zip(datasets, seeds, strict=True):
        yield _draw(build(dataset), seed, options)


def _draw(model: pm.Model, seed: int, options: SamplerOptions) -> xr.DataTree:
    start = time.perf_counter()
    evaluate = groups.evaluator(model)
    continuous = [variable for variable in model.free_RVs if variable.dtype.startswith("float")]
    starts = _starts(model, evaluate, seed, options.chains)
    stepped: list[float] = []  # when the first step was done, which code is compiled for
    with groups.quiet(), model, groups.without_deterministics(model):  # which are worked out afterwards
        step = pm.Metropolis(vars=continuous, **options.extra) if continuous else None
        drawn = pm.sample(
            draws=options.draws,
            tune=options.tune,
            chains=options.chains,
            random_seed=seed,
            step=step,
            nuts_sampler="pymc",
            initvals=starts,
            cores=1,
            progressbar=False,
            quiet=True,
            compute_convergence_checks=False,
            idata_kwargs={"include_transformed": True},
            callback=lambda **_: stepped.append(time.perf_counter()) if not stepped else None,
        )
    posterior, lp = evaluate(groups.arrays(drawn.posterior, [variable.name for variable in model.value_vars]))
    seconds = time.perf_counter() - start
    stats = {"lp": lp}
    if continuous:
        stats["acceptance_rate"] = _over_steps(drawn.sample_stats["accepted"])
        stats["scaling"] = _over_steps(drawn.sample_stats["scaling"])
    attrs: groups.Attributes = {
        "sampler": "metropolis",
        "sampler_version": VERSION,
        "sampling_seconds": seconds,
        "compile_seconds": stepped[0] - start,
    }
    return groups.tree(model, posterior, stats, attrs)


def _starts(model: pm.Model, evaluate: Any, seed: int, chains: int) -> list[groups.Arrays]:
    """Find one start for each chain with a finite log density: free variable to value."""
    jittered = {variable for variable in model.free_RVs if variable.dtype.startswith("float")}
    point = make_initial_point_fn(model=model, jitter_rvs=jittered, return_transformed=True)
    names = [variable.name for variable in model.free_RVs]
    starts = []
    for chain in range(chains):
        for attempt in range(START_RETRIES):
            values = {name: np.asarray(value)[None, None] for name, value in point([seed, chain, attempt]).items()}
            natural, lp = evaluate(values)
            if np.isfinite(lp).all():
                starts.append({name: natural[name][0, 0] for name in names})
                break
        else:
            raise FitError(
                f"no start with a finite log density in {START_RETRIES} tries: check that the priors allow "
                "the data, or give the variables an initval"
            )
    return starts


def _over_steps(stat: xr.DataArray) -> np.ndarray:
    """Average a statistic over the variables' steppers, to dims (chain, draw)."""
    return np.asarray(stat.astype(np.float64).mean(set(stat.dims) - {"chain", "draw"}))
