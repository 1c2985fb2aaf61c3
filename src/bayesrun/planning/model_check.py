"""Whether a model can be fitted: it builds, twice alike, observes the data, and starts at a finite density."""

from __future__ import annotations

import contextlib
import dataclasses
import sysconfig
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.imports import import_target, module_constant, module_files
from bayesrun.base.shipped import PACKAGE
from bayesrun.base.source_code import executed, source_digest
from bayesrun.errors import BayesrunError, ConfigError, DataError
from bayesrun.planning.casts import casts, is_masked, masked, watched
from bayesrun.planning.columns_read import Read, noted, with_scales
from bayesrun.planning.prior_choice import NOTED, SCALED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pymc as pm

    from bayesrun.types import Cell, Dataset, Target

__all__ = ["Built", "build", "build_model", "check_discrete", "check_other", "probe", "source_of", "undoable"]

type Gaps = Sequence[np.ma.MaskedArray[Any, Any]]
"""Arrays with gaps that a builder handed over as such."""

type View = Callable[[Collection[str]], Dataset]
"""Gives the dataset of the rows that have the arrays that are used, in the form that the model wants."""


@dataclass(frozen=True)
class Built:
    """A model, what it uses of its dataset, and what its graph shows.

    Parameters
    ----------
    used
        Arrays that it reads, with those that undo their standardisation.
    coords
        Coords that it reads.
    dataset
        As it is stored: what is used, and what is kept; None: as it was given.
    """

    model: pm.Model
    fingerprint: str
    centred: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    conditioned: str = ""
    parts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    source: str = ""
    used: frozenset[str] = frozenset()
    coords: frozenset[str] = frozenset()
    dataset: Dataset | None = None


def build(
    target: Target, dataset: Dataset, view: View | None = None, known: Collection[str] = (), *, fitted: bool = True
) -> Built:
    """Build a model and check that it can be fitted.

    Parameters
    ----------
    target
        The model.
    dataset
        The rows that have the arrays in `known`, with all arrays.
    view
        Gives the same dataset, of the rows that have what the model turns out to use; None: they are given.
    known
        Arrays that count as used whether the builder reads them or not.
    fitted
        Whether it needs a log density; data can be drawn from a model without one.

    Raises
    ------
    ConfigError
        If it cannot, with the reason and the remedy.
    """
    from bayesrun.planning.fingerprint import (
        centred_variables,
        fingerprint,
        graph_parts,
        narrow_constants,
        observed_digest,
        shown_by,
    )
    from bayesrun.planning.hidden_code import ops_with_code
    from bayesrun.planning.predictor_scales import scale_warnings

    builder = import_target("model", target.path)
    model, dataset, read = _first(builder, target, dataset, view, frozenset(known))
    if not model.free_RVs:
        raise ConfigError(f"model={target.name}: it has no free variable, so there is nothing to fit")
    _check_dims(model, target.name)
    _check_names(model, target.name)
    used = with_scales(dataset, read.arrays | set(known)) if read.arrays else frozenset(dataset.arrays)
    own = dataset.only(used, read.coords)
    stored = dataset.only({*used, *dataset.origin.keep}, read.coords)
    again = _again(builder, target, stored, whole=own is dataset)
    try:
        shown = shown_by(model, fitted=fitted)
        found = fingerprint(builder, model, own, target.params, shown=shown)
        if own is not dataset and (again is None or not _same(found, model, again, own, fitted=fitted)):
            # it asks which columns there are, and without the others it would be another model
            used, own, stored = frozenset(dataset.arrays), dataset, dataset
            again = build_model(builder, target, dataset)
            found = fingerprint(builder, model, dataset, target.params, shown=shown)
        hidden = [] if found.startswith("-") else ops_with_code(shown.outputs)
        if hidden:
            with executed() as files:
                build_model(builder, target, stored)
            files |= set(module_files(target.path, builder))
            found = fingerprint(builder, model, own, target.params, files=files, shown=shown)
    except Exception as error:  # shapes that are known before anything is evaluated, and do not fit
        if drawn := _only_drawn(model):
            raise ConfigError(
                f"model={target.name}: {', '.join(drawn)} is a CustomDist without logp: it can be drawn, as "
                f"study.generator={target.name}, and not fitted; give it logp=FUNCTION or dist=FUNCTION"
            ) from error
        raise ConfigError(f"model={target.name}: its log density cannot be written down: {_where(error)}") from error
    assert again is not None
    if not _same(found, model, again, own, fitted=fitted):
        raise ConfigError(
            f"model={target.name}: two builds of it differ, so a fit could not be found again; give the random numbers "
            "that it draws a fixed seed"
        )
    notes = (
        *([_untold(target.name, hidden)] if hidden else []),
        *_without_terms(model, target.name),
        *_unread(target.name, dataset, read),
        *_imputed(model, target.name),
        *_scaled(builder, target, own),
    )
    warnings = [
        f"model={target.name}: {name} computes with a narrow integer, which overflows silently; write the number "
        "as a float (36.0)"
        for name in narrow_constants(model)
    ]
    if model.potentials and model.observed_RVs:
        names = ", ".join(str(p.name) for p in model.potentials)
        warnings.append(f"model={target.name}: LOO and predictive checks do not see the Potential {names}")
    warnings += [f"model={target.name}: {line}" for line in scale_warnings(model, own)]
    centred = {name: tuple(parents) for name, parents in centred_variables(model).items()}
    return Built(
        model,
        found,
        centred,
        tuple(warnings),
        notes,
        observed_digest(model),
        graph_parts(model, shown),
        source_of(target),
        used,
        frozenset(read.coords),
        stored,
    )


