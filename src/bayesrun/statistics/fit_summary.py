"""A fit's draws -> plain facts: convergence, efficiency, LOO and a summary table. It judges nothing.

What is not defined for a kind of draws is absent with the reason, never computed as if it were.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from bayesrun.base.label_forms import told_apart
from bayesrun.base.large_arrays import columns, empty, let_go
from bayesrun.base.messages import few
from bayesrun.statistics.chains_apart import chains_apart
from bayesrun.statistics.convergence import MIN_DRAWS, bfmi, summarise
from bayesrun.statistics.loo import LOO_FACTS, Predictive, cross_validate
from bayesrun.statistics.modes import DISAGREE, MOST, chain_modes, drifting, switching
from bayesrun.statistics.prior_sensitivity import disagreements
from bayesrun.statistics.psis import smooth
from bayesrun.types import NO_DENSITY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping, Sequence

    from bayesrun.types import DiagnosticsOptions

__all__ = ["Diagnosis", "Scalars", "diagnose", "no_diagnosis", "psis_khat", "scalars", "summary_of"]

ROUNDING = 64 * np.finfo(np.float64).eps
"""Relative spread up to which a scalar is a constant, such as the ones of a correlation matrix' diagonal."""

CHAINS: Mapping[str, Literal["markov", "whole", "independent"]] = {"smc": "whole", "variational": "independent"}
"""What the chains of a kind of draws are, if not Markov chains."""

MIN_RATIOS = 25
"""Importance ratios below which there is no Pareto fit: its tail, a fifth of them, needs five."""

COLUMNS = ("mean", "sd", "median", "ci_lb", "ci_ub", "mcse_mean", "mcse_sd", "ess_bulk", "ess_tail", "rhat")

WORST: Mapping[str, tuple[str, int]] = {
    "rhat_max": ("rhat", -1),
    "ess_bulk_min": ("ess_bulk", 1),
    "ess_tail_min": ("ess_tail", 1),
}
"""Facts that are the extreme of a column over scalars, and whether the smallest values of it (1) or the largest come
first."""

DERIVED = "_derived"
"""What the names of facts end with that are about Deterministics."""

