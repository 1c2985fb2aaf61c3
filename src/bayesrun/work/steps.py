"""The workflow steps around the draws: predictive draws, log prior, pointwise log-likelihood.

They never change a draw: each has its own seed, and a step that is wanted later is added to the stored draws.
"""

from __future__ import annotations

import functools
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayesrun.base.imports import import_target, module_constant
from bayesrun.base.seeds import named_seed
from bayesrun.statistics.prior_sensitivity import log_prior
from bayesrun.work.building import builder_of, sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pymc as pm

    from bayesrun.types import Dataset, FitSpec, Steps
    from bayesrun.work.case import Case, Fitted

__all__ = ["POINTWISE", "do_steps", "with_terms"]

POINTWISE = "__pointwise"
"""What the names of a hook's terms end with while they are variables of the model."""


def do_steps(found: Fitted, case: Case, steps: Steps) -> Fitted:
    """Add the groups of the steps that are wanted to a posterior, and the time that they took."""
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
        model = builder_of(spec)(case.dataset)
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
    model = sharing(case, functools.partial(with_terms, builder_of(case.spec), hook), "terms")(case.dataset)
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
