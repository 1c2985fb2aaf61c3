"""Generators: checked cells of a simulation study -> cells that know what their data are drawn from.

It runs on the driver, before any fit; whatever a generator cannot do honestly is refused here. It draws nothing.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from bayesrun.base.imports import bind, import_target, module_constant, module_files, takes_data, with_defaults
from bayesrun.base.seeds import named_seed
from bayesrun.errors import BayesrunError, ConfigError
from bayesrun.planning.estimands import check_estimands, quantity_sources, unknown_nulls
from bayesrun.planning.keys import data_digest
from bayesrun.planning.loaded_data import DESIGN, KEEP
from bayesrun.planning.misspecification import check_compared, check_pair
from bayesrun.planning.model_check import build, build_model, check_other, source_of
from bayesrun.planning.option_types import shell
from bayesrun.planning.posterior_sbc import check_same_model, doubts, facts_of
from bayesrun.planning.prior_choice import with_priors
from bayesrun.types import Cell, CheckedCell, DiagnosticsOptions, Original, Simulation, StudyOptions, Target, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    import pymc as pm

    from bayesrun.planning.preflight import Checked
    from bayesrun.simulate import Simulator
    from bayesrun.simulate.truth import Truth
    from bayesrun.types import Dataset, Settings

__all__ = ["covariates", "mechanisms"]


def mechanisms(checked: Checked, settings: Settings) -> Checked:
    """Give each cell of a simulation study the recipe of its datasets.

    Parameters
    ----------
    checked
        Cells with the datasets whose covariates are kept.
    settings
        The study: kind, truth, generator, and what is measured of each fit.

    Returns
    -------
    Checked
        For a study of real data as it was, with the sources of its quantities.

    Raises
    ------
    ConfigError
        With every reason for which data cannot be simulated, or measured as the study asks.
    """
    study = settings.study
    if study.kind == "fit":
        _refuse_placeholders(checked.cells)
        return dataclasses.replace(checked, cells=_with_estimands(checked, study))
    from bayesrun.simulate.truth import parse_truth

    problems: dict[str, None] = dict.fromkeys(_refused(study, checked.cells))
    notes = _noted_rules(checked, study, problems)
    generator = settings.generator and with_priors("study.generator", settings.generator)
    if generator is None and study.kind != "sbc":
        problems |= dict.fromkeys(_unpaired(checked.cells))
    if problems:
        raise ConfigError("\n".join(problems))
    truth = parse_truth(study.truth)
    joint = study.kind == "sbc" and truth.path is not None
    cells: list[CheckedCell] = []
    made: dict[str, tuple[Simulation, Dataset, Simulator]] = {}
    told: dict[str, tuple[str, ...]] = {}
    for one in checked.cells:
        label = one.cell.label
        target, dataset = generator or one.cell.model, checked.datasets[label]
        name = f"{_words(target)} {one.data_hash}"
        try:
            if name not in made:
                model = checked.models[label] if generator is None else None
                made[name] = _simulation(target, one, dataset, truth, model, joint=joint)
            recipe, _, ready = made[name]
            _check_observed(one, checked.models[label], dataset, target, ready)
            design = _redrawn(one.cell.data)
            simulation = dataclasses.replace(
                recipe,
                truth={"posterior": truth.path} if truth.path else study.truth,
                design=design,
                design_source=_own_source(design),
            )
            pair, undecided = f"{name} {_words(one.cell.model)}", notes.get(label, {})
            if pair not in told:
                same = _words(recipe.generator) == _words(one.cell.model)
                asking = _decided(one, study, undecided)
                told[pair] = (
                    _weights(checked.models[label])
                    if same
                    else check_pair(asking[0], checked.models[label], ready, target, asking[1])
                )
                if not (same and joint):
                    _check_drawn(one.cell.model, simulation, ready)
            asked = _without(_measured(one.cell, study), undecided)
            cells.append(
                dataclasses.replace(
                    one,
                    fingerprint=_meaning(
                        one.fingerprint,
                        one.cell.model,
                        checked.models[label],
                        ready,
                        dataset.only(one.used),
                        redrawn=design is not None,
                    ),
                    warnings=(*one.warnings, *told[pair], *_doubts(recipe.original, study), *undecided.values()),
                    source=digest([one.source, source_of(recipe.generator)]),
                    simulation=simulation,
                    replicates=1 if study.replicates == "auto" else study.replicates,
                    cell=dataclasses.replace(one.cell, diagnostics=asked),
                    quantity_sources=quantity_sources(asked, study.quantities or ()),
                )
            )
        except BayesrunError as error:
            problems |= dict.fromkeys(str(error).splitlines())
    problems |= dict.fromkeys(check_compared(_seeing_the_same(cells), checked.models))
    if problems:
        raise ConfigError("\n".join(problems))
    bases = {f"study.generator {recipe.base_hash}": base for recipe, base, _ in made.values()}
    return dataclasses.replace(checked, cells=tuple(cells), datasets={**checked.datasets, **bases})


def covariates(simulation: Simulation, seed: int) -> Dataset | None:
    """Draw the covariates of a replicate, where they are drawn anew."""
    if simulation.design is None:
        return None
    from bayesrun.data import conform
    from bayesrun.data.design import redrawn

    roles = module_constant(import_target("study.generator", simulation.generator.path), "DATA", {})
    return conform(redrawn(simulation.design, named_seed(seed, "design")), roles, used=())


def _seeing_the_same(cells: Sequence[CheckedCell]) -> list[list[CheckedCell]]:
    groups: dict[str, list[CheckedCell]] = {}
    for one in cells:
        groups.setdefault(data_digest(one), []).append(one)
    return list(groups.values())


MOST_DRAWN = 8
"""Datasets drawn to find one that is not degenerate."""


def _refuse_placeholders(cells: Sequence[CheckedCell]) -> None:
    """Refuse to fit the outcome of a design, which is a placeholder."""
    names = dict.fromkeys(one.cell.data.name for one in cells if one.cell.data.path == DESIGN)
    if names:
        raise ConfigError(
            f"data={', '.join(names)}: a design has a placeholder for its outcome; simulate it with study=recovery, "
            "study=power or study=sbc"
        )


def _with_estimands(checked: Checked, study: StudyOptions) -> tuple[CheckedCell, ...]:
    """Check what cells of real data estimate beside the parameters, and note by which sources."""
    cells: list[CheckedCell] = []
    problems = dict[str, None]()
    notes = _noted_rules(checked, study, problems)
    for one in checked.cells:
        try:
            undecided = notes.get(one.cell.label, {})
            asked = _without(_joined(one.cell, study), undecided)
            cells.append(
                dataclasses.replace(
                    one,
                    cell=dataclasses.replace(one.cell, diagnostics=asked),
                    quantity_sources=quantity_sources(asked),
                    warnings=(*one.warnings, *undecided.values()),
                )
            )
        except BayesrunError as error:
            problems |= dict.fromkeys(str(error).splitlines())
    if problems:
        raise ConfigError("\n".join(problems))
    return tuple(cells)


def _without(asked: DiagnosticsOptions, undecided: Container[str]) -> DiagnosticsOptions:
    """Leave out the rules that are about what a model does not have."""
    decisions = tuple(rule for rule in asked.decisions if rule not in undecided)
    return dataclasses.replace(asked, decisions=decisions)


def _decided(one: CheckedCell, study: StudyOptions, undecided: Container[str]) -> tuple[CheckedCell, StudyOptions]:
    """Leave the rules that a cell cannot be asked out of it and of its study."""
    asked = _without(one.cell.diagnostics, undecided)
    rules = tuple(rule for rule in study.decisions if rule not in undecided)
    own = dataclasses.replace(one, cell=dataclasses.replace(one.cell, diagnostics=asked))
    return own, dataclasses.replace(study, decisions=rules)


def _noted_rules(checked: Checked, study: StudyOptions, problems: dict[str, None]) -> dict[str, dict[str, str]]:
    """Check rules and null values; return what `check_estimands` does, and add what is wrong to `problems`."""
    try:
        notes = check_estimands(checked.cells, checked.models, study)
        problems |= dict.fromkeys(unknown_nulls(study, checked.cells, checked.models))
    except ConfigError as error:
        problems |= dict.fromkeys(str(error).splitlines())
        return {}
    return notes


def _unpaired(cells: Sequence[CheckedCell]) -> list[str]:
    """Say where several models would each be fitted to data of their own, which compares nothing."""
    by_data: dict[str, dict[str, str]] = {}
    for one in cells:
        by_data.setdefault(one.data_hash, {})[_words(one.cell.model)] = one.cell.model.name
    return [
        f"study.generator: several models are fitted ({', '.join(models.values())}), which would not see the same "
        "data; name the one that the data are drawn from: study.generator=MODEL"
        for models in by_data.values()
        if len(models) > 1
    ]


def _own_source(design: Target | None) -> str:
    """Digest of the source of a user's function that draws covariates; a shipped one is known by its parameters."""
    from bayesrun.base.source_code import source_digest

    if design is None or design.path == DESIGN:
        return ""
    function = import_target("data", design.path)
    return source_digest(function, module_files(design.path, function))


