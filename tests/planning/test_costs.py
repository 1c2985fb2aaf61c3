"""What a plan will take: time from fits that were done before, whatever their length."""

import dataclasses
import json

import pytest

from bayesrun.planning.costs import LANES, SIMULATED_FIT, SIMULATED_STUDY, START_SECONDS, estimate, known_seconds
from bayesrun.planning.disk_space import fit_bytes, numbers_of, study_bytes
from bayesrun.planning.effort import alike, steps_of
from bayesrun.store.folder import Store
from bayesrun.types import Cell, CheckedCell, DispatchOptions, Plan, Resources, SamplerOptions, Simulation, Target
from tiny_models import DATA, NO_STEPS, batch, build, spec

LABEL = "tiny/data/fake scale=2"
NOBODY = Target("none", "none.none")
OPTIONS = SamplerOptions(draws=100, tune=100, chains=2)
MODEL = build(DATA)


def checked(options: SamplerOptions = OPTIONS, *, kind: str = "nuts", **fields) -> CheckedCell:
    resources = fields.pop("resources", Resources())
    cell = Cell(LABEL, NOBODY, NOBODY, NOBODY, options, steps=NO_STEPS, resources=resources)
    return CheckedCell(cell, "d", "f", 1, kind, **fields)


def recipe(key: str = "a", options: SamplerOptions = OPTIONS, **fields):
    return spec(key, cell=LABEL, options=options, **fields)


def costs(store: Store, specs, cell: CheckedCell | None = None, *, together: int = 1, **options):
    cell = cell or checked(specs[0].options)
    calls = [specs[i : i + together] for i in range(0, len(specs), together)]
    plan = Plan(
        tuple(dataclasses.replace(batch(*c), resources=cell.cell.resources) for c in calls), tuple(specs), frozenset()
    )
    return estimate(plan, [cell], {LABEL: MODEL}, store, DispatchOptions(**{"kind": "serial"} | options))


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "studies" / "new")


def earlier(store: Store, key: str, done=None, *, kind: str = "nuts", seconds=None, **effort) -> None:
    """Leave the outcome of a fit that took 2 s to compile and 4 s to draw, unless said otherwise."""
    done = done or recipe()
    folder = store.root.parent / "old" / "fits" / key
    folder.mkdir(parents=True)
    consisted = {
        "alike": alike(done),
        "steps": steps_of(done.options, kind),
        "draws": done.options.draws * done.options.chains,
        "chains": done.options.chains,
        "together": 1,
        "compile": 2.0,
    }
    text = {"status": "done", "cell": LABEL, "seconds": seconds or {"sample": 6.0}, "effort": consisted | effort}
    (folder / "outcome.json").write_text(json.dumps(text))


def test_disk_is_that_of_the_fits_and_of_the_study(store):
    numbers, cell = numbers_of(MODEL), checked()
    found = costs(store, [recipe("a"), recipe("b")])
    assert found.bytes == 2 * fit_bytes(numbers, cell) + study_bytes({LABEL: numbers}, {LABEL: cell})


def test_time_is_unknown_before_the_first_fit(store):
    found = costs(store, [recipe("a"), recipe("b")])
    assert (found.seconds, found.unknown, found.loose) == (None, (LABEL,), ())


