"""The journal of a study: what the tracking server has confirmed, one line for each fit, append-only.

What is not confirmed is what is done in the store and not in the journal, so a crash can only make a fit
be sent twice, never be forgotten; and sending twice changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Confirmation", "confirm", "confirmations", "public_uri"]


@dataclass(frozen=True)
class Confirmation:
    """A fit that a tracking server has.

    Parameters
    ----------
    uri
        Address of the server, without credentials.
    key
        Content hash of the fit.
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
    """Remove user name and password from an address, so that it can be written down and shown."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def confirm(journal: Path, confirmation: Confirmation) -> None:
    """Append one confirmation.

    A line that a crash cut short is closed first, so that it spoils only itself.

    Raises
    ------
    OSError
        If the journal cannot be written.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a+b") as file:
        torn = False
        if file.tell():
            file.seek(-1, 2)
            torn = file.read(1) != b"\n"
        file.write(b"\n" * torn + json.dumps(asdict(confirmation)).encode() + b"\n")


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
    wanted = public_uri(uri)
    found: dict[str, Confirmation] = {}
    try:
        lines = journal.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            confirmation = Confirmation(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if confirmation.uri == wanted:
            found[confirmation.key] = confirmation
    return found
