"""Comparison of the fits of one study: LOO between models, agreement between samplers.

Only what is comparable is compared: LOO where term by term the observed value, its row and its measure are the same,
and the sampler; agreement where the model and the data are the same. What stands apart is named with the reason. It
reads what the fits left behind and fits nothing.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.digits import against
from bayesrun.base.messages import few
from bayesrun.types import Observed

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    import pandas as pd
    import xarray as xr
    from arviz_stats.utils import ELPDData

__all__ = [
    "MAX_MEAN_DIFFERENCE",
    "MAX_SD_CHANGE",
    "MIN_MCSE",
    "SAMPLER_ORDER",
    "Agreement",
    "Apart",
    "Comparison",
    "Fitted",
    "agreement",
    "loo_comparisons",
    "version",
]

SAMPLER_ORDER = ("nuts", "numpyro", "numpyro_gpu", "smc", "metropolis", "fullrank_advi", "advi", "advi_jax")
"""Which sampler the others are held against, the first that is there; samplers of a user's own come last."""

MAX_MEAN_DIFFERENCE = 0.1
"""Means that are closer than this many posterior SDs agree."""

MAX_SD_CHANGE = 0.1
"""SDs whose ratio is within 1 plus or minus this agree."""

MIN_MCSE = 3.0
"""A difference smaller than this many Monte Carlo standard errors may be noise, and counts as agreement."""

SMALL_DIFFERENCE = 4.0
FEW_OBSERVATIONS = 100
CONVERGED_RHAT = 1.01
SHOWN_CELLS = 3


@dataclass(frozen=True)
class Fitted:
    """A finished fit, as far as comparisons need to know it.

    Parameters
    ----------
    label, key
        Cell label, for people, and content hash.
    posterior
        What is sampled: fingerprint of the model and digest of the values that it observes, or of an older fit
        without these its import path, parameters and dataset.
    observed
        What the terms of its likelihood are about.
    n_terms
        Terms of its LOO; 0 where it has none.
    sampler, sampler_path
        Name for people, and import path.
    kind
        Kind of the sampler: nuts, mcmc, smc or variational.
    """

    label: str
    key: str
    posterior: tuple[str, ...]
    observed: Observed
    n_terms: int
    sampler: str
    sampler_path: str
    kind: str = "nuts"


