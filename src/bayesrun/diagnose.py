"""A fit's draws -> plain facts: convergence, efficiency, LOO and a summary table. It judges nothing.

What is not defined for a kind of draws is absent with the reason, never computed as if it were.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats
from scipy.special import ndtri
from scipy.stats import rankdata

from bayesrun.loo import cross_validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesrun.types import DiagnosticsOptions

__all__ = ["Diagnosis", "diagnose", "psis_khat"]

TAIL = (0.05, 0.95)
"""Quantiles whose smaller effective sample size is the tail ESS (Vehtari et al. 2021, doi:10.1214/20-BA1221)."""

MIN_DRAWS = 4
"""Draws of a chain below which R-hat and ESS are not defined: each half needs a variance."""

ROUNDING = 64 * np.finfo(np.float64).eps
"""Relative spread up to which a scalar is a constant, such as the ones of a correlation matrix' diagonal."""

MIN_RATIOS = 25
"""Importance ratios below which there is no Pareto fit: its tail, a fifth of them, needs five."""

COLUMNS = ("mean", "sd", "median", "ci_lb", "ci_ub", "mcse_mean", "mcse_sd", "ess_bulk", "ess_tail", "rhat")

NO_HAMILTON = "the sampler simulates no Hamiltonian"
INDEPENDENT = "independent draws from an approximation; see khat"
PARTICLES = "particles are no Markov chain"


@dataclass(frozen=True)
class Diagnosis:
    """What a fit's draws say of themselves.

    Parameters
    ----------
    facts
        Diagnostic to value, finite floats only.
    absent
        Diagnostic that this fit does not have to the reason.
    warnings
        What the user should know beyond the gate's verdict.
    summary
        One row for each scalar of the posterior, labelled ``theta[A]``; columns mean, sd, median, ci_lb,
        ci_ub, mcse_mean, mcse_sd, ess_bulk, ess_tail, rhat, NaN where not defined. ``attrs`` has ci_kind and
        ci_prob.
    loo
        elpd_i and pareto_k by observation, or None.
    """

    facts: Mapping[str, float]
    absent: Mapping[str, str]
    warnings: tuple[str, ...]
    summary: pd.DataFrame
    loo: xr.Dataset | None


@dataclass
class _Findings:
    facts: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, otherwise: str = "not finite") -> None:
        """Keep a fact if it is finite, or else the reason why it is absent."""
        if np.isfinite(value):
            self.facts[name] = float(value)
        else:
            self.absent[name] = otherwise

    def lack(self, reason: str, *names: str) -> None:
        self.absent.update(dict.fromkeys(names, reason))


@dataclass(frozen=True)
class _Scalars:
    """Every scalar of a posterior: labels, draws with dims (scalar, chain, draw), and which of them are usable."""

    labels: list[str]
    draws: np.ndarray
    finite: np.ndarray
    varying: np.ndarray


def diagnose(tree: xr.DataTree, kind: str, options: DiagnosticsOptions) -> Diagnosis:
    """Compute every diagnostic that a fit's draws have.

    Parameters
    ----------
    tree
        Groups ``posterior`` (dims chain, draw, ...), ``sample_stats``, and ``log_likelihood`` where LOO is
        wanted.
    kind
        ``nuts``, ``mcmc``, ``smc`` or ``variational``: what the draws are. R-hat and ESS are rank-normalised
        (Vehtari et al. 2021, doi:10.1214/20-BA1221); E-BFMI after Betancourt (2016, arXiv:1604.00695). For
        ``smc`` R-hat compares independent runs, whole and not split, and there is no ESS; for
        ``variational`` there is neither, but the PSIS k-hat of the approximation (Yao et al. 2018,
        arXiv:1802.02538).
    options
        Interval, WAIC, and which observed variable LOO is for.

    Returns
    -------
    Diagnosis
        Facts are extremes over the ``n_scalars`` scalars that vary and are finite; the largest of many
        R-hats is larger than one R-hat, so read rhat_max with n_scalars. ``n_constant`` scalars never vary,
        ``n_nonfinite`` counts draws that are NaN or infinite.
    """
    found = _Findings()
    scalars = _scalars(tree["posterior"].to_dataset())
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else xr.Dataset()
    summary = _summary(scalars, kind, options)
    _count(found, scalars)
    _convergence(found, summary[scalars.varying], scalars, kind)
    _sampling(found, stats, kind)
    _speed(found, tree)
    if kind == "nuts" and "target_accept" in tree.attrs:
        found.add("target_accept", float(tree.attrs["target_accept"]))
    if kind == "variational":
        _approximation(found, tree, stats)
    if kind == "smc":
        _evidence(found, stats)
    predictive = cross_validate(tree, kind, options, _relative_ess(summary[scalars.varying], scalars.draws, kind))
    return Diagnosis(
        facts={**found.facts, **predictive.facts},
        absent={**found.absent, **predictive.absent},
        warnings=(*found.warnings, *predictive.warnings),
        summary=summary,
        loo=predictive.pointwise,
    )