def _same(fingerprint: str, model: pm.Model, again: pm.Model, dataset: Dataset, *, fitted: bool) -> bool:
    """Whether a second build of a model is the same as the first, which has that fingerprint."""
    from bayesrun.planning.fingerprint import built_alike, graph_digest, shown_by

    if fingerprint.startswith("-") and built_alike(model, again):
        return True
    return fingerprint.endswith(graph_digest(again, dataset, shown_by(again, fitted=fitted)))


def _only_drawn(model: pm.Model) -> list[str]:
    """Name the variables of a model that have a way to draw and no density."""
    from pymc.distributions.custom import CustomDistRV

    found = []
    for rv in model.basic_RVs:
        if isinstance(rv.owner.op, CustomDistRV):
            try:
                model.logp(vars=[rv], sum=False)
            except NotImplementedError:
                found.append(str(rv.name))
    return found


def source_of(model: Target) -> str:
    """Digest of the source that a model is built by; of a shipped one its name, since a version says which it is.

    Empty where it cannot be read: of a module in an archive, or of a file that is gone or half edited since its import.
    """
    if model.path.startswith("bayesrun."):
        return model.path
    builder = import_target("model", model.path)
    try:
        return source_digest(builder, module_files(model.path, builder))
    except (OSError, SyntaxError, ValueError):
        return ""


def _untold(name: str, hidden: Sequence[str]) -> str:
    return (
        f"model={name}: {', '.join(hidden)} holds Python code that no graph shows: any edit of what it can reach, any "
        "parameter and any value of the data makes its fits anew"
    )


def _without_terms(model: pm.Model, name: str) -> list[str]:
    """Say what a fit lacks whose model observes nothing."""
    if model.observed_RVs:
        return []
    if not model.potentials:
        return [f"model={name} observes nothing, so that its fits have no log_likelihood, LOO or posterior_predictive"]
    names = ", ".join(str(potential.name) for potential in model.potentials)
    return [
        f"model={name} observes nothing but what the Potential {names} may see, of which no terms are known and "
        "nothing can be drawn: its fits have no log_likelihood, LOO or posterior_predictive (a likelihood that is a "
        "CustomDist with logp and random has), and draws from the prior leave it out"
    ]


def _unread(name: str, dataset: Dataset, read: Read) -> list[str]:
    """Say where a model stands beside data that it does not look at."""
    if not dataset.arrays or read.arrays or read.coords:
        return []
    return [f"model={name} reads nothing of data={dataset.name}; data=none leaves it out of the study"]


def _scaled(builder: Callable[..., Any], target: Target, dataset: Dataset) -> list[str]:
    """Say which priors a model takes from the data, where its module has a function `scaled_priors`."""
    told = module_constant(builder, "scaled_priors", None) if target.path.endswith(f".{SCALED}") else None
    return [] if told is None else [f"model={target.name}: {NOTED}{', '.join(told(dataset, **target.params))}"]


def _imputed(model: pm.Model, name: str) -> list[str]:
    """Say what of the outcome is drawn since it is missing."""
    from bayesrun.simulate.refusals import imputed
    from bayesrun.simulate.values import shapes

    return [
        f"model={name}: {count} of the values that {whole} observes {'are' if count > 1 else 'is'} missing and drawn "
        f"with the parameters, as {whole}_unobserved; LOO is over the others"
        for whole in imputed(model)
        for count in [int(np.prod(shapes([model[f"{whole}_unobserved"]])[0]))]
    ]