def test_the_same_fit_takes_what_it_took(store):
    earlier(store, "x")
    found = costs(store, [recipe()])
    assert (found.seconds, found.unknown, found.loose) == (6.0, (), ())


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"draws": 10_000, "tune": 10_000}, 2.0 + 100 * 4.0),
        ({"tune": 300}, 2.0 + 2 * 4.0),
        ({"chains": 6}, 2.0 + 3 * 4.0),
        ({"draws": 50, "tune": 0}, 2.0 + 0.25 * 4.0),
        ({"iterations": 10**6}, 6.0),
    ],
)
def test_steps_cost_what_they_cost_before_and_compilation_is_paid_once(store, options, seconds):
    earlier(store, "x")
    assert costs(store, [recipe(options=dataclasses.replace(OPTIONS, **options))]).seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("kind", "options", "seconds"),
    [
        ("variational", {"iterations": 60_000, "tune": 9000}, 2.0 + 2 * 4.0),
        ("smc", {"draws": 400, "tune": 9000, "iterations": 1}, 2.0 + 4 * 4.0),
        ("mcmc", {"draws": 300, "tune": 100, "iterations": 1}, 2.0 + 2 * 4.0),
    ],
)
def test_each_kind_of_sampler_has_its_own_steps(store, kind, options, seconds):
    earlier(store, "x", kind=kind)
    longer = dataclasses.replace(OPTIONS, **options)
    assert costs(store, [recipe(options=longer)], checked(longer, kind=kind)).seconds == pytest.approx(seconds)


def test_chains_that_run_side_by_side_take_the_time_of_one(store):
    earlier(store, "x")
    wide = checked(resources=Resources(num_cpus=2.0))
    assert costs(store, [recipe()], wide).seconds == pytest.approx(2 * (2.0 + 4.0 / 2))  # and the cores of two


def test_stages_after_the_draws_grow_with_them_as_far_as_they_depend_on_them(store):
    """Half a second for any fit, and 80 us for each draw: 200 draws cost 16 ms, 20 000 cost 1.6 s."""
    steps = dataclasses.replace(NO_STEPS, posterior_predictive=True)
    earlier(store, "x", recipe(steps=steps), seconds={"sample": 2.0, "posterior_predictive": 0.516})
    long = dataclasses.replace(OPTIONS, draws=10_000)
    found = costs(store, [recipe(options=long, steps=steps)])
    assert found.seconds == pytest.approx(2.0 + 0.5 + 1.6, rel=0.01)
    # a stage that is not wanted now costs nothing
    assert costs(store, [recipe(options=long)]).seconds == pytest.approx(2.0)


def test_the_nearest_length_tells_and_the_quickest_compilation(store):
    short, long = OPTIONS, dataclasses.replace(OPTIONS, draws=5000, tune=5000)
    earlier(store, "cold", recipe(options=short), seconds={"sample": 40.0}, compile=30.0)
    earlier(store, "long", recipe(options=long), seconds={"sample": 102.0})
    longer = dataclasses.replace(OPTIONS, draws=10_000, tune=10_000)
    assert costs(store, [recipe(options=longer)]).seconds == pytest.approx(2.0 + 200.0)
    assert costs(store, [recipe(options=short)]).seconds == pytest.approx(2.0 + 10.0)


def test_fits_of_other_parameters_tell_where_there_are_none_and_that_is_said(store):
    other = recipe(model=Target("tiny", "tiny_models.build", {"scale": 9.0}))
    earlier(store, "other", other, seconds={"sample": 12.0})
    found = costs(store, [recipe()])
    assert (found.seconds, found.loose) == (12.0, (LABEL,))
    earlier(store, "same")
    found = costs(store, [recipe()])
    assert (found.seconds, found.loose) == (6.0, ())


def test_a_table_of_the_same_name_tells_nothing(store):
    earlier(store, "x", recipe(data_hash="of another table"))
    assert costs(store, [recipe()]).seconds is None
    earlier(store, "y")
    assert costs(store, [recipe()]).seconds == 6.0


def test_workers_share_the_fits(store):
    earlier(store, "x")
    four = [recipe(key) for key in "abcd"]
    assert costs(store, four).seconds == 4 * 6.0
    assert costs(store, four, kind="ray", num_cpus=2).seconds == START_SECONDS + 2 * 6.0
    assert costs(store, four[:1], kind="ray", num_cpus=2).seconds == START_SECONDS + 6.0
    wide = checked(resources=Resources(num_cpus=2.0), batched=True)
    assert costs(store, four[:2], wide, kind="ray", num_cpus=2).seconds == START_SECONDS + 2 * 6.0


