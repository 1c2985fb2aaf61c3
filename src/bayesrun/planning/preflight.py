"""Cells -> checked cells: data loaded and hashed, each model built once, everything a user can get wrong found.

It runs on the driver and starts nothing. All problems of all cells are reported together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesrun.base.digits import against
from bayesrun.base.imports import bind, import_target, module_constant, sampler_constant, with_defaults
from bayesrun.base.spelling import did_you_mean
from bayesrun.dispatch.ray import check_address, check_local
from bayesrun.errors import BayesrunError, ConfigError, DataError
from bayesrun.planning.model_check import Built, build, check_discrete, probe, undoable
from bayesrun.types import Cell, CheckedCell, Dataset, DispatchOptions, Observed, Plan, Role, Target, canonical_json

if TYPE_CHECKING:
    from pathlib import Path

    import pymc as pm

__all__ = ["Checked", "check", "last_checks", "load_data"]


@dataclass(frozen=True)
class Checked:
    """What preflight found.

    Parameters
    ----------
    cells
        In the order of the design.
    models
        The model of each cell as it was built, by cell label.
    datasets
        The dataset of each cell, by cell label, and those that generators draw from (see `generators`).
    """

    cells: tuple[CheckedCell, ...]
    models: Mapping[str, pm.Model] = field(default_factory=dict)
    datasets: Mapping[str, Dataset] = field(default_factory=dict)

    def by_label(self) -> dict[str, Cell]:
        """Cells by their labels."""
        return {checked.cell.label: checked.cell for checked in self.cells}


def check(cells: Sequence[Cell], read: Callable[[Target], Dataset] | None = None) -> Checked:
    """Load the data, build each model once, and check samplers and parameters.

    Parameters
    ----------
    cells
        In the order of the design.
    read
        Gives the dataset of a target; None: its function does.

    Raises
    ------
    ConfigError
        With every problem of every cell, one or a few lines each.
    """
    problems: dict[str, None] = {}
    data = _Once(read or (lambda target: load_data(target)))
    models = _Once(lambda target, dataset: build(target, dataset))
    observed = _Once(_observed)
    checked, built, datasets = [], {}, {}
    for cell in cells:
        sampler = dataset = None
        with _noted(problems):
            sampler = _sampler(cell)
        with _noted(problems):
            dataset = data(cell.data)
        with _noted(problems):
            builder, model_target = _bound("model", cell.model, 1)
            if dataset is None:
                continue
            dataset = _conform(dataset, builder, cell)
            found = models(model_target, dataset, key=(model_target, dataset.digest()))
            if sampler is None:
                continue
            check_discrete(found.model, cell, sampler[3])
            _check_options(found.model, cell, sampler[0])
            about = (cell.data, cell.diagnostics.loo_var)
            terms = observed(builder, found.model, dataset, *about, key=(model_target, dataset.digest(), *about))
            bound = dataclasses.replace(cell, model=with_defaults(builder, model_target))
            dataset = dataset.noted(*_taken(model_target, dataset))
            checked.append(dataclasses.replace(_checked(bound, dataset, found, sampler), observed=terms))
            built[cell.label], datasets[cell.label] = found.model, dataset
    if problems:
        raise ConfigError("\n".join(problems))
    return Checked(tuple(checked), built, datasets)


@contextlib.contextmanager
def _noted(problems: dict[str, None]) -> Iterator[None]:
    """Note what is wrong and go on, so that a user sees everything at once."""
    try:
        yield
    except BayesrunError as error:
        problems |= dict.fromkeys(str(error).splitlines())


class _Once:
    """Calls a function once for each distinct recipe; an error is raised again for each cell that meets it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.values = function, dict[str, Any]()

    def __call__(self, *arguments: Any, key: Any = None) -> Any:
        name = canonical_json(key or arguments)
        if name not in self.values:
            try:
                self.values[name] = self.function(*arguments)
            except BayesrunError as error:
                self.values[name] = error
        if isinstance(self.values[name], BayesrunError):
            raise self.values[name]
        return self.values[name]


