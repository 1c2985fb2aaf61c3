"""Which fits the words of a study mean: one becomes another when a file is edited, and comes back with it."""

import dataclasses

from bayesrun.planning import meanings
from bayesrun.planning.meanings import current, named
from bayesrun.types import CheckedCell, Simulation, Target
from checked_cells import checked


def cell(fingerprint: str = "f", data: str = "d", **words: object) -> CheckedCell:
    """A cell of real data, typed as model=means and these words."""
    one = checked("", data_hash=data, conditioned=data, fingerprint=fingerprint, simulation=None, replicates=1)
    params = {key.split("__")[1]: value for key, value in words.items() if key.startswith("model__")}
    typed = {"model": "means", "data": "y", **{key.replace("__", "."): value for key, value in words.items()}}
    model = dataclasses.replace(one.cell.model, params=params)
    return dataclasses.replace(one, cell=dataclasses.replace(one.cell, model=model, words=typed))


def differs(old: CheckedCell, new: CheckedCell) -> str:
    """Stands for what is said of two cells: see test_reasons."""
    return "another model" if old.data_hash == new.data_hash else "other data"


def extended(design, cells, seed):
    return meanings.extended(design, cells, seed, differs)


def told(design: tuple[CheckedCell, ...]) -> list[tuple[str, str]]:
    return [(one.cell.label, one.superseded) for one in design]


def after(*commands: list[CheckedCell]) -> tuple[CheckedCell, ...]:
    design: tuple[CheckedCell, ...] = ()
    for cells in commands:
        design = extended(design, cells, 1)
    return design


def test_an_edited_source_supersedes_and_going_back_makes_current_again():
    old, new = cell("f1"), cell("f2")
    edited = after([old], [new])
    assert told(edited) == [("means/y/nuts (superseded)", "another model"), ("means/y/nuts", "")]
    assert [one.fingerprint for one in current(edited)] == ["f2"]
    back = extended(edited, [old], 1)
    assert told(back) == [("means/y/nuts", ""), ("means/y/nuts (superseded)", "another model")]


def test_several_that_are_superseded_are_numbered_oldest_first():
    design = after([cell("f1")], [cell("f2")], [cell("f3")])
    assert [label for label, _ in told(design)] == [
        "means/y/nuts (superseded 1)",
        "means/y/nuts (superseded 2)",
        "means/y/nuts",
    ]


def test_edited_data_and_config_files_supersede_too():
    assert told(after([cell(data="d1")], [cell(data="d2")]))[0][1] == "other data"
    old, new = cell("f1"), cell("f2")
    new = dataclasses.replace(
        new, cell=dataclasses.replace(new.cell, model=dataclasses.replace(new.cell.model, params={"sigma": 2.0}))
    )
    assert told(after([old], [new])) == [("means/y/nuts (superseded)", "another model"), ("means/y/nuts", "")]


def test_a_changed_override_adds_a_cell():
    design = after([cell("f1", model__sigma=1.0)], [cell("f2", model__sigma=2.5)])
    assert told(design) == [("means/y/nuts sigma=1.0", ""), ("means/y/nuts sigma=2.5", "")]


def test_the_cell_that_is_edited_is_superseded_alone():
    design = after([cell("f1", model__sigma=1.0), cell("f2", model__sigma=2.5)], [cell("g2", model__sigma=2.5)])
    assert told(design) == [
        ("means/y/nuts sigma=1.0", ""),
        ("means/y/nuts sigma=2.5 (superseded)", "another model"),
        ("means/y/nuts sigma=2.5", ""),
    ]


def test_words_that_still_mean_a_cell_keep_it():
    """A default that was typed too is meant by it when the file has another default."""
    plain, typed, edited = cell("f1"), cell("f1", model__sigma=1.0), cell("f2")
    edited = dataclasses.replace(
        edited,
        cell=dataclasses.replace(edited.cell, model=dataclasses.replace(edited.cell.model, params={"sigma": 2.0})),
    )
    plain = dataclasses.replace(plain, cell=dataclasses.replace(plain.cell, model=typed.cell.model))
    assert told(after([plain], [typed], [edited])) == [("means/y/nuts sigma=1.0", ""), ("means/y/nuts sigma=2.0", "")]


def test_a_source_is_edited_for_all_words_that_meant_it():
    both = after([cell("f1", model__sigma=1.0)], [cell("f1", model__sigma=1.0, data__path="y.csv")])
    assert len(both) == 1
    assert told(extended(both, [cell("f2", model__sigma=1.0)], 1))[0][1] == "another model"


def test_a_cell_of_an_earlier_version_is_superseded_by_one_that_states_the_same():
    old = cell("f1")
    old = dataclasses.replace(old, cell=dataclasses.replace(old.cell, words={}))
    design = named([old])
    new = cell("f2", data="e")
    model = dataclasses.replace(new.cell.model, params={"scale": 1.0})  # a default, which is written down by now
    with_default = dataclasses.replace(new, cell=dataclasses.replace(new.cell, model=model))
    assert [bool(why) for _, why in told(extended(design, [with_default], 1))] == [True, False]
    assert told(extended(design, [cell("f2")], 1)) == [
        ("means/y/nuts (superseded)", "another model"),
        ("means/y/nuts", ""),
    ]
    assert told(extended(design, [cell("f2", model__sigma=2.0)], 1)) == [
        ("means/y/nuts sigma=null", ""),
        ("means/y/nuts sigma=2.0", ""),
    ]


def test_cells_of_one_command_never_supersede_each_other_and_get_a_number_at_worst():
    design = after([cell("f1"), cell("f2")])
    assert told(design) == [("means/y/nuts 1", ""), ("means/y/nuts 2", "")]


def test_truths_tell_cells_apart_that_state_the_same():
    def drawn(value: float) -> CheckedCell:
        truth = {"mu": value, "sigma": 1.0}
        simulation = Simulation(Target("means", "means.build"), "f", truth, {"kind": "fixed", "values": truth})
        one = cell(study__truth=truth)
        return dataclasses.replace(one, simulation=simulation)

    design = after([drawn(0.0)], [drawn(0.5)])
    assert [label for label, _ in told(design)] == ["means/y/nuts truth.mu=0.0", "means/y/nuts truth.mu=0.5"]
    assert [one.cell.overrides["truth.mu"] for one in design] == [0.0, 0.5]


def test_options_that_a_sampler_does_not_read_are_no_words():
    one, two = cell(), cell(sampler__tune=5)
    two = dataclasses.replace(two, sampler_options=("draws", "chains"))
    one = dataclasses.replace(one, sampler_options=("draws", "chains"))
    assert told(after([one], [dataclasses.replace(two, fingerprint="f2")]))[0][1] == "another model"


def test_a_successor_that_is_gone_leaves_the_old_cell_its_choices_and_overrides():
    design = after([cell("f1", model__sigma=2.5)], [cell("f2", model__sigma=2.5)])
    assert [one.cell.label for one in named(design[:1])] == ["means/y/nuts sigma=2.5 (superseded)"]
