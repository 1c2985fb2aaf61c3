"""Somebody is told, in one sentence, when a run of a pipeline fails: by a command or a web hook of the user's.

Whether that works changes no exit code: what could not be told is said on the standard error.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bayesrun.base.secrets import without_secrets
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KEY", "Notices", "notices"]

KEY: Final = "notify."
"""What the keys begin with."""
SENTENCE: Final = "BAYESRUN_SENTENCE"
"""Variable of the environment of the command, which has the sentence as its standard input too."""
SECONDS: Final = 30.0
"""How long a command or a server may take."""


@dataclass(frozen=True)
class Notices:
    """Who is told.

    Parameters
    ----------
    command
        The words of a command, which gets the sentence as its standard input; started without a shell.
    url
        Address that the sentence is posted to, as JSON ``{"text": ...}``.
    """

    command: tuple[str, ...] = ()
    url: str = ""

    def tell(self, sentence: str) -> None:
        """Tell everybody; what cannot be told is said on the standard error."""
        text = " ".join(without_secrets(sentence).split())
        for name, send, wanted in (("command", self._run, self.command), ("url", self._post, self.url)):
            if wanted and (why := send(text)):
                sys.stderr.write(f"bayesrun: {KEY}{name}: nobody was told: {without_secrets(why)}\n")

    def _run(self, text: str) -> str:
        """Start the command; say what went wrong."""
        environment = os.environ | {SENTENCE: text}
        try:
            done = subprocess.run(
                self.command, input=f"{text}\n", text=True, env=environment, timeout=SECONDS, check=False,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"{self.command[0]} took longer than {SECONDS:g} s"
        except OSError as error:
            return f"{self.command[0]}: {error.strerror}"
        if done.returncode == 0:
            return ""
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"{self.command[0]} ended with code {done.returncode} ({last[:200]})"

    def _post(self, text: str) -> str:
        """Post to the address, which may itself be a secret, so that only its host is named; say what went wrong."""
        body = json.dumps({"text": text}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json", "User-Agent": "bayesrun"})
        host = urlsplit(self.url).hostname
        try:
            with _opener().open(request, timeout=SECONDS):
                return ""
        except urllib.error.HTTPError as error:
            with error:
                return f"{host} answered {error.code}"
        except OSError as error:
            return f"{host} does not answer ({getattr(error, 'reason', error)})"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is posted goes to the address that was given, or nowhere."""

    def redirect_request(self, *arguments: object) -> None:
        """Follow none."""
        del arguments


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect)


def notices(words: Sequence[str]) -> tuple[Notices, list[str]]:
    """Take from the words of a command those that say who is told; the last of a kind counts.

    Parameters
    ----------
    words
        Overrides: ``notify.command=...``, ``notify.url=...`` and any others.

    Returns
    -------
    notices : Notices
        Who is told.
    rest : list of str
        The other words.

    Raises
    ------
    ConfigError
        If a command is not there, or an address is none of the web.
    """
    found, rest = Notices(), list[str]()
    for word in words:
        key, _, value = word.partition("=")
        text = _unquoted(value)
        match key.lstrip("+"):
            case "notify.command":
                found = Notices(_command(text), found.url)
            case "notify.url":
                found = Notices(found.command, _address(text))
            case name if name.startswith(KEY) or name == KEY.rstrip("."):
                raise ConfigError(f"{name}: there is no such key; wanted notify.command or notify.url")
            case _:
                rest.append(word)
    return found, rest


def _unquoted(value: str) -> str:
    """Take off the quotes that Hydra's grammar wants around a text."""
    quote = value[:1]
    return value[1:-1] if len(value) > 1 and quote in ("'", '"') and value.endswith(quote) else value


def _command(text: str) -> tuple[str, ...]:
    if text in ("", "null"):
        return ()
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigError(f"notify.command: got {text!r}: {error}; wanted a program and its words") from None
    if not words or shutil.which(words[0]) is None:
        raise ConfigError(
            f"notify.command: there is no program {words[0] if words else text!r}; give its path, or a file that is "
            "executable"
        )
    return words


def _address(text: str) -> str:
    if text in ("", "null"):
        return ""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError("notify.url: wanted an address that begins with https:// or http://")
    return text
