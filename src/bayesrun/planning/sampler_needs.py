"""What a sampler needs of a density and a model does not have: refused before anything starts, by what graphs show.

A density may change from one evaluation to the next (random batches of rows, a simulator in the place of a likelihood),
may have no gradient, or none in JAX. What a sampler needs is the constant ``NEEDS`` of its module. Nothing is compiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytensor
from pymc.data import MinibatchOp
from pymc.distributions.simulator import SimulatorRV
from pytensor.compile.mode import Mode
from pytensor.graph.rewriting.utils import rewrite_graph
from pytensor.graph.traversal import ancestors, toposort
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.random.type import RandomType
from pytensor.tensor.subtensor import AdvancedIncSubtensor, AdvancedSubtensor

from bayesrun.base.imports import import_target, sampler_constant
from bayesrun.base.messages import in_one_line
from bayesrun.errors import ConfigError
from bayesrun.planning.densities import density_of, terms_of
from bayesrun.planning.fingerprint import density_form
from bayesrun.planning.hidden_code import with_code

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    import pymc as pm
    from pytensor.graph.basic import Apply, Variable

    from bayesrun.types import Cell

__all__ = ["Lacks", "check_needs", "form_of", "is_random", "is_simulator", "random_batch"]

SHIPPED: Final = ("nuts", "numpyro", "metropolis", "smc", "advi", "fullrank_advi", "advi_jax")
"""Names of the samplers that a message may suggest, in this order."""

SHAPES: Final = ("ShapeOpt", "canonicalize")
"""Rewrites after which no graph asks a random variable for its shape alone."""

DIFFERENTIABLE: Final = frozenset({
    "Add", "Mul", "Sub", "TrueDiv", "Neg", "Exp", "Log", "Log1p", "Expm1", "Sqrt", "Sqr", "Pow", "Abs", "Sign",
    "Reciprocal", "Sigmoid", "Softplus", "Log1mexp", "GammaLn", "Tanh", "Sin", "Cos", "ArcTan", "Erf", "Erfc", "Switch",
    "LE", "GE", "LT", "GT", "EQ", "NEQ", "AND", "OR", "Invert", "Cast", "Second", "Identity", "ScalarMaximum",
    "ScalarMinimum", "IsNan", "IsInf",
})  # fmt: skip
"""Functions of numbers that JAX is known to differentiate."""

PLAIN: Final = frozenset({
    "DimShuffle", "Sum", "All", "Any", "Max", "Prod", "Alloc", "MakeVector", "Subtensor", "AdvancedSubtensor", "Dot",
    "Reshape", "Join", "Shape", "Shape_i", "SpecifyShape", "ScalarFromTensor", "TensorFromScalar", "Assert",
    "CheckParameterValue", "IncSubtensor", "AdvancedIncSubtensor", "Softmax", "LogSoftmax", "Cholesky",
    "SolveTriangular", "Split",
})  # fmt: skip
"""Other ops that JAX is known to differentiate."""


class Lacks:
    """What a model's density does not have of what samplers need, with a reason for each; found when it is asked for.

    Parameters
    ----------
    model
        Any PyMC model.
    """

    def __init__(self, model: pm.Model) -> None:
        self._model = model
        self._reasons: dict[str, str] = {}

    def __call__(self, needs: Collection[str]) -> str:
        """Say why a model does not have the first of what is needed that it lacks; empty where it has all."""
        return next(filter(None, (self._reason(need) for need in LOOKED_AT if need in needs)), "")

    def _reason(self, need: str) -> str:
        if need not in self._reasons:
            self._reasons[need] = LOOKED_AT[need](self._model)
        return self._reasons[need]

    def takes(self, name: str) -> bool:
        """Whether a shipped sampler takes the model."""
        sample = import_target("sampler", f"bayesrun.samplers.{name}.sample")
        if not sampler_constant(sample, "DISCRETE") and any(rv.dtype[:5] != "float" for rv in self._model.free_RVs):
            return False
        return not self(sampler_constant(sample, "NEEDS"))


def check_needs(lacks: Lacks, cell: Cell, needs: Collection[str]) -> None:
    """Refuse a model whose density does not have what the sampler needs.

    Parameters
    ----------
    lacks
        Of the model.
    cell
        Which names model and sampler.
    needs
        What the sampler needs.

    Raises
    ------
    ConfigError
        In one sentence: the variable or op, and the samplers that take the model.
    """
    why = lacks(needs)
    if not why:
        return
    able = [f"sampler={name}" for name in SHIPPED if lacks.takes(name)]
    if able:
        listed = able[0] if len(able) == 1 else f"{', '.join(able[:-1])} and {able[-1]}"
        remedy = f"use {listed}" if len(able) == 1 else f"{listed} take it"
    else:
        remedy = "no sampler takes it"
    raise ConfigError(f"model={cell.model.name} sampler={cell.sampler.name}: {why}; {remedy}")


def form_of(model: pm.Model, fingerprint: str) -> str | None:
    """Name the form by which models lack the same; None where that may depend on the numbers of their data.

    Parameters
    ----------
    model
        Any PyMC model that can be fitted.
    fingerprint
        Of it, which says whether it holds code of the user's.
    """
    return None if not fingerprint.startswith("-") or _unusual(terms_of(model)) else density_form(model)


def is_random(outputs: Sequence[Variable]) -> bool:
    """Whether a graph has another value each time that it is evaluated."""
    if not _generators(outputs):
        return False
    return bool(_generators(rewrite_graph(list(outputs), include=SHAPES, clone=True)))


def _generators(outputs: Sequence[Variable]) -> bool:
    return any(isinstance(variable.type, RandomType) for variable in ancestors(outputs))


def is_simulator(rv: Variable) -> bool:
    """Whether an observed variable has a kernel on simulated values in the place of a density."""
    return any(v.owner is not None and isinstance(v.owner.op, SimulatorRV) for v in ancestors([rv]))


def random_batch(variables: Sequence[Variable]) -> bool:
    """Whether something is made of a random part of rows."""
    return any(v.owner is not None and isinstance(v.owner.op, MinibatchOp) for v in ancestors(variables))


def _simulated(model: pm.Model) -> str:
    names = [str(rv.name) for rv in model.basic_RVs if isinstance(getattr(rv.owner, "op", None), SimulatorRV)]
    if not names:
        return ""
    are = "is a pm.Simulator" if len(names) == 1 else "are each a pm.Simulator"
    return f"{', '.join(names)} {are}, which has no density: it compares the data with values simulated anew each time"


def _changing(model: pm.Model) -> str:
    simulated = {str(rv.name) for rv in model.basic_RVs if isinstance(getattr(rv.owner, "op", None), SimulatorRV)}
    names = [str(v.name) for v in (*model.basic_RVs, *model.potentials)]
    random = [
        (name, term)
        for name, term in zip(names, terms_of(model), strict=True)
        if name not in simulated and is_random([term])
    ]
    if not random:
        return ""
    which = ", ".join(name for name, _ in random)
    if random_batch([term for _, term in random]):
        return f"{which} sees a random batch of rows (pm.Minibatch), so that the density is another one each time"
    draws = sorted(
        {
            type(v.owner.op).__name__
            for v in ancestors([term for _, term in random])
            if v.owner is not None and any(isinstance(i.type, RandomType) for i in v.owner.inputs)
        }
    )
    return (
        f"the density of {which} holds a random number that is no variable of the model ({', '.join(draws)}), so that "
        "it is another one each time (give it a name and a prior in the model)"
    )


def _without_gradient(model: pm.Model) -> str:
    density = density_of(model)
    values = [v for v in model.value_vars if v.dtype.startswith("float")]
    try:
        _evaluate(model, density, pytensor.grad(density, values))
    except Exception as error:  # noqa: BLE001 - a user's op may raise anything when its gradient is asked for
        failed = {id(v): _fails(density, v) for v in values}
        names = [str(rv.name) for rv in model.free_RVs if failed.get(id(model.rvs_to_values[rv]))]
        ops = sorted({_op(node.op) for node in _culprits(density, values)})
        why = f"{', '.join(ops)} has none" if ops else f"it raises {in_one_line(error)}"
        where = f"for {', '.join(names)}" if names else "that can be worked out"
        return f"the density has no gradient {where}, because {why}"
    return ""


def _evaluate(model: pm.Model, density: Variable, gradients: Sequence[Variable]) -> None:
    """Work a gradient out at the start, where ops hold code of a user's or JAX's: it may raise when it is run."""
    if not with_code([density]):
        return
    point = model.initial_point(random_seed=0)
    mode = Mode(linker="py", optimizer="fast_compile")
    function = pytensor.function(model.value_vars, list(gradients), mode=mode, on_unused_input="ignore")
    function(*(point[str(v.name)] for v in model.value_vars))


def _fails(density: Variable, value: Variable) -> bool:
    try:
        pytensor.grad(density, value)
    except Exception:  # noqa: BLE001 - as above
        return True
    return False


def _culprits(density: Variable, values: Sequence[Variable]) -> Iterator[Any]:
    """Find the nodes between free variables and the density that refuse a gradient to what they depend on."""
    moving = set(values)
    for node in toposort([density]):
        inputs = [v for v in node.inputs if v in moving]
        if not inputs:
            continue
        moving.update(node.outputs)
        floats = [v for v in node.outputs if getattr(v.type, "dtype", "").startswith("float")]
        if not floats:
            continue
        try:
            pytensor.grad(
                None, inputs, known_grads={v: v.astype(v.dtype) for v in floats}, disconnected_inputs="ignore"
            )
        except Exception:  # noqa: BLE001 - as above
            yield node


def _op(op: Any) -> str:
    """Name an op: of one that holds a function the name of that too."""
    inner = getattr(op, "core_op", None) or getattr(op, "scalar_op", None)
    if inner is not None:
        return _op(inner)
    kind = type(op).__name__
    inside = str(op).removeprefix(kind).strip("{}")
    return f"{inside} ({kind})" if inside.isidentifier() and inside != str(op) else kind


def _not_in_jax(model: pm.Model) -> str:
    if not _unusual([density_of(model)]):
        return ""
    from bayesrun.samplers.lanes.traced import not_traced

    found: str = not_traced(model)
    return found


def _unusual(outputs: Sequence[Variable]) -> bool:
    """Whether a graph has an op of which it is not known that JAX has its gradient."""
    return any(not _known(node.op) or _by_mask(node) for node in toposort(outputs))


def _by_mask(node: Apply) -> bool:
    """Whether elements are picked by truth values: how many there are JAX does not know."""
    picks = isinstance(node.op, AdvancedSubtensor | AdvancedIncSubtensor)
    return picks and any(getattr(v.type, "dtype", "") == "bool" for v in node.inputs[1:])


def _known(op: Any) -> bool:
    kind = type(op).__name__
    if isinstance(op, Elemwise):
        return type(op.scalar_op).__name__ in DIFFERENTIABLE
    if kind == "Blockwise":
        return _known(op.core_op)
    return kind in PLAIN


LOOKED_AT: Final[Mapping[str, Callable[[pm.Model], str]]] = {
    "density": _simulated,
    "rows": _changing,
    "gradient": _without_gradient,
    "jax": _not_in_jax,
}
"""What a sampler may need: a likelihood that can be evaluated; one of all rows, the same each time; its gradient; both
in JAX. What costs most is looked at last."""
