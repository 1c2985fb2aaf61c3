"""Why data cannot be simulated honestly from a model, by what its graph shows; `alike` finds what it takes from data.

Reasons are sentences for people, each with the name of the variable. It draws nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymc.data import MinibatchOp
from pymc.distributions.custom import CustomDistRV
from pymc.distributions.distribution import PartialObservedRV
from pymc.distributions.simulator import SimulatorRV
from pymc.distributions.truncated import TruncationCheck
from pymc.variational.minibatch_rv import MinibatchRandomVariable
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.op import RandomVariable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pymc as pm
    from pytensor.graph.basic import Apply, Variable

__all__ = ["imputed", "in_graph", "refused_by", "undrawable"]

IMPROPER: Final = {"FlatRV": "Flat", "HalfFlatRV": "HalfFlat", "ICARRV": "ICAR"}
"""Distributions that do not integrate to 1, by the class of their op."""

MINIBATCH: Final = "is observed in minibatches, which stand for data that are not there; observe all rows"


def in_graph(model: pm.Model, given: Sequence[str]) -> list[str]:
    """Say what in a model's graph forbids to simulate from it.

    Parameters
    ----------
    model
        Any PyMC model.
    given
        Free variables whose values are not drawn.

    Returns
    -------
    list of str
        One reason for each variable that cannot be drawn.
    """
    reasons = [
        f"the Potential {potential.name} changes the density, and drawing forward would leave it out; write it as a "
        "prior or a likelihood (a CustomDist with logp and random), or have another model draw: study.generator=MODEL"
        for potential in model.potentials
    ]
    drawn = [rv for rv in model.basic_RVs if rv.name not in given]
    for rv in drawn:
        reasons += [f"{rv.name} {text}" for text in dict.fromkeys(_undrawable(rv, model))]
    reasons += [
        f"{whole} is partly missing, and PyMC does not part its distribution into the missing and the observed values, "
        "so that one cannot be drawn after the other; leave those rows out: data.drop_missing=true"
        for whole in imputed(model)
        if isinstance(model[f"{whole}_observed"].owner.op, PartialObservedRV)
    ]
    return reasons


def imputed(model: pm.Model) -> list[str]:
    """Name the observed variables of which PyMC draws the missing values, as ``NAME_unobserved``."""
    names = {str(rv.name) for rv in model.observed_RVs}
    found = [str(rv.name).removesuffix("_unobserved") for rv in model.free_RVs if str(rv.name).endswith("_unobserved")]
    return [name for name in found if f"{name}_observed" in names]


def undrawable(model: pm.Model, *, given_free: bool) -> list[str]:
    """Say why predictive draws of a model cannot be made, by what its graph shows.

    Parameters
    ----------
    model
        Any PyMC model.
    given_free
        Whether the free variables are given, as in posterior predictive draws.

    Returns
    -------
    list of str
        Each reason with the variables that it is about.
    """
    reasons: dict[str, list[str]] = {}
    for rv in model.observed_RVs if given_free else model.basic_RVs:
        for text in dict.fromkeys(_undrawable(rv, model)):
            if text != MINIBATCH:
                reasons.setdefault(text.partition("; ")[0], []).append(str(rv.name))
    return [
        f"{names[0]} {text}" if len(names) == 1 else f"{', '.join(names)}: each {text}"
        for text, names in reasons.items()
    ]


def refused_by(model: pm.Model, error: BaseException) -> str:
    """Name what of a model was being drawn when a distribution of PyMC refused its parameters.

    Parameters
    ----------
    model
        What was drawn from.
    error
        What a function of PyTensor's own linker raised, with its node (``exception_verbosity`` medium or high).

    Returns
    -------
    str
        Names of the variables that have such a distribution. Empty where code of the user raised: an op, an assertion,
        the function by which a CustomDist or a Simulator draws.
    """
    op = _raising(error)
    if not isinstance(op, RandomVariable | TruncationCheck) or isinstance(op, CustomDistRV | SimulatorRV):
        return ""
    names = []
    for rv in model.basic_RVs:
        others = [other for other in model.basic_RVs if other is not rv]
        nodes = [v.owner for v in ancestors([rv], blockers=others) if v.owner is not None and v not in others]
        if any(type(inner) is type(op) for inner in _ops(nodes)):
            names.append(str(rv.name))
    return " or ".join(names or [str(rv.name) for rv in model.basic_RVs])


def _ops(nodes: Iterable[Apply]) -> Iterator[object]:
    """Go through the ops of nodes, and through those inside them: of mixtures, truncated variables, loops."""
    for node in nodes:
        yield node.op
        inner = getattr(node.op, "fgraph", None)
        if inner is not None:
            yield from _ops(inner.apply_nodes)


def _raising(error: BaseException | None) -> object:
    """Find the op that an error of PyTensor is about: the error that it raises anew has lost it."""
    while error is not None:
        node: Apply | None = getattr(error, "__op_instance__", None)
        if node is not None:
            return node.op
        error = error.__cause__ or error.__context__
    return None


def _undrawable(rv: Variable, model: pm.Model) -> Iterator[str]:
    stop = [other for other in model.basic_RVs if other is not rv]
    for variable in ancestors([rv], blockers=stop):
        op = variable.owner.op if variable.owner is not None and variable not in stop else None
        if type(op).__name__ in IMPROPER:
            name = IMPROPER[type(op).__name__]
            yield f"has the improper prior {name}, from which nothing can be drawn; give it a proper one, or fix it"
        elif isinstance(op, CustomDistRV) and "default_not_implemented" in getattr(op._random_fn, "__qualname__", ""):
            yield "is a CustomDist without a way to draw; give it dist=FUNCTION or random=FUNCTION"
        elif isinstance(op, MinibatchRandomVariable):
            yield MINIBATCH
    if any(v.owner is not None and isinstance(v.owner.op, MinibatchOp) for v in ancestors([model.rvs_to_values[rv]])):
        yield MINIBATCH
