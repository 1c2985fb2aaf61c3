"""Summaries of many fits as one table, which is kept: opening ten thousand small files takes seconds.

Each file is held against the checksum that its outcome has when it is opened, and the kept table against its own. It
measures and judges nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesrun.store.folder import SUMMARY
from bayesrun.store.whole_files import INDEX, distrust, read_whole, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from bayesrun.store.folder import Store

__all__ = ["Summaries", "read_summaries"]

KEPT = ".summaries.arrow"
MANY = 500
"""Fits from which on the table is kept; fewer are read in a fraction of a second."""
KEY = "key"
STAMPS = b"bayesrun stamps"
"""Where the kept table says which files it was made of: key to time of change in ns, size in bytes, and checksum."""
HEAD = 64
"""Bytes before the kept table: its SHA-256."""

type Stamps = dict[str, list[int | str]]


@dataclass(frozen=True, eq=False)
class Summaries:
    """Summaries of many fits.

    Parameters
    ----------
    table
        Columns key and variable (the label of the scalar), and those of the summaries.
    lacking
        Key to what became of a summary that is not as it was written; the fit has no row.
    """

    table: pd.DataFrame
    lacking: Mapping[str, str]


def read_summaries(store: Store, checksums: Mapping[str, str]) -> Summaries:
    """Read the summaries of many fits at once.

    Parameters
    ----------
    store
        Of the study. From `MANY` fits on the table is kept in its folder, and can be deleted there at any time: a
        summary whose time of change or size is another one than before is read again.
    checksums
        Key of each fit to the SHA-256 of its summary; empty: not known.
    """
    import pandas as pd

    table, lacking = _table(store, checksums)
    frame: pd.DataFrame = pd.DataFrame() if table is None else table.to_pandas()
    return Summaries(frame.rename(columns={INDEX: "variable"}), lacking)


def _table(store: Store, checksums: Mapping[str, str]) -> tuple[pa.Table | None, dict[str, str]]:
    lacking: dict[str, str] = {}
    stamps: Stamps = {}
    for key, checksum in checksums.items():
        try:
            facts = (store.fit_folder(key) / SUMMARY).stat()
        except OSError:
            lacking[key] = f"{SUMMARY} is missing"
            continue
        stamps[key] = [facts.st_mtime_ns, facts.st_size, checksum]
    many, kept = len(stamps) >= MANY, store.root / KEPT
    known, had = _kept(kept) if many else (None, {})
    same = [key for key, stamp in stamps.items() if had.get(key) == stamp]
    read = {
        key: _read(store.fit_folder(key) / SUMMARY, key, checksums[key])
        for key, stamp in stamps.items()
        if had.get(key) != stamp
    }
    lacking |= {key: found for key, found in read.items() if isinstance(found, str)}
    parts = [found for found in read.values() if not isinstance(found, str)]
    if known is not None and same:
        parts.insert(0, known if len(same) == len(had) else _rows_of(known, same))
    table = _together(parts)
    if table is not None and many and (read or len(same) < len(had)):
        _keep(table, {key: stamp for key, stamp in stamps.items() if key not in lacking}, kept)
    return table, lacking


def _read(path: Path, key: str, checksum: str) -> pa.Table | str:
    """Read one summary, or say what became of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content, harm = read_whole(path, checksum)
    if harm:
        return harm
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    except (OSError, pa.ArrowException):  # of an older study, which has no checksum
        distrust(path)
        return f"{SUMMARY} is no table"
    return table.append_column(KEY, pa.array([key] * table.num_rows)).replace_schema_metadata(None)


def _together(parts: list[pa.Table]) -> pa.Table | None:
    import pyarrow as pa

    return pa.concat_tables(parts, promote_options="permissive") if parts else None


def _rows_of(table: pa.Table, keys: list[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table[KEY], value_set=pa.array(keys)))


def _kept(path: Path) -> tuple[pa.Table | None, Stamps]:
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file:
            content = file.read_buffer()
        head, body = content.slice(0, HEAD), content.slice(HEAD)
        if hashlib.sha256(body).hexdigest().encode() != head.to_pybytes():
            return None, {}
        table = pa.ipc.open_file(body).read_all()
        stamps: Stamps = json.loads(table.schema.metadata[STAMPS])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None, {}
    return table.replace_schema_metadata(None), stamps


def _keep(table: pa.Table, stamps: Stamps, path: Path) -> None:
    import pyarrow as pa

    marked = table.combine_chunks().replace_schema_metadata({STAMPS: json.dumps(stamps).encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, marked.schema) as writer:
        writer.write_table(marked)
    body = sink.getvalue()

    def write(aside: Path) -> None:
        with aside.open("wb") as file:
            file.write(hashlib.sha256(body).hexdigest().encode())
            file.write(body)

    write_atomically(path, write)