def _scalars(posterior: xr.Dataset) -> _Scalars:
    labels: list[str] = []
    blocks = []
    for name, variable in posterior.data_vars.items():
        ordered = variable.transpose("chain", "draw", ...)
        index = itertools.product(*(ordered[dim].values for dim in ordered.dims[2:]))
        labels += [f"{name}[{', '.join(map(str, where))}]" if where else str(name) for where in index]
        blocks.append(ordered.values.astype(np.float64).reshape(*ordered.shape[:2], -1))
    draws = np.ascontiguousarray(np.moveaxis(np.concatenate(blocks, axis=-1), -1, 0))
    finite = np.isfinite(draws).all(axis=(1, 2))
    varying = finite.copy()
    varying[finite] = np.ptp(draws[finite], axis=(1, 2)) > ROUNDING * np.abs(draws[finite]).max(axis=(1, 2))
    return _Scalars(labels, draws, finite, varying)


def _summary(scalars: _Scalars, kind: str, options: DiagnosticsOptions) -> pd.DataFrame:
    table = np.full((len(scalars.labels), len(COLUMNS)), np.nan)
    columns = {name: table[:, i] for i, name in enumerate(COLUMNS)}
    draws = scalars.draws[scalars.finite]
    flat = draws.reshape(draws.shape[0], -1)
    columns["mean"][scalars.finite] = flat.mean(axis=1)
    columns["sd"][scalars.finite] = flat.std(axis=1, ddof=1) if flat.shape[1] > 1 else np.nan
    columns["median"][scalars.finite] = np.median(flat, axis=1)
    interval = array_stats.hdi if options.ci_kind == "hdi" else array_stats.eti
    if flat.size:
        bounds = np.asarray(interval(flat, prob=options.ci_prob, axis=-1))
        columns["ci_lb"][scalars.finite], columns["ci_ub"][scalars.finite] = bounds.T
    columns["sd"][scalars.finite & ~scalars.varying] = 0.0
    usable = scalars.draws[scalars.varying]
    if usable.size and usable.shape[2] >= MIN_DRAWS:
        with np.errstate(all="ignore"):  # chains that never move divide by a variance of zero
            for name, values in _accuracy(usable, kind).items():
                columns[name][scalars.varying] = values
    frame = pd.DataFrame(table, index=pd.Index(scalars.labels), columns=list(COLUMNS))
    frame.attrs = {"ci_kind": options.ci_kind, "ci_prob": options.ci_prob}
    return frame