def _bound(node: str, target: Target, given: int) -> tuple[Callable[..., Any], Target]:
    function = import_target(node, target.path)
    return function, bind(node, function, target, given)


def load_data(target: Target) -> Dataset:
    """Call a data config's function.

    Raises
    ------
    ConfigError
        If it is not importable, its parameters do not fit, or it returns something else than arrays.
    """
    function, bound = _bound("data", target, 0)
    try:
        found = function(**bound.params)
    except BayesrunError:
        raise
    except (Exception, SystemExit) as error:  # a user's reader may raise anything
        raise DataError(f"data={target.name}: {target.path} failed: {type(error).__name__}: {error}") from error
    if isinstance(found, Dataset):
        return dataclasses.replace(found, name=target.name)
    if isinstance(found, Mapping):
        return Dataset({str(name): np.asarray(values) for name, values in found.items()}, name=target.name)
    raise DataError(
        f"data={target.name}: {target.path} returned {type(found).__name__}; wanted a bayesrun.types.Dataset or "
        "a mapping of names to arrays"
    )


def _conform(dataset: Dataset, builder: Callable[..., Any], cell: Cell) -> Dataset:
    from bayesrun.data import conform

    roles = cast("Mapping[str, Role]", module_constant(builder, "DATA", {}))
    try:
        # a model without roles is asked what it reads when it is built
        return conform(dataset, roles, used=())
    except DataError as error:
        raise DataError(f"model={cell.model.name} data={cell.data.name}: {error}") from error


def _observed(
    builder: Callable[..., Any], model: pm.Model, dataset: Dataset, data: Target, loo_var: str | None
) -> Observed:
    from bayesrun.planning.loo_comparable import observed_of

    return observed_of(builder, model, dataset, data, loo_var)


def _sampler(cell: Cell) -> tuple[Callable[..., Any], int, str, bool]:
    function = import_target("sampler", cell.sampler.path)
    version, kind, discrete = (sampler_constant(function, name) for name in ("VERSION", "KIND", "DISCRETE"))
    if cell.options.escalate and kind != "nuts":
        raise ConfigError(
            f"sampler.escalate: sampler={cell.sampler.name} has no target_accept to raise; "
            "remove it or use sampler=nuts or sampler=numpyro"
        )
    return function, version, kind, discrete


def _check_options(model: pm.Model, cell: Cell, sample: Callable[..., Any]) -> None:
    observed = [str(rv.name) for rv in model.observed_RVs]
    wanted = cell.diagnostics.loo_var
    if wanted is not None and wanted not in observed:
        raise ConfigError(
            f"diagnostics.loo_var: got {wanted!r}; model={cell.model.name} observes {', '.join(observed)}"
        )
    known = module_constant(sample, "EXTRA", None)
    for key in cell.options.extra if known is not None else ():
        if key not in known:
            hint = did_you_mean(key, known, "sampler.extra.")
            raise ConfigError(
                f"sampler.extra.{key}: unknown key; {hint}sampler={cell.sampler.name} has {', '.join(known)}"
            )


def _checked(cell: Cell, dataset: Dataset, built: Built, sampler: tuple[Any, int, str, bool]) -> CheckedCell:
    function, version, kind, _ = sampler
    return CheckedCell(
        cell=cell,
        data_hash=dataset.digest(),
        fingerprint=built.fingerprint,
        step_sources=_step_sources(cell.model),
        source=built.source,
        conditioned=built.conditioned,
        parts=built.parts,
        same_draws=tuple(module_constant(function, "SAME_DRAWS", ())),
        sampler_version=_identity(function, version),
        sampler_options=tuple(sampler_constant(function, "OPTIONS")),
        kind=kind,
        batched=module_constant(function, "fits", None) is not None and cell.options.engine == "lanes",
        centred=built.centred,
        warnings=(*built.warnings, *undoable(built.model, cell), *_coded(cell, dataset)),
        notes=(*built.notes, *(f"data={cell.data.name}: {note}" for note in dataset.origin.notes)),
    )


