"""What the shipped models share: checked prior numbers, labels of their dims, and standard scores.

It builds no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesrun.types import Dataset

__all__ = ["number", "obs_labels", "positive", "standard_scores"]


def number(name: str, value: float) -> np.float64:
    """Return a prior's number in double precision, whatever PyTensor's cast policy.

    By default PyTensor stores the int 36 as int8 and computes in it (36**2 is 16), and the float 2.5 as float32, so
    that a density which takes its logarithm is wrong in the eighth digit.

    Parameters
    ----------
    name
        Name of the parameter, for the message.
    value
        Any finite number.

    Raises
    ------
    ConfigError
        If the value is not a finite number.
    """
    try:
        result = np.float64(value)
    except (TypeError, ValueError):
        result = np.float64(np.nan)
    if not np.isfinite(result):
        raise ConfigError(f"model.{name}={value!r}: want a finite number")
    return result


def positive(name: str, value: float) -> np.float64:
    """Return the scale or rate of a prior in double precision.

    Raises
    ------
    ConfigError
        If the value is not a finite number above 0.
    """
    result = number(name, value)
    if result <= 0.0:
        raise ConfigError(f"model.{name}={value!r}: want a number above 0, because it is a scale, a rate or a shape")
    return result


def obs_labels(data: Dataset, role: str) -> Sequence[Any]:
    """Return the labels of dim obs, or 0..n-1 where the data name none; n is the length of array `role`."""
    return data.coords.get("obs", range(len(data[role])))


def standard_scores(values: np.ndarray, role: str) -> np.ndarray:
    """Subtract the mean of each column and divide by its standard deviation (with n - 1).

    Parameters
    ----------
    values
        Shape (obs,) or (obs, predictor).
    role
        Name of the array, for the message.

    Raises
    ------
    DataError
        If a column has no spread.
    """
    spread = values.std(axis=0, ddof=1)
    if not (spread > 0.0).all():
        raise DataError(f"{role} has a column with one value only, which cannot be standardised. Leave it out.")
    scores: np.ndarray = (values - values.mean(axis=0)) / spread
    return scores
