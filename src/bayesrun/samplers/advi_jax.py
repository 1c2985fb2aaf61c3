"""Mean-field ADVI on JAX, many datasets at once: the approximation and the optimiser of `advi`, compiled once.

It does not judge the approximation; the densities that k-hat needs are kept.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from bayesrun.errors import FitError, FitTimeoutError
from bayesrun.samplers import variational

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pymc as pm
    import xarray as xr

    from bayesrun.samplers import groups
    from bayesrun.samplers.lanes.alone import Alone
    from bayesrun.samplers.lanes.ascent import Ascent, Found
    from bayesrun.samplers.lanes.density import Density
    from bayesrun.samplers.lanes.sharing import Member
    from bayesrun.samplers.lanes.to_xarray import Moulds
    from bayesrun.types import Dataset, SamplerOptions

__all__ = ["DISCRETE", "EXTRA", "KIND", "NEEDS", "OPTIONS", "VERSION", "fits", "sample"]

VERSION: Final = 2
KIND: Final = "variational"
DISCRETE: Final = False
NEEDS: Final = ("density", "rows", "gradient", "jax")
"""What it needs of a density: see `planning.sampler_needs`."""
OPTIONS: Final = ("draws", "chains", "iterations", "learning_rate", "extra")
"""Options that change the draws."""
EXTRA: Final = ("obj_n_mc",)
"""Keys of ``extra``."""


def sample(
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    options: SamplerOptions,
) -> Iterator[xr.DataTree]:
    """Fit independent normals by ADVI (Kucukelbir et al. 2017, JMLR 18:14) and draw from them, in double precision.

    What is fitted, from where, with which optimiser and what is kept of it is as in `bayesrun.samplers.advi`; the
    random numbers are others.

    Parameters
    ----------
    build
        Builds the model of one dataset; its free variables are continuous.
    datasets, seeds
        One of each for a fit. A fit's seed gives it the same random numbers in every batch.
    options
        ``iterations``, ``learning_rate``, and ``draws`` x ``chains`` independent draws, which form one chain.
        ``extra`` may have ``obj_n_mc`` (int: draws from the approximation for one gradient).

    Yields
    ------
    xarray.DataTree
        One for each dataset, in their order. Groups ``posterior``, ``sample_stats`` (``lp``, ``log_q``),
        ``observed_data``, ``log_likelihood`` and ``optimization``, and attributes, as `variational.draws` has them.
        ``sampling_seconds`` and ``compile_seconds``, its part, are shares of the batch's wall-clock seconds.

    Raises
    ------
    FitError
        When it is the turn of a dataset whose optimisation met NaN, or whose model JAX cannot take.
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
    """Fit like `sample`, but in the order in which fits are done, and with errors as values.

    The arguments `like` and `timeout`, and what is yielded, are as in `bayesrun.samplers.lanes.engine.fits`.
    """
    from bayesrun.samplers.lanes.engine import prepare_jax
    from bayesrun.samplers.lanes.same_form import fit_groups

    _check(options)
    prepare_jax()
    yield from fit_groups(build, datasets, seeds, partial(_fit_group, options, timeout), like=like, lengthen=True)


def _check(options: SamplerOptions) -> None:
    """Refuse what this sampler cannot do."""
    others = sorted(set(options.extra) - set(EXTRA))
    if others:
        raise FitError(
            f"sampler=advi_jax has no option {', '.join(others)}; it takes {', '.join(EXTRA)}. "
            "sampler=advi hands its extra to pymc.fit"
        )
    n_mc = options.extra.get("obj_n_mc", 1)
    if not isinstance(n_mc, int) or isinstance(n_mc, bool) or n_mc < 1:
        raise FitError(f"sampler.extra.obj_n_mc: got {n_mc!r}, want a whole number from 1 on")