def _step_sources(model: Target) -> dict[str, str]:
    """Digest the source of a model's own function for a step, where its module has one: an edited one is done again."""
    from bayesrun.base.source_code import source_digest

    hook = module_constant(import_target("model", model.path), "pointwise", None)
    return {} if hook is None else {"log_likelihood": source_digest(hook)}


def _taken(model: Target, dataset: Dataset) -> list[str]:
    """Ask a model what it takes labels for, where its module has a function `notes` that says so."""
    told = module_constant(import_target("model", model.path), "notes", None)
    return list(told(dataset, **model.params)) if told is not None else []


def _coded(cell: Cell, dataset: Dataset) -> list[str]:
    """Tell of text that was coded as numbers, where the model does not say that it takes labels."""
    if module_constant(import_target("model", cell.model.path), "DATA", None) is not None:
        return []
    coded = {
        name: labels
        for name, labels in dataset.coords.items()
        if name in dataset and name not in dataset.dims.get(name, ()) and labels and isinstance(labels[0], str)
    }
    return _merged(cell, dataset) + [
        f"data={cell.data.name}: {name} holds text and was coded as 0 to {len(labels) - 1}, in the order of "
        f"{', '.join(labels[:3])}{', ...' if len(labels) > 3 else ''}"
        for name, labels in coded.items()
    ]


def _merged(cell: Cell, dataset: Dataset) -> list[str]:
    """Tell of numbers that the file writes in several ways: as labels they would be several."""
    found = []
    for name, words in dataset.origin.written.items():
        spelled: dict[float, set[str]] = {}
        for number, word in zip(dataset[name].tolist(), words.tolist(), strict=True):
            if word is not None:
                spelled.setdefault(number, set()).add(word)
        same = next((ways for ways in spelled.values() if len(ways) > 1), None)
        if same:
            found.append(
                f"data={cell.data.name}: {name} writes one number as {' and '.join(sorted(same))}; if these are "
                f"labels: 'data.categories=[{name}]'"
            )
    return found


def _identity(sample: Callable[..., Any], version: int) -> int | str:
    """Version of a shipped sampler; a user's own is known by its sources too."""
    from bayesrun.base.source_code import source_digest

    own = not (inspect.getmodule(inspect.unwrap(sample)) or sample).__name__.startswith("bayesrun.")
    return f"{version}-{source_digest(sample)}" if own else version


def last_checks(plan: Plan, checked: Checked, dispatch: DispatchOptions, folder: Path, size: int) -> None:
    """Check what only matters when something is started: start values, resources, folder, disk.

    Parameters
    ----------
    plan
        What is left to do.
    checked
        The cells with their models.
    dispatch
        Where the batches will run.
    folder
        The output folder.
    size
        Bytes that the plan will write.

    Raises
    ------
    ConfigError
        With every problem that was found.
    """
    problems: dict[str, None] = {}
    by_label = checked.by_label()
    probed: dict[int, str] = {}
    for batch in plan.batches:
        if all(spec.key in plan.kept for spec in batch.specs):
            continue  # nothing is drawn
        model, name = checked.models[batch.label], by_label[batch.label].model.name
        try:
            if id(model) not in probed:
                probed[id(model)] = name
                probe(model, name)
        except ConfigError as error:
            problems |= dict.fromkeys(str(error).splitlines())
    if dispatch.kind == "ray" and plan.batches:
        try:
            check_address(dispatch)
            check_local([batch.resources for batch in plan.batches], dispatch)
        except ConfigError as error:
            problems[str(error)] = None
    place = _existing(folder)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        reason = "may not be written to" if place.is_dir() else "is a file"
        problems[f"cannot write to the study folder {folder}: {place} {reason}; choose another: output.dir=DIR"] = None
    free = shutil.disk_usage(place).free
    if size > free:
        left = math.floor(10 * free / 2**30) / 10
        needed = against(size / 2**30, left, ".1f")
        problems[
            f"output.dir: the fits need about {needed} GiB, and {folder} has {left:g} GiB free; "
            "choose another folder, fewer draws, or steps.posterior_predictive=false"
        ] = None
    if problems:
        raise ConfigError("\n".join(problems))


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
