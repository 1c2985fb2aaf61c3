"""How many replicates a target precision needs, and when a study that grows in rounds has it.

It starts nothing and reads no file: measures so far go in, numbers come out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import ConfigError
from bayesrun.statistics.measures.blocks import numbers, require
from bayesrun.statistics.measures.estimate import NORMAL, wilson
from bayesrun.statistics.measures.names import CHECKS, LEVEL_MEASURES, MEASURE_COLUMNS, MEASURES, PREFIXES, is_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from bayesrun.statistics.measures.estimate import Flags, Floats

__all__ = [
    "GROWTH",
    "MINIMUM",
    "TARGETS",
    "check_targets",
    "needed",
    "next_round",
    "precision",
    "reached",
    "replicates_for_mean",
    "replicates_for_sd",
    "replicates_for_share",
]

TARGETS = (*MEASURES, *LEVEL_MEASURES, *PREFIXES, "failure", "nonconvergence")
"""Measures that can have a target; of a rule also ``power:NAME``. That of empirical_se is relative to it."""

WORST_SHARE = 0.5
"""Share whose Monte Carlo error is largest, for planning where nothing is known."""

MINIMUM = 100
"""Replicates before which no target counts as reached: a variance from fewer is itself uncertain by 14 % and more."""

GROWTH = 3
"""Largest factor from one round to the next: how a small study extrapolates is uncertain."""

LEAST_STEP = 0.1
"""Smallest share of what is done that a round adds, so that a study does not end in many tiny ones."""

ROUNDING = 1e-9
"""Relative excess that is rounding: 0.95 * 0.05 / 0.005**2 is 1900 and not one more."""


def replicates_for_share(mcse: float, expected: float = WORST_SHARE) -> int:
    """Count the replicates for a share: n = p (1 - p) / MCSE^2.

    Parameters
    ----------
    mcse
        Monte Carlo standard error wanted, as a share (0.005 is half a percent).
    expected
        The share p that is expected; 0.5 is the worst case.

    Returns
    -------
    int
        At least 1. Coverage of 95 % to 0.5 %: 1900; the worst case to 0.5 %: 10,000.

    Raises
    ------
    ConfigError
        If `mcse` is not positive or `expected` not in [0, 1].

    References
    ----------
    Morris, White, Crowther (2019), section 5.3, doi:10.1002/sim.8086.
    """
    _positive(mcse)
    if not 0 <= expected <= 1:
        raise ConfigError(f"the expected share is between 0 and 1, got {expected!r}")
    return _whole(expected * (1 - expected) / mcse**2)


def replicates_for_mean(mcse: float, sd: float) -> int:
    """Count the replicates for a bias or another mean: n = Var / MCSE^2.

    Parameters
    ----------
    mcse
        Monte Carlo standard error wanted, in the unit of the mean.
    sd
        SD over replicates from a pilot; for bias that of the errors.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ConfigError
        If `mcse` is not positive, or `sd` is negative or not finite.

    References
    ----------
    Morris, White, Crowther (2019), section 5.3, doi:10.1002/sim.8086.
    """
    _positive(mcse)
    if not 0 <= sd < math.inf:
        raise ConfigError(f"the SD of a pilot is a number from 0, got {sd!r}")
    return _whole((sd / mcse) ** 2)


def replicates_for_sd(relative_mcse: float) -> int:
    """Count the replicates for an empirical SE to a relative MCSE r: n = 1 + 1 / (2 r^2), for normal errors.

    Parameters
    ----------
    relative_mcse
        Monte Carlo standard error wanted, as a share of the empirical SE.

    Returns
    -------
    int
        For 5 %: 201.

    Raises
    ------
    ConfigError
        If `relative_mcse` is not positive.

    References
    ----------
    Morris, White, Crowther (2019), table 6, doi:10.1002/sim.8086.
    """
    _positive(relative_mcse)
    return _whole(1 + 1 / (2 * relative_mcse**2))


def check_targets(targets: Mapping[str, float]) -> None:
    """Refuse targets that no measure can have.

    Parameters
    ----------
    targets
        Measure (one of `TARGETS`, or ``power:NAME``) to the Monte Carlo standard error wanted of it.

    Raises
    ------
    ConfigError
        If there is none, a measure is unknown, or an error is not a positive number.
    """
    if not targets:
        raise ConfigError("study.target_mcse is empty: name a measure and its error, for instance {coverage: 0.01}")
    for name, mcse in targets.items():
        prefix, colon, rule = name.partition(":")
        if name not in TARGETS and not (colon and rule and prefix in PREFIXES):
            raise ConfigError(
                f"study.target_mcse: there is no measure {name!r}. {did_you_mean(name, TARGETS)}"
                f"The measures are {', '.join(TARGETS)}; of one rule {', '.join(f'{p}:NAME' for p in PREFIXES)}"
            )
        if isinstance(mcse, bool) or not isinstance(mcse, (int, float)) or not 0 < mcse < math.inf:
            raise ConfigError(f"study.target_mcse.{name}: got {mcse!r}; wanted is a positive number, such as 0.01")


def precision(measures: pd.DataFrame, targets: Mapping[str, float]) -> pd.DataFrame:
    """Hold every measure that has a target against it.

    Parameters
    ----------
    measures
        From `measures_table`; of it the analysis over all replicates, without the joint log-likelihood. ``power``
        means every ``power:NAME``, and where no rule has a null value, every ``decision:NAME``.
    targets
        See `check_targets`.

    Returns
    -------
    DataFrame
        One row for each measure: target, cell, variable, measure, level, n, error (for shares the Wilson half width
        / 1.96, which is not 0 where all intervals cover; for empirical_se mcse / value; else mcse), wanted, needed
        (replicates used at which the error is expected to be what is wanted; NaN where nothing can be told).

    Raises
    ------
    ConfigError
        See `check_targets`.
    StoreError
        If a column is missing.
    """
    import pandas as pd

    check_targets(targets)
    require(measures, MEASURE_COLUMNS, "measures")
    table = measures[(measures["analysis"] == "all") & ~measures["variable"].isin(CHECKS)]
    names = table["measure"].astype(object).to_numpy(dtype=object)
    parts = [_held(table[_of(names, target)], target, wanted) for target, wanted in targets.items()]
    return pd.concat(parts, ignore_index=True)


def needed(targets: Mapping[str, float], measures: pd.DataFrame | None = None) -> int:
    """Count the replicates that bring every target within reach, by what a pilot says.

    Parameters
    ----------
    targets
        See `check_targets`.
    measures
        Of a pilot or of the study so far; None: shares count with the worst case of a half, and only they and
        empirical_se can be planned.

    Returns
    -------
    int
        Replicates with output, the largest that any measure of any cell needs. Shares enter with the centre of
        their Wilson interval, other measures with their error so far, which shrinks as 1 / sqrt(n).

    Raises
    ------
    ConfigError
        If a target cannot be planned: without a pilot, or with one that has no row for it.
    StoreError
        If a column is missing.
    """
    check_targets(targets)
    if measures is None:
        return max(_unseen(name, mcse) for name, mcse in targets.items())
    held = precision(measures, targets)
    most = [_largest(held, name, numbers(held["needed"]), mcse) for name, mcse in targets.items()]
    return max(most)


def reached(measures: pd.DataFrame, targets: Mapping[str, float], minimum: int = MINIMUM) -> bool:
    """Whether a study that grows in rounds may stop.

    Parameters
    ----------
    measures
        Of the study so far.
    targets
        See `check_targets`.
    minimum
        Replicates that every measure must have used before it counts.

    Returns
    -------
    bool
        Whether every target has a row and every row of it has what is wanted; a cell without output has no rows,
        and does not keep the others waiting. See `precision` for the errors.

    Raises
    ------
    ConfigError
        See `check_targets`.
    StoreError
        If a column is missing.

    Notes
    -----
    The rule looks at errors, not at values, so that stopping by it does not favour a result; a share's error
    depends on the share, which the Wilson half width and the minimum keep from stopping a study by luck.
    """
    held = precision(measures, targets)
    if set(held["target"]) != set(targets):
        return False
    return bool((_within(held) & (numbers(held["n"]) >= minimum)).all())


def next_round(
    done: int, measures: pd.DataFrame | None, targets: Mapping[str, float], maximum: int, minimum: int = MINIMUM
) -> int:
    """Count the replicates to add in the next round.

    Parameters
    ----------
    done
        Replicates of each cell so far, failed ones included.
    measures
        Of these; None before the first round.
    targets
        See `check_targets`.
    maximum
        Replicates of the whole study, at most.
    minimum
        As for `reached`; also the size of the first round.

    Returns
    -------
    int
        0 where the targets are reached or the maximum is. Otherwise what is expected to be missing, replicates
        without output counted in, but at least a tenth of what is done and at most twice as much.

    Raises
    ------
    ConfigError
        See `check_targets`.
    StoreError
        If a column is missing.
    """
    check_targets(targets)
    left = max(maximum - done, 0)
    if done <= 0 or measures is None:
        return min(max(minimum, 1), left)
    if not left or reached(measures, targets, minimum):
        return 0
    held = precision(measures, targets)
    n, want = numbers(held["n"]), np.fmax(numbers(held["needed"]), minimum)
    short = ~_within(held) | (n < minimum)
    with np.errstate(divide="ignore", invalid="ignore"):
        # a measure that used half of the replicates (failures, truths at the null) needs twice as many
        total = np.where(n > 0, want * done / n, np.inf)[short]
    finite = total[np.isfinite(total)]
    goal = float(finite.max()) if finite.size else float(GROWTH * done)
    least = max(math.ceil(LEAST_STEP * done), 1)
    return min(max(math.ceil(goal * (1 - ROUNDING)) - done, least), (GROWTH - 1) * done, left)


def _held(rows: pd.DataFrame, target: str, wanted: float) -> pd.DataFrame:
    share = np.array([is_share(name) for name in rows["measure"]], dtype=bool)
    value, mcse, n = numbers(rows["value"]), numbers(rows["mcse"]), numbers(rows["n"])
    lower, upper = wilson(np.where(share, value, 0.0) * n, n)
    relative = target == "empirical_se"
    with np.errstate(divide="ignore", invalid="ignore"):
        other = mcse / np.abs(value) if relative else mcse
        error = np.where(share, (upper - lower) / (2 * NORMAL), other)
        centre = (value * n + NORMAL**2 / 2) / (n + NORMAL**2)
        many = np.where(share, centre * (1 - centre) / wanted**2, n * (other / wanted) ** 2)
    many = np.where(n > 0, np.maximum(np.ceil(many * (1 - ROUNDING)), 1.0), np.nan)
    held = rows[["cell", "variable", "measure", "level", "n"]].copy()
    held.insert(0, "target", target)
    return held.assign(error=error, wanted=wanted, needed=many)


def _of(names: NDArray[np.object_], target: str) -> Flags:
    """Rows that a target means."""
    if target in PREFIXES:
        found = np.array([name.startswith(f"{target}:") for name in names], dtype=bool)
        if target == "power" and not found.any():
            found = np.array([name.startswith("decision:") for name in names], dtype=bool)
        return found
    return np.asarray(names == target, dtype=bool)


def _within(held: pd.DataFrame) -> Flags:
    """Rows whose error is there and small enough."""
    return np.asarray(numbers(held["error"]) <= numbers(held["wanted"]) * (1 + ROUNDING))


def _unseen(name: str, mcse: float) -> int:
    if is_share(name):
        return replicates_for_share(mcse)
    if name == "empirical_se":
        return replicates_for_sd(mcse)
    raise ConfigError(
        f"study.target_mcse.{name}: how many replicates {name} needs depends on its spread, which only a pilot tells: "
        f"run some replicates first, at least {MINIMUM}"
    )


def _largest(held: pd.DataFrame, name: str, many: Floats, mcse: float) -> int:
    own = many[(held["target"] == name).to_numpy(dtype=bool)]
    own = own[np.isfinite(own)]
    if not own.size:
        raise ConfigError(
            f"study.target_mcse.{name}={mcse:g}: the pilot has no {name} with an error: run more replicates, or leave "
            "this target out if the measure is not defined (relative_bias near a truth of 0, power without a rule)"
        )
    return int(own.max())


def _whole(n: float) -> int:
    return max(math.ceil(n * (1 - ROUNDING)), 1)


def _positive(mcse: float) -> None:
    if not 0 < mcse < math.inf:
        raise ConfigError(f"a Monte Carlo standard error that is wanted is a positive number, got {mcse!r}")
