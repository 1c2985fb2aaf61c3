"""Summaries of many fits as one table, which is kept: opening ten thousand small files takes seconds.

It measures and judges nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bayesrun.store import INDEX, SUMMARY, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from bayesrun.store import Store

__all__ = ["read_summaries"]

KEPT = ".summaries.arrow"
MANY = 500
"""Fits from which on the table is kept; fewer are read in a fraction of a second."""
KEY = "key"
STAMPS = b"bayesrun stamps"
"""Where the kept table says which files it was made of: key to time of change in ns, and size in bytes."""

type Stamps = dict[str, list[int]]


def read_summaries(store: Store, keys: Sequence[str]) -> pd.DataFrame:
    """Read the summaries of many fits at once.

    Parameters
    ----------
    store
        Of the study. From `MANY` fits on the table is kept in its folder, and can be deleted there at any time: a
        summary whose time of change or size is another one than before is read again.
    keys
        Of the fits.

    Returns
    -------
    pandas.DataFrame
        Columns key and variable (the label of the scalar), and those of the summaries. A fit without a summary has no
        row.
    """
    import pandas as pd

    table = _table({key: store.fit_folder(key) / SUMMARY for key in keys}, store.root / KEPT)
    frame: pd.DataFrame = pd.DataFrame() if table is None else table.to_pandas()
    return frame.rename(columns={INDEX: "variable"})


def _table(files: Mapping[str, Path], kept: Path) -> pa.Table | None:
    stamps: Stamps = {}
    for key, path in files.items():
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue
        stamps[key] = [facts.st_mtime_ns, facts.st_size]
    if len(stamps) < MANY:
        return _together([_read(files[key], key) for key in stamps])
    known, had = _kept(kept)
    same = [key for key, stamp in stamps.items() if had.get(key) == stamp]
    fresh = [key for key in stamps if had.get(key) != stamps[key]]
    parts = [_read(files[key], key) for key in fresh]
    if known is not None and same:
        parts.insert(0, known if len(same) == len(had) else _rows_of(known, same))
    table = _together(parts)
    if table is not None and (fresh or len(same) < len(had)):
        _keep(table, stamps, kept)
    return table


def _read(path: Path, key: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read(use_threads=False)
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
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        stamps: Stamps = json.loads(table.schema.metadata[STAMPS])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        return None, {}
    return table.replace_schema_metadata(None), stamps


def _keep(table: pa.Table, stamps: Stamps, path: Path) -> None:
    import pyarrow as pa

    marked = table.combine_chunks().replace_schema_metadata({STAMPS: json.dumps(stamps).encode()})

    def write(aside: Path) -> None:
        with pa.OSFile(str(aside), "wb") as sink, pa.ipc.new_file(sink, marked.schema) as writer:
            writer.write_table(marked)

    write_atomically(path, write)
