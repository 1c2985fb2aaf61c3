"""The journal of a study: what the tracking server has confirmed, one line for each request, append-only.

What is not confirmed is what is done in the store and not in the journal, so a crash can only make a fit
be sent twice, never be forgotten; and sending twice changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bayesrun.base.secrets import public_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Confirmation", "Points", "confirm", "confirm_rows", "confirmations", "confirmed_points", "public_uri"]


CONFIRMATION = {"uri", "key", "run_id", "digest"}
ROWS = {"uri", "cell", "run_id", "names", "rows"}
"""The fields by which the two kinds of lines are told apart."""


@dataclass(frozen=True)
class Confirmation:
    """A fit, or another part of a study, that a tracking server has.

    Parameters
    ----------
    uri
        Address of the server, without credentials.
    key
        Content hash of the fit, or the name of the part.
    run_id
        Its run there.
    digest
        Digest of what was recorded; another one means that the fit changed since.
    """

    uri: str
    key: str
    run_id: str
    digest: str


def public_uri(uri: str) -> str:
    """Remove user name, password and what is secret in the query from an address, so that it can be shown."""
    return public_address(uri)


@dataclass(frozen=True)
class Points:
    """The values that a server has of the replicates of one cell.

    Parameters
    ----------
    run_id
        The cell's run there.
    values
        Metric to replicate to value.
    """

    run_id: str
    values: dict[str, dict[int, float]] = field(default_factory=dict)

    def add(self, rows: Mapping[int, Mapping[str, float]]) -> None:
        """Add replicates: each a mapping of metric to value."""
        for replicate, row in rows.items():
            for name, value in row.items():
                self.values.setdefault(name, {})[replicate] = value

    def missing(self, rows: Mapping[int, Mapping[str, float]]) -> dict[int, dict[str, float]]:
        """Find what of some replicates is not among these values."""
        found = {}
        for replicate, row in rows.items():
            new = {name: value for name, value in row.items() if self.values.get(name, {}).get(replicate) != value}
            if new:
                found[replicate] = new
        return found


def confirm(journal: Path, confirmation: Confirmation) -> None:
    """Append one confirmation.

    Raises
    ------
    OSError
        If the journal cannot be written.
    """
    _append(journal, asdict(confirmation))


def confirm_rows(journal: Path, uri: str, key: str, run_id: str, rows: Mapping[int, Mapping[str, float]]) -> None:
    """Append the replicates of a cell that a server has taken in one request.

    Parameters
    ----------
    journal
        The journal.
    uri
        Address of the server.
    key, run_id
        The cell, and its run there.
    rows
        Replicate to metrics.

    Raises
    ------
    OSError
        If the journal cannot be written.
    """
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    values = {replicate: [row.get(name) for name in names] for replicate, row in rows.items()}
    _append(journal, {"uri": public_uri(uri), "cell": key, "run_id": run_id, "names": names, "rows": values})


def _append(journal: Path, entry: Mapping[str, Any]) -> None:
    """Append a line. One that a crash cut short is closed first, so that it spoils only itself."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a+b") as file:
        torn = False
        if file.tell():
            file.seek(-1, 2)
            torn = file.read(1) != b"\n"
        file.write(b"\n" * torn + json.dumps(entry, separators=(",", ":")).encode() + b"\n")


def confirmations(journal: Path, uri: str) -> dict[str, Confirmation]:
    """Read what a server has confirmed.

    Parameters
    ----------
    journal
        The journal; it need not exist.
    uri
        Address of the server.

    Returns
    -------
    dict
        Key to its latest confirmation. Lines that are not whole are passed over.
    """
    return {entry["key"]: Confirmation(**entry) for entry in _entries(journal, uri) if entry.keys() == CONFIRMATION}


def confirmed_points(journal: Path, uri: str) -> dict[str, Points]:
    """Read which values of replicates a server has confirmed.

    Parameters
    ----------
    journal
        The journal; it need not exist.
    uri
        Address of the server.

    Returns
    -------
    dict
        Cell to the values of its latest run. Lines that are not whole are passed over.
    """
    found: dict[str, Points] = {}
    for entry in _entries(journal, uri):
        if entry.keys() != ROWS:
            continue
        if entry["cell"] not in found or found[entry["cell"]].run_id != entry["run_id"]:
            found[entry["cell"]] = Points(entry["run_id"])  # the run before was deleted
        columns = [found[entry["cell"]].values.setdefault(name, {}) for name in entry["names"]]
        for replicate, values in entry["rows"].items():
            for column, value in zip(columns, values, strict=True):
                if value is not None:
                    column[int(replicate)] = value
    return found


def _entries(journal: Path, uri: str) -> Iterator[dict[str, Any]]:
    """Read the whole lines of a server."""
    wanted = public_uri(uri)
    try:
        lines = journal.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("uri") == wanted:
            yield entry
