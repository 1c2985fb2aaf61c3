"""What a model means, as a digest, and what its graph shows: narrow integers, centred variables.

It is the graph that was built, with its constants, names, dims and coords. Source text counts only where the graph
holds Python code that it cannot show (`hidden_code`). It draws nothing and compiles nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pymc.distributions.custom import CustomDistRV, CustomSymbolicDistRV
from pymc.distributions.distribution import SymbolicRandomVariable, support_point
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.op import Op
from pytensor.graph.traversal import ancestors, toposort
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.random.type import RandomType
from pytensor.tensor.subtensor import AdvancedSubtensor, Subtensor
from pytensor.tensor.type import TensorType
from scipy import sparse

from bayesrun.base.source_code import source_digest
from bayesrun.planning.densities import terms_of
from bayesrun.planning.held_values import held_values
from bayesrun.planning.hidden_code import with_code
from bayesrun.simulate.arrays import equal
from bayesrun.types import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pymc as pm

    from bayesrun.types import Dataset

__all__ = [
    "Shown",
    "built_alike",
    "centred_variables",
    "density_form",
    "fingerprint",
    "from_source",
    "graph_digest",
    "graph_parts",
    "narrow_constants",
    "observed_digest",
    "shown_by",
]

NARROW = ("int8", "int16", "uint8", "uint16")
INDEXING = (Subtensor, AdvancedSubtensor)
DISTRIBUTIONS = (RandomVariable, SymbolicRandomVariable)
PLAIN_TRANSFORMS = ("NoneType", "LogTransform", "LogOddsTransform", "SimplexTransform")
"""Transforms that have no settings."""
CUSTOM = (CustomDistRV, CustomSymbolicDistRV)
SHAPING = ("MakeVector", "Alloc", "SpecifyShape", "Reshape", "Shape_i", "ScalarFromTensor")
"""Ops whose integers are lengths and axes, not numbers of the model."""


@dataclass(frozen=True, eq=False)
class Shown:
    """All that a model's graph ends in: writing the density down takes most of the time that a fingerprint takes.

    Parameters
    ----------
    variables
        Free and observed variables, deterministics and potentials.
    terms
        Of the log density, for each variable and potential.
    """

    variables: Sequence[Variable]
    terms: Sequence[Variable]

    @property
    def outputs(self) -> list[Variable]:
        """Both."""
        return [*self.variables, *self.terms]


def shown_by(model: pm.Model, *, fitted: bool = True) -> Shown:
    """Write down a model's density.

    Parameters
    ----------
    model
        Any PyMC model.
    fitted
        Whether all of it has to have one. A model that data are only drawn from may do without.

    Raises
    ------
    NotImplementedError
        If a variable has no density, and the model is fitted.
    """
    try:
        return Shown(_outputs(model), terms_of(model))
    except NotImplementedError:
        if fitted:
            raise
    return Shown(_outputs(model), [])


def fingerprint(
    builder: Callable[..., Any],
    model: pm.Model,
    data: Dataset | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    files: Iterable[str] = (),
    shown: Shown | None = None,
) -> str:
    """Digest of a model's meaning, ``HIDDEN-GRAPH``.

    Parameters
    ----------
    builder, data, params
        What made the model.
    model
        What was built.
    files
        Paths of sources that were run to build it.
    shown
        Of the model, where it was written down before.

    Returns
    -------
    str
        Behind the hyphen `graph_digest`; before it, where ops hold Python code of the user's, a digest of its sources,
        of all that it could have been made with and of what it holds, and nothing elsewhere.
    """
    shown = shown or shown_by(model)
    graph = graph_digest(model, data, shown)
    hidden = with_code(shown.outputs)
    if not hidden:
        return f"-{graph}"
    source = from_source(builder, params or {}, data.digest() if data is not None else "", files)
    return f"{digest([source, held_values(hidden)])}-{graph}"


def from_source(
    builder: Callable[..., Any], params: Mapping[str, Any], data: str = "", files: Iterable[str] = ()
) -> str:
    """Digest of what a model is made from, for one that its graph does not tell: source, parameters and data."""
    return digest([source_digest(builder, files), params, data])


def graph_parts(model: pm.Model, shown: Shown | None = None) -> dict[str, tuple[str, str]]:
    """Digests of each variable by itself: of what it is made of, up to other variables, and of a density of its own.

    They tell which variable an edit changed, and are part of no key. Only of a CustomDist is the density no part of
    what the variable is made of.
    """
    shown = shown or shown_by(model)
    terms = dict(zip(model.basic_RVs, shown.terms, strict=False))
    values = list(model.rvs_to_values.values())
    found = {}
    for variable in shown.variables:
        others = [other for other in shown.variables if other is not variable]
        custom = variable.owner is not None and isinstance(variable.owner.op, CustomDistRV) and variable in terms
        density = _graph([terms[variable]], values) if custom else ""
        found[str(variable.name)] = (_graph([variable], others, others), density)
    return found


def observed_digest(model: pm.Model) -> str:
    """Digest of the values that a model is conditioned on, by the names of its observed variables."""
    values = {str(rv.name): model.rvs_to_values[rv] for rv in model.observed_RVs}
    return digest({name: _graph([value]) for name, value in values.items()})


def graph_digest(model: pm.Model, data: Dataset | None = None, shown: Shown | None = None) -> str:
    """Digest of what was built: variables, dims and coords, and the log density with its constants.

    Parameters
    ----------
    model
        What was built.
    data
        Of what. Observed values that are arrays of it do not count, since they are in its digest; others do. None: no
        observed values count.
    shown
        Of the model, where it was written down before.
    """
    shown = shown or shown_by(model)
    values = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    known = [value for value in values if data is None or _is_array(value, data)]
    return digest([_graph(list(shown.variables)), _graph(list(shown.terms), known), _names(model)])


def built_alike(model: pm.Model, other: pm.Model) -> bool:
    """Whether two models without code of the user's are surely the same; False where that is not seen.

    Their densities need not be written down: these follow from the variables, and from where they are transformed to.
    """
    plain = all(type(transform).__name__ in PLAIN_TRANSFORMS for transform in model.rvs_to_transforms.values())
    custom = any(isinstance(rv.owner.op, CUSTOM) for rv in model.basic_RVs)
    return plain and not custom and _all_of(model) == _all_of(other)


def _all_of(model: pm.Model) -> list[Any]:
    values = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    return [_graph(_outputs(model)), _graph(values), _names(model)]


def density_form(model: pm.Model) -> str:
    """Digest of a log density without the numbers of its arrays, of a model without code of the user's.

    Models of one form are differentiated alike, whatever their data are.
    """
    names = [[v.name for v in (*_outputs(model), *model.value_vars)], [_op(rv.owner.op) for rv in model.basic_RVs]]
    return digest([names, _graph(terms_of(model), leaf=_form)])


def _form(variable: Variable) -> list[str]:
    """Describe a leaf of a graph: an array of numbers by its type and by which of its dims have a length of one."""
    held = isinstance(variable, Constant | SharedVariable) and isinstance(variable.type, TensorType)
    if not held or all(variable.type.broadcastable):  # one number
        return _leaf(variable)
    return [variable.dtype, str(variable.type.broadcastable)]


def _is_array(value: Variable, data: Dataset) -> bool:
    """Whether observed values are those of an array of the dataset, up to the model's own precision."""
    if isinstance(value, Constant):
        held = np.asarray(value.data)
    elif isinstance(value, SharedVariable):
        held = np.asarray(value.get_value(borrow=True))
    else:
        return False
    return any(equal(np.asarray(data[name]), held) for name in data)


