"""What a stored fit lacks of what is wanted, and what of the wants of several commands adds up."""

import dataclasses

import pytest

from bayesrun.planning.completion import Wants, added_to, added_up, is_complete, joined_steps, missing_steps, without
from bayesrun.planning.keys import of_data, source_alone
from bayesrun.types import Asked, DiagnosticsOptions, Outcome, Steps
from checked_cells import checked
from tiny_models import NO_STEPS, spec

ALL = DiagnosticsOptions(
    levels=(0.5, 0.8),
    waic=True,
    quantities={"q": "tiny_models.spec", "r": "tiny_models.batch"},
    decisions=("P(theta > 0 | y) > 0.9", "mine: interval of theta excludes 0"),
)
SOURCES = {"q": "1", "r": "2"}
STORED = Outcome(
    "k0", "tiny", 0, "done", steps=Steps(), diagnostics_options=ALL, quantity_sources=SOURCES,
    step_sources={"log_likelihood": "h"},
)  # fmt: skip


def wanted(steps=NO_STEPS, sources=SOURCES, hook="h", **options):
    return spec(
        steps=steps,
        diagnostics=DiagnosticsOptions(**options),
        quantity_sources=sources,
        step_sources={"log_likelihood": hook},
    )


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"levels": (0.8,)},
        {"levels": (0.8, 0.5)},
        {"quantities": {"r": "tiny_models.batch"}},
        {"quantities": {"r": "tiny_models.batch"}, "sources": {"r": "2"}},
        {"decisions": ("P(theta>0|y)>0.9",)},
        {"decisions": ("mine: interval of theta excludes 0",), "waic": True},
        {"steps": Steps()},
        {"steps": NO_STEPS, "hook": "another"},
        {"steps": dataclasses.replace(NO_STEPS, prior_draws=600)},
        {"steps": Steps(prior_draws=3)},
    ],
)
def test_a_fit_that_has_what_is_wanted_needs_nothing_more(asked):
    assert is_complete(STORED, wanted(**asked))


@pytest.mark.parametrize(
    "asked",
    [
        {"levels": (0.8, 0.9)},
        {"quantities": {"s": "tiny_models.batch"}},
        {"quantities": {"r": "tiny_models.spec"}},
        {"quantities": {"r": "tiny_models.batch"}, "sources": {"r": "3"}},
        {"decisions": ("P(theta > 0 | y) > 0.95",)},
        {"decisions": ("mine: interval of theta excludes 1",)},
        {"ci_prob": 0.5},
        {"ci_kind": "hdi"},
        {"ranks": 9},
        {"loo_var": "y"},
        {"steps": Steps(), "hook": "another"},
        {"steps": Steps(prior_draws=600)},
    ],
)
def test_a_fit_lacks_what_is_new_by_another_source_or_of_another_value(asked):
    assert not is_complete(STORED, wanted(**asked))
    assert not is_complete(None, wanted())


def test_what_only_earlier_commands_asked_for_is_not_required():
    both = wanted(levels=(0.5, 0.9))
    assert not is_complete(STORED, both)
    assert is_complete(STORED, dataclasses.replace(both, asked=DiagnosticsOptions(levels=(0.5,))))


def test_only_steps_that_are_not_there_are_missing():
    had = dataclasses.replace(STORED, steps=dataclasses.replace(NO_STEPS, prior_predictive=True, log_likelihood=True))
    missing = missing_steps(had, wanted(Steps()))
    assert missing == dataclasses.replace(Steps(), prior_predictive=False, log_likelihood=False)
    assert missing_steps(had, wanted(Steps(), hook="another")).log_likelihood
    assert missing_steps(had, wanted(Steps(prior_draws=600))).prior_predictive
    assert not missing_steps(had, wanted(Steps(prior_draws=7))).prior_predictive


def test_steps_add_up():
    one, other = (
        dataclasses.replace(NO_STEPS, prior_predictive=True, prior_draws=7),
        dataclasses.replace(NO_STEPS, figures=True),
    )
    for had, more in ((one, other), (other, one)):
        found = joined_steps(had, more)
        assert (found.prior_predictive, found.figures, found.prior_draws) == (True, True, 7)
        assert not any((found.posterior_predictive, found.log_likelihood))
    more = dataclasses.replace(one, prior_draws=9)
    assert joined_steps(one, more).prior_draws == joined_steps(more, one).prior_draws == 9
    assert joined_steps(more, NO_STEPS).prior_draws == 9


