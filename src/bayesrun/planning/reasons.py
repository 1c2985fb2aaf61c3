"""Why a fit is made anew although one like it is stored: in what two cells differ, said in a few words.

It compares what is known of cells, and opens a stored dataset only to name the row that differs.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.machine import versions
from bayesrun.base.messages import few
from bayesrun.errors import BayesrunError
from bayesrun.planning.keys import fit_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bayesrun.types import CheckedCell, Dataset, Plan, SamplerOptions, Target

    type Versions = Mapping[str, str]
    """By name of the package."""

__all__ = ["MOVED", "differences", "reasons", "stored_dataset"]

MOVED = "the same in all that is known of it"
"""Said of two cells in which no difference can be named."""

MOST_NAMED = 3
"""Rows or variables that one reason names."""

GENERATOR = "generator"
"""Said where all that is known of a generator is that its graph is another one."""

OF_GRAPHS = ("pymc", "pytensor", "bayesrun", "numpy", "python")
"""Packages whose version may change a graph, the likeliest first."""

TEXT = 24
"""Characters of a value in a reason."""


def reasons(
    plan: Plan,
    cells: Sequence[CheckedCell],
    stored: Sequence[CheckedCell],
    *,
    data: Mapping[str, Dataset],
    read: Callable[[str], Dataset],
    drawn_with: Callable[[CheckedCell], Mapping[str, str]] = lambda cell: {},  # noqa: ARG005
) -> dict[str, str]:
    """Say for each cell whose fits are to be drawn why none of the stored ones is such a fit.

    Parameters
    ----------
    plan
        What is left.
    cells
        Of the command.
    stored
        Cells of the study's design.
    data
        The datasets of the command, by cell label.
    read
        Reads a stored dataset by its digest.
    drawn_with
        Versions of packages that the fits of a stored cell were drawn with.

    Returns
    -------
    dict
        Label to reason; none for a cell that resembles no stored one, and for replicates that are new.
    """
    drawn = {spec.cell for batch in plan.batches for spec in batch.specs if spec.key not in plan.kept}
    known = {fit_key(cell, 0, 0) for cell in stored}
    found = {}
    for cell in cells:
        label = cell.cell.label
        if label not in drawn or fit_key(cell, 0, 0) in known:
            continue
        alike = [other for other in stored if _words(other) == _words(cell)]
        if not alike:
            continue
        told = [
            differences(
                other,
                cell,
                old_data=functools.partial(stored_dataset, read, other.data_hash),
                new_data=functools.partial(data.get, label),
                drawn_with=functools.partial(_then_and_now, drawn_with, other),
            )
            for other in alike
        ]
        nearest = min(told, key=len)
        found[label] = ", ".join(nearest)
    return found


def _then_and_now(
    drawn_with: Callable[[CheckedCell], Mapping[str, str]], old: CheckedCell
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    return drawn_with(old), versions()


def stored_dataset(read: Callable[[str], Dataset], digest: str) -> Dataset | None:
    """Read a stored dataset; None where its file is gone or harmed, since a reason is no reason to stop."""
    try:
        return read(digest)
    except BayesrunError:
        return None


def _words(checked: CheckedCell) -> tuple[str, str, str]:
    return checked.cell.model.name, checked.cell.data.name, checked.cell.sampler.name


def differences(
    old: CheckedCell,
    new: CheckedCell,
    seeds: tuple[int, int] = (0, 0),
    old_data: Callable[[], Dataset | None] = lambda: None,
    new_data: Callable[[], Dataset | None] = lambda: None,
    drawn_with: Callable[[], tuple[Versions, Versions]] = lambda: ({}, {}),
) -> list[str]:
    """Name what differs between two cells in what changes a fit, the plainest first.

    Parameters
    ----------
    old, new
        The cells.
    seeds
        Of their studies.
    old_data, new_data
        Give their datasets, or None.
    drawn_with
        Gives the versions of the packages that their fits are drawn with.

    Returns
    -------
    list of str
        As ``beta_sigma 10 -> 5``, ``data: sbp, row 2 (1.9 -> 1.8)``, ``numpyro version 3 -> 4``.
    """
    if not old.conditioned and new.conditioned:
        return ["stored in an older format"]
    lines = [_change("seed", *seeds)] if seeds[0] != seeds[1] else []
    if old.cell.sampler.path != new.cell.sampler.path:
        lines.append(_change("sampler", old.cell.sampler.name, new.cell.sampler.name))
    elif old.sampler_version != new.sampler_version:
        lines.append(_change(f"{new.cell.sampler.name} version", old.sampler_version, new.sampler_version))
    lines += _options(old, new)
    model = _params(old.cell.model, new.cell.model)
    graph = old.fingerprint != new.fingerprint
    lines += model if graph else []
    lines += _simulated(old, new)
    real = new.simulation is None or new.simulation.joint
    if (real and old.conditioned != new.conditioned) or (graph and old.data_hash != new.data_hash):
        lines += _data(old_data(), new_data()) or ["data"] * (real and old.conditioned != new.conditioned)
    if (graph and not lines) or lines == [GENERATOR]:
        lines = _upgraded(old, new, drawn_with) or lines
    if graph and not lines:
        lines += _graph(old, new)
    return lines or [MOVED]


def _upgraded(old: CheckedCell, new: CheckedCell, drawn_with: Callable[[], tuple[Versions, Versions]]) -> list[str]:
    """Name the packages that have another version, where the source that models are built by is the same."""
    if not old.source or old.source != new.source:
        return []
    had, now = drawn_with()
    moved = [name for name in OF_GRAPHS if name in had and name in now and had[name] != now[name]]
    if not moved:
        return []
    present, past = (_listed(words) for words in ((f"{n} {now[n]}" for n in moved), (had[n] for n in moved)))
    return [f"the graph is another one with {present} (drawn with {past})"]


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _change(name: str, old: Any, new: Any) -> str:
    return f"{name} {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= TEXT else f"{text[: TEXT - 1]}…"


def _options(old: CheckedCell, new: CheckedCell) -> list[str]:
    """Options that change the draws of the sampler."""
    had, has = _given(old.cell.options, old.same_draws), _given(new.cell.options, new.same_draws)
    return [_change(name, had.get(name), has[name]) for name in new.sampler_options if had.get(name) != has[name]]


def _given(options: SamplerOptions, idle: Iterable[str]) -> dict[str, Any]:
    given = dataclasses.asdict(options)
    return given | {"extra": {k: v for k, v in given["extra"].items() if k not in idle}}


def _params(old: Target, new: Target) -> list[str]:
    """Parameters of a model with another value, those that only one of the two states included."""
    names = dict.fromkeys([*old.params, *new.params])
    lines = [
        _change(name, old.params.get(name, "none"), new.params.get(name, "none"))
        for name in names
        if old.params.get(name, MISSING) != new.params.get(name, MISSING)
    ]
    return lines if old.path == new.path or lines else []


MISSING = object()


def _simulated(old: CheckedCell, new: CheckedCell) -> list[str]:
    """Name what differs in where simulated data come from."""
    was, now = old.simulation, new.simulation
    if was is None or now is None:
        return [] if was is now else ["simulated data" if was is None else "real data"]
    other = was.fingerprint != now.fingerprint
    own = _params(old.cell.model, new.cell.model)
    lines = [f"generator {line}" for line in _params(was.generator, now.generator) if line not in own] if other else []
    if was.identity != now.identity:
        lines.append("truth")
    if was.design != now.design or was.design_source != now.design_source:
        lines.append("covariates that are drawn anew")
    return lines or [GENERATOR] * (other and old.fingerprint == new.fingerprint)


def _data(old: Dataset | None, new: Dataset | None) -> list[str]:
    """Arrays that differ, with the first rows that do."""
    if old is None or new is None:
        return []
    rows = [name for name in old if old[name].ndim and name in new and new[name].ndim]
    if rows and old.keys() == new.keys():
        if all(len(old[name]) != len(new[name]) for name in rows):
            return [f"data: {len(new[rows[0]])} rows instead of {len(old[rows[0]])}"]
        if all(_moved(old[name], new[name]) for name in rows):
            return ["data: rows in another order"]
    lines = []
    for name in dict.fromkeys([*old, *new]):
        if name not in old or name not in new:
            lines.append(f"data: {name} {'is new' if name in new else 'is gone'}")
        elif old[name].shape != new[name].shape:
            lines.append(f"data: {name}, {_size(new[name])} instead of {_size(old[name])}")
        elif not np.array_equal(old[name], new[name], equal_nan=old[name].dtype.kind == new[name].dtype.kind == "f"):
            lines.append(f"data: {name}, {_rows(old[name], new[name])}")
        elif old.labels(name) != new.labels(name):
            lines.append(f"data: labels of {name}")
    return lines[:MOST_NAMED]


def _size(values: np.ndarray) -> str:
    return f"{len(values)} rows" if values.ndim == 1 else f"shape {values.shape}" if values.ndim else "one number"


def _moved(old: np.ndarray, new: np.ndarray) -> bool:
    """Whether an array has the same rows in another order, as far as their columns tell."""
    same = old.ndim > 0 and old.shape == new.shape and np.array_equal(np.sort(old, axis=0), np.sort(new, axis=0))
    return same and not np.array_equal(old, new)


def _rows(old: np.ndarray, new: np.ndarray) -> str:
    if _moved(old, new):
        return "rows in another order"
    if not old.ndim:
        return f"{_short(old.item())} -> {_short(new.item())}"
    rows = np.flatnonzero((old != new).reshape(len(old), -1).any(axis=1))
    if len(rows) == 1 and old.ndim == 1:
        row = int(rows[0])
        return f"row {row + 1} ({_short(old[row].item())} -> {_short(new[row].item())})"
    return f"row{'s' if len(rows) > 1 else ''} {_few(str(row + 1) for row in rows)}"


def _graph(old: CheckedCell, new: CheckedCell) -> list[str]:
    """Variables of the model that are new, gone, renamed, or made in another way."""
    had, has = old.parts, new.parts
    if not had or not has:
        return ["the model"]
    gone = [name for name in had if name not in has]
    come = [name for name in has if name not in had]
    if len(gone) == len(come) == 1:
        return [f"variable {gone[0]} renamed to {come[0]}"]
    lines = [f"variable {name} is gone" for name in gone] + [f"variable {name} is new" for name in come]
    changed = [name for name in has if name in had and had[name][0] != has[name][0]]
    changed = changed or [name for name in has if name in had and had[name] != has[name]]
    if changed:
        lines.append(f"the model's {_few(changed)}")
    if not lines and old.fingerprint.split("-")[0] != new.fingerprint.split("-")[0]:
        lines.append("source code that no graph shows")
    return lines or ["coords, dims, starts or the order of variables"]


def _few(names: Iterable[str]) -> str:
    return few(list(names), MOST_NAMED)
