"""data -> model -> sample for one fit, and the workflow steps around the draws. No files.

The steps never change a draw: each has its own seed, and a step that is wanted later is added to the
stored draws.
"""

from __future__ import annotations

import functools
import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayesrun.errors import FitError
from bayesrun.fingerprint import graph_digest
from bayesrun.seeds import named_seed
from bayesrun.targets import import_target, module_constant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pymc as pm

    from bayesrun.types import Dataset, FitSpec, Steps

__all__ = ["Fitted", "complete", "fit"]


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
    """

    tree: xr.DataTree
    seconds: dict[str, float] = field(default_factory=dict)
    attempts: tuple[Mapping[str, float], ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """For people: what the attempts say, also of a fit that is completed later."""
        if len(self.attempts) < 2:
            return ()
        told = ", ".join(f"{a['target_accept']:g}: {a['n_divergent']:.0f} divergences" for a in self.attempts)
        return (f"target_accept was raised because of divergences ({told})",)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def fit(spec: FitSpec, dataset: Dataset) -> Fitted:
    """Draw from the posterior of one dataset and do the workflow's steps.

    Parameters
    ----------
    spec
        The recipe.
    dataset
        What its model is conditioned on.

    Raises
    ------
    FitError
        If the sampler returns nothing, or the model is no longer the one that was planned.
    """
    builder = _builder(spec)
    model = _planned(builder(dataset), spec)
    return _do_steps(_draw(spec, builder, dataset), spec, model, dataset, spec.steps)


def complete(tree: xr.DataTree, had: Steps, spec: FitSpec, dataset: Dataset) -> Fitted:
    """Do the steps that a stored posterior lacks; its draws stay as they are."""
    repeat = spec.steps.prior_draws != had.prior_draws
    missing = replace(
        spec.steps,
        prior_predictive=spec.steps.prior_predictive and (repeat or not had.prior_predictive),
        posterior_predictive=spec.steps.posterior_predictive and not had.posterior_predictive,
        log_likelihood=spec.steps.log_likelihood and not had.log_likelihood,
    )
    return _do_steps(Fitted(tree), spec, _planned(_builder(spec)(dataset), spec), dataset, missing)


def _planned(model: pm.Model, spec: FitSpec) -> pm.Model:
    """Refuse a model that is not the planned one: its file was edited meanwhile, or this node has another version."""
    if spec.fingerprint and graph_digest(model) != spec.fingerprint.rpartition("-")[2]:
        raise FitError(
            f"{spec.model.path} builds another model here than when the plan was made: its source changed meanwhile, "
            "this node has another version of it, or it draws random numbers; run the command again"
        )
    return model


def _builder(spec: FitSpec) -> Callable[[Dataset], pm.Model]:
    return functools.partial(import_target("model", spec.model.path), **spec.model.params)


def _draw(spec: FitSpec, builder: Callable[[Dataset], pm.Model], dataset: Dataset) -> Fitted:
    """Draw, and draw again with a larger target_accept while a fit diverges, as far as the recipe allows."""
    limit = 0 if spec.divergence_limit is None else spec.divergence_limit
    levels = [spec.options.target_accept, *(a for a in spec.options.escalate if a > spec.options.target_accept)]
    attempts: list[Mapping[str, float]] = []
    started = time.perf_counter()
    for level in levels:
        begin = time.perf_counter()
        tree = _sample(spec, builder, dataset, level)
        diverging = int(tree["sample_stats"]["diverging"].sum()) if "diverging" in tree["sample_stats"] else 0
        attempts.append(
            {"target_accept": level, "n_divergent": float(diverging), "seconds": time.perf_counter() - begin}
        )
        if diverging <= limit:
            break
    return Fitted(tree, {"sample": time.perf_counter() - started}, tuple(attempts) if len(levels) > 1 else ())


def _sample(
    spec: FitSpec, builder: Callable[[Dataset], pm.Model], dataset: Dataset, target_accept: float
) -> xr.DataTree:
    sample = import_target("sampler", spec.sampler.path)
    options = replace(spec.options, target_accept=target_accept)
    tree: xr.DataTree | None = next(iter(sample(builder, [dataset], [spec.fit_seed], options)), None)
    if tree is None:
        raise FitError(f"{spec.sampler.path} returned no posterior; it must yield one tree for each dataset")
    tree.attrs["target_accept"] = target_accept
    return tree


def _do_steps(found: Fitted, spec: FitSpec, model: pm.Model, dataset: Dataset, steps: Steps) -> Fitted:
    with _quiet():
        if steps.prior_predictive:
            with found.timed("prior_predictive"):
                _add(found.tree, _prior_predictive(model, spec))
        if steps.log_likelihood:
            with found.timed("log_likelihood"):
                _add(found.tree, {"log_likelihood": _log_likelihood(model, spec, dataset, found.tree)})
        if steps.posterior_predictive:
            with found.timed("posterior_predictive"):
                _add(found.tree, _posterior_predictive(model, spec, found.tree))
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


def _log_likelihood(model: pm.Model, spec: FitSpec, dataset: Dataset, tree: xr.DataTree) -> xr.Dataset:
    """Pointwise log-likelihood, by the model's own hook `pointwise(model, data)` where its module has one."""
    import pymc as pm

    hook = module_constant(import_target("model", spec.model.path), "pointwise", None)
    posterior = _free(model, tree)
    if hook is None:
        draws = xr.DataTree.from_dict({"posterior": posterior})
        terms: xr.Dataset = pm.compute_log_likelihood(draws, model=model, extend_inferencedata=False, progressbar=False)
        return terms
    with model:
        marked = {
            f"{name}__pointwise": pm.Deterministic(f"{name}__pointwise", term, dims=model.named_vars_to_dims.get(name))
            for name, term in hook(model, dataset).items()
        }
        values = pm.compute_deterministics(posterior, model=model, var_names=list(marked), progressbar=False)
    values = values.rename({name: name.removesuffix("__pointwise") for name in marked})
    found: xr.Dataset = values.assign_attrs(pointwise="hook").map(lambda a: a.astype(np.float64), keep_attrs=True)
    return found
