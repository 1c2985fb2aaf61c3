"""One run of a pipeline for one date: claimed, run or gone on with, held against its bounds, marked as finished.

The study is made by the public command in a process of its own; nothing is fitted here.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bayesrun import __version__
from bayesrun.base import stop_signals
from bayesrun.command.pipelines.bounds import held, missing_fits
from bayesrun.command.pipelines.notices import Notices, notices
from bayesrun.errors import ConfigError, StoreError
from bayesrun.store import locks
from bayesrun.store.folder import Store
from bayesrun.store.table_marks import outdated
from bayesrun.store.whole_files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bayesrun.command.pipelines.bounds import Held
    from bayesrun.command.pipelines.definition import Pipeline

__all__ = ["COMMAND", "DONE", "Ended", "folder_of", "run"]

COMMAND = (sys.executable, "-P", "-m", "bayesrun")
"""The public command as this interpreter has it; -P keeps files of the working directory from hiding packages."""

LOCK, ORDER, DONE, REPORT = "pipeline.lock", "pipeline.json", "done.json", "report.html"
WITHIN, OUT, UNFINISHED = 0, 1, 2
ENDED = {number: stop_signals.CODE + number for number in stop_signals.NUMBERS}
"""Exit codes of a command that a signal ended."""
STUDIES = "studies"
WHERE_AND_HOW = ("output.", "dispatch.", "dispatch=", "track.", "track=", "verbose=")
"""Overrides that change no table: a date that was started on one machine may be finished on another."""


@dataclass(frozen=True)
class Ended:
    """How a run of a pipeline ended.

    Parameters
    ----------
    code
        0: the study is within its bounds; 1: it is not; 2: it was refused or is not finished, so that there is no
        verdict; 128 + signal: one that asks to end stopped it.
    sentence
        The same for people; empty after a dry run.
    """

    code: int
    sentence: str


@dataclass(frozen=True)
class _Order:
    """What one run is about: the words of its command, the folder of its study, and who is told if it fails."""

    title: str
    words: tuple[str, ...]
    folder: Path
    dry: bool
    notices: Notices

    @property
    def meaning(self) -> list[str]:
        """The words that decide what is computed."""
        return [word for word in self.words if not word.lstrip("+").startswith((*WHERE_AND_HOW, "study.name="))]


def run(
    pipeline: Pipeline, date: datetime.date, overrides: Sequence[str] = (), command: Sequence[str] = COMMAND
) -> Ended:
    """Run a pipeline for a date, or go on with what was begun for it; a finished date is not repeated.

    Parameters
    ----------
    pipeline
        With its name.
    date
        Names the study and, for a fresh pipeline, its datasets.
    overrides
        Further words of the command line; they win over those of the pipeline. ``notify.command`` and ``notify.url``
        say who is told, once for each run of a date, that it failed, is out of bounds or was refused.
    command
        What makes the study of these words.

    Returns
    -------
    Ended
        With the verdict of the first run if the date is finished.

    Raises
    ------
    ConfigError
        If the overrides name a study, or differ from those that the date was begun with.
    StoreError
        If another run is at work on the date, or the folder cannot be used.
    """
    order = _ordered(pipeline, date, overrides)
    if order.dry:
        return Ended(subprocess.run([*command, *order.words], check=False).returncode, "")
    try:
        ended, fresh = _ended(order, pipeline, command)
    except Exception as error:
        order.notices.tell(f"{order.title}: {str(error).removeprefix(f'{order.title}: ')}")
        raise
    if fresh and ended.code != WITHIN:
        order.notices.tell(ended.sentence)
    return ended


def _ended(order: _Order, pipeline: Pipeline, command: Sequence[str]) -> tuple[Ended, bool]:
    """Run a date, or say how it ended before; return whether it was run."""
    finished = _finished(order)
    if finished is not None:
        return finished, False
    with _claimed(order) as claim:
        # it may have been finished while this run looked
        finished = _finished(order)
        if finished is not None:
            return finished, False
        _write_order(order)
        return _made(order, pipeline, command, claim), True


def folder_of(pipeline: Pipeline, date: datetime.date, overrides: Sequence[str] = ()) -> Path:
    """Folder of the study of a date: ``OUTPUT/NAME/DATE``, absolute."""
    return _ordered(pipeline, date, overrides).folder


def _ordered(pipeline: Pipeline, date: datetime.date, overrides: Sequence[str]) -> _Order:
    told, given = notices([*pipeline.overrides, *overrides])
    output, rest = STUDIES, []
    for word in given:
        key, _, value = word.partition("=")
        if key.lstrip("+") == "study.name":
            raise ConfigError(
                f"{word}: the study of a pipeline has the name of its date; choose another place: output.dir=DIR"
            )
        if key.lstrip("+") == "output.dir":
            output = value.strip("'\"")
        else:
            rest.append(word)
    if "://" in output:
        raise ConfigError(f"output.dir: got {output!r}; a study is written to a folder; give one that all nodes share")
    folder = Path(output).expanduser().absolute() / pipeline.name
    seed = (f"study.seed={date:%Y%m%d}",) if pipeline.fresh else ()
    words = (
        f"+experiment={pipeline.experiment}",
        f"study.alpha={pipeline.gates.alpha!r}",
        f"study.max_failed={pipeline.gates.max_failed!r}",
        *seed,
        *rest,
        f"output.dir={_quoted(str(folder))}",
        f"study.name={date.isoformat()}",
    )
    dry = [word.partition("=")[2] for word in rest if word.partition("=")[0].lstrip("+") == "dry_run"]
    is_dry = (dry or [""])[-1].lower() == "true"
    return _Order(f"{pipeline.name} {date.isoformat()}", words, folder / date.isoformat(), is_dry, told)


def _quoted(text: str) -> str:
    """Put a path as Hydra's grammar wants it, where a comma would be a sweep."""
    return "'" + re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text) + "'"


