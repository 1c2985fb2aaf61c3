"""data -> model -> sample for the fits of a batch, and the workflow steps around the draws. No files.

The steps never change a draw: each has its own seed, and a step that is wanted later is added to the
stored draws.
"""

from __future__ import annotations

import functools
import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayesrun.base.alignment import SAMPLE_DIMS, aligned
from bayesrun.base.beside_bounds import against, exact
from bayesrun.base.imports import import_target, module_constant, sampler_constant
from bayesrun.base.seeds import named_seed
from bayesrun.base.time_limit import LateError, within
from bayesrun.errors import FitError, FitTimeoutError
from bayesrun.planning.effort import effort
from bayesrun.planning.fingerprint import graph_digest
from bayesrun.statistics.prior_sensitivity import log_prior
from bayesrun.types import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pymc as pm

    from bayesrun.base.alignment import Layout
    from bayesrun.samplers.lanes.graphs import Survey
    from bayesrun.simulate import Spread
    from bayesrun.types import Dataset, FitSpec, Steps

__all__ = ["Case", "Fitted", "complete", "fit", "fit_case", "fits", "with_terms"]


LARGEST_ROUNDING = 0.05
"""Difference of log densities from which the acceptance of a draw is changed by more than 5 %."""

ESCALATED = "after target_accept="
"""What a note at an error begins with that tells of draws which diverged before it."""

POINTWISE = "__pointwise"
"""What the names of a hook's terms end with while they are variables of the model."""


@dataclass(frozen=True, eq=False)
class Case:
    """A fit with what it is conditioned on.

    Parameters
    ----------
    spec
        The recipe.
    dataset
        Real, or simulated.
    base
        For simulated data the dataset that the plan was made with; None: `dataset` itself.
    truth
        For simulated data the values that they were drawn from, by variable.
    degenerate
        For simulated data that do not vary or are not finite: what is wrong with them.
    timeout
        Wall-clock seconds that it may take, from building its model to its last step, or of its batch what a sampler
        counts as its share; None: no bound.
    form
        A dataset of the same form as `dataset`, with which it shares what is compiled; None: `base`.
    layouts
        Dims and labels of the truth, which are those of the generator; the estimates may have others.
    spread
        How far the truth spreads before its data are seen, in the same layouts; None: not known, or not asked for.
    """

    spec: FitSpec
    dataset: Dataset
    base: Dataset | None = None
    truth: Mapping[str, np.ndarray] = field(default_factory=dict)
    degenerate: str = ""
    timeout: float | None = None
    form: Dataset | None = None
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    spread: Spread | None = None


@dataclass
class Fitted:
    """A posterior with what was met on the way.

    Parameters
    ----------
    tree
        Groups posterior, sample_stats, observed_data, and those of the steps.
    seconds
        Wall-clock seconds by stage.
    attempts
        One entry for each target_accept that was tried.
    effort
        What the sampling consisted of, see `effort.effort`.
    """

    tree: xr.DataTree
    seconds: dict[str, float] = field(default_factory=dict)
    attempts: tuple[Mapping[str, float], ...] = ()
    effort: Mapping[str, Any] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """For people: what the attempts and the sampler say, also of a fit that is completed later."""
        found = []
        if len(self.attempts) > 1:
            told = ", ".join(f"{a['target_accept']:g}: {a['n_divergent']:.0f} divergences" for a in self.attempts)
            found.append(f"target_accept was raised because of divergences ({told})")
        effort = float(self.tree.attrs.get("effort", 0.0))
        if effort:
            found.append(
                f"took {effort:.0f} times the leapfrog steps of the median fit of its batch: an extreme dataset, or a "
                "posterior that this parameterization makes hard; sampler.timeout would bound it"
            )
        failed = str(self.tree.attrs.get("log_prior_failed", ""))
        if failed:
            found.append(f"whether prior and likelihood disagree is not known: the log density of the prior: {failed}")
        error = float(self.tree.attrs.get("lp_error", 0.0))
        if not error <= LARGEST_ROUNDING:
            found.append(
                f"single precision moves the log density by up to {error:.2g}, which changes what is accepted; use "
                "sampler.precision=float64"
            )
        return tuple(found)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def fits(cases: Sequence[Case]) -> Iterator[tuple[Case, Fitted | FitError]]:
    """Draw from the posteriors of a batch and do the workflow's steps.

    A sampler whose module has a function ``fits`` gets all cases of one recipe at once; others draw for one after
    another.

    Parameters
    ----------
    cases
        Of one batch.

    Yields
    ------
    tuple of Case and Fitted or FitError
        As they are done. What a sampler raises leaves the generator, and those that were not yielded are not done.
    """
    for group in _alike(cases):
        yield from _in_time(group)