def _outputs(model: pm.Model) -> list[Variable]:
    return [*model.basic_RVs, *model.deterministics, *model.potentials]


def _names(model: pm.Model) -> list[Any]:
    transforms = [type(model.rvs_to_transforms[rv]).__qualname__ for rv in model.basic_RVs]
    return [
        [v.name for v in _outputs(model)],
        transforms,
        {k: list(map(str, v or ())) for k, v in model.coords.items()},
        {str(name): list(map(str, dims)) for name, dims in sorted(model.named_vars_to_dims.items())},
        [_start(model.rvs_to_initial_values.get(rv), rv) for rv in model.free_RVs],
        *([] if model.check_bounds else ["unchecked"]),  # beyond a bound its density is whatever the formula gives
    ]


def _start(value: Any, rv: Variable) -> str:
    """Digest of where a chain begins, as the user set it."""
    if value is None and rv.owner is not None and isinstance(rv.owner.op, CUSTOM):
        return _graph([support_point(rv)])
    if value is None or isinstance(value, str):
        return value or ""
    return _graph([value]) if isinstance(value, Variable) else _bytes(np.asarray(value))


def _graph(
    outputs: list[Variable],
    unread: Sequence[Variable] = (),
    blockers: Sequence[Variable] = (),
    inputs: Sequence[Variable] = (),
    leaf: Callable[[Variable], list[str]] | None = None,
) -> str:
    """Digest of a graph: ops with their properties, how they are joined, and the values of constants.

    Inputs are given of a graph inside of an op, where their order says which is which. `leaf` describes what has no
    inputs.
    """
    ids: dict[Variable, int] = {}
    lines: list[Any] = []

    def see(variable: Variable) -> int:
        if variable not in ids:
            ids[variable] = len(ids)
            told = [str(variable.type), "observed"] if variable in unread else (leaf or _leaf)(variable)
            lines.append([ids[variable], *told])
        return ids[variable]

    for node in toposort(outputs, blockers=list(blockers)):
        read = [see(variable) for variable in node.inputs]
        for output in node.outputs:
            ids.setdefault(output, len(ids))
        lines.append([_op(node.op), read, [ids[output] for output in node.outputs]])
    ends = [see(variable) for variable in outputs]
    order = [ids.get(variable) for variable in inputs if not isinstance(variable.type, RandomType)]
    plain = None not in order and order == sorted(order)  # type: ignore[type-var]
    return digest([lines, ends] if plain else [lines, ends, order])


