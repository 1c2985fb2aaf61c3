"""The console that everything is printed on."""

from __future__ import annotations

import os
import sys

from rich.console import Console

__all__ = ["console"]


class _Console(Console):
    """A console that leaves it to the command what to do when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        """Say so; the one of rich ends with the exit code of a failed verdict."""
        raise BrokenPipeError


LOG_WIDTH = 120
"""A log file gets lines wide enough for the tables."""


def console() -> Console:
    """Make the console of standard output."""
    if sys.stdout.isatty():
        return _Console(highlight=False)
    return _Console(file=sys.stdout, width=_asked() or LOG_WIDTH, highlight=False)


def _asked() -> int:
    """Return the width that COLUMNS asks for, which shells do not hand over by themselves; 0: none."""
    word = os.environ.get("COLUMNS", "")
    return int(word) if word.isdecimal() else 0