def test_fits_that_are_drawn_together_share_lanes_and_compilation(store):
    """One fit of two chains alone has all lanes; as many as fill them cost what one cost."""
    full = LANES // 2
    earlier(store, "x")
    cell = checked(batched=True)
    many = [recipe(f"r{i}") for i in range(2 * full)]
    assert costs(store, many[:full], cell, together=full).seconds == pytest.approx(6.0)
    assert costs(store, many, cell, together=2 * full).seconds == pytest.approx(2.0 + 2 * 4.0)
    # and back: shares of a batch that was full, of which one alone has what the batch had
    for key in "yz":
        earlier(store, key, together=full, compile=2.0 / full, seconds={"sample": 6.0 / full})
    assert costs(store, many[:1], cell).seconds == pytest.approx(6.0)


def test_simulated_fits_are_compiled_once_a_worker(store):
    simulation = Simulation(NOBODY, "f")
    own = [recipe(key, simulation=simulation) for key in "abcd"]
    earlier(store, "first", own[0], seconds={"sample": 9.0}, compile=5.0)
    for key in "yz":
        earlier(store, key, own[0], seconds={"sample": 4.5}, compile=0.5)
    found = costs(store, own, checked(simulation=simulation, replicates=4))
    assert found.seconds == pytest.approx(SIMULATED_STUDY + 4.5 + 4 * (4.5 + SIMULATED_FIT))
    assert costs(store, [recipe()]).seconds is None, "real data are compiled for each fit"


def test_what_is_done_costs_nothing(store):
    found = estimate(Plan((), (recipe(),), frozenset("a")), [checked()], {LABEL: MODEL}, store, DispatchOptions())
    assert (found.bytes, found.seconds, found.unknown) == (0, 0.0, ())


def test_what_tells_nothing_is_passed_over(store):
    earlier(store, "torn")
    (store.root.parent / "old" / "fits" / "torn" / "outcome.json").write_text("{")
    folder = store.root.parent / "old" / "fits"
    (folder / "empty").mkdir()
    for key, fields in {"failed": {"status": "failed"}, "before": {"effort": {}}}.items():
        earlier(store, key)
        path = folder / key / "outcome.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    assert costs(store, [recipe()]).seconds is None
    assert known_seconds(store) == {"tiny/data/fake": 6.0}


def test_draws_that_are_kept_cost_only_what_is_done_on_them(store):
    took = {"sample": 60.0, "diagnose": 1.0, "log_likelihood": 2.0, "posterior_predictive": 4.0, "figures": 8.0}
    wanted = dataclasses.replace(NO_STEPS, log_likelihood=True, posterior_predictive=True)
    specs = [recipe("a", steps=wanted), recipe("b", steps=wanted), recipe("c", steps=wanted)]
    earlier(store, "x", done=specs[0], seconds=took)
    kept = {"a": NO_STEPS, "b": dataclasses.replace(NO_STEPS, posterior_predictive=True)}

    def found(*keys):
        left = [one for one in specs if one.key in keys]
        plan = Plan(tuple(batch(one) for one in left), tuple(specs), frozenset(), kept)
        return estimate(plan, [checked()], {LABEL: MODEL}, store, DispatchOptions(kind="serial"))

    assert [found(key).seconds for key in "abc"] == pytest.approx([1.0, 5.0, 67.0])
    assert found("a", "b", "c").seconds == pytest.approx(73.0)
    numbers, cell = numbers_of(MODEL), checked()
    beside = study_bytes({LABEL: numbers}, {LABEL: cell})
    sizes = [
        fit_bytes(numbers, dataclasses.replace(cell, cell=dataclasses.replace(cell.cell, steps=steps)))
        for steps in (dataclasses.replace(NO_STEPS, log_likelihood=True), wanted)
    ]
    assert [found(key).bytes - beside for key in "abc"] == [0, sizes[1] - sizes[0], sizes[1]]