NAMED = 3
"""How many of the worst scalars are named."""

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
        ci_ub, mcse_mean, mcse_sd, ess_bulk, ess_tail, rhat, and ``lower_0.5``, ``upper_0.5``, ... for each of
        ``options.levels``; NaN where not defined. ``attrs`` has ci_kind and ci_prob.
    loo
        elpd_i and pareto_k by observation, or None.
    named
        What facts are about, by name; see `Outcome.named`.
    """

    facts: Mapping[str, float]
    absent: Mapping[str, str]
    warnings: tuple[str, ...]
    summary: pd.DataFrame
    loo: xr.Dataset | None
    named: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass
class _Findings:
    facts: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    named: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, name: str, value: float, otherwise: str = "not finite") -> None:
        """Keep a fact if it is finite, or else the reason why it is absent."""
        if np.isfinite(value):
            self.facts[name] = float(value)
        else:
            self.absent[name] = otherwise

    def lack(self, reason: str, *names: str) -> None:
        self.absent.update(dict.fromkeys(names, reason))


@dataclass(frozen=True)
class Scalars:
    """Every scalar of a posterior: its label, such as ``theta[A]``, and draws with dims (scalar, chain, draw).

    `sizes` are the variables, in their order, and the number of scalars of each.
    """

    labels: list[str]
    draws: np.ndarray
    sizes: Mapping[str, int] = field(default_factory=dict)

    def among(self, names: Collection[str]) -> np.ndarray:
        """Say of each scalar whether its variable is one of some."""
        return np.repeat([name in names for name in self.sizes], list(self.sizes.values())).astype(bool)


@dataclass(frozen=True)
class _Described:
    """What scalars say: columns of the summary.

    `finite` are the scalars without NaN or infinity, and of these `varying` are those that are no constants; `drawn`
    are those of parameters, the others being worked out from them.
    """

    scalars: Scalars
    finite: np.ndarray
    varying: np.ndarray
    columns: Mapping[str, np.ndarray]
    drawn: np.ndarray

    def of_varying(self, name: str) -> np.ndarray:
        return np.asarray(self.columns[name][self.varying])


def diagnose(
    tree: xr.DataTree,
    kind: str,
    options: DiagnosticsOptions,
    attempt: Callable[..., Any] | None = None,
    parameters: Collection[str] | None = None,
    of_data: Collection[Sequence[object]] = (),
) -> Diagnosis:
    """Compute every diagnostic that a fit's draws have.

    Parameters
    ----------
    tree
        Groups ``posterior`` (dims chain, draw, ...), ``sample_stats``, ``log_likelihood`` where LOO is wanted, and
        ``prior`` and ``log_prior`` where the prior is held against it.
    kind
        ``nuts``, ``mcmc``, ``smc`` or ``variational``: what the draws are. R-hat and ESS are rank-normalised
        (Vehtari et al. 2021, doi:10.1214/20-BA1221); E-BFMI after Betancourt (2016, arXiv:1604.00695). For
        ``smc`` R-hat compares independent runs, whole and not split, and there is no ESS; for
        ``variational`` there is neither, but the PSIS k-hat of the approximation (Yao et al. 2018,
        arXiv:1802.02538).
    options
        Interval, WAIC, and which observed variable LOO is for.
    attempt
        Takes a name and a function, and returns what that does, or None where it failed: for the parts ``diagnostics``,
        ``loo`` and ``prior_sensitivity``. None: what fails raises.
    parameters
        Names of the variables that are drawn, the others being worked out from these. None: all of them.
    of_data
        Labels that the data have along each of their dims: of what has them no labels switch.

    Returns
    -------
    Diagnosis
        Of the ``n_scalars`` scalars that vary and are finite, ``n_parameters`` are of parameters. Facts are extremes
        over these; those whose names end with `DERIVED` are extremes over the others, where there are any. The largest
        of many R-hats is larger than one R-hat, so read rhat_max with n_parameters. ``n_constant`` scalars never vary,
        ``n_nonfinite`` counts draws that are NaN or infinite.
    """
    do = attempt or (lambda _, part: part())
    basic = do("diagnostics", lambda: _basic(tree, kind, options, parameters, of_data))
    if basic is None:
        return no_diagnosis(options)
    found, described = basic
    predictive = do("loo", lambda: cross_validate(tree, kind, options, _relative_ess(described, kind)))
    predictive = predictive or Predictive(absent=dict.fromkeys(LOO_FACTS, "LOO failed"))
    disagreeing = () if kind == "variational" else do("prior_sensitivity", lambda: disagreements(tree)) or ()
    return Diagnosis(
        facts={**found.facts, **predictive.facts},
        absent={**found.absent, **predictive.absent},
        warnings=(*found.warnings, *predictive.warnings, *disagreeing),
        summary=_summary(described, options),
        loo=predictive.pointwise,
        named=found.named,
    )


def no_diagnosis(options: DiagnosticsOptions) -> Diagnosis:
    """Return what is known of a fit whose draws could not be summarised: a summary without rows."""
    frame = pd.DataFrame(np.empty((0, len(COLUMNS))), index=pd.Index([], dtype=str), columns=list(COLUMNS))
    frame.attrs = {"ci_kind": options.ci_kind, "ci_prob": options.ci_prob}
    return Diagnosis({}, {}, (), frame, None)


def _basic(
    tree: xr.DataTree,
    kind: str,
    options: DiagnosticsOptions,
    parameters: Collection[str] | None,
    of_data: Collection[Sequence[object]],
) -> tuple[_Findings, _Described]:
    """Work out all but what the log-likelihood says."""
    found = _Findings()
    described = _describe(scalars(tree["posterior"].dataset), kind, options, parameters)
    stats = tree["sample_stats"].dataset if "sample_stats" in tree.children else xr.Dataset()
    _count(found, described)
    _convergence(found, described, kind)
    _sampling(found, stats, kind)
    _disagreement(found, described, tree["posterior"].dataset, stats, kind, of_data)
    _speed(found, tree)
    if kind == "nuts" and "target_accept" in tree.attrs:
        found.add("target_accept", float(tree.attrs["target_accept"]))
    if kind == "variational":
        _approximation(found, tree, stats)
    if kind == "smc":
        _evidence(found, stats)
    return found, described


def scalars(posterior: xr.Dataset) -> Scalars:
    """List every scalar of a posterior.

    Parameters
    ----------
    posterior
        Variables with dims (chain, draw, ...).

    Returns
    -------
    Scalars
        In the order of the variables and of their elements.
    """
    labels: list[str] = []
    sizes: dict[str, int] = {}
    tables = []
    names: dict[Hashable, list[str]] = {}
    for name in posterior.data_vars:
        variable = posterior.variables[name].transpose("chain", "draw", ...)
        for dim in variable.dims[2:]:
            if dim not in names:
                known = posterior.variables[dim].values if dim in posterior.variables else range(posterior.sizes[dim])
                names[dim] = told_apart([str(where) for where in known])
        index = itertools.product(*(names[dim] for dim in variable.dims[2:]))
        labels += [f"{name}[{', '.join(where)}]" if where else str(name) for where in index]
        shape = variable.shape[:2]
        tables.append(variable.values.reshape(math.prod(shape), -1))
        sizes[str(name)] = tables[-1].shape[1]
    draws = empty({"draws": ((len(labels), *shape), np.float64)})["draws"]
    series, start = draws.reshape(len(labels), -1), 0
    for table in tables:
        for part, rows in columns(table):
            series[start + part.start : start + part.stop] = rows
            let_go(draws)
        start += table.shape[1]
    return Scalars(labels, draws, sizes)


def summary_of(of: Scalars, kind: str, options: DiagnosticsOptions) -> pd.DataFrame:
    """Summarise scalars that are no variables of a posterior as `diagnose` does its own.

    Parameters
    ----------
    of
        Labels and draws.
    kind, options
        See `diagnose`.
    """
    return _summary(_describe(of, kind, options), options)


def _describe(
    scalars: Scalars, kind: str, options: DiagnosticsOptions, parameters: Collection[str] | None = None
) -> _Described:
    probs = (options.ci_prob, *options.levels)
    found = summarise(scalars.draws, probs, options.ci_kind, CHAINS.get(kind, "markov"))
    with np.errstate(invalid="ignore"):  # infinite draws
        finite = np.isfinite(found.smallest) & np.isfinite(found.largest)
        largest = np.maximum(np.abs(found.smallest), np.abs(found.largest))
        varying = finite & (found.largest - found.smallest > ROUNDING * largest)
    of_values = {"mean": found.mean, "sd": np.where(varying, found.sd, 0.0), "median": found.median}
    bounds = [("ci_lb", "ci_ub"), *((f"lower_{level:g}", f"upper_{level:g}") for level in options.levels)]
    for i, (lower, upper) in enumerate(bounds):
        of_values |= {lower: found.lower[:, i], upper: found.upper[:, i]}
    of_chains = {name: getattr(found, name) for name in COLUMNS[5:]}
    if kind == "smc":
        of_chains |= _of_runs(scalars.draws)
    columns = {name: np.where(finite, values, np.nan) for name, values in of_values.items()}
    columns |= {name: np.where(varying, values, np.nan) for name, values in of_chains.items()}
    drawn = np.ones(len(finite), dtype=bool) if parameters is None else scalars.among(parameters)
    return _Described(scalars, finite, varying, columns, drawn if drawn.any() else ~drawn)


def _summary(described: _Described, options: DiagnosticsOptions) -> pd.DataFrame:
    order = [*COLUMNS, *(name for name in described.columns if name not in COLUMNS)]
    table = np.column_stack([described.columns[name] for name in order])
    frame = pd.DataFrame(table, index=pd.Index(described.scalars.labels), columns=order)
    frame.attrs = {"ci_kind": options.ci_kind, "ci_prob": options.ci_prob}
    return frame


def _of_runs(draws: np.ndarray) -> dict[str, np.ndarray]:
    """Monte Carlo standard errors from how independent runs differ, as far as there are several of some length."""
    runs, length = draws.shape[1:]
    if runs == 1 or length < MIN_DRAWS:
        return {}
    with np.errstate(invalid="ignore"):  # infinite draws
        of_runs = {"mcse_mean": draws.mean(axis=2), "mcse_sd": draws.std(axis=2, ddof=1)}
        return {name: values.std(axis=1, ddof=1) / np.sqrt(runs) for name, values in of_runs.items()}


def _count(found: _Findings, described: _Described) -> None:
    scalars, finite, varying = described.scalars, described.finite, described.varying
    chains, length = scalars.draws.shape[1:]
    broken = int((~np.isfinite(scalars.draws[~finite])).sum())
    found.facts |= {
        "n_scalars": float(varying.sum()),
        "n_parameters": float((varying & described.drawn).sum()),
        "n_constant": float((finite & ~varying).sum()),
        "n_nonfinite": float(broken),
        "n_chains": float(chains),
        "n_draws": float(chains * length),
    }
    if broken:
        names = [label for label, whole in zip(scalars.labels, finite, strict=True) if not whole]
        found.warnings.append(f"draws that are not finite in {few(names, 3)}")


def _convergence(found: _Findings, described: _Described, kind: str) -> None:
    """Extremes over the parameters that vary, and over the other scalars that do."""
    chains, length = described.scalars.draws.shape[1:]
    ess = ("ess_bulk_min", "ess_tail_min")
    own = described.varying & described.drawn
    if not own.any():
        what = "scalar" if described.drawn.all() or not described.varying.any() else "parameter"
        return found.lack(f"no {what} varies", "rhat_max", *ess, "mcse_sd_ratio_max")
    if kind == "variational":
        return found.lack(INDEPENDENT, "rhat_max", *ess)
    if length < MIN_DRAWS:
        return found.lack(f"needs {MIN_DRAWS} draws in each chain, got {length}", "rhat_max", *ess, "mcse_sd_ratio_max")
    rhat, stuck = described.columns["rhat"][own], own & ~np.isfinite(described.columns["rhat"])
    reason = f"{described.scalars.labels[int(stuck.argmax())]} has chains that never move"
    found.add("rhat_max", rhat.max(), reason if chains > 1 else "needs at least two chains")
    ratio = described.columns["mcse_mean"][own] / described.columns["sd"][own]
    found.add("mcse_sd_ratio_max", ratio.max(), "needs two independent runs")
    if kind == "smc":
        found.lack(PARTICLES, *ess)
    else:
        found.add("ess_bulk_min", described.columns["ess_bulk"][own].min())
        found.add("ess_tail_min", described.columns["ess_tail"][own].min())
    _worst(found, described, own, "")
    _worst(found, described, described.varying & ~described.drawn, DERIVED)
    return None


def _worst(found: _Findings, described: _Described, chosen: np.ndarray, suffix: str) -> None:
    """Name the worst of some scalars; of those that are no parameters also their extremes."""
    for fact, (column, sign) in WORST.items():
        values = np.where(chosen, described.columns[column], np.nan)
        known = np.flatnonzero(~np.isnan(values))  # R-hat is infinite where each chain stays at a place of its own
        if not known.size or (not suffix and fact not in found.facts):
            continue
        first = known[np.argsort(sign * values[known], kind="stable")[:NAMED]]
        found.named[f"{fact}{suffix}"] = {described.scalars.labels[i]: float(values[i]) for i in first}
        if suffix:
            label = described.scalars.labels[first[0]]
            found.add(
                f"{fact}{suffix}", float(values[first[0]]), f"{label} never moves within a chain, and chains differ"
            )


def _disagreement(
    found: _Findings,
    described: _Described,
    posterior: xr.Dataset,
    stats: xr.Dataset,
    kind: str,
    of_data: Collection[Sequence[object]],
) -> None:
    """Tell why chains disagree, where they do: labels that switch, different modes, or slow chains."""
    if kind not in ("nuts", "mcmc") or not found.facts.get("rhat_max", 1.0) > DISAGREE or "apart_chain" in found.facts:
        return
    own, column = described.varying & described.drawn, described.columns["rhat"]
    of_names = {name: own & described.scalars.among([name]) for name in described.scalars.sizes}
    worst = {name: float(column[chosen].max()) for name, chosen in of_names.items() if chosen.any()}
    place = np.flatnonzero(own)
    place = place[np.argsort(-column[place], kind="stable")[:MOST]]
    draws, rhat = described.scalars.draws[place], column[place]
    switched = switching(posterior, worst, of_data)
    if switched is not None:
        found.named["switching"] = {name: float(rank) for rank, name in enumerate(switched.variables)}
        found.named["switching_rhat"] = {
            "components": float(switched.components),
            "before": switched.before,
            "after": switched.after,
        }
    elif modes := chain_modes(draws, rhat):
        found.named["modes"] = {str(chain): float(mode) for chain, mode in enumerate(modes)}
        found.named["mode_density"] = _densities(stats, modes)
    elif slow := drifting(draws, rhat):
        found.named["drifting"] = {str(chain): 1.0 for chain in slow}


def _densities(stats: xr.Dataset, modes: Sequence[int]) -> dict[str, float]:
    """Median log density of the chains of each mode, as far as it was recorded."""
    if "lp" not in stats:
        return {}
    lp = stats.variables["lp"].transpose("chain", "draw").values
    found = {mode: float(np.median(lp[np.equal(modes, mode)])) for mode in sorted(set(modes))}
    return {str(mode): value for mode, value in found.items() if np.isfinite(value)}


def _sampling(found: _Findings, stats: xr.Dataset, kind: str) -> None:
    """Read what the sampler recorded on its way."""
    means = {"acceptance_rate": "acceptance_rate"}
    if kind == "nuts":
        means |= {"step_size": "step_size", "n_steps_mean": "n_steps"}
        for fact, name in (("n_divergent", "diverging"), ("n_max_treedepth", "reached_max_treedepth")):
            found.add(
                fact, float(stats.variables[name].values.sum()) if name in stats else np.nan, f"no {name} was recorded"
            )
        found.add("bfmi_min", _bfmi(stats), "the energy is constant, too short or not recorded")
    else:
        found.lack(NO_HAMILTON, "n_divergent", "n_max_treedepth", "bfmi_min")
    if kind in ("nuts", "mcmc"):
        _apart(found, stats)
    for fact, name in means.items():
        if name in stats:
            found.add(fact, float(stats.variables[name].values.mean()))


def _apart(found: _Findings, stats: xr.Dataset) -> None:
    """Tell of chains whose log density is far below the others', where there are any."""
    if "lp" not in stats:
        return
    if apart := chains_apart(stats.variables["lp"].transpose("chain", "draw").values):
        worst = apart[0]
        found.facts |= {
            "n_chains_apart": float(len(apart)),
            "apart_chain": float(worst.chain),
            "apart_below": worst.below,
            "apart_since": float(worst.since),
            "apart_moves": float(worst.moves),
        }


