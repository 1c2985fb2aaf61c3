"""Which datasets share one density, and what of their models are its arguments; it remembers densities for the process.

Every dataset has its own model, because a builder may look at its data: test, then choose a likelihood, leave out what
does not occur, work numbers out. What is shared is what was compiled for another model of the same form.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytensor

from bayesrun.base.recent import Recent
from bayesrun.errors import FitError
from bayesrun.samplers import groups
from bayesrun.samplers.lanes.alone import Alone, layout_of
from bayesrun.samplers.lanes.density import Density, derive
from bayesrun.samplers.lanes.graphs import Survey, survey
from bayesrun.samplers.lanes.padding import Padding, in_place, pad, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import numpy as np
    import pymc as pm

    from bayesrun.types import Dataset

__all__ = ["Member", "member", "padded", "reference", "shared_density", "sharing"]

REMEMBERED = 64
"""Densities that a process keeps."""


@dataclass(frozen=True, eq=False)
class Member:
    """One dataset of a batch.

    Parameters
    ----------
    index, dataset, seed
        Its place, itself, and the seed of its fit.
    surveyed
        Its own model.
    choices
        Leaves of the model that are to be arguments of its density, and what is tried where there is no such density.
    padding
        What it is made longer by to share a density with datasets of other lengths; None: it has one of its length.
    """

    index: int
    dataset: Dataset
    seed: int
    surveyed: Survey
    choices: tuple[tuple[int, ...], ...]
    padding: Padding | None = None

    @property
    def varying(self) -> tuple[int, ...]:
        """The leaves that are arguments."""
        return self.choices[0]

    @property
    def narrower(self) -> Member | None:
        """The same as it is or with fewer arguments; None: there is nothing left to try."""
        if self.padding is not None:
            return replace(self, padding=None)
        return replace(self, choices=self.choices[1:]) if len(self.choices) > 1 else None

    @property
    def program(self) -> Hashable:
        """What its density is derived from: two datasets for which it is equal share one."""
        # a padded leaf that stays a constant makes a padding useless, and there is none then
        fixed = tuple(leaf.digest for i, leaf in enumerate(self.surveyed.leaves) if i not in self.varying)
        if self.padding is None:
            return self.surveyed.form, self.varying, fixed
        return "padded", self.padding.surveyed.form, self.varying, fixed

    def arguments(self, density: Density) -> tuple[np.ndarray, ...]:
        """Return the arguments of the density for this dataset."""
        if self.padding is None:
            return density.arguments(self.surveyed)
        return (*(self.padding.values[i] for i in density.varying), *self.padding.masks(density.masked))

    def shapes(self, density: Density) -> tuple[tuple[tuple[int, ...], str], ...]:
        """Return shape and dtype of each of these, for which a program is compiled."""
        return tuple((value.shape, value.dtype.str) for value in self.arguments(density))


def reference(build: Callable[[Dataset], pm.Model], like: Dataset | None) -> Survey | None:
    """Survey the model that those of other datasets are compared with.

    Parameters
    ----------
    build
        Builds the model of one dataset.
    like
        The dataset that simulated ones are made after; None: there is none.

    Returns
    -------
    Survey or None
        None too where no model can be built on that dataset, which says nothing about the others.
    """
    if like is None:
        return None
    try:
        return survey(_built(build, like))
    except Exception:  # noqa: BLE001 - a user's builder may raise anything; the datasets that are fitted are built in turn
        return None


def member(
    build: Callable[[Dataset], pm.Model], index: int, dataset: Dataset, seed: int, compared: Survey | None
) -> Member:
    """Build the model of one dataset, and say what of it are arguments.

    These are the observed values, lone numbers that were worked out, and all that differs from the model that it is
    compared with; of real data, which are compared with none, every array, and where chains begin. Each argument takes
    its part of the time of a gradient. They follow from the dataset and that model alone: what is a constant is rounded
    otherwise than what is an argument, and the draws of a fit must not depend on which others came before it.
    """
    surveyed = survey(_built(build, dataset))
    return Member(index, dataset, seed, surveyed, _choices(surveyed, compared))


def _built(build: Callable[[Dataset], pm.Model], dataset: Dataset) -> pm.Model:
    """Build without the places in the source that PyTensor notes for each variable: they take a third of the time."""
    with pytensor.config.change_flags(traceback__limit=0):
        return build(dataset)


def _choices(own: Survey, compared: Survey | None) -> tuple[tuple[int, ...], ...]:
    """Return the sets of leaves that may be arguments, the widest first, the observed values alone as the last."""
    observed = {i for i, leaf in enumerate(own.leaves) if leaf.observed}
    always = observed | {i for i, leaf in enumerate(own.leaves) if leaf.lone}
    if compared is not None:
        found = [always | _differing(own, compared), observed]
    else:
        arrays = {i for i, leaf in enumerate(own.leaves) if leaf.is_array}
        whole = {i for i in arrays if own.leaves[i].value.dtype.kind in "iu"}  # which may be lengths and axes
        starts = {i for i, leaf in enumerate(own.leaves) if leaf.start}
        found = [always | starts | arrays, always | starts | (arrays - whole), always | starts, observed]
    return tuple(dict.fromkeys(tuple(sorted(one)) for one in found))


def _differing(own: Survey, compared: Survey) -> set[int]:
    if own.form == compared.form:
        pairs = enumerate(zip(own.leaves, compared.leaves, strict=True))
        return {i for i, (a, b) in pairs if a.digest != b.digest}
    known = {leaf.digest for leaf in compared.leaves}
    return {i for i, leaf in enumerate(own.leaves) if leaf.digest not in known and not leaf.infinite}


def sharing(members: Sequence[Member]) -> list[list[Member]]:
    """Put datasets together that share a density, in the order in which they come."""
    groups: dict[Hashable, list[Member]] = {}
    for one in members:
        groups.setdefault(one.program, []).append(one)
    return list(groups.values())


_densities: Recent[Hashable, Density | FitError] = Recent(REMEMBERED)


def shared_density(build: Callable[[Dataset], pm.Model], members: Sequence[Member]) -> Density:
    """Return the density of datasets that share one, or what came of it before.

    It is derived from the first dataset, and checked against PyMC on it and on the second.

    Parameters
    ----------
    build
        Builds the model of one dataset.
    members
        At least one, with the same `Member.program`.

    Raises
    ------
    FitError
        If there is no such density.
    """
    found = _densities.get(members[0].program, lambda: _derived(build, members))
    if isinstance(found, FitError):
        raise FitError(*found.args) from found
    return found


def _derived(build: Callable[[Dataset], pm.Model], members: Sequence[Member]) -> Density | FitError:
    own = members[0]
    try:
        if own.padding is not None:
            return _padded(build, own, own.padding)
        others = [_built(build, one.dataset) for one in members[1:2]]
        return derive(_built(build, own.dataset), own.varying, others)
    except FitError as error:
        return error
    except Exception as error:
        if own.narrower is None:
            raise
        return FitError(f"{type(error).__name__}: {error}")  # PyMC may want to know a number to write a density down


def _padded(build: Callable[[Dataset], pm.Model], own: Member, padding: Padding) -> Density:
    """Derive the density of a padded dataset, if rows enter its model by terms of their own alone."""
    model = own.surveyed.model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which the dataset's own model gave
        longer, fresh = survey(_built(build, padding.dataset)), _built(build, padding.dataset)
    in_place(padding, longer, {})
    names = groups.posterior_names(model)
    layout = layout_of(Alone(model, names), Alone(longer.model, names), padding.further)
    return derive(fresh, own.varying, padding=padding, layout=layout, own=model)


def padded(build: Callable[[Dataset], pm.Model], members: Sequence[Member]) -> list[Member]:
    """Make datasets longer that share a density with datasets of other lengths then.

    Parameters
    ----------
    build
        Builds the model of one dataset.
    members
        Of one batch.

    Returns
    -------
    list
        The same datasets in the same order. Those of one length are left as they are, and so are those that have no
        other ones to share with.
    """
    lengths = {rows_of(one.dataset) for one in members}
    if len(lengths) == 1:
        return list(members)
    longer = [_longer(build, one) for one in members]
    together: dict[Hashable, set[int | None]] = {}
    for one in longer:
        if one.padding is not None:
            together.setdefault(one.program, set()).add(rows_of(one.dataset))
    return [
        long if long.padding is not None and len(together[long.program]) > 1 else own
        for own, long in zip(members, longer, strict=True)
    ]


def _longer(build: Callable[[Dataset], pm.Model], own: Member) -> Member:
    padding = pad(own.dataset, own.surveyed, lambda dataset: survey(_built(build, dataset)))
    if padding is None:
        return own
    pairs = enumerate(zip(own.surveyed.leaves, padding.values, strict=True))
    constant = any(leaf.value.shape != value.shape for i, (leaf, value) in pairs if i not in own.varying)
    return own if constant else replace(own, padding=padding)
