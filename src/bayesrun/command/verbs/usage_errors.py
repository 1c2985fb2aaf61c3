"""What is wrong with the words after a verb, in one line with the remedy."""

from __future__ import annotations

import click

from bayesrun.command.wording import nearest

__all__ = ["in_words"]


def in_words(error: click.UsageError) -> str:
    """Say what is wrong with the words after a verb, and what would be right."""
    if error.ctx is None:
        return error.format_message()
    path = error.ctx.command_path.removeprefix("bayesrun ")
    return f"{path}: {_wrong(error, error.ctx)}; bayesrun {path} --help has an example"


def _wrong(error: click.UsageError, context: click.Context) -> str:
    parameters = {name: parameter for parameter in context.command.get_params(context) for name in parameter.opts}
    usage = " ".join((context.command_path, *context.command.collect_usage_pieces(context)))
    if isinstance(error, click.NoSuchOption):
        options = [n for n, one in parameters.items() if n.startswith("--") and not getattr(one, "hidden", False)]
        return f"there is no option {error.option_name}; {nearest(error.option_name, options)}"
    if isinstance(error, click.exceptions.NoSuchCommand) and isinstance(context.command, click.Group):
        names = context.command.list_commands(context)
        return f"{error.command_name}: no verb of that name; {nearest(error.command_name, names)}"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"{error.param.make_metavar(context)} is missing; wanted {usage}"
    if isinstance(error, click.BadOptionUsage) and error.option_name in parameters:
        option = parameters[error.option_name]
        value = "" if getattr(option, "is_flag", False) else f" {option.make_metavar(context)}"
        return f"{error.option_name} {'has no' if value else 'takes no'} value; wanted {error.option_name}{value}"
    message = error.format_message().rstrip(".")
    below = context.command.list_commands(context) if isinstance(context.command, click.Group) else []
    remedy = f"there are {', '.join(below)}" if below else f"wanted {usage}"
    return f"{message[:1].lower()}{message[1:]}; {remedy}"