def _fit_group(
    options: SamplerOptions,
    timeout: float | None,
    density: Density,
    members: Sequence[Member],
    seconds: float,
    spent: Mapping[int, float] | None = None,
) -> Iterator[tuple[int, xr.DataTree | FitError]]:
    """Fit datasets that share a density, which took some seconds to derive.

    A gradient that is not finite makes the ELBO NaN. Datasets of which it became so are fitted again, from the same
    seeds, by the guarded form of the density; `spent` are the seconds that such datasets took before.
    """
    from bayesrun.samplers.lanes.agreement import AnotherDensity, by_itself
    from bayesrun.samplers.lanes.alone import BY_MORE, alone_of
    from bayesrun.samplers.lanes.ascent import Schedule, Task, ascent, climb
    from bayesrun.samplers.lanes.starts import drawn_start
    from bayesrun.samplers.lanes.to_xarray import Moulds

    begin = time.perf_counter()
    program = ascent(
        density, members[0].shapes(density), options.extra.get("obj_n_mc", 1), options.draws * options.chains
    )
    in_jax = partial(by_itself, density)
    density.agreement.at_start(in_jax)
    alone = alone_of(density, members, partial(by_itself, density), lambda z, given: program.describe(z, given)[:2])
    yield from ((one.index, AnotherDensity(BY_MORE)) for one in members if one.index not in alone)
    members = [one for one in members if one.index in alone]
    compile_seconds = (seconds + time.perf_counter() - begin) / max(len(members), 1)
    averaged = max(1, int(options.iterations * variational.AVERAGED))
    schedule = Schedule(options.iterations, averaged, options.learning_rate)
    shared = _Shared(program, options, Moulds(), compile_seconds)
    again: dict[Member, float] = {}
    before = spent or {}
    for first in range(0, len(members), program.width):
        block = members[first : first + program.width]
        tasks = [
            Task(m.seed, m.arguments(density), None if density.start else drawn_start(m.surveyed, m.seed))
            for m in block
        ]
        for member, found in zip(block, climb(program, tasks, schedule, timeout), strict=True):
            if found.late:
                yield member.index, _late(found, timeout or 0.0, options)
            elif found.failed and density.second:
                again[member] = found.seconds
            elif found.failed:
                yield member.index, variational.became_nan(f" in iteration {found.elbo.size + 1}.", options)
            else:
                density.agreement.where_visited(_around(found), in_jax)
                whole = found._replace(seconds=found.seconds + before.get(member.index, 0.0))
                yield member.index, _settled(shared, member, whole, alone[member.index])
    if again and density.second:
        begin = time.perf_counter()
        other, gone = density.second(), {member.index: seconds for member, seconds in again.items()}
        yield from _fit_group(options, timeout, other, list(again), time.perf_counter() - begin, gone)


def _around(found: Found) -> np.ndarray:
    """Return positions of the approximation: its mean, and all coordinates two standard deviations to one side."""
    scale = np.logaddexp(0.0, found.rho)
    return np.stack([found.mu, found.mu - 2.0 * scale, found.mu + 2.0 * scale])


def _late(found: Found, timeout: float, options: SamplerOptions) -> FitTimeoutError:
    return FitTimeoutError(
        f"took longer than {timeout:g} s of its batch for {found.elbo.size} of {options.iterations} iterations; raise "
        "sampler.timeout, or lower sampler.iterations"
    )


class _Shared(NamedTuple):
    """What datasets that are fitted together have in common; `compile_seconds` are the part of each."""

    program: Ascent
    options: SamplerOptions
    moulds: Moulds
    compile_seconds: float


def _settled(shared: _Shared, member: Member, found: Found, alone: Alone | None) -> xr.DataTree | FitError:
    """Draw from an approximation, or say why that says nothing."""
    try:
        return _tree(shared, member, found, alone)
    except FitError as error:
        return error


def _tree(shared: _Shared, member: Member, found: Found, alone: Alone | None) -> xr.DataTree | FitError:
    """Draw from the approximation of one dataset and put that into groups; see `Alone` for padded ones."""
    from bayesrun.samplers.lanes.agreement import AnotherDensity
    from bayesrun.samplers.lanes.alone import BY_MORE

    begin = time.perf_counter()
    program, options, moulds, compile_seconds = shared
    density, count = program.density, options.draws * options.chains
    scale = np.logaddexp(0.0, found.rho)
    standard = np.random.default_rng([member.seed, 1]).standard_normal((count, density.size))
    log_q = variational.log_density(standard, scale)
    z = found.mu + standard * scale
    variables, terms, lp = program.describe(z, member.arguments(density))
    if alone is not None:
        variables, terms = alone.cut(density, variables, terms)
        if alone.differs_where_visited(z, np.asarray(lp), variables, terms):
            return AnotherDensity(BY_MORE)
    arrays = {
        # the free variables come first, and may be alone
        "posterior": {name: np.asarray(v)[None] for name, v in zip(density.variables, variables, strict=False)},
        "sample_stats": {"lp": np.asarray(lp)[None], "log_q": log_q[None]},
        "log_likelihood": {name: np.asarray(v)[None] for name, v in zip(density.observed, terms, strict=True)},
    }
    attrs: groups.Attributes = {
        "sampler": "advi_jax",
        "sampler_version": VERSION,
        "sampling_seconds": found.seconds + compile_seconds + time.perf_counter() - begin,
        "compile_seconds": compile_seconds,
        **variational.judgement(found.elbo, np.asarray(lp), log_q),
    }
    return variational.with_elbo(moulds.tree(member.surveyed.model, arrays, attrs), found.elbo, attrs)
