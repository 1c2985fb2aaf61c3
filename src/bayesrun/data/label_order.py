"""Which of two labels is the event, and the order of labels, as the user states them; nothing is guessed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.data.hints import listed
from bayesrun.data.parts import codes, texts
from bayesrun.data.words import same_label
from bayesrun.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesrun.data.parts import Part

__all__ = ["set_event", "set_order"]


def set_event(name: str, part: Part, event: Any) -> None:
    """Code a column as 1 where it has the label of the event, and 0 where it has the other one.

    Raises
    ------
    DataError
        If the column has not two labels, or none of them is the event.
    """
    coded, labels = _coded(part)
    if len(labels) != 2:
        raise DataError(
            f"data.event.{name}: got {event!r}; an event is one of two labels, and {name} has {len(labels)}: "
            f"{listed(labels)}. For one label against all others: \"data.transform={{{name}:'is:{event}'}}\""
        )
    chosen = _found(f"data.event.{name}", labels, event)
    _recode(part, coded, labels, (labels[1 - chosen], labels[chosen]))


def set_order(name: str, part: Part, order: Sequence[Any]) -> None:
    """Code a column by labels in a stated order.

    Raises
    ------
    DataError
        If the order repeats a label, or leaves out one that the column has.
    """
    coded, labels = _coded(part)
    given = [order] if isinstance(order, str) or not hasattr(order, "__iter__") else list(order)
    ranked = []
    for entry in given:
        same = [label for label in labels if same_label(label, entry)]
        ranked.append(same[0] if same else entry)
    left = [label for label in labels if label not in ranked]
    if left or len(set(map(str, ranked))) < len(ranked) or len(ranked) < 2:
        raise DataError(
            f"data.order.{name}: got {given!r}; wanted every label once, from the lowest to the highest, and {name} "
            f"has {listed(labels)}" + (f"; {listed(left)} is not in the order" if left else "")
        )
    _recode(part, coded, labels, tuple(ranked))


def _coded(part: Part) -> tuple[np.ndarray, tuple[Any, ...]]:
    coded, labels = codes(texts(part), part.written if part.levels is None else None, part.column)
    return coded, labels


def _found(key: str, labels: Sequence[Any], given: Any) -> int:
    same = [place for place, label in enumerate(labels) if same_label(label, given)]
    if len(same) != 1:
        raise DataError(f"{key}: got {given!r}; wanted one of the labels {listed(map(repr, labels))}")
    return same[0]


def _recode(part: Part, coded: np.ndarray, labels: Sequence[Any], ranked: tuple[Any, ...]) -> None:
    place = np.array([ranked.index(label) for label in labels], dtype=np.int64)
    part.values = np.where(coded < 0, -1, place[coded])
    part.levels, part.written, part.ordered = ranked, None, True
