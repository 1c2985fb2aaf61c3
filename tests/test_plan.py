"""Keys and seeds depend on what a fit is, never on what stands beside it."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayesrun.errors import ConfigError
from bayesrun.plan import expand, fit_key, is_complete, study_name
from bayesrun.seeds import data_seed, fit_seed, named_seed
from bayesrun.types import (
    Cell,
    CheckedCell,
    DiagnosticsOptions,
    Gate,
    Outcome,
    Resources,
    SamplerOptions,
    Steps,
    Target,
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
        observed_hash="o" * 16,
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
        {"data_hash": "e" * 16},
        {"fingerprint": "another graph"},
        {"sampler_version": 2},
        {"options": SamplerOptions(draws=999)},
        {"options": SamplerOptions(target_accept=0.99)},
        {"options": SamplerOptions(extra={"init": "adapt_diag"})},
        {"model": Target("linear", "models.linear.build", {"scale": 3.0})},
        {"model": Target("linear", "mine.build", {"scale": 2.5})},
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
    generator = Target("linear", "models.linear.build", {"scale": 2.5})
    assert data_seed(1, generator, 3) == data_seed(1, Target("renamed", generator.path, generator.params), 3)
    assert data_seed(1, generator, 3) != data_seed(1, generator, 4)


def test_seeds_are_pinned():
    # golden: a change here changes every stored draw, and belongs under "Invalidating changes" in the changelog
    assert named_seed(1, "a", 2) == 1037642841
    target = Target("n", "p.q", {"x": 1.5})
    assert fit_seed(7, target, target, {}, "d" * 16, 0) == 1595516662


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
