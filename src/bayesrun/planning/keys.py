"""What a fit is called: its key, the recipe that goes with it, and whether what is stored under it is complete.

Pure. A key is the hash of what changes the draws of a fit; resources, batch, worker, time, workflow steps and gates are
not in it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from bayesrun.base.seeds import data_seed, fit_seed
from bayesrun.types import SCHEMA_VERSION, CheckedCell, FitSpec, Outcome, digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["data_digest", "fit_key", "fit_spec", "is_complete", "specs_of"]

NEUTRAL: Mapping[str, Any] = {"escalate": (), "extra": {}, "engine": "lanes", "precision": "float64"}
"""Values under which an option does nothing. An option that comes later is listed here, so that it changes no key."""


def _changing(checked: CheckedCell) -> dict[str, Any]:
    """Options that change the draws of this sampler."""
    given = dataclasses.asdict(checked.cell.options)
    return {k: given[k] for k in checked.sampler_options if not (k in NEUTRAL and given[k] == NEUTRAL[k])}


def data_digest(checked: CheckedCell) -> str:
    """Digest of the dataset, or of the recipe of a simulated one."""
    simulation = checked.simulation
    if simulation is None:
        return checked.data_hash
    generator = [simulation.generator.path, simulation.generator.params, simulation.fingerprint]
    design = simulation.design and [simulation.design.path, simulation.design.params]
    return digest([checked.data_hash, generator, simulation.identity, simulation.base_hash, design])


def fit_key(checked: CheckedCell, study_seed: int, replicate: int) -> str:
    """Content hash of one fit: 16 hexadecimal digits."""
    cell = checked.cell
    return digest(
        {
            "schema": SCHEMA_VERSION,
            "model": [cell.model.path, cell.model.params, checked.fingerprint],
            "data": data_digest(checked),
            "sampler": [cell.sampler.path, checked.sampler_version, _changing(checked)],
            "divergence_limit": cell.gate.n_divergent if cell.options.escalate else None,
            "seed": study_seed,
            "replicate": replicate,
        }
    )


def fit_spec(checked: CheckedCell, study_seed: int, replicate: int) -> FitSpec:
    """Write the recipe of one fit."""
    cell = checked.cell
    return FitSpec(
        key=fit_key(checked, study_seed, replicate),
        cell=cell.label,
        replicate=replicate,
        fit_seed=fit_seed(study_seed, cell.model, cell.sampler, _changing(checked), data_digest(checked), replicate),
        data_hash=checked.data_hash,
        observed_hash=digest(checked.observed),
        model=cell.model,
        sampler=cell.sampler,
        options=cell.options,
        steps=cell.steps,
        diagnostics=cell.diagnostics,
        divergence_limit=cell.gate.n_divergent,
        fingerprint=checked.fingerprint,
        simulation=checked.simulation,
        data_seed=data_seed(study_seed, checked.simulation.generator, replicate) if checked.simulation else 0,
        quantity_sources=checked.quantity_sources,
    )


def is_complete(outcome: Outcome | None, spec: FitSpec) -> bool:
    """Whether a stored fit needs nothing more: every step that is wanted, and the summaries, by the same sources."""
    if outcome is None or outcome.diagnostics_options != spec.diagnostics:
        return False
    if dict(outcome.quantity_sources) != dict(spec.quantity_sources):
        return False
    had, wanted = outcome.steps, spec.steps
    switches = ("prior_predictive", "posterior_predictive", "log_likelihood", "figures")
    if any(getattr(wanted, name) and not getattr(had, name) for name in switches):
        return False
    return not wanted.prior_predictive or had.prior_draws == wanted.prior_draws


def specs_of(cells: Sequence[CheckedCell], study_seed: int) -> dict[str, tuple[FitSpec, CheckedCell]]:
    """Expand cells and replicates to recipes, by key; a fit that two cells describe alike is the first one's."""
    found: dict[str, tuple[FitSpec, CheckedCell]] = {}
    for checked in cells:
        for replicate in range(checked.replicates):
            spec = fit_spec(checked, study_seed, replicate)
            found.setdefault(spec.key, (spec, checked))
    return found