def _again(builder: Callable[..., Any], target: Target, stored: Dataset, *, whole: bool) -> pm.Model | None:
    """Build a model on what a worker will find; None where that fails for want of other columns."""
    try:
        return build_model(builder, target, stored)
    except BayesrunError:
        if whole:
            raise
        return None


def _first(
    builder: Callable[..., Any], target: Target, dataset: Dataset, view: View | None, known: frozenset[str]
) -> tuple[pm.Model, Dataset, Read]:
    """Build a model for the first time, find what it uses, and check the data by what it makes of them.

    What a model reads must be there; gaps in other columns do not stop it. What it observes must be what was read.

    Returns
    -------
    model : pm.Model
        As it was built.
    dataset : Dataset
        Of the rows that have all that is used, with all arrays.
    read : Read
        What the builder and the hook for pointwise terms read of it.
    """
    used = known
    while True:
        failed = model = None
        seen, read = noted(dataset)
        with watched() as given, masked() as gaps:
            try:
                model = build_model(builder, target, seen)
            except BayesrunError as error:
                failed = error
        _ask_hook(builder, target, seen, failed)
        if view is None or read.arrays <= used:
            break
        used |= read.arrays
        try:
            rows = view(used)
        except DataError as error:
            raise error from failed
        same = rows.only(used).digest() == dataset.only(used).digest()
        dataset = rows
        if same:
            break
    _check_read(target, dataset, read, model, gaps, failed)
    if model is None:
        assert failed is not None
        raise failed
    if changed := casts(model, given, {name: dataset.arrays[name] for name in dataset if name in read.arrays}):
        raise DataError("\n".join(f"model={target.name}: {line}" for line in changed))
    return model, dataset, read


def _check_read(
    target: Target, dataset: Dataset, read: Read, model: pm.Model | None, gaps: Gaps, failed: BayesrunError | None
) -> None:
    """Check the arrays that a builder read; `failed` is what it raised on them."""
    from bayesrun.data import check_values
    from bayesrun.data.hints import override
    from bayesrun.simulate.refusals import imputed

    try:
        check_values(_closed(dataset, gaps), [name for name in dataset if name in read.arrays])
    except DataError as error:
        hint = ""
        if model is not None and imputed(model):
            hint = (
                f". Or have PyMC draw what is missing of {', '.join(imputed(model))} as a parameter: "
                "observed=np.ma.masked_invalid(data[...])"
            )
        if len(dataset) > 1 and read.arrays >= set(dataset):
            hint += f". The model reads every column; name those that it needs: {override({'ARRAY': 'COLUMN'})}"
        raise DataError(f"model={target.name} data={dataset.name}: {error}{hint}") from failed


def _closed(dataset: Dataset, gaps: Gaps) -> Dataset:
    """Return a dataset as it is checked: with numbers in the gaps that the model is to draw."""
    drawn = {name: np.nan_to_num(array, nan=0.0) for name, array in dataset.arrays.items() if is_masked(array, gaps)}
    return dataclasses.replace(dataset, arrays={**dataset.arrays, **drawn}) if drawn else dataset


def _ask_hook(builder: Callable[..., Any], target: Target, seen: Dataset, failed: BayesrunError | None) -> None:
    """Run a model's own hook for its pointwise terms on a model of its own, so that what it reads is noted."""
    hook = module_constant(builder, "pointwise", None)
    if hook is None or failed is not None:
        return
    with contextlib.suppress(Exception), build_model(builder, target, seen) as model:
        hook(model, seen)


def build_model(builder: Callable[..., Any], target: Target, dataset: Dataset) -> pm.Model:
    """Build a model.

    Raises
    ------
    ConfigError
        If the builder fails or returns something else, with the place in the user's file.
    """
    import pymc as pm

    from bayesrun.simulate.builders import bound_builder

    try:
        model = bound_builder(builder, target.params)(dataset)
    except BayesrunError as error:
        raise type(error)(f"model={target.name}: {error}") from error
    except (Exception, SystemExit) as error:  # a user's builder may raise anything
        raise ConfigError(f"model={target.name}: {target.path} failed: {_where(error)}") from error
    if not isinstance(model, pm.Model):
        raise ConfigError(f"model={target.name}: {target.path} returned {type(model).__name__}; wanted a pm.Model")
    return model


def _where(error: BaseException) -> str:
    """Type and text of an error, and the last place in a file that is neither a library's nor bayesrun's."""
    library = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), str(PACKAGE), "<")
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


