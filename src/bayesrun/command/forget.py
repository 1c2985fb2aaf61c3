"""Fits that a user wants to be rid of: which they are, what goes with them, and their removal.

Data that no other fit uses go with them. Nothing outside of the study's folder is touched, so that MLflow keeps its
runs. What is forgotten can be fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bayesrun.base.spelling import did_you_mean
from bayesrun.base.verb_hints import verb
from bayesrun.errors import ConfigError, StoreError
from bayesrun.planning.keys import specs_of
from bayesrun.report import study_file
from bayesrun.report.superseded import NO_CELL
from bayesrun.report.verdict import PAGE
from bayesrun.store.folder import spread_name
from bayesrun.store.table_marks import read_table
from bayesrun.store.turns import TABLES, take

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bayesrun.store.folder import Store
    from bayesrun.types import CheckedCell, FitSpec

    type Known = Mapping[str, tuple[FitSpec, CheckedCell]]

__all__ = ["Chosen", "Wanted", "chosen", "remove"]


@dataclass(frozen=True)
class Wanted:
    """Which fits are to be forgotten.

    Parameters
    ----------
    cells, keys
        Labels of cells, and keys of fits.
    superseded
        All superseded ones too, and those that no cell of the design has.
    failed
        Only those that failed; of all cells where nothing else is named.
    """

    cells: Sequence[str] = ()
    keys: Sequence[str] = ()
    superseded: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Chosen:
    """Fits that are to be forgotten.

    Parameters
    ----------
    cells
        Key to the label of its cell, those of fits that are not stored too.
    sizes
        Bytes of those that are stored, by key.
    data
        Bytes of the files of data that only they use, by path in the study's folder.
    """

    cells: Mapping[str, str]
    sizes: Mapping[str, int]
    data: Mapping[str, int] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """Say what is to be removed: a line a cell, and one for datasets."""
        lines = [
            f"  {label}: {self._words([key for key, cell in self.cells.items() if cell == label])}"
            for label in dict.fromkeys(self.cells.values())
        ]
        return [*lines, *([f"  data that no other fit uses: {self._datasets}"] if self.data else [])]

    @property
    def _datasets(self) -> str:
        kept = sum(name.endswith(".nc") for name in self.data)
        rest = len(self.data) - kept
        parts = [f"{kept} {'dataset' if kept == 1 else 'datasets'}"] if kept else []
        parts += [f"{rest} {'spread' if rest == 1 else 'spreads'} of true values"] if rest else []
        return f"{' and '.join(parts)}, {sum(self.data.values()) / 2**20:.1f} MiB"

    @property
    def total(self) -> str:
        """Say how much it is."""
        many = len(set(self.cells.values()))
        fits = f"{self._words(self.cells)} of {many} {'cell' if many == 1 else 'cells'}"
        return f"{fits}, and {self._datasets}" if self.data else fits

    def _words(self, keys: Collection[str]) -> str:
        stored = [self.sizes[key] for key in keys if key in self.sizes]
        return f"{len(stored)} {'fit' if len(stored) == 1 else 'fits'}, {sum(stored) / 2**20:.1f} MiB"


def chosen(store: Store, wanted: Wanted) -> Chosen:
    """Find the fits that are to be forgotten.

    Raises
    ------
    ConfigError
        If nothing is named, or what is named does not exist.
    """
    if not (wanted.cells or wanted.keys or wanted.superseded or wanted.failed):
        raise ConfigError(
            "forget: nothing is named; wanted CELL, --key KEY, --superseded or --failed; "
            f"{verb('status', store.root)} names the cells"
        )
    seed, _, design = study_file.read_design(store)
    known = specs_of(design, seed)
    labels = {key: checked.cell.label for key, (_, checked) in known.items()}
    every = labels | dict.fromkeys(sorted(store.stored_keys() - set(labels)), NO_CELL)
    for cell in wanted.cells:
        _known("cell", cell, {one.cell.label for one in design}, store)
    for key in wanted.keys:
        _known("fit", key, every, store)
    named = bool(wanted.cells or wanted.keys or wanted.superseded)
    found = {
        key: label
        for key, label in every.items()
        if not named
        or label in wanted.cells
        or key in wanted.keys
        or (wanted.superseded and (label == NO_CELL or known[key][1].superseded))
    }
    if wanted.failed:
        found = {key: label for key, label in found.items() if _failed(store, key)}
    sizes = {key: store.size_of(key) for key in found if store.has_fit(key)}
    return Chosen(found, sizes, _unused_data(store, known, found))


def _unused_data(store: Store, known: Known, gone: Collection[str]) -> dict[str, int]:
    """Find the files of data that no cell uses whose fits stay, or that has none yet: datasets, and spreads of truths.

    None is found while there are fits of no cell, of which nobody knows what they were fitted to.
    """
    left = store.stored_keys() - set(gone)
    if left - set(known):
        return {}
    fits: dict[str, list[str]] = {}
    cells = {}
    for key, (_, checked) in known.items():
        fits.setdefault(checked.cell.label, []).append(key)
        cells[checked.cell.label] = checked
    stay = [cells[label] for label, keys in fits.items() if not left.isdisjoint(keys) or set(keys).isdisjoint(gone)]
    simulations = [one.simulation for one in stay if one.simulation]
    used = {checked.data_hash for checked in stay} | {simulation.base_hash for simulation in simulations}
    spreads = {spread_name(simulation) for simulation in simulations}
    unused = [store.data_file(name) for name in store.datasets() if name not in used]
    unused += [store.array_file(name) for name in store.spreads() if name not in spreads]
    return {str(path.relative_to(store.root)): path.lstat().st_size for path in unused if not path.is_symlink()}


def _known(what: str, given: str, names: Collection[str], store: Store) -> None:
    if given not in names:
        hint = did_you_mean(given, sorted(names))
        have = f"there are {', '.join(sorted(names))}" if what == "cell" else "tables/fits.csv has the keys"
        raise ConfigError(f"forget: study {store.root.name} has no {what} {given!r}; {hint}{have}")


def _failed(store: Store, key: str) -> bool:
    outcome = store.read_outcome(key)
    return outcome is not None and outcome.status == "failed"


def remove(store: Store, found: Chosen) -> list[str]:
    """Remove fits, their data, cells that are left without any, and the tables that were made of them.

    Returns
    -------
    list of str
        What was removed beside the fits, for people.
    """
    tables = _are_in_tables(store, found.cells)
    for key in found.cells:
        store.forget_fit(key)
    for name in found.data:
        (store.root / name).unlink(missing_ok=True)
    dropped = study_file.drop_cells(store, found.cells)
    lines = [f"{', '.join(dropped)}: no fit is left, and the design is without"] if dropped else []
    if tables:
        with take(store.root).at(TABLES):
            _remove_tables(store)
        made = "compare" if study_file.read_study(store).kind == "fit" else "report"
        lines.append(f"tables, figures and page were made of them and are gone too: {verb(made, store.root)}")
    return lines


def _are_in_tables(store: Store, keys: Collection[str]) -> bool:
    try:
        fits = read_table(store, "fits")
    except StoreError:
        return True
    return fits is not None and ("key" not in fits or bool(fits["key"].isin(list(keys)).any()))


def _remove_tables(store: Store) -> None:
    for pattern in ("tables/*.parquet", "tables/*.csv", "tables/*.json", "figures/*.png", PAGE):
        for path in store.root.glob(pattern):
            path.unlink(missing_ok=True)
