"""The joint log-likelihood of a model as a function of parameters and data; it draws nothing.

Ranks of the log-likelihood see what ranks of the parameters cannot: draws that ignore the data (Modrak et al. 2023,
doi:10.1214/23-BA1404).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor
from pytensor.graph.replace import clone_replace

from bayesrun.simulate.programs import MODE, log_density, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pymc as pm
    from pytensor.graph.basic import Variable

__all__ = ["joint_log_likelihood"]

type Values = Mapping[str, np.ndarray]


def joint_log_likelihood(
    model: pm.Model, numbers: Sequence[Variable] = (), terms: Sequence[str] = ()
) -> Callable[[Values, Values, Sequence[np.ndarray]], float]:
    """Compile log p(y | theta), summed over everything that is observed.

    Parameters
    ----------
    model
        Built on a dataset of the same shapes as those that it will be asked about.
    numbers
        Inputs of the model's graph in the place of what models of other datasets have other values of.
    terms
        Deterministics that are its terms, where the model has terms of its own; none: the densities of what is
        observed.

    Returns
    -------
    Callable
        ``(truth, observed, given)`` to the log-likelihood; `truth` has the free variables in their natural shape,
        `observed` the values of the observed ones, by name, and `given` those of `numbers`, in their order. NaN where
        the truth lacks a variable.
    """
    observed = {str(rv.name): rv for rv in model.observed_RVs}
    values = {name: rv.type(f"{name}_observed") for name, rv in observed.items()}
    free = {str(rv.name): rv.type(f"{rv.name}_truth") for rv in model.free_RVs}
    known: dict[Variable, Variable] = {rv: free[str(rv.name)] for rv in model.free_RVs}
    known |= {rv: values[name] for name, rv in observed.items()}
    if terms:
        parts = clone_replace([model[name].sum() for name in terms], known)
    else:
        parts = [log_density(rv, known).sum() for rv in observed.values()]
    total = sum(parts[1:], start=parts[0])
    inputs = [*free.values(), *values.values(), *numbers]
    with plain():
        function: Any = pytensor.function(inputs, total, mode=MODE, on_unused_input="ignore")

    def evaluate(truth: Values, data: Values, given: Sequence[np.ndarray] = ()) -> float:
        if not set(free) <= set(truth):
            return float("nan")
        at = [np.asarray(truth[name], dtype=v.type.dtype) for name, v in free.items()]
        at += [np.asarray(data[name], dtype=v.type.dtype) for name, v in values.items()]
        with np.errstate(all="ignore"), plain():
            return float(function(*at, *given))

    return evaluate
