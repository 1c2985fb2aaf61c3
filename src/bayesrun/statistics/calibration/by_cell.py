"""Tables of calibration: every quantity of every cell tested, adjusted for their number, and read in words.

It takes the table of estimates and reads no file. Whether the truth was drawn from the prior of the fitted model, which
is what makes a departure a fault, is for the caller to know.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesrun.base.seeds import named_seed
from bayesrun.errors import ConfigError
from bayesrun.statistics.calibration.bands import find_gamma, global_p_value, observed_gamma
from bayesrun.statistics.calibration.counts import checked_ranks
from bayesrun.statistics.calibration.ranks import low_ess_share
from bayesrun.statistics.calibration.shapes import NO_DEPARTURE, NO_RANKS, rank_shape
from bayesrun.statistics.calibration.symmetry import symmetry_shape, symmetry_test
from bayesrun.statistics.states import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    type Floats = NDArray[np.float64]

__all__ = [
    "CALIBRATION_COLUMNS",
    "calibration_table",
    "holm",
    "one_sided",
    "pot_c",
    "symmetry_table",
]

CALIBRATION_COLUMNS = (
    "cell",
    "variable",
    "n",
    "planned",
    "not_converged",
    "n_ranks",
    "p_value",
    "p_holm",
    "level",
    "calibrated",
    "shape",
    "gamma",
    "potc_p",
    "z_mean",
    "z_mcse",
    "contraction",
    "contraction_mcse",
    "posterior_contraction",
    "posterior_contraction_mcse",
    "low_ess_share",
)


def calibration_table(
    estimates: pd.DataFrame,
    level: float = 0.05,
    seed: int = 0,
    folder: Path | None = None,
    standings: Mapping[str, Standing] | None = None,
) -> pd.DataFrame:
    """Test the ranks of every quantity of every cell for uniformity.

    Parameters
    ----------
    estimates
        Columns cell, variable, rank (-1 where there is none) and n_ranks; read if there: truth, mean, sd, ess_tail,
        prior_sd or observed_sd, and their errors prior_sd_mcse or observed_sd_mcse.
    level
        Probability that Holm's procedure finds any quantity of a calibrated cell to depart, at most.
    seed
        For the numbers that make ranks continuous for the second opinion.
    folder
        See `bands.find_gamma`.
    standings
        What became of the fits of each cell; None: the rows of `estimates` are all that was planned.

    Returns
    -------
    DataFrame
        One row a cell and quantity, in the order of `estimates`. n: ranks used, of those planned, not_converged of them
        from fits that did not pass the gate. p_value: exact, of this quantity alone; p_holm: adjusted for the
        quantities of its cell, which are the family; a quantity departs unless p_holm > level. calibrated: it does not
        depart though there are enough replicates that it could (`one_sided` <= level), every planned replicate was
        ranked but those that may be left out (`Standing.left_out`), and enough fits of the cell converged (all of
        them, where every verdict has to pass): less says nothing of the sampler on the data that it did not manage.
        shape: in words. gamma: where the simultaneous 1 - level band is cut. potc_p: from ArviZ's POT-C, a second
        opinion. z_mean: mean of (mean - truth) / sd. contraction: mean of 1 - sd^2 / prior_sd^2;
        posterior_contraction: of 1 - sd^2 / observed_sd^2, the SD given the observed data alone. low_ess_share: share
        of fits with tail-ESS < n_ranks. Quantities of cells without any ranks, and those without ranks and without
        truth, are left out; one that has a truth but no rank in a cell with ranks has n = 0 and is not calibrated.

    Raises
    ------
    ConfigError
        If the ranks of a cell were made with different L, or are not in 0..L, or level is not in (0, 1).

    References
    ----------
    Modrák et al. (2023), doi:10.1214/23-BA1404. Säilynoja, Bürkner, Vehtari (2022), doi:10.1007/s11222-022-10090-6.
    z-score and contraction: Schad, Betancourt, Vasishth (2021), doi:10.1037/met0000275.
    """
    _checked_level(level)

    def judged(part: pd.DataFrame, cell: str, variable: str, n_ranks: int) -> dict[str, Any] | None:
        ranks = _column(part, "rank")
        ranks = ranks[ranks >= 0]
        low = low_ess_share(_column(part, "ess_tail"), n_ranks)
        if ranks.size == 0:
            known = bool(np.isfinite(_column(part, "truth")).any())
            return _row(0, n_ranks, math.nan, NO_RANKS, low_ess_share=low) if known else None
        p = global_p_value(ranks.size, n_ranks, observed_gamma(ranks, n_ranks))
        return _row(
            ranks.size,
            n_ranks,
            p,
            rank_shape(ranks, n_ranks),
            gamma=find_gamma(ranks.size, n_ranks, level, folder).gamma,
            potc_p=pot_c(ranks, n_ranks, np.random.default_rng(named_seed(seed, "potc", cell, variable))),
            low_ess_share=low,
        )

    return _table(estimates, level, judged, _one_L, standings or {})


def symmetry_table(
    estimates: pd.DataFrame, level: float = 0.05, standings: Mapping[str, Standing] | None = None
) -> pd.DataFrame:
    """Test every quantity of every cell for symmetry of the probability below the truth (VSBC).

    Parameters
    ----------
    estimates
        Columns cell, variable and p_truth (NaN where there is none); read if there: truth, mean, sd, prior_sd. Give the
        cells of variational samplers: a sampler that claims to be exact is held to uniform ranks.
    level, standings
        As for `calibration_table`.

    Returns
    -------
    DataFrame
        Columns of `calibration_table`. n: probabilities used. shape: which way the centre is biased. n_ranks is 0, and
        gamma, potc_p and low_ess_share are NaN: there are no ranks and no ESS. Quantities without p_truth are left out.

    Raises
    ------
    ConfigError
        If a probability is not in [0, 1], or level is not in (0, 1).

    References
    ----------
    Yao, Vehtari, Simpson, Gelman (2018), algorithm 2, doi:10.48550/arXiv.1802.02538.
    """
    _checked_level(level)

    def judged(part: pd.DataFrame, _cell: str, _variable: str, _n_ranks: int) -> dict[str, Any] | None:
        below = _column(part, "p_truth")
        below = below[~np.isnan(below)]
        if below.size == 0:
            return None
        found = symmetry_test(below)
        return _row(found.n, 0, found.p_value, symmetry_shape(found))

    return _table(estimates, level, judged, lambda _part, _cell: 0, standings or {})


def holm(p_values: ArrayLike) -> Floats:
    """Adjust p-values so that comparing each with a level keeps that level for all of them together.

    Parameters
    ----------
    p_values
        Dims (quantity). NaN is not part of the family.

    Returns
    -------
    array
        Dims (quantity): the running maximum of (J - j) p_(j), j = 0, 1, ... from the smallest, at most 1; NaN stays.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6:65-70.
    """
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(order.size, 0, -1)))
    return adjusted


def one_sided(n: int, tested: int) -> float:
    """Work out the adjusted p-value of truths that all lie on one side of the median of their posterior: 2 (1/2)^n.

    Where even that is above the level there are too few replicates to call anything calibrated.

    Parameters
    ----------
    n
        Replicates.
    tested
        Quantities of the family, which Holm's procedure adjusts the smallest p-value for.
    """
    return min(1.0, tested * 2.0 ** (1 - n))


def pot_c(ranks: ArrayLike, L: int, rng: np.random.Generator) -> float:
    """Ask ArviZ's POT-C for its p-value of uniformity.

    Parameters
    ----------
    ranks
        Dims (replicate), in 0..L.
    L
        Largest possible rank.
    rng
        Spreads each rank over its share of [0, 1]: (r + U) / (L + 1) is continuous, as the test supposes.

    Returns
    -------
    float
        p-value. It is approximate: of 1500 sets of uniform ranks, 50 to 1000 in each, 5 to 7 % had 0.05 or less and 13
        to 14 % had 0.1 or less. The p-value of the band decides.

    Raises
    ------
    ConfigError
        If there are no ranks, or some are not in 0..L.
    """
    from arviz_stats.base import array_stats

    whole = checked_ranks(ranks, L)
    p, _, _ = array_stats.uniformity_test((whole + rng.random(whole.size)) / (L + 1), method="pot_c")
    return float(p)


def _checked_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ConfigError(f"the level of a test is in (0, 1), and got {level}: set study.alpha, usually to 0.05")


def _table(
    estimates: pd.DataFrame,
    level: float,
    judged: Callable[[pd.DataFrame, str, str, int], dict[str, Any] | None],
    ranked_among: Callable[[pd.DataFrame, str], int | None],
    standings: Mapping[str, Standing],
) -> pd.DataFrame:
    """One row for each quantity that can be judged; adjusted within each cell."""
    rows: list[dict[str, Any]] = []
    for cell, of_cell in estimates.groupby("cell", sort=False):
        n_ranks = ranked_among(of_cell, str(cell))
        if n_ranks is None:
            continue
        family = []
        standing = standings.get(str(cell)) or Standing(int(of_cell["variable"].value_counts().max()))
        for variable, part in of_cell.groupby("variable", sort=False):
            row = judged(part, str(cell), str(variable), n_ranks)
            if row is not None:
                all_of_them = (
                    standing.enough and not standing.gated and row["n"] >= standing.planned - standing.left_out
                )
                counts = {"planned": standing.planned, "not_converged": standing.not_converged}
                row |= counts | {"calibrated": all_of_them} | _scores(part)
                family.append({"cell": cell, "variable": variable, **row})
        adjusted = holm([row["p_value"] for row in family])
        size = int(np.isfinite(adjusted).sum())
        for row, p in zip(family, adjusted, strict=True):
            fine = bool(p > level)
            able = one_sided(row["n"], size) <= level
            judgement = {
                "p_holm": float(p),
                "level": level,
                "calibrated": fine and row["calibrated"] and able,
                "shape": NO_DEPARTURE if fine else row["shape"],
            }
            rows.append(row | judgement)
    table = pd.DataFrame(rows, columns=list(CALIBRATION_COLUMNS))
    return table.astype({"calibrated": bool} | dict.fromkeys(("n", "planned", "not_converged", "n_ranks"), np.int64))


def _row(n: int, n_ranks: int, p_value: float, shape: str, **more: float) -> dict[str, Any]:
    absent = {"gamma": math.nan, "potc_p": math.nan, "low_ess_share": math.nan}
    return {"n": n, "n_ranks": n_ranks, "p_value": p_value, "shape": shape} | absent | more


def _one_L(part: pd.DataFrame, cell: str) -> int | None:
    """Find the L of a cell's ranks; None if it has none."""
    among = np.unique(_column(part, "n_ranks")[_column(part, "rank") >= 0])
    if among.size == 0:
        return None
    if among.size > 1 or np.isnan(among[0]):
        found = " and ".join("an unknown number of" if np.isnan(L) else f"{L:g}" for L in among[:3])
        raise ConfigError(
            f"the ranks of {cell} are among {found} draws, and have to be among one number L in all fits: "
            f"set study.ranks once, and fit what was ranked otherwise again"
        )
    return int(among[0])


