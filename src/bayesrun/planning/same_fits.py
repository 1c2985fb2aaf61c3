"""Cells of one command that are one fit: what all of them ask of it, or why it cannot have that."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayesrun.base.cell_labels import labelled
from bayesrun.errors import ConfigError
from bayesrun.planning.completion import ONE_VALUE, Wants, added_up, joined_steps, namesakes
from bayesrun.types import CheckedCell, canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayesrun.types import DiagnosticsOptions, Steps

__all__ = ["Together", "together"]


@dataclass(frozen=True)
class Together:
    """Cells of one command, of which those that are one fit ask for the same and have one label.

    Parameters
    ----------
    cells
        In the same order.
    labels
        The label that each had to the one that it has.
    notes
        One line for each fit of which cells ask different things.
    """

    cells: tuple[CheckedCell, ...]
    labels: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def by_label[T](self, values: Mapping[str, T]) -> dict[str, T]:
        """Give values that were found by the labels that cells had by those that they have; of one fit the first."""
        return {self.labels.get(label, label): value for label, value in reversed(list(values.items()))}

    def of_each[T](self, values: Mapping[str, T]) -> dict[str, T]:
        """Give each cell, by the label that it had, the value of its fit, where that has one."""
        return {had: values[label] for had, label in self.labels.items() if label in values}


def together(cells: Sequence[CheckedCell], keys: Sequence[str]) -> Together:
    """Let cells of one command that are one fit ask for what all of them ask for.

    Parameters
    ----------
    cells
        Of the command.
    keys
        Those of their first fits.

    Raises
    ------
    ConfigError
        If they want several values of what a fit has one of, or mean several things by one name.
    """
    groups: dict[str, list[CheckedCell]] = {}
    for key, cell in zip(keys, cells, strict=True):
        groups.setdefault(key, []).append(cell)
    joined = [functools.reduce(_joined, group) for group in groups.values()]
    whole = dict(zip(groups, _relabelled(joined) if len(joined) < len(cells) else joined, strict=True))
    notes = [
        f"{whole[key].cell.label}: {len(group)} cells are this one fit, which gets the steps, levels, quantities and "
        "decisions of all of them"
        for key, group in groups.items()
        if any(_asked(cell) != _asked(group[0]) for cell in group)
    ]
    found = [_like(cell, whole[key]) for key, cell in zip(keys, cells, strict=True)]
    labels = {cell.cell.label: one.cell.label for cell, one in zip(cells, found, strict=True)}
    return Together(tuple(found), labels, tuple(notes))


def _asked(checked: CheckedCell) -> tuple[Steps, DiagnosticsOptions]:
    return checked.cell.steps, checked.cell.diagnostics


def _like(checked: CheckedCell, whole: CheckedCell) -> CheckedCell:
    names = ("label", "overrides", "steps", "diagnostics")
    cell = dataclasses.replace(checked.cell, **{name: getattr(whole.cell, name) for name in names})
    return dataclasses.replace(checked, cell=cell, quantity_sources=whole.quantity_sources)


def _relabelled(cells: Sequence[CheckedCell]) -> list[CheckedCell]:
    """Label cells by what still tells them apart, where that does."""
    named = labelled([checked.cell for checked in cells])
    if len({cell.label for cell in named}) < len(cells):
        return list(cells)
    return [dataclasses.replace(checked, cell=cell) for checked, cell in zip(cells, named, strict=True)]


def _joined(first: CheckedCell, other: CheckedCell) -> CheckedCell:
    """Add to a cell what another one asks of the same fit."""
    _refuse_two_of_one(first, other)
    _refuse_namesakes(first.cell.diagnostics, other.cell.diagnostics, (first.cell.label, other.cell.label))
    wants = [Wants(checked.cell.diagnostics, checked.quantity_sources) for checked in (first, other)]
    both, _ = added_up(*wants)
    steps = joined_steps(first.cell.steps, other.cell.steps)
    cell = dataclasses.replace(first.cell, steps=steps, diagnostics=both.diagnostics)
    return dataclasses.replace(first, cell=cell, quantity_sources=both.sources)


def _refuse_two_of_one(first: CheckedCell, other: CheckedCell) -> None:
    """Refuse two values of what a fit has one of."""
    one, two = first.cell, other.cell
    names = [field.name for field in dataclasses.fields(one.gate)]
    pairs = {f"gate.{name}": (getattr(one.gate, name), getattr(two.gate, name)) for name in names}
    pairs["steps.timeout"] = one.steps.timeout, two.steps.timeout
    pairs |= {f"diagnostics.{k}": (getattr(one.diagnostics, k), getattr(two.diagnostics, k)) for k in ONE_VALUE}
    differing = [f"{name} ({_told(a)} and {_told(b)})" for name, (a, b) in pairs.items() if a != b]
    if one.steps.log_likelihood and two.steps.log_likelihood and first.step_sources != other.step_sources:
        differing.append("the function pointwise() of the model")
    shared = set(one.diagnostics.quantities or {}) & set(two.diagnostics.quantities or {})
    if shared and first.data_hash != other.data_hash:
        differing.append(f"the data of the quantities {', '.join(sorted(shared))}")
    if differing:
        raise ConfigError(
            f"{' and '.join(differing)}: {one.label} and {two.label} are the same fit, which has one of each; run them "
            "one after another: nothing is fitted twice, each prints its own verdict, what they ask for adds up, and "
            "of what a fit has one of the study keeps the last"
        )


def _refuse_namesakes(one: DiagnosticsOptions, two: DiagnosticsOptions, labels: tuple[str, str]) -> None:
    """Refuse quantities and decisions that have one name and are not the same."""
    for name, (had, given) in namesakes("diagnostics", one, two).items():
        raise ConfigError(
            f"{name}: {labels[0]} has {had!r}, and {labels[1]}, which is the same fit, has {given!r}; a name means one "
            "thing; give one of them another name"
        )


def _told(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)
