"""The console that everything is printed on."""

from __future__ import annotations

import sys

from rich.console import Console

__all__ = ["console"]

LOG_WIDTH = 120
"""A log file gets lines wide enough for the tables."""


def console() -> Console:
    """Make the console of standard output."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(file=sys.stdout, width=LOG_WIDTH, highlight=False)
