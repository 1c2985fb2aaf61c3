"""What a study asks of every fit beside its diagnostics: intervals, ranks of the truth, quantities, decisions.

It adds rows and columns to the summary of a fit, so that tables and reports never read draws. It judges nothing.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd

from bayesrun.base.alignment import SAMPLE_DIMS, aligned
from bayesrun.base.imports import import_target, module_constant
from bayesrun.base.large_arrays import empty, let_go, parts
from bayesrun.base.recent import Recent
from bayesrun.base.seeds import named_seed
from bayesrun.errors import BayesrunError, FitError
from bayesrun.statistics.calibration import probability_below, rank_truth
from bayesrun.statistics.fit_summary import Scalars, scalars, summary_of
from bayesrun.statistics.measures.decisions import decided_columns, derived, parse_decisions
from bayesrun.types import PSEUDO
from bayesrun.work.attempts import Unguarded
from bayesrun.work.building import own_builder
from bayesrun.work.not_kept import NotKeptError, telling
from bayesrun.work.steps import POINTWISE, with_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    import xarray as xr

    from bayesrun.samplers.lanes.graphs import Survey
    from bayesrun.statistics.measures.decisions import Decision
    from bayesrun.types import DiagnosticsOptions, FitSpec
    from bayesrun.work.attempts import Attempts
    from bayesrun.work.case import Case

__all__ = ["LOG_LIKELIHOOD", "score"]

LOG_LIKELIHOOD = "log_likelihood"
"""Row of the joint log-likelihood."""


def score(
    summary: pd.DataFrame,
    tree: xr.DataTree,
    case: Case,
    *,
    kind: str,
    attempt: Attempts | Unguarded | None = None,
) -> pd.DataFrame:
    """Add to the summary of a fit what its study asks for.

    Parameters
    ----------
    summary
        One row for each scalar of the posterior (`fit_summary.Diagnosis`).
    tree
        The fit.
    case
        Its recipe, data and, for simulated data, the truth.
    kind
        Of the sampler.
    attempt
        Does each quantity and each decision, and what is ``summary``; None: what fails raises.

    Returns
    -------
    pandas.DataFrame
        With a row for each further quantity, among them `LOG_LIKELIHOOD` for simulated data; for simulated data columns
        truth, p_truth (posterior probability below the truth),
        rank (among n_ranks draws, -1 where there is none) and n_ranks; where it is known how far the truth spreads
        before its data are seen, prior_sd with its error prior_sd_mcse, or for fits to the observed and the simulated
        data together observed_sd and observed_sd_mcse, NaN for quantities that are no variables; a column
        ``decision_RULE`` for each rule: 1.0, 0.0, or NaN for scalars that it is not about; for real data and a rule
        about a probability also ``probability_RULE``, the share of draws on its side, and its Monte Carlo standard
        error ``mcse_of_probability_RULE``.

    Raises
    ------
    FitError
        If the function of a quantity fails or returns something else than numbers; its `quantity` says which.
    """
    options = case.spec.diagnostics
    simulated = case.spec.simulation is not None
    if not (simulated or options.levels or options.quantities or options.decisions):
        return summary
    attempt = attempt or Unguarded()
    posterior = tree["posterior"].dataset
    start = attempt("summary", lambda: (scalars(posterior), _spreads(posterior, case), _aligned(case, posterior)))
    if start is None:
        return summary
    found, spreads, case = start
    further = _further(tree, posterior, case, attempt)
    made = attempt("summary", lambda: _table(summary, found, spreads, further, (posterior, case, kind)))
    if made is None:
        return summary
    table, labels, draws = made
    _decide(table, Scalars(labels, draws), kind, case.spec, attempt)
    table.attrs = dict(summary.attrs)
    return table


def _aligned(case: Case, posterior: xr.Dataset) -> Case:
    return dataclasses.replace(case, truth=aligned(case.truth, case.layouts, posterior), layouts={})


def _table(
    summary: pd.DataFrame,
    found: Scalars,
    spreads: Mapping[str, np.ndarray],
    further: list[tuple[str, np.ndarray, float]],
    of: tuple[xr.Dataset, Case, str],
) -> tuple[pd.DataFrame, list[str], np.ndarray]:
    """Add the rows of further quantities, and the columns of simulated data; with it labels and draws of the rows."""
    posterior, case, kind = of
    options = case.spec.diagnostics
    known = _joined(list(found.labels), found.draws, _flat_truth(posterior, case.truth), further)
    of_rules = derived(parse_decisions(options.decisions, options.ci_kind), *known)
    labels, draws, truth = _joined(*known, of_rules)
    table, size = summary, len(found.labels)
    if len(labels) > size:
        table = pd.concat([summary, summary_of(Scalars(labels[size:], draws[size:]), kind, options)])
    if case.spec.simulation is not None:
        _rank(table, draws, truth, options, case)
        for name, values in spreads.items():
            table[name] = np.concatenate([values, np.full(len(table) - len(values), np.nan)])
    return table, labels, draws


def _joined(
    labels: list[str], draws: np.ndarray, truth: np.ndarray, more: list[tuple[str, np.ndarray, float]]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Add scalars to others: label, draws (chain, draw), and value at the truth."""
    if not more:
        return labels, draws, truth
    whole = empty({"draws": ((len(draws) + len(more), *draws.shape[1:]), draws.dtype)})["draws"]
    for part in parts(draws):
        whole[part] = draws[part]
        let_go(whole)
    whole[len(draws) :] = [values for _, values, _ in more]
    return (
        labels + [label for label, _, _ in more],
        whole,
        np.concatenate([truth, [true for _, _, true in more]]),
    )


