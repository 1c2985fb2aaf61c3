"""Whether predictors have scales that samplers find hard: seen in the data, as far as they enter a linear predictor.

What counts is the number that a coefficient is multiplied by in the graph, so that a model which standardises its
predictors, or centres them, is asked nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pytensor import scalar
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import ancestors
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.math import Dot

from bayesrun.base.messages import few

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pymc as pm
    from pytensor.graph.basic import Variable

    from bayesrun.types import Dataset

__all__ = ["scale_warnings"]

SPREAD: Final = 1e3
"""Ratio of the standard deviations of two predictors from which they are on different scales."""
OFFSET: Final = 30.0
"""Mean of a predictor, in its standard deviations, from which its slope and the intercept are one ridge: their
correlation is 0.9994 there, and a trajectory along it takes some 60 steps."""
LINEAR: Final = (scalar.Add, scalar.Mul, scalar.Sub, scalar.Neg, scalar.Cast, scalar.Identity, scalar.TrueDiv)
INDEXING: Final = "Subtensor"
"""What is in the names of ops that choose elements of their first input."""
SHAPING: Final = ("Reshape", "Alloc", "Join", "MakeVector", "Squeeze", "ExpandDims", "SpecifyShape", "ViewOp")
MOST_NAMED: Final = 3


@dataclass(frozen=True)
class _Predictor:
    """What a coefficient is multiplied by.

    Parameters
    ----------
    name
        Of the column of the data, or of the coefficient.
    column
        Whether it is a column of the data.
    mean, sd
        Of its values.
    beside
        Whether an intercept is added to the product.
    """

    name: str
    column: bool
    mean: float
    sd: float
    beside: bool


def scale_warnings(model: pm.Model, dataset: Dataset) -> list[str]:
    """Say which predictors are on very different scales, and which are far from 0 beside their spread.

    Parameters
    ----------
    model
        Built on `dataset`.
    dataset
        By whose columns predictors are named.

    Returns
    -------
    list of str
        What is there, why it matters and what to do; empty where nothing is.
    """
    found = list({one.name: one for one in _predictors(model, dataset)}.values())
    lines = []
    wide, narrow = max(found, key=lambda p: p.sd, default=None), min(found, key=lambda p: p.sd, default=None)
    if wide is not None and narrow is not None and wide.sd > SPREAD * narrow.sd:
        lines.append(
            f"predictors are on very different scales: the standard deviation of {wide.name} is {_plain(wide.sd)}, "
            f"that of {narrow.name} {_plain(narrow.sd)}, so that NUTS adapts slowly, and a prior that is the same for "
            f"all slopes means different things: {_remedy([wide, narrow])}other units"
        )
    if far := sorted((p for p in found if p.beside and _offset(p) > OFFSET), key=lambda p: -_offset(p)):
        first = far[0]
        names = few([p.name for p in far], MOST_NAMED)
        correlation = 1.0 - 0.5 / (1.0 + _offset(first) ** 2)
        lines.append(
            f"{names} {'is' if len(far) == 1 else 'are'} far from 0 beside the spread ({first.name}: mean "
            f"{_plain(first.mean)}, standard deviation {_plain(first.sd)}), so that slope and intercept go together "
            f"(correlation {correlation:.6g}) and NUTS takes long trajectories: {_remedy(far[:MOST_NAMED])}the mean "
            "subtracted in the model"
        )
    return lines


def _offset(one: _Predictor) -> float:
    return abs(one.mean) / one.sd


def _plain(value: float) -> str:
    return f"{float(f'{value:.4g}'):g}"


def _remedy(predictors: list[_Predictor]) -> str:
    """Say how columns of the data are scaled; empty for what is no column."""
    columns = [one.name.partition("[")[2].removesuffix("]") or one.name for one in predictors if one.column]
    return f"'data.standardize=[{','.join(columns)}]', or " if columns else ""


def _predictors(model: pm.Model, dataset: Dataset) -> Iterator[_Predictor]:
    free = set(model.free_RVs)
    observed = [_value(model.rvs_to_values[rv]) for rv in model.observed_RVs]
    lengths = {len(value) for value in observed if value is not None and value.ndim}
    graph = [v for v in ancestors([*model.observed_RVs, *model.potentials]) if v.owner is not None]
    products = {}
    for product in graph:
        for data, coefficient in _factors(product):
            value = _value(data)
            if value is not None and value.ndim and len(value) in lengths and _is_linear(coefficient, free, lengths):
                products[product] = value, coefficient
    sums = [v for v in graph if _scalar_op(v, scalar.Add)]
    for product, (value, coefficient) in products.items():
        beside = any(_adds_intercept(total, product, free, lengths) for total in sums)
        names = _names(model, dataset, value, coefficient, free)
        for (name, known), column in zip(names, value.reshape(len(value), -1).T, strict=True):
            sd = float(np.std(column))
            if np.isfinite(sd) and sd > 0.0:
                yield _Predictor(name, known, float(np.mean(column)), sd, beside)


def _adds_intercept(total: Variable[Any, Any], product: Variable[Any, Any], free: set[Any], lengths: set[int]) -> bool:
    """Whether a sum is of a product, and of something that is no data."""
    parts = total.owner.inputs
    own = [part for part in parts if product in set(ancestors([part]))]
    return bool(own) and any(part not in own and _is_linear(part, free, lengths) for part in parts)


def _factors(product: Variable[Any, Any]) -> list[tuple[Variable[Any, Any], Variable[Any, Any]]]:
    """Both ways to read a product of two as data and coefficient; none for what is no product."""
    op, inputs = product.owner.op, product.owner.inputs
    is_dot = isinstance(op, Dot) or (isinstance(op, Blockwise) and isinstance(op.core_op, Dot))
    if len(inputs) != 2 or not (is_dot or _scalar_op(product, scalar.Mul)):
        return []
    return [(inputs[0], inputs[1]), (inputs[1], inputs[0])]


def _scalar_op(variable: Variable[Any, Any], kind: type | tuple[type, ...]) -> bool:
    op = variable.owner.op
    return isinstance(op, Elemwise) and isinstance(op.scalar_op, kind)


def _value(variable: Variable[Any, Any]) -> np.ndarray | None:
    """Numbers of a constant or shared variable, whatever axes were added to it."""
    while variable.owner is not None and (
        isinstance(variable.owner.op, DimShuffle) or _scalar_op(variable, scalar.Cast)
    ):
        variable = variable.owner.inputs[0]
    if isinstance(variable, Constant):
        value = np.asarray(variable.data)
    elif isinstance(variable, SharedVariable):
        value = np.asarray(variable.get_value(borrow=True))
    else:
        return None
    return value if value.dtype.kind in "fiu" and value.ndim <= 2 else None


def _is_linear(variable: Variable[Any, Any], free: set[Any], lengths: set[int]) -> bool:
    """Whether a variable is linear in free variables and has no data in it but as an index."""
    seen, reached = [variable], False
    while seen:
        one = seen.pop()
        if one in free:
            reached = True
            continue
        if one.owner is None:
            value = _value(one)
            if value is None or (value.ndim and len(value) in lengths):
                return False
            continue
        op = type(one.owner.op).__name__
        if INDEXING in op and "Inc" not in op:
            seen.append(one.owner.inputs[0])
        elif isinstance(one.owner.op, DimShuffle) or op in SHAPING or _scalar_op(one, LINEAR):
            seen += one.owner.inputs
        else:
            return False
    return reached


def _names(
    model: pm.Model, dataset: Dataset, value: np.ndarray, coefficient: Variable[Any, Any], free: set[Any]
) -> list[tuple[str, bool]]:
    """Name the columns of an array after those of the dataset, otherwise after their coefficient; and say which."""
    known = list(_columns(dataset, len(value)))
    about = next(str(v.name) for v in ancestors([coefficient]) if v in free)
    columns = value.reshape(len(value), -1).T.astype(float)
    along = (model.named_vars_to_dims.get(about) or ("",))[-1]
    labels = model.coords.get(along) or ()
    found = []
    for place, column in enumerate(columns):
        match = next((name for name, own in known if _same(own, column)), "")
        label = labels[place] if len(labels) == len(columns) else place
        found.append((match or f"the predictor of {about}{f'[{label}]' if len(columns) > 1 else ''}", bool(match)))
    return found


def _columns(dataset: Dataset, length: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the columns of numbers of a dataset, each with its name."""
    for name in dataset:
        array, dims = np.asarray(dataset[name]), dataset.dims.get(name, ())
        if array.dtype.kind not in "fiub" or array.ndim not in (1, 2) or len(array) != length:
            continue
        if array.ndim == 1:
            yield name, array.astype(float)
            continue
        labels = dataset.coords.get(dims[1]) if len(dims) == 2 else None
        for place, label in enumerate(labels or range(array.shape[1])):
            yield f"{name}[{label}]", array[:, place].astype(float)


def _same(known: np.ndarray, column: np.ndarray) -> bool:
    """Whether two columns are equal but for what was subtracted."""
    return bool(np.allclose(known - known.mean(), column - column.mean(), rtol=1e-9, atol=1e-12 * np.abs(known).max()))
