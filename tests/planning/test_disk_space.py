"""Bytes of a fit's folder, told from the model, against folders that were written."""

import dataclasses

import numpy as np
import pymc as pm
import pytensor
import pytest

from bayesrun.planning.disk_space import BLOCK, Numbers, fit_bytes, numbers_of, study_bytes
from bayesrun.store.folder import Store
from bayesrun.types import Cell, CheckedCell, Dataset, Kept, SamplerOptions, Simulation, Steps, Target
from bayesrun.work.worker import execute
from tiny_models import DATA, NO_STEPS, batch, build, spec

FACTOR = 1.3
NOBODY = Target("none", "none.none")
ROWS = Dataset(
    {"y": np.arange(60.0), "group": np.repeat(np.arange(12), 5)},
    coords={"obs": tuple(map(str, range(60))), "county": tuple(f"county number {i}" for i in range(12))},
    dims={"y": ("obs",), "group": ("obs",)},
)
MORE_ROWS = Dataset(
    {"y": np.arange(400.0), "group": np.repeat(np.arange(20), 20)},
    coords={"obs": tuple(map(str, range(400)))},
    dims={"y": ("obs",), "group": ("obs",)},
)


def many(data: Dataset) -> pm.Model:
    """Data whose length the graph does not state, counts, a matrix, and a level for each county."""
    with pm.Model(coords={name: data.coords[name] for name in ("obs", "county")}) as model:
        group = pm.Data("group", data["group"])
        level = pm.Normal("level", 0.0, 1.0, dims="county")
        turns = pm.Poisson("turns", 3.0, shape=4)
        table = pm.Normal("table", 0.0, 1.0, shape=(3, 2))
        mean = pm.Deterministic("mean", level[group] + turns.sum() + table.sum())
        pm.Normal("y", mean, 1.0, observed=data["y"], dims="obs")
    return model


def cell(
    steps: Steps = NO_STEPS, *, kind: str = "nuts", simulation: Simulation | None = None, **options
) -> CheckedCell:
    given = SamplerOptions(**{"draws": 50, "chains": 2} | options)
    return CheckedCell(
        Cell("tiny", NOBODY, NOBODY, NOBODY, given, steps=steps), "d", "f", 1, kind, simulation=simulation
    )


def test_numbers_of_a_model():
    assert numbers_of(build(DATA)) == Numbers(1, 1, 5, 0, 1, 5, 3)


def test_shapes_that_the_graph_does_not_state_are_worked_out():
    found = numbers_of(many(ROWS))
    assert (found.free, found.derived, found.observed, found.constant) == (12 + 4 + 6, 60, 60, 60)


@pytest.fixture
def store(tmp_path) -> Store:
    found = Store(tmp_path / "study")
    found.prepare()
    for data in (DATA, ROWS, MORE_ROWS):
        found.write_data(data)
    return found


EVERY = Steps(figures=False, prior_draws=300)


@pytest.mark.parametrize(
    ("builder", "data", "steps", "draws"),
    [
        (build, DATA, NO_STEPS, 50),
        (many, ROWS, NO_STEPS, 4000),
        (build, DATA, EVERY, 500),
        (build, DATA, Steps(prior_draws=100), 100),
        (many, ROWS, dataclasses.replace(NO_STEPS, log_likelihood=True), 400),
        (many, ROWS, EVERY, 400),
        (many, ROWS, Steps(prior_draws=100), 100),
    ],
)
def test_a_folder_has_the_bytes_that_were_told(store, builder, data, steps, draws):
    wanted = spec(
        model=Target("mine", f"{builder.__module__}.{builder.__name__}"),
        data_hash=data.digest(),
        steps=steps,
        options=SamplerOptions(draws=draws, chains=2),
    )
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        (outcome,) = execute(batch(wanted), store)
    assert outcome.status == "done", outcome.message
    written = sum(path.stat().st_size for path in store.fit_folder("k0").rglob("*") if path.is_file())
    told = fit_bytes(numbers_of(builder(data)), cell(steps, draws=draws))
    assert written / FACTOR <= told <= written * FACTOR


def one_term(data: Dataset) -> pm.Model:
    """Two numbers and a Deterministic of each row."""
    with pm.Model(coords={"obs": data.coords["obs"]}) as model:
        level, scale = pm.Normal("level"), pm.HalfNormal("scale")
        mean = pm.Deterministic("mean", level + data["group"], dims="obs")
        pm.Normal("y", mean, scale, observed=data["y"], dims="obs")
    return model


@pytest.mark.parametrize("kept", [Kept(), Kept(("lean",)), Kept(("log_likelihood",), single=True)])
@pytest.mark.parametrize(("builder", "data"), [(many, ROWS), (one_term, ROWS), (one_term, MORE_ROWS)])
def test_what_a_fit_of_many_draws_keeps_is_told_within_15_percent(store, builder, data, kept):
    steps = Steps(figures=False, posterior_predictive=False, prior_draws=50)
    wanted = spec(
        model=Target("mine", f"{builder.__module__}.{builder.__name__}"),
        data_hash=data.digest(),
        steps=steps,
        options=SamplerOptions(draws=2000, chains=2),
        kept=kept,
    )
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        (outcome,) = execute(batch(wanted), store)
    assert outcome.status == "done", outcome.message
    written = sum(path.stat().st_size for path in store.fit_folder("k0").rglob("*") if path.is_file())
    told = fit_bytes(numbers_of(builder(data)), dataclasses.replace(cell(steps, draws=2000), kept=kept))
    assert told == pytest.approx(written, rel=0.15, abs=2 * BLOCK)


def test_every_step_and_length_adds_to_the_size():
    numbers = numbers_of(many(ROWS))
    base = fit_bytes(numbers, cell(draws=1000))
    for name in ("log_likelihood", "posterior_predictive", "prior_predictive", "figures"):
        assert fit_bytes(numbers, cell(dataclasses.replace(NO_STEPS, **{name: True}), draws=1000)) > base
    twice = fit_bytes(numbers, cell(draws=2000))
    assert 1.8 * base < twice < 2.0 * base
    # tune keeps nothing, iterations keep one number each for variational samplers alone
    assert fit_bytes(numbers, cell(draws=1000, tune=9000)) == base
    assert fit_bytes(numbers, cell(draws=1000, iterations=10**6)) == base
    long = fit_bytes(numbers, cell(draws=1000, iterations=10**6, kind="variational"))
    assert long - fit_bytes(numbers, cell(draws=1000, iterations=1, kind="variational")) == pytest.approx(
        16e6, abs=BLOCK
    )


def test_a_study_of_simulated_data_has_tables_of_every_replicate():
    numbers = {"tiny": numbers_of(build(DATA))}
    simulated = cell(simulation=Simulation(NOBODY, "f"))
    sizes = [
        study_bytes(numbers, {"tiny": dataclasses.replace(simulated, replicates=replicates)})
        for replicates in (1, 1000, 2000)
    ]
    assert sizes[2] - sizes[1] == pytest.approx(sizes[1] - sizes[0], rel=0.01)
    assert study_bytes(numbers, {"tiny": cell()}) < sizes[0]
