"""What is to be done: the recipe of a fit, the batches that workers are given, and the plan of a study."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bayesrun.types.kept import Kept
from bayesrun.types.options import DiagnosticsOptions, Resources, SamplerOptions, Steps
from bayesrun.types.simulations import Simulation
from bayesrun.types.targets import Target

__all__ = ["Batch", "FitSpec", "Plan", "Try"]


@dataclass(frozen=True)
class FitSpec:
    """The recipe of one fit. `key` is the content hash of everything that changes its draws.

    `fingerprint` is what the model meant when the plan was made; a worker that finds another meaning refuses.
    For simulated data, `simulation` says what they are drawn from and `data_seed` which they are. `quantity_sources`
    and `step_sources` are those of `CheckedCell`; they change no draw. `diagnostics` are what a summary has that is
    made now, and `asked` is what of it this command asks for, without what earlier ones did; None: all of it. The model
    uses the arrays `used`, and columns of the table that are not stored are in `left_out`. What comes of it is stored
    as far as `kept` says.
    """

    key: str
    cell: str
    replicate: int
    fit_seed: int
    data_hash: str
    observed_hash: str
    model: Target
    sampler: Target
    options: SamplerOptions
    steps: Steps
    diagnostics: DiagnosticsOptions
    divergence_limit: int | None = 0
    fingerprint: str = ""
    simulation: Simulation | None = None
    data_seed: int = 0
    quantity_sources: Mapping[str, str] = field(default_factory=dict)
    step_sources: Mapping[str, str] = field(default_factory=dict)
    asked: DiagnosticsOptions | None = None
    used: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    kept: Kept = Kept()

    @property
    def required(self) -> DiagnosticsOptions:
        """What a summary has to have, so that the fit is complete."""
        return self.asked or self.diagnostics


@dataclass(frozen=True)
class Try:
    """One time that a fit was started and did not come to its end.

    Parameters
    ----------
    reason
        ``error``, ``timeout``, ``oom``, ``lost`` or ``disk``.
    together
        Fits that were under way in the same call, itself included.
    seconds
        Wall-clock seconds until that call broke; None where its worker broke before a word of it arrived.
    """

    reason: Literal["error", "timeout", "oom", "lost", "disk"]
    together: int
    seconds: float | None


@dataclass(frozen=True)
class Batch:
    """Fits that share a model graph and a sampler, run together in one worker call.

    `tried` has, by key, the times that fits were started before in calls that broke.
    """

    specs: tuple[FitSpec, ...]
    resources: Resources
    timeout: float | None = None
    tried: Mapping[str, tuple[Try, ...]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name for progress lines."""
        return self.specs[0].cell

    def halves(self, left: Collection[str]) -> tuple[Batch, ...]:
        """Cut the fits whose keys are left into two batches; one that is left alone stays one."""
        specs = [spec for spec in self.specs if spec.key in left]
        middle = len(specs) // 2
        parts = (specs[:middle], specs[middle:])
        return tuple(dataclasses.replace(self, specs=tuple(part)) for part in parts if part)


@dataclass(frozen=True)
class Plan:
    """The frozen list of batches, and the keys that were found done.

    Parameters
    ----------
    batches
        What is left to do.
    specs
        Every fit of the study, in the order of the cells.
    done
        Keys of fits that need nothing more.
    kept
        Of fits that are left, whose draws are stored: key to the steps that are done on these.
    """

    batches: tuple[Batch, ...]
    specs: tuple[FitSpec, ...]
    done: frozenset[str]
    kept: Mapping[str, Steps] = field(default_factory=dict)

    def __contains__(self, key: object) -> bool:
        """Whether there is a fit of that key."""
        return any(spec.key == key for spec in self.specs)
