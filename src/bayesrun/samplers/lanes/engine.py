"""NUTS for many datasets of one model at once, compiled once; it judges no convergence.

Datasets whose models have the same graph share a compiled program, in which what differs between them is data.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jax
import numpy as np

from bayesrun.errors import FitError, FitTimeoutError
from bayesrun.samplers import groups
from bayesrun.samplers.lanes.agreement import AnotherDensity, by_itself, by_program
from bayesrun.samplers.lanes.alone import BY_MORE, alone_of
from bayesrun.samplers.lanes.fleet import SQUARE, Chains, Restart, Work, draw, whole
from bayesrun.samplers.lanes.program import ATTEMPTS, Program, Settings, program
from bayesrun.samplers.lanes.same_form import fit_groups
from bayesrun.samplers.lanes.starts import drawn_start
from bayesrun.samplers.lanes.state import CUT_OFF, DIVERGING
from bayesrun.samplers.lanes.to_xarray import Moulds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pymc as pm
    import xarray as xr

    from bayesrun.samplers.lanes.agreement import Evaluate
    from bayesrun.samplers.lanes.alone import Alone
    from bayesrun.samplers.lanes.density import Density
    from bayesrun.samplers.lanes.graphs import Survey
    from bayesrun.samplers.lanes.sharing import Member
    from bayesrun.types import Dataset, SamplerOptions

__all__ = ["EXTRA", "VERSION", "fits", "prepare_jax"]

VERSION: Final = 4
EXTRA: Final = ("dense_mass", "lanes")
"""Keys of ``extra`` that it knows."""

LANES = {"cpu": 64}
"""Chains that run side by side, unless the options say otherwise: on a core the cost of a fit is flat from here on."""
MANY_LANES = 2048
"""The same for other devices, which are idle with fewer."""
STATE_BYTES = 2**30
"""Bound on the state of all lanes, which keeps those of large models fewer."""
DRAWS_BYTES = 2**29
"""Bound on the draws of the chains that are under way, which wait in the host's memory until all of a fit are there."""