def undoable(model: pm.Model, cell: Cell) -> list[str]:
    """Say which steps that a cell asks for cannot be done with its model, as far as the graph shows it."""
    from bayesrun.simulate.refusals import undrawable

    steps = {"prior_predictive": False, "posterior_predictive": True}
    reasons = {step: undrawable(model, given_free=given) for step, given in steps.items() if getattr(cell.steps, step)}
    return [
        f"model={cell.model.name}: no {step}, which cannot be done: {'; '.join(why)} (steps.{step}=false leaves it out)"
        for step, why in reasons.items()
        if why
    ]


def _check_dims(model: pm.Model, name: str) -> None:
    """Find coords that are not as long as the values along them: PyMC would say so only after the draws."""
    lengths = {dim: len(labels) for dim, labels in model.coords.items() if labels is not None}
    for variable, shape in _shapes(model).items():
        for dim, size in zip(model.named_vars_to_dims.get(variable, ()), shape, strict=False):
            if size is not None and lengths.get(dim, size) != size:
                raise ConfigError(
                    f"model={name}: {variable} has {size} values along dim {dim!r}, which has {lengths[dim]} coords; "
                    "give one coord for each value, counted from the data: range(len(data[...])), not a fixed number"
                )


def _shapes(model: pm.Model) -> dict[str, tuple[int | None, ...]]:
    """Shapes of the observed values and of what has dims, as far as they can be told without drawing."""
    from bayesrun.planning.densities import shapes_as_written
    from bayesrun.simulate.values import shapes

    known = {str(rv.name): tuple(model.rvs_to_values[rv].type.shape) for rv in model.observed_RVs}
    rest = [v for v in (*model.free_RVs, *model.deterministics) if model.named_vars_to_dims.get(v.name)]
    known |= {str(v.name): tuple(v.type.shape) for v in rest}
    open_ones = [v for v in rest if None in v.type.shape]
    with contextlib.suppress(Exception):  # an op without a shape of its own, or one that fails: the probe tells
        found = shapes_as_written(open_ones) or shapes(open_ones)
        known |= {str(v.name): shape for v, shape in zip(open_ones, found, strict=True)}
    return known


def check_other(target: Target, dataset: Dataset, what: str) -> None:
    """Check that a model can be built and evaluated on another dataset of its study than the one it was checked with.

    Parameters
    ----------
    target
        The model.
    dataset
        Simulated, or joined to the observed one.
    what
        What the dataset is, for the message.

    Raises
    ------
    ConfigError
        If it cannot, with the place in the user's file. That its density is not finite there is no fault: data may be
        extreme.
    """
    try:
        model = build_model(import_target("model", target.path), target, dataset)
        _check_dims(model, target.name)
        _start(model, target.name)
    except BayesrunError as error:
        raise ConfigError(f"{error} (on {what}, {_size(dataset)}, as this study fits it)") from error


def _size(dataset: Dataset) -> str:
    rows = max((len(array) for array in dataset.values() if np.ndim(array)), default=0)
    return f"{rows} rows"


def _check_names(model: pm.Model, name: str) -> None:
    """Refuse variables that are called like a dim: the file of draws has one thing of each name."""
    dims = {"chain", "draw"} | {str(dim) for along in model.named_vars_to_dims.values() for dim in along}
    variables = [*model.free_RVs, *model.deterministics, *model.observed_RVs]
    if taken := [str(v.name) for v in variables if v.name in dims]:
        raise ConfigError(
            f"model={name}: {', '.join(taken)} is a variable and a dim of draws; give the variable another name (a "
            "column of a formula: by data.columns)"
        )


def probe(model: pm.Model, name: str) -> None:
    """Evaluate the log density at the start, one term for each variable, without compiling.

    Raises
    ------
    ConfigError
        If a term is not finite: the variable, the value, and what usually causes it.
    """
    bad = [f"{term} ({np.sum(v):g})" for term, v in _start(model, name).items() if not np.all(np.isfinite(v))]
    if bad:
        raise ConfigError(
            f"model={name}: the log density is not finite at the start for {', '.join(bad)}; check that the data lie "
            "in the support of the likelihood and that priors have positive scales"
        )


def _start(model: pm.Model, name: str) -> dict[str, np.ndarray]:
    """Evaluate the terms of the log density at the start, by name.

    Raises
    ------
    ConfigError
        If they cannot be.
    """
    from bayesrun.planning.densities import start_of

    names = [str(rv.name) for rv in model.basic_RVs] + [str(p.name) for p in model.potentials]
    try:
        values = start_of(model)
    except Exception as error:  # an op of the model may raise anything when it is evaluated
        where = _where(error)
        raise ConfigError(f"model={name}: its log density cannot be evaluated at the start: {where}") from error
    return dict(zip(names, values, strict=False))
