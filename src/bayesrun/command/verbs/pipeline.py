"""`bayesrun pipeline`: the words after it, read and answered. It decides nothing itself."""

from __future__ import annotations

import datetime
import sys

import click
from click.shell_completion import CompletionItem

from bayesrun.command.verbs import VERBS
from bayesrun.command.verbs.usage import part, settings
from bayesrun.errors import ConfigError

__all__ = ["command"]

LIST, RUN = "bayesrun pipeline list", "bayesrun pipeline run nightly_calibration --date 2026-11-22 track=off"
ABOUT_RUN = "Run a pipeline for a date: plan, study, report, gate. A finished date is not repeated."
WORDS = "NAME is that of a file in pipelines/, yours or a shipped one. OVERRIDES and flags of Hydra are passed on."


@click.group("pipeline", no_args_is_help=False, **settings(VERBS["pipeline"], LIST, RUN))
def command() -> None:
    """Answer ``run NAME [--date DATE] [OVERRIDES...]`` and ``list``."""


def _name(context: click.Context, parameter: click.Parameter, text: str) -> str:
    """Refuse an option of nobody where the name has to be, which would be passed on if it came later."""
    del parameter
    if text.startswith("-"):
        raise click.NoSuchOption(text, ctx=context)
    return text


def _date(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime.date:
    """Read a date; the compact and week forms of ISO 8601 would give one date several spellings."""
    del context, parameter
    if text is None:
        return datetime.date.today()
    try:
        found = datetime.date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise ConfigError(f"--date: got {text!r}; wanted YYYY-MM-DD")
    return found


def _names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete the name of a pipeline."""
    from bayesrun.command.pipelines.definition import names

    del context, parameter
    return [CompletionItem(name) for name in names() if name.startswith(incomplete)]


# flags of Hydra may stand among the overrides, and are passed on
@part("run", ABOUT_RUN, RUN, words=WORDS, ignore_unknown_options=True)
@click.argument("name", metavar="NAME", callback=_name, shell_complete=_names)
@click.option("--date", metavar="YYYY-MM-DD", callback=_date, help="Default: today, of this machine's clock.")
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED, metavar="[OVERRIDES...]")
def run_for(name: str, date: datetime.date, overrides: tuple[str, ...]) -> int:
    """Run a pipeline for a date.

    The exit code is 0 within bounds, 1 out of them, 2 refused or not finished; 128 + signal where one stopped it.
    """
    from bayesrun.command.pipelines.definition import find
    from bayesrun.command.pipelines.runs import run

    ended = run(find(name), date, overrides)
    if ended.sentence:
        (sys.stderr if ended.code else sys.stdout).write(f"{ended.sentence}\n")
    return ended.code


@part("list", "Show the pipelines in reach.", LIST)
def list_all() -> int:
    """Show the pipelines in reach, with schedule and sentence."""
    from bayesrun.command.pipelines.definition import find, names

    for name in names():
        found = find(name)
        sys.stdout.write(f"{name}  [{found.schedule}]  {found.about}\n")
    return 0


command.add_command(run_for)
command.add_command(list_all)