def _bfmi(stats: xr.Dataset) -> float:
    if "energy" not in stats or stats.sizes["draw"] < MIN_DRAWS:
        return float("nan")
    return float(np.min(bfmi(stats.variables["energy"].transpose("chain", "draw").values)))


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
        found.lack(str(attrs.get(NO_DENSITY, "the densities lp and log_q are missing")), "khat")
    for fact, name in (("elbo", "elbo"), ("elbo_converged", "converged")):
        found.add(fact, float(attrs.get(name, np.nan)), "the sampler did not report it")
    if found.facts.get("elbo_converged") == 0:
        found.warnings.append("the ELBO had not settled: raise sampler.iterations or sampler.learning_rate")


def _evidence(found: _Findings, stats: xr.Dataset) -> None:
    values = stats["log_marginal_likelihood"].values if "log_marginal_likelihood" in stats else np.full(1, np.nan)
    found.add("log_marginal_likelihood", float(values.mean()), "the sampler did not report it")
    spread = float(values.std(ddof=1)) if values.size > 1 else np.nan
    found.add("log_marginal_likelihood_sd", spread, "needs two independent runs")


def _relative_ess(described: _Described, kind: str) -> float:
    """Effective draws of a draw, the mean over scalars, which PSIS takes the length of the tail from."""
    chains, length = described.scalars.draws.shape[1:]
    if kind in ("variational", "smc") or chains == 1:
        return 1.0
    relative = (described.of_varying("sd") / described.of_varying("mcse_mean")) ** 2 / (chains * length)
    relative = relative[np.isfinite(relative)]
    return float(relative.mean()) if relative.size else 1.0


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
        finite, the largest are all equal, or there are fewer than `MIN_RATIOS`.
    """
    ratios = np.asarray(log_ratio, dtype=np.float64).ravel()
    if ratios.size < MIN_RATIOS or not np.isfinite(ratios).all():
        return float("nan")
    if np.ptp(ratios) <= ROUNDING * np.abs(ratios).max():
        return 0.0
    try:
        return float(smooth(ratios)[1])
    except ValueError:  # the largest are all equal
        return float("nan")
