"""What a study asks of every fit beside its diagnostics: intervals, ranks of the truth, quantities, decisions.

It adds rows and columns to the summary of a fit, so that tables and reports never read draws. It judges nothing.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesrun.calibration import probability_below, rank_truth
from bayesrun.diagnose import Scalars, scalars, summary_of
from bayesrun.errors import FitError
from bayesrun.measures.decisions import parse_decisions
from bayesrun.seeds import named_seed
from bayesrun.targets import import_target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr

    from bayesrun.fit import Case
    from bayesrun.types import DiagnosticsOptions

__all__ = ["LOG_LIKELIHOOD", "score"]

LOG_LIKELIHOOD = "log_likelihood"
"""Row of the joint log-likelihood."""


def score(summary: pd.DataFrame, tree: xr.DataTree, case: Case, *, kind: str) -> pd.DataFrame:
    """Add to the summary of a fit what its study asks for.

    Parameters
    ----------
    summary
        One row for each scalar of the posterior (`diagnose.Diagnosis`).
    tree
        The fit.
    case
        Its recipe, data and, for simulated data, the truth.
    kind
        Of the sampler.

    Returns
    -------
    pandas.DataFrame
        With a row for each further quantity, among them `LOG_LIKELIHOOD` for simulated data; for simulated data columns
        truth, p_truth (posterior probability below the truth),
        rank (among n_ranks draws, -1 where there is none) and n_ranks; a column ``decision_RULE`` for each rule: 1.0,
        0.0, or NaN for scalars that it is not about.

    Raises
    ------
    FitError
        If the function of a quantity fails or returns something else than numbers.
    """
    options = case.spec.diagnostics
    simulated = case.spec.simulation is not None
    if not (simulated or options.levels or options.quantities or options.decisions):
        return summary
    posterior = tree["posterior"].dataset
    found = scalars(posterior)
    draws, truth = found.draws, _flat_truth(posterior, case.truth)
    labels, table = list(found.labels), summary
    further = _further(tree, posterior, case)
    if further:
        own = Scalars([name for name, _, _ in further], np.stack([values for _, values, _ in further]))
        table = pd.concat([summary, summary_of(own, kind, options)])
        draws, labels = np.concatenate([draws, own.draws]), labels + own.labels
        truth = np.concatenate([truth, [true for _, _, true in further]])
    if simulated:
        _rank(table, draws, truth, options, case)
    _decide(table, labels, draws, options)
    table.attrs = dict(summary.attrs)
    return table


def _flat_truth(posterior: xr.Dataset, truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """Line the truth up with the scalars of the posterior; NaN where it is not known."""
    parts = []
    for name, variable in posterior.data_vars.items():
        size = int(np.prod(variable.shape[2:]))
        known = np.asarray(truth.get(str(name), np.nan), dtype=np.float64)
        parts.append(known.ravel() if known.size == size and str(name) in truth else np.full(size, np.nan))
    return np.concatenate(parts)


def _further(tree: xr.DataTree, posterior: xr.Dataset, case: Case) -> list[tuple[str, np.ndarray, float]]:
    """Quantities that are no variables of the model: label, draws (chain, draw), and value at the truth."""
    found = []
    if case.spec.simulation is not None and "log_likelihood" in tree.children:
        terms = tree["log_likelihood"].to_dataset().data_vars.values()
        joint = sum(term.transpose("chain", "draw", ...).values.reshape(*term.shape[:2], -1).sum(-1) for term in terms)
        found.append((LOG_LIKELIHOOD, np.asarray(joint), _likelihood_at_truth(tree, case)))
    for name, path in (case.spec.diagnostics.quantities or {}).items():
        function = import_target(f"study.quantities.{name}", path)
        draws = {str(key): v.transpose("chain", "draw", ...).values for key, v in posterior.data_vars.items()}
        values = _asked(name, function, draws, case, next(iter(draws.values())).shape[:2])
        known = set(draws) <= set(case.truth)
        at = {key: np.asarray(value)[None, None] for key, value in case.truth.items()}
        true = float(_asked(name, function, at, case, (1, 1))[0, 0]) if known else float("nan")
        found.append((name, values, true))
    return found


def _asked(
    name: str, function: Callable[..., Any], draws: Mapping[str, np.ndarray], case: Case, shape: tuple[int, ...]
) -> np.ndarray:
    try:
        values = np.asarray(function(draws, case.dataset), dtype=np.float64)
    except Exception as error:
        raise FitError(f"study.quantities.{name} failed: {type(error).__name__}: {error}") from error
    if values.shape != shape:
        raise FitError(
            f"study.quantities.{name} returned shape {values.shape}; wanted {shape}, one number for each draw of "
            "arrays with dims (chain, draw, ...)"
        )
    return values


_likelihoods: dict[tuple[str, str, bool], Any] = {}


def _likelihood_at_truth(tree: xr.DataTree, case: Case) -> float:
    """Log p(y | truth) under the model that was fitted; compiled once for a model and its covariates."""
    from bayesrun.simulate.likelihood import joint_log_likelihood

    spec = case.spec
    assert spec.simulation is not None
    redrawn = spec.simulation.design is not None
    name = (spec.fingerprint, spec.data_hash, spec.simulation.joint)
    if redrawn or name not in _likelihoods:
        build = functools.partial(import_target("model", spec.model.path), **spec.model.params)
        compiled = joint_log_likelihood(build(case.dataset))
        if redrawn:
            return compiled(case.truth, _observed(tree))
        _likelihoods[name] = compiled
    return float(_likelihoods[name](case.truth, _observed(tree)))


def _observed(tree: xr.DataTree) -> dict[str, np.ndarray]:
    return {str(name): values.values for name, values in tree["observed_data"].to_dataset().data_vars.items()}


def _rank(table: pd.DataFrame, draws: np.ndarray, truth: np.ndarray, options: DiagnosticsOptions, case: Case) -> None:
    """Rank the truth among the draws; ties are broken by numbers that belong to the fit."""
    table["truth"] = truth
    table["p_truth"] = probability_below(draws, truth)
    if options.ranks:
        rng = np.random.default_rng(named_seed(case.spec.fit_seed, "ranks"))
        table["rank"] = rank_truth(draws, truth, options.ranks, rng)
        table["n_ranks"] = options.ranks


def _decide(table: pd.DataFrame, labels: list[str], draws: np.ndarray, options: DiagnosticsOptions) -> None:
    for decision in parse_decisions(options.decisions, options.ci_kind):
        table[f"decision_{decision.name}"] = [decision.score(label, draws[i]) for i, label in enumerate(labels)]
