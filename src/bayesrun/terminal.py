"""The console that everything is printed on."""

from __future__ import annotations

import sys

from rich.console import Console

__all__ = ["console"]

LOG_WIDTH = 120
"""A log file gets lines wide enough for the tables."""


def console() -> Console:
    """Make the console of standard output."""
    return Console() if sys.stdout.isatty() else Console(file=sys.stdout, width=LOG_WIDTH)