@dataclass(frozen=True)
class Apart:
    """Cells whose LOO is compared with that of no other, or only among themselves: sampler, labels, and why."""

    sampler: str
    cells: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        """Say it in one line, with at most three labels."""
        return f"{few(self.cells, SHOWN_CELLS)}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """LOO of several models on the same observed values.

    Parameters
    ----------
    sampler
        Name of the sampler that made all the fits.
    frame
        One row a cell, best first. Columns rank, elpd_loo, p_loo, elpd_diff (to the best; negative is
        worse), se, dse, weight (stacking), n_bad_pareto_k, n_observations, warning; all elpd in nats.
    notes
        What the reader must know before believing the ranking.
    """

    sampler: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Agreement:
    """Samplers of one model and dataset, held against one of them.

    Parameters
    ----------
    reference
        Label of the reference's cell.
    frame
        One row for each other cell and scalar, worst first. Columns cell, variable, mean_diff (in
        posterior SDs of the reference), mean_diff_mcse, sd_ratio, sd_ratio_mcse, differs, unclear.
    notes
        One line a cell that says how it reads, and doubts about the reference.
    """

    reference: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()


def version() -> str:
    """Digest of what makes comparisons, this module and ArviZ: kept ones of another version are not shown."""
    text = Path(__file__).read_bytes() + metadata.version("arviz-stats").encode()
    return hashlib.sha256(text).hexdigest()[:16]


def loo_comparisons(
    fits: Sequence[Fitted], read_tree: Callable[[str], xr.DataTree]
) -> tuple[list[Comparison], list[Apart]]:
    """Compare models by PSIS-LOO, within groups of one sampler whose terms are about the same.

    Each term has to be a log density, or a log mass, of the same observed value of the same row with respect to the
    same measure, unweighted: a difference of two sums of other things is no difference in predictive accuracy. The
    comparison and its stacking weights are ArviZ's (Vehtari, Gelman and Gabry 2017, doi:10.1007/s11222-016-9696-4;
    Yao et al. 2018, doi:10.1214/17-BA1091).

    Parameters
    ----------
    fits
        Finished fits.
    read_tree
        Reads the tree of a key; its group ``loo`` has ``elpd_i`` and ``pareto_k`` over the observations. What a fit
        has no LOO of is not computed here.

    Returns
    -------
    comparisons : list of Comparison
        One for each group of two or more fits.
    apart : list of Apart
        The fits that are not in the first and largest group of their sampler, and why.
    """
    found: list[Comparison] = []
    apart: list[Apart] = []
    for group in _groups(fits, lambda fit: fit.sampler_path):
        names = dict(zip((fit.key for fit in group), _distinct(group), strict=True))
        with_loo = [fit for fit in group if fit.n_terms]
        if len(group) < 2 or not with_loo:
            continue
        sampler = group[0].sampler
        classes = sorted(_classes([fit for fit in with_loo if not _reason(fit)]), key=len, reverse=True)
        for alike in classes:
            if len(alike) > 1:
                found.append(_comparison(alike, {fit.key: names[fit.key] for fit in alike}, read_tree))
        for number, other in enumerate(classes[1:], start=1):
            near = _nearest(other[0], classes[:number])
            why = _difference(other[0], near, names[near.key])
            labels = tuple(names[fit.key] for fit in other)
            apart.append(Apart(sampler, labels, f"not compared with {names[near.key]}: {why}"))
        alone: dict[str, list[str]] = {}
        for fit in group:
            reason = _reason(fit) if fit.n_terms else "it has no LOO"
            if reason:
                alone.setdefault(reason, []).append(names[fit.key])
        apart += [Apart(sampler, tuple(labels), f"not compared: {reason}") for reason, labels in alone.items()]
    return found, apart


def agreement(
    fits: Sequence[Fitted], read_summary: Callable[[str], pd.DataFrame], reference: str | None = None
) -> list[Agreement]:
    """Hold the samplers of each posterior against a reference sampler.

    Two posteriors differ in a scalar if their means are more than 0.1 posterior SDs of the reference apart,
    or the ratio of their SDs is outside 0.9 to 1.1, and the difference is more than 3 Monte Carlo standard
    errors. A tenth of an SD moves no interval that people report by more than its usual rounding.

    Parameters
    ----------
    fits
        Finished fits.
    read_summary
        Reads the summary of a key: one row for each scalar, columns mean, sd and, where they are known,
        mcse_mean, mcse_sd, rhat. A Monte Carlo error that is not known counts as zero.
    reference
        Name of the sampler, or label of the cell, that the others are held against; None for the first
        that is there of nuts, numpyro, smc, metropolis, fullrank_advi, advi, advi_jax.

    Returns
    -------
    list of Agreement
        One for each posterior that more than one sampler was used on.
        Where the named reference has no finished fit, a note says which one stands in.
    """
    found = []
    for group in _groups(fits, lambda fit: fit.posterior):
        against = min(group, key=lambda fit: _preference(fit, reference))
        others = [fit for fit in group if fit.sampler_path != against.sampler_path]
        if not others:
            continue
        labels = dict(zip((fit.key for fit in group), _distinct(group), strict=True))
        part = _agreement(against, others, labels, read_summary)
        if reference not in (None, against.sampler, against.label):
            part = replace(
                part, notes=(f"{reference} has no finished fit here; {part.reference} stands in", *part.notes)
            )
        found.append(part)
    return found


def _groups(fits: Iterable[Fitted], of: Callable[[Fitted], Hashable]) -> list[list[Fitted]]:
    groups: dict[Hashable, list[Fitted]] = {}
    for fit in fits:
        groups.setdefault(of(fit), []).append(fit)
    return list(groups.values())


def _distinct(group: Sequence[Fitted]) -> list[str]:
    """Labels of a group, with the beginning of the key where two are the same."""
    labels = [fit.label for fit in group]
    return [fit.label if labels.count(fit.label) == 1 else f"{fit.label} {fit.key[:8]}" for fit in group]


def _reason(fit: Fitted) -> str:
    """Say why the terms of a fit can be held against those of no other; empty if they can be."""
    if fit.observed == Observed():
        return "it is not known what its terms are about; run its command again"
    return fit.observed.reason


def _classes(fits: Iterable[Fitted]) -> list[list[Fitted]]:
    """Put fits together whose terms are about the same, in the order in which they come."""
    classes: list[list[Fitted]] = []
    for fit in fits:
        for alike in classes:
            if not _difference(fit, alike[0], ""):
                alike.append(fit)
                break
        else:
            classes.append([fit])
    return classes


def _nearest(fit: Fitted, classes: Sequence[list[Fitted]]) -> Fitted:
    """Choose what a fit is told apart from: one that observes the same values, if there is one, or else the first."""
    return next((alike[0] for alike in classes if alike[0].observed.values == fit.observed.values), classes[0][0])


def _difference(fit: Fitted, other: Fitted, label: str) -> str:
    """Say what is not the same in the terms of two fits, the second of which is called `label`; empty if all is."""
    mine, theirs = fit.observed, other.observed
    same_rows = _same(mine.labels, theirs.labels) or (
        mine.source == theirs.source and _same(mine.numbers, theirs.numbers)
    )
    if not same_rows and mine.members == theirs.members:
        return "it has the same rows in another order; sort both alike"
    if mine.values != theirs.values:
        return "it observes other values"
    if not same_rows:
        return (
            "it has the same values, but of other rows. Give both the same: name the columns of the other too in "
            "data.columns, under words that no model uses, before data.drop_missing; label the rows of two tables with "
            "data.index"
        )
    if mine.measure != theirs.measure:
        return f"it has {mine.measure}, and {label} has {theirs.measure}"
    if mine.kinds != theirs.kinds:
        return "other values of it are censored"
    if mine.given != theirs.given:
        return "it is given other data beside the observed values"
    if fit.n_terms != other.n_terms:
        return f"it has {fit.n_terms} terms, and {label} has {other.n_terms}"
    return ""


def _same(mine: str, theirs: str) -> bool:
    return bool(mine) and mine == theirs


def _comparison(group: Sequence[Fitted], labels: dict[str, str], read_tree: Callable[[str], xr.DataTree]) -> Comparison:
    frame, notes = _compare({labels[fit.key]: _elpd(read_tree(fit.key)) for fit in group})
    return Comparison(group[0].sampler, frame, (*notes, *_same_model(group, labels)))


def _elpd(tree: xr.DataTree) -> ELPDData:
    """Build ArviZ's LOO result from what a fit stored."""
    from arviz_stats.utils import ELPDDataLOO

    group = tree["loo"].to_dataset()
    pointwise, sizes = group["elpd_i"], tree["posterior"].sizes
    n_samples = sizes["chain"] * sizes["draw"]
    result: ELPDData = ELPDDataLOO(
        elpd=float(pointwise.sum()),
        se=math.sqrt(pointwise.size * float(pointwise.var(ddof=1))),
        p=float(group.attrs.get("p", math.nan)),
        n_samples=n_samples,
        n_data_points=pointwise.size,
        scale="log",
        warning=False,
        good_k=float(group.attrs.get("good_k", min(1.0 - 1.0 / math.log10(n_samples), 0.7))),
        elpd_i=pointwise,
        pareto_k=group["pareto_k"],
    )
    return result


