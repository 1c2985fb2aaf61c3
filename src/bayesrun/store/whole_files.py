"""Files that are whole or not there at all: written aside and renamed, and known by their size and checksum.

A file that differs is given a new time, so that everybody after that looks at it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from typing import TYPE_CHECKING, Any

from bayesrun.base.disks import full_or_read_only, takes_nothing
from bayesrun.base.secrets import public_address
from bayesrun.base.spreadsheets import without_formulas
from bayesrun.errors import DiskError, StoreError
from bayesrun.types import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pandas as pd


__all__ = [
    "ASIDE",
    "INDEX",
    "checksum_of",
    "distrust",
    "facts_of",
    "harm_of",
    "read_whole",
    "sealed",
    "share",
    "unsealed",
    "write_atomically",
    "write_csv",
    "write_parquet",
]

ASIDE = re.compile(r"\.(aside-[0-9a-f]{16}|[a-z0-9_]{8})\.(nc|npz|parquet|csv|json|txt|yaml|png|html|arrow)")
"""Names of files that are being written, or were when their process ended; the second are of earlier versions."""
SEAL = "sha256"
"""Name under which a JSON file has the digest of its other fields."""
LARGE_TABLE = 10_000
INDEX = "__index_level_0__"
"""What pandas calls an index without a name in a parquet file."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file aside, sync it, and put it under its name in one step.

    It has the mode that the process gives to new files: by its umask, or as the folder passes on to them.

    Parameters
    ----------
    path
        Final name; its folder is made.
    write
        Called with the path of the temporary file, which has the same suffix.

    Raises
    ------
    DiskError
        If the disk is full or read-only; what had the name before has it still.
    StoreError
        If the folder cannot be written to.
    """
    aside = path.parent / f".aside-{secrets.token_hex(8)}{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        if words := full_or_read_only(error, path.parent):
            raise DiskError(words) from error
        raise StoreError(
            f"cannot write to {path.parent}: {error.strerror}; choose another folder: output.dir=DIR"
        ) from None
    try:
        write(aside)
        _sync(aside)
        aside.replace(path)
        _sync(path.parent)
    except BaseException as error:
        words = _of_disk(error, path.parent)
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        if words:
            raise DiskError(words) from error
        raise


def _of_disk(error: BaseException, folder: Path) -> str:
    """Say why a disk took nothing, if that is what an error is about; where a library only says that, it is tried."""
    if not isinstance(error, Exception):
        return ""
    words = full_or_read_only(error, folder)
    return words or (takes_nothing(folder) if isinstance(error, OSError | RuntimeError) else "")


def share(source: Path, path: Path) -> None:
    """Put a file under a second name in one step: the same one on the disk, or a copy where that cannot be.

    Raises
    ------
    StoreError
        If the folder cannot be written to.
    """
    if not (path.exists() and path.samefile(source)):
        write_atomically(path, lambda aside: _link(source, aside))


def _link(source: Path, aside: Path) -> None:
    aside.unlink()
    try:
        os.link(source, aside)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, aside)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_parquet(summary: pd.DataFrame, path: Path) -> None:
    """Write a small table with less ado than pandas, which takes longer than measuring a fit."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {str(name): values.to_numpy() for name, values in summary.items()}
    table = pa.table({**columns, INDEX: pa.array(summary.index.to_numpy(dtype=object), pa.string())})
    index = {"name": None, "field_name": INDEX, "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    about = {"index_columns": [INDEX], "columns": [index], "column_indexes": [], "attributes": summary.attrs}
    pq.write_table(
        table.replace_schema_metadata({"pandas": json.dumps(about)}), path, compression="none", write_statistics=False
    )


def write_csv(frame: pd.DataFrame, path: Path, *, index: bool) -> None:
    """Write a table as text in which nothing is a formula; a large one by Arrow, in a twentieth of the time."""
    frame = without_formulas(frame)
    if index or len(frame) < LARGE_TABLE:
        frame.to_csv(path, index=index)
        return
    import pyarrow as pa
    import pyarrow.csv as pc

    pc.write_csv(pa.Table.from_pandas(frame, preserve_index=False), path)


def distrust(path: Path) -> None:
    """Give a file that is not as it was written a new time, so that everybody after this looks at its content."""
    with contextlib.suppress(OSError):
        os.utime(path)


def read_whole(path: Path, checksum: str) -> tuple[bytes, str]:
    """Read a file that has to have a checksum.

    Parameters
    ----------
    path
        The file.
    checksum
        Its SHA-256; empty: not known.

    Returns
    -------
    content : bytes
        Of the file.
    harm : str
        What became of it; empty where nothing did.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b"", f"{path.name} is missing"
    except OSError as error:
        return b"", f"{path.name} cannot be read: {error.strerror}"
    if checksum and hashlib.sha256(content).hexdigest() != checksum:
        distrust(path)
        return b"", f"{path.name} was changed after it was written"
    return content, ""


def checksum_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def facts_of(path: Path) -> tuple[int, str]:
    """Size in bytes, and checksum."""
    return path.stat().st_size, checksum_of(path)


def sealed(fields: Mapping[str, Any]) -> str:
    """Write fields as JSON, with the digest of all of them; addresses are written without what is secret in them."""
    plain = json.loads(public_address(canonical_json(fields)))
    return json.dumps(plain | {SEAL: _digest(plain)}, indent=1, sort_keys=True) + "\n"


def unsealed(text: str) -> dict[str, Any]:
    """Read what `sealed` wrote.

    Raises
    ------
    ValueError
        If it is no JSON, or was changed since. Without a digest it is taken as it is.
    """
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError("it has no fields")
    if fields.pop(SEAL, None) not in (None, _digest(fields)):
        raise ValueError("its content was changed after it was written")
    return fields


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(fields).encode()).hexdigest()


def harm_of(path: Path, size: int, checksum: str, since: int) -> str:
    """Say what became of a file that was written: empty where nothing did.

    Parameters
    ----------
    path
        The file.
    size, checksum
        As they were recorded; without a checksum the file only has to be there.
    since
        When they were recorded, in ns since 1970. A newer file is read; if nothing is wrong it gets that time, so that
        a study that was copied is read once.
    """
    try:
        facts = path.stat()
        if not checksum:
            return ""
        if facts.st_size != size:
            return f"{path.name} has {facts.st_size} bytes, and was written with {size}"
        if facts.st_mtime_ns <= since:
            return ""
        if checksum_of(path) != checksum:
            return f"{path.name} was changed after it was written"
    except (FileNotFoundError, NotADirectoryError):
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
    with contextlib.suppress(OSError):
        os.utime(path, ns=(facts.st_atime_ns, since))
    return ""
