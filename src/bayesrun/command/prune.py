"""What a study has on the disk that no cell of its design names: what that is, and its removal.

Only files that are bayesrun's by name go, and never through a link. Whoever calls this keeps other commands off.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesrun.errors import StoreError
from bayesrun.report import files

if TYPE_CHECKING:
    from collections.abc import Container

    from bayesrun.report.files import Found
    from bayesrun.store.folder import Store

__all__ = ["Orphans", "orphans", "remove"]

WORDS = {
    files.OF_NO_CELL: ("fit of no cell", "fits of no cell"),
    files.NO_DATA: ("file of data that no cell uses", "files of data that no cell uses"),
    files.NO_FIGURE: ("figure of no fit", "figures of no fit"),
    files.LEFT: (
        "file that was being written when a command ended",
        "files that were being written when a command ended",
    ),
}


@dataclass(frozen=True)
class Orphans:
    """What belongs to nothing."""

    found: tuple[Found, ...]

    @property
    def lines(self) -> list[str]:
        """Say what it is: a line for each kind."""
        counts, sizes = Counter[str](), Counter[str]()
        for one in self.found:
            counts[one.why] += 1
            sizes[one.why] += one.bytes
        return [f"  {n} {_name(why, n)}, {sizes[why] / 2**20:.1f} MiB" for why, n in counts.items()]

    @property
    def total(self) -> str:
        """Say how much it is."""
        many = len(self.found)
        return f"{many} {'thing' if many == 1 else 'things'}, {sum(one.bytes for one in self.found) / 2**20:.1f} MiB"


def _name(why: str, many: int) -> str:
    one, several = WORDS[why]
    return one if many == 1 else several


def orphans(store: Store, but: Container[str] = ()) -> Orphans:
    """Find what belongs to nothing.

    Parameters
    ----------
    store
        Of the study.
    but
        Keys of fits that are removed in another way.

    Raises
    ------
    StoreError
        If the design cannot be read, without which nobody knows what belongs to it.
    """
    store.read_study()
    found = files.look(store, read=False)
    if not found.known:
        raise StoreError(
            f"{store.study_file} is missing or damaged; without it nobody knows which fits are of no cell: restore it"
        )
    return Orphans(tuple(one for one in found.orphaned if not _is_of(one, but)))


def _is_of(one: Found, keys: Container[str]) -> bool:
    folder, _, rest = one.path.partition("/")
    return folder == "fits" and rest.partition("/")[0] in keys


def remove(store: Store, found: Orphans) -> None:
    """Remove what belongs to nothing.

    Raises
    ------
    StoreError
        If something cannot be removed.
    """
    for one in found.found:
        if one.path.endswith("/"):
            store.forget_fit(one.path.split("/")[1])
            continue
        path = store.root / one.path
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{path} cannot be removed: {error.strerror}; mend that, and the same command goes on"
            ) from None
        with contextlib.suppress(OSError):  # there are other files
            for folder in path.relative_to(store.root).parents[:-1]:
                (store.root / folder).rmdir()
