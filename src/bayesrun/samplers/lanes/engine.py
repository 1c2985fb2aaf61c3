"""NUTS for many datasets of one model at once, compiled once; it judges no convergence.

Datasets whose models have the same graph share a compiled program, in which what differs between them is data.
"""

from __future__ import annotations

import os
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jax
import numpy as np
import xarray as xr
from pymc.initial_point import make_initial_point_fn

from bayesrun.errors import FitError
from bayesrun.samplers import groups
from bayesrun.samplers.lanes.fleet import Chains, Work, draw
from bayesrun.samplers.lanes.graphs import survey
from bayesrun.samplers.lanes.program import ATTEMPTS, Program, Settings, program
from bayesrun.samplers.lanes.sharing import Member, by_form, shared_density
from bayesrun.samplers.lanes.state import CUT_OFF, DIVERGING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pymc as pm

    from bayesrun.types import Dataset, SamplerOptions

__all__ = ["DISCRETE", "KIND", "OPTIONS", "VERSION", "fits", "sample"]

VERSION: Final = 2
KIND: Final = "nuts"
DISCRETE: Final = False
OPTIONS: Final = ("draws", "tune", "chains", "target_accept", "max_treedepth", "escalate", "extra")
"""Options that change the draws."""

LANES = 64
"""Chains that run side by side, unless the options say otherwise."""
WINDOW = 256
"""Datasets whose models are compared and queued together."""


def sample(
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    options: SamplerOptions,
) -> Iterator[xr.DataTree]:
    """Draw with NUTS (Hoffman and Gelman 2014, JMLR 15:1593), many datasets side by side.

    Parameters
    ----------
    build
        Builds the model of one dataset; its free variables are continuous.
    datasets, seeds
        One of each for a fit. A fit's seed gives it the same random numbers in every batch.
    options
        ``extra`` may have ``dense_mass`` (bool: adapt a mass matrix with off-diagonal elements) and ``lanes`` (int:
        chains side by side).

    Yields
    ------
    xarray.DataTree
        One for each dataset, in their order: groups ``posterior``, ``sample_stats`` (`groups.NUTS_STATS`),
        ``observed_data`` and ``log_likelihood``. Attributes ``sampling_seconds`` and ``compile_seconds``, its part:
        wall-clock seconds of the batch, by the lanes that worked for this fit and in equal parts; ``useful_steps``:
        share of the batch's leapfrog steps until then that belonged to a trajectory.

    Raises
    ------
    FitError
        When it is the turn of a dataset that has no posterior.
    """
    results: dict[int, xr.DataTree | FitError] = {}
    turn = 0
    for index, result in fits(build, datasets, seeds, options):
        results[index] = result
        while turn in results:
            found = results.pop(turn)
            turn += 1
            if isinstance(found, FitError):
                raise found
            yield found


def fits(
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    options: SamplerOptions,
) -> Iterator[tuple[int, xr.DataTree | FitError]]:
    """Draw like `sample`, but in the order in which fits are done, and with errors as values.

    Yields
    ------
    int
        Which dataset, counted from 0.
    xarray.DataTree or FitError
        What came of it. One that fails leaves the others alone.
    """
    prepare_jax()
    pairs = enumerate(zip(datasets, seeds, strict=True))
    while window := list(islice(pairs, WINDOW)):
        members = [Member(index, dataset, seed, survey(build(dataset))) for index, (dataset, seed) in window]
        for group in by_form(members):
            yield from _fit_group(build, group, options)


