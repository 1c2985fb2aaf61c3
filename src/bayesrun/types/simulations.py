"""Where simulated data come from: the generator, its true values, and the earlier fit that these are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bayesrun.types.targets import Target

__all__ = ["Original", "Simulation"]


@dataclass(frozen=True)
class Original:
    """The earlier fit whose posterior truth is drawn from.

    Parameters
    ----------
    path
        Its posterior.nc.
    key
        Its key, where it is a fit of bayesrun.
    sampler
        Name of its sampler; empty where that is not known.
    kind
        What the sampler is, by its statistics where nothing else tells.
    facts
        Its diagnostics (rhat_max, ess_bulk_min, khat, n_draws, ...).
    failures, remedies
        What its gate, or else the usual one, says of them; no failure is a pass.
    unknown
        What could not be compared with the generating model, in a sentence; empty where nothing is left open.
    """

    path: str
    key: str = ""
    sampler: str = ""
    kind: str = "mcmc"
    facts: Mapping[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    unknown: str = ""

    @property
    def effective(self) -> int:
        """How many independent draws its draws are worth: of independent ones all."""
        draws = self.facts.get("n_draws", 0.0)
        return round(draws if self.kind in ("smc", "variational") else self.facts.get("ess_bulk_min", draws))


@dataclass(frozen=True)
class Simulation:
    """Where simulated datasets come from: it is part of the key of every fit to one of them.

    Parameters
    ----------
    generator
        The model that the data are drawn from.
    fingerprint
        What that model meant when the plan was made.
    truth
        ``prior``, a mapping of fixed values by variable, or ``{"posterior": PATH}``.
    identity
        What the truth is, in plain values: kind (prior, fixed or posterior) and content, and ``joint`` where fits are
        to the observed and the simulated data together. The path of a posterior is not part of it.
    base_hash
        Digest of the dataset whose covariates are kept; the store holds it.
    design
        For covariates that are drawn anew for every replicate, the data target that draws them; None: kept.
    design_source
        Digest of the source of a user's function that draws them.
    original
        For truth from a posterior, what is known of that fit. It is not part of the key.
    """

    generator: Target
    fingerprint: str
    truth: Any = "prior"
    identity: Mapping[str, Any] = field(default_factory=lambda: {"kind": "prior"})
    base_hash: str = ""
    design: Target | None = None
    design_source: str = ""
    original: Original | None = None

    @property
    def joint(self) -> bool:
        """Whether fits are to the observed and the simulated data together."""
        return bool(self.identity.get("joint"))

    @property
    def ranked(self) -> bool:
        """Whether ranks of the truth say anything: it is drawn from what the fit conditions on beside the data."""
        return self.joint or self.identity["kind"] == "prior"
