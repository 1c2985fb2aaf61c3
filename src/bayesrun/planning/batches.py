"""expand(checked cells) -> Plan: which fits there are, which are left to do, and which go together into a batch.

Pure: it reads nothing and starts nothing.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from bayesrun.errors import ConfigError
from bayesrun.planning.completion import is_complete, missing_steps
from bayesrun.planning.keys import specs_of
from bayesrun.types import Batch, CheckedCell, FitSpec, Outcome, Plan, Steps, canonical_json, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["batch_size", "expand", "study_name"]

NAME_LENGTH = 60

FEWEST_TOGETHER, MOST_TOGETHER = 64, 256
"""Bounds of a batch of unstated size: below the first the lanes of a batched sampler idle, above the second a lost
worker loses much."""
BATCH_SECONDS = 30.0
"""What a batch of unstated size should take: progress is seen, and little is lost with a worker."""


def study_name(cells: Sequence[Any], seed: int, default_seed: int, kind: str = "fit") -> str:
    """Name a study after its models, its data and its kind, so that the same command finds its own results.

    A seed other than the default is part of the name, since one study has one seed. A long name is cut and
    made unique by a digest.
    """
    models = "+".join(dict.fromkeys(cell.model.name for cell in cells))
    data = "+".join(dict.fromkeys(cell.data.name for cell in cells))
    name = f"{models}-{data}" + (f"-{kind}" if kind != "fit" else "")
    name += f"-seed{seed}" if seed != default_seed else ""
    safe = "".join(c if c.isalnum() or c in "+-_." else "_" for c in name)
    return safe if len(safe) <= NAME_LENGTH else f"{safe[:NAME_LENGTH]}-{digest(safe, 8)}"


def batch_size(checked: CheckedCell, n_fits: int, workers: int, seconds: float | None = None) -> int:
    """Say how many fits one worker call does.

    Parameters
    ----------
    checked
        The cell; its ``sampler.batch_size`` counts if it is a number.
    n_fits
        Fits that could go together, those that are done included: the size, which the lanes are compiled for, does
        not change when a study goes on.
    workers
        Worker calls that run at the same time.
    seconds
        What such a fit took before, if one was done.

    Returns
    -------
    int
        1 for samplers that draw for one dataset after another.
    """
    asked = checked.cell.options.batch_size
    if asked != "auto":
        return asked
    if not checked.batched:
        return 1
    bound = MOST_TOGETHER if not seconds else int(BATCH_SECONDS / seconds)
    return max(1, min(math.ceil(n_fits / max(workers, 1)), max(bound, FEWEST_TOGETHER), MOST_TOGETHER))


def _batches(
    specs: Iterable[tuple[FitSpec, CheckedCell]],
    finished: Mapping[str, bool],
    workers: int,
    seconds: Mapping[str, float],
) -> list[Batch]:
    """Cut what is left of each group of fits that can go together into batches.

    These are the replicates of a cell, and the cells that fit one builder to real data, each to a dataset of its own.
    """
    groups: dict[str, list[tuple[FitSpec, CheckedCell]]] = {}
    for spec, checked in specs:
        cell = checked.cell
        same = [spec.model, spec.sampler, spec.options, spec.steps, spec.diagnostics, spec.divergence_limit]
        # one builder on several real datasets: what of it they share, the sampler finds
        meaning = checked.fingerprint if spec.simulation else ""
        name = canonical_json([*same, spec.simulation, meaning, cell.resources, cell.timeout])
        groups.setdefault(name, []).append((spec, checked))
    batches = []
    for name in sorted(groups):  # fits of one model stay adjacent, so that compiled functions are used again
        (_, checked), *_ = group = groups[name]
        size = batch_size(checked, len(group), workers, seconds.get(checked.cell.label.split(" ", 1)[0]))
        left = [
            dataclasses.replace(spec, options=dataclasses.replace(spec.options, batch_size=size))
            for spec, _ in group
            if not finished[spec.key]
        ]
        batches += [
            Batch(tuple(left[i : i + size]), checked.cell.resources, checked.cell.timeout)
            for i in range(0, len(left), size)
        ]
    return batches


def expand(
    cells: Sequence[CheckedCell],
    study_seed: int,
    done: Callable[[str], Outcome | None],
    *,
    drawn: Callable[[str], Outcome | None] = lambda key: None,  # noqa: ARG005
    workers: int = 1,
    seconds: Mapping[str, float] | None = None,
) -> Plan:
    """Expand cells and replicates to fits, and put those that are left into batches.

    Parameters
    ----------
    cells
        Checked cells.
    study_seed
        The study's seed.
    done
        Finds the outcome of a fit that is done and whole, by key.
    drawn
        Finds the outcome of a fit whose draws are stored, whatever it lacks.
    workers
        Worker calls that run at the same time.
    seconds
        What a fit took before, by model/data/sampler, where it is known.

    Returns
    -------
    Plan
        A fit that two cells describe alike appears once, under the first one's label.

    Raises
    ------
    ConfigError
        If there is no cell.
    """
    if not cells:
        raise ConfigError("there is nothing to run: the sweep has no cell")
    specs = specs_of(cells, study_seed)
    finished: Mapping[str, bool] = {key: is_complete(done(key), spec) for key, (spec, _) in specs.items()}
    return Plan(
        tuple(_batches(specs.values(), finished, workers, seconds or {})),
        tuple(spec for spec, _ in specs.values()),
        frozenset(k for k, v in finished.items() if v),
        _kept(specs, finished, drawn),
    )


def _kept(
    specs: Mapping[str, tuple[FitSpec, CheckedCell]],
    finished: Mapping[str, bool],
    drawn: Callable[[str], Outcome | None],
) -> dict[str, Steps]:
    """Find the fits that are left and have their draws, and the steps that are done on these."""
    left = {key: spec for key, (spec, _) in specs.items() if not finished[key]}
    return {key: missing_steps(stored, spec) for key, spec in left.items() if (stored := drawn(key)) is not None}
