"""A model's builder with its parameters: one without an argument for data, and one that holds its data itself.

What a model observes and no array of its dataset has is held by the builder. In a simulated dataset drawn values of
it are arrays of their own, which take its place in the model after that was built.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytensor
from pymc.exceptions import ImputationWarning
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import ancestors
from pytensor.tensor.variable import TensorConstant

from bayesrun.base.imports import takes_data
from bayesrun.errors import ConfigError
from bayesrun.simulate.arrays import candidates, observed_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pymc as pm
    from pytensor.graph.basic import Variable

    from bayesrun.types import Dataset

__all__ = ["bound_builder", "held", "is_held", "with_held"]

HELD: Final = " (held by the model)"
"""What the name of an observed variable has behind it as the name of an array; no column is called so."""


def bound_builder(function: Callable[..., Any], params: Mapping[str, Any]) -> Callable[[Dataset], Any]:
    """Bind a builder to its parameters.

    Parameters
    ----------
    function
        ``build(data, **params)`` or ``build(**params)``.
    params
        Of the config.

    Returns
    -------
    Callable
        From a dataset to what the builder returns; what it holds itself gives way to the dataset's arrays for it.
    """
    own = functools.partial(function, **params)
    asks = takes_data(function)

    @functools.wraps(function)
    def build(dataset: Dataset) -> Any:
        with warnings.catch_warnings():
            # the plan says what is drawn since it is missing, or refuses the gaps
            warnings.simplefilter("ignore", ImputationWarning)
            model = own(dataset) if asks else own()
        if values := {name.removesuffix(HELD): dataset[name] for name in dataset if is_held(name)}:
            _put_in(model, values)
        return model

    return build


def is_held(name: str) -> bool:
    """Whether an array stands for values that a model holds itself."""
    return name.endswith(HELD)


def held(model: pm.Model, dataset: Dataset) -> list[str]:
    """Name the observed variables whose values are in no array of the dataset.

    Parameters
    ----------
    model
        Built on `dataset`.
    dataset
        Its dataset.
    """
    return [name for name, arrays in candidates(model, dataset).items() if not arrays]


def with_held(model: pm.Model, dataset: Dataset) -> Dataset:
    """Add to a dataset the values that a model holds itself, under names of their own."""
    values = observed_values(model)
    arrays = {f"{name}{HELD}": values[name] for name in held(model, dataset)}
    dims = {name: tuple(f"{name}_dim_{axis}" for axis in range(array.ndim)) for name, array in arrays.items()}
    return dataclasses.replace(dataset, arrays={**dataset.arrays, **arrays}, dims={**dataset.dims, **dims})


def _put_in(model: pm.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Let a model that was just built observe other values.

    Raises
    ------
    ConfigError
        If these have another shape, or the values cannot be exchanged.
    """
    for rv in model.observed_RVs:
        if str(rv.name) not in arrays:
            continue
        place = _place(model, rv)
        new = np.asarray(arrays[str(rv.name)])
        now = place.data if isinstance(place, Constant) else place.get_value(borrow=True)
        if np.shape(now) != new.shape:
            raise ConfigError(
                f"the model itself holds what {rv.name} observes, in shape {np.shape(now)}, and values of shape "
                f"{new.shape} cannot take their place; hand the data over: build(data), with data=csv data.path=FILE"
            )
        if isinstance(place, SharedVariable):
            place.set_value(new.astype(place.type.dtype))
            continue
        value = TensorConstant(place.type, new.astype(place.type.dtype), name=place.name)
        del model.values_to_rvs[place]
        model.rvs_to_values[rv], model.values_to_rvs[value] = value, rv


def _place(model: pm.Model, rv: Variable) -> Any:
    """Find what has to be exchanged for an observed variable to observe other values.

    Raises
    ------
    ConfigError
        If that is neither a constant nor named data of this model.
    """
    value = model.rvs_to_values[rv]
    if isinstance(value, Constant):
        return value
    own = [v for v in ancestors([value]) if v in model.data_vars and isinstance(v, SharedVariable)]
    if len(own) == 1 and _only_cast(value, own[0]):
        return own[0]
    raise ConfigError(
        f"{rv.name} observes what is worked out within the model ({value}), so that nothing drawn can take its place; "
        "observe an array or pm.Data as it is"
    )


def _only_cast(value: Variable, shared: Variable) -> bool:
    """Whether values are those of named data, in another type at most."""
    while value is not shared:
        node = value.owner
        if node is None or not isinstance(node.op, pytensor.tensor.elemwise.Elemwise) or len(node.inputs) != 1:
            return False
        if not isinstance(node.op.scalar_op, pytensor.scalar.Cast):
            return False
        value = node.inputs[0]
    return True
