"""What a study says of itself: how many fits a server has, and how many replicates each cell."""

import dataclasses
import json

import pytest

from bayesrun.command.progress import follow
from bayesrun.errors import ConfigError
from bayesrun.planning.costs import Estimate
from bayesrun.report.ademp import ademp, text_of
from bayesrun.report.announcement import announce
from bayesrun.report.study_file import Stored, extend_design, joined_study, older_lines, read
from bayesrun.report.tracking import Synced
from bayesrun.store.folder import Store
from bayesrun.types import (
    SCHEMA_VERSION,
    Cell,
    CheckedCell,
    Outcome,
    Plan,
    SamplerOptions,
    Settings,
    StudyOptions,
    Target,
)
from tiny_models import batch, spec

NOBODY = Target("none", "none.none")


def cell(label: str, replicates: int = 1) -> CheckedCell:
    return CheckedCell(
        Cell(label, NOBODY, NOBODY, NOBODY, SamplerOptions()), "d", "f", 1, "nuts", replicates=replicates
    )


@pytest.mark.parametrize(
    ("synced", "planned", "told"),
    [
        (Synced(0, 3), 60, "0 fits sent, 3 were there, 57 of the 60 planned do not exist yet"),
        (Synced(3, 0), 60, "3 fits sent, 0 were there, 57 of the 60 planned do not exist yet"),
        (Synced(2, 58), 60, "2 fits sent, 58 were there"),
        (Synced(1, 57, 2, "too long"), 60, "1 fits sent, 57 were there, 2 not taken (too long)"),
        (
            Synced(0, 0, 2),
            3,
            "0 fits sent, 0 were there, 2 not taken (not confirmed), 1 of the 3 planned do not exist yet",
        ),
    ],
)
def test_only_fits_that_exist_are_sent_or_there(synced, planned, told):
    assert synced.told(planned) == told


def test_replicates_and_their_error_are_told_of_the_cell_with_fewest_too():
    study = StudyOptions(kind="recovery", replicates=400)
    alike = text_of(ademp(study, [cell("a", 400), cell("b", 400)], {}))
    assert (
        "400 in each cell: as asked; the coverage of a 95 % interval then has a Monte Carlo standard error of 0.011"
        in alike
    )
    apart = text_of(ademp(study, [cell("a", 400), cell("b", 20)], {}))
    assert "20 in b; 400 in a: as asked" in apart
    assert "error of 0.011 to 0.049" in apart


@pytest.mark.parametrize(
    ("estimate", "told"),
    [
        (Estimate(3 * 2**20, 92.0), "3.0 MiB in the study's folder; time about 92 s"),
        (Estimate(3 * 2**30, 7000.0), "3.0 GiB in the study's folder; time about 117 min"),
        (
            Estimate(2**20, None, ("a", "b", "c", "d")),
            "1.0 MiB in the study's folder; time unknown for a, b, c and 1 more: no fit of this model, data and "
            "sampler was done here",
        ),
        (
            Estimate(2**20, 5.0, loose=("a",)),
            "1.0 MiB in the study's folder; time about 5 s, by fits of other parameters or options for a",
        ),
    ],
)
def test_an_estimate_says_what_it_goes_by(estimate, told):
    from rich.console import Console

    console = Console(width=80)
    with console.capture() as captured:
        announce(console, "s", Plan((batch(spec()),), (spec(),), frozenset()), [cell("a")], estimate, {})
    assert f"estimate: {told}" in captured.get().splitlines()


@pytest.mark.parametrize(
    ("estimate", "told"),
    [
        (Estimate(2**30, 1.0, largest=2**30, lean=0), None),
        (
            Estimate(5 * 2**30, 1.0, largest=3 * 2**30, lean=2**20),
            "warning: this study takes about 5.0 GiB of disk, its largest fit 3.0 GiB; output.keep=lean leaves 1.0 "
            "MiB, and makes the rest again when it is asked for",
        ),
        (
            Estimate(5 * 2**30, 1.0, largest=2**20, lean=5 * 2**30),
            "warning: this study takes about 5.0 GiB of disk, its largest fit 1.0 MiB; fewer sampler.draws take less",
        ),
    ],
)
def test_a_study_above_one_gib_is_warned_of(estimate, told):
    from rich.console import Console

    console = Console(width=80)
    with console.capture() as captured:
        announce(console, "s", Plan((batch(spec()),), (spec(),), frozenset()), [cell("a")], estimate, {})
    warned = [line for line in captured.get().splitlines() if line.startswith("warning")]
    assert warned == ([told] if told else [])


