"""Do decision rules, null values and quantities name scalars that a model has: told before any fit starts.

It decides nothing and draws nothing.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from bayesrun.base.imports import import_target
from bayesrun.base.messages import few
from bayesrun.base.source_code import source_digest
from bayesrun.base.spelling import did_you_mean
from bayesrun.data.hints import keep_key
from bayesrun.errors import ConfigError
from bayesrun.planning.columns_read import columns_named
from bayesrun.statistics.measures import parse_decisions
from bayesrun.statistics.measures.expressions import (
    Misread,
    Name,
    Tree,
    comparable,
    element_of,
    expanded,
    names,
    parse,
    plain_name,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pymc as pm

    from bayesrun.types import CheckedCell, DiagnosticsOptions, StudyOptions

__all__ = ["check_estimands", "quantity_sources", "unknown_nulls"]

OWN, ALL = "diagnostics.decisions", "study.decisions"
MOST_NAMED = 12


def check_estimands(
    cells: Sequence[CheckedCell], models: Mapping[str, pm.Model], study: StudyOptions
) -> dict[str, dict[str, str]]:
    """Refuse decision rules that cannot be read, or are about nothing that any cell which is asked them estimates.

    Parameters
    ----------
    cells
        Of the study.
    models
        The fitted model of each cell, by cell label.
    study
        With ``decisions`` and ``quantities``.

    Returns
    -------
    dict
        By cell label: rules as they were asked that are decided in other cells only, whose models have what they name,
        and what to note of that.

    Raises
    ------
    ConfigError
        With every such rule.
    """
    lines: dict[str, None] = dict.fromkeys(line for one in cells for line in _not_kept(one, study))
    lacking: dict[tuple[str, str, str], dict[str, str]] = {}
    for one in cells:
        asked = one.cell.diagnostics
        try:
            for node, rules in ((OWN, asked.decisions), (ALL, study.decisions)):
                for given, rule in zip(rules, parse_decisions(rules, asked.ci_kind, node), strict=True):
                    found = lacking.setdefault((node, given, rule.text), {})
                    reason = "" if rule.tree is None else _unknown(rule.tree, one, models, study)
                    found[one.cell.label] = reason
            parse_decisions(dict.fromkeys((*asked.decisions, *study.decisions)), asked.ci_kind, f"{OWN} and {ALL}")
        except ConfigError as error:
            lines |= dict.fromkeys(str(error).splitlines())
    notes: dict[str, dict[str, str]] = {}
    for (node, given, text), found in lacking.items():
        if all(found.values()):
            lines |= dict.fromkeys(f"{node}: {text!r} is about {reason}" for reason in found.values())
            continue
        for label, reason in found.items():
            if reason:
                note = f"{node}: {text!r} is not decided for {label}: it is about {reason}"
                notes.setdefault(label, {})[given] = note
    if lines:
        raise ConfigError("\n".join(lines))
    return notes


def _not_kept(one: CheckedCell, study: StudyOptions) -> list[str]:
    """Say which quantities name columns that are not stored, as far as their text shows it before anything is drawn."""
    lines = []
    for node, quantities in (("diagnostics", one.cell.diagnostics.quantities), ("study", study.quantities)):
        for name, path in (quantities or {}).items():
            where = f"{node}.quantities.{name}"
            read = [column for column in columns_named(import_target(where, path)) if column in one.left_out]
            if read:
                lines.append(
                    f"{where}: {path} reads {', '.join(read)}, which model={one.cell.model.name} does not use, so that "
                    f"the study does not store it; store it too, with nothing fitted anew: {keep_key(read)}"
                )
    return lines


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
        With ``nulls`` by label of a scalar, name of a variable, or an expression that a rule is about.
    cells
        Of the study.
    models
        The fitted model of each cell, by cell label.
    """
    lines = []
    for key in study.nulls or {}:
        reasons = [_unknown_key(key, one, models, study) for one in cells]
        if all(reasons):
            lines += [f"study.nulls: the null value is of {reason}" for reason in dict.fromkeys(reasons)]
    return lines


def _unknown_key(key: str, one: CheckedCell, models: Mapping[str, pm.Model], study: StudyOptions) -> str:
    """Say that the key of a null value is of nothing that a cell estimates; empty where it is."""
    literal = Name(plain_name(key))
    reason = _unknown(literal, one, models, study)
    if not reason:
        return ""
    try:
        tree = parse(key)
    except Misread:
        return reason
    if isinstance(tree, Name):
        return _unknown(tree, one, models, study)
    rules = parse_decisions(
        dict.fromkeys((*one.cell.diagnostics.decisions, *study.decisions)), one.cell.diagnostics.ci_kind
    )
    about = {written(rule.tree): rule.text for rule in rules if rule.tree is not None}
    if written(tree) not in about:
        said = f"; the rules are about {', '.join(about)}" if about else ""
        return f"{written(tree)}, which no rule is about, so that it would change nothing{said}"
    return _unknown(tree, one, models, study)


def _unknown(tree: Tree, one: CheckedCell, models: Mapping[str, pm.Model], study: StudyOptions) -> str:
    """Say what a tree names that is nothing of a cell's, and which there are; empty where all is there."""
    model = models[one.cell.label]
    quantities = {**(one.cell.diagnostics.quantities or {}), **(study.quantities or {})}
    variables = [str(variable.name) for variable in model.unobserved_RVs]
    labels: list[str] | None = []
    for name in names(tree):
        owner = _owner(name, (*variables, *quantities))
        if owner is None:
            base = name.partition("[")[0]
            known = [*variables, *quantities]
            return f"{base}, and model={one.cell.model.name} has {_listed(base, known)}"
        own = None if owner in quantities else _labels(model, owner)
        if own is not None and comparable(name) not in (comparable(owner), *map(comparable, own)):
            return f"{name}, and {owner} of model={one.cell.model.name} has {_listed(name, own)}"
        labels = None if own is None or labels is None else [*labels, *own]
    if labels is None or isinstance(tree, Name):
        return ""  # only a fit says which elements there are
    try:
        expanded(tree, tuple(dict.fromkeys(labels)))
    except ConfigError as error:
        return str(error)
    return ""


def _owner(name: str, known: Sequence[str]) -> str | None:
    """Find the variable or quantity that a name is, or is an element of."""
    wanted = comparable(name)
    found = {comparable(other): other for other in known}
    if wanted in found:
        return found[wanted]
    longest = sorted((other for other in found if element_of(wanted, other) is not None), key=len)
    return found[longest[-1]] if longest else None


def _labels(model: pm.Model, name: str) -> list[str] | None:
    """Labels of the scalars of a variable; None where only a fit says what they are."""
    dims = model.named_vars_to_dims.get(name) or ()
    shape = model[name].type.shape
    places = []
    for axis, length in enumerate(shape):
        given = model.coords.get(str(dims[axis])) if axis < len(dims) and dims[axis] is not None else None
        if given is None and length is None:
            return None
        places.append([str(where) for where in (range(length) if given is None else given)])
    return [f"{name}[{', '.join(where)}]" if where else name for where in itertools.product(*places)]


def _listed(label: str, known: Sequence[str]) -> str:
    hint = did_you_mean(label, known)
    return f"{few(known, MOST_NAMED)}{f'; {hint}'.rstrip() if hint else ''}"
