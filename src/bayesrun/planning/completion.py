"""What a stored fit lacks of what is wanted, and how what several commands ask of it adds up.

Quantities, decisions, levels and steps are no part of a fit: they are made from its draws, at any time. So what one
command asked for stays when another asks for something else. Values that a fit has one of (`ONE_VALUE`) are those of
the latest command.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesrun.base.imports import import_target
from bayesrun.base.source_code import source_digest
from bayesrun.errors import ConfigError
from bayesrun.planning.keys import source_alone
from bayesrun.statistics.measures import parse_decisions
from bayesrun.types import Asked
from bayesrun.types.kept import GROUPS, OF_STEP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bayesrun.statistics.measures import Decision
    from bayesrun.types import Absent, CheckedCell, DiagnosticsOptions, FitSpec, Outcome, Steps, StudyOptions

__all__ = [
    "IN_POSTERIOR",
    "ONE_VALUE",
    "SWITCHES",
    "Wants",
    "added_to",
    "added_up",
    "asked_and_absent",
    "asked_steps",
    "is_answered",
    "is_complete",
    "joined_steps",
    "missing_steps",
    "namesakes",
    "unmet",
    "with_earlier",
    "without",
]

ONE_VALUE = ("ci_prob", "ci_kind", "ranks", "loo_var")
"""Options of which a summary has one value."""
SWITCHES = ("prior_predictive", "posterior_predictive", "log_likelihood", "figures")
IN_POSTERIOR = SWITCHES[:3]
"""Steps that add groups to a posterior.nc."""


@dataclass(frozen=True)
class Wants:
    """How a posterior is summarised: options, and the digest of the source of each quantity."""

    diagnostics: DiagnosticsOptions
    sources: Mapping[str, str]


def is_complete(outcome: Outcome | None, spec: FitSpec) -> bool:
    """Whether a stored fit has every step and summary that is wanted and can be done, by the same sources.

    It may have more. A step that failed, or in which a worker was lost, is missing; one that cannot be done is not.
    """
    if outcome is None or unmet(outcome, spec) or not _keeps(outcome, spec):
        return False
    return _has(outcome, spec) and not any(getattr(missing_steps(outcome, spec), name) for name in SWITCHES)


def _keeps(outcome: Outcome, spec: FitSpec) -> bool:
    """Whether a stored fit has the Deterministics that are to be kept; of groups see `missing_steps`."""
    return not any(name not in GROUPS and spec.kept.has(name) for name in outcome.left_out)


def is_answered(outcome: Outcome, spec: FitSpec) -> bool:
    """Whether all that is wanted of a stored fit is there, or was tried and is absent with its reason."""
    gone = outcome.absent_steps
    missing = missing_steps(outcome, spec)
    if any(getattr(missing, name) and name not in gone for name in SWITCHES):
        return False
    wanted = spec.required
    quantities = {n: path for n, path in (wanted.quantities or {}).items() if f"quantity {n}" not in gone}
    decisions = tuple(rule for rule in wanted.decisions if f"decision {rule}" not in gone)
    tried = dataclasses.replace(wanted, quantities=quantities or None, decisions=decisions)
    return _has(outcome, dataclasses.replace(spec, asked=tried))


def asked_steps(spec: FitSpec) -> tuple[str, ...]:
    """Name the steps after drawing that a recipe asks for, but for single figures, ``figure NAME``.

    A model without Deterministics that were left for later has no step ``deterministic NAME`` either.
    """
    wanted = spec.required
    return (
        *(name for name in SWITCHES if getattr(spec.steps, name)),
        "diagnostics",
        *(f"quantity {name}" for name in wanted.quantities or {}),
        *(f"decision {rule}" for rule in wanted.decisions),
    )


def unmet(outcome: Outcome, spec: FitSpec) -> dict[str, Absent]:
    """Find the steps that a recipe asks for, that could be done, and that a fit does not have, with the reasons."""
    return {step: why for step, why in asked_and_absent(outcome, spec).items() if why.kind != "cannot"}


def asked_and_absent(outcome: Outcome, spec: FitSpec) -> dict[str, Absent]:
    """Find the steps that a recipe asks for and that a fit does not have, with the reasons."""
    wanted = spec.required
    asks = {
        **{name: getattr(spec.steps, name) for name in SWITCHES},
        "figure": spec.steps.figures,
        "loo": spec.steps.log_likelihood,
        "log_prior": spec.steps.prior_predictive,
        "prior_sensitivity": spec.steps.prior_predictive and spec.steps.log_likelihood,
    }

    def asked(step: str) -> bool:
        word, _, name = step.partition(" ")
        if word == "quantity":
            return name in (wanted.quantities or {})
        if word == "decision":
            return name in wanted.decisions
        return bool(asks.get(word, True))

    return {step: why for step, why in outcome.absent_steps.items() if asked(step)}


def missing_steps(outcome: Outcome, spec: FitSpec) -> Steps:
    """Find the steps that a stored fit lacks and that can be done, or that it has by another source or another size."""
    had, wanted, gone = outcome.steps, spec.steps, outcome.absent_steps
    cannot = {name for name in SWITCHES if name in gone and gone[name].kind == "cannot"}
    lacking = {name: getattr(wanted, name) and not getattr(had, name) and name not in cannot for name in SWITCHES}
    again = had.prior_draws < wanted.prior_draws or "log_prior" in unmet(outcome, spec)
    lacking["prior_predictive"] |= wanted.prior_predictive and "prior_predictive" not in cannot and again
    name = "log_likelihood"
    lacking[name] |= wanted.log_likelihood and outcome.step_sources.get(name) != spec.step_sources.get(name)
    thin = {*outcome.left_out, *(GROUPS if outcome.single and not spec.kept.single else ())}
    for step, groups in OF_STEP.items():
        again = any(name in thin and spec.kept.has(name) for name in groups)
        lacking[step] |= getattr(wanted, step) and step not in cannot and again
    return dataclasses.replace(wanted, **lacking)


def joined_steps(had: Steps, wanted: Steps) -> Steps:
    """Join the steps that a posterior had and those that are wanted; of draws from the prior the larger number."""
    merged = {name: getattr(had, name) or getattr(wanted, name) for name in SWITCHES}
    prior = [steps.prior_draws for steps in (had, wanted) if steps.prior_predictive]
    return dataclasses.replace(wanted, **merged, prior_draws=max(prior, default=had.prior_draws))


def _has(outcome: Outcome, spec: FitSpec) -> bool:
    """Whether a summary has the values, columns and rows that are wanted."""
    had, wanted = outcome.diagnostics_options, spec.required
    if any(getattr(had, name) != getattr(wanted, name) for name in ONE_VALUE) or (wanted.waic and not had.waic):
        return False
    paths, sources, now = had.quantities or {}, outcome.quantity_sources, spec.quantity_sources
    by_same = all(paths.get(n) == p and sources.get(n) == now.get(n) for n, p in (wanted.quantities or {}).items())
    return by_same and set(wanted.levels) <= set(had.levels) and _decided(had.decisions, wanted)


def _decided(had: Sequence[str], wanted: DiagnosticsOptions) -> bool:
    if set(wanted.decisions) <= set(had):
        return True
    return set(_rules(wanted.decisions, wanted).values()) <= set(_rules(had, wanted).values())


def _rules(texts: Iterable[str], options: DiagnosticsOptions) -> dict[str, Decision]:
    """Read rules, by their names."""
    return {decision.name: decision for decision in parse_decisions(texts, options.ci_kind)}


def added_up(had: Wants, wanted: Wants) -> tuple[Wants, tuple[str, ...]]:
    """Add what is wanted to what there is.

    Parameters
    ----------
    had
        Of earlier commands. A quantity that is not wanted now stays where its function is still there, by the same
        source: what an edited one would say is another column.
    wanted
        Of this command, whose values win: `ONE_VALUE`, and quantities and decisions of the same name.

    Returns
    -------
    both : Wants
        What a summary made now has.
    lost : tuple of str
        One line for each quantity and decision of earlier commands that can no longer be made.
    """
    before, now = had.diagnostics, wanted.diagnostics
    own = now.quantities or {}
    earlier = {name: path for name, path in (before.quantities or {}).items() if name not in own}
    gone = {name: why for name, path in earlier.items() if (why := _gone(name, path, had.sources.get(name, "")))}
    kept = {name: path for name, path in (before.quantities or {}).items() if name in own or name not in gone}
    sources = {name: had.sources[name] for name in kept if name in had.sources} | dict(wanted.sources)
    diagnostics = dataclasses.replace(
        now,
        waic=before.waic or now.waic,
        levels=_levels(before.levels, now.levels),
        quantities={**kept, **own} or None,
        decisions=_decisions(before.decisions, now),
    )
    lost = tuple(
        f"quantity {name} ({earlier[name]}) of an earlier command is left out: {why}" for name, why in gone.items()
    )
    both, undecided = without(Wants(diagnostics, sources), gone)
    return both, (*lost, *undecided)


def namesakes[T: (DiagnosticsOptions, StudyOptions)](node: str, had: T, wanted: T) -> dict[str, tuple[str, str]]:
    """Find the quantities and decisions that have one name and are not the same.

    Parameters
    ----------
    node
        Config path of the options.
    had, wanted
        Of earlier commands or another cell, and of this one.

    Returns
    -------
    dict
        Name of what it is to what was had and what is wanted, in the order of the latter.
    """
    known, given = _named(node, had), _named(node, wanted)
    return {name: (known[name], text) for name, text in given.items() if known.get(name, text) != text}


def _named(node: str, options: DiagnosticsOptions | StudyOptions) -> dict[str, str]:
    rules = parse_decisions(options.decisions, getattr(options, "ci_kind", "eti"))
    quantities = {f"{node}.quantities.{name}": path for name, path in (options.quantities or {}).items()}
    return quantities | {f"{node}.decisions: {rule.name}": rule.text for rule in rules}


def without(wants: Wants, names: Iterable[str]) -> tuple[Wants, tuple[str, ...]]:
    """Leave quantities out, and the rules that decide by them; the second value has a line for each rule."""
    gone, options = set(names), wants.diagnostics
    if not gone:
        return wants, ()
    quantities = {name: path for name, path in (options.quantities or {}).items() if name not in gone}
    rules = dict(zip(options.decisions, parse_decisions(options.decisions, options.ci_kind), strict=True))
    about = {text for text, rule in rules.items() if any(map(rule.mentions, gone))}
    decisions = tuple(text for text in options.decisions if text not in about)
    lost = tuple(
        f"decision {text!r} of an earlier command is left out, like the quantity that it is about"
        for text in options.decisions
        if text in about
    )
    kept = dataclasses.replace(options, quantities=quantities or None, decisions=decisions)
    return Wants(kept, {name: digest for name, digest in wants.sources.items() if name not in gone}), lost


def _gone(name: str, path: str, source: str) -> str:
    """Say why a quantity can no longer be made as it was; empty where it can."""
    try:
        now = source_digest(import_target(f"quantity {name}", path))
    except ConfigError as error:
        return str(error)
    return (
        ""
        if now == source_alone(source)
        else "its source was edited since; ask for it again, and it is made by the new one"
    )


def _levels(had: Sequence[float], wanted: Sequence[float]) -> tuple[float, ...]:
    whole = {*had, *wanted}
    return next((tuple(one) for one in (had, wanted) if whole == set(one)), tuple(sorted(whole)))


def _decisions(had: Sequence[str], now: DiagnosticsOptions) -> tuple[str, ...]:
    """Join rules in the order in which they were first asked for; those of one name are the latest one."""
    if set(had) <= set(now.decisions):
        return now.decisions
    texts = dict(zip(_rules(had, now), had, strict=True))
    latest = dict(zip(_rules(now.decisions, now), now.decisions, strict=True))
    return tuple((texts | latest).values())


def added_to(known: CheckedCell, now: CheckedCell) -> CheckedCell:
    """Add what earlier commands asked of a cell to what this command asks of it, which `CheckedCell.asked` keeps.

    Steps are done for the fits of this command as it says; the cell tells of all that were done.
    """
    asked = now.asked or Asked(now.cell.steps, now.cell.diagnostics)
    had = Wants(known.cell.diagnostics, known.quantity_sources)
    both, lost = added_up(had, Wants(now.cell.diagnostics, now.quantity_sources))
    steps = joined_steps(known.cell.steps, now.cell.steps)
    return dataclasses.replace(
        now,
        cell=dataclasses.replace(now.cell, steps=steps, diagnostics=both.diagnostics),
        quantity_sources=both.sources,
        asked=None if (steps, both.diagnostics) == (asked.steps, asked.diagnostics) else asked,
        warnings=tuple(dict.fromkeys((*now.warnings, *(f"{now.cell.label}: {line}" for line in lost)))),
    )


def with_earlier(
    cells: Iterable[CheckedCell], known: Mapping[str, CheckedCell], keys: Iterable[str]
) -> tuple[CheckedCell, ...]:
    """Add to each cell what earlier commands asked of the same fits.

    Parameters
    ----------
    cells
        Of this command.
    known
        Those of the study, by the key of their first fit.
    keys
        Those of the first fits of `cells`.
    """
    return tuple(added_to(known[k], cell) if k in known else cell for cell, k in zip(cells, keys, strict=True))
