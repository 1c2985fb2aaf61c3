"""The values that pass between stages: their annotations can be read, and they cross a process border as they are."""

from __future__ import annotations

import dataclasses
import pickle
from typing import get_type_hints

import pytest

from bayesrun import types
from bayesrun.types import (
    Batch,
    Cell,
    CheckedCell,
    DiagnosticsOptions,
    FitSpec,
    Outcome,
    Plan,
    Resources,
    SamplerOptions,
    Settings,
    Simulation,
    Steps,
    Target,
    Try,
    Verdict,
    canonical_json,
)

ARRAYS = ("Dataset", "Origin")
"""Their annotations name numpy, which is not imported for them."""
KINDS = [
    kind for name in types.__all__ if name not in ARRAYS and dataclasses.is_dataclass(kind := getattr(types, name))
]
MODEL = Target("line", "users.line", {"slope_sigma": 2.5})
SIMULATION = Simulation(generator=MODEL, fingerprint="f", identity={"kind": "fixed", "values": {"slope": 1.0}})
CELL = Cell("line", model=MODEL, data=MODEL, sampler=MODEL, options=SamplerOptions(escalate=(0.99,)))
SPEC = FitSpec(
    key="k",
    cell="line",
    replicate=3,
    fit_seed=1,
    data_hash="d",
    observed_hash="o",
    model=MODEL,
    sampler=MODEL,
    options=CELL.options,
    steps=Steps(),
    diagnostics=DiagnosticsOptions(levels=(0.5,)),
    simulation=SIMULATION,
)
BATCH = Batch((SPEC,), Resources(memory_gb=2.0), tried={"k": (Try("lost", 2, None),)})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_annotations_can_be_read_at_run_time(kind: type) -> None:
    assert list(get_type_hints(kind)) == [field.name for field in dataclasses.fields(kind)]


@pytest.mark.parametrize(
    "value",
    [
        CheckedCell(CELL, "d", "f", sampler_version=1, kind="mcmc", simulation=SIMULATION),
        Plan((BATCH,), (SPEC,), frozenset({"done"})),
        Outcome("k", "line", 3, "failed", reason="lost", seconds={"failed": 1.5}),
        Settings(generator=MODEL),
        Verdict(False, ("rhat_max 1.04 > 1.01",)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_cross_a_process_border_as_they_are(value: object) -> None:
    found = pickle.loads(pickle.dumps(value))
    assert found == value
    assert canonical_json(found) == canonical_json(value)
