"""The files of a study: which are missing, truncated or altered, how each is mended, and which belong to nothing.

What no cell of the design has, and what was being written when a command ended, is named so that it can be freed; a
file that is none of bayesrun's is named and never called a fault. It writes nothing, but that a file which differs gets
a new time, so that the next command looks at it too.
"""

from __future__ import annotations

import functools
import os
import re
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from bayesrun.base.messages import few, without_numbers
from bayesrun.base.secrets import public_address
from bayesrun.base.verb_hints import verb
from bayesrun.errors import StoreError
from bayesrun.planning.former import former_key, is_former
from bayesrun.planning.keys import fit_key, specs_of
from bayesrun.report.design import cells_of
from bayesrun.store import contents
from bayesrun.store.contents import Harm
from bayesrun.store.folder import (
    CONFIG,
    DIGEST,
    ERROR,
    FIGURES,
    LOCK,
    OUTCOME,
    POSTERIOR,
    SPREAD,
    SUMMARY,
    spread_name,
)
from bayesrun.store.locks import CLAIM, holder_of
from bayesrun.store.summaries import KEPT
from bayesrun.store.turns import FOLDER as TURNS
from bayesrun.store.turns import half_made, made
from bayesrun.store.whole_files import ASIDE, distrust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from bayesrun.store.folder import Store
    from bayesrun.types import CheckedCell, FitSpec, Outcome

__all__ = ["OF_NO_CELL", "Files", "Found", "lines_of", "look"]

type Kind = Literal["missing", "truncated", "altered", "orphaned", "unknown"]

HARMED: Final = ("missing", "truncated", "altered")
ORDER: Final = (*HARMED, "orphaned", "unknown")
MOST_NAMED: Final = 3
AT_ONCE: Final = 8
"""Files that are read at the same time: a file server answers several."""

OF_NO_CELL: Final = "no cell of the design has this fit"
LEFT: Final = "it was being written when its command ended"
NO_DATA: Final = "no cell of the design uses these data"
NO_FIGURE: Final = "its fit was written without this figure"
NOT_OURS: Final = "none of bayesrun's; it is left alone"

STAGED: Final = ".artifacts-"
"""What folders begin with in which files are gathered for a tracking server."""
SIDE: Final = re.compile(r"\.\w+\.claim-[0-9a-f]{16}(\.over)?")
"""Names of claims that are being made or removed."""
OF_PIPELINE: Final = ("pipeline.json", "done.json")
OF_ROOT: Final = {"study.json", "journal.jsonl", "pipeline.lock", LOCK, KEPT}
FIGURE_FOLDER, TABLE_FOLDER, PAGE = "figures", "tables", "report.html"


@dataclass(frozen=True)
class Found:
    """A file, or the folder of a fit, that is not as it should be.

    Parameters
    ----------
    path
        Below the folder of the study; it ends with a slash where it is a folder.
    kind
        ``missing``, ``truncated``, ``altered``, ``orphaned`` or ``unknown``.
    why
        What became of it.
    mend
        What to do about it; empty: nothing.
    bytes
        How large it is.
    """

    path: str
    kind: Kind
    why: str
    mend: str = ""
    bytes: int = 0


@dataclass(frozen=True)
class Files:
    """What the files of a study were found to be.

    Parameters
    ----------
    found
        All that is not as it should be.
    count, bytes
        Files of the study that are there, and how large they are.
    at_work
        Who works on the study now; empty: nobody.
    known
        Whether the design could be read: without it nothing is called orphaned.
    """

    found: tuple[Found, ...]
    count: int
    bytes: int
    at_work: str = ""
    known: bool = True

    @property
    def harmed(self) -> tuple[Found, ...]:
        """Files that are missing, truncated or altered."""
        return tuple(one for one in self.found if one.kind in HARMED)

    @property
    def orphaned(self) -> tuple[Found, ...]:
        """Files that belong to nothing."""
        return tuple(one for one in self.found if one.kind == "orphaned")


@dataclass(frozen=True)
class _Design:
    """What the design of a study names: its kind, its fits, and the data that they use."""

    kind: str
    fits: Mapping[str, tuple[FitSpec, CheckedCell]]
    former: frozenset[str] = frozenset()
    data: frozenset[str] = frozenset()
    arrays: frozenset[str] = frozenset()