def fits(
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    options: SamplerOptions,
    *,
    like: Dataset | None = None,
    timeout: float | None = None,
) -> Iterator[tuple[int, xr.DataTree | FitError]]:
    """Draw with NUTS (Hoffman and Gelman 2014, JMLR 15:1593), many datasets side by side.

    Parameters
    ----------
    build
        Builds the model of one dataset; its free variables are continuous.
    datasets, seeds
        One of each for a fit. A fit's seed gives it the same random numbers in every batch.
    options
        ``extra`` may have ``dense_mass`` (bool: adapt a mass matrix with off-diagonal elements) and ``lanes`` (int:
        chains side by side); ``batch_size`` is what the lanes are compiled for, so that a smaller batch of the
        same study compiles nothing.
    like
        For simulated datasets the one that they are made after: arrays in which their models differ from its model are
        arguments of what is compiled. None: they are real.
    timeout
        Seconds that one dataset may take of the lanes' time; None: no bound but ``max_treedepth``.

    Yields
    ------
    int
        Which dataset, counted from 0, in the order in which fits are done.
    xarray.DataTree or FitError
        What came of it; a dataset that fails leaves the others alone. Groups ``posterior``, ``sample_stats``
        (`groups.NUTS_STATS`), ``observed_data`` and ``log_likelihood``. Attributes ``sampling_seconds`` and
        ``compile_seconds``, its part: wall-clock seconds of the batch, by the lanes that worked for this fit and in
        equal parts; ``useful_steps``: share of the batch's leapfrog steps until then that belonged to a trajectory;
        ``effort``, where a dataset took many times the leapfrog steps of its batch: how many times their median;
        ``restarts``, where chains were begun again: which, after which transition, and how far below the others;
        ``guarded`` of a fit that was drawn again by the guarded form of its density, and ``no_gradient``: how many
        trajectories ended for want of a gradient, where that could not be helped.
    """
    prepare_jax()
    yield from fit_groups(build, datasets, seeds, partial(_fit_group, options, timeout), like=like, lengthen=True)


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
    if os.environ.get("BAYESRUN_GPUS") and jax.default_backend() == "cpu":
        raise FitError(
            "sampler.resources.num_gpus asks for a GPU, and JAX sees none in the worker; install JAX for it "
            "(pip install 'bayesrun[cuda]'), or use sampler=numpyro"
        )
    if jax.config.jax_compilation_cache_dir is None:
        root = os.environ.get("BAYESRUN_CACHE") or Path.home() / ".cache" / "bayesrun"
        jax.config.update("jax_compilation_cache_dir", str(Path(root) / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _fit_group(
    options: SamplerOptions,
    timeout: float | None,
    density: Density,
    members: Sequence[Member],
    seconds: float,
    spent: Mapping[int, float] | None = None,
) -> Iterator[tuple[int, xr.DataTree | FitError]]:
    """Fit datasets that share a density, which took some seconds to derive.

    Those that a gradient failed where the density was finite are fitted again, from the same seeds, by the guarded form
    of the density; `spent` are the seconds that such datasets took before.
    """
    begin = time.perf_counter()
    compiled = program(density, _settings(density, options, len(members)), members[0].shapes(density))
    in_jax = partial(_of_program, compiled, density.agreement.arguments)
    density.agreement.at_start(in_jax)
    compile_seconds = (seconds + time.perf_counter() - begin) / len(members)
    alone = alone_of(density, members, partial(_of_program, compiled), compiled.describe)
    yield from ((one.index, AnotherDensity(BY_MORE)) for one in members if one.index not in alone)
    members = [one for one in members if one.index in alone]
    by_index = {member.index: member for member in members}
    moulds = Moulds()
    before = spent or {}
    work = (Work(m.index, m.seed, m.arguments(density), _start(density, m), before.get(m.index, 0.0)) for m in members)
    again: dict[int, float] = {}
    for chains, share in draw(compiled, work, timeout, restart=options.restart, leave=density.second is not None):
        member = by_index[chains.work.index]
        if chains.no_gradient and density.second and not chains.late:
            again[member.index] = chains.seconds
            continue
        if not chains.started:
            yield member.index, _no_start(member.surveyed, blind=chains.no_gradient > 0)
            continue
        if chains.late:
            yield member.index, _late(chains, timeout or 0.0)
            continue
        density.agreement.where_visited(chains.z, in_jax)
        attrs: groups.Attributes = {
            "sampler": "numpyro",
            "sampler_version": VERSION,
            "target_accept": options.target_accept,
            "sampling_seconds": float(chains.seconds) + compile_seconds,
            "compile_seconds": compile_seconds,
            "useful_steps": share,
            **_told(chains, guarded=bool(spent)),
        }
        if options.precision == "float32":
            attrs["lp_error"] = _rounding(density, member, chains)
        yield member.index, _tree(compiled, moulds, member, chains, attrs, alone[member.index])
    if again and density.second:
        begin = time.perf_counter()
        other, left = density.second(), [by_index[index] for index in again]
        yield from _fit_group(options, timeout, other, left, time.perf_counter() - begin, again)


def _of_program(compiled: Program, arguments: tuple[np.ndarray, ...]) -> Evaluate:
    """Return what the program computes, in single precision what it is made of."""
    double = compiled.settings.precision == "float64"
    return by_program(compiled, arguments) if double else by_itself(compiled.density, arguments)


def _start(density: Density, member: Member) -> Callable[[int, int], np.ndarray] | None:
    """Give the start of each chain of a model whose initial point is random; None: the density has one."""
    if density.start:
        return None

    def start(chain: int, begun: int) -> np.ndarray:
        return drawn_start(member.surveyed, (member.seed, chain, *([begun] if begun else [])), jittered=True)

    return start


def _told(chains: Chains, *, guarded: bool) -> groups.Attributes:
    """Say what happened to a dataset that does not happen to every one."""
    told: groups.Attributes = {
        "effort": chains.effort,
        "restarts": _begun_again(chains.restarts),
        "guarded": int(guarded),
        "no_gradient": chains.no_gradient,
    }
    return {name: what for name, what in told.items() if what}


def _begun_again(restarts: Sequence[Restart]) -> str:
    """Say which chains were begun again, after how many transitions, and how far below another one they were then."""
    found: dict[tuple[int, int], list[str]] = {}
    for restart in restarts:
        found.setdefault((restart.chain, restart.transition), []).append(f"{restart.below:.3g}")
    return ", ".join(
        f"chain {chain} after transition {transition} ({', then '.join(each)} below)"
        for (chain, transition), each in sorted(found.items())
    )


def _late(chains: Chains, timeout: float) -> FitTimeoutError:
    n_chains, n_draws, _ = chains.z.shape
    return FitTimeoutError(
        f"took longer than {timeout:g} s of its batch: {chains.steps} leapfrog steps, and not all of its "
        f"{n_chains * n_draws} draws are there; raise sampler.timeout, or look at this dataset and the model's "
        "parameterization"
    )


def _no_start(surveyed: Survey, *, blind: bool) -> FitError:
    names = ", ".join(rv.name for rv in surveyed.model.free_RVs)
    if blind:
        return FitError(
            f"the log density is finite around the initial point of {names}, and its gradient in JAX is not; use "
            "sampler=nuts, whose gradients are PyTensor's, or give the variables an initval"
        )
    return FitError(
        f"no start with a finite log density and gradient in {ATTEMPTS} attempts around the initial point of {names}; "
        "check that the priors allow the data, or give the variables an initval"
    )


def _settings(density: Density, options: SamplerOptions, n_datasets: int) -> Settings:
    extra = dict(options.extra)
    dense = bool(extra.pop("dense_mass", False))
    limit = int(extra.pop("lanes", LANES.get(jax.default_backend(), MANY_LANES)))
    if extra:
        raise FitError(f"the batched engine has no option {', '.join(sorted(extra))}; it takes {', '.join(EXTRA)}")
    planned = n_datasets if options.batch_size == "auto" else options.batch_size
    of_a_lane = 8 * density.size * (2 * options.max_treedepth + 20 + 3 * density.size * dense)
    limit = min(limit, STATE_BYTES // of_a_lane, DRAWS_BYTES // (8 * density.size * options.draws))
    # few shapes, so that few programs are compiled: powers of two until the lanes are used up
    slots = min(1 << (planned - 1).bit_length(), max(limit // options.chains, 1))
    return Settings(
        # where memory allows fewer, every batch has as many
        lanes=whole(slots * options.chains, options.precision, density.size if limit >= SQUARE else 1),
        chains=options.chains,
        tune=options.tune,
        draws=options.draws,
        target_accept=options.target_accept,
        max_treedepth=options.max_treedepth,
        dense_mass=dense,
        precision=options.precision,
    )


def _tree(
    compiled: Program,
    moulds: Moulds,
    member: Member,
    chains: Chains,
    attrs: groups.Attributes,
    alone: Alone | None,
) -> xr.DataTree | FitError:
    """Put the chains of one dataset into groups; those of a padded one if its own model says the same of them."""
    n_chains, n_draws, size = chains.z.shape
    z = chains.z.reshape(-1, size)
    found = compiled.describe(z, chains.work.arguments)
    if alone is not None:
        lp = -chains.stats["potential"].ravel() if compiled.settings.precision == "float64" else None
        found = alone.cut(compiled.density, *found)
        if alone.differs_where_visited(z, lp, *found):
            return AnotherDensity(BY_MORE)
    variables, terms = found

    def shaped(names: Sequence[str], values: Sequence[Any]) -> dict[str, np.ndarray]:
        return {
            name: np.asarray(value).reshape(n_chains, n_draws, *value.shape[1:])
            for name, value in zip(names, values, strict=False)  # free variables come first, and may be alone
        }

    arrays = {
        "posterior": shaped(compiled.density.variables, variables),
        "sample_stats": _statistics(chains),
        "log_likelihood": shaped(compiled.density.observed, terms),
    }
    return moulds.tree(member.surveyed.model, arrays, attrs)


def _rounding(density: Density, member: Member, chains: Chains) -> float:
    """Largest difference between the log densities of some draws in single and in double precision."""
    arguments = tuple(jax.numpy.asarray(value) for value in member.arguments(density))
    every = max(chains.z.shape[1] // 16, 1)
    points = chains.z[:, ::every].reshape(-1, density.size)
    exact = jax.jit(jax.vmap(density.log_density, in_axes=(0, None)))(points, density.prepare(arguments))
    return float(np.max(np.abs(np.asarray(exact) + chains.stats["potential"][:, ::every].ravel())))


def _statistics(chains: Chains) -> dict[str, np.ndarray]:
    found = chains.stats
    stats = {
        "acceptance_rate": found["acceptance"],
        "step_size": np.repeat(found["step_size"][:, None], chains.z.shape[1], axis=1),
        "diverging": (found["flags"] & DIVERGING) > 0,
        "energy": found["energy"],
        "n_steps": found["n_steps"],
        "tree_depth": np.ceil(np.log2(found["n_steps"] + 1)).astype(np.int64),
        "reached_max_treedepth": (found["flags"] & CUT_OFF) > 0,
        "lp": -found["potential"],
    }
    return {name: stats[name] for name in groups.NUTS_STATS}
