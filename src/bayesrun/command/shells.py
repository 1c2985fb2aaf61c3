"""How bash, zsh and fish complete: the scripts that they read once, and the answers that these ask for.

They are click's, for words that hold ``=`` or a comma and may go on. What goes wrong meanwhile is not shown: it would
stand in the middle of what is typed.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, ClassVar, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from bayesrun.command.completion import FLAG, FOLDERS, VARIABLE, words
from bayesrun.command.verbs import VERBS, command
from bayesrun.command.wording import OK, nearest
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["answer", "introduce"]

PROGRAM = "bayesrun"

# bash gives a function what follows the last of COMP_WORDBREAKS only, of which = is one, and wants no more back
BASH = r"""%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=',' read -r type value; do
        if [[ $type == dir ]]; then
            compopt -o dirnames 2> /dev/null
        elif [[ $type == plain ]]; then
            COMPREPLY+=("$value")
            [[ $value == *[=./] ]] && compopt -o nospace 2> /dev/null
        fi
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" BREAKS="$COMP_WORDBREAKS" \
        %(complete_var)s=bash_complete "$1" 2> /dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

ZSH = r"""#compdef %(prog_name)s
%(complete_func)s() {
    local -a response whole open
    local type key descr
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \
        %(complete_var)s=zsh_complete $words[1] 2> /dev/null)}")
    for type key descr in $response; do
        if [[ $type == dir ]]; then
            _path_files -/
        elif [[ $key == *[=./] ]]; then
            open+=("$key")
        elif [[ -n $key ]]; then
            whole+=("$key")
        fi
    done
    (( $#open )) && compadd -Q -S '' -V open -a open
    (( $#whole )) && compadd -Q -V whole -a whole
}
compdef %(complete_func)s %(prog_name)s
"""

# the value may hold a comma, where several are swept
FISH = r"""function %(complete_func)s
    set -lx COMP_WORDS (commandline -cp)
    set -lx COMP_CWORD (commandline -t)
    for line in (env %(complete_var)s=fish_complete %(prog_name)s 2> /dev/null)
        set -l answer (string split -m 1 "," $line)
        if test $answer[1] = dir
            __fish_complete_directories $answer[2]
        else
            echo $answer[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Words(ShellComplete):
    """Completes a verb's words as click does, and all others as the Hydra application reads them."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """List what a word may become, by the words before it."""
        if args and args[0] in VERBS:
            self.cli = command(args[0])
            return super().get_completions(args[1:], incomplete)
        if args and args[-1] in FOLDERS:
            return [CompletionItem(incomplete, type="dir")]
        return [CompletionItem(word) for word in words(args, incomplete)]


class _Bash(_Words, BashComplete):
    source_template: ClassVar[str] = BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Read the line up to the cursor."""
        line = os.environ["COMP_LINE"]
        typed = split_arg_string(line)[1:]
        return (typed, "") if line[-1:].isspace() or not typed else (typed[:-1], typed[-1])

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Leave out what stands before the last word break."""
        start = 1 + max((incomplete.rfind(sign) for sign in os.environ.get("BREAKS", "=:")), default=-1)
        found = super().get_completions(args, incomplete)
        return [item if item.type == "dir" else CompletionItem(item.value[start:]) for item in found]


class _Zsh(_Words, ZshComplete):
    source_template: ClassVar[str] = ZSH


class _Fish(_Words, FishComplete):
    source_template: ClassVar[str] = FISH

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Write a line, whatever lines click's own script reads."""
        return f"{item.type},{item.value}" + (f"\t{item.help}" if item.help else "")


SHELLS: Final[Mapping[str, type[ShellComplete]]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def introduce(shell: str) -> int:
    """Print the script that a shell reads to complete the command.

    Raises
    ------
    ConfigError
        For a shell that is not known.
    """
    if shell not in SHELLS:
        given = f"{FLAG} {shell}".strip()
        raise ConfigError(f'{given}: wanted a shell; {nearest(shell, SHELLS)}; as in: eval "$(bayesrun {FLAG} bash)"')
    sys.stdout.write(_made(shell).source())
    return OK


def answer(asked: str) -> int:
    """Print what may stand next, for the script of a shell that asks by ``SHELL_complete``."""
    shell = asked.partition("_")[0]
    if shell in SHELLS:
        sys.stdout.write(_made(shell).complete() + "\n")
    return OK


def _made(shell: str) -> ShellComplete:
    return SHELLS[shell](click.Command(PROGRAM), {}, PROGRAM, VARIABLE)