def _in_time(cases: Sequence[Case]) -> Iterator[tuple[Case, Fitted | FitError]]:
    """Draw for a group, and give up what is left of it when the time of all that is left is over."""
    left = {case.spec.key: case for case in cases}
    arriving = _finished(cases)
    while left:
        bound = cases[0].timeout
        try:
            arrived = within(bound and bound * len(left), lambda: next(arriving, None))
        except LateError as late:
            for case in left.values():
                yield case, _late(bound or 0.0, len(left), late.seconds)
            return
        if arrived is None:
            return
        del left[arrived[0].spec.key]
        yield arrived


def _late(bound: float, together: int, seconds: float) -> FitTimeoutError:
    who = "took" if together == 1 else f"with {together - 1} others of its batch took"
    may = f"{exact(bound)} s" if together == 1 else f"{together} x {exact(bound)} s"
    after = against(seconds, bound * together, ".1f")
    return FitTimeoutError(f"{who} longer than {may}, and was stopped after {after} s; raise sampler.timeout")


def _finished(cases: Sequence[Case]) -> Iterator[tuple[Case, Fitted | FitError]]:
    """Draw for a group, and do the steps of each fit."""
    for case, found in _draw(cases):
        if isinstance(found, FitError):
            yield case, found
            continue
        if case.truth:
            found.tree["truth"] = xr.DataTree(_truth(found.tree["posterior"].dataset, case))
        if not case.spec.steps.log_likelihood and "log_likelihood" in found.tree.children:
            del found.tree["log_likelihood"]
        yield case, _do_steps(found, case, case.spec.steps)


def fit(spec: FitSpec, dataset: Dataset) -> Fitted:
    """Draw from the posterior of one dataset and do the workflow's steps.

    Raises
    ------
    FitError
        If the sampler returns nothing, or the model is no longer the one that was planned.
    """
    return fit_case(Case(spec, dataset))


def fit_case(case: Case) -> Fitted:
    """Draw from one posterior; see `fit`."""
    ((_, found),) = fits([case])
    if isinstance(found, FitError):
        raise found
    return found


def _truth(posterior: xr.Dataset, case: Case) -> xr.Dataset:
    """Give true values the layout of their draws, and those that no estimate belongs to axes of their own."""
    matched = aligned(case.truth, case.layouts, posterior)
    variables: dict[str, tuple[tuple[Any, ...], np.ndarray]] = {}
    for name, values in case.truth.items():
        dims: tuple[Any, ...] = tuple(f"{name}_dim_{i}" for i in range(np.ndim(values)))
        if name in posterior and name in matched:
            dims = tuple(dim for dim in posterior.variables[name].dims if dim not in SAMPLE_DIMS)
        variables[name] = dims, np.asarray(matched.get(name, values))
    used = {dim for dims, _ in variables.values() for dim in dims}
    return xr.Dataset(variables, coords={dim: posterior.coords[dim] for dim in used if dim in posterior.coords})