def _finished(order: _Order) -> Ended | None:
    """Verdict of a date that is finished; None if it is not."""
    mark = _read(order.folder / DONE)
    if mark is None:
        return None
    _refuse_others(order, mark)
    what = str(mark["sentence"]).removeprefix(f"{order.title}: ")
    why = outdated(Store(order.folder))
    since = f" That was what it said then; since: {why}." if why else ""
    return Ended(int(mark["code"]), f"{order.title}: finished before, nothing done: {what}{since}")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise StoreError(f"{path} is not JSON: {error}; remove it, and the date is looked at again") from None
    return found


def _refuse_others(order: _Order, had: Mapping[str, Any]) -> None:
    """Refuse to call a date finished, or to go on with it, for a study that asks for something else."""
    before, now = list(had["overrides"]), order.meaning
    if before != now:
        changed = [f"had {word}" for word in before if word not in now] + [f"got {w}" for w in now if w not in before]
        raise ConfigError(
            f"{order.title}: it was begun with other overrides ({', '.join(changed) or 'in another order'}); choose "
            f"another place: output.dir=DIR, or remove {order.folder}"
        )


def _write_order(order: _Order) -> None:
    """Keep what the date was begun with; a study that never started, since it was refused, binds to nothing."""
    had = _read(order.folder / ORDER)
    if had is not None and (order.folder / "study.json").exists():
        _refuse_others(order, had)
        return
    text = json.dumps({"title": order.title, "overrides": order.meaning, "bayesrun": __version__}, indent=1)
    write_atomically(order.folder / ORDER, lambda aside: aside.write_text(text + "\n"))


@contextlib.contextmanager
def _claimed(order: _Order) -> Iterator[IO[str]]:
    """Keep every other run off this date, also those on other machines that share the folder.

    The lock is on an open file that the study's process inherits: if this process is killed, the date stays claimed
    until the study is dead too.
    """
    Store(order.folder).prepare()

    def busy(who: str) -> StoreError:
        return StoreError(f"{order.title}: another run is at work on it ({who}); wait for it")

    with locks.held(order.folder / LOCK, busy) as file:
        yield file


def _made(order: _Order, pipeline: Pipeline, command: Sequence[str], claim: IO[str]) -> Ended:
    """Make the study and hold it against its bounds; the mark comes last."""
    start, report = time.monotonic(), _identity(order.folder / REPORT)
    code = _study([*command, *order.words], claim)
    if code == UNFINISHED:
        return Ended(UNFINISHED, f"{order.title}: its study was refused, see above.")
    store = Store(order.folder)
    why = _unfinished(code, store, reported=_identity(order.folder / REPORT) != report)
    if why is not None:
        return _stopped(order, why, _ended_by(code))
    found = held(store, pipeline.gates)
    if code and not found.fails_itself:
        return _stopped(order, "its command failed although calibration and failures are within bounds")
    ended = _verdict(order, found)
    mark = {
        "title": order.title,
        "code": ended.code,
        "sentence": ended.sentence,
        "overrides": order.meaning,
        "bayesrun": __version__,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - start, 1),
    }
    write_atomically(order.folder / DONE, lambda aside: aside.write_text(json.dumps(mark, indent=1) + "\n"))
    return ended


def _stopped(order: _Order, why: str, number: signal.Signals | None = None) -> Ended:
    code = UNFINISHED if number is None else ENDED[number]
    return Ended(code, f"{order.title}: the study is not finished: {why}; the same command goes on from there.")


def _ended_by(code: int) -> signal.Signals | None:
    """Return the signal that asked a command to end, by its exit code, or which it died of."""
    return next((number for number, ended in ENDED.items() if code in (ended, -number)), None)


def _unfinished(code: int, store: Store, *, reported: bool) -> str | None:
    """Say why there is nothing to judge yet; None if there is.

    A command that breaks down exits with 1 as one that finds a fault does, and there may be tables of an earlier round.
    """
    number = _ended_by(code)
    if number == signal.SIGINT:
        return "it was interrupted"
    if code < 0 or number is not None:
        return f"its command was ended by {signal.Signals(number or -code).name}"
    if code not in (WITHIN, OUT):
        return f"its command ended with code {code}"
    if not reported:
        return f"its command ended with code {code} and made no report of a simulation study"
    missing = missing_fits(store)
    return f"{missing} fits did not come back" if missing else None


def _verdict(order: _Order, found: Held) -> Ended:
    if found.out:
        return Ended(OUT, f"{order.title}: {'; '.join(found.out)}.")
    cells = f"{found.cells} {'cell' if found.cells == 1 else 'cells'}"
    return Ended(WITHIN, f"{order.title}: within its bounds, {cells}, {found.fits} fits.")


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell a file from the one that replaces it."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_mtime_ns


def _study(words: Sequence[str], claim: IO[str]) -> int:
    """Run the command, and end it when this process is told to end."""
    with stop_signals.held():
        child = subprocess.Popen(words, pass_fds=(claim.fileno(),))
        # schedulers end one process, and a terminal or a group of processes has both of them signalled
        with stop_signals.passed_on(child.send_signal):
            return child.wait()