def _words(target: Target) -> str:
    return f"{target.path} {sorted(target.params.items())!r}"


def _redrawn(data: Target) -> Target | None:
    if data.params.get("redraw") is not True:
        return None
    return dataclasses.replace(data, params={name: value for name, value in data.params.items() if name != KEEP})


def _refused(study: StudyOptions, cells: Sequence[CheckedCell]) -> list[str]:
    """Say what a study asks for that has no answer."""
    from bayesrun.simulate.truth import parse_truth
    from bayesrun.statistics.measures import check_targets

    lines = []

    try:
        kind = parse_truth(study.truth).kind
    except ConfigError as error:
        return str(error).splitlines()
    if study.kind == "sbc" and kind == "fixed":
        lines.append(
            "study.truth: calibration is judged for truth drawn from the prior, not for fixed values; use "
            "study=recovery, or study.truth=prior"
        )
    if study.kind == "sbc" and kind == "posterior" and any(_redrawn(one.cell.data) for one in cells):
        lines.append(
            "study.truth: calibration given the observed data keeps their covariates; use data.redraw=false, or "
            "study.truth=prior"
        )
    if study.kind == "power" and not all(study.decisions or one.cell.diagnostics.decisions for one in cells):
        rule = shell("study.decisions", '["P(beta > 0 | y) > 0.95"]')
        lines.append(f"study.decisions: a power study needs a decision rule: {rule}")
    if study.replicates == "auto" and not study.target_mcse:
        lines.append("study.target_mcse: study.replicates=auto needs a target: 'study.target_mcse={coverage: 0.01}'")
    if study.target_mcse:
        try:
            check_targets(study.target_mcse)
        except ConfigError as error:
            lines += str(error).splitlines()
    for one in cells:
        draws = one.cell.options.draws * one.cell.options.chains
        if draws < study.ranks:
            lines.append(
                f"study.ranks: got {study.ranks}; {one.cell.label} keeps {draws} draws; wanted no more than that"
            )
    return list(dict.fromkeys(lines))