def source(path: str) -> str:
    from bayesrun.base.imports import import_target
    from bayesrun.base.source_code import source_digest

    return source_digest(import_target("x", path))


def test_summaries_add_up_in_both_orders_to_the_same():
    q, r = "tiny_models.spec", "tiny_models.batch"
    one = Wants(DiagnosticsOptions(levels=(0.5,), quantities={"q": q}, decisions=("P(q > 0) > 0.9",)), {"q": source(q)})
    other = Wants(DiagnosticsOptions(levels=(0.8, 0.5), quantities={"r": r}, waic=True), {"r": source(r)})
    (first, lost), (second, none) = added_up(one, other), added_up(other, one)
    assert lost == none == ()
    assert set(first.diagnostics.levels) == set(second.diagnostics.levels) == {0.5, 0.8}
    assert first.diagnostics.quantities == second.diagnostics.quantities == {"q": q, "r": r}
    assert first.diagnostics.decisions == second.diagnostics.decisions == ("P(q > 0) > 0.9",)
    assert first.sources == second.sources == {"q": source(q), "r": source(r)}
    assert first.diagnostics.waic is second.diagnostics.waic is True
    assert added_up(first, one)[0] == first


@pytest.mark.parametrize(
    ("path", "digest", "why"),
    [("tiny_models.gone", "1", "has no function 'gone'"), ("tiny_models.spec", "1", "its source was edited since")],
)
def test_what_can_no_longer_be_made_is_named_and_left_out_with_what_is_decided_by_it(path, digest, why):
    rules = ("P(q > 0) > 0.9", "P(theta > 0) > 0.9")
    had = Wants(DiagnosticsOptions(levels=(0.5,), quantities={"q": path}, decisions=rules), {"q": digest})
    both, lost = added_up(had, Wants(DiagnosticsOptions(), {}))
    assert both == Wants(DiagnosticsOptions(levels=(0.5,), decisions=rules[1:]), {})
    assert len(lost) == 2
    assert lost[0].startswith(f"quantity q ({path}) of an earlier command is left out: ")
    assert why in lost[0]
    assert "decision 'P(q > 0) > 0.9'" in lost[1]
    assert without(had, [])[0] is had


def test_the_latest_meaning_of_a_name_wins():
    had = Wants(DiagnosticsOptions(quantities={"q": "a.b"}, decisions=("m: P(q > 0) > 0.9",)), {"q": "1"})
    now = Wants(DiagnosticsOptions(ci_prob=0.5, quantities={"q": "c.d"}, decisions=("m: P(q > 1) > 0.9",)), {"q": "2"})
    assert added_up(had, now) == (now, ())


def test_a_cell_tells_of_all_commands_and_keeps_what_the_latest_asks():
    had, now = checked("a", ("P(beta > 0) > 0.9",)), checked("a", ("P(beta > 1) > 0.9",))
    now = dataclasses.replace(now, cell=dataclasses.replace(now.cell, steps=NO_STEPS))
    found = added_to(had, now)
    assert found.cell.diagnostics.decisions == ("P(beta > 0) > 0.9", "P(beta > 1) > 0.9")
    assert found.cell.steps == Steps()
    assert found.asked == Asked(NO_STEPS, now.cell.diagnostics)
    assert added_to(found, found) == found
    assert added_to(found, now) == found
    assert added_to(had, had) == had


def test_what_reads_data_is_made_again_where_these_were_edited():
    """Columns that only a quantity or a hook reads are in no key: the draws stay."""
    source = {"q": "abc"}
    made = of_data(source, "first")
    assert made == of_data(of_data(source, "other"), "first")
    assert [source_alone(text) for text in made.values()] == list(source.values())
    wanted = dataclasses.replace(spec(), diagnostics=DiagnosticsOptions(quantities={"q": "m.q"}), quantity_sources=made)
    steps, options = wanted.steps, wanted.diagnostics
    had = Outcome("k0", "tiny", 0, "done", steps=steps, diagnostics_options=options, quantity_sources=made)
    assert is_complete(had, wanted)
    assert not is_complete(had, dataclasses.replace(wanted, quantity_sources=of_data(source, "edited")))
