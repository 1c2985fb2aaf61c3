"""The workflow steps around the draws: predictive draws, log prior, pointwise log-likelihood.

They never change a draw: each has its own seed, and a step that is wanted later is added to the stored draws. What
becomes of one that fails is left to who calls them.
"""

from __future__ import annotations

import functools
import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayesrun.base.imports import import_target, module_constant
from bayesrun.base.messages import first_line, in_one_line
from bayesrun.base.recent import Recent
from bayesrun.base.seeds import named_seed
from bayesrun.samplers.groups import anyhow, without_deterministics
from bayesrun.statistics.prior_sensitivity import log_prior
from bayesrun.types import BESIDE, LEFT, PSEUDO, canonical_json
from bayesrun.work.attempts import Unguarded
from bayesrun.work.building import builder_of, sharing, sharing_arrays
from bayesrun.work.by_draw import collected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pymc as pm

    from bayesrun.types import Dataset, FitSpec, Steps
    from bayesrun.work.attempts import Attempts
    from bayesrun.work.case import Case, Fitted

__all__ = ["POINTWISE", "do_steps", "each_step", "left_for_later", "with_terms"]

POINTWISE = "__pointwise"
"""What the names of a hook's terms end with while they are variables of the model."""


_judged: Recent[str, tuple[dict[str, str], dict[str, str]]] = Recent(64)


def do_steps(found: Fitted, case: Case, steps: Steps, attempt: Attempts | Unguarded | None = None) -> Fitted:
    """Add the groups of the steps that are wanted to a posterior, and the time that they took.

    Parameters
    ----------
    found, case
        The posterior, and what it is of.
    steps
        Which.
    attempt
        Does each of them; None: they raise.
    """
    for _ in each_step(found, case, steps, attempt or Unguarded()):
        pass
    return found


def each_step(found: Fitted, case: Case, steps: Steps, attempt: Attempts | Unguarded) -> Iterator[str]:
    """Do what `do_steps` does, and give the name of each step before it is done."""
    spec, tree = case.spec, found.tree
    hook = module_constant(import_target("model", spec.model.path), "pointwise", None)
    model = functools.cache(lambda: builder_of(spec)(case.dataset))
    shared = functools.cache(lambda: sharing_arrays(case, builder_of(spec)))
    if hook is None and "log_likelihood" in tree.children:  # which a batched sampler has worked out
        _keep_densities(tree, *_judgement(spec, model))

    def predicted(draw: Callable[[pm.Model, FitSpec, xr.DataTree], dict[str, xr.Dataset]]) -> dict[str, xr.Dataset]:
        """Draw by a model that shares what is compiled, or by the plain one, which says what is wrong with it."""
        try:
            return draw(shared(), spec, tree)
        except Exception:  # noqa: BLE001 - an op may want to know an array
            return draw(model(), spec, tree)

    terms = steps.log_likelihood and (hook is not None or "log_likelihood" not in tree.children)
    wanted: list[tuple[str, str, Callable[[], Mapping[str, xr.Dataset]]]] = [
        (f"deterministic {name}", "deterministics", functools.partial(_with_deterministic, model, tree, name))
        for name in left_for_later(tree)
    ]
    if terms:
        wanted.append(("log_likelihood", "log_likelihood", lambda: {"log_likelihood": _log_likelihood(case, tree)}))
    if steps.prior_predictive:
        wanted.append(("prior_predictive", "prior_predictive", lambda: predicted(_prior_predictive)))
        wanted.append(("log_prior", "prior_predictive", lambda: _log_prior(model(), tree)))
    if steps.posterior_predictive:
        stage = "posterior_predictive"
        wanted.append((stage, stage, lambda: predicted(_posterior_predictive)))
    for name, stage, make in wanted:
        yield name
        with _quiet(), collected(), found.timed(stage):
            _add(tree, attempt(name, make, may_lack=True) or {})


def left_for_later(tree: xr.DataTree) -> list[str]:
    """Name the Deterministics that are still to be worked out, since one of them broke the drawing."""
    return list(filter(None, str(tree.attrs.get(LEFT, "")).split("\n")))


def _with_deterministic(model: Callable[[], pm.Model], tree: xr.DataTree, name: str) -> dict[str, xr.Dataset]:
    values = _deterministic(model(), _free(model(), tree), name)
    tree.attrs[LEFT] = "\n".join(other for other in left_for_later(tree) if other != name)
    return {"posterior": tree["posterior"].to_dataset().assign({name: values})}


def _deterministic(model: pm.Model, draws: xr.Dataset, name: str) -> xr.DataArray:
    import pymc as pm

    free = draws[[str(rv.name) for rv in model.free_RVs]]
    found: xr.Dataset = pm.compute_deterministics(free, model=model, var_names=[name], progressbar=False)
    return found[name]


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


def _prior_predictive(model: pm.Model, spec: FitSpec, tree: xr.DataTree) -> dict[str, xr.Dataset]:
    _refuse_undrawable(model, given_free=False)
    seed = named_seed(spec.fit_seed, "prior_predictive")
    with warnings.catch_warnings():
        # the plan has said that predictive draws do not see it
        warnings.filterwarnings("ignore", message="The effect of Potentials", category=UserWarning)
        drawn = _prior_draws(model, spec.steps.prior_draws, seed)
    groups = {name: drawn[name].to_dataset() for name in ("prior", "prior_predictive") if name in drawn.children}
    groups = {name: group for name, group in groups.items() if group.data_vars}
    failed = {}
    for name in [variable.name for variable in model.deterministics if variable.name not in groups["prior"]]:
        try:
            groups["prior"][name] = _deterministic(model, groups["prior"], name)
        except Exception as error:  # noqa: BLE001 - the draws of the others are there
            failed[name] = in_one_line(error)
    tree.attrs["prior_without"] = "; ".join(f"{name} ({why})" for name, why in failed.items())
    return groups