def _flat_truth(posterior: xr.Dataset, truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """Line an aligned truth up with the scalars of the posterior; NaN where it is not known."""
    parts = []
    for name, variable in posterior.data_vars.items():
        size = int(np.prod([length for dim, length in variable.sizes.items() if dim not in SAMPLE_DIMS]))
        parts.append(np.ravel(truth[str(name)]).astype(np.float64) if str(name) in truth else np.full(size, np.nan))
    return np.concatenate(parts)


def _spreads(posterior: xr.Dataset, case: Case) -> dict[str, np.ndarray]:
    """Line the SDs of the truth up with the scalars of the posterior, under the name of what they are the SDs of."""
    spread, simulation = case.spread, case.spec.simulation
    if spread is None or simulation is None:
        return {}
    name = "observed_sd" if simulation.joint else "prior_sd"
    parts = {name: spread.sd, f"{name}_mcse": spread.mcse}
    return {key: _flat_truth(posterior, aligned(values, case.layouts, posterior)) for key, values in parts.items()}


def _further(
    tree: xr.DataTree, posterior: xr.Dataset, case: Case, attempt: Attempts | Unguarded
) -> list[tuple[str, np.ndarray, float]]:
    """Quantities that are no variables of the model: label, draws (chain, draw), and value at the truth."""
    found = []
    whole = "log_likelihood" in tree.children and PSEUDO not in tree["log_likelihood"].attrs
    if case.spec.simulation is not None and whole:
        found.append(attempt("summary", lambda: _joint_log_likelihood(tree, case)))
    for name, path in (case.spec.diagnostics.quantities or {}).items():
        found.append(attempt(f"quantity {name}", functools.partial(_quantity, name, path, posterior, case)))
    return [one for one in found if one is not None]


def _joint_log_likelihood(tree: xr.DataTree, case: Case) -> tuple[str, np.ndarray, float]:
    terms = tree["log_likelihood"].to_dataset().data_vars.values()
    joint = sum(map(_over_observations, terms))
    return LOG_LIKELIHOOD, np.asarray(joint), _likelihood_at_truth(tree, case)


def _over_observations(term: xr.DataArray) -> np.ndarray:
    """Add up the terms of each draw, dims (chain, draw)."""
    values = term.transpose("chain", "draw", ...).values
    table = values.reshape(values.shape[0] * values.shape[1], -1)
    return np.concatenate([table[part].sum(-1) for part in parts(table)]).reshape(values.shape[:2])


def _quantity(name: str, path: str, posterior: xr.Dataset, case: Case) -> tuple[str, np.ndarray, float]:
    what = f"quantity {name} ({path})"
    try:
        function = import_target(what, path)
        draws = {str(key): v.transpose("chain", "draw", ...).values for key, v in posterior.data_vars.items()}
        values = _asked(what, function, draws, case, next(iter(draws.values())).shape[:2])
        return name, values, _at_truth(what, function, case, set(draws))
    except BayesrunError as error:
        error.quantity = name
        raise


class _Some(dict[str, np.ndarray]):
    """True values of some of a model's variables, of which nobody may go through all."""

    def __iter__(self) -> NoReturn:
        raise KeyError("the truth of some variables is not known")

    keys = values = items = __iter__


def _at_truth(what: str, function: Callable[..., Any], case: Case, variables: set[str]) -> float:
    """Work out a quantity at the truth; NaN where it needs a variable whose truth is not known."""
    at = {key: np.asarray(value)[None, None] for key, value in case.truth.items()}
    complete = variables <= set(at)
    try:
        return float(_asked(what, function, at if complete else _Some(at), case, (1, 1))[0, 0])
    except FitError:
        if complete:
            raise
        return float("nan")


def _asked(
    what: str, function: Callable[..., Any], draws: Mapping[str, np.ndarray], case: Case, shape: tuple[int, ...]
) -> np.ndarray:
    try:
        values = np.asarray(function(draws, telling(case.dataset, case.spec.left_out)), dtype=np.float64)
    except NotKeptError as error:
        raise FitError(f"{what} {error}") from error
    except Exception as error:
        raise FitError(f"{what} failed: {type(error).__name__}: {error}") from error
    if values.shape != shape:
        raise FitError(
            f"{what} returned shape {values.shape}; wanted {shape}, one number for each draw of "
            "arrays with dims (chain, draw, ...)"
        )
    return values


REMEMBERED = 64
"""Compiled likelihoods that a process keeps."""
_likelihoods: Recent[Hashable, Callable[..., float]] = Recent(REMEMBERED)


def _likelihood_at_truth(tree: xr.DataTree, case: Case) -> float:
    """Log p(y | truth) under the dataset's own model, which shares what is compiled with others of its form.

    It is the sum of the terms that the draws have: where a hook gives these, of the hook's.
    """
    from bayesrun.samplers.lanes.graphs import survey

    spec = case.spec
    hook = module_constant(import_target("model", spec.model.path), "pointwise", None)
    own = survey(with_terms(own_builder(spec), hook, case.dataset))
    values = {index: leaf.value for index, leaf in enumerate(own.leaves) if not leaf.infinite}
    name = own.form, tuple(leaf.digest for index, leaf in enumerate(own.leaves) if index not in values)
    likelihood = _likelihoods.get(name, lambda: _compiled_likelihood(own, values))
    return float(likelihood(case.truth, _observed(tree), list(values.values())))


def _compiled_likelihood(own: Survey, values: Mapping[int, np.ndarray]) -> Callable[..., float]:
    """Compile the likelihood of a model, which is changed, with some of its leaves as arguments."""
    import pytensor.tensor as pt

    from bayesrun.samplers.lanes.graphs import replace_leaves
    from bayesrun.simulate.likelihood import joint_log_likelihood

    numbers = {index: pt.tensor(f"number{index}", dtype=v.dtype, shape=v.shape) for index, v in values.items()}
    replace_leaves(own, numbers)
    terms = [str(v.name) for v in own.model.deterministics if str(v.name).endswith(POINTWISE)]
    return joint_log_likelihood(own.model, list(numbers.values()), terms)


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


def _decide(table: pd.DataFrame, of: Scalars, kind: str, spec: FitSpec, attempt: Attempts | Unguarded) -> None:
    options = spec.diagnostics
    rules = parse_decisions(options.decisions, options.ci_kind)
    for text, rule in zip(options.decisions, rules, strict=True):
        found = attempt(f"decision {text}", functools.partial(_decided, rule, of, kind, spec))
        if found is not None:
            table[list(found)] = pd.DataFrame(found, index=table.index)


def _decided(rule: Decision, of: Scalars, kind: str, spec: FitSpec) -> dict[str, np.ndarray]:
    labels, draws = of.labels, of.draws
    about = np.array(list(map(rule.about, labels)), dtype=bool)
    if not about.any():
        raise FitError(f"the rule {rule.text!r} is about {rule.variable}, and this fit has {', '.join(labels[:12])}")
    decision, probability, mcse = decided_columns(rule.name)
    found = {decision: np.array([rule.score(label, draws[i]) for i, label in enumerate(labels)])}
    beyond = rule.beyond(draws[about])
    if spec.simulation is None and beyond is not None:
        chosen = Scalars([label for label, one in zip(labels, about, strict=True) if one], beyond)
        measured = summary_of(chosen, kind, spec.diagnostics)
        for column, name in ((probability, "mean"), (mcse, "mcse_mean")):
            found[column] = np.full(len(labels), np.nan)
            found[column][about] = measured[name]
    return found