def _simulation(
    target: Target, one: CheckedCell, dataset: Dataset, truth: Truth, model: pm.Model | None, *, joint: bool
) -> tuple[Simulation, Dataset, Simulator]:
    """Check that a generator can draw datasets like this one; return its own form of it, and what draws them."""
    from bayesrun.data import conform
    from bayesrun.simulate import identity, simulator
    from bayesrun.simulate.builders import bound_builder

    function = import_target("study.generator", target.path)
    bound = with_defaults(function, bind("study.generator", function, target, int(takes_data(function))))
    try:
        base = conform(dataset, module_constant(function, "DATA", {}), used=())
    except BayesrunError as error:
        raise ConfigError(f"study.generator: model={target.name} on data={dataset.name}: {error}") from error
    found = build(bound, base, known=[name for name in base if name in one.used], fitted=False)
    base = _holding(function, bound, found.model, base)
    try:
        ready = simulator(bound_builder(function, bound.params), base, truth, model or found.model)
    except ConfigError as error:
        raise ConfigError("\n".join(f"model={target.name}: {line}" for line in str(error).splitlines())) from error
    free = [str(rv.name) for rv in ready.model.free_RVs]
    original = None if truth.path is None else facts_of(truth.path, free)
    what = identity(truth, free) | ({"joint": True} if joint else {})
    hook = module_constant(function, "from_draws", None)
    own, redrawn = base.only(one.used), _redrawn(one.cell.data) is not None
    meaning = _with_hook(_meaning(found.fingerprint, bound, found.model, ready, own, redrawn=redrawn), bound, hook)
    recipe = Simulation(bound, meaning, identity=what, base_hash=base.digest(), original=original)
    if original is not None and joint:
        recipe = dataclasses.replace(recipe, original=check_same_model(original, ready.model, bound, meaning))
        _check_drawn(bound, recipe, ready)
        _check_together(ready, base)
    return recipe, base, ready