def _prior_draws(model: pm.Model, count: int, seed: int) -> xr.DataTree:
    """Draw from the prior.

    Raises
    ------
    NotImplementedError
        If the prior allows parameters at which a distribution of PyMC does not draw.
    """
    import pymc as pm

    from bayesrun.simulate.draws import UNDRAWABLE

    def draws(**own: Any) -> xr.DataTree:
        found: xr.DataTree = pm.sample_prior_predictive(count, model=model, random_seed=seed, **own)
        return found

    try:
        return anyhow(model, draws)
    except (*UNDRAWABLE, pm.exceptions.TruncationError) as error:
        if name := _refused(model, draws):
            raise NotImplementedError(
                f"{name} cannot be drawn at some parameters that the prior allows: {first_line(error)}; narrower "
                "priors leave these out"
            ) from error
        raise


def _refused(model: pm.Model, draws: Callable[..., object]) -> str:
    """Draw the same again by a linker that knows what raised, and name it if it is a distribution of PyMC."""
    import pytensor

    from bayesrun.simulate.programs import MODE, plain
    from bayesrun.simulate.refusals import refused_by

    with plain(), pytensor.config.change_flags(exception_verbosity="medium"), without_deterministics(model):
        try:
            draws(compile_kwargs={"mode": MODE})
        except Exception as error:  # noqa: BLE001 - whatever raises in a user's model
            return refused_by(model, error)
    return ""


def _log_prior(model: pm.Model, tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Log density of the prior at the draws; a fit goes on without it, and says so (`Fitted.warnings`)."""
    try:
        return {"log_prior": log_prior(model, _free(model, tree))}
    except Exception as error:  # noqa: BLE001 - a prior of the user's may have any op, and may raise anything
        tree.attrs["log_prior_failed"] = in_one_line(error)
        return {}


def _posterior_predictive(model: pm.Model, spec: FitSpec, tree: xr.DataTree) -> dict[str, xr.Dataset]:
    import pymc as pm

    _refuse_unobserved(model)
    _refuse_undrawable(model, given_free=True)
    seed = named_seed(spec.fit_seed, "posterior_predictive")
    free, wanted = _free(model, tree), _observed(model)
    drawn = pm.sample_posterior_predictive(
        free,
        model=model,
        random_seed=seed,
        progressbar=False,
        var_names=wanted,
        freeze_vars=[str(name) for name in free if name not in wanted],  # whatever of their priors is no constant
    )
    return {"posterior_predictive": drawn["posterior_predictive"].to_dataset()}


def _refuse_undrawable(model: pm.Model, *, given_free: bool) -> None:
    from bayesrun.simulate.refusals import undrawable

    if reasons := undrawable(model, given_free=given_free):
        raise NotImplementedError("; ".join(reasons))


def _refuse_unobserved(model: pm.Model) -> None:
    if not model.observed_RVs:
        raise NotImplementedError("the model observes nothing")


def _judgement(spec: FitSpec, model: Callable[[], pm.Model]) -> tuple[dict[str, str], dict[str, str]]:
    """Find terms that are no log densities, and what there is beside terms: once for all fits of one meaning."""
    from bayesrun.planning.loo_comparable import pseudo_likelihoods, unseen_potentials

    return _judged.get(
        canonical_json([spec.model, spec.fingerprint]),
        lambda: (pseudo_likelihoods(model()), unseen_potentials(model())),
    )


def _keep_densities(tree: xr.DataTree, pseudo: Mapping[str, str], beside: Mapping[str, str]) -> None:
    """Leave out of a log-likelihood what are no log densities, and say so; one of nothing else goes."""
    terms = tree["log_likelihood"].to_dataset()
    left = terms.drop_vars([name for name in pseudo if name in terms])
    if left.data_vars:
        tree["log_likelihood"] = xr.DataTree(_told(left, pseudo, beside))
    else:
        del tree["log_likelihood"]


def _told(terms: xr.Dataset, pseudo: Mapping[str, str], beside: Mapping[str, str]) -> xr.Dataset:
    said = {
        name: "\n".join(f"{v}\t{why}" for v, why in of.items()) for name, of in ((PSEUDO, pseudo), (BESIDE, beside))
    }
    return terms.assign_attrs({name: text for name, text in said.items() if text})


def _observed(model: pm.Model) -> list[str]:
    """Name what is predicted: what is observed, and with what is missing of it the whole."""
    from bayesrun.simulate.refusals import imputed

    return [*(str(rv.name) for rv in model.observed_RVs), *imputed(model)]


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
        _refuse_unobserved(model)
        pseudo, beside = _judgement(case.spec, lambda: model)
        proper = [str(rv.name) for rv in model.observed_RVs if rv.name not in pseudo]
        if not proper:
            raise NotImplementedError("; ".join(pseudo.values()))
        draws = xr.DataTree.from_dict({"posterior": posterior})
        found: xr.Dataset = pm.compute_log_likelihood(
            draws, model=model, var_names=proper, extend_inferencedata=False, progressbar=False
        )
        return _told(found, pseudo, beside)
    names = [name for name in model.named_vars if name.endswith(POINTWISE)]
    terms = pm.compute_deterministics(posterior, model=model, var_names=names, progressbar=False)
    terms = terms.rename({name: name.removesuffix(POINTWISE) for name in names}).assign_attrs(pointwise="hook")
    found = terms.map(lambda a: a.astype(np.float64, copy=False), keep_attrs=True)
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
