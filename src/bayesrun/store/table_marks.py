"""Whether the tables of a simulation study follow from its fits as they are now; nothing else is ever judged.

The tables are marked with their checksums and with what they were made of. It reads no posterior.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bayesrun.base.verb_hints import verb
from bayesrun.errors import StoreError
from bayesrun.store.folder import SUMMARY

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from bayesrun.store.folder import Store
    from bayesrun.types import Outcome

__all__ = ["made_of", "mark_tables", "outdated", "read_table"]

FITS, TABLES = "fits", "tables"


def made_of(outcome: Outcome | None) -> str:
    """Say in a word what of a fit the tables are made of; empty where nothing is there."""
    if outcome is None:
        return ""
    return f"{outcome.status} {outcome.checksum[:16]} {outcome.files.get(SUMMARY, (0, ''))[1][:16]}"


def mark_tables(store: Store, fits: Mapping[str, str]) -> None:
    """Note what the tables that were just written are made of.

    Parameters
    ----------
    store
        With the tables.
    fits
        Key of every planned fit to `made_of`.
    """
    sums = {path.stem: _checksum(path.read_bytes()) for path in sorted(store.tables.glob("*.parquet"))}
    store.write_findings({FITS: dict(fits), TABLES: sums})


def outdated(store: Store) -> str:
    """Say why the tables of a study do not follow from its fits; empty where they do."""
    known = store.read_findings()
    if TABLES not in known:
        return "it is not known what its tables were made of"
    for name, checksum in known[TABLES].items():
        path = store.tables / f"{name}.parquet"
        if not path.exists():
            return f"{path.name} is missing"
        if _checksum(path.read_bytes()) != checksum:
            return f"{path.name} was changed after it was written"
    others = sorted({path.stem for path in store.tables.glob("*.parquet")} - set(known[TABLES]))
    if others:
        return f"{others[0]}.parquet is of another command"
    changed = sum(made_of(store.settled(key)) != had for key, had in known[FITS].items())
    return f"{changed} of {len(known[FITS])} fits are not those that its tables were made of" if changed else ""


def read_table(store: Store, name: str) -> pd.DataFrame | None:
    """Read a table of a study; None where it has none of that name.

    Raises
    ------
    StoreError
        If the file is no table.
    """
    import pandas as pd

    path = store.tables / f"{name}.parquet"
    if not path.exists():
        return None
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # Arrow's errors are among them
        raise StoreError(f"{path} cannot be read as a table ({error}); make it: {verb('report', store.root)}") from None


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
