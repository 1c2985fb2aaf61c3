"""Degenerate data are found in the data: cells that see the same datasets count the same, whatever became of fits."""

import dataclasses

import numpy as np
import pytest

from bayesrun.store.folder import Store
from bayesrun.types import Dataset, Outcome, Simulation, Target
from bayesrun.work.datasets import Sources
from bayesrun.work.worker import execute
from tiny_models import batch, spec, stored

pytestmark = pytest.mark.usefixtures("interpreted")

COUNTS = Dataset({"y": np.array([0, 2, 1, 0])}, coords={"obs": tuple("abcd")}, dims={"y": ("obs",)})
RARE = Target("rare", "tiny_models.rare")
CONSTANT = {1, 3, 4, 6, 8}
"""Replicates whose four counts are all equal, by the seeds of this file."""


@pytest.fixture
def store(tmp_path) -> Store:
    return stored(tmp_path, COUNTS)


def recipe(key: str, replicate: int, **extra: object):
    simulation = Simulation(RARE, "", base_hash=COUNTS.digest())
    name = f"{key}{replicate}"
    fields = {"data_hash": COUNTS.digest(), "model": RARE, "simulation": simulation, "data_seed": replicate}
    return spec(name, replicate=replicate, extra=extra, **fields)


def test_a_failed_fit_says_what_is_wrong_with_its_data_as_a_done_one_does(store):
    done = list(execute(batch(*(recipe("done", r) for r in range(12))), store))
    raised = list(execute(batch(*(recipe("raised", r, **{"raise": "no"}) for r in range(12))), store))
    full = list(execute(batch(*(recipe("full", r, memory=True) for r in range(12))), store))
    assert {o.status for o in done} == {"done"}
    assert {o.reason for o in (*raised, *full)} == {"error", "oom"}
    for found in (done, raised, full):
        assert [o.degenerate for o in found] == [o.degenerate for o in done]
        assert [store.settled(o.key).degenerate for o in found] == [o.degenerate for o in done]
    assert {o.replicate for o in done if o.degenerate} == CONSTANT
    assert {o.degenerate for o in done} == {"", "all 4 values of y are 0"}
    drawn = [Sources(store).case(recipe("done", r)).dataset["y"] for r in range(12)]
    assert {r for r, y in enumerate(drawn) if (y == y[0]).all()} == CONSTANT


def test_a_fit_that_no_worker_brought_back_says_it_too(store):
    sources = Sources(store)
    for replicate in range(12):
        one = recipe("lost", replicate)
        lost = Outcome(one.key, one.cell, replicate, "failed", "lost", "its worker was lost")
        judged = sources.judged(lost, one)
        assert bool(judged.degenerate) == (replicate in CONSTANT)
        assert dataclasses.replace(judged, degenerate="") == lost


def test_outcomes_of_workers_and_of_real_data_are_left_as_they_are(store):
    one = recipe("own", 0)
    told = Outcome(one.key, one.cell, 0, "failed", "error", "no", where="node:1")
    real = Outcome("k", "c", 0, "failed", "lost", "lost")
    assert Sources(store).judged(told, one) is told
    assert Sources(store).judged(real, spec("k")) is real


def test_a_generator_that_raises_leaves_the_outcome_of_the_driver(store):
    broken = dataclasses.replace(recipe("none", 0), simulation=Simulation(Target("m", "tiny_models.nothing"), ""))
    lost = Outcome(broken.key, broken.cell, 0, "failed", "lost", "its worker was lost")
    assert Sources(store).judged(lost, broken) is lost