def _leaf(variable: Variable) -> list[str]:
    return [str(variable.type), _value(variable)]


def _value(variable: Variable) -> str:
    if isinstance(variable.type, RandomType):
        return "rng"
    if isinstance(variable, Constant):
        return _bytes(variable.data)
    if isinstance(variable, SharedVariable):
        return _bytes(variable.get_value(borrow=True))
    return variable.name or ""


def _bytes(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        return hashlib.sha256(str((array.dtype, array.shape)).encode() + array.tobytes("C")).hexdigest()[:16]
    if sparse.issparse(value):
        entries = value.tocoo()
        return digest([value.format, value.shape, *map(_bytes, (entries.row, entries.col, entries.data))])
    return _stable(value)


UNLISTED = (
    "o_type", "info", "truncate_gradient", "clip_lower_bound", "clip_upper_bound", "multiplier", "optimizer_kwargs",
    "binary_op", "dims",
)  # fmt: skip
"""What ops are told apart by that they do not list in ``__props__``, as the type of a cast and the taps of a scan."""


def _op(op: Any) -> list[Any]:
    name = f"{type(op).__module__}.{type(op).__qualname__}"
    properties = [[key, _property(getattr(op, key, None))] for key in _keys(op)]
    inner = getattr(op, "fgraph", None)
    return [name, properties, _graph(list(inner.outputs), inputs=inner.inputs) if inner is not None else ""]


def _keys(op: Any) -> Sequence[str]:
    listed = getattr(op, "__props__", None) or ()
    return [*listed, *(key for key in UNLISTED if key not in listed and hasattr(op, key))]


def _property(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return _bytes(value)
    if isinstance(value, (tuple, list)) and any(isinstance(part, Op) for part in value):
        return str(list(map(_property, value)))
    told = hasattr(value, "__props__") or (isinstance(value, Op) and (_keys(value) or hasattr(value, "fgraph")))
    return str(_op(value)) if told else _stable(value)


def _stable(value: Any) -> str:
    """Text of a value that is the same in every process: no address, no order of a set."""
    if isinstance(value, (set, frozenset)):
        return str(sorted(map(_stable, value)))
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text


def narrow_constants(model: pm.Model) -> list[str]:
    """Name the variables whose graph computes in a narrow integer type.

    Indexing is not computing: int8 category codes are safe as an index. Nor is a narrow array in danger where it
    meets a float, since the result is a float. The parameter of a distribution is, because its density squares it.
    """
    found = []
    for output in _outputs(model):
        stop = [v for v in _outputs(model) if v is not output]
        for node in toposort([output], blockers=stop):
            narrow = [v.type.dtype for v in node.inputs if _is_narrow(v)]
            if narrow and _computes(node):
                found.append(f"{output.name} (a constant of type {narrow[0]})")
    return sorted(set(found))


def _is_narrow(variable: Variable) -> bool:
    return getattr(variable.type, "dtype", "") in NARROW


def _computes(node: Any) -> bool:
    if isinstance(node.op, INDEXING) or type(node.op).__name__ in SHAPING:
        return False
    return isinstance(node.op, DISTRIBUTIONS) or any(_is_narrow(v) for v in node.outputs)


def centred_variables(model: pm.Model) -> dict[str, list[str]]:
    """Find vector variables whose location and scale are other free variables: the centred form of a hierarchy.

    Returns
    -------
    dict
        Name of the variable to the names of the free variables that it stands on, two or more.
    """
    free = set(model.free_RVs)
    found = {}
    for rv in model.free_RVs:
        if rv.ndim == 0 or rv.owner is None:
            continue
        stop = free - {rv}
        parents = [v.name for v in ancestors([rv], blockers=list(stop)) if v in stop]
        if len(parents) > 1:
            found[str(rv.name)] = sorted({str(name) for name in parents})
    return found