def _holding(function: Callable[..., Any], target: Target, model: pm.Model, base: Dataset) -> Dataset:
    """Add to a dataset what a model holds and observes itself, so that drawn values can take its place.

    Raises
    ------
    ConfigError
        If numbers of the model may be worked out from it.
    """
    from bayesrun.planning.own_values import worked_out
    from bayesrun.simulate.arrays import observed_values
    from bayesrun.simulate.builders import held, with_held

    own = held(model, base)
    if not own or module_constant(function, "from_draws", None) is not None:
        return base
    values = observed_values(model)
    if reasons := worked_out(function, model, {name: values[name] for name in own}):
        if base.arrays:
            return base  # it may make them of these, and the simulator says what it then needs
        raise ConfigError(
            "\n".join(f"model={target.name}: data cannot be simulated from this model: {text}" for text in reasons)
        )
    return with_held(model, base)


def _meaning(
    fingerprint: str,
    model: Target,
    built: pm.Model,
    ready: Simulator,
    base: Dataset,
    *,
    redrawn: bool,
) -> str:
    """Add to a fingerprint what the graph on one dataset does not tell of those on simulated ones.

    Parameters
    ----------
    fingerprint
        Of the model on the dataset that covariates are taken from.
    model
        With its parameters.
    built
        On that dataset.
    ready
        Draws the datasets.
    base
        The dataset.
    redrawn
        Whether its covariates are drawn anew too.
    """
    from bayesrun.planning.fingerprint import from_source
    from bayesrun.planning.hidden_code import reads_values
    from bayesrun.simulate.arrays import candidates
    from bayesrun.simulate.builders import is_held

    hidden, _, graph = fingerprint.rpartition("-")
    builder = import_target("model", model.path)
    # a graph shows that a variable observes drawn values, and not which; what the model holds has the variable's name
    drawn = [name for name in ready.replaced if not is_held(name)]
    several = len(drawn) > 1 or any(len(arrays) > 1 for arrays in candidates(built, base).values())
    if not hidden and (redrawn or several or reads_values(builder, drawn)):
        kept = {name: array for name, array in base.arrays.items() if name not in ready.replaced}
        dims = {name: dims for name, dims in base.dims.items() if name in kept}
        data = dataclasses.replace(base, arrays=kept, dims=dims).digest()
        hidden = from_source(builder, model.params, data, module_files(model.path, builder))
    return f"{hidden}-{graph}"


def _with_hook(meaning: str, generator: Target, hook: Callable[..., Any] | None) -> str:
    """Add the source of a generator's ``from_draws``."""
    from bayesrun.base.source_code import source_digest

    if hook is None:
        return meaning
    hidden, _, graph = meaning.rpartition("-")
    return f"{digest([hidden, source_digest(hook, module_files(generator.path, hook))])}-{graph}"


def _check_drawn(fitted: Target, simulation: Simulation, ready: Simulator) -> None:
    """Refuse a fitted model that cannot be built on simulated data as on the dataset that it was checked with."""
    from bayesrun.simulate import joined

    drawn = (ready.draw(seed, covariates(simulation, seed)) for seed in range(MOST_DRAWN))
    simulated = next((one.dataset for one in drawn if not one.degenerate), None)
    if simulated is None:
        return
    if simulation.joint:
        both = joined(ready.base, simulated, ready.replaced)
        check_other(fitted, both, "the observed and simulated data together")
    else:
        check_other(fitted, simulated, "data simulated from the generator")


def _weights(model: pm.Model) -> tuple[str, ...]:
    """Say that data are drawn without the weights that their likelihood has, before somebody wonders at the ranks."""
    from bayesrun.planning.loo_comparable import weighted_likelihoods

    return tuple(
        f"the likelihood of {name} is weighted, and data are drawn from its distribution without the weights, so that "
        "the posterior is not the one of these data: what is found of calibration, coverage and errors tells of the "
        "weights"
        for name in weighted_likelihoods(model)
    )


