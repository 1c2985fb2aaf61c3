"""What a plan will take: disk from the shapes of the models, time from fits that were done before."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from bayesrun.machine import cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    import pymc as pm

    from bayesrun.store import Store
    from bayesrun.types import Cell, DispatchOptions, Plan

__all__ = ["Estimate", "estimate", "known_seconds", "posterior_bytes", "workers"]

SAMPLE = 200
"""Fits of a study whose times are looked at: thousands would tell no more."""
REMOTE_WORKERS = 32
START_SECONDS = 12.0
"""Start of a local Ray cluster with cold workers, measured on two cores."""


@dataclass(frozen=True)
class Estimate:
    """What is left to do will take this.

    Parameters
    ----------
    bytes
        Disk, without compression.
    seconds
        Wall-clock time; None where no fit of these models and samplers was ever done here.
    unknown
        Labels of cells for which there is no earlier fit to go by.
    """

    bytes: int
    seconds: float | None
    unknown: tuple[str, ...] = ()


def estimate(
    plan: Plan, cells: Mapping[str, Cell], models: Mapping[str, pm.Model], store: Store, dispatch: DispatchOptions
) -> Estimate:
    """Estimate disk and time of what a plan leaves to do.

    Parameters
    ----------
    plan
        Its batches are what is left.
    cells, models
        By cell label.
    store
        The folders beside it hold the earlier studies whose times are used.
    dispatch
        How many cores share the work.
    """
    left = [spec for batch in plan.batches for spec in batch.specs]
    sizes = {label: posterior_bytes(models[label], cells[label]) for label in {spec.cell for spec in left}}
    size = sum(sizes[spec.cell] for spec in left)
    known = known_seconds(store) if left else {}
    names = {spec.cell: _kind(spec.cell) for spec in left}
    unknown = tuple(dict.fromkeys(cell for cell, name in names.items() if name not in known))
    if unknown or not left:
        return Estimate(size, None if unknown else 0.0, unknown)
    work = sum(known[names[spec.cell]] * max(1.0, cells[spec.cell].resources.num_cpus) for spec in left)
    longest = max(known[name] for name in names.values())
    start = START_SECONDS if dispatch.kind == "ray" else 0.0
    return Estimate(size, start + max(work / workers(dispatch), longest))


def workers(dispatch: DispatchOptions) -> int:
    """Say how many worker calls run at the same time; of a cluster that is not joined yet, a guess."""
    if dispatch.kind == "serial":
        return 1
    return dispatch.num_cpus or (cores() if dispatch.address is None else REMOTE_WORKERS)


def _kind(label: str) -> str:
    """Fits of the same model, data and sampler take a similar time, whatever their parameters."""
    return label.split(" ", 1)[0]


def known_seconds(store: Store) -> dict[str, float]:
    """Median seconds of the finished fits of every study beside this one, by model, data and sampler."""
    times: dict[str, list[float]] = {}
    found = (
        path for study in store.root.parent.glob("*/fits") for path in islice(study.glob("*/outcome.json"), SAMPLE)
    )
    for path in found:
        try:
            fields = json.loads(path.read_text())
        except (OSError, json.JSONDecodeError):
            continue
        if fields.get("status") == "done":
            times.setdefault(_kind(str(fields["cell"])), []).append(sum(fields["seconds"].values()))
    return {kind: statistics.median(found) for kind, found in times.items()}


def _shape(model: pm.Model, variable: Any) -> list[int]:
    """Shape from the type, or from the coords of the variable's dims; an axis of unknown length counts as one."""
    dims = model.named_vars_to_dims.get(variable.name) or [None] * variable.ndim
    lengths = [len(model.coords.get(dim) or ()) for dim in dims]
    return [size or length or 1 for size, length in zip(variable.type.shape, lengths, strict=True)]


def posterior_bytes(model: pm.Model, cell: Cell) -> int:
    """Size of a fit's posterior.nc, from the static shapes of the model: 8 bytes a number, no compression."""

    def numbers(variables: Iterable[Any]) -> int:
        return sum(math.prod(_shape(model, variable)) for variable in variables)

    observed = numbers(model.observed_RVs)
    per_draw = numbers([*model.free_RVs, *model.deterministics])
    per_draw += observed * (cell.steps.log_likelihood + cell.steps.posterior_predictive)
    prior = (numbers(model.basic_RVs) + numbers(model.deterministics)) * cell.steps.prior_draws
    return 8 * (per_draw * cell.options.draws * cell.options.chains + prior * cell.steps.prior_predictive)
