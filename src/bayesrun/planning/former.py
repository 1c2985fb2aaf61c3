"""The format before this one: what its fits were called, and which seeds they were drawn with. Pure.

It stays as it is, whatever keys and seeds are made of now. What a cell of that format says is enough to make the key of
each of its fits again, so that a folder whose name is that key holds what the cell states.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from bayesrun.base.seeds import named_seed
from bayesrun.types import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesrun.types import CheckedCell

__all__ = ["FORMER", "former_key", "former_seed", "is_former"]

FORMER: Final = 1
"""The schema of that format."""

NEUTRAL: Final[Mapping[str, Any]] = {
    "escalate": (),
    "extra": {},
    "engine": "lanes",
    "precision": "float64",
    "restart": True,
}


def is_former(checked: CheckedCell) -> bool:
    """Whether a cell was written down in that format, which did not say what a model is conditioned on."""
    return not checked.conditioned


def _changing(checked: CheckedCell) -> dict[str, Any]:
    given = dataclasses.asdict(checked.cell.options)
    return {k: given[k] for k in checked.sampler_options if not (k in NEUTRAL and given[k] == NEUTRAL[k])}


def _data(checked: CheckedCell) -> str:
    simulation = checked.simulation
    if simulation is None:
        return checked.data_hash
    generator = [simulation.generator.path, simulation.generator.params, simulation.fingerprint]
    design = simulation.design and [simulation.design.path, simulation.design.params]
    return digest([checked.data_hash, generator, simulation.identity, simulation.base_hash, design])


def former_key(checked: CheckedCell, study_seed: int, replicate: int) -> str:
    """Key of one fit of a cell of that format."""
    cell = checked.cell
    return digest(
        {
            "schema": FORMER,
            "model": [cell.model.path, cell.model.params, checked.fingerprint],
            "data": _data(checked),
            "sampler": [cell.sampler.path, checked.sampler_version, _changing(checked)],
            "divergence_limit": cell.gate.n_divergent if cell.options.escalate else None,
            "seed": study_seed,
            "replicate": replicate,
        }
    )


def former_seed(checked: CheckedCell, study_seed: int, replicate: int) -> int:
    """Seed that a fit of a cell of that format was drawn with."""
    model, sampler = checked.cell.model, checked.cell.sampler
    recipe = (model.path, model.params, sampler.path, sampler.params, _changing(checked), _data(checked))
    return named_seed(study_seed, "fit", *recipe, replicate)
