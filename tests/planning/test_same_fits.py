"""Cells of one command that are one fit: what they ask for adds up, and what a fit has one of is refused."""

import dataclasses

import pytest

from bayesrun.base.imports import import_target
from bayesrun.base.source_code import source_digest
from bayesrun.errors import ConfigError
from bayesrun.planning.batches import expand
from bayesrun.planning.keys import fit_key
from bayesrun.planning.meanings import extended
from bayesrun.planning.same_fits import Together, together
from bayesrun.types import CheckedCell, DiagnosticsOptions, Gate, Resources, SamplerOptions, Steps
from checked_cells import checked
from tiny_models import NO_STEPS

Q, R = "tiny_models.spec", "tiny_models.batch"


def source(path: str) -> str:
    return source_digest(import_target("x", path))


def cell(label: str, steps: Steps = NO_STEPS, gate: Gate | None = None, **options) -> CheckedCell:
    one = checked(label, replicates=1, simulation=None)
    sources = {name: source(path) for name, path in (options.get("quantities") or {}).items()}
    changed = dataclasses.replace(
        one.cell, steps=steps, gate=gate or one.cell.gate, diagnostics=DiagnosticsOptions(**options)
    )
    return dataclasses.replace(one, cell=changed, quantity_sources=sources)


def joined(*cells: CheckedCell) -> Together:
    return together(cells, [fit_key(one, 1, 0) for one in cells])


ONE = cell("a", levels=(0.5,), quantities={"q": Q}, decisions=("P(q > 0) > 0.9",))
TWO = cell("b", dataclasses.replace(NO_STEPS, figures=True), levels=(0.8,), quantities={"r": R}, waic=True)
PRIOR = cell("c", dataclasses.replace(NO_STEPS, prior_predictive=True, prior_draws=9))
MORE = cell("d", dataclasses.replace(NO_STEPS, prior_predictive=True, prior_draws=30))


def test_one_fit_gets_what_all_of_its_cells_ask_for():
    found = joined(ONE, TWO, PRIOR, MORE)
    label = "means/y/nuts"
    told = "4 cells are this one fit, which gets the steps, levels, quantities and decisions of all of them"
    assert found.notes == (f"{label}: {told}",)
    assert found.labels == dict.fromkeys("abcd", label)
    assert found.by_label({"b": 1, "a base": 2}) == {label: 1, "a base": 2}
    assert (found.of_each({label: 1.5}), found.of_each({})) == (dict.fromkeys("abcd", 1.5), {})
    plan = expand(found.cells, 1, lambda key: None)
    (spec,) = plan.specs
    assert (spec.cell, spec.steps) == (label, Steps(True, False, False, 30, True))
    assert spec.diagnostics == DiagnosticsOptions(
        levels=(0.5, 0.8), waic=True, quantities={"q": Q, "r": R}, decisions=("P(q > 0) > 0.9",)
    )
    assert spec.quantity_sources == {
        name: f"{source(path)}-{found.cells[0].data_hash}" for name, path in (("q", Q), ("r", R))
    }
    for one in found.cells:
        assert (one.cell.steps, one.cell.diagnostics) == (spec.steps, spec.diagnostics)


def test_the_order_of_cells_changes_nothing_of_what_is_made():
    first, other = joined(ONE, TWO, MORE).cells[0], joined(MORE, TWO, ONE).cells[0]
    assert first.cell.steps == other.cell.steps
    assert set(first.cell.diagnostics.quantities) == set(other.cell.diagnostics.quantities)
    assert set(first.cell.diagnostics.levels) == set(other.cell.diagnostics.levels)


def test_cells_that_ask_for_the_same_or_are_other_fits_are_left_alone():
    other = dataclasses.replace(TWO, fingerprint="another model")
    found = joined(ONE, other)
    assert (found.cells, found.labels, found.notes) == ((ONE, other), {"a": "a", "b": "b"}, ())
    again = dataclasses.replace(ONE, cell=dataclasses.replace(ONE.cell, label="again", resources=Resources(num_cpus=2)))
    twice = joined(ONE, again)
    assert twice.notes == ()
    assert set(twice.labels.values()) == {"means/y/nuts"}
    assert [one.cell.resources.num_cpus for one in twice.cells] == [1, 2]


def test_labels_still_tell_cells_apart_where_one_of_them_is_several():
    def other(label: str, gate: Gate, **options) -> CheckedCell:
        one = cell(label, gate=gate, **options)
        return dataclasses.replace(one, cell=dataclasses.replace(one.cell, options=SamplerOptions(draws=5)))

    gate = ONE.cell.gate
    found = joined(ONE, TWO, other("c", gate), other("d", gate, waic=True))
    names = [one.cell.label for one in found.cells]
    assert names[0] == names[1] != names[2] == names[3]
    assert all("sampler.draws=" in name for name in names)
    silent = dataclasses.replace(ONE, fingerprint="another model, which no config shows")
    kept = [one.cell.label for one in joined(ONE, ONE, silent).cells]
    assert kept == ["a", "a", "a"]


@pytest.mark.parametrize(
    ("two", "told"),
    [
        (
            cell("b", ci_prob=0.8),
            r"diagnostics\.ci_prob \(0\.89 and 0\.8\): a and b are the same fit, which has one of",
        ),
        (cell("b", ci_kind="hdi"), r"diagnostics\.ci_kind \(eti and hdi\)"),
        (cell("b", loo_var="y"), r"diagnostics\.loo_var \(null and y\)"),
        (cell("b", gate=Gate(rhat_max=1.1)), r"gate\.rhat_max \(null and 1\.1\)"),
        (
            cell("b", quantities={"q": R}),
            r"diagnostics\.quantities\.q: a has 'tiny_models.spec', and b, which is the same",
        ),
        (cell("b", decisions=("m: P(mu > 1) > 0.9",)), r"diagnostics\.decisions: m: a has 'P\(mu > 0 \| y\) > 0.9'"),
    ],
)
def test_what_a_fit_has_one_of_is_refused_with_the_remedy(two, told):
    one = cell("a", quantities={"q": Q}, decisions=("m: P(mu > 0) > 0.9",))
    with pytest.raises(ConfigError, match=told) as refused:
        joined(one, two)
    assert any(remedy in str(refused.value) for remedy in ("run them one after another", "another name"))


def test_two_functions_for_pointwise_terms_of_one_graph_are_refused():
    steps = dataclasses.replace(NO_STEPS, log_likelihood=True)
    hooked = dataclasses.replace(cell("b", steps), step_sources={"log_likelihood": "h"})
    with pytest.raises(ConfigError, match="pointwise"):
        joined(cell("a", steps), hooked)
    cells = joined(cell("a", steps), dataclasses.replace(cell("b"), step_sources={"log_likelihood": "h"})).cells
    assert cells[0].cell.steps.log_likelihood


def test_a_design_has_one_cell_that_all_their_words_mean():
    typed = [
        dataclasses.replace(one, cell=dataclasses.replace(one.cell, words={"model": name}))
        for name, one in (("m", ONE), ("n", TWO))
    ]
    cells = joined(*typed).cells
    (one,) = extended((), cells, 1, "{} {}".format)
    assert one.meant_by == ({"model": "m"}, {"model": "n"})
    (again,) = extended((one,), cells[1:], 1, "{} {}".format)
    assert again.meant_by == one.meant_by
