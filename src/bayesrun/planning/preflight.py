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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from bayesrun.base.digits import against
from bayesrun.base.imports import bind, import_target, module_constant, sampler_constant, takes_data, with_defaults
from bayesrun.base.secrets import public
from bayesrun.base.spelling import did_you_mean
from bayesrun.dispatch.ray import check_address, check_local
from bayesrun.errors import BayesrunError, ConfigError, DataError
from bayesrun.planning.columns_read import noted
from bayesrun.planning.keys import of_data
from bayesrun.planning.loaded_data import DESIGN, NOTHING, Loaded, given, load_data, opened
from bayesrun.planning.model_check import Built, build, build_model, check_discrete, probe, undoable
from bayesrun.planning.prior_choice import with_priors
from bayesrun.planning.sampler_needs import Lacks, check_needs, form_of
from bayesrun.types import Cell, CheckedCell, DispatchOptions, Observed, Plan, Role, Target, canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    import pymc as pm

    from bayesrun.types import Dataset

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
    refused
        Cells of one of several datasets that cannot be fitted, and why, by label.
    probed
        Labels of cells whose log density is known to be finite at the start.
    """

    cells: tuple[CheckedCell, ...]
    models: Mapping[str, pm.Model] = field(default_factory=dict)
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    probed: frozenset[str] = frozenset()

    def by_label(self) -> dict[str, Cell]:
        """Cells by their labels."""
        return {checked.cell.label: checked.cell for checked in self.cells}


def check(
    cells: Sequence[Cell],
    read: Callable[[Target], Dataset] | None = None,
    *,
    simulated: bool = False,
    generator: Target | None = None,
    apart: Collection[str] = (),
) -> Checked:
    """Load the data, build each model once, and check samplers and parameters.

    Parameters
    ----------
    cells
        In the order of the design.
    read
        Gives the dataset of a target, as it was stored; None: its function does.
    simulated
        Whether datasets are simulated from those of the cells: then all cells of a data config keep the same rows and
        columns, which are those that any of their models or the generator uses.
    generator
        The model that they are simulated from; None: each model itself.
    apart
        Labels of cells of one of several datasets: what is wrong with some of them does not stop the others.

    Raises
    ------
    ConfigError
        With every problem of every cell, one or a few lines each.
    """
    stopping: dict[str, None] = {}
    refused: dict[str, dict[str, None]] = {}
    ready = _Ready(read)
    shared = ready.shared(cells, generator) if simulated else {}
    observed, lacking = _Once(_observed), _Once(Lacks)
    checked, built, datasets = [], {}, {}
    probed = set[str]()
    for cell in cells:
        sampler = loaded = None
        problems = refused.setdefault(cell.label, {}) if cell.label in apart else stopping
        with _noted(problems):
            sampler = _sampler(cell)
        with _noted(problems):
            loaded = ready.loaded(cell.data)
        with _noted(problems):
            builder, model_target = _bound("model", cell.model)
            if loaded is None:
                continue
            _check_taken(builder, cell)
            found, dataset, left_out = ready.model(
                builder, model_target, cell, shared.get(_words(cell.data), frozenset())
            )
            if sampler is None:
                continue
            check_discrete(found.model, cell, sampler[3])
            form = form_of(found.model, found.fingerprint)
            lacks = lacking(found.model, key=form or (model_target, dataset.digest()))
            check_needs(lacks, cell, sampler_constant(sampler[0], "NEEDS"))
            _check_options(found.model, cell, sampler[0])
            if cell.label in apart:  # where the chains of one cannot begin, those of the others still can
                probe(found.model, cell.model.name)
                probed.add(cell.label)
            about = (cell.data, cell.diagnostics.loo_var)
            terms = observed(builder, found.model, dataset, *about, key=(model_target, dataset.digest(), *about))
            bound = dataclasses.replace(
                cell,
                model=with_defaults(builder, model_target),
                data=dataclasses.replace(cell.data, params=public(cell.data.params)),
                config=_as_read(cell.config, dataset),
            )
            dataset = dataset.noted(*_taken(model_target, dataset))
            one = dataclasses.replace(_checked(bound, dataset, found, sampler), observed=terms, left_out=left_out)
            checked.append(one)
            built[cell.label], datasets[cell.label] = found.model, dataset
    reasons = {label: "\n".join(lines) for label, lines in refused.items() if lines}
    if reasons and not checked:
        stopping |= dict.fromkeys(_in_all(reasons).splitlines())
    if stopping:
        raise ConfigError("\n".join(stopping))
    return Checked(tuple(checked), built, datasets, reasons, frozenset(probed))


def _in_all(reasons: Mapping[str, str]) -> str:
    """Say what is wrong with all datasets by the example of the first."""
    (label, reason), *others = reasons.items()
    rest = f"\n{label} is one of {len(reasons)} cells, none of which can be fitted" if others else ""
    return reason + rest


class _Ready:
    """Datasets and models of a study, each read and built once, and each dataset with what its model uses."""

    def __init__(self, read: Callable[[Target], Dataset] | None) -> None:
        self.loaded = _Once(opened if read is None else lambda target: given(read(target)))
        self._models = _Once(build)
        self._known = _Once(self._model)

    def model(
        self, builder: Callable[..., Any], target: Target, cell: Cell, shared: frozenset[str]
    ) -> tuple[Built, Dataset, tuple[str, ...]]:
        """Build the model of a cell; return with it its dataset as it is stored, and the columns that are not in it.

        `shared` are columns that count as used in any case.
        """
        found: tuple[Built, Dataset, tuple[str, ...]] = self._known(
            builder,
            target,
            cell.data,
            cell.model.name,
            shared,
            key=(target, cell.data, cell.model.name, sorted(shared)),
        )
        return found

    def _model(
        self, builder: Callable[..., Any], target: Target, data: Target, name: str, shared: frozenset[str]
    ) -> tuple[Built, Dataset, tuple[str, ...]]:
        loaded: Loaded = self.loaded(data)
        roles = _roles(builder)
        _check_roles(roles, data, name)
        first = loaded.arrays(frozenset())

        def view(used: Collection[str]) -> Dataset:
            arrays = loaded.arrays(frozenset(used))
            try:
                # a model without roles is asked what it reads when it is built
                return _conform(arrays, roles)
            except DataError as error:
                raise DataError(f"model={name} data={data.name}: {error}") from error

        known = shared | (frozenset(roles) & frozenset(first.arrays))
        dataset = view(known)
        found: Built = self._models(
            target,
            dataset,
            view,
            known,
            key=(target, dataset.digest(), loaded.drops, sorted(known), dataset.origin.keep),
        )
        stored = found.dataset or dataset
        if stored.name != dataset.name:  # equal data of another config
            stored = view(found.used).only({*found.used, *dataset.origin.keep}, found.coords)
        return found, stored, tuple(sorted(set(dataset) - set(stored)))

    def shared(self, cells: Sequence[Cell], generator: Target | None) -> dict[str, frozenset[str]]:
        """Find for each data config the arrays that any model of its cells, or what simulates data, uses.

        What is wrong with a model is said when it is checked.
        """
        used: dict[str, set[str]] = {}
        for cell in cells:
            with contextlib.suppress(BayesrunError):
                builder, target = _bound("model", cell.model)
                whole = set(self.loaded(cell.data).arrays(frozenset()))
                mine = used.setdefault(_words(cell.data), set())
                if cell.data.path == DESIGN or cell.data.params.get("redraw") is True:
                    mine |= whole
                    continue
                mine |= self.model(builder, target, cell, frozenset())[0].used
                mine |= self._drawn_from(generator or cell.model, cell.data, whole)
        return {words: frozenset(names) for words, names in used.items()}

    def _drawn_from(self, generator: Target, data: Target, whole: set[str]) -> set[str]:
        """Find what a generator reads; all that there is, where functions of its own may read more later."""
        function, target = _bound("study.generator", generator)
        if any(module_constant(function, hook, None) is not None for hook in ("from_draws", "can_simulate")):
            return whole
        roles = _roles(function)
        try:
            base = _conform(self.loaded(data).arrays(frozenset(roles) & frozenset(whole)), roles)
            seen, read = noted(base)
            build_model(function, target, seen)
        except BayesrunError:
            return whole
        return read.arrays | (set(roles) & whole)


def _words(data: Target) -> str:
    return canonical_json([data.path, data.params])


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


def _bound(node: str, target: Target) -> tuple[Callable[..., Any], Target]:
    chosen = with_priors(node, target)
    function = import_target(node, chosen.path)
    return function, bind(node, function, chosen, int(takes_data(function)))


def _check_roles(roles: Mapping[str, Role], data: Target, name: str) -> None:
    if data.path == NOTHING and (needed := [f"{key} ({role.doc})" for key, role in roles.items() if not role.optional]):
        raise ConfigError(
            f"model={name} needs {', '.join(needed)}, and data={data.name} has no arrays; name others: data=NAME, or "
            "data=csv data.path=FILE"
        )


def _check_taken(builder: Callable[..., Any], cell: Cell) -> None:
    """Refuse data for a builder that has no argument for them: they would be in the study's name, and in no fit."""
    if cell.data.path != NOTHING and not takes_data(builder):
        raise ConfigError(
            f"model={cell.model.name}: {cell.model.path} has no argument for data, and would not read "
            f"data={cell.data.name}; type data=none"
        )