@dataclass
class _Looked:
    """Files as they are gone through: those that belong to something, what was found, and what is still to be read."""

    store: Store
    there: dict[str, int]
    owned: set[str] = field(default_factory=set)
    found: list[Found] = field(default_factory=list)
    checks: list[tuple[str, Callable[[Path], Harm | None], str]] = field(default_factory=list)

    def check(self, name: str, how: Callable[[Path], Harm | None], mend: str) -> None:
        """Note that a file belongs to the study, and how it is looked at."""
        self.owned.add(name)
        self.checks.append((name, how, mend))

    def orphan(self, name: str, why: str, size: int, mend: str) -> None:
        """Note that a file, or all in a folder, belongs to nothing."""
        self.found.append(Found(name, "orphaned", why, mend, size))


def look(store: Store, *, read: bool = True) -> Files:
    """Go through all files of a study.

    Parameters
    ----------
    store
        Of the study.
    read
        Whether files are read to see that they are as they were written; if not, only what belongs to nothing is found.

    Raises
    ------
    StoreError
        If there is no study in that folder.
    """
    if not (store.study_file.exists() or (store.root / "fits").is_dir()):
        raise StoreError(f"there is no study in {store.root}")
    looked = _Looked(store, dict(_walk(store.root)))
    design = _design(looked)
    _fits(looked, design)
    _data(looked, design)
    _made(looked, design.kind if design is not None else "fit")
    _rest(looked)
    if read:
        looked.found += _read(looked)
    own = looked.owned & looked.there.keys()
    found = sorted(looked.found, key=lambda one: (ORDER.index(one.kind), one.path))
    at_work = holder_of(store.root / LOCK)
    return Files(tuple(found), len(own), sum(looked.there[name] for name in own), at_work, design is not None)


def lines_of(files: Files) -> list[str]:
    """Say what was found: a line for all files of which the same is said."""
    groups: dict[tuple[str, str, str], list[Found]] = {}
    for one in files.found:
        groups.setdefault((one.kind, without_numbers(one.why), one.mend), []).append(one)
    lines = []
    for (kind, _, mend), alike in groups.items():
        names = few([one.path for one in alike], MOST_NAMED)
        size = sum(one.bytes for one in alike)
        room = f" ({size / 2**20:.1f} MiB)" if kind == "orphaned" else ""
        lines.append(f"{kind}: {names}{room}: {alike[0].why}{f'; {mend}' if mend else ''}")
    return lines


def _walk(root: Path) -> Iterator[tuple[str, int]]:
    """Every file below a folder with its bytes; links are named and not followed."""
    for folder, folders, files in os.walk(root):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*files, *links):
            path = Path(folder, name)
            yield str(path.relative_to(root)), path.lstat().st_size


def _design(looked: _Looked) -> _Design | None:
    """Read what the design names; None where it cannot be read."""
    store = looked.store
    mend = "restore it; without it the next command of the study begins a new design, and the fits stay"
    looked.check("study.json", contents.of_json, mend)
    try:
        facts = store.read_study()
        cells, seed = cells_of(facts), int(facts["seed"])
    except (StoreError, LookupError, TypeError, ValueError):  # pydantic's errors are among them
        return None
    former = {former_key(c, seed, number) for c in cells if is_former(c) for number in range(c.replicates)}
    simulations = [cell.simulation for cell in cells if cell.simulation is not None]
    data = {cell.data_hash for cell in cells} | {simulation.base_hash for simulation in simulations}
    arrays = {spread_name(simulation) for simulation in simulations if simulation.ranked}
    for cell in cells:
        config = f"fits/{fit_key(cell, seed, 0)}/{CONFIG}"
        if store.has_fit(fit_key(cell, seed, 0)):
            same = functools.partial(_of_config, config=cell.cell.config)
            looked.check(config, same, _again(cell, store, fit_key(cell, seed, 0), "writes it again"))
    kind = str(facts.get("study", {}).get("kind", "fit"))
    return _Design(kind, specs_of(cells, seed), frozenset(former), frozenset(data), frozenset(arrays))


def _of_config(path: Path, config: str) -> Harm | None:
    if (harm := contents.of_recorded(path, 0, "")) is not None:
        return harm
    found, wanted = (public_address(text) for text in (path.read_bytes().decode(errors="replace"), config))
    if found == wanted:
        return None
    return contents.CUT if wanted.startswith(found) else contents.CHANGED


