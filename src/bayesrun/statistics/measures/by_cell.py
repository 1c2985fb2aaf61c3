"""Estimates of single fits -> performance measures and failures of every cell, in whole arrays.

Methods are compared in `contrasts`. It reads and writes no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from bayesrun.base.messages import without_numbers
from bayesrun.errors import StoreError
from bayesrun.statistics.measures import intervals, points, spreads
from bayesrun.statistics.measures.blocks import Findings, blocks, codes, flags, numbers, require, unique_rows
from bayesrun.statistics.measures.decisions import effect, null_of
from bayesrun.statistics.measures.estimate import Estimate, rate, wilson
from bayesrun.statistics.measures.names import (
    ANALYSES,
    CLASSES,
    ERROR_COLUMNS,
    FAILURE_COLUMNS,
    LEVEL_MEASURES,
    MEASURE_COLUMNS,
    MEASURES,
    REASONS,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import pandas as pd

    from bayesrun.statistics.measures.blocks import Labels
    from bayesrun.statistics.measures.decisions import Decision, Relation
    from bayesrun.statistics.measures.estimate import Flags, Floats, Integers

    type Found = Iterator[tuple[str, float, Estimate]]

__all__ = ["errors_table", "failures_table", "matched_fits", "measures_table", "tried"]

STATUSES = ("done", "failed", "missing")
DECISION = "decision_"
USED = ("truth", "sd", "mcse_mean", "prior_sd", "prior_sd_mcse", "observed_sd", "observed_sd_mcse")

CONTRACTIONS = {"contraction": "prior_sd", "posterior_contraction": "observed_sd"}
"""Shares of variance that the data of a replicate take away: of the prior's, or of that of the posterior given the
observed data, where fits are to these and the simulated ones together."""


def measures_table(
    estimates: pd.DataFrame,
    fits: pd.DataFrame,
    levels: Sequence[float],
    decisions: Sequence[Decision] = (),
    nulls: Mapping[str, float] | None = None,
    point: Literal["mean", "median"] = "mean",
) -> pd.DataFrame:
    """Measure every quantity in every cell, over all fits with output and over those that passed the gate.

    Parameters
    ----------
    estimates
        One row for each fit and scalar: cell, replicate, variable, truth, mean (or median), sd, lower_P and upper_P for
        every level; mcse_mean, prior_sd or observed_sd, their errors prior_sd_mcse or observed_sd_mcse, and
        decision_NAME where there are such.
    fits
        One row for each planned fit: cell, replicate, status, converged.
    levels
        Probabilities of the intervals.
    decisions
        The rules behind the columns decision_NAME, of all cells; they say which value is null and which side is meant.
        Of a column without its rule only the rate is known.
    nulls
        Label of a scalar or name of a variable to its null value, instead of the rule's.
    point
        Column of the point estimate.

    Returns
    -------
    DataFrame
        Columns cell, variable, measure, level, value, mcse, lower, upper, n, analysis. The analysis ``all`` uses
        every replicate with output, ``converged`` those that passed the gate; n is what was used. A measure that is
        not defined over all replicates (relative_bias near 0, contraction without a prior) has no rows.
        ``decision:NAME`` is how often a rule says yes; ``power:NAME`` where yes is right and ``type_1_error:NAME``
        where it is not, for variables with a null value: the rule's side of it, for a rule without side any other
        value. ``failure`` and ``nonconvergence`` are shares of the fits that were tried; their variable is empty.

    Raises
    ------
    StoreError
        If a column is missing, a row is there twice, or an estimate's fit is not in `fits`.
    """
    ends = [f"{side}_{level:g}" for level in levels for side in ("lower", "upper")]
    require(estimates, ("cell", "replicate", "variable", "truth", point, "sd", *ends), "estimates")
    require(fits, ("cell", "replicate", "status", "converged"), "fits")
    cells, (of_row, of_fit) = _cells(estimates, fits)
    variable, variables = codes(estimates["variable"])
    fit = matched_fits(estimates, fits)
    unique_rows(
        fit * max(len(variables), 1) + variable,
        [np.asarray(estimates[name], dtype=object) for name in ("cell", "replicate", "variable")],
        "estimates",
    )
    converged = flags(fits["converged"])[fit].astype(np.float64)
    group, pairs = _groups(of_row * max(len(variables), 1) + variable)
    columns = [name for name in map(str, estimates.columns) if name.startswith(DECISION)]
    rules = _rules([name.removeprefix(DECISION) for name in columns], decisions, nulls or {}, variables)
    findings = Findings(("cell", "variable"))
    wanted = [name for name in (*USED, *ends, *columns) if name in estimates.columns]
    if point != "mean":
        wanted = [name for name in wanted if name != "mcse_mean"]  # it is the error of means
    values = {name: numbers(estimates[name]) for name in wanted} | {"point": numbers(estimates[point])}
    for block in blocks(group):
        pair = pairs[block.groups]
        under = pair // len(variables), pair % len(variables)
        read = {name: block.spread(column[block.rows]) for name, column in values.items()}
        passed = block.spread(converged[block.rows]) == 1.0
        _measure(read, passed, levels, rules, under, findings)
    _count_failures(fits, of_fit, len(cells), len(variables), findings)
    return findings.table(
        [cells, np.array([*variables, ""], dtype=object)], (*MEASURES, *LEVEL_MEASURES), ANALYSES
    ).loc[:, list(MEASURE_COLUMNS)]


def failures_table(fits: pd.DataFrame) -> pd.DataFrame:
    """Count what went wrong in every cell, by class, zeros included.

    Parameters
    ----------
    fits
        One row for each planned fit: cell, status, reason, converged; degenerate where it is known.

    Returns
    -------
    DataFrame
        Columns cell, class, count, n, rate, mcse, lower, upper (Wilson). The classes error, timeout, oom and lost
        (failed), non_converged (output that did not pass the gate) and degenerate (data that are constant or not
        finite, whatever became of the fit) are shares of the n fits that were tried; missing (nothing came back) of
        those planned. A failure of another reason counts as error.

    Raises
    ------
    StoreError
        If a column is missing or a status is unknown.

    References
    ----------
    Pawel et al. (2026), arXiv:2409.18527: report how often methods fail, also if never.
    """
    import pandas as pd

    require(fits, ("cell", "status", "reason", "converged"), "fits")
    cell, cells = codes(fits["cell"])
    status, was_tried = _status(fits), tried(fits)
    failed, done = status == "failed", status == "done"
    reason = np.asarray(fits["reason"].astype(object).to_numpy(dtype=object)).astype(str)
    other = ~np.isin(reason, REASONS)
    rows = {name: failed & ((reason == name) | (other if name == "error" else False)) for name in REASONS}
    rows["missing"] = status == "missing"
    rows["non_converged"] = done & ~flags(fits["converged"])
    rows["degenerate"] = was_tried & (flags(fits["degenerate"]) if "degenerate" in fits.columns else False)
    size = len(cells)
    count = np.stack([np.bincount(cell[rows[name]], minlength=size) for name in CLASSES], axis=1)
    planned, attempts = np.bincount(cell, minlength=size), np.bincount(cell[was_tried], minlength=size)
    n = np.stack([planned if name == "missing" else attempts for name in CLASSES], axis=1)
    share = np.divide(count, n, out=np.full(n.shape, np.nan), where=n > 0)
    lower, upper = wilson(count, n)
    return pd.DataFrame(
        {
            "cell": np.repeat(cells, len(CLASSES)),
            "class": np.tile(np.array(CLASSES, dtype=object), size),
            "count": count.ravel(),
            "n": n.ravel(),
            "rate": share.ravel(),
            "mcse": np.sqrt(share * (1 - share) / np.maximum(n, 1)).ravel(),
            "lower": lower.ravel(),
            "upper": upper.ravel(),
        },
        columns=list(FAILURE_COLUMNS),
    )


def errors_table(fits: pd.DataFrame) -> pd.DataFrame:
    """Count failed fits by what they say; what reads the same but for its numbers is one row.

    Parameters
    ----------
    fits
        One row for each planned fit: cell, replicate, key, status, reason, and the message of a failed one in failures.

    Returns
    -------
    DataFrame
        Columns cell, reason, message (with # for numbers), count, and of the first such fit example (its message as it
        was), replicate and key. The most frequent come first in each cell; empty where nothing failed.

    Raises
    ------
    StoreError
        If a column is missing.
    """
    require(fits, ("cell", "replicate", "key", "status", "reason", "failures"), "fits")
    failed = fits[fits["status"] == "failed"]
    texts = failed["failures"].astype(str)
    named = failed.assign(message=texts.map(without_numbers), example=texts)
    same = named.groupby(["cell", "reason", "message"], sort=False)
    found = same[["example", "replicate", "key"]].first().assign(count=same.size()).reset_index()
    order = {cell: place for place, cell in enumerate(dict.fromkeys(found["cell"]))}
    found = found.assign(place=found["cell"].map(order)).sort_values(
        ["place", "count"], ascending=[True, False], kind="stable", ignore_index=True
    )
    return found[list(ERROR_COLUMNS)]


def tried(fits: pd.DataFrame) -> Flags:
    """Which of the planned fits came back, done or failed. Dims (fit)."""
    return np.asarray(_status(fits) != "missing")


def matched_fits(estimates: pd.DataFrame, fits: pd.DataFrame) -> Integers:
    """Find the row of `fits` that each row of estimates is of.

    Parameters
    ----------
    estimates, fits
        With columns cell and replicate.

    Returns
    -------
    array of int
        Dims (row of estimates).

    Raises
    ------
    StoreError
        If a fit is planned twice, or an estimate's fit is not planned.
    """
    cells, (of_row, of_fit) = _cells(estimates, fits)
    size = max(len(cells), 1)
    row_place = np.asarray(estimates["replicate"].to_numpy(dtype=np.int64)) * size + of_row
    fit_place = np.asarray(fits["replicate"].to_numpy(dtype=np.int64)) * size + of_fit
    unique_rows(fit_place, [np.asarray(fits[name], dtype=object) for name in ("cell", "replicate")], "fits")
    if not row_place.size:
        return np.empty(0, dtype=np.int64)
    order = np.argsort(fit_place)
    found = np.searchsorted(fit_place[order], row_place)
    matched = order[np.minimum(found, order.size - 1)] if order.size else np.zeros(row_place.size, dtype=np.int64)
    unknown = fit_place[matched] != row_place if order.size else np.ones(row_place.size, dtype=bool)
    if unknown.any():
        first = int(np.flatnonzero(unknown)[0])
        raise StoreError(
            f"the table estimates has {int(unknown.sum())} rows of fits that the table fits does not have (the first "
            f"is {estimates['cell'].iloc[first]}, replicate {estimates['replicate'].iloc[first]}): build both again "
            "from the stored fits"
        )
    return matched


def _cells(estimates: pd.DataFrame, fits: pd.DataFrame) -> tuple[Labels, tuple[Integers, Integers]]:
    """Give the cells of both tables the same numbers, those of fits first."""
    import pandas as pd

    number, labels = codes(pd.concat([fits["cell"].astype(object), estimates["cell"].astype(object)]))
    return labels, (number[len(fits) :], number[: len(fits)])


def _groups(places: Integers) -> tuple[Integers, Integers]:
    """Give the places that occur numbers: row to number, and number to place."""
    found, number = np.unique(places, return_inverse=True)
    return number, found


def _status(fits: pd.DataFrame) -> Labels:
    status = fits["status"].astype(object).to_numpy(dtype=object)
    unknown = sorted({str(value) for value in np.unique(status.astype(str))} - set(STATUSES))
    if unknown:
        raise StoreError(f"the table fits has the status {unknown[0]!r}; wanted is {', '.join(STATUSES)}")
    return status


type _Rule = tuple[str, Relation, Floats]
"""Name, relation and null value of each variable (NaN: none)."""


def _rules(
    names: Sequence[str], decisions: Sequence[Decision], nulls: Mapping[str, float], variables: Collection[str]
) -> list[_Rule]:
    found: list[_Rule] = []
    for name in names:
        rule = next((rule for rule in decisions if rule.name == name), None)
        null = [None if rule is None else null_of(label, name, decisions, nulls) for label in variables]
        relation: Relation = "!=" if rule is None else rule.relation
        found.append((name, relation, np.array([np.nan if value is None else value for value in null])))
    return found


def _measure(
    read: Mapping[str, Floats],
    passed: Flags,
    levels: Sequence[float],
    rules: Sequence[_Rule],
    under: tuple[Integers, Integers],
    findings: Findings,
) -> None:
    """File all measures of a block, over all replicates and over the converged ones."""
    part_of = {name: np.where(passed, column, np.nan) for name, column in read.items()}
    found = [_all_measures(columns, levels, rules, under[1]) for columns in (read, part_of)]
    for whole, part in zip(*found, strict=True):
        findings.add(under, whole[0], whole[1], [(0, whole[2]), (1, part[2])])


def _all_measures(
    read: Mapping[str, Floats], levels: Sequence[float], rules: Sequence[_Rule], variable: Integers
) -> Found:
    h, t, s = read["point"], read["truth"], read["sd"]
    yield "bias", np.nan, points.bias(h, t)
    yield "relative_bias", np.nan, points.relative_bias(h, t)
    yield "empirical_se", np.nan, points.empirical_se(h, t)
    yield "mse", np.nan, points.mse(h, t)
    yield "rmse", np.nan, points.rmse(h, t)
    yield "mae", np.nan, points.mae(h, t)
    yield "model_se", np.nan, spreads.model_se(s)
    yield "relative_error_model_se", np.nan, spreads.relative_error_model_se(h, t, s)
    yield "z_score", np.nan, spreads.z_score(h, t, s)
    for name, column in CONTRACTIONS.items():
        if column in read:
            yield name, np.nan, spreads.contraction(s, read[column], read.get(f"{column}_mcse", 0.0))
    if "mcse_mean" in read:
        yield "mcmc_error_share", np.nan, spreads.mcmc_error_share(read["mcse_mean"], h, t)
    for level in levels:
        low, high = read[f"lower_{level:g}"], read[f"upper_{level:g}"]
        yield "coverage", level, intervals.coverage(low, high, t)
        yield "bias_eliminated_coverage", level, intervals.bias_eliminated_coverage(low, high, h, t)
        yield "miss_left", level, intervals.miss_left(low, high, t)
        yield "miss_right", level, intervals.miss_right(low, high, t)
        yield "width", level, intervals.width(low, high)
        yield "interval_score", level, intervals.interval_score(low, high, t, level)
    for name, relation, nulls in rules:
        said = read[f"{DECISION}{name}"]
        null = nulls[variable][:, None]
        known = np.isfinite(t) & np.isfinite(null)
        right = effect(t, null, relation)
        yield f"decision:{name}", np.nan, rate(said)
        yield f"power:{name}", np.nan, rate(np.where(known & right, said, np.nan))
        yield f"type_1_error:{name}", np.nan, rate(np.where(known & ~right, said, np.nan))


def _count_failures(fits: pd.DataFrame, cell: Integers, size: int, no_variable: int, findings: Findings) -> None:
    was_tried, status = tried(fits), _status(fits)
    failed = (status == "failed").astype(np.float64)
    stuck = ((status == "done") & ~flags(fits["converged"])).astype(np.float64)
    n = np.bincount(cell[was_tried], minlength=size)
    there = np.flatnonzero(n > 0)
    under = [there, np.full(there.size, no_variable)]
    for measure, events in (("failure", failed), ("nonconvergence", stuck)):
        count = np.bincount(cell[was_tried], weights=events[was_tried], minlength=size)[there]
        share = count / n[there]
        lower, upper = wilson(count, n[there])
        found = Estimate(share, np.sqrt(share * (1 - share) / n[there]), lower, upper, n[there])
        findings.add(under, measure, np.nan, [(0, found)])
