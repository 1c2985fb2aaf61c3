"""Which datasets share one density, and what of their models are its arguments; it remembers both for the process."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pymc.backends.arviz import find_constants, find_observations

from bayesrun.errors import FitError
from bayesrun.samplers.lanes.density import Density, derive
from bayesrun.samplers.lanes.graphs import Survey, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pymc as pm

    from bayesrun.types import Dataset

__all__ = ["Form", "Member", "by_form", "shared_density"]

REMEMBERED = 64
"""Densities that a process keeps."""
PROBED = 16
"""Of datasets that are draws of one generator, the model of one in so many is built."""


@dataclass(frozen=True, eq=False)
class Member:
    """One dataset of a batch.

    Parameters
    ----------
    index, dataset, seed
        Its place, itself, and the seed of its fit.
    surveyed
        Its own model, or that of an earlier dataset of the same generator.
    taken, values
        For a model that is not its own: leaf, or name of observed values or data, to the array of the dataset that
        it is.
    """

    index: int
    dataset: Dataset
    seed: int
    surveyed: Survey
    taken: dict[int, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def arguments(self, density: Density) -> tuple[np.ndarray, ...]:
        """Return what the density needs to know of this dataset."""
        leaves = self.surveyed.leaves
        return tuple(
            np.asarray(self.dataset[self.taken[i]]).astype(leaves[i].value.dtype)
            if i in self.taken
            else leaves[i].value
            for i in density.varying
        )

    def named(self) -> dict[str, np.ndarray]:
        """Observed values and data that are not those of the model, by name."""
        return {name: np.asarray(self.dataset[array]) for name, array in self.values.items()}


class Form:
    """The model of the draws of one generator, which differ in some arrays of their datasets.

    Two models are built and compared. Where everything that differs between them is an array of the dataset as it is,
    others are not built, since building a model takes as long as drawing from it; one in `PROBED` still is, and from
    the first that has another form on, all are.
    """

    def __init__(self, build: Callable[[Dataset], pm.Model]) -> None:
        self.build = build
        self.first: tuple[Survey, Dataset] | None = None
        self.taken: dict[int, str] | None = None
        self.values: dict[str, str] = {}
        self.seen = 0

    def member(self, index: int, dataset: Dataset, seed: int) -> Member:
        """Survey one dataset, by its own model or by the first one's."""
        self.seen += 1
        if self.first is not None and self.taken is not None and self.seen % PROBED:
            surveyed, of = self.first
            if _alike(dataset, of, set(self.taken.values())):
                return Member(index, dataset, seed, surveyed, self.taken, self.values)
        own = survey(self.build(dataset))
        if self.first is None:
            self.first = own, dataset
        else:
            self.taken = self._compared(own, dataset)
        return Member(index, dataset, seed, own)

    def _compared(self, own: Survey, dataset: Dataset) -> dict[int, str] | None:
        """Say which leaves are which arrays; None if that does not explain all that differs."""
        assert self.first is not None
        surveyed, of = self.first
        if own.form != surveyed.form or (self.seen > 2 and self.taken is None):
            return None

        def array(mine: np.ndarray, first: np.ndarray, known: str | None) -> str | None:
            names = list(dataset) if known is None else [known]
            return next((n for n in names if _is(dataset, n, mine) and _is(of, n, first)), None)

        taken = dict(self.taken or {})
        for i, (mine, first) in enumerate(zip(own.leaves, surveyed.leaves, strict=True)):
            if mine.digest != first.digest or i in taken:
                name = array(mine.value, first.value, taken.get(i))
                if name is None:
                    return None
                taken[i] = name
        here, there = _named_values(own.model), _named_values(surveyed.model)
        for key, value in here.items():
            if key in self.values or not np.array_equal(value, there[key], equal_nan=value.dtype.kind == "f"):
                name = array(value, there[key], self.values.get(key))
                if name is None:
                    return None
                self.values[key] = name
        return taken


def _named_values(model: pm.Model) -> dict[str, np.ndarray]:
    """Observed values and named data of a model."""
    found = {**find_observations(model), **find_constants(model)}
    return {name: np.ma.getdata(value) for name, value in found.items()}


def _is(dataset: Dataset, name: str, value: np.ndarray) -> bool:
    """Whether an array of a dataset, in the dtype of a leaf, is that leaf."""
    array = np.asarray(dataset[name])
    return array.shape == value.shape and array.dtype.kind in "bif" and bool((array.astype(value.dtype) == value).all())


def _alike(dataset: Dataset, first: Dataset, differing: set[str]) -> bool:
    """Whether two datasets have the same arrays but for some, and those in the same shape."""
    if set(dataset) != set(first) or dict(dataset.coords) != dict(first.coords):
        return False
    for name in dataset:
        a, b = np.asarray(dataset[name]), np.asarray(first[name])
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if name not in differing and a is not b and not np.array_equal(a, b):
            return False
    return True


@dataclass(eq=False)
class _Known:
    """What was seen of the models of one form: the leaves of the first one, and which of them have differed."""

    leaves: tuple[bytes, ...]
    varying: set[int] = field(default_factory=set)


_known: dict[Any, _Known] = {}
_densities: OrderedDict[Any, Density] = OrderedDict()


def by_form(members: Sequence[Member]) -> list[list[Member]]:
    """Put datasets together whose models have the same form, in the order in which they come."""
    groups: dict[Any, list[Member]] = {}
    for member in members:
        groups.setdefault(member.surveyed.form, []).append(member)
    return list(groups.values())


def shared_density(build: Callable[[Dataset], pm.Model], members: Sequence[Member]) -> Density:
    """Return the density of datasets whose models have the same form.

    Observed values are arguments, and so is every leaf that has ever differed between models of this form in this
    process. The density is derived from the first dataset, and checked against PyMC on it and on the second.

    Parameters
    ----------
    build
        Builds the model of one dataset.
    members
        At least one. A model that stands alone keeps everything but its observed values constant if it has to.

    Raises
    ------
    FitError
        If there is no such density.
    """
    form, leaves = members[0].surveyed.form, members[0].surveyed.leaves
    known = _known.setdefault(form, _Known(tuple(leaf.digest for leaf in leaves)))
    observed = {i for i, leaf in enumerate(leaves) if leaf.observed}
    known.varying |= observed
    for member in members:
        pairs = zip(known.leaves, member.surveyed.leaves, strict=True)
        known.varying.update(i for i, (digest, leaf) in enumerate(pairs) if leaf.digest != digest)
    try:
        return _density(build, members, known.varying)
    except FitError:
        if len(members) > 1 or known.varying == observed:
            raise
        return _density(build, members, observed)


def _density(build: Callable[[Dataset], pm.Model], members: Sequence[Member], varying: set[int]) -> Density:
    surveyed = members[0].surveyed
    fixed = tuple(leaf.digest for i, leaf in enumerate(surveyed.leaves) if i not in varying)
    key = (surveyed.form, tuple(sorted(varying)), fixed)
    if key not in _densities:
        others = [build(member.dataset) for member in members[1:2]]
        _densities[key] = derive(build(members[0].dataset), sorted(varying), others)
    _densities.move_to_end(key)
    while len(_densities) > REMEMBERED:
        _densities.popitem(last=False)
    return _densities[key]