def _compare(elpds: dict[str, ELPDData]) -> tuple[pd.DataFrame, list[str]]:
    """Rank LOO results; return the table and what to know about it."""
    from arviz_stats import compare

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ranked = compare(elpds, round_to="none")
    notes = list(dict.fromkeys(str(warning.message) for warning in caught))
    frame = ranked.rename(columns={"elpd": "elpd_loo", "p": "p_loo"})
    frame["n_bad_pareto_k"] = [_n_bad(elpds[label]) for label in frame.index]
    frame["n_observations"] = [elpds[label].n_data_points for label in frame.index]
    # ArviZ divides by n in the error of a difference, and by n - 1 in that of one model; here both by n - 1
    frame["dse"] *= np.sqrt(frame["n_observations"] / (frame["n_observations"] - 1).clip(lower=1))
    best = frame.index[0]
    frame["warning"] = [_doubts(label, row, best) for label, row in frame.iterrows()]
    frame.index.name = "cell"
    columns = ["rank", "elpd_loo", "p_loo", "elpd_diff", "se", "dse", "weight"]
    frame = frame[[*columns, "n_bad_pareto_k", "n_observations", "warning"]]
    if (frame["n_observations"] < FEW_OBSERVATIONS).any():
        notes.append(
            f"fewer than {FEW_OBSERVATIONS} observations: dse is too small, so read differences with care "
            "(Sivula et al., arXiv:2008.10296)"
        )
    if (frame["elpd_diff"].iloc[1:].abs() < SMALL_DIFFERENCE).any():
        notes.append(
            f"a difference below {SMALL_DIFFERENCE:g} in elpd is small, and its error is not normal: "
            "it ranks nothing (Sivula et al., arXiv:2008.10296)"
        )
    if frame["n_bad_pareto_k"].any():
        notes.append("Pareto k above its bound: LOO of those observations is unreliable")
    return frame, notes


