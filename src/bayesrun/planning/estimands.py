"""Do decision rules, null values and quantities name scalars that a model has: told before any fit starts.

It decides nothing and draws nothing.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from bayesrun.base.imports import import_target
from bayesrun.base.source_code import source_digest
from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import ConfigError
from bayesrun.statistics.measures import parse_decisions, spaceless

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pymc as pm

    from bayesrun.types import CheckedCell, DiagnosticsOptions, StudyOptions

__all__ = ["check_estimands", "quantity_sources", "unknown_nulls"]

OWN, ALL = "diagnostics.decisions", "study.decisions"
MOST_NAMED = 12


def check_estimands(one: CheckedCell, model: pm.Model, study: StudyOptions) -> None:
    """Refuse decision rules of a cell and of its study, and quantities, that name what is not there.

    Raises
    ------
    ConfigError
        With every rule that cannot be read, or is about no scalar of the model.
    """
    asked = one.cell.diagnostics
    quantities = {**(asked.quantities or {}), **(study.quantities or {})}
    lines = []
    for node, rules in ((OWN, asked.decisions), (ALL, study.decisions)):
        for rule in parse_decisions(rules, asked.ci_kind, node):
            if rule.variable is not None and (reason := _lacking(rule.variable, one, model, quantities)):
                lines.append(f"{node}: {rule.text!r} is about {reason}")
    if lines:
        raise ConfigError("\n".join(lines))
    parse_decisions(dict.fromkeys((*asked.decisions, *study.decisions)), asked.ci_kind, f"{OWN} and {ALL}")


def quantity_sources(asked: DiagnosticsOptions, own: Iterable[str] = ()) -> dict[str, str]:
    """Import the functions of quantities, and digest their sources: an edited one is worked out again.

    Parameters
    ----------
    asked
        With ``quantities``.
    own
        Names of those that the study asks for.

    Returns
    -------
    dict
        Name of the quantity to digest.

    Raises
    ------
    ConfigError
        If one cannot be imported.
    """
    found = {}
    for name, path in (asked.quantities or {}).items():
        node = "study" if name in own else "diagnostics"
        found[name] = source_digest(import_target(f"{node}.quantities.{name}", path))
    return found


def unknown_nulls(study: StudyOptions, cells: Sequence[CheckedCell], models: Mapping[str, pm.Model]) -> list[str]:
    """Say which null values are of nothing that any cell estimates: they would change no measure, without a word.

    Parameters
    ----------
    study
        With ``nulls`` by label of a scalar or name of a variable.
    cells
        Of the study.
    models
        The fitted model of each cell, by cell label.
    """
    lines = []
    for name in study.nulls or {}:
        reasons = [
            _lacking(
                name,
                one,
                models[one.cell.label],
                {**(one.cell.diagnostics.quantities or {}), **(study.quantities or {})},
            )
            for one in cells
        ]
        if all(reasons):
            lines += [f"study.nulls: the null value is of {reason}" for reason in dict.fromkeys(reasons)]
    return lines


def _lacking(label: str, one: CheckedCell, model: pm.Model, quantities: Iterable[str]) -> str:
    """Say that a scalar or variable is none of a model's, and which there are; empty where it has it."""
    wanted = spaceless(label)
    name = wanted.partition("[")[0]
    names = [*(str(variable.name) for variable in model.unobserved_RVs), *quantities]
    if name not in names:
        return f"{name}, and model={one.cell.model.name} has {_listed(name, names)}"
    labels = _labels(model, name)
    if wanted != name and labels is not None and wanted not in map(spaceless, labels):
        return f"{label}, and {name} of model={one.cell.model.name} has {_listed(label, labels)}"
    return ""


def _labels(model: pm.Model, name: str) -> list[str] | None:
    """Labels of the scalars of a variable; None where only a fit says what they are."""
    if name not in model.named_vars:
        return None
    dims = model.named_vars_to_dims.get(name) or ()
    if len(dims) != model[name].ndim or any(model.coords.get(str(dim)) is None for dim in dims):
        return None
    places = [[str(where) for where in model.coords[str(dim)] or ()] for dim in dims]
    return [f"{name}[{', '.join(where)}]" if where else name for where in itertools.product(*places)]


def _listed(label: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    hint = did_you_mean(label, names)
    return f"{', '.join(names[:MOST_NAMED])}{more}{f'; {hint}'.rstrip() if hint else ''}"
