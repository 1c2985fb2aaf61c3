"""How somebody is told that a pipeline failed: by a program of the test's, and by a server on loopback."""

from __future__ import annotations

import http.server
import json
import shlex
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from bayesrun.command.pipelines import notices as module
from bayesrun.command.pipelines.notices import Notices, notices
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOOK = "hooks/T0-pLanted"
"""Path of the address, which is the secret of many chat services."""


class Hook(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted, and answers as it is told to."""

    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.server.answer)
        if self.server.answer == 302:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        del arguments


@pytest.fixture
def hook() -> Iterator[Any]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        server.posted, server.answer = [], 200  # type: ignore[attr-defined]
        server.url = f"http://127.0.0.1:{server.server_address[1]}/{HOOK}"  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def script(folder: Path, text: str) -> str:
    """Write a program in Python and return the words that start it."""
    path = folder / "tell me.py"
    path.write_text(text)
    return shlex.join([sys.executable, str(path), "a b"])


KEEPS = """
import os, pathlib, sys
pathlib.Path("told.txt").write_text(repr((sys.argv[1:], sys.stdin.read(), os.environ["BAYESRUN_SENTENCE"])))
"""


def test_a_command_gets_the_sentence_in_one_line_and_no_shell(workdir: Path) -> None:
    who, rest = notices(["track=off", f"+notify.command={script(workdir, KEEPS)}", "study.replicates=3"])
    assert rest == ["track=off", "study.replicates=3"]
    who.tell("nightly: $(touch harm)\nout; `x` of bounds")
    words = "nightly: $(touch harm) out; `x` of bounds"
    assert (workdir / "told.txt").read_text() == repr((["a b"], f"{words}\n", words))
    assert not (workdir / "harm").exists()


def test_an_address_gets_json_that_chats_understand(hook: Any, capsys: pytest.CaptureFixture[str]) -> None:
    who, rest = notices([f"notify.url='{hook.url}'"])
    assert rest == []
    who.tell('nightly: "mu" \N{GREEK SMALL LETTER MU} is out')
    assert hook.posted == [(f"/{HOOK}", "application/json", {"text": 'nightly: "mu" \N{GREEK SMALL LETTER MU} is out'})]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("answer", "words"), [(500, "answered 500"), (404, "answered 404"), (302, "answered 302")])
def test_a_server_that_refuses_is_told_of_without_its_address(
    hook: Any, answer: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hook.answer = answer
    Notices(url=hook.url).tell("nightly: out")
    said = capsys.readouterr().err
    assert said == f"bayesrun: notify.url: nobody was told: 127.0.0.1 {words}\n"
    assert len(hook.posted) == 1


def test_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    Notices(url=f"http://127.0.0.1:{port}/{HOOK}").tell("nightly: out")
    said = capsys.readouterr().err
    assert said.startswith("bayesrun: notify.url: nobody was told: 127.0.0.1 does not answer (")
    assert HOOK not in said


def test_a_server_that_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        Notices(url=f"http://127.0.0.1:{silent.getsockname()[1]}/{HOOK}").tell("nightly: out")
    assert "127.0.0.1 does not answer (timed out)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import sys; sys.exit('mail: no\\nroute to host')", "ended with code 1 (route to host)"),
        ("import os; os._exit(3)", "ended with code 3 (it said nothing)"),
        ("import time; time.sleep(60)", "took longer than 0.2 s"),
    ],
)
def test_a_command_that_fails_is_told_of(
    text: str, words: str, workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "sleep" in text:
        monkeypatch.setattr(module, "SECONDS", 0.2)
    notices([f"notify.command={script(workdir, text)}"])[0].tell("nightly: out")
    said = capsys.readouterr().err
    assert said.startswith("bayesrun: notify.command: nobody was told: ")
    assert said.endswith(f"{words}\n")


def test_secrets_are_not_told(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "pLanted-7f3")
    Notices(url=hook.url).tell("nightly: http://me:pw@host/x?sig=abc refused pLanted-7f3")
    assert hook.posted[0][2] == {"text": "nightly: http://host/x?sig=*** refused ***"}


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("notify.url=ftp://host/x", "wanted an address that begins with https://"),
        ("notify.url=host", "wanted an address that begins with https://"),
        ("notify.url=http://", "wanted an address that begins with https://"),
        ("notify.url=http://[::1", "wanted an address that begins with https://"),
        ("notify.command=there-is-no-such-program x", "there is no program 'there-is-no-such-program'"),
        ("notify.command='mail \"x'", "No closing quotation"),
        ("notify.mail=me@host", "wanted notify.command or notify.url"),
        ("notify=me", "wanted notify.command or notify.url"),
    ],
)
def test_wrong_words_are_refused_before_anything(word: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        notices([word])


def test_the_last_word_counts_and_null_is_nobody() -> None:
    assert notices(["notify.url=http://a/b", "++notify.url=null", "notify.command=''"])[0] == Notices()