def complete(tree: xr.DataTree, had: Steps, case: Case) -> Fitted:
    """Do the steps that a stored posterior lacks; its draws stay as they are."""
    spec = case.spec
    repeat = spec.steps.prior_draws != had.prior_draws
    missing = replace(
        spec.steps,
        prior_predictive=spec.steps.prior_predictive and (repeat or not had.prior_predictive),
        posterior_predictive=spec.steps.posterior_predictive and not had.posterior_predictive,
        log_likelihood=spec.steps.log_likelihood and not had.log_likelihood,
    )
    _refuse_other_model(case)
    return _do_steps(Fitted(tree), case, missing)


def _alike(cases: Sequence[Case]) -> list[list[Case]]:
    """Put cases together that one call of a sampler can take."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        spec = case.spec
        many = module_constant(import_target("sampler", spec.sampler.path), "fits", None)
        same = [spec.model, spec.sampler, spec.options, spec.divergence_limit, spec.simulation, spec.fingerprint]
        groups.setdefault(canonical_json(same if many else [spec.key]), []).append(case)
    return list(groups.values())


def _refuse_other_model(case: Case) -> None:
    """Refuse a model that is not the planned one: its file was edited meanwhile, or this node has another version."""
    spec = case.spec
    if spec.fingerprint and _graph_digest(_builder(spec), case) != spec.fingerprint.rpartition("-")[2]:
        raise FitError(
            f"{spec.model.path} builds another model here than when the plan was made: its source changed meanwhile, "
            "this node has another version of it, or it draws random numbers; run the command again"
        )


def _graph_digest(builder: Callable[[Dataset], pm.Model], case: Case) -> str:
    """Digest the model of a case; for simulated data that of the dataset that the plan was made with, once."""
    if case.base is None:
        return graph_digest(builder(case.dataset), case.dataset)
    name = (case.spec.fingerprint, canonical_json([case.spec.model, case.spec.data_hash]))
    if name not in _digests:
        _digests[name] = graph_digest(builder(case.base), case.base)
    return _digests[name]


_digests: dict[tuple[str, str], str] = {}


def _builder(spec: FitSpec) -> Callable[[Dataset], pm.Model]:
    return functools.partial(import_target("model", spec.model.path), **spec.model.params)


def _sharing(case: Case, builder: Callable[[Dataset], pm.Model], purpose: str) -> Callable[[Dataset], pm.Model]:
    """Return a builder whose models of simulated data are compiled once: see `share_data`.

    Real data are fitted once, and theirs stays as it is.
    """
    if case.base is None:
        return builder
    from bayesrun.samplers.lanes.graphs import survey
    from bayesrun.samplers.lanes.shared_data import share_data

    joint = case.form is not None
    name = canonical_json([purpose, case.spec.model, case.spec.data_hash, case.spec.fingerprint, joint])
    if name not in _surveys:
        _surveys[name] = survey(builder(case.form or case.base))
    reference = _surveys[name]
    return lambda dataset: share_data(builder(dataset), reference)


_surveys: dict[str, Survey] = {}


def _draw(cases: Sequence[Case]) -> Iterator[tuple[Case, Fitted | FitError]]:
    """Draw, and draw again with a larger target_accept for those that diverge, as far as the recipe allows."""
    first = cases[0].spec
    limit = 0 if first.divergence_limit is None else first.divergence_limit
    levels = [first.options.target_accept, *(a for a in first.options.escalate if a > first.options.target_accept)]
    attempts: dict[str, list[Mapping[str, float]]] = {case.spec.key: [] for case in cases}
    left = list(cases)
    for level in levels:
        again = []
        for case, tree, seconds in _noted(_sample(left, level), attempts if len(left) == 1 else {}):
            if isinstance(tree, FitError):
                _note(tree, attempts[case.spec.key])
                yield case, tree
                continue
            diverging = int(tree["sample_stats"]["diverging"].sum()) if "diverging" in tree["sample_stats"] else 0
            tried = attempts[case.spec.key]
            tried.append({"target_accept": level, "n_divergent": float(diverging), "seconds": seconds})
            if diverging > limit and level != levels[-1]:
                again.append(case)
                continue
            spent = sum(attempt["seconds"] for attempt in tried)
            consisted = _effort(case, tree, len(cases), seconds)
            yield case, Fitted(tree, {"sample": spent}, tuple(tried) if len(levels) > 1 else (), consisted)
        left = again


def _noted[T](sampling: Iterator[T], attempts: Mapping[str, Sequence[Mapping[str, float]]]) -> Iterator[T]:
    """Note at what a fit raises the draws that diverged before."""
    try:
        yield from sampling
    except Exception as error:
        for tried in attempts.values():
            _note(error, tried)
        raise


def _note(error: BaseException, tried: Sequence[Mapping[str, float]]) -> None:
    if tried:
        each = (f"{a['target_accept']:g}: {a['n_divergent']:.0f} divergences in {a['seconds']:.1f} s" for a in tried)
        error.add_note(f"{ESCALATED}{', '.join(each)}")


def _effort(case: Case, tree: xr.DataTree, together: int, seconds: float) -> dict[str, Any]:
    """Say what drawing consisted of; what of its seconds the sampler does not call steps is taken for compilation."""
    kind = str(sampler_constant(import_target("sampler", case.spec.sampler.path), "KIND"))
    stepping = float(tree.attrs.get("sampling_seconds", seconds)) - float(tree.attrs.get("compile_seconds", 0.0))
    return effort(case.spec, kind, together=together, compile_seconds=max(0.0, seconds - stepping))


def _sample(cases: Sequence[Case], target_accept: float) -> Iterator[tuple[Case, xr.DataTree | FitError, float]]:
    """Call the sampler; with each tree the wall-clock seconds that it took, or its share of a batch's."""
    if not cases:
        return
    spec = cases[0].spec
    builder = _builder(spec)
    for case in cases:
        _refuse_other_model(case)
    sample = import_target("sampler", spec.sampler.path)
    options = replace(spec.options, target_accept=target_accept)
    datasets, seeds = [case.dataset for case in cases], [case.spec.fit_seed for case in cases]
    many = module_constant(sample, "fits", None)
    begin = time.perf_counter()
    if many is None:
        found = ((0, next(iter(sample(_sharing(cases[0], builder, "draws"), datasets, seeds, options)), None)),)
    else:
        found = many(builder, datasets, seeds, options, like=cases[0].form or cases[0].base, timeout=cases[0].timeout)
    for index, tree in found:
        if tree is None:
            raise FitError(f"{spec.sampler.path} returned no posterior; it must yield one tree for each dataset")
        if not isinstance(tree, FitError):
            tree.attrs["target_accept"] = target_accept
        own = getattr(tree, "attrs", {}).get("sampling_seconds") if len(cases) > 1 else None
        yield cases[index], tree, time.perf_counter() - begin if own is None else float(own)


