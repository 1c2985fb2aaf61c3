"""Which datasets share one density, and what of their models are its arguments; it remembers both for the process."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bayesrun.errors import FitError
from bayesrun.samplers.lanes.density import Density, derive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pymc as pm

    from bayesrun.samplers.lanes.graphs import Survey
    from bayesrun.types import Dataset

__all__ = ["Member", "by_form", "shared_density"]

REMEMBERED = 64
"""Densities that a process keeps."""


@dataclass(frozen=True, eq=False)
class Member:
    """One dataset of a batch: its place, itself, the seed of its fit, and the survey of its model."""

    index: int
    dataset: Dataset
    seed: int
    surveyed: Survey


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
