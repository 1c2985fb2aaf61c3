"""Truth and datasets for a replicate, from the generating model itself; it fits nothing and stores nothing."""

from __future__ import annotations

from bayesrun.simulate.joint import check_joint, check_observed, joined
from bayesrun.simulate.simulator import Simulated, Simulator, refusal, simulator
from bayesrun.simulate.truth import PRIOR, Truth, identity, parse_truth

__all__ = [
    "PRIOR",
    "Simulated",
    "Simulator",
    "Truth",
    "check_joint",
    "check_observed",
    "identity",
    "joined",
    "parse_truth",
    "refusal",
    "simulator",
]
