"""The terms of a model's log density: written down once, which takes long, and evaluated where chains begin."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor
from pymc.initial_point import make_initial_point_expression
from pytensor.compile.mode import Mode
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.traversal import ancestors, toposort
from pytensor.tensor.random.type import RandomType
from pytensor.tensor.rewriting.shape import ShapeFeature

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pymc as pm
    from pytensor.graph.basic import Variable

__all__ = ["density_of", "shapes_as_written", "start_of", "terms_of"]

_terms: weakref.WeakKeyDictionary[pm.Model, list[Variable]] = weakref.WeakKeyDictionary()


def terms_of(model: pm.Model) -> list[Variable]:
    """Write down the terms of a log density, in the order of ``basic_RVs`` and ``potentials``; not to be changed.

    Raises
    ------
    NotImplementedError
        If a variable has none.
    """
    if model not in _terms:
        with pytensor.config.change_flags(traceback__limit=0):  # nobody asks where these nodes were made
            _terms[model] = model.logp(sum=False)
    return _terms[model]


def density_of(model: pm.Model) -> Variable:
    """Return the log density as one number."""
    return sum((term.sum() for term in terms_of(model)[1:]), start=terms_of(model)[0].sum())


def start_of(model: pm.Model) -> list[np.ndarray]:
    """Evaluate the terms of a log density where chains begin.

    The graphs are walked through as they are, and rewritten only where that does not give finite numbers: rewriting
    takes many times as long, and makes no finite number infinite.

    Raises
    ------
    Exception
        What an op raises.
    """
    try:
        values = _as_written(model)
    except Exception:  # noqa: BLE001 - the other way says what is wrong
        return _rewritten(model)
    return values if all(np.all(np.isfinite(value)) for value in values) else _rewritten(model)


def shapes_as_written(variables: Sequence[Variable]) -> list[tuple[int, ...]] | None:
    """Work out shapes by what each op says of its own, without rewriting; None where that does not tell them."""
    graph, feature = FunctionGraph(outputs=list(variables), clone=True), ShapeFeature()
    graph.attach_feature(feature)
    lengths = [list(feature.shape_tuple(output)) for output in graph.outputs]
    flat = [length for shape in lengths for length in shape]
    if any(isinstance(variable.type, RandomType) for variable in ancestors(flat)):
        return None
    numbers = iter(_walked(flat, {}))
    return [tuple(int(next(numbers)) for _ in shape) for shape in lengths]


def _as_written(model: pm.Model) -> list[np.ndarray]:
    with pytensor.config.change_flags(traceback__limit=0):
        begins = make_initial_point_expression(
            free_rvs=model.free_RVs,
            rvs_to_transforms=model.rvs_to_transforms,
            initval_strategies=model.rvs_to_initial_values,
            return_transformed=True,
        )
    if any(isinstance(variable.type, RandomType) for variable in ancestors(begins)):
        return _rewritten(model)  # it begins at draws, which are seeded there
    starts = _walked(begins, {})
    filtered = [v.type.filter(x, allow_downcast=True) for v, x in zip(model.value_vars, starts, strict=True)]
    return _walked(terms_of(model), dict(zip(model.value_vars, filtered, strict=True)))


def _walked(outputs: Sequence[Variable], given: Mapping[Variable, Any]) -> list[np.ndarray]:
    """Evaluate a graph op by op."""
    cells = {variable: [value] for variable, value in given.items()}
    for variable in ancestors(outputs, blockers=list(given)):
        if isinstance(variable, Constant):
            cells.setdefault(variable, [variable.data])
        elif isinstance(variable, SharedVariable):
            cells.setdefault(variable, [variable.get_value(borrow=True)])
    for node in toposort(outputs, blockers=list(given)):
        cells |= {variable: [None] for variable in node.outputs}
        node.op.make_thunk(node, cells, {v: [True] for v in (*node.inputs, *node.outputs)}, [], impl="py")()
    return [np.asarray(cells[variable][0]) for variable in outputs]


def _rewritten(model: pm.Model) -> list[np.ndarray]:
    mode = Mode(linker="py", optimizer="fast_compile")
    point = model.initial_point(random_seed=0)
    function = pytensor.function(model.value_vars, terms_of(model), mode=mode, on_unused_input="ignore")
    return [np.asarray(value) for value in function(*(point[str(v.name)] for v in model.value_vars))]