def _n_bad(elpd: ELPDData) -> int:
    return int(np.sum(~(elpd.pareto_k.values <= elpd.good_k)))


def _doubts(label: Hashable, row: pd.Series, best: Hashable) -> str:
    doubts = []
    if label != best and abs(row["elpd_diff"]) < SMALL_DIFFERENCE:
        doubts.append("small difference")
    elif label != best and row["n_observations"] < FEW_OBSERVATIONS:
        doubts.append("few observations")
    if row["n_bad_pareto_k"]:
        doubts.append("high Pareto k")
    return ", ".join(doubts)


def _same_model(group: Sequence[Fitted], labels: dict[str, str]) -> list[str]:
    same = [twins for twins in _groups(group, lambda fit: fit.posterior) if len(twins) > 1]
    return [
        f"{', '.join(labels[fit.key] for fit in twins)}: the same model, so the difference is Monte Carlo error"
        for twins in same
    ]


def _preference(fit: Fitted, reference: str | None) -> tuple[bool, bool, int]:
    known = SAMPLER_ORDER.index(fit.sampler) if fit.sampler in SAMPLER_ORDER else len(SAMPLER_ORDER)
    return fit.label != reference, fit.sampler != reference, known


def _agreement(
    against: Fitted, others: Sequence[Fitted], labels: dict[str, str], read_summary: Callable[[str], pd.DataFrame]
) -> Agreement:
    import pandas as pd

    expected = read_summary(against.key)
    notes, frames = [], []
    if "rhat" in expected and expected["rhat"].max() > CONVERGED_RHAT:
        worst = expected["rhat"].idxmax()
        notes.append(f"{labels[against.key]} is no safe reference: its R-hat is {_rhat(expected)} at {worst}")
    for fit in others:
        got = read_summary(fit.key)
        frame = _differences(expected, got)
        notes.append(_reading(labels[fit.key], labels[against.key], frame))
        if "rhat" in got and got["rhat"].max() > CONVERGED_RHAT:
            notes.append(f"{labels[fit.key]} has not converged: its R-hat is {_rhat(got)}")
        frame.insert(0, "cell", labels[fit.key])
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True)
    order = _distance(table).sort_values(ascending=False, kind="stable").index
    return Agreement(labels[against.key], table.loc[order].reset_index(drop=True), tuple(notes))


