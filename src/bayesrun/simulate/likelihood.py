"""The joint log-likelihood of a model as a function of parameters and data; it draws nothing.

Ranks of the log-likelihood see what ranks of the parameters cannot: draws that ignore the data (Modrak et al. 2023,
doi:10.1214/23-BA1404).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors

from bayesrun.simulate.programs import MODE, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytensor.graph.basic import Variable


__all__ = ["joint_log_likelihood"]


def joint_log_likelihood(model: pm.Model) -> Callable[[Mapping[str, np.ndarray], Mapping[str, np.ndarray]], float]:
    """Compile log p(y | theta), summed over everything that is observed.

    Parameters
    ----------
    model
        Built on a dataset of the same shapes as those that it will be asked about.

    Returns
    -------
    Callable
        ``(truth, observed)`` to the log-likelihood; `truth` has the free variables in their natural shape, `observed`
        the values of the observed ones, by name. NaN where the truth lacks a variable.
    """
    observed = {str(rv.name): rv for rv in model.observed_RVs}
    values = {name: rv.type(f"{name}_observed") for name, rv in observed.items()}
    terms = [pm.logp(rv, values[name]).sum() for name, rv in observed.items()]
    total = sum(terms[1:], start=terms[0])
    free = {str(rv.name): rv.type(f"{rv.name}_truth") for rv in model.free_RVs}
    replaced: dict[Variable, Variable] = {rv: free[str(rv.name)] for rv in model.free_RVs}
    replaced |= {rv: values[name] for name, rv in observed.items()}
    settled = clone_replace([total], {rv: v for rv, v in replaced.items() if rv in set(ancestors([total]))})[0]
    inputs = [*free.values(), *values.values()]
    with plain():
        function: Any = pytensor.function(inputs, settled, mode=MODE, on_unused_input="ignore")

    def evaluate(truth: Mapping[str, np.ndarray], data: Mapping[str, np.ndarray]) -> float:
        if not set(free) <= set(truth):
            return float("nan")
        given = [np.asarray(truth[name], dtype=v.type.dtype) for name, v in free.items()]
        given += [np.asarray(data[name], dtype=v.type.dtype) for name, v in values.items()]
        with np.errstate(all="ignore"), plain():
            return float(function(*given))

    return evaluate
