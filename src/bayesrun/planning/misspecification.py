"""Misspecification: can a model be judged by the data that another one generates; told before any fit starts.

What the two have to do with each other is found in `simulate`; here it is said, and refused where a study would have no
answer or a wrong one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesrun.base.imports import import_target
from bayesrun.errors import ConfigError
from bayesrun.statistics.measures import parse_decisions
from bayesrun.statistics.measures.expressions import comparable, element_of, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pymc as pm

    from bayesrun.simulate import Shared, Simulator
    from bayesrun.statistics.measures import Decision
    from bayesrun.types import CheckedCell, StudyOptions, Target

__all__ = ["check_compared", "check_pair"]

NODE = "study.generator"
MOST_NAMED = 8


def check_pair(
    one: CheckedCell, model: pm.Model, ready: Simulator, generator: Target, study: StudyOptions
) -> tuple[str, ...]:
    """Check a fitted model against another one that its data are drawn from.

    Parameters
    ----------
    one, model
        The cell, and its model on the data that the covariates are kept of.
    ready, generator
        What draws its data.
    study
        What is asked.

    Returns
    -------
    tuple of str
        Which parameters have no truth; empty if all have.

    Raises
    ------
    ConfigError
        If the outcome cannot be that of the fitted model, dims or labels contradict each other, or nothing that the
        study asks can be held against a truth.
    """
    from bayesrun.simulate import misfits, shared
    from bayesrun.simulate.builders import bound_builder

    fitted = one.cell.model
    build = bound_builder(import_target("model", fitted.path), fitted.params)
    problems = [
        f"{NODE}: {generator.name} draws {_outcome(ready)}, and model={fitted.name} cannot be fitted to it: {reason}; "
        "choose a generator and a model of the same kind of outcome (study.generator=MODEL)"
        for reason in misfits(ready, build)
    ]
    found = shared(ready, model)
    if found is not None:
        problems += [
            f"{NODE}: {name} of {generator.name} has {how} as in model={fitted.name}, and a truth belongs to the "
            "estimate of its own dims and labels; give both models the same dims and coords, or two different names"
            for name, how in found.refused.items()
        ]
        if not problems:
            problems += _unanswered(one, found, ready, generator, study)
    if problems:
        raise ConfigError("\n".join(problems))
    return _unknown(found, generator, fitted) if found is not None else ()


def _outcome(ready: Simulator) -> str:
    from bayesrun.simulate import kind

    kinds = [f"{rv.name} ({kind(rv)})" for rv in ready.model.observed_RVs]
    return f"{', '.join(ready.replaced)} by {', '.join(kinds)}"


def _unanswered(one: CheckedCell, found: Shared, ready: Simulator, generator: Target, study: StudyOptions) -> list[str]:
    """Say where nothing of a cell could be held against a truth."""
    asked = one.cell.diagnostics
    quantities = {*(asked.quantities or {}), *(study.quantities or {})}
    judged = {*found.known, *quantities}
    what = "no truth is known for any parameter"
    if study.kind == "power":
        rules = parse_decisions(dict.fromkeys((*asked.decisions, *study.decisions)), asked.ci_kind)
        if not rules:
            return []  # all are about other models of the study, which is noted
        judged = {rule.text for rule in rules if _judged(rule, judged)}
        what = f"no rule ({', '.join(rule.text for rule in rules)}) is about a quantity whose truth is known"
    if judged:
        return []
    own = _listed(str(v.name) for v in ready.model.unobserved_RVs if v.name not in ready.unknown)
    fitted = _listed([*found.known, *found.unknown])
    return [
        f"{NODE}: {what}: {generator.name} has {own}, and model={one.cell.model.name} has {fitted}; give both the same "
        "names, add a pm.Deterministic of the fitted name to the generator, or ask for study.quantities that can be "
        "worked out from either"
    ]


def _judged(rule: Decision, known: Iterable[str]) -> bool:
    """Whether a rule is about something whose truth is known."""
    if rule.tree is None:
        return bool(set(known))
    wanted = {comparable(name) for name in known}
    about = map(comparable, names(rule.tree))
    return all(one in wanted or any(element_of(one, name) is not None for name in wanted) for one in about)


def _unknown(found: Shared, generator: Target, fitted: Target) -> tuple[str, ...]:
    """Say which parameters have estimates that nothing is held against."""
    named = [name for name, reason in found.unknown.items() if not reason]
    told = [f"{_listed(named)} ({generator.name} has no such name)"] if named else []
    told += [f"{name} ({reason})" for name, reason in found.unknown.items() if reason]
    if not told:
        return ()
    return (f"{NODE}: model={fitted.name} on data of {generator.name}: no truth is known for {'; '.join(told)}",)


def _listed(names: Iterable[str]) -> str:
    all_names = list(names)
    return ", ".join(all_names[:MOST_NAMED]) + (", ..." if len(all_names) > MOST_NAMED else "")


def check_compared(groups: Sequence[Sequence[CheckedCell]], models: Mapping[str, pm.Model]) -> list[str]:
    """Say where models that see the same data would be compared entry by entry, and other entries have the same label.

    Parameters
    ----------
    groups
        Cells that see the same data.
    models
        The fitted model of each cell, by label.
    """
    from bayesrun.simulate import confused

    lines: dict[str, None] = {}
    for group in groups:
        distinct = {(c.cell.model.path, c.fingerprint): c for c in group}
        first, *others = distinct.values()
        for other in others:
            for name in confused(models[first.cell.label], models[other.cell.label]):
                lines[
                    f"model={first.cell.model.name} and model={other.cell.model.name} see the same data, and are "
                    f"compared entry by entry: {name} has other entries of the same labels in both (other dims, or "
                    "these in another order); give both the same dims and coords, or fit them in studies of their own"
                ] = None
    return list(lines)
