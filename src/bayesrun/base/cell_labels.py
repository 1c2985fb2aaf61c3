"""Short names of cells: the three choices, and the values in which cells of the same choices differ."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bayesrun.base.secrets import public
from bayesrun.types import Cell, canonical_json

__all__ = ["flat", "labelled", "leaves", "short", "told_once"]

NEXT_VALUE = re.compile(r" (?=[\w.]+=(?!=))")
"""Where the next value of a label begins; those before it may hold blanks."""


def labelled(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Name each cell, and note the values that set it apart.

    Parameters
    ----------
    cells
        All cells that are told apart; their labels are not read.

    Returns
    -------
    tuple of Cell
        With label and overrides. Cells that state the same get the same label.
    """
    bases = [(cell.model.name, cell.data.name, cell.sampler.name) for cell in cells]
    stated = [leaves(cell) for cell in cells]
    peers: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for base, own in zip(bases, stated, strict=True):
        peers.setdefault(base, []).append(own)
    telling = {base: _differing(group) for base, group in peers.items()}
    found = []
    for cell, base, own in zip(cells, bases, stated, strict=True):
        differing = {key: own.get(key) for key in telling[base]}
        words = [
            f"{key.removeprefix('model.').removeprefix('data.')}={short(value)}" for key, value in differing.items()
        ]
        label = " ".join(["/".join(base), *words])
        found.append(dataclasses.replace(cell, label=label, overrides=differing))
    return tuple(found)


def _differing(group: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the paths at which not all of a group state the same."""
    keys = dict.fromkeys(key for own in group for key in own)
    first = group[0]
    return sorted(key for key in keys if any(own.get(key) != first.get(key) for own in group))


def leaves(cell: Cell) -> dict[str, Any]:
    """Return what a cell states and others may see, by config path."""
    nested = {
        "model": {"_target_": cell.model.path, **cell.model.params},
        "data": {"_target_": cell.data.path, **cell.data.params},
        "sampler": {"_target_": cell.sampler.path, **dataclasses.asdict(cell.options)},
        "steps": dataclasses.asdict(cell.steps),
        "diagnostics": dataclasses.asdict(cell.diagnostics),
        "gate": dataclasses.asdict(cell.gate),
    }
    return flat(public(nested), "")


def flat(values: Any, path: str) -> dict[str, Any]:
    """Flatten nested mappings to dotted paths below `path`; an empty one states nothing."""
    if isinstance(values, Mapping):
        return {
            k: v for key, inner in values.items() for k, v in flat(inner, f"{path}.{key}" if path else str(key)).items()
        }
    return {path: list(values) if isinstance(values, tuple) else values}


def short(value: Any) -> str:
    """Write a value as it stands in a label."""
    return value if isinstance(value, str) else canonical_json(value)


def told_once(labels: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Part what all labels share from what sets each apart.

    Parameters
    ----------
    labels
        Of cells, as `labelled` makes them, or any others.

    Returns
    -------
    shared : str
        What all of them have; empty where that is nothing, or there is one only.
    own : dict
        Label to its rest. No two are the same, and none is empty.

    Examples
    --------
    >>> told_once(["linear/design/nuts n=20", "linear/design/advi n=20"])
    ('linear/design n=20', {'linear/design/nuts n=20': 'nuts', 'linear/design/advi n=20': 'advi'})
    """
    split = {label: _words(label) for label in labels}
    whole = "", {label: label for label in split}
    if len(split) < 2 or len({len(choices) for choices, _ in split.values()}) > 1:
        return whole
    same = [len(set(words)) == 1 for words in zip(*(choices for choices, _ in split.values()), strict=True)]
    first, values = next(iter(split.values()))
    common = [value for value in values if all(value in others for _, others in split.values())]
    own = {
        label: " ".join(
            [
                "/".join(word for word, shared in zip(choices, same, strict=True) if not shared),
                *(value for value in others if value not in common),
            ]
        ).strip()
        for label, (choices, others) in split.items()
    }
    if len(set(own.values())) < len(own) or not all(own.values()):
        return whole
    shared = "/".join(word for word, shared in zip(first, same, strict=True) if shared)
    return " ".join([shared, *common]).strip(), own


def _words(label: str) -> tuple[list[str], list[str]]:
    """Split a label into its choices and its values."""
    choices, *values = NEXT_VALUE.split(label)
    return (choices.split("/") if choices.count("/") == 2 else [choices]), values
