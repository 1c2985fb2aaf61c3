"""The model of a fit as a worker builds it: by its own builder, with what PyTensor compiled for others of its form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesrun.base.imports import import_target
from bayesrun.base.label_forms import is_one_axis, label_array
from bayesrun.base.netcdf_names import dim_of_tree
from bayesrun.base.recent import Recent
from bayesrun.types import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable

    import pymc as pm

    from bayesrun.samplers.lanes.graphs import Survey
    from bayesrun.types import Dataset, FitSpec
    from bayesrun.work.case import Case

__all__ = ["builder_of", "own_builder", "parameters_of", "sharing", "sharing_arrays"]

_surveys: dict[str, Survey] = {}
_parameters: Recent[str, frozenset[str]] = Recent(64)


def own_builder(spec: FitSpec) -> Callable[[Dataset], pm.Model]:
    """Import the builder of a recipe's model, and give it its parameters."""
    from bayesrun.simulate.builders import bound_builder

    return bound_builder(import_target("model", spec.model.path), spec.model.params)


def builder_of(spec: FitSpec) -> Callable[[Dataset], pm.Model]:
    """Return the builder of a recipe's model, whose dims and labels are such as the groups of a tree can have.

    A label may be a tuple, and a dim may have a slash in its name: PyMC takes both, and xarray neither.
    """
    own = own_builder(spec)
    return lambda dataset: _relabelled(own(dataset))


def parameters_of(case: Case) -> frozenset[str]:
    """Name the variables of a model that are drawn; it is built once for all fits of one meaning."""
    spec = case.spec
    own = own_builder(spec)
    return _parameters.get(
        canonical_json([spec.model.path, spec.model.params, spec.fingerprint]),
        lambda: frozenset(str(rv.name) for rv in own(case.dataset).free_RVs),
    )


def _relabelled(model: pm.Model) -> pm.Model:
    dims = {dim: dim_of_tree(dim) for dim in model.coords}
    for dim, labels in list(model.coords.items()):
        if labels is not None and not is_one_axis(labels):
            model.coords[dim] = label_array(labels)
    if any(dim != name for dim, name in dims.items()):
        for held in (model.coords, model.dim_lengths):
            renamed = {dims.get(dim, dim): value for dim, value in held.items()}
            held.clear()
            held.update(renamed)
        for variable, along in list(model.named_vars_to_dims.items()):
            model.named_vars_to_dims[variable] = tuple(dims.get(dim, dim) for dim in along)
    return model


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


def sharing_arrays(case: Case, builder: Callable[[Dataset], pm.Model]) -> pm.Model:
    """Build the model of a fit such that what is drawn from it is compiled once for real datasets of one form."""
    model = builder(case.dataset)
    if case.base is not None:
        return model
    from bayesrun.samplers.lanes.shared_data import share_arrays

    return share_arrays(model)
