"""Whether JAX can take a model's density and its gradient: both are traced, and nothing is compiled or run."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import jax
import numpy as np

from bayesrun.base.messages import in_one_line
from bayesrun.samplers.lanes.density import density_alone
from bayesrun.samplers.lanes.engine import prepare_jax

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pymc as pm

__all__ = ["not_traced"]


def not_traced(model: pm.Model) -> str:
    """Say why JAX has no density of a model, or no gradient of it; empty where it has both.

    Parameters
    ----------
    model
        Whose free variables are continuous; it stays as it is.
    """
    with _small_backend(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            function, size = density_alone(model)
            point = jax.ShapeDtypeStruct((size,), np.float64)
            jax.eval_shape(function, point)
        except Exception as error:  # noqa: BLE001 - an op's translation may raise anything
            return f"JAX cannot take its density ({in_one_line(error.__cause__ or error)})"
        try:
            jax.eval_shape(jax.grad(function), point)
        except Exception as error:  # noqa: BLE001 - as above
            return f"JAX has its density, and no gradient of it ({in_one_line(error)})"
    return ""


@contextmanager
def _small_backend() -> Iterator[None]:
    """Let JAX take no more of a GPU's memory than it needs: a driver leaves that to its workers."""
    name = "XLA_PYTHON_CLIENT_PREALLOCATE"
    before = os.environ.get(name)
    os.environ.setdefault(name, "false")
    try:
        prepare_jax()
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
