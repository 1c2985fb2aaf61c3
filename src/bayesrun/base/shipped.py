"""Where bayesrun itself is: its package, and the folders that come with it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["PACKAGE", "shipped_folder"]

PACKAGE: Final = Path(__file__).parents[1]


def shipped_folder(name: str) -> Path:
    """Find ``conf`` or ``pipelines``, which come with the code: in the installed package, or in the checkout."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parents[1] / name