def _accuracy(draws: np.ndarray, kind: str) -> dict[str, np.ndarray]:
    """R-hat, ESS and Monte Carlo standard errors of draws with dims (scalar, chain, draw), as far as defined."""
    chains, length = draws.shape[1:]
    if kind == "variational":
        centred = (draws - draws.mean(axis=(1, 2), keepdims=True)).reshape(draws.shape[0], -1)
        variance = (centred**2).mean(axis=1)
        of_sd = np.sqrt(((centred**4).mean(axis=1) - variance**2) / (4 * variance * length))
        return {"mcse_mean": centred.std(axis=1, ddof=1) / np.sqrt(length), "mcse_sd": of_sd}
    if kind == "smc":
        if chains == 1:
            return {}
        means, sds = draws.mean(axis=2), draws.std(axis=2, ddof=1)
        of_runs = {"mcse_mean": means, "mcse_sd": sds}
        return {
            "rhat": _rhat_of_runs(draws),
            **{name: values.std(axis=1, ddof=1) / np.sqrt(chains) for name, values in of_runs.items()},
        }
    return {
        "ess_bulk": array_stats.ess(draws, method="bulk"),
        "ess_tail": array_stats.ess(draws, method="tail", prob=TAIL),
        "mcse_mean": array_stats.mcse(draws, method="mean"),
        "mcse_sd": array_stats.mcse(draws, method="sd"),
        **({"rhat": array_stats.rhat(draws)} if chains > 1 else {}),
    }


def _rhat_of_runs(draws: np.ndarray) -> np.ndarray:
    """Rank-normalised R-hat of whole runs: the larger of the values' and of their distances to the median's."""
    folded = np.abs(draws - np.median(draws, axis=(1, 2), keepdims=True))
    bulk, tail = (np.asarray(array_stats.rhat(_normal_scores(values), method="identity")) for values in (draws, folded))
    return np.asarray(np.maximum(bulk, tail))


def _normal_scores(draws: np.ndarray) -> np.ndarray:
    flat = draws.reshape(draws.shape[0], -1)
    return np.asarray(ndtri((rankdata(flat, axis=1) - 0.375) / (flat.shape[1] + 0.25))).reshape(draws.shape)


def _count(found: _Findings, scalars: _Scalars) -> None:
    chains, length = scalars.draws.shape[1:]
    broken = ~np.isfinite(scalars.draws)
    found.facts |= {
        "n_scalars": float(scalars.varying.sum()),
        "n_constant": float((scalars.finite & ~scalars.varying).sum()),
        "n_nonfinite": float(broken.sum()),
        "n_chains": float(chains),
        "n_draws": float(chains * length),
    }
    if broken.any():
        names = [label for label, finite in zip(scalars.labels, scalars.finite, strict=True) if not finite]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        found.warnings.append(f"draws that are not finite in {', '.join(names[:3])}{more}")


def _convergence(found: _Findings, varying: pd.DataFrame, scalars: _Scalars, kind: str) -> None:
    """Extremes over the scalars that vary."""
    chains, length = scalars.draws.shape[1:]
    ess = ("ess_bulk_min", "ess_tail_min")
    if varying.empty:
        return found.lack("no scalar varies", "rhat_max", *ess, "mcse_sd_ratio_max")
    if kind == "variational":
        return found.lack(INDEPENDENT, "rhat_max", *ess)
    if length < MIN_DRAWS:
        return found.lack(f"needs {MIN_DRAWS} draws in each chain, got {length}", "rhat_max", *ess, "mcse_sd_ratio_max")
    reason = f"{varying['rhat'].fillna(np.inf).idxmax()} has chains that never move"
    found.add("rhat_max", varying["rhat"].max(skipna=False), reason if chains > 1 else "needs at least two chains")
    found.add(
        "mcse_sd_ratio_max", (varying["mcse_mean"] / varying["sd"]).max(skipna=False), "needs two independent runs"
    )
    if kind == "smc":
        return found.lack(PARTICLES, *ess)
    found.add("ess_bulk_min", varying["ess_bulk"].min(skipna=False))
    found.add("ess_tail_min", varying["ess_tail"].min(skipna=False))
    return None


