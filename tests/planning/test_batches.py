"""Keys and seeds depend on what a fit is, never on what stands beside it."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayesrun.base.seeds import data_seed, fit_seed, named_seed
from bayesrun.errors import ConfigError
from bayesrun.planning.batches import expand, study_name
from bayesrun.planning.completion import is_complete
from bayesrun.planning.keys import fit_key, specs_of
from bayesrun.types import (
    Cell,
    CheckedCell,
    DiagnosticsOptions,
    Gate,
    Outcome,
    Resources,
    SamplerOptions,
    Simulation,
    Steps,
    Target,
    canonical_json,
)

MODELS = ("linear", "hierarchical", "ar1")
SAMPLERS = ("nuts", "numpyro", "advi")


def checked(name: str, sampler: str, draws: int = 1000, **changes) -> CheckedCell:
    cell = Cell(
        label=f"{name}/data/{sampler} draws={draws}",
        model=Target(name, f"models.{name}.build", {"scale": 2.5}),
        data=Target("data", "data.shipped"),
        sampler=Target(sampler, f"samplers.{sampler}.sample"),
        options=SamplerOptions(draws=draws),
    )
    found = CheckedCell(
        cell=dataclasses.replace(cell, **{k: v for k, v in changes.items() if k in Cell.__dataclass_fields__}),
        data_hash="d" * 16,
        fingerprint=f"print of {name}",
        sampler_version=1,
        kind="nuts",
    )
    return dataclasses.replace(found, **{k: v for k, v in changes.items() if k in CheckedCell.__dataclass_fields__})


rows = st.lists(
    st.tuples(st.sampled_from(MODELS), st.sampled_from(SAMPLERS), st.integers(1, 5)),
    min_size=1,
    max_size=8,
    unique=True,
)


def planned(table: list[tuple[str, str, int]], replicates: int = 1) -> dict[tuple[str, int], tuple[str, int]]:
    plan = expand([checked(*row, replicates=replicates) for row in table], 7, lambda key: None)
    return {(spec.cell, spec.replicate): (spec.key, spec.fit_seed) for spec in plan.specs}


@given(rows, rows, st.randoms())
def test_adding_removing_or_reordering_cells_changes_no_other_key_or_seed(kept, added, random):
    alone = planned(kept)
    together = list(dict.fromkeys([*kept, *added]))
    random.shuffle(together)
    assert alone.items() <= planned(together).items()


@given(rows, st.integers(1, 4), st.integers(0, 4))
def test_growing_replicates_keeps_the_first_ones(table, few, more):
    assert planned(table, few).items() <= planned(table, few + more).items()


def test_every_fit_of_a_plan_has_its_own_key_and_seed():
    fits = planned([(m, s, d) for m in MODELS for s in SAMPLERS for d in (1, 2)], replicates=5)
    assert len(fits) == 90
    assert len({key for key, _ in fits.values()}) == 90
    assert len({seed for _, seed in fits.values()}) == 90


@pytest.mark.parametrize(
    "change",
    [
        {"conditioned": "other values"},
        {"fingerprint": "another graph"},
        {"sampler_version": 2},
        {"options": SamplerOptions(draws=999)},
        {"options": SamplerOptions(target_accept=0.99)},
        {"options": SamplerOptions(extra={"init": "adapt_diag"})},
    ],
)
def test_what_changes_the_draws_changes_the_key(change):
    assert fit_key(checked("linear", "nuts", **change), 7, 0) != fit_key(checked("linear", "nuts"), 7, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"label": "another label"},
        {"resources": Resources(num_cpus=2)},
        {"timeout": 60.0},
        {"steps": Steps(prior_predictive=False)},
        {"diagnostics": DiagnosticsOptions(ci_prob=0.5)},
        {"gate": Gate(rhat_max=1.1, n_divergent=5)},
        {"overrides": {"model.scale": 2.5}},
        {"model": Target("renamed", "models.linear.build", {"scale": 2.5})},
        {"data": Target("renamed", "data.read")},
    ],
)
def test_what_does_not_change_the_draws_does_not_change_the_key(change):
    assert fit_key(checked("linear", "nuts", **change), 7, 0) == fit_key(checked("linear", "nuts"), 7, 0)


def test_the_gate_is_part_of_the_key_only_when_it_decides_about_escalation():
    options = SamplerOptions(escalate=(0.95,))
    strict, lax = (fit_key(checked("linear", "nuts", options=options, gate=Gate(n_divergent=n)), 7, 0) for n in (0, 9))
    assert strict != lax


def test_another_study_seed_or_replicate_is_another_fit():
    cell = checked("linear", "nuts")
    assert len({fit_key(cell, seed, replicate) for seed in (1, 2) for replicate in (0, 1)}) == 4


def test_a_dataset_is_the_same_for_every_model_and_sampler():
    assert data_seed(1, 3) == data_seed(1, 3)
    assert len({data_seed(1, 3), data_seed(1, 4), data_seed(2, 3)}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"data_hash": "e" * 16},
        {"model": Target("linear", "models.linear.build", {"scale": 3.0})},
        {"model": Target("linear", "mine.build", {"scale": 2.5})},
        {"options": SamplerOptions(extra={"cores": 2}), "same_draws": ("cores",)},
    ],
)
def test_what_reaches_no_graph_and_no_draw_does_not(change):
    """A column that is not read, a parameter without use, another file: the graph and what is observed are the same."""
    assert fit_key(checked("linear", "nuts", **change), 7, 0) == fit_key(checked("linear", "nuts"), 7, 0)


def test_fits_of_one_key_have_one_seed():
    typed = checked("linear", "nuts", model=Target("linear", "models.linear.build", {"scale": 2.5, "default": 1.0}))
    plain = checked("linear", "nuts")
    assert fit_key(typed, 7, 0) == fit_key(plain, 7, 0)
    assert specs_of([typed], 7)[fit_key(plain, 7, 0)][0].fit_seed == fit_seed(7, fit_key(plain, 7, 0))


def test_seeds_are_pinned():
    # golden: a change here changes every stored draw, and belongs under "Invalidating changes" in the changelog
    assert named_seed(1, "a", 2) == 1037642841
    assert fit_seed(7, "d" * 16) == 1147377660


@given(st.integers(0, 2**40), st.text(), st.integers())
def test_seeds_fit_every_library(seed, name, number):
    assert 0 <= named_seed(seed, name, number) < 2**31


def outcome(**changes) -> Outcome:
    return Outcome("k", "c", 0, "done", **changes)


def test_a_fit_is_complete_when_it_has_every_step_that_is_wanted():
    spec = expand([checked("linear", "nuts")], 1, lambda key: None).specs[0]
    assert is_complete(outcome(), spec)
    assert not is_complete(None, spec)
    assert not is_complete(outcome(steps=Steps(log_likelihood=False)), spec)
    assert not is_complete(outcome(steps=Steps(prior_draws=10)), spec)
    assert not is_complete(outcome(diagnostics_options=DiagnosticsOptions(ci_prob=0.5)), spec)
    fewer = dataclasses.replace(spec, steps=Steps(prior_predictive=False, figures=False))
    assert is_complete(outcome(), fewer)


def test_done_fits_are_skipped_and_the_rest_is_batched():
    cells = [checked("linear", "nuts"), checked("linear", "advi")]
    key = fit_key(cells[0], 1, 0)
    plan = expand(cells, 1, lambda k: outcome() if k == key else None)
    assert plan.done == {key}
    assert [batch.label for batch in plan.batches] == ["linear/data/advi draws=1000"]


def test_the_same_cell_twice_is_one_fit():
    plan = expand([checked("linear", "nuts"), checked("linear", "nuts", label="again")], 1, lambda key: None)
    assert [spec.cell for spec in plan.specs] == ["linear/data/nuts draws=1000"]


def test_an_empty_sweep_is_refused():
    with pytest.raises(ConfigError, match="the sweep has no cell"):
        expand([], 1, lambda key: None)


def test_a_study_is_named_after_its_choices():
    cells = [checked("linear", "nuts").cell, checked("ar1", "advi").cell]
    assert study_name(cells, 5, 5) == "linear+ar1-data"
    assert study_name(cells, 6, 5) == "linear+ar1-data-seed6"
    many = [checked(f"model_number_{i}", "nuts").cell for i in range(20)]
    assert len(study_name(many, 5, 5)) < 80
    assert study_name(many, 5, 5) != study_name(many[:-1], 5, 5)


def batched(name: str, replicates: int, batch="auto", **changes) -> CheckedCell:
    options = SamplerOptions(batch_size=batch)
    return checked(name, "numpyro", options=options, batched=True, replicates=replicates, **changes)


def sizes(cells, **facts) -> list[int]:
    return [len(batch.specs) for batch in expand(cells, 7, facts.pop("done", lambda key: None), **facts).batches]


@pytest.mark.parametrize(
    ("n", "batch", "workers", "seconds", "expected"),
    [
        (1, "auto", 2, None, [1]),
        (6, "auto", 2, None, [3, 3]),
        (500, "auto", 2, None, [250, 250]),
        (1000, "auto", 1, None, [256, 256, 256, 232]),
        (500, "auto", 2, 0.3, [100] * 5),
        (500, "auto", 2, 30.0, [64] * 7 + [52]),  # never fewer than the lanes want
        (10, 4, 2, None, [4, 4, 2]),
    ],
)
def test_fits_of_one_recipe_go_together(n, batch, workers, seconds, expected):
    known = {} if seconds is None else {"linear/data/numpyro": seconds}
    assert sizes([batched("linear", n, batch)], workers=workers, seconds=known) == expected


def test_samplers_that_draw_one_by_one_have_batches_of_one():
    assert sizes([checked("linear", "nuts", replicates=5)], workers=2) == [1] * 5
    assert sizes([checked("linear", "nuts", replicates=5, options=SamplerOptions(batch_size=3))]) == [3, 2]


def test_what_differs_in_the_recipe_is_never_in_one_batch():
    cells = [batched(m, 4, model=Target(m, f"models.{m}.build")) for m in ("linear", "ar1")]
    for batch in expand(cells, 7, lambda key: None).batches:
        assert len({canonical_json([spec.model, spec.options]) for spec in batch.specs}) == 1


def test_the_lanes_are_compiled_for_the_whole_study_also_when_little_is_left():
    """A batch says its planned size, so that a resumed study finds its compiled programs."""
    cell = batched("linear", 40)
    keys = [spec.key for spec in expand([cell], 7, lambda key: None).specs]
    plan = expand([cell], 7, lambda key: outcome() if key in keys[:37] else None, workers=1)
    (left,) = plan.batches
    assert len(left.specs) == 3
    assert {spec.options.batch_size for spec in left.specs} == {40}


def test_halves_of_a_batch():
    (batch,) = expand([batched("linear", 5)], 7, lambda key: None).batches
    keys = [spec.key for spec in batch.specs]
    first, second = batch.halves(keys[1:])
    assert [spec.key for part in (first, second) for spec in part.specs] == keys[1:]
    (alone,) = batch.halves(keys[:1])
    assert [spec.key for spec in alone.specs] == keys[:1]
    assert batch.halves([]) == ()


def test_batch_size_resources_and_engine_defaults_change_no_key():
    plain, sized = checked("linear", "numpyro"), batched("linear", 1, 7)
    assert fit_key(plain, 1, 0) == fit_key(sized, 1, 0)


def test_simulated_data_have_a_seed_of_generator_and_replicate_alone():
    """The same datasets for every model, sampler and design; another generator or truth is another key."""
    simulation = Simulation(Target("g", "models.g.build", {"scale": 1.0}), "print of g", base_hash="b" * 16)
    cells = [checked(m, s, simulation=simulation, replicates=3) for m in ("linear", "ar1") for s in SAMPLERS]
    specs = expand(cells, 7, lambda key: None).specs
    by_replicate = {r: {spec.data_seed for spec in specs if spec.replicate == r} for r in range(3)}
    assert all(len(seeds) == 1 for seeds in by_replicate.values())
    assert len(set.union(*by_replicate.values())) == 3
    assert len({spec.key for spec in specs}) == 18
    one = checked("linear", "nuts", simulation=simulation)
    for changed in (
        dataclasses.replace(simulation, fingerprint="another"),
        dataclasses.replace(simulation, identity={"kind": "fixed", "values": {"a": 1.0}}),
        dataclasses.replace(simulation, design=Target("design", "data.design", {"n": 5})),
        None,
    ):
        assert fit_key(one, 1, 0) != fit_key(dataclasses.replace(one, simulation=changed), 1, 0)


def sites(n: int, sampler: str = "numpyro", **changes) -> list[CheckedCell]:
    """Cells of one builder on several real datasets, each of which makes a model of its own meaning."""
    own = [
        {"label": f"linear/site{i}", "data_hash": f"d{i}", "conditioned": f"y{i}", "fingerprint": f"print of {i}"}
        for i in range(n)
    ]
    return [checked("linear", sampler, batched=sampler == "numpyro", **one, **changes) for one in own]


@pytest.mark.parametrize(("workers", "expected"), [(1, [12]), (2, [6, 6]), (5, [3, 3, 3, 3]), (40, [1] * 12)])
def test_one_builder_on_many_real_datasets_is_one_batch_for_each_worker(workers, expected):
    plan = expand(sites(12), 7, lambda key: None, workers=workers)
    assert [len(batch.specs) for batch in plan.batches] == expected
    assert sorted(spec.cell for batch in plan.batches for spec in batch.specs) == sorted(s.cell for s in plan.specs)
    assert [(spec.key, spec.fit_seed) for spec in plan.specs] == [
        (spec.key, spec.fit_seed) for one in sites(12) for spec in expand([one], 7, lambda key: None).specs
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"timeout": 60.0},
        {"resources": Resources(num_gpus=1)},
        {"options": SamplerOptions(draws=999)},
        {"steps": Steps(posterior_predictive=False)},
        {"gate": Gate(n_divergent=3)},
        {"model": Target("linear", "models.linear.build", {"scale": 1.0})},
        {"model": Target("linear", "mine.build", {"scale": 2.5})},
        {"sampler": Target("advi_jax", "samplers.advi_jax.sample")},
    ],
)
def test_real_datasets_that_are_fitted_otherwise_are_another_batch(change):
    assert sizes([*sites(3), sites(4, **change)[3]]) in ([3, 1], [1, 3])


def test_samplers_that_draw_one_by_one_take_real_datasets_one_by_one_unless_more_are_asked_for():
    assert sizes(sites(4, "nuts")) == [1] * 4
    assert sizes(sites(4, "nuts", options=SamplerOptions(batch_size=3))) == [3, 1]


def test_replicates_of_models_that_mean_something_else_stay_apart():
    simulation = Simulation(Target("g", "models.g.build", {"scale": 1.0}), "print of g", base_hash="b" * 16)
    cells = [dataclasses.replace(one, simulation=simulation, replicates=2) for one in sites(2)]
    for batch in expand(cells, 7, lambda key: None).batches:
        assert len({spec.cell for spec in batch.specs}) == 1
