"""Numbers that differ between datasets as shared variables, so that what PyMC compiles for one is found for all.

PyTensor looks compiled code up by the graph with its constants, and a graph with other observed values in it is another
graph. It compiles nothing and draws nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytensor

from bayesrun.samplers.lanes.graphs import Leaf, replace_leaves, survey

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pymc as pm

    from bayesrun.samplers.lanes.graphs import Survey

__all__ = ["share_arrays", "share_data"]


def share_data(model: pm.Model, reference: Survey) -> pm.Model:
    """Put shared variables in the place of the arrays in which a model differs from another one of its builder.

    What is compared is always the same other model, so that the graph of a fit, and with it the rounding of its draws,
    depends on its own dataset alone and not on which fits came before in this process. Lone numbers stay constants:
    PyMC and PyTensor decide by them. A model of another form, whose graph differs by more than its numbers, is left as
    it is.

    Parameters
    ----------
    model
        Built for this alone, because its graph is changed.
    reference
        The model that the plan was made with.

    Returns
    -------
    pm.Model
        The same one.
    """
    own = survey(model)
    if own.form == reference.form:
        pairs = enumerate(zip(own.leaves, reference.leaves, strict=True))
        _share(own, [i for i, (leaf, other) in pairs if leaf.digest != other.digest and _can_be_shared(leaf)])
    return model


def share_arrays(model: pm.Model) -> pm.Model:
    """Put shared variables in the place of the arrays of a model of real data, which is compared with no other one.

    Parameters
    ----------
    model
        Built for this alone, because its graph is changed.

    Returns
    -------
    pm.Model
        The same one.
    """
    own = survey(model)
    _share(own, [i for i, leaf in enumerate(own.leaves) if leaf.is_array and _can_be_shared(leaf)])
    return model


def _share(own: Survey, leaves: Iterable[int]) -> None:
    chosen = ((i, own.leaves[i]) for i in leaves)
    shared = {i: pytensor.shared(leaf.value, name=leaf.variable.name, shape=leaf.value.shape) for i, leaf in chosen}
    replace_leaves(own, shared)


def _can_be_shared(leaf: Leaf) -> bool:
    """Whether a value is a constant that nothing is decided by: PyMC sees an infinite bound by its value."""
    decided = leaf.value.dtype.kind == "f" and np.isinf(leaf.value).all()
    known = isinstance(leaf.variable, pytensor.graph.basic.Constant) and not decided
    return known and (leaf.value.ndim > 0 or leaf.start)
