"""The model of a fit as a worker builds it: by its own builder, with what PyTensor compiled for others of its form."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from bayesrun.base.imports import import_target
from bayesrun.types import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable

    import pymc as pm

    from bayesrun.samplers.lanes.graphs import Survey
    from bayesrun.types import Dataset, FitSpec
    from bayesrun.work.case import Case

__all__ = ["builder_of", "sharing"]

_surveys: dict[str, Survey] = {}


def builder_of(spec: FitSpec) -> Callable[[Dataset], pm.Model]:
    """Import the builder of a recipe's model, and give it its parameters."""
    return functools.partial(import_target("model", spec.model.path), **spec.model.params)


def sharing(case: Case, builder: Callable[[Dataset], pm.Model], purpose: str) -> Callable[[Dataset], pm.Model]:
    """Return a builder whose models of simulated data are compiled once: see `share_data`.

    Real data are fitted once, and theirs stays as it is.
    """
    if case.base is None:
        return builder
    from bayesrun.samplers.lanes.graphs import survey
    from bayesrun.samplers.lanes.shared_data import share_data

    joint = case.form is not None
    name = canonical_json([purpose, case.spec.model, case.spec.data_hash, case.spec.fingerprint, joint])
    if name not in _surveys:
        _surveys[name] = survey(builder(case.form or case.base))
    reference = _surveys[name]
    return lambda dataset: share_data(builder(dataset), reference)