def _doubts(original: Original | None, study: StudyOptions) -> list[str]:
    """Say what the user should know of the fit that truth is drawn from, before the study starts."""
    if original is None:
        return []
    replicates = None if study.replicates == "auto" else study.replicates
    open_questions = [f"of the original {original.unknown}"] if original.unknown else []
    return [f"study.truth.posterior: {text}" for text in (*open_questions, *doubts(original, replicates))]


def _check_together(ready: Simulator, base: Dataset) -> None:
    """Refuse models that cannot be fitted to old and new data together."""
    from bayesrun.simulate import check_joint, joined

    simulated = ready.draw(0).dataset
    try:
        check_joint(ready.build, base, simulated, joined(base, simulated, ready.replaced))
    except ConfigError as error:
        raise ConfigError(
            f"study.truth: calibration given the observed data fits them and the simulated ones together: {error}; use "
            "study.truth=prior, or study=recovery"
        ) from error


def _measured(cell: Cell, study: StudyOptions) -> DiagnosticsOptions:
    """Join what is measured of every fit of the study to what the cell asks for."""
    levels = tuple(sorted({*cell.diagnostics.levels, *study.levels}))
    return dataclasses.replace(_joined(cell, study), levels=levels, ranks=study.ranks)


def _joined(cell: Cell, study: StudyOptions) -> DiagnosticsOptions:
    own = cell.diagnostics
    return dataclasses.replace(
        own,
        quantities={**(own.quantities or {}), **(study.quantities or {})} or None,
        decisions=tuple(dict.fromkeys((*own.decisions, *study.decisions))),
    )


def _check_observed(one: CheckedCell, model: pm.Model, dataset: Dataset, generator: Target, ready: Simulator) -> None:
    """Refuse a fitted model that observes what the generator does not draw: a placeholder, or values of its own."""
    from bayesrun.simulate.arrays import candidates

    drawn = ready.replaced
    if _words(generator) != _words(one.cell.model):
        _check_exchanged(one.cell.model, model, dataset, generator, ready)
    for name, arrays in candidates(model, dataset).items():
        if arrays and not set(arrays) & set(drawn):
            raise ConfigError(
                f"study.generator: {generator.name} draws {', '.join(drawn)}, and {name} of "
                f"model={one.cell.model.name} observes {', '.join(arrays)}; choose a generator that draws it"
            )


def _check_exchanged(fitted: Target, model: pm.Model, dataset: Dataset, generator: Target, ready: Simulator) -> None:
    """Refuse a fitted model that holds its data itself, unless what the generator draws takes their place.

    Raises
    ------
    ConfigError
        With what does not change, or is worked out from the values that do.
    """
    from bayesrun.planning.fingerprint import graph_digest
    from bayesrun.planning.own_values import worked_out
    from bayesrun.simulate.arrays import equal, observed_values
    from bayesrun.simulate.builders import held, is_held

    own = held(model, dataset)
    if own and module_constant(import_target("model", fitted.path), "from_draws", None) is not None:
        return
    drawn = next((one.dataset for one in (ready.draw(seed) for seed in range(MOST_DRAWN)) if not one.degenerate), None)
    if drawn is None or not (own or not model.observed_RVs):
        return
    builder = import_target("model", fitted.path)
    try:
        other = build_model(builder, fitted, drawn)
    except ConfigError as error:
        raise ConfigError(f"{error} (on data simulated from the generator)") from error
    if not model.observed_RVs and graph_digest(other) == graph_digest(model):
        raise ConfigError(
            f"study.generator: model={fitted.name} observes nothing, and nothing in it follows what {generator.name} "
            "draws, so that its fits would all be one; hand the data over (build(data))"
        )
    now = observed_values(other)
    before = observed_values(model)
    if same := [name for name in own if equal(before[name], now[name])]:
        raise ConfigError(
            f"study.generator: model={fitted.name} holds what {', '.join(same)} observes itself, and nothing that "
            f"{generator.name} draws takes its place; hand the data over (build(data)), or call the observed variables "
            "of both models alike"
        )
    exchanged = {name: before[name] for name in own if any(equal(drawn[n], now[name]) for n in drawn if is_held(n))}
    if reasons := worked_out(builder, model, exchanged):
        raise ConfigError("\n".join(f"model={fitted.name}: {text}" for text in reasons))
