"""What became of a file, by its content: missing, truncated or altered; it knows no study.

A file whose size and checksum were written down is held against these. Of others it is looked at what their format
says about itself.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Literal, NamedTuple

from bayesrun.store.whole_files import checksum_of, unsealed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Harm", "of_data", "of_json", "of_lines", "of_page", "of_picture", "of_recorded"]

type Kind = Literal["missing", "truncated", "altered"]

PICTURE, LAST_CHUNK = b"\x89PNG\r\n\x1a\n", b"IEND"
HDF5 = b"\x89HDF\r\n\x1a\n"
ENDS = {0: 40, 1: 44, 2: 28, 3: 28}
"""Version of an HDF5 file to the place where it says how long it is."""


class Harm(NamedTuple):
    """What became of a file, in a word and in a sentence."""

    kind: Kind
    why: str


CUT = Harm("truncated", "it ends too early")
CHANGED = Harm("altered", "it was changed after it was written")


def _missing(path: Path) -> Harm | None:
    """Say that there is no such file, or that it cannot be read."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except (FileNotFoundError, NotADirectoryError):
        return Harm("missing", "it is missing")
    except OSError as error:
        return Harm("altered", f"it cannot be read: {error.strerror}")
    return None


def of_recorded(path: Path, size: int, checksum: str) -> Harm | None:
    """Hold a file against the size and checksum that were written down (reads it); without these it has to be there."""
    if (harm := _missing(path)) is not None or not checksum:
        return harm
    found = path.stat().st_size
    if found != size:
        return Harm("truncated" if found < size else "altered", f"it has {found} bytes, and was written with {size}")
    return None if checksum_of(path) == checksum else CHANGED


def of_json(path: Path) -> Harm | None:
    """Read a JSON file, and compare the digest that it has of itself."""
    if (harm := _missing(path)) is not None:
        return harm
    text = path.read_bytes().decode(errors="replace").rstrip()
    try:
        unsealed(text)
    except json.JSONDecodeError as error:
        return CUT if error.pos >= len(text) or "Unterminated" in error.msg else Harm("altered", "it is not JSON")
    except ValueError:
        return CHANGED
    return None


def of_lines(path: Path) -> Harm | None:
    """Read a file of one JSON object a line; the last may be cut, as whoever writes the next one closes it."""
    lines = path.read_bytes().decode(errors="replace").splitlines()
    wrong = 0
    for line in lines[:-1]:
        try:
            wrong += not isinstance(json.loads(line), dict)
        except ValueError:
            wrong += bool(line.strip())
    return Harm("altered", f"{wrong} of its {len(lines)} lines are none that were written") if wrong else None


def of_picture(path: Path) -> Harm | None:
    """Compare the checksums that a PNG file has of its parts."""
    if (harm := _missing(path)) is not None:
        return harm
    content = path.read_bytes()
    if not content.startswith(PICTURE):
        return CUT if PICTURE.startswith(content) else CHANGED
    place, last = len(PICTURE), b""
    while place + 12 <= len(content):
        size = int.from_bytes(content[place : place + 4])
        end = place + 12 + size
        if end > len(content):
            return CUT
        last = content[place + 4 : place + 8]
        if zlib.crc32(content[place + 4 : end - 4]) != int.from_bytes(content[end - 4 : end]):
            return CHANGED
        place = end
    return None if last == LAST_CHUNK else CUT


def of_page(path: Path) -> Harm | None:
    """Look whether a page of HTML comes to its end."""
    if (harm := _missing(path)) is not None:
        return harm
    return None if path.read_bytes().rstrip().endswith(b"</html>") else CUT


def of_data(path: Path) -> Harm | None:
    """Look whether a NetCDF file is as long as it says."""
    if (harm := _missing(path)) is not None:
        return harm
    with path.open("rb") as file:
        head = file.read(64)
    if not head.startswith(HDF5):
        return CUT if HDF5.startswith(head) else CHANGED
    place = ENDS.get(head[8])
    if place is not None and path.stat().st_size < int.from_bytes(head[place : place + 8], "little"):
        return CUT
    return None
