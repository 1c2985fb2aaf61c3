"""Which of several commands on one study has the last word: what was read earlier never replaces what was read later.

A command takes a turn before it reads outcomes. It writes to a place (the tables, a tracking address) while it holds
that place, and only if nobody with a later turn has been there. Who reads the tables waits for whoever writes them.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bayesrun.base.verb_hints import verb
from bayesrun.errors import StoreError
from bayesrun.store.locks import held
from bayesrun.store.whole_files import facts_of, write_atomically
from bayesrun.types import digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FOLDER", "MADE", "TABLES", "Turn", "half_made", "made", "take", "whole"]

FOLDER: Final = ".turns"
LAST: Final = "last"
TABLES: Final = "tables"
"""The place of tables, figures and report.html."""
MADE: Final = ("tables/*.parquet", "tables/*.csv", "tables/findings.json", "figures/*.png", "report.html")
"""What is written there."""


@dataclass(frozen=True)
class Turn:
    """A command's place in the order of those that write what a study says.

    Parameters
    ----------
    root
        Folder of the study.
    number
        Larger for whoever began to read later.
    """

    root: Path
    number: int

    @contextlib.contextmanager
    def at(self, place: str) -> Iterator[bool]:
        """Hold a place while it is written.

        Parameters
        ----------
        place
            `TABLES`, or a tracking address.

        Yields
        ------
        bool
            Whether it may be written: False where somebody with a later turn has been.
        """
        name = _name(place)
        with _held(self.root, name):
            if _read(self.root, name).get("turn", 0) > self.number:
                yield False
                return
            _write(self.root, name, {"turn": self.number, "whole": False})
            begun = (self.root / FOLDER / f"{name}.json").stat().st_mtime_ns
            yield True
            made = {"files": _made_since(self.root, begun)} if place == TABLES else {}
            _write(self.root, name, {"turn": self.number, "whole": True, **made})


def take(root: Path) -> Turn:
    """Take the next turn; to be done before outcomes are read."""
    with _held(root, LAST):
        places = [path.stem for path in (root / FOLDER).glob("*.json")]
        number = 1 + max((int(_read(root, place).get("turn", 0)) for place in places), default=0)
        _write(root, LAST, {"turn": number})
    return Turn(root, number)


@contextlib.contextmanager
def whole(root: Path) -> Iterator[None]:
    """Hold the tables of a study while they are read, so that all of them are of one making.

    Raises
    ------
    StoreError
        If whoever wrote them was stopped half way.
    """
    if not (root / FOLDER).exists():  # written by an earlier version, or by none
        yield
        return
    with held(root / FOLDER / f"{TABLES}.lock", shared=True):
        if not _read(root, TABLES).get("whole", True):
            raise StoreError(
                f"{root / 'tables'} is half new and half old: who wrote it was stopped; make it again: "
                f"{verb('report', root)}"
            )
        yield


def made(root: Path) -> dict[str, tuple[int, str]] | None:
    """Return size and checksum of the tables, figures and page of a study as they were made last, by path below it.

    None where that was not written down: by an earlier version, or since who made them was stopped half way.
    """
    files = _read(root, TABLES).get("files")
    return None if files is None else {name: (int(size), str(checksum)) for name, (size, checksum) in files.items()}


def half_made(root: Path) -> bool:
    """Whether who wrote the tables was stopped half way."""
    return not _read(root, TABLES).get("whole", True)


def _made_since(root: Path, begun: int) -> dict[str, tuple[int, str]]:
    paths = [path for pattern in MADE for path in sorted(root.glob(pattern))]
    return {str(path.relative_to(root)): facts_of(path) for path in paths if path.stat().st_mtime_ns >= begun}


def _name(place: str) -> str:
    return place if place == TABLES else digest(place)


@contextlib.contextmanager
def _held(root: Path, name: str) -> Iterator[None]:
    folder = root / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to the study folder {root}: {error.strerror}") from None
    with held(folder / f"{name}.lock"):
        yield


def _read(root: Path, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((root / FOLDER / f"{name}.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _write(root: Path, name: str, facts: dict[str, Any]) -> None:
    text = json.dumps(facts) + "\n"
    write_atomically(root / FOLDER / f"{name}.json", lambda aside: aside.write_text(text))