def _again(cell: CheckedCell | None, store: Store, key: str, does: str) -> str:
    """Say how a file of a fit is mended: by the command that asks for its cell, if one does."""
    if cell is not None and cell.superseded:
        return f"no command asks for this fit any more: {verb(f'forget --key {key}', store.root)} removes it"
    return f"the command of the study {does}"


def _fits(looked: _Looked, design: _Design | None) -> None:
    store = looked.store
    for key in store.fit_keys():
        folder = store.fit_folder(key)
        own = [str(path.relative_to(store.root)) for path in store.own_files(key)]
        own = [name for name in own if not ASIDE.fullmatch(Path(name).name)]
        if not DIGEST.fullmatch(key) or not own:
            continue
        named = design is None or key in design.fits or key in design.former or store.read_older(key) is not None
        if not named:
            looked.owned |= set(own)
            if not folder.is_symlink():
                size = sum(looked.there.get(name, 0) for name in own)
                looked.orphan(f"fits/{key}/", OF_NO_CELL, size, verb("prune", store.root) + " removes it")
            continue
        cell = design.fits[key][1] if design is not None and key in design.fits else None
        _fit(looked, key, cell, own)


def _fit(looked: _Looked, key: str, cell: CheckedCell | None, own: list[str]) -> None:
    """Look at the files of one fit."""
    store, base = looked.store, f"fits/{key}"
    figures = [name for name in own if name.startswith(f"{base}/{FIGURES}/")]
    looked.owned |= set(own) - set(figures)
    if not any(f"{base}/{name}" in own for name in (OUTCOME, POSTERIOR, SUMMARY, ERROR, *figures)):
        return
    outcome = store.read_outcome(key) or store.read_older(key)
    drawn = _again(cell, store, key, "draws the fit again")
    looked.check(f"{base}/{OUTCOME}", contents.of_json, drawn)
    if outcome is None:
        looked.owned |= set(figures)
        return
    from_draws = _again(cell, store, key, "makes it again from the stored draws")
    for name, (size, checksum) in _recorded(outcome).items():
        how = functools.partial(contents.of_recorded, size=size, checksum=checksum)
        looked.check(f"{base}/{name}", how, drawn if name == POSTERIOR else from_draws)
    if outcome.status == "failed":
        how = functools.partial(contents.of_recorded, size=0, checksum="")
        looked.check(f"{base}/{ERROR}", how, _again(cell, store, key, "tries the fit again"))
        looked.owned |= set(figures)
    for name in figures:
        if not outcome.files:  # of an earlier version, or drawn only
            looked.owned.add(name)
        elif name not in looked.owned:
            looked.owned.add(name)
            looked.orphan(name, NO_FIGURE, looked.there.get(name, 0), verb("prune", store.root) + " removes it")


def _recorded(outcome: Outcome) -> dict[str, tuple[int, str]]:
    """Files that an outcome names, with size and checksum as far as these are known."""
    posterior = {POSTERIOR: (outcome.size, outcome.checksum)} if outcome.status == "done" or outcome.checksum else {}
    if outcome.status == "failed":  # what was worked out before is not looked at: it is made again with the fit
        return posterior
    return {**posterior, SUMMARY: (0, ""), **outcome.files}


def _data(looked: _Looked, design: _Design | None) -> None:
    """Look at the data: those that the design uses, and those that it does not."""
    store = looked.store
    stored = [name for name in looked.there if name.startswith("data/") and name.count("/") == 1]
    # of fits of an older format nobody knows what they were fitted to
    older = any(store.read_older(key) is not None for key in store.fit_keys())
    used = set() if design is None else {f"data/{name}.nc" for name in design.data}
    used |= set() if design is None else {f"data/{name}.npz" for name in design.arrays} & set(stored)
    mend = "remove it, and the command of the study writes it again"
    for name in sorted(used | {name for name in stored if _is_data(name)}):
        if name not in used and _link(store, name):
            continue
        if name in used or design is None or older:
            how = _of_dataset if name.endswith(".nc") else _of_arrays
            looked.check(name, functools.partial(how, store=store), mend)
        else:
            looked.owned.add(name)
            looked.orphan(name, NO_DATA, looked.there[name], verb("prune", store.root) + " removes it")


