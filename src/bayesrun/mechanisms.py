"""Data-generating mechanisms: checked cells of a simulation study -> cells that know what their data are drawn from.

It runs on the driver, before any fit; whatever a generator cannot do honestly is refused here. It draws nothing.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from bayesrun.errors import BayesrunError, ConfigError
from bayesrun.soundness import build
from bayesrun.targets import bind, import_target, module_constant
from bayesrun.types import Cell, CheckedCell, DiagnosticsOptions, Simulation, StudyOptions, Target
from bayesrun.wanted import shell

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pymc as pm

    from bayesrun.preflight import Checked
    from bayesrun.simulate import Simulator
    from bayesrun.simulate.truth import Truth
    from bayesrun.types import Dataset, Settings

__all__ = ["mechanisms"]


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
        As it was, for a study of real data.

    Raises
    ------
    ConfigError
        With every reason for which data cannot be simulated, or measured as the study asks.
    """
    study = settings.study
    if study.kind == "fit":
        _refuse_placeholders(checked.cells)
        return checked
    from bayesrun.simulate.truth import identity, parse_truth

    problems: dict[str, None] = dict.fromkeys(_refused(study, checked.cells))
    generator = settings.generator
    if generator is None and study.kind != "sbc":
        problems |= dict.fromkeys(_unpaired(checked.cells))
    if problems:
        raise ConfigError("\n".join(problems))
    truth = parse_truth(study.truth)
    joint = study.kind == "sbc" and truth.path is not None
    cells: list[CheckedCell] = []
    made: dict[str, tuple[Simulation, Dataset, tuple[str, ...]]] = {}
    for one in checked.cells:
        label = one.cell.label
        target, dataset = generator or one.cell.model, checked.datasets[label]
        name = f"{_words(target)} {one.data_hash}"
        try:
            if name not in made:
                model = checked.models[label] if generator is None else None
                made[name] = _simulation(target, dataset, truth, model, joint=joint)
            recipe, _, drawn = made[name]
            _check_observed(one, checked.models[label], dataset, target, drawn)
            simulation = dataclasses.replace(
                recipe,
                truth={"posterior": truth.path} if truth.path else study.truth,
                identity=identity(truth) | ({"joint": True} if joint else {}),
                design=_redrawn(one.cell.data),
            )
            _check_estimands(one, checked.models[label], study)
            cells.append(
                dataclasses.replace(
                    one,
                    simulation=simulation,
                    replicates=1 if study.replicates == "auto" else study.replicates,
                    cell=dataclasses.replace(one.cell, diagnostics=_measured(one.cell, study)),
                )
            )
        except BayesrunError as error:
            problems |= dict.fromkeys(str(error).splitlines())
    if problems:
        raise ConfigError("\n".join(problems))
    bases = {f"study.generator {recipe.base_hash}": base for recipe, base, _ in made.values()}
    return dataclasses.replace(checked, cells=tuple(cells), datasets={**checked.datasets, **bases})


DESIGN = "bayesrun.data.design.design"


def _refuse_placeholders(cells: Sequence[CheckedCell]) -> None:
    """Refuse to fit the outcome of a design, which is a placeholder."""
    names = dict.fromkeys(one.cell.data.name for one in cells if one.cell.data.path == DESIGN)
    if names:
        raise ConfigError(
            f"data={', '.join(names)}: a design has a placeholder for its outcome; simulate it with study=recovery, "
            "study=power or study=sbc"
        )


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


def _words(target: Target) -> str:
    return f"{target.path} {sorted(target.params.items())!r}"


def _redrawn(data: Target) -> Target | None:
    return data if data.params.get("redraw") is True else None


def _refused(study: StudyOptions, cells: Sequence[CheckedCell]) -> list[str]:
    """Say what a study asks for that has no answer."""
    from bayesrun.measures import check_targets
    from bayesrun.simulate.truth import parse_truth

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
    if study.kind == "power" and not study.decisions:
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
    target: Target, dataset: Dataset, truth: Truth, model: pm.Model | None, *, joint: bool
) -> tuple[Simulation, Dataset, tuple[str, ...]]:
    """Check that a generator can draw datasets like this one; return its own form of it, and which arrays it draws."""
    from bayesrun.data import conform
    from bayesrun.simulate import simulator

    function = import_target("study.generator", target.path)
    bound = bind("study.generator", function, target, 1)
    try:
        base = conform(dataset, module_constant(function, "DATA", {}))
    except BayesrunError as error:
        raise ConfigError(f"study.generator: model={target.name} on data={dataset.name}: {error}") from error
    found = build(bound, base)
    try:
        ready = simulator(functools.partial(function, **bound.params), base, truth, model or found.model)
    except ConfigError as error:
        raise ConfigError("\n".join(f"model={target.name}: {line}" for line in str(error).splitlines())) from error
    if joint:
        _check_together(ready, base, truth)
    return Simulation(bound, found.fingerprint, base_hash=base.digest()), base, ready.replaced


def _check_together(ready: Simulator, base: Dataset, truth: Truth) -> None:
    """Refuse truth from a posterior of other data, and models that cannot be fitted to old and new data together."""
    from bayesrun.simulate import check_joint, check_observed, joined

    check_observed(str(truth.path), ready.model)
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
    own = cell.diagnostics
    return dataclasses.replace(
        own,
        levels=tuple(sorted({*own.levels, *study.levels})),
        ranks=study.ranks,
        quantities={**(own.quantities or {}), **(study.quantities or {})} or None,
        decisions=tuple(dict.fromkeys((*own.decisions, *study.decisions))),
    )


def _check_observed(
    one: CheckedCell, model: pm.Model, dataset: Dataset, generator: Target, drawn: tuple[str, ...]
) -> None:
    """Refuse a fitted model that observes what the generator does not draw: it would be fitted to a placeholder."""
    from bayesrun.simulate.arrays import candidates

    for name, arrays in candidates(model, dataset).items():
        if arrays and not set(arrays) & set(drawn):
            raise ConfigError(
                f"study.generator: {generator.name} draws {', '.join(drawn)}, and {name} of "
                f"model={one.cell.model.name} observes {', '.join(arrays)}; choose a generator that draws it"
            )


def _check_estimands(one: CheckedCell, model: pm.Model, study: StudyOptions) -> None:
    """Refuse decision rules and quantities that name what is not there."""
    from bayesrun.measures.decisions import parse_decisions

    names = [str(variable.name) for variable in model.unobserved_RVs]
    for decision in parse_decisions(study.decisions, one.cell.diagnostics.ci_kind):
        variable = (decision.variable or names[0]).partition("[")[0].strip()
        if variable not in names:
            raise ConfigError(
                f"study.decisions: {decision.text!r} is about {variable}, and model={one.cell.model.name} has "
                f"{', '.join(names)}"
            )
    for name, path in (study.quantities or {}).items():
        import_target(f"study.quantities.{name}", path)
