"""How a verb is called for a study, in hints: with the folder of the studies where it is another than assumed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

__all__ = ["STUDIES", "verb"]

STUDIES: Final = "studies"
"""Folder of the studies that verbs assume, in the working directory."""


def verb(name: str, root: Path) -> str:
    """Write the command that does something with a study.

    Parameters
    ----------
    name
        The verb, with its options if it has any.
    root
        Folder of the study.
    """
    where = () if root.parent == Path(STUDIES).absolute() else ("--output-dir", str(root.parent))
    return f"bayesrun {name} {shlex.join([root.name, *where])}"
