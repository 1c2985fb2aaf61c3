"""`bayesrun info`: what models, data, samplers and studies there are, and what one of them is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from bayesrun.command.verbs.usage import verb
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from bayesrun.command.info import About, Catalogue

__all__ = ["command"]

WORDS = (
    "GROUP=NAME is a choice as it is typed for a study: what it is, formula, priors, roles of its data, every key with "
    "its default and meaning, references. GROUP alone lists its choices, and no word at all lists all groups."
)


def _words(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete a group and its choices, or a section."""
    from bayesrun.command.info import Catalogue

    del parameter
    catalogue = Catalogue.within(context.params.get("config_dir"))
    group, equals, _ = incomplete.lstrip("+").partition("=")
    plus = incomplete[: len(incomplete) - len(incomplete.lstrip("+"))]
    if equals:
        known = [f"{plus}{group}={name}" for name in catalogue.names(group)]
    else:
        known = [*(f"{plus}{name}=" for name in catalogue.groups()), *catalogue.sections()]
    return [CompletionItem(word) for word in known if word.startswith(incomplete)]


def _folders(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    del context, parameter
    return [CompletionItem(incomplete, type="dir")]


@verb(
    "info",
    "bayesrun info",
    "bayesrun info model=hierarchical",
    "bayesrun info sampler=numpyro data=csv",
    "bayesrun info --config-dir conf model=my_model --json",
    words=WORDS,
)
@click.argument("words", nargs=-1, metavar="[GROUP=NAME]...", shell_complete=_words)
@click.option("--config-dir", "-cd", metavar="DIR", help="Your own configs.", shell_complete=_folders)
@click.option("--json", "as_json", is_flag=True, help="For machines: one object, or a list of them for several words.")
def command(words: tuple[str, ...], config_dir: str | None, *, as_json: bool) -> int:
    """Tell what there is to choose from."""
    from bayesrun.base.imports import make_importable
    from bayesrun.command import terminal
    from bayesrun.command.info import Catalogue, as_values, lines, listing

    make_importable(Path.cwd())  # modules of a user's are found there, and read
    catalogue = Catalogue.within(config_dir)
    console = terminal.console()
    told: list[Any] = []
    for word in [one for several in words or ("",) for one in _apart(several)]:
        group = word.lstrip("+").removesuffix("=")
        groups = [one for one in catalogue.groups() if not word or one == group]
        if groups and as_json:
            told.append({group: list(catalogue.names(group)) for group in groups})
            continue
        found = None if groups else _about(catalogue, word)
        if as_json and found is not None:
            told.append(as_values(found))
            continue
        text = listing(catalogue, groups, console.width) if found is None else lines(found, console.width)
        for line in ([""] if told else []) + text:
            console.print(line, markup=False, soft_wrap=True)
        told.append(word)
    if as_json:
        click.echo(json.dumps(told[0] if len(told) == 1 else told, indent=2, ensure_ascii=False, default=str))
    return 0


def _apart(word: str) -> list[str]:
    """Take the choices of a sweep apart: model=linear,logistic."""
    group, equals, names = word.partition("=")
    return [f"{group}={name}" for name in names.split(",")] if equals else [word]


def _about(catalogue: Catalogue, word: str) -> About:
    """Find what a word names.

    Raises
    ------
    ConfigError
        If it names nothing, with the nearest that does.
    """
    from bayesrun.base.spelling import nearest
    from bayesrun.command.info import about, options_of

    group, equals, name = word.lstrip("+").partition("=")
    groups, sections = catalogue.groups(), catalogue.sections()
    if not equals and group in sections:
        return options_of(catalogue, group)
    if group in groups and equals:
        return about(catalogue, group, name)
    first, dot, _ = group.partition(".")
    if dot and first in (*groups, *sections):
        remedy = f"bayesrun info {first}=NAME" if first in groups else f"bayesrun info {first}"
        raise ConfigError(f"{word}: this is a key; wanted GROUP=NAME; {remedy} tells of its keys")
    owners = [one for one in groups if group in catalogue.names(one)]
    near = nearest(group, (*groups, *sections))
    meant = f"{owners[0]}={group}" if owners else f"{near}{equals}{name}" if near in groups else near
    hint = f"did you mean {meant}? " if meant else ""
    raise ConfigError(f"{word}: wanted GROUP=NAME; {hint}there are {', '.join((*groups, *sections))}")
