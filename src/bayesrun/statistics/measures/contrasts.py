"""Methods on the same simulated datasets, compared replicate by replicate.

Which cells may be compared is said by the caller. Measures of single methods are made in `by_cell`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import ConfigError
from bayesrun.statistics.measures import intervals
from bayesrun.statistics.measures.blocks import Findings, blocks, codes, flags, numbers, require, unique_rows
from bayesrun.statistics.measures.by_cell import matched_fits
from bayesrun.statistics.measures.estimate import average
from bayesrun.statistics.measures.names import ANALYSES, CHECKS, CONTRAST_COLUMNS, CONTRASTS
from bayesrun.statistics.measures.spreads import relative_precision

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import pandas as pd

    from bayesrun.statistics.measures.blocks import Block, Labels
    from bayesrun.statistics.measures.estimate import Flags, Floats, Integers

__all__ = ["contrasts_table"]

SAME_TRUTH = 1e-5
"""Relative difference up to which two truths are one: one of them may have been stored in single precision."""

ALL, COMMON = ANALYSES.index("all"), ANALYSES.index("common")


@dataclass(frozen=True)
class _Pair:
    cell: str
    reference: str
    group: int


def contrasts_table(
    estimates: pd.DataFrame,
    fits: pd.DataFrame,
    reference: str | Collection[str] | None,
    levels: Sequence[float],
    groups: Sequence[Sequence[str]],
    point: Literal["mean", "median"] = "mean",
) -> pd.DataFrame:
    """Compare each cell with the reference of its group, in pairs of replicates.

    Parameters
    ----------
    estimates
        One row for each fit and scalar: cell, replicate, variable, truth, mean (or median), lower_P and upper_P
        for every level.
    fits
        One row for each planned fit: cell, replicate, status, converged; elpd_loo where it is known.
    reference
        Labels of the cells that others are compared with, at most one in a group; the first cell of a group in
        which there is none is its reference.
    levels
        Probabilities of the intervals.
    groups
        Labels of the cells that saw the same datasets: the same generator and data.
    point
        Column of the point estimate.

    Returns
    -------
    DataFrame
        Columns cell, reference, variable, measure, level, value, mcse, lower, upper, n, analysis. Values are mean
        differences of a loss, cell minus reference, negative where the cell is better: squared_error,
        absolute_error, interval_score, miss (share of intervals without the truth), negative_elpd (its variable is
        empty; its mcse is over replicates, not the standard error of one LOO). relative_precision is in percent,
        positive where the cell is more precise. The analysis ``all`` uses replicates in which both have output,
        ``common`` those in which all cells of the group converged. The joint log-likelihood is not compared: its
        truth depends on the model.

    Raises
    ------
    ConfigError
        If a cell is unknown, a pair is in two groups, a group has two references, or two cells of a group have
        different truths in the same replicate.
    StoreError
        If a column is missing, a row is there twice, or an estimate's fit is not in `fits`.
    """
    ends = [f"{side}_{level:g}" for level in levels for side in ("lower", "upper")]
    require(estimates, ("cell", "replicate", "variable", "truth", point, *ends), "estimates")
    require(fits, ("cell", "replicate", "status", "converged"), "fits")
    matched_fits(estimates, fits)
    pairs = _pairs(groups, reference, dict.fromkeys(fits["cell"].astype(object)))
    common = _common(fits, groups)
    findings = Findings(("cell", "reference", "variable"))
    cells = list(dict.fromkeys([label for pair in pairs for label in (pair.cell, pair.reference)]))
    kept = estimates.assign(point=estimates[point])[~estimates["variable"].isin(CHECKS).to_numpy(dtype=bool)]
    variable, variables = codes(kept["variable"])
    matched = _matched(kept, variable, pairs, common)
    _same_truths(kept, matched, pairs)
    _compare_losses(kept, matched, variable, levels, [_numbers(pair, cells) for pair in pairs], findings)
    if "elpd_loo" in fits.columns:
        done = fits[(fits["status"] == "done").to_numpy(dtype=bool)]
        nothing = np.full(len(done), len(variables))
        matched = _matched(done, nothing, pairs, common)
        loss = {("negative_elpd", np.nan): -numbers(done["elpd_loo"])}
        _file_losses(loss, matched, nothing, [_numbers(pair, cells) for pair in pairs], findings)
    labels = np.array(cells, dtype=object)
    table = findings.table([labels, labels, np.array([*variables, ""], dtype=object)], CONTRASTS, ANALYSES)
    return table.loc[:, list(CONTRAST_COLUMNS)]


def _pairs(
    groups: Sequence[Sequence[str]], reference: str | Collection[str] | None, known: Mapping[str, None]
) -> list[_Pair]:
    chosen = {reference} if isinstance(reference, str) else set(reference or ())
    members = {cell for group in groups for cell in group}
    for cell in [*members, *chosen]:
        if cell not in known:
            raise ConfigError(
                f"contrasts: there is no cell {cell!r}. {did_you_mean(cell, known)}The cells are {', '.join(known)}"
            )
    strays = sorted(chosen - members)
    if strays:
        raise ConfigError(f"contrasts: the reference {strays[0]!r} is in no group of cells that may be compared")
    found: dict[tuple[str, str], _Pair] = {}
    for number, group in enumerate(groups):
        cells = list(dict.fromkeys(group))
        references = [cell for cell in cells if cell in chosen]
        if len(references) > 1:
            raise ConfigError(
                f"contrasts: {', '.join(references)} are all references of the same group; name one of them"
            )
        base = references[0] if references else cells[0] if cells else ""
        for cell in cells:
            if cell == base:
                continue
            if (cell, base) in found:
                raise ConfigError(f"contrasts: {cell} and {base} are together in two groups; leave out one of these")
            found[cell, base] = _Pair(cell, base, number)
    return list(found.values())


def _common(fits: pd.DataFrame, groups: Sequence[Sequence[str]]) -> list[Integers]:
    """Find for each group the replicates in which every cell converged."""
    passed = fits[(fits["status"] == "done").to_numpy(dtype=bool) & flags(fits["converged"])]
    cell = passed["cell"].astype(object).to_numpy(dtype=object)
    replicate = np.asarray(passed["replicate"].to_numpy(dtype=np.int64))
    members = {label: replicate[cell == label] for label in {label for group in groups for label in group}}
    nothing = np.empty(0, dtype=np.int64)
    return [reduce(np.intersect1d, [members[label] for label in group]) if group else nothing for group in groups]


@dataclass(frozen=True, eq=False)
class _Matched:
    """Pairs of rows of a table: the cell's, its reference's, the number of the pair of cells, and if all converged."""

    own: Integers
    other: Integers
    pair: Integers
    common: Flags


def _matched(table: pd.DataFrame, variable: Integers, pairs: Sequence[_Pair], common: Sequence[Integers]) -> _Matched:
    """Pair the rows of the same replicate and variable."""
    cell, labels = codes(table["cell"])
    number = {label: place for place, label in enumerate(labels)}
    replicate = np.asarray(table["replicate"].to_numpy(dtype=np.int64))
    _, known = np.unique(replicate, return_inverse=True)
    place = variable * (int(known.max(initial=0)) + 1) + known
    unique_rows(place * max(len(labels), 1) + cell, _said(table), "estimates")
    order = np.argsort(cell, kind="stable")
    ends = np.searchsorted(cell[order], np.arange(len(labels) + 1))
    rows = {label: order[ends[i] : ends[i + 1]] for label, i in number.items()}
    nothing = np.empty(0, dtype=np.int64)
    found: list[tuple[Integers, Integers, Integers, Flags]] = []
    for index, pair in enumerate(pairs):
        own, other = rows.get(pair.cell, nothing), rows.get(pair.reference, nothing)
        _, left, right = np.intersect1d(place[own], place[other], assume_unique=True, return_indices=True)
        every = np.isin(replicate[own[left]], common[pair.group])
        found.append((own[left], other[right], np.full(left.size, index), every))
    if not found:
        return _Matched(nothing, nothing, nothing, np.empty(0, dtype=bool))
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    return _Matched(columns[0], columns[1], columns[2], columns[3].astype(np.bool_))


def _said(table: pd.DataFrame) -> list[Labels]:
    names = [name for name in ("cell", "replicate", "variable") if name in table.columns]
    return [np.asarray(table[name], dtype=object) for name in names]


def _same_truths(estimates: pd.DataFrame, matched: _Matched, pairs: Sequence[_Pair]) -> None:
    truth = numbers(estimates["truth"])
    own, other = truth[matched.own], truth[matched.other]
    both = np.isfinite(own) & np.isfinite(other)
    differing = both & ~np.isclose(own, other, rtol=SAME_TRUTH, atol=0.0)
    if differing.any():
        first = int(np.flatnonzero(differing)[0])
        pair, row = pairs[matched.pair[first]], estimates.iloc[matched.own[first]]
        raise ConfigError(
            f"contrasts: {row['variable']} is {own[first]:g} in replicate {row['replicate']} of {pair.cell} and "
            f"{other[first]:g} in that of {pair.reference}: only cells that saw the same simulated datasets are "
            "compared; put these into different groups"
        )


def _numbers(pair: _Pair, cells: Sequence[str]) -> tuple[int, int]:
    return cells.index(pair.cell), cells.index(pair.reference)


def _compare_losses(
    estimates: pd.DataFrame,
    matched: _Matched,
    variable: Integers,
    levels: Sequence[float],
    pairs: Sequence[tuple[int, int]],
    findings: Findings,
) -> None:
    truth, point = numbers(estimates["truth"]), numbers(estimates["point"])
    error = point - truth
    losses: dict[tuple[str, float], Floats] = {
        ("squared_error", np.nan): error**2,
        ("absolute_error", np.nan): np.abs(error),
    }
    for level in levels:
        low, high = numbers(estimates[f"lower_{level:g}"]), numbers(estimates[f"upper_{level:g}"])
        losses["interval_score", level] = intervals.interval_scores(low, high, truth, level)
        losses["miss", level] = intervals.misses(low, high, truth)
    _file_losses(losses, matched, variable, pairs, findings)
    for block, under, common in _blocks(matched, variable, pairs):
        own, other = block.spread(point[matched.own[block.rows]]), block.spread(point[matched.other[block.rows]])
        known = block.spread(truth[matched.own[block.rows]])
        found = [(ALL, relative_precision(own, other, known))]
        found.append((COMMON, relative_precision(np.where(common, own, np.nan), other, known)))
        findings.add(under, "relative_precision", np.nan, found)


def _file_losses(
    losses: Mapping[tuple[str, float], Floats],
    matched: _Matched,
    variable: Integers,
    pairs: Sequence[tuple[int, int]],
    findings: Findings,
) -> None:
    for block, under, common in _blocks(matched, variable, pairs):
        own, other = matched.own[block.rows], matched.other[block.rows]
        for (measure, level), loss in losses.items():
            difference = block.spread(loss[own] - loss[other])
            found = [(ALL, average(difference)), (COMMON, average(np.where(common, difference, np.nan)))]
            findings.add(under, measure, level, found)


def _blocks(
    matched: _Matched, variable: Integers, pairs: Sequence[tuple[int, int]]
) -> Iterator[tuple[Block, list[Integers], Flags]]:
    """Blocks of one group for each pair of cells and variable, its labels, and where all methods converged."""
    if not matched.own.size:
        return
    size = int(variable.max()) + 1
    found, group = np.unique(matched.pair * size + variable[matched.own], return_inverse=True)
    numbered = np.array(pairs, dtype=np.int64)
    for block in blocks(group):
        pair = found[block.groups] // size
        under = [numbered[pair, 0], numbered[pair, 1], found[block.groups] % size]
        yield block, under, block.spread(matched.common[block.rows].astype(np.float64)) == 1.0