def _rhat(summary: pd.DataFrame) -> str:
    return against(float(summary["rhat"].max()), CONVERGED_RHAT, ".2f")


def _differences(expected: pd.DataFrame, got: pd.DataFrame) -> pd.DataFrame:
    """Differences of every scalar that both have and that varies in the reference, worst first."""
    import pandas as pd

    shared = expected.index[(expected["sd"] > 0) & expected.index.isin(got.index)]
    a, b = expected.loc[shared], got.loc[shared]
    ratio = b["sd"] / a["sd"]
    frame = pd.DataFrame(
        {
            "variable": shared,
            "mean_diff": (b["mean"] - a["mean"]) / a["sd"],
            "mean_diff_mcse": np.hypot(_error(a, "mcse_mean"), _error(b, "mcse_mean")) / a["sd"],
            "sd_ratio": ratio,
            "sd_ratio_mcse": np.hypot(_error(a, "mcse_sd") * ratio, _error(b, "mcse_sd")) / a["sd"],
        }
    ).reset_index(drop=True)
    off, change = frame["mean_diff"].abs(), (frame["sd_ratio"] - 1.0).abs()
    frame["differs"] = _beyond(off, MAX_MEAN_DIFFERENCE, frame["mean_diff_mcse"]) | _beyond(
        change, MAX_SD_CHANGE, frame["sd_ratio_mcse"]
    )
    # an apparent difference that may be noise, or noise that would hide one, is no agreement
    far = np.maximum(off, frame["mean_diff_mcse"]) > MAX_MEAN_DIFFERENCE
    frame["unclear"] = ~frame["differs"] & (far | (np.maximum(change, frame["sd_ratio_mcse"]) > MAX_SD_CHANGE))
    return frame.loc[_distance(frame).sort_values(ascending=False, kind="stable").index]


def _error(summary: pd.DataFrame, column: str) -> pd.Series:
    return summary[column].fillna(0.0) if column in summary else summary["sd"] * 0.0


def _beyond(size: pd.Series, bound: float, mcse: pd.Series) -> pd.Series:
    return (size > bound) & (size > MIN_MCSE * mcse)


def _distance(frame: pd.DataFrame) -> pd.Series:
    """Order of the rows: those that differ first, then by both differences in units of their bounds."""
    off = frame["mean_diff"] / MAX_MEAN_DIFFERENCE
    change = np.log(frame["sd_ratio"].clip(lower=1e-12)) / math.log1p(MAX_SD_CHANGE)
    both: pd.Series = off**2 + change**2
    return both.fillna(math.inf) + frame["differs"] * 1e9


def _reading(label: str, reference: str, frame: pd.DataFrame) -> str:
    """Say in one line how a sampler compares; `frame` has the worst scalar first."""
    if frame.empty:
        return f"{label} has no scalar in common with {reference}"
    differing = int(frame["differs"].sum())
    unclear = int(frame["unclear"].sum())
    if not differing and unclear:
        return (
            f"{label}: no scalar differs from {reference} beyond Monte Carlo error, but {unclear} of {len(frame)} are "
            "too imprecise to tell; draw more"
        )
    if not differing:
        return (
            f"{label} agrees with {reference}: {len(frame)} scalars, means within "
            f"{frame['mean_diff'].abs().max():.2f} SD, SDs {frame['sd_ratio'].min():.2f} to "
            f"{frame['sd_ratio'].max():.2f} of its"
        )
    worst = frame.iloc[0]
    parts = []
    if abs(worst["mean_diff"]) > MAX_MEAN_DIFFERENCE:
        side = "high" if worst["mean_diff"] > 0 else "low"
        parts.append(f"is {abs(worst['mean_diff']):.2g} SD too {side}")
    if abs(worst["sd_ratio"] - 1.0) > MAX_SD_CHANGE:
        parts.append(f"has an SD {worst['sd_ratio']:.2g} of {reference}'s")
    how_many = f"{label}: {differing} of {len(frame)} scalars differ from {reference}"
    return f"{how_many}; {worst['variable']} {' and '.join(parts)}"
