"""What the words of a study mean now: which of its cells are current, which are superseded, and what each is called.

A cell is meant by what was typed and chosen for it. Where the same words now mean another fit, since a source, a config
or a data file was edited, the old cell is superseded until it is meant again. Pure.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bayesrun.base.cell_labels import flat, labelled, leaves, short
from bayesrun.planning.keys import fit_key
from bayesrun.types import Cell, CheckedCell, Target, canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

__all__ = ["current", "extended", "named", "superseded_part"]

NUMBER = "number"
"""Stands for the path of what tells cells apart where nothing does."""
MOST_TEXT = 40
"""Characters of a value in a label; a longer one is no name."""


def extended(
    design: Sequence[CheckedCell],
    cells: Sequence[CheckedCell],
    seed: int,
    told: Callable[[CheckedCell, CheckedCell], str] = lambda old, new: "another fit",  # noqa: ARG005
) -> tuple[CheckedCell, ...]:
    """Add the cells of a command to a design; what their words meant before is superseded.

    Parameters
    ----------
    design
        Every cell of the study, superseded ones too, in the order in which they were first planned.
    cells
        Of the command, in which the same words may mean several cells.
    seed
        Of the study.
    told
        Says in what the second cell differs from the first.

    Returns
    -------
    tuple of CheckedCell
        Every cell of the study, under labels that tell all of them apart.
    """
    known = {fit_key(cell, seed, 0): cell for cell in design}
    own: dict[str, CheckedCell] = {}
    for cell in cells:
        key = fit_key(cell, seed, 0)
        had = own.get(key) or known.get(key)
        own[key] = dataclasses.replace(
            own.get(key, cell),
            replicates=max(cell.replicates, had.replicates if had is not None else 1),
            meant_by=_together((*(had.meant_by if had is not None else ()), _words(cell))),
            superseded="",
        )
    meant = _Meant(list(own.values()))
    after = {key: cell if key in own else _after(cell, meant, told) for key, cell in known.items()}
    return named(list((after | own).values()))


def current(cells: Iterable[CheckedCell]) -> tuple[CheckedCell, ...]:
    """Return the cells that are not superseded."""
    return tuple(cell for cell in cells if not cell.superseded)


def superseded_part(label: str) -> str:
    """Return what a label says of a cell that is superseded, ``(superseded 2)``; empty for a current one."""
    return label[label.index("(superseded") :] if label.endswith(")") and " (superseded" in label else ""


def named(cells: Sequence[CheckedCell]) -> tuple[CheckedCell, ...]:
    """Label all cells anew: current ones by what they state and what was typed, superseded ones as their successors."""
    now = current(cells)
    labels = iter(_labelled(now))
    found = [checked if checked.superseded else dataclasses.replace(checked, cell=next(labels)) for checked in cells]
    successors = _Meant(current(found))
    found = [_after_successor(checked, successors) if checked.superseded else checked for checked in found]
    often = Counter(checked.cell.label for checked in found if checked.superseded)
    seen = Counter[str]()
    for place, checked in enumerate(found):
        if checked.superseded:
            label = checked.cell.label
            seen[label] += 1
            which = f" {seen[label]}" if often[label] > 1 else ""
            cell = dataclasses.replace(checked.cell, label=f"{label} (superseded{which})")
            found[place] = dataclasses.replace(checked, cell=cell)
    return tuple(found)


def _words(checked: CheckedCell) -> Mapping[str, Any]:
    """Return what was typed for a cell, as far as its sampler reads it; where nothing was, what its config states."""
    words = checked.cell.words
    if not words:
        return {"stated": _stated(checked)}
    read = ("_target_", *checked.sampler_options)
    return {
        path: value
        for path, value in words.items()
        if not (path.startswith("sampler.") and path.split(".")[1] not in read)
    }


def _together(words: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    return tuple({canonical_json(one): one for one in words}.values())


class _Meant:
    """Cells, found by any words that mean them and by what their configs state; of several the first."""

    def __init__(self, cells: Sequence[CheckedCell]) -> None:
        self.cells = cells
        self.by_words: dict[str, CheckedCell] = {}
        self.by_stated: dict[str, CheckedCell] = {}
        self.typed = {canonical_json(_words(cell)): cell for cell in reversed(cells)}
        for cell in cells:
            for words in cell.meant_by:
                self.by_words.setdefault(canonical_json(words), cell)
            self.by_stated.setdefault(_stated(cell), cell)

    def alike(self, old: CheckedCell) -> CheckedCell | None:
        """Find a cell that states what an older one states, as its version wrote that down."""
        stated = _stated(old)
        if old.cell.words:
            return self.by_stated.get(stated)
        return next((cell for cell in self.cells if _stated(_as_before(cell, old)) == stated), None)


def _after(old: CheckedCell, meant: _Meant, told: Callable[[CheckedCell, CheckedCell], str]) -> CheckedCell:
    """Say what a cell is after a command that planned others: superseded where no words are left that mean it."""
    if old.superseded:
        return old
    had = {canonical_json(words): words for words in old.meant_by or (_words(old),)}
    alike = meant.alike(old)
    left = () if alike else tuple(words for text, words in had.items() if text not in meant.typed)
    if left:
        return dataclasses.replace(old, meant_by=left)
    successor = next((meant.typed[text] for text in had if text in meant.typed), alike)
    assert successor is not None
    return dataclasses.replace(old, meant_by=(), superseded=told(old, successor))


def _stated(checked: CheckedCell) -> str:
    """All that the config states of a cell, as text: the same for cells that differ in what no config shows."""
    cell, simulation = checked.cell, checked.simulation
    options = {name: value for name, value in dataclasses.asdict(cell.options).items() if name != "batch_size"}
    drawn = simulation and [simulation.generator, simulation.truth, simulation.joint, simulation.design]
    limit = cell.gate.n_divergent if cell.options.escalate else None
    return canonical_json([cell.model, cell.data, cell.sampler, options, drawn, limit])


def _as_before(new: CheckedCell, old: CheckedCell) -> CheckedCell:
    """Return a cell as an earlier version wrote it down: without parameters that have their defaults."""
    typed = {path.split(".")[1] for path in new.cell.words if path.startswith("model.")}
    model = _without_more(new.cell.model, old.cell.model.params.keys() | typed)
    simulation = new.simulation
    if simulation is not None and old.simulation is not None:
        generator = _without_more(simulation.generator, old.simulation.generator.params.keys())
        simulation = dataclasses.replace(simulation, generator=generator)
    return dataclasses.replace(new, cell=dataclasses.replace(new.cell, model=model), simulation=simulation)


def _without_more(target: Target, names: Container[str]) -> Target:
    return dataclasses.replace(target, params={name: value for name, value in target.params.items() if name in names})


def _after_successor(old: CheckedCell, now: _Meant) -> CheckedCell:
    """Call a superseded cell what that is called which its words mean now, or else by its own choices."""
    successor = now.by_words.get(canonical_json(_words(old))) or now.by_stated.get(_stated(old))
    if successor is not None:
        own = leaves(old.cell)
        overrides = {path: own.get(path, value) for path, value in successor.cell.overrides.items()}
        return dataclasses.replace(
            old, cell=dataclasses.replace(old.cell, label=successor.cell.label, overrides=overrides)
        )
    names = "/".join((old.cell.model.name, old.cell.data.name, old.cell.sampler.name))
    typed = {path: value for path, value in old.cell.words.items() if "." in path and path != "data.path"}
    return dataclasses.replace(old, cell=dataclasses.replace(old.cell, label=" ".join((names, *_told(typed)))))


def _labelled(cells: Sequence[CheckedCell]) -> list[Cell]:
    """Label current cells; those that state the same get what else tells them apart."""
    found = list(labelled([checked.cell for checked in cells]))
    groups: dict[str, list[int]] = {}
    for place, cell in enumerate(found):
        groups.setdefault(cell.label, []).append(place)
    for places in groups.values():
        if len(places) > 1:
            for place, told in zip(places, _apart([cells[place] for place in places]), strict=True):
                cell = found[place]
                label = " ".join((cell.label, *_told(told)))
                found[place] = dataclasses.replace(cell, label=label, overrides={**cell.overrides, **told})
    return found


def _apart(cells: Sequence[CheckedCell]) -> list[dict[str, Any]]:
    """Find the value that tells cells apart whose labels are the same; a number where there is none."""
    origins = [_origin(checked) for checked in cells]
    keys = [
        key
        for key in dict.fromkeys(key for own in origins for key in own)
        if len({canonical_json(own.get(key)) for own in origins}) > 1
        and all(len(short(own.get(key))) <= MOST_TEXT for own in origins)
    ]
    for chosen in (*([key] for key in keys), keys):
        told = [{key: own.get(key) for key in chosen} for own in origins]
        if len({canonical_json(one) for one in told}) == len(cells):
            return told
    return [{NUMBER: number} for number, _ in enumerate(cells, 1)]


def _origin(checked: CheckedCell) -> dict[str, Any]:
    """Return what the data of a cell are drawn from, and what was typed for it; a path by the name of its file."""
    found: dict[str, Any] = {}
    simulation = checked.simulation
    if simulation is not None:
        truth = simulation.truth
        given = isinstance(truth, dict) and "posterior" in truth
        found |= flat("posterior" if given else truth, "truth")
        found |= {"generator": simulation.generator.name} | flat(dict(simulation.generator.params), "generator")
    words = {path: PurePath(value).name if path == "data.path" else value for path, value in _words(checked).items()}
    return found | {path: value for path, value in words.items() if path not in found}


def _told(values: Mapping[str, Any]) -> list[str]:
    return [
        short(value)
        if path == NUMBER
        else f"{path.removeprefix('model.').removeprefix('data.').removeprefix('study.')}={short(value)}"
        for path, value in values.items()
    ]