def _roles(builder: Callable[..., Any]) -> Mapping[str, Role]:
    return cast("Mapping[str, Role]", module_constant(builder, "DATA", {}))


def _conform(dataset: Dataset, roles: Mapping[str, Role]) -> Dataset:
    from bayesrun.data import conform

    return conform(dataset, roles, used=())


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
        used=tuple(sorted(built.used)),
        fingerprint=built.fingerprint,
        step_sources=_step_sources(cell.model, dataset.only(built.used)),
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


def _as_read(config: str, dataset: Dataset) -> str:
    """State in a config what was found in the file, so that the same file is read in the same way."""
    if not dataset.origin.read or not config:
        return config
    import yaml

    values = yaml.safe_load(config)
    values["data"] |= dataset.origin.read
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text


def _step_sources(model: Target, dataset: Dataset) -> dict[str, str]:
    """Digest a model's own function for a step, where its module has one, with what it reads: then it is done again."""
    from bayesrun.base.source_code import source_digest

    hook = module_constant(import_target("model", model.path), "pointwise", None)
    return {} if hook is None else of_data({"log_likelihood": source_digest(hook)}, dataset.digest())


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
    probed = {id(checked.models[label]) for label in checked.probed if label in checked.models}
    drawn = (spec.cell for batch in plan.batches for spec in batch.specs if spec.key not in plan.kept)
    for label in dict.fromkeys(drawn):
        model, name = checked.models[label], by_label[label].model.name
        try:
            if id(model) not in probed:
                probed.add(id(model))
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
