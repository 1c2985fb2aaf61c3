"""What a fit is called: its key, and the recipe that goes with it.

Pure. A key is the hash of what changes the draws of a fit; resources, batch, worker, time, workflow steps and gates are
not in it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from bayesrun.base.seeds import data_seed, fit_seed
from bayesrun.types import SCHEMA_VERSION, CheckedCell, FitSpec, digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["data_digest", "fit_key", "fit_spec", "of_data", "source_alone", "specs_of"]

NEUTRAL: Mapping[str, Any] = {"escalate": (), "extra": {}, "engine": "lanes", "precision": "float64", "restart": True}
"""Values under which an option does nothing. An option that comes later is listed here, so that it changes no key."""


def _changing(checked: CheckedCell) -> dict[str, Any]:
    """Options that change the draws of this sampler."""
    given = dataclasses.asdict(checked.cell.options)
    given["extra"] = {k: v for k, v in given["extra"].items() if k not in checked.same_draws}
    return {k: given[k] for k in checked.sampler_options if not (k in NEUTRAL and given[k] == NEUTRAL[k])}


def data_digest(checked: CheckedCell) -> str:
    """Digest of the dataset, or of the recipe of a simulated one: cells of one digest see the same data."""
    simulation = checked.simulation
    if simulation is None:
        return checked.data_hash
    design = simulation.design and [simulation.design.path, simulation.design.params, simulation.design_source]
    return digest([simulation.fingerprint, simulation.identity, design])


def fit_key(checked: CheckedCell, study_seed: int, replicate: int) -> str:
    """Content hash of one fit: 16 hexadecimal digits.

    A model is what its graph shows, and what it is conditioned on are the values that it observes. No name of a file,
    column or Python variable, no parameter and no source text counts unless it reaches these; see `fingerprint`.
    """
    cell, simulation = checked.cell, checked.simulation
    simulated = None if simulation is None else data_digest(checked)
    conditioned = checked.conditioned if simulation is None or simulation.joint else ""
    return digest(
        {
            "schema": SCHEMA_VERSION,
            "model": checked.fingerprint,
            "observed": conditioned,
            "simulated": simulated,
            "sampler": [cell.sampler.path, checked.sampler_version, _changing(checked)],
            "divergence_limit": cell.gate.n_divergent if cell.options.escalate else None,
            "seed": study_seed,
            "replicate": replicate,
        }
    )


def fit_spec(checked: CheckedCell, study_seed: int, replicate: int) -> FitSpec:
    """Write the recipe of one fit."""
    cell = checked.cell
    key = fit_key(checked, study_seed, replicate)
    return FitSpec(
        key=key,
        cell=cell.label,
        replicate=replicate,
        fit_seed=fit_seed(study_seed, key),
        data_hash=checked.data_hash,
        observed_hash=digest(checked.observed),
        model=cell.model,
        sampler=cell.sampler,
        options=cell.options,
        steps=cell.steps if checked.asked is None else checked.asked.steps,
        diagnostics=cell.diagnostics,
        divergence_limit=cell.gate.n_divergent,
        fingerprint=checked.fingerprint,
        simulation=checked.simulation,
        data_seed=data_seed(study_seed, replicate) if checked.simulation else 0,
        quantity_sources=of_data(checked.quantity_sources, checked.data_hash),
        step_sources=checked.step_sources,
        asked=None if checked.asked is None else checked.asked.diagnostics,
        used=checked.used,
        left_out=checked.left_out,
        kept=checked.kept,
    )


def of_data(sources: Mapping[str, str], data_hash: str) -> dict[str, str]:
    """Add to sources the data that their functions read, which have columns of no model too.

    Parameters
    ----------
    sources
        Name to digest of a source, with or without such data.
    data_hash
        Digest of the dataset.
    """
    return {name: f"{source_alone(source)}-{data_hash}" for name, source in sources.items()}


def source_alone(source: str) -> str:
    """Leave out the data that `of_data` adds."""
    return source.partition("-")[0]


def specs_of(cells: Sequence[CheckedCell], study_seed: int) -> dict[str, tuple[FitSpec, CheckedCell]]:
    """Expand cells and replicates to recipes, by key; a fit that two cells describe alike is the first one's."""
    found: dict[str, tuple[FitSpec, CheckedCell]] = {}
    for checked in cells:
        for replicate in range(checked.replicates):
            spec = fit_spec(checked, study_seed, replicate)
            found.setdefault(spec.key, (spec, checked))
    return found