def _do_steps(found: Fitted, case: Case, steps: Steps) -> Fitted:
    spec, tree = case.spec, found.tree
    hook = module_constant(import_target("model", spec.model.path), "pointwise", None)
    terms = steps.log_likelihood and (hook is not None or "log_likelihood" not in tree.children)
    if not (steps.prior_predictive or terms or steps.posterior_predictive):
        return found
    with _quiet():
        if terms:
            with found.timed("log_likelihood"):
                _add(tree, {"log_likelihood": _log_likelihood(case, tree)})
        if not (steps.prior_predictive or steps.posterior_predictive):
            return found
        model = _builder(spec)(case.dataset)
        if steps.prior_predictive:
            with found.timed("prior_predictive"):
                _add(tree, _prior_predictive(model, spec))
                _add(tree, _log_prior(model, tree))
        if steps.posterior_predictive:
            with found.timed("posterior_predictive"):
                _add(tree, _posterior_predictive(model, spec, tree))
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyMC from announcing each step on the worker's log."""
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _add(tree: xr.DataTree, groups: Mapping[str, xr.Dataset]) -> None:
    for name, dataset in groups.items():
        tree[name] = xr.DataTree(dataset)


def _prior_predictive(model: pm.Model, spec: FitSpec) -> dict[str, xr.Dataset]:
    import pymc as pm

    seed = named_seed(spec.fit_seed, "prior_predictive")
    drawn = pm.sample_prior_predictive(spec.steps.prior_draws, model=model, random_seed=seed)
    return {name: drawn[name].to_dataset() for name in ("prior", "prior_predictive") if name in drawn.children}