def test_a_failed_fit_is_told_with_its_replicate_and_its_seconds():
    from rich.console import Console

    outcomes = [
        Outcome("a", "cell", 0, "done", seconds={"sample": 1.0, "diagnose": 0.5}),
        Outcome("b", "cell", 3, "failed", "error", "ValueError: no", seconds={"failed": 4.02}),
        Outcome("c", "cell", 0, "failed", "lost", "gone"),
    ]
    console = Console(width=80)
    with console.capture() as captured:
        assert list(follow(outcomes, 3, console)) == outcomes
    assert captured.get().splitlines() == [
        "[1/3] cell: done in 1.5 s",
        "[2/3] cell #3: failed after 4.0 s (error): ValueError: no",
        "[3/3] cell: failed (lost): gone",
    ]


def test_fits_of_an_older_format_are_announced(tmp_path):
    store = Store(tmp_path / "s")
    store.prepare()
    assert older_lines(store, read(store)) == []
    for key, schema in (("a" * 16, 1), ("b" * 16, 1), ("c" * 16, SCHEMA_VERSION)):
        store.fit_folder(key).mkdir(parents=True)
        (store.fit_folder(key) / "outcome.json").write_text(json.dumps({"schema": schema}))
    store.write_study({"name": "s"})
    assert older_lines(store, read(store))[0].startswith("2 fits of an older format")
    store.write_study({"name": "s", "schema": SCHEMA_VERSION})
    assert older_lines(store, read(store)) == []


def stored(**study) -> Stored:
    return Stored("s", {"seed": 42, "study": {"kind": "power", "ranks": 99} | study})


def power(**options) -> StudyOptions:
    return StudyOptions(kind="power", **options)


def test_null_values_of_several_commands_add_up_by_variable():
    had = stored(nulls={"mu": 0.0, "beta[x, 1]": 1.0})
    both = joined_study(had, power(nulls={"tau": 2.0, "beta[x,1]": 1}))
    assert both.nulls == {"mu": 0.0, "beta[x,1]": 1.0, "tau": 2.0}
    assert joined_study(had, power()).nulls == {"mu": 0.0, "beta[x,1]": 1.0}
    assert joined_study(stored(), power()).nulls is None


def test_a_variable_has_one_null_value():
    with pytest.raises(ConfigError, match=r"study\.nulls\.mu: got 0\.5; in study s that is 0, and a variable has one"):
        joined_study(stored(nulls={"mu": 0.0}), power(nulls={"mu": 0.5}))


@pytest.mark.parametrize(("other", "told"), [({"seed": 1}, "study.seed"), ({"ranks": 9}, "study.ranks")])
def test_a_study_has_one_seed_and_asks_one_question(other, told):
    with pytest.raises(ConfigError, match=f"{told}: got"):
        joined_study(stored(), power(**other))
    assert joined_study(Stored("s"), power(**other)) == power(**other)


def test_what_another_command_asked_for_meanwhile_is_not_undone(tmp_path):
    """The design is read again where it is written: another command may have ended since the plan was made."""
    store = Store(tmp_path / "s")
    planned = Settings(study=StudyOptions(kind="power", levels=(0.5,), nulls={"mu": 0.0}))
    meanwhile = Settings(study=StudyOptions(kind="power", levels=(0.9,), decisions=("P(mu > 0 | y) > 0.9",)))
    first = dataclasses.replace(cell("n/n/n"), fingerprint="g")
    extend_design(store, meanwhile, [first])
    _, study = extend_design(store, planned, [cell("n/n/n")])
    assert (study.levels, study.nulls, study.decisions) == ((0.5, 0.9), {"mu": 0.0}, ("P(mu > 0 | y) > 0.9",))
    assert read(store).study == study
    assert len(read(store).cells) == 2
