"""Datasets of a batch in groups whose models share one density, with what fails on the way; it fits nothing itself."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from bayesrun.errors import FitError
from bayesrun.samplers.lanes.agreement import AnotherDensity
from bayesrun.samplers.lanes.sharing import Member, member, padded, reference, shared_density, sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pymc as pm
    import xarray as xr

    from bayesrun.samplers.lanes.density import Density
    from bayesrun.types import Dataset

__all__ = ["fit_groups", "in_turn"]

WINDOW = 256
"""Datasets whose models are compared and queued together."""

type Results = Iterator[tuple[int, xr.DataTree | FitError]]


def fit_groups(
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    fit: Callable[[Density, Sequence[Member], float], Results],
    *,
    like: Dataset | None,
    lengthen: bool = False,
) -> Results:
    """Fit datasets, each by its own model, and those together whose models share a density.

    Parameters
    ----------
    build
        Builds the model of one dataset.
    datasets, seeds
        One of each for a fit.
    fit
        Takes a density, the datasets that share it, and the wall-clock seconds that it took to derive.
    like
        The dataset that simulated ones are made after (`sharing.member`); None: they are real.
    lengthen
        Whether real datasets of unequal length are padded so that they share a density (`padding`). Then `fit` gives
        `AnotherDensity` for a dataset to which its own model says another thing, and it is fitted by that.

    Yields
    ------
    int
        Which dataset, counted from 0.
    xarray.DataTree or FitError
        What came of it. A dataset whose model cannot be built, or has no density, leaves the others alone.
    """
    pairs = enumerate(zip(datasets, seeds, strict=True))
    compared = reference(build, like)
    while window := list(islice(pairs, WINDOW)):
        members: list[Member] = []
        for index, (dataset, seed) in window:
            try:
                members.append(member(build, index, dataset, seed, compared))
            except FitError as error:
                yield index, error
            except Exception as error:  # noqa: BLE001 - a user's builder may raise anything, and the others go on
                yield index, _refused(error)
        for group in sharing(padded(build, members) if lengthen and like is None else members):
            yield from _fit_group(build, group, fit)


def _refused(error: Exception) -> FitError:
    failure = FitError(f"the model cannot be built on this dataset: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def _fit_group(
    build: Callable[[Dataset], pm.Model],
    members: Sequence[Member],
    fit: Callable[[Density, Sequence[Member], float], Results],
) -> Results:
    """Fit datasets that are to share a density, by fewer arguments if there is no such density."""
    begin = time.perf_counter()
    try:
        density = shared_density(build, members)
    except FitError as error:
        narrower = [one.narrower for one in members]
        for one, fewer in zip(members, narrower, strict=True):
            if fewer is None:
                yield one.index, FitError(*error.args)
        for group in sharing([fewer for fewer in narrower if fewer is not None]):
            yield from _fit_group(build, group, fit)
        return
    unlike: list[Member] = []
    for one, result in _fitted(density, members, fit, time.perf_counter() - begin):
        if isinstance(result, AnotherDensity) and one.padding is not None:
            unlike.append(replace(one, padding=None))
        else:
            yield one.index, FitError(*result.args) if isinstance(result, AnotherDensity) else result
    for group in sharing(unlike):
        yield from _fit_group(build, group, fit)


def _fitted(
    density: Density, members: Sequence[Member], fit: Callable[[Density, Sequence[Member], float], Results], took: float
) -> Iterator[tuple[Member, xr.DataTree | FitError]]:
    """Fit datasets by one density; where that turns out to be another one, the rest of them come with this error."""
    waiting = {member.index: member for member in members}
    try:
        for index, result in fit(density, members, took):
            yield waiting.pop(index), result
    except AnotherDensity as error:
        yield from ((waiting[index], error) for index in sorted(waiting))


def in_turn(found: Results) -> Iterator[xr.DataTree]:
    """Put results into the order of their datasets.

    Raises
    ------
    FitError
        When it is the turn of a dataset that has no posterior.
    """
    waiting: dict[int, xr.DataTree | FitError] = {}
    turn = 0
    for index, result in found:
        waiting[index] = result
        while turn in waiting:
            following = waiting.pop(turn)
            turn += 1
            if isinstance(following, FitError):
                raise following
            yield following
