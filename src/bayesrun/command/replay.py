"""One fit of a study again, in this process: its dataset, its draws, and whether they are those that were stored.

It stores nothing.
"""

from __future__ import annotations

import dataclasses
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.imports import make_importable, users_place
from bayesrun.base.machine import versions
from bayesrun.errors import ConfigError, FitError
from bayesrun.planning.keys import specs_of
from bayesrun.report import study_file

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

    from bayesrun.store.folder import Store
    from bayesrun.types import FitSpec, Outcome
    from bayesrun.work.case import Case

__all__ = ["differences", "replay"]

SAME, OTHER = 0, 1


def replay(store: Store, wanted: str, console: Console, *, data_only: bool) -> int:
    """Draw the dataset of a replicate again and fit it, with everything that goes wrong in sight.

    Parameters
    ----------
    store
        The study.
    wanted
        Key of the fit, or number of its replicate where the study has one cell.
    console
        Where it is told.
    data_only
        Whether to show the dataset and stop.

    Returns
    -------
    int
        0: the draws are those that were stored, or none were; 1: they are others, or those that were stored are
        damaged, or there are none.

    Raises
    ------
    ConfigError
        If the study has no fit of that name, or several.
    """
    spec = _chosen(store, wanted)
    make_importable(Path.cwd())
    try:
        return _replayed(store, spec, console, data_only=data_only)
    except (Exception, SystemExit) as error:
        # a model may raise anything, and to see that is what a replay is for
        if isinstance(error, ConfigError):
            raise
        sys.stderr.write("".join(traceback.format_exception(error)))
        cause = error.__cause__ if isinstance(error, FitError) and error.__cause__ else error
        place = users_place(cause)
        told = f"{type(error).__name__}: {error}" + (f" ({place})" if place else "")
        console.print(f"failed: {told}", markup=False, soft_wrap=True)
        return OTHER


def _chosen(store: Store, wanted: str) -> FitSpec:
    seed, _, cells = study_file.read_design(store)
    fits = specs_of(cells, seed)
    chosen = [s for k, (s, c) in fits.items() if k == wanted or (str(s.replicate) == wanted and not c.superseded)]
    if len(chosen) != 1:
        raise ConfigError(
            f"{wanted}: study {store.root.name} has {len(chosen)} fits of that key or number; wanted one key, "
            "as in tables/fits.csv"
        )
    return chosen[0]


def _replayed(store: Store, spec: FitSpec, console: Console, *, data_only: bool) -> int:
    from bayesrun.work.datasets import Sources
    from bayesrun.work.fit import fit_case
    from bayesrun.work.worker import measured

    stored = store.drawn(spec.key)
    spec = _as_drawn(spec, stored)
    case = Sources(store).case(spec)
    _show(case, console)
    if stored is not None and stored.migrated:
        told = f"  drawn in format {stored.migrated['schema']}, as {stored.migrated['key']} with seed {spec.fit_seed}"
        console.print(told, markup=False, soft_wrap=True)
    if data_only:
        return SAME
    found = fit_case(case)
    measured(case, found)  # a quantity of the user's may fail where the fit does not
    if stored is None or not store.verify(spec.key):
        lost = store.damage(spec.key)
        told = f"nothing stored to hold it against: {lost}" if lost else "not stored before"
        console.print(f"done: {told}", markup=False, soft_wrap=True)
        return OTHER if lost else SAME
    drawn = found.tree["posterior"].to_dataset().drop_vars(stored.left_out, errors="ignore")
    lines = differences(store.read_tree(spec.key)["posterior"].to_dataset(), drawn)
    if not lines:
        console.print("done: the stored draws", markup=False)
        return SAME
    console.print("done: other draws than stored", markup=False)
    for line in (*lines, *_circumstances(stored)):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    return OTHER


def _as_drawn(spec: FitSpec, stored: Outcome | None) -> FitSpec:
    """Return a recipe with the seed that its stored draws were made with, where that is not its key's."""
    if stored is None or not stored.migrated:
        return spec
    return dataclasses.replace(spec, fit_seed=int(stored.migrated["fit_seed"]))


def _show(case: Case, console: Console) -> None:
    spec = case.spec
    console.print(f"fit {spec.key}, {spec.cell}, replicate {spec.replicate}", markup=False)
    for name, values in (*case.dataset.items(), *((f"true {name}", v) for name, v in case.truth.items())):
        console.print(f"  {name}: {values}", markup=False, soft_wrap=True)


def differences(stored: xr.Dataset, drawn: xr.Dataset) -> list[str]:
    """Say how two posteriors differ, one line for each variable that does.

    Parameters
    ----------
    stored, drawn
        Draws, dims (chain, draw, ...).
    """
    lines = []
    for name in dict.fromkeys((*map(str, stored.data_vars), *map(str, drawn.data_vars))):
        if name not in stored or name not in drawn:
            lines.append(f"{name}: {'was not stored' if name in drawn else 'is stored, and was not drawn now'}")
            continue
        before, now = stored[name].values, drawn[name].values
        if before.shape != now.shape:
            lines.append(f"{name}: {before.shape} values are stored, and {now.shape} were drawn now")
            continue
        differ = (before != now) & ~(np.isnan(before) & np.isnan(now))
        if differ.any():
            apart = np.abs(now[differ].astype(np.float64) - before[differ])
            lines.append(f"{name}: {differ.sum()} of {differ.size} values differ, by up to {apart.max():.3g}")
    return lines


def _circumstances(stored: Outcome) -> list[str]:
    """Say what was otherwise when the draws were stored."""
    here = versions()
    other = [
        f"{name} {was} (here {here.get(name, 'none')})"
        for name, was in stored.versions.items()
        if was != here.get(name)
    ]
    by = f"they were stored by {stored.where}"
    return [f"{by} with {', '.join(other)}" if other else f"{by} with the same versions of all packages"]