def _log_prior(model: pm.Model, tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Log density of the prior at the draws; a fit goes on without it, and says so (`Fitted.warnings`)."""
    try:
        return {"log_prior": log_prior(model, _free(model, tree))}
    except Exception as error:  # noqa: BLE001 - a prior of the user's may have any op, and may raise anything
        text = str(error).strip().splitlines() or [""]
        tree.attrs["log_prior_failed"] = f"{type(error).__name__}: {text[0]}"
        return {}


def _posterior_predictive(model: pm.Model, spec: FitSpec, tree: xr.DataTree) -> dict[str, xr.Dataset]:
    import pymc as pm

    seed = named_seed(spec.fit_seed, "posterior_predictive")
    drawn = pm.sample_posterior_predictive(
        _free(model, tree), model=model, random_seed=seed, progressbar=False, var_names=_observed(model)
    )
    return {"posterior_predictive": drawn["posterior_predictive"].to_dataset()}


def _observed(model: pm.Model) -> list[str]:
    return [str(rv.name) for rv in model.observed_RVs]


def _free(model: pm.Model, tree: xr.DataTree) -> xr.Dataset:
    """Draws of the free variables alone: Deterministics follow from them, and cost time to carry along."""
    return tree["posterior"].to_dataset()[[str(rv.name) for rv in model.free_RVs]]


def _log_likelihood(case: Case, tree: xr.DataTree) -> xr.Dataset:
    """Pointwise log-likelihood, by the model's own hook `pointwise(model, data)` where its module has one."""
    import pymc as pm

    hook = module_constant(import_target("model", case.spec.model.path), "pointwise", None)
    model = _sharing(case, functools.partial(with_terms, _builder(case.spec), hook), "terms")(case.dataset)
    posterior = _free(model, tree)
    if hook is None:
        draws = xr.DataTree.from_dict({"posterior": posterior})
        found: xr.Dataset = pm.compute_log_likelihood(draws, model=model, extend_inferencedata=False, progressbar=False)
        return found
    names = [name for name in model.named_vars if name.endswith(POINTWISE)]
    terms = pm.compute_deterministics(posterior, model=model, var_names=names, progressbar=False)
    terms = terms.rename({name: name.removesuffix(POINTWISE) for name in names}).assign_attrs(pointwise="hook")
    found = terms.map(lambda a: a.astype(np.float64), keep_attrs=True)
    return found


def with_terms(
    builder: Callable[[Dataset], pm.Model], hook: Callable[[pm.Model, Dataset], Mapping[str, Any]] | None, data: Dataset
) -> pm.Model:
    """Build a model, with the pointwise terms of its hook as Deterministics.

    Parameters
    ----------
    builder, data
        Of the model.
    hook
        ``pointwise(model, data)`` of the model's module; None: it has none, and the model is as it was built.

    Returns
    -------
    pm.Model
        Each term is called like its observed variable, with `POINTWISE` behind it.
    """
    import pymc as pm

    model = builder(data)
    if hook is not None:
        with model:
            for name, term in hook(model, data).items():
                pm.Deterministic(f"{name}{POINTWISE}", term, dims=model.named_vars_to_dims.get(name))
    return model