def _sampling(found: _Findings, stats: xr.Dataset, kind: str) -> None:
    """Read what the sampler recorded on its way."""
    means = {"acceptance_rate": "acceptance_rate"}
    if kind == "nuts":
        means |= {"step_size": "step_size", "n_steps_mean": "n_steps"}
        for fact, name in (("n_divergent", "diverging"), ("n_max_treedepth", "reached_max_treedepth")):
            found.add(fact, float(stats[name].sum()) if name in stats else np.nan, f"no {name} was recorded")
        found.add("bfmi_min", _bfmi(stats), "the energy is constant, too short or not recorded")
    else:
        found.lack(NO_HAMILTON, "n_divergent", "n_max_treedepth", "bfmi_min")
    for fact, name in means.items():
        if name in stats:
            found.add(fact, float(stats[name].mean()))


def _bfmi(stats: xr.Dataset) -> float:
    if "energy" not in stats or stats.sizes["draw"] < MIN_DRAWS:
        return float("nan")
    with np.errstate(all="ignore"):  # an energy that never changes
        return float(np.min(array_stats.bfmi(stats["energy"].transpose("chain", "draw").values)))


def _speed(found: _Findings, tree: xr.DataTree) -> None:
    seconds = float(tree.attrs.get("sampling_seconds", np.nan))
    found.add("sampling_seconds", seconds, "the sampler did not report its time")
    if "ess_bulk_min" not in found.facts:
        found.lack(found.absent.get("ess_bulk_min", ""), "ess_per_second")
    else:
        found.add("ess_per_second", found.facts["ess_bulk_min"] / seconds if seconds > 0 else np.nan, "no time")


def _approximation(found: _Findings, tree: xr.DataTree, stats: xr.Dataset) -> None:
    attrs = tree.attrs
    if {"lp", "log_q"} <= set(stats):
        found.add("khat", psis_khat((stats["lp"] - stats["log_q"]).values), "too few draws, or a density is not finite")
    else:
        found.lack("the densities lp and log_q are missing", "khat")
    for fact, name in (("elbo", "elbo"), ("elbo_converged", "converged")):
        found.add(fact, float(attrs.get(name, np.nan)), "the sampler did not report it")
    if found.facts.get("elbo_converged") == 0:
        found.warnings.append("the ELBO had not settled: raise sampler.iterations or sampler.learning_rate")


def _evidence(found: _Findings, stats: xr.Dataset) -> None:
    values = stats["log_marginal_likelihood"].values if "log_marginal_likelihood" in stats else np.full(1, np.nan)
    found.add("log_marginal_likelihood", float(values.mean()), "the sampler did not report it")
    spread = float(values.std(ddof=1)) if values.size > 1 else np.nan
    found.add("log_marginal_likelihood_sd", spread, "needs two independent runs")


def _relative_ess(varying: pd.DataFrame, draws: np.ndarray, kind: str) -> float:
    """Effective draws of a draw, the mean over scalars, which PSIS takes the length of the tail from."""
    chains, length = draws.shape[1:]
    if kind in ("variational", "smc") or chains == 1 or varying.empty:
        return 1.0
    relative = (varying["sd"] / varying["mcse_mean"]) ** 2 / (chains * length)
    mean = float(relative[np.isfinite(relative)].mean())
    return mean if np.isfinite(mean) else 1.0


def psis_khat(log_ratio: np.ndarray) -> float:
    """Pareto shape of the importance ratios of an approximation's draws.

    Below 0.7 the approximation is usable, with correction if wanted (Yao, Vehtari, Simpson, Gelman 2018,
    arXiv:1802.02538).

    Parameters
    ----------
    log_ratio
        log p(y, z) + log|Jacobian| - log q(z) of draws z from q, any shape.

    Returns
    -------
    float
        k-hat; 0 if all ratios are equal, as they are where the approximation is exact; NaN if one is not
        finite or there are fewer than `MIN_RATIOS`.
    """
    ratios = np.asarray(log_ratio, dtype=np.float64).ravel()
    if ratios.size < MIN_RATIOS or not np.isfinite(ratios).all():
        return float("nan")
    if np.ptp(ratios) <= ROUNDING * np.abs(ratios).max():
        return 0.0
    with np.errstate(all="ignore"):
        _, khat = array_stats.psislw(ratios.min() - ratios)
    return float(khat)