def _is_data(name: str) -> bool:
    stem, _, suffix = name.removeprefix("data/").rpartition(".")
    digest = stem.removeprefix(SPREAD) if suffix == "npz" and stem.startswith(SPREAD) else stem
    return DIGEST.fullmatch(digest) is not None and (suffix == "nc" if digest == stem else suffix == "npz")


_one_by_one = threading.Lock()
"""HDF5 is not made for several threads."""


def _of_dataset(path: Path, store: Store) -> Harm | None:
    if (harm := contents.of_data(path)) is not None:
        return harm
    try:
        with _one_by_one:
            store.read_data(path.stem)
    except StoreError:
        return contents.CHANGED
    return None


def _of_arrays(path: Path, store: Store) -> Harm | None:
    if (harm := contents.of_recorded(path, 0, "")) is not None:
        return harm
    if store.read_arrays(path.stem):
        return None
    return contents.CHANGED if zipfile.is_zipfile(path) else contents.CUT


def _made(looked: _Looked, kind: str) -> None:
    """Look at tables, figures and page: as they were made last, or where that is not known by what they are."""
    store = looked.store
    mend = f"{verb('compare' if kind == 'fit' else 'report', store.root)} makes it again"
    recorded = made(store.root)
    if half_made(store.root):
        looked.found.append(Found(f"{TABLE_FOLDER}/", "altered", "who wrote the tables was stopped half way", mend))
    for name, (size, checksum) in (recorded or {}).items():
        looked.check(name, functools.partial(contents.of_recorded, size=size, checksum=checksum), mend)
    if recorded is not None:
        return
    tables = store.read_findings().get("tables", {})
    for name in sorted(looked.there):
        folder, _, file = name.rpartition("/")
        stem, _, suffix = file.rpartition(".")
        if folder == FIGURE_FOLDER and suffix == "png":
            looked.check(name, contents.of_picture, mend)
        elif name == PAGE:
            looked.check(name, contents.of_page, mend)
        elif name == f"{TABLE_FOLDER}/findings.json":
            looked.check(name, contents.of_json, mend)
        elif folder == TABLE_FOLDER and suffix in ("parquet", "csv"):
            looked.owned.add(name)
    for stem, checksum in tables.items():
        looked.check(f"{TABLE_FOLDER}/{stem}.parquet", functools.partial(_of_table, checksum=checksum), mend)


def _of_table(path: Path, checksum: str) -> Harm | None:
    if (harm := contents.of_recorded(path, 0, "")) is not None:
        return harm
    return contents.of_recorded(path, path.stat().st_size, checksum)


def _rest(looked: _Looked) -> None:
    """Say of every other file whose it is."""
    store = looked.store
    prune = verb("prune", store.root) + " removes it"
    for name in OF_PIPELINE:
        if name in looked.there:
            looked.check(name, contents.of_json, "remove it, and run the pipeline for that date again")
    if "journal.jsonl" in looked.there:
        told = f"{verb('sync', store.root)} tells the server what it does not have, and notes it"
        looked.check("journal.jsonl", contents.of_lines, told)
    for name, size in sorted(looked.there.items()):
        parts = name.split("/")
        if name in looked.owned:
            continue
        left = ASIDE.fullmatch(parts[-1]) or SIDE.fullmatch(parts[-1]) or parts[0].startswith(STAGED)
        if left and not _link(store, name):
            looked.owned.add(name)
            looked.orphan(name, LEFT, size, prune)
        elif name in OF_ROOT or (len(parts) == 1 and name.endswith(CLAIM)) or parts[0] == TURNS:
            looked.owned.add(name)
        else:
            looked.found.append(Found(name, "unknown", NOT_OURS, bytes=size))


def _link(store: Store, name: str) -> bool:
    return (store.root / name).is_symlink()


def _read(looked: _Looked) -> Iterable[Found]:
    """Look at the content of files, several at the same time."""
    root = looked.store.root

    def one(check: tuple[str, Callable[[Path], Harm | None], str]) -> Found | None:
        name, how, mend = check
        try:
            harm = how(root / name)
        except OSError as error:
            harm = Harm("altered", f"it cannot be read: {error.strerror}")
        if harm is None:
            return None
        if harm.kind != "missing":
            distrust(root / name)
        return Found(name, harm.kind, harm.why, mend, looked.there.get(name, 0))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [found for found in pool.map(one, looked.checks) if found is not None]
