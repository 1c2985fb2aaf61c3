"""Whether a model can be fitted: it builds, twice alike, observes something, and starts at a finite density."""

from __future__ import annotations

import sysconfig
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.errors import BayesrunError, ConfigError
from bayesrun.targets import import_target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pymc as pm

    from bayesrun.types import Cell, Dataset, Target

__all__ = ["Built", "build", "build_model", "check_discrete", "probe"]


@dataclass(frozen=True)
class Built:
    """A model and what its graph shows."""

    model: pm.Model
    fingerprint: str
    observed_hash: str
    centred: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...]


def build(target: Target, dataset: Dataset) -> Built:
    """Build a model and check that it can be fitted.

    Raises
    ------
    ConfigError
        If it cannot, with the reason and the remedy.
    """
    from bayesrun.fingerprint import centred_variables, fingerprint, graph_digest, narrow_constants, observed_digest

    builder = import_target("model", target.path)
    model = build_model(builder, target, dataset)
    if not model.observed_RVs:
        raise ConfigError(
            f"model={target.name}: no variable is observed, so there is nothing to fit; give one observed=data[...] "
            "(write a likelihood that is a Potential alone as a CustomDist)"
        )
    if not model.free_RVs:
        raise ConfigError(f"model={target.name}: it has no free variable, so there is nothing to fit")
    _check_dims(model, target.name)
    found = fingerprint(builder, model)
    if not found.endswith(graph_digest(build_model(builder, target, dataset))):
        raise ConfigError(
            f"model={target.name}: two builds of it differ, so a fit could not be found again; give the random numbers "
            "that it draws a fixed seed"
        )
    warnings = [
        f"model={target.name}: {name} computes with a narrow integer, which overflows silently; write the number "
        "as a float (36.0)"
        for name in narrow_constants(model)
    ]
    if model.potentials:
        names = ", ".join(str(p.name) for p in model.potentials)
        warnings.append(f"model={target.name}: LOO and predictive checks do not see the Potential {names}")
    centred = {name: tuple(parents) for name, parents in centred_variables(model).items()}
    return Built(model, found, observed_digest(model), centred, tuple(warnings))


def build_model(builder: Callable[..., Any], target: Target, dataset: Dataset) -> pm.Model:
    """Build a model.

    Raises
    ------
    ConfigError
        If the builder fails or returns something else, with the place in the user's file.
    """
    import pymc as pm

    try:
        model = builder(dataset, **target.params)
    except BayesrunError as error:
        raise type(error)(f"model={target.name}: {error}") from error
    except (Exception, SystemExit) as error:  # a user's builder may raise anything
        raise ConfigError(f"model={target.name}: {target.path} failed: {_where(error)}") from error
    if not isinstance(model, pm.Model):
        raise ConfigError(f"model={target.name}: {target.path} returned {type(model).__name__}; wanted a pm.Model")
    return model


def _where(error: BaseException) -> str:
    """Type and text of an error, and the last place in a file that is no library's."""
    library = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), __file__, "<")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(library)]
    place = f" (line {frames[-1].lineno} of {frames[-1].filename})" if frames else ""
    text = str(error).splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}{place}"


def check_discrete(model: pm.Model, cell: Cell, discrete: bool) -> None:
    """Refuse discrete free variables where the sampler cannot draw them."""
    whole = [str(rv.name) for rv in model.free_RVs if np.issubdtype(rv.dtype, np.integer) or rv.dtype == "bool"]
    if whole and not discrete:
        raise ConfigError(
            f"model={cell.model.name} sampler={cell.sampler.name}: {', '.join(whole)} cannot be sampled, being "
            "discrete; use sampler=metropolis or sampler=smc, or sum it out of the model"
        )


def _check_dims(model: pm.Model, name: str) -> None:
    """Find coords that are not as long as the data: PyMC would say so only after the draws."""
    lengths = {dim: len(labels) for dim, labels in model.coords.items() if labels is not None}
    for rv in model.observed_RVs:
        for dim, size in zip(
            model.named_vars_to_dims.get(rv.name, ()), model.rvs_to_values[rv].type.shape, strict=False
        ):
            if size is not None and lengths.get(dim, size) != size:
                raise ConfigError(
                    f"model={name}: {rv.name} has {size} values along dim {dim!r}, which has {lengths[dim]} coords; "
                    "give one coord for each value"
                )


def probe(model: pm.Model, name: str) -> None:
    """Evaluate the log density at the start, one term for each variable, without compiling.

    Raises
    ------
    ConfigError
        If a term is not finite: the variable, the value, and what usually causes it.
    """
    import pytensor
    from pytensor.compile.mode import Mode

    names = [str(rv.name) for rv in model.basic_RVs] + [str(p.name) for p in model.potentials]
    mode = Mode(linker="py", optimizer="fast_compile")
    try:
        point = model.initial_point(random_seed=0)
        terms = model.logp(sum=False)
        function = pytensor.function(model.value_vars, terms, mode=mode, on_unused_input="ignore")
        values = function(*(point[str(v.name)] for v in model.value_vars))
    except Exception as error:  # an op of the model may raise anything when it is evaluated
        where = _where(error)
        raise ConfigError(f"model={name}: its log density cannot be evaluated at the start: {where}") from error
    bad = [f"{n} ({np.sum(v):g})" for n, v in zip(names, values, strict=False) if not np.all(np.isfinite(v))]
    if bad:
        raise ConfigError(
            f"model={name}: the log density is not finite at the start for {', '.join(bad)}; check that the data lie "
            "in the support of the likelihood and that priors have positive scales"
        )
