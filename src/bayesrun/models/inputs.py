"""What the shipped models share: checked prior numbers, labels of their dims, standard scores, ends of observation.

It builds no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bayesrun.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesrun.types import Dataset

__all__ = [
    "WIDE",
    "censoring_bounds",
    "events_and_bounds",
    "normals",
    "number",
    "obs_labels",
    "positive",
    "powers_of",
    "spread",
    "standard_scores",
    "without_planned_ends",
]

WIDE: Final = 2.5
"""Standard deviation of priors that are scaled, in standard deviations of the outcome over those of a predictor: the
default of rstanarm (Goodrich et al. 2020, https://mc-stan.org/rstanarm/articles/priors.html), after Gelman et al.
(2008, doi:10.1214/08-AOAS191)."""


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


def spread(values: np.ndarray, role: str) -> np.ndarray:
    """Return the standard deviation of each column (with n - 1), by which priors are scaled.

    Raises
    ------
    DataError
        If one has no spread.
    """
    found = np.asarray(np.std(values, axis=0, ddof=1), dtype=np.float64)
    if not (found > 0.0).all():
        raise DataError(f"model.priors=scaled: {role} has one value only, by whose spread nothing can be scaled")
    return found


def normals(name: str, mean: float, sigmas: np.ndarray | float, labels: Sequence[Any] = ()) -> str:
    """Write normal priors for people, such as ``beta[age] ~ Normal(0, 1.2)``."""
    if not labels:
        return f"{name} ~ Normal({mean:.4g}, {float(sigmas):.4g})"
    return ", ".join(
        f"{name}[{label}] ~ Normal({mean:.4g}, {sigma:.4g})"
        for label, sigma in zip(labels, np.atleast_1d(sigmas), strict=True)
    )


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


def powers_of(values: np.ndarray, role: str, degree: int) -> np.ndarray:
    """Raise the standard scores of a column to the powers from 1 to a degree, dims (obs, power).

    Raises
    ------
    ConfigError
        If the degree is no whole number of at least 1.
    DataError
        If the column has no spread.
    """
    if degree != int(degree) or degree < 1:
        raise ConfigError(f"model.degree={degree!r}: want a whole number of at least 1")
    z = standard_scores(values, role)
    return np.column_stack([z**power for power in range(1, int(degree) + 1)])


def censoring_bounds(data: Dataset) -> np.ndarray:
    """Return the time at which the observation of each unit ends if no event comes before.

    Parameters
    ----------
    data
        Arrays ``time``, ``event`` (1 seen, 0 censored) and, if known, ``censoring_time``, all (obs,).

    Returns
    -------
    numpy.ndarray
        Dims (obs,): the time of a censored unit, the planned end of observation of a unit with an event, and infinity
        where none is given.

    Raises
    ------
    DataError
        If a time lies beyond its planned end of observation, or an event exactly on it.
    """
    time, seen = data["time"], data["event"] == 1
    if "censoring_time" not in data:
        return np.where(seen, np.inf, time)
    planned = data["censoring_time"]
    wrong = np.flatnonzero(np.where(seen, time >= planned, time > planned))
    if wrong.size:
        rows = ", ".join(str(row) for row in wrong[:5])
        raise DataError(
            f"an event must come before censoring_time, and no time may lie beyond it; {wrong.size} rows do not "
            f"comply, first rows {rows} (counted from 0). Give these rows a later censoring_time."
        )
    return np.where(seen, planned, time)


def without_planned_ends(model: str, data: Dataset) -> str | None:
    """Return why survival times cannot be simulated from a dataset's design, or None if they can.

    Parameters
    ----------
    model
        Name of the model, for the message.
    data
        See `censoring_bounds`.
    """
    if "censoring_time" in data:
        return None
    n_events = int((data["event"] == 1).sum())
    if n_events == 0:
        return None
    return (
        f"{model} needs the planned end of observation of every unit to simulate, and {n_events} of "
        f"{len(data['time'])} units have an event and none. Map a column to it: data.columns={{censoring_time: COLUMN}}"
    )


def events_and_bounds(data: Dataset, time: np.ndarray) -> dict[str, np.ndarray]:
    """Give the arrays that drawn survival times replace.

    Parameters
    ----------
    data
        What the model was built on, see `censoring_bounds`.
    time
        Times cut at the end of observation, dims (obs,).

    Returns
    -------
    dict of str to numpy.ndarray
        ``time``, ``event`` (1 where the time lies before the end of observation) and ``censoring_time`` (that end, so
        that a unit keeps it whether or not its event was seen), all (obs,).
    """
    bounds = censoring_bounds(data)
    return {"time": time, "event": (time < bounds).astype(np.int64), "censoring_time": bounds}
