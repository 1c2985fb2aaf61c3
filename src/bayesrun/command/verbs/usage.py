"""How a verb is made of click: its sentence, its examples and what they all have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bayesrun.command.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["part", "settings", "verb"]

WIDTH = 120
"""Columns of a help at most; a terminal may have fewer."""


class _Command(click.Command):
    """A command whose wrong words say where they were; click does not always."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words after the command."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise


def verb(name: str, *examples: str, words: str = "") -> Callable[[Callable[..., int]], click.Command]:
    """Make the command of a verb: its sentence is that of the registry, and examples stand below its options.

    Parameters
    ----------
    name
        In the registry.
    examples
        Whole command lines.
    words
        What its arguments are, in sentences.
    """
    return part(name, VERBS[name], *examples, words=words)


def part(
    name: str, sentence: str, *examples: str, words: str = "", **context: Any
) -> Callable[[Callable[..., int]], click.Command]:
    """Make a command, also one below a verb.

    Parameters
    ----------
    name, sentence, examples, words
        What it is called and does, how, and with what.
    context
        Further settings of click's context.
    """
    return click.command(name, _Command, **settings(sentence, *examples, words=words, **context))


def settings(sentence: str, *examples: str, words: str = "", **context: Any) -> dict[str, Any]:
    r"""Return what click is told of every command: its help, and examples, whose lines are kept (``\b``)."""
    return {
        "help": f"{sentence}\n\n{words}",
        "short_help": sentence,
        "epilog": "\n".join(("\b", "Examples:", *(f"  {example}" for example in examples))),
        "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": WIDTH, **context},
    }
