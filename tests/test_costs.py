"""What a plan will take: disk from the shapes of the models, time from fits that were done before."""

import dataclasses
import json

import pytest

from bayesrun.costs import START_SECONDS, estimate, posterior_bytes
from bayesrun.store import Store
from bayesrun.types import Cell, DispatchOptions, Plan, Resources, SamplerOptions, Steps, Target
from tiny_models import DATA, NO_STEPS, batch, build, spec

LABEL = "tiny/data/fake scale=2"
NOBODY = Target("none", "none.none")
CELL = Cell(LABEL, NOBODY, NOBODY, NOBODY, SamplerOptions(draws=100, chains=2), steps=NO_STEPS)
MODEL = build(DATA)


def plan(*keys: str, done: frozenset[str] = frozenset()) -> Plan:
    specs = tuple(spec(key, cell=LABEL) for key in keys)
    return Plan(tuple(batch(s) for s in specs if s.key not in done), specs, done)


def costs(store: Store, wanted: Plan, cell: Cell = CELL, **options):
    return estimate(wanted, {LABEL: cell}, {LABEL: MODEL}, store, DispatchOptions(**options))


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "studies" / "new")


def earlier(store: Store, key: str, **fields) -> None:
    folder = store.root.parent / "old" / "fits" / key
    folder.mkdir(parents=True)
    (folder / "outcome.json").write_text(
        json.dumps({"status": "done", "cell": LABEL, "seconds": {"sample": 8.0}} | fields)
    )


@pytest.mark.parametrize(
    ("steps", "numbers"),
    [
        (NO_STEPS, 200 * 2),
        (dataclasses.replace(NO_STEPS, log_likelihood=True), 200 * (2 + 5)),
        (dataclasses.replace(NO_STEPS, log_likelihood=True, posterior_predictive=True), 200 * (2 + 10)),
        (dataclasses.replace(NO_STEPS, prior_predictive=True, prior_draws=10), 200 * 2 + 10 * (1 + 5 + 1)),
    ],
)
def test_disk_follows_the_shapes(steps: Steps, numbers: int):
    assert posterior_bytes(MODEL, dataclasses.replace(CELL, steps=steps)) == 8 * numbers


def test_time_is_unknown_before_the_first_fit(store):
    found = costs(store, plan("a", "b"))
    assert (found.bytes, found.seconds, found.unknown) == (2 * 8 * 400, None, (LABEL,))


def test_time_follows_earlier_fits_of_the_same_model_data_and_sampler(store):
    for key, seconds in (("x", 6.0), ("y", 8.0), ("z", 100.0)):
        earlier(store, key, cell="tiny/data/fake scale=9", seconds={"sample": seconds - 1.0, "figures": 1.0})
    earlier(store, "failed", status="failed", seconds={})
    (store.root.parent / "old" / "fits" / "x" / "torn").mkdir()
    assert costs(store, plan("a", "b", "c", "d"), kind="serial").seconds == 4 * 8.0
    assert costs(store, plan("a", "b", "c", "d"), num_cpus=2).seconds == START_SECONDS + 2 * 8.0
    assert costs(store, plan("a"), num_cpus=2).seconds == START_SECONDS + 8.0
    wide = dataclasses.replace(CELL, resources=Resources(num_cpus=2.0))
    assert costs(store, plan("a", "b"), wide, num_cpus=2).seconds == START_SECONDS + 2 * 8.0


def test_what_is_done_costs_nothing(store):
    found = costs(store, plan("a", done=frozenset("a")))
    assert (found.bytes, found.seconds, found.unknown) == (0, 0.0, ())


def test_a_torn_outcome_is_passed_over(store):
    earlier(store, "x")
    (store.root.parent / "old" / "fits" / "x" / "outcome.json").write_text("{")
    assert costs(store, plan("a")).seconds is None
