"""`bayesrun pipeline`: the words after it, read and answered. It decides nothing itself."""

from __future__ import annotations

import argparse
import datetime
import sys
from typing import TYPE_CHECKING

from bayesrun.command.pipelines.definition import find, names
from bayesrun.command.pipelines.runs import run
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["pipeline"]


def pipeline(words: Sequence[str]) -> int:
    """Answer ``run NAME [--date DATE] [OVERRIDES...]`` and ``list``.

    Parameters
    ----------
    words
        After ``bayesrun pipeline``.

    Returns
    -------
    int
        Exit code: 0 within bounds, 1 out of them, 2 refused or not finished.

    Raises
    ------
    BayesrunError
        For a name or a date that is none, for a date that is being worked on, and for other overrides than it was
        begun with.
    """
    parser = argparse.ArgumentParser(prog="bayesrun pipeline", description="Studies that run by the calendar.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    about = "Run a pipeline for a date: plan, study, report, gate. A finished date is not repeated."
    run_parser = verbs.add_parser("run", help=about, description=about, allow_abbrev=False)
    run_parser.add_argument("name", help="name of the file in pipelines/, yours or a shipped one")
    run_parser.add_argument("--date", type=_date, help="YYYY-MM-DD (default: today, of this machine's clock)")
    run_parser.usage = "%(prog)s [-h] NAME [--date YYYY-MM-DD] [OVERRIDES...]"
    verbs.add_parser("list", help="Show the pipelines in reach.")
    arguments, overrides = parser.parse_known_args(words)
    if arguments.verb == "list":
        if overrides:
            parser.error(f"unrecognized arguments: {' '.join(overrides)}")
        return _list()
    ended = run(find(arguments.name), arguments.date or datetime.date.today(), overrides)
    if ended.sentence:
        (sys.stderr if ended.code else sys.stdout).write(f"{ended.sentence}\n")
    return ended.code


def _date(text: str) -> datetime.date:
    """Read a date; the compact and week forms of ISO 8601 would give one date several spellings."""
    try:
        found = datetime.date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise ConfigError(f"--date: got {text!r}; wanted YYYY-MM-DD")
    return found


def _list() -> int:
    for name in names():
        found = find(name)
        sys.stdout.write(f"{name}  [{found.schedule}]  {found.about}\n")
    return 0
