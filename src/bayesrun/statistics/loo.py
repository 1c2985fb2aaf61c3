"""What a posterior says of unseen observations: PSIS-LOO and WAIC from the pointwise log-likelihood.

It computes no log-likelihood, and gives a reason instead of a number where the terms are not pointwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.special import logsumexp

from bayesrun.base.large_arrays import columns, parts
from bayesrun.statistics.psis import good_k, leave_one_out
from bayesrun.types import BESIDE, NO_DENSITY, PSEUDO

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from bayesrun.types import DiagnosticsOptions

__all__ = ["LOO_FACTS", "Predictive", "cross_validate"]

LOO_FACTS = ("elpd_loo", "se_elpd_loo", "p_loo", "pareto_k_max", "n_bad_pareto_k")
WAIC_FACTS = ("elpd_waic", "se_elpd_waic", "p_waic")

WAIC_VARIANCE = 0.4
"""Posterior variance of one log-likelihood term above which WAIC is unreliable (Vehtari, Gelman, Gabry 2017,
doi:10.1007/s11222-016-9696-4)."""


@dataclass(frozen=True)
class Predictive:
    """What was found: facts by name, reasons for what is absent, warnings, and LOO by observation."""

    facts: Mapping[str, float] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    pointwise: xr.Dataset | None = None


@dataclass(frozen=True)
class _Terms:
    """The pointwise log-likelihood of a variable: values with dims (draw of any chain, term); dims of the terms."""

    name: str
    values: np.ndarray
    sizes: Mapping[Hashable, int]
    coords: xr.Coordinates


def cross_validate(tree: xr.DataTree, kind: str, options: DiagnosticsOptions, reff: float) -> Predictive:
    """Estimate the expected log predictive density by PSIS-LOO, and on request by WAIC.

    Parameters
    ----------
    tree
        A fit with group ``log_likelihood``; a variational one also with ``sample_stats`` lp and log_q.
    kind
        The sampler's kind. Draws of a variational approximation are corrected by their importance ratios
        (Magnusson et al. 2019, arXiv:1904.10679).
    options
        ``loo_var`` names the observed variable where there are several; ``waic`` asks for WAIC too.
    reff
        Effective draws of a draw, in (0, ...), averaged over the scalars of the posterior.

    Returns
    -------
    Predictive
        Facts elpd_loo, se_elpd_loo, p_loo, pareto_k_max, n_bad_pareto_k (terms whose Pareto k is above
        min(1 - 1/log10(draws), 0.7); Vehtari et al. 2024, JMLR 25:72), n_loo_terms, and elpd_waic,
        se_elpd_waic, p_waic. ``pointwise`` has elpd_i and pareto_k with the dims of the observations, and in
        its attributes what `arviz_stats.compare` needs beside them.
    """
    wanted = (*LOO_FACTS, *WAIC_FACTS) if options.waic else LOO_FACTS
    terms, reason = _terms(tree, options.loo_var)
    if terms is None:
        return Predictive(absent=dict.fromkeys(wanted, reason))
    found = _loo(tree, terms, kind, reff)
    if found.facts and (beside := _by_name(tree["log_likelihood"].dataset, BESIDE).get(terms.name)):
        told = f"elpd_loo leaves out values of {terms.name} one at a time, and nothing else: {beside}"
        found = replace(found, warnings=(*found.warnings, told))
    if not options.waic:
        return found
    waic = _waic(terms, kind)
    return Predictive(
        {**found.facts, **waic.facts},
        {**found.absent, **waic.absent},
        (*found.warnings, *waic.warnings),
        found.pointwise,
    )


def _by_name(group: xr.Dataset, attribute: str) -> dict[str, str]:
    """Read what an attribute says of observed variables, one a line, by name."""
    lines = str(group.attrs.get(attribute, "")).split("\n")
    return {name: text for name, _, text in (line.partition("\t") for line in lines) if name}


def _terms(tree: xr.DataTree, wanted: str | None) -> tuple[_Terms | None, str]:
    """Find the pointwise log-likelihood, or the reason why there is none."""
    if "log_likelihood" not in tree.children:
        return None, "no log-likelihood was computed (steps.log_likelihood)"
    group = tree["log_likelihood"].dataset
    names = sorted(str(name) for name in group.data_vars)
    pseudo = _by_name(group, PSEUDO)
    if wanted in pseudo:
        return None, pseudo[str(wanted)]
    if wanted is None and pseudo:
        all_names = ", ".join(sorted((*names, *pseudo)))
        return None, (
            f"{len(names) + len(pseudo)} observed variables ({all_names}), and {'; '.join(pseudo.values())}: LOO of "
            f"another one is that with diagnostics.loo_var={names[0]}"
        )
    if wanted is not None and wanted not in names:
        return None, f"diagnostics.loo_var={wanted} is not observed; observed are {', '.join(names)}"
    if wanted is None and len(names) != 1:
        return None, f"{len(names)} observed variables ({', '.join(names)}): name one with diagnostics.loo_var"
    name = wanted or names[0]
    variable = group.variables[name].transpose("chain", "draw", ...)
    count = math.prod(variable.shape[2:])
    data = tree["observed_data"].dataset if "observed_data" in tree.children else xr.Dataset()
    observed = data.variables[name].size if name in data.variables else count
    if count == 1:
        return None, (
            f"the likelihood of {name} is not pointwise: one log density for {observed} observed values"
            if observed > 1
            else f"{name} has one observation"
        )
    values = variable.values.reshape(-1, count)
    broken = values.size - sum(int(np.isfinite(values[part]).sum()) for part in parts(values))
    if broken:
        return None, f"the log-likelihood of {name} has {broken} values that are not finite"
    dims = variable.dims[2:]
    coords = {key: group.variables[key] for key in group.coords if set(group.variables[key].dims) <= set(dims)}
    indexes = {key: index for key, index in group.xindexes.items() if key in coords}
    sizes = dict(zip(dims, variable.shape[2:], strict=True))
    return _Terms(name, values, sizes, xr.Coordinates(coords, indexes)), ""


def _loo(tree: xr.DataTree, terms: _Terms, kind: str, reff: float) -> Predictive:
    correction = None
    if kind == "variational":
        stats = tree["sample_stats"].dataset if "sample_stats" in tree.children else xr.Dataset()
        if not {"lp", "log_q"} <= set(stats):
            missing = "the densities lp and log_q, which correct an approximation's draws, are missing"
            reason = str(tree.attrs.get(NO_DENSITY, missing))
            return Predictive(absent=dict.fromkeys(LOO_FACTS, reason))
        correction = (stats["lp"] - stats["log_q"]).transpose("chain", "draw").values.ravel()
        reff = 1.0
    draws, count = terms.values.shape
    try:
        found = leave_one_out(terms.values, reff, correction)
    except ValueError as error:  # too few draws, or an observation whose terms are all equal
        return Predictive(absent=dict.fromkeys(LOO_FACTS, f"PSIS fits no Pareto tail to the ratios: {error}"))
    bound = good_k(draws)
    bad = int((~(found.pareto_k <= bound)).sum())
    values = {
        "elpd_loo": float(found.elpd.sum()),
        "se_elpd_loo": float(np.sqrt(count * found.elpd.var(ddof=1))),
        "p_loo": float(found.p.sum()),
        "pareto_k_max": float(found.pareto_k.max()),
        "n_bad_pareto_k": float(bad),
        "n_loo_terms": float(count),
    }
    unknown = int(np.isnan(found.pareto_k).sum())
    beyond = f"above {bound:.2f}" + (f" or not defined ({unknown})" if unknown else "")
    told = (f"{bad} of {count} Pareto k are {beyond}: elpd_loo is unreliable there",) if bad else ()
    attrs = {
        "var_name": terms.name,
        "elpd": values["elpd_loo"],
        "se": values["se_elpd_loo"],
        "p": values["p_loo"],
        "good_k": bound,
        "n_samples": draws,
        "n_data_points": count,
        "scale": "log",
        "warning": int(bad > 0),
    }
    dims, shape = tuple(terms.sizes), tuple(terms.sizes.values())
    pointwise = xr.Dataset(
        {"elpd_i": (dims, found.elpd.reshape(shape)), "pareto_k": (dims, found.pareto_k.reshape(shape))},
        coords=terms.coords,
        attrs=attrs,
    )
    return Predictive(
        *_split(values, "not finite: the importance ratios have no Pareto tail that can be fitted"), told, pointwise
    )


def _waic(terms: _Terms, kind: str) -> Predictive:
    """WAIC (Watanabe 2010, JMLR 11:3571) in the form of Vehtari, Gelman, Gabry (2017)."""
    if kind == "variational":
        return Predictive(
            absent=dict.fromkeys(WAIC_FACTS, "WAIC needs draws from the posterior, not from an approximation")
        )
    draws, count = terms.values.shape
    p, elpd = np.empty(count), np.empty(count)
    for part, rows in columns(terms.values):
        values = rows.T
        p[part] = values.var(axis=0, ddof=1)
        elpd[part] = logsumexp(values, axis=0) - np.log(draws) - p[part]
    facts = {
        "elpd_waic": float(elpd.sum()),
        "se_elpd_waic": float(np.sqrt(count * elpd.var(ddof=1))),
        "p_waic": float(p.sum()),
    }
    bad = int((p > WAIC_VARIANCE).sum())
    told = (
        (f"{bad} of {count} terms have a variance above {WAIC_VARIANCE}: prefer elpd_loo to elpd_waic",) if bad else ()
    )
    return Predictive(*_split(facts, "not finite"), told)


def _split(values: Mapping[str, float], reason: str) -> tuple[dict[str, float], dict[str, str]]:
    """Part finite facts from those that are absent."""
    finite = {name: value for name, value in values.items() if np.isfinite(value)}
    return finite, {name: reason for name in values if name not in finite}