def _scores(part: pd.DataFrame) -> dict[str, float]:
    """Mean z-score and contractions with their MCSE, over the fits where they are defined."""
    sd = _column(part, "sd")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z_mean, z_mcse = _mean((_column(part, "mean") - _column(part, "truth")) / sd)
    found = {"z_mean": z_mean, "z_mcse": z_mcse}
    for name, column in (("contraction", "prior_sd"), ("posterior_contraction", "observed_sd")):
        found[name], found[f"{name}_mcse"] = _contraction(sd, _column(part, column), _column(part, f"{column}_mcse"))
    return found


def _contraction(sd: Floats, before: Floats, mcse: Floats) -> tuple[float, float]:
    """Mean of 1 - sd^2 / before^2; the error of the SD before is the same in all fits, and does not average out."""
    known = (before > 0) & np.isfinite(before)
    ratio = (sd[known] / before[known]) ** 2
    share, error = _mean(1.0 - ratio)
    shared = 2.0 * ratio * np.nan_to_num(mcse[known]) / before[known]
    return share, float(np.hypot(error, np.nanmean(shared))) if share == share else math.nan


def _mean(values: Floats) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if known.size else math.nan
    return mean, float(known.std(ddof=1) / math.sqrt(known.size)) if known.size > 1 else math.nan


def _column(part: pd.DataFrame, name: str) -> Floats:
    """Read a column as floats, NaN where it is absent or empty."""
    if name not in part.columns:
        return np.full(len(part), np.nan)
    return part[name].to_numpy(dtype=float, na_value=np.nan)