def prepare_jax() -> None:
    """Set JAX to double precision, to one thread, and its compilation cache to a folder that outlives the process.

    XLA asks for the number of cores when its backend starts, and takes NPROC for it; the variable is there during the
    start alone. A backend that runs already keeps its threads, of which a fleet uses one: its programs are small. The
    cache is in BAYESRUN_CACHE, or ~/.cache/bayesrun; a JAX_COMPILATION_CACHE_DIR of the user's own is left alone.
    """
    jax.config.update("jax_enable_x64", True)
    if "NPROC" not in os.environ:
        os.environ["NPROC"] = "1"
        try:
            jax.devices()
        finally:
            del os.environ["NPROC"]
    if jax.config.jax_compilation_cache_dir is None:
        root = os.environ.get("BAYESRUN_CACHE") or Path.home() / ".cache" / "bayesrun"
        jax.config.update("jax_compilation_cache_dir", str(Path(root) / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _fit_group(
    build: Callable[[Dataset], pm.Model], members: Sequence[Member], options: SamplerOptions
) -> Iterator[tuple[int, xr.DataTree | FitError]]:
    """Fit datasets whose models have the same form."""
    begin = time.perf_counter()
    try:
        density = shared_density(build, members)
    except FitError as error:
        if len(members) == 1:
            yield members[0].index, error
        for member in members if len(members) > 1 else ():
            yield from _fit_group(build, [member], options)
        return
    first = density.arguments(members[0].surveyed)
    shapes = tuple((value.shape, value.dtype.str) for value in first)
    settings = _settings(options, len(members))
    compiled = program(density, settings, shapes)
    compile_seconds = (time.perf_counter() - begin) / len(members)
    by_index = {member.index: member for member in members}
    work = (
        Work(m.index, m.seed, density.arguments(m.surveyed), None if density.start else _prior_start(m))
        for m in members
    )
    for chains, share in draw(compiled, work):
        member = by_index[chains.work.index]
        if not chains.started:
            names = ", ".join(rv.name for rv in member.surveyed.model.free_RVs)
            yield (
                member.index,
                FitError(
                    f"no start with a finite log density and gradient in {ATTEMPTS} attempts around the initial "
                    f"point of {names}; check that the priors allow the data, or give the variables an initval"
                ),
            )
            continue
        attrs: groups.Attributes = {
            "sampler": "numpyro",
            "sampler_version": VERSION,
            "target_accept": options.target_accept,
            "sampling_seconds": float(chains.seconds) + compile_seconds,
            "compile_seconds": compile_seconds,
            "useful_steps": share,
        }
        yield member.index, _tree(compiled, member, chains, attrs)


def _settings(options: SamplerOptions, n_datasets: int) -> Settings:
    extra = dict(options.extra)
    dense, limit = bool(extra.pop("dense_mass", False)), int(extra.pop("lanes", LANES))
    if extra:
        raise FitError(f"the batched engine has no option {', '.join(sorted(extra))}; it takes dense_mass and lanes")
    # few shapes, so that few programs are compiled: powers of two until the lanes are used up
    slots = min(1 << (n_datasets - 1).bit_length(), max(limit // options.chains, 1))
    return Settings(
        lanes=slots * options.chains,
        chains=options.chains,
        tune=options.tune,
        draws=options.draws,
        target_accept=options.target_accept,
        max_treedepth=options.max_treedepth,
        dense_mass=dense,
    )


def _prior_start(member: Member) -> Callable[[int], np.ndarray]:
    """Draw starts with PyMC, for models whose initial point is random."""
    model = member.surveyed.model
    function = make_initial_point_fn(model=model, jitter_rvs=set(model.free_RVs), return_transformed=True)

    def start(chain: int) -> np.ndarray:
        seed = np.random.SeedSequence((member.seed, chain)).generate_state(1)[0]
        return np.concatenate([np.ravel(value) for value in function(int(seed)).values()])

    return start


def _tree(compiled: Program, member: Member, chains: Chains, attrs: groups.Attributes) -> xr.DataTree:
    """Put the chains of one dataset into groups."""
    n_chains, n_draws, size = chains.z.shape
    variables, terms = compiled.describe(chains.z.reshape(-1, size), chains.work.arguments)

    def shaped(names: Sequence[str], values: Sequence[Any]) -> dict[str, np.ndarray]:
        return {
            name: np.asarray(value).reshape(n_chains, n_draws, *value.shape[1:])
            for name, value in zip(names, values, strict=True)
        }

    found = chains.stats
    stats = {
        "acceptance_rate": found["acceptance"],
        "step_size": np.repeat(found["step_size"][:, None], n_draws, axis=1),
        "diverging": (found["flags"] & DIVERGING) > 0,
        "energy": found["energy"],
        "n_steps": found["n_steps"],
        "tree_depth": np.ceil(np.log2(found["n_steps"] + 1)).astype(np.int64),
        "reached_max_treedepth": (found["flags"] & CUT_OFF) > 0,
        "lp": -found["potential"],
    }
    model = member.surveyed.model
    posterior = shaped(compiled.density.variables, variables)
    tree = groups.tree(model, posterior, {name: stats[name] for name in groups.NUTS_STATS}, attrs)
    if terms:
        tree["log_likelihood"] = xr.DataTree(
            _pointwise(shaped(compiled.density.observed, terms), tree["observed_data"].to_dataset())
        )
    return tree


def _pointwise(terms: dict[str, np.ndarray], observed: xr.Dataset) -> xr.Dataset:
    """Give log-likelihood terms the dims and coords of what was observed, as many as they have."""
    named = {}
    for name, value in terms.items():
        extra = observed[name].dims[: value.ndim - 2] if name in observed else ()
        if len(extra) < value.ndim - 2:
            extra = tuple(f"{name}_dim_{i}" for i in range(value.ndim - 2))
        named[name] = ("chain", "draw", *extra)
    used = {dim for names in named.values() for dim in names}
    chains, draws = next(iter(terms.values())).shape[:2]
    coords: dict[Any, Any] = {dim: observed.coords[dim] for dim in used if dim in observed.coords}
    coords |= {"chain": np.arange(chains), "draw": np.arange(draws)}
    return xr.Dataset({name: (named[name], value) for name, value in terms.items()}, coords=coords)
