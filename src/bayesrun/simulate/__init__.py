"""Truth and datasets for a replicate, from the generating model itself; it fits nothing and stores nothing."""

from __future__ import annotations

from bayesrun.simulate.joint import check_joint, joined
from bayesrun.simulate.original import check_observed, densities_agree
from bayesrun.simulate.pairs import Shared, confused, kind, misfits, shared
from bayesrun.simulate.simulator import Simulated, Simulator, refusal, simulator
from bayesrun.simulate.spread import Spread
from bayesrun.simulate.truth import PRIOR, Truth, identity, parse_truth

__all__ = [
    "PRIOR",
    "Shared",
    "Simulated",
    "Simulator",
    "Spread",
    "Truth",
    "check_joint",
    "check_observed",
    "confused",
    "densities_agree",
    "identity",
    "joined",
    "kind",
    "misfits",
    "parse_truth",
    "refusal",
    "shared",
    "simulator",
]
