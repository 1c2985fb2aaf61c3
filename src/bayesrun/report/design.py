"""The cells that study.json has, as values again."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from bayesrun.types import CheckedCell

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["cells_of"]


@functools.cache
def _cells() -> TypeAdapter[tuple[CheckedCell, ...]]:
    """Make what checks them: it takes longer to make than to use."""
    return TypeAdapter(tuple[CheckedCell, ...])


def cells_of(facts: Mapping[str, Any]) -> tuple[CheckedCell, ...]:
    """Return every cell of a design, superseded ones too; none where there is no study yet."""
    return _cells().validate_python(facts.get("cells", ()))
