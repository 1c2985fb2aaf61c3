"""What a study says of itself: how many fits a server has, and how many replicates each cell."""

import json

import pytest

from bayesrun.command.progress import follow
from bayesrun.planning.costs import Estimate
from bayesrun.report.ademp import ademp, text_of
from bayesrun.report.announcement import announce
from bayesrun.report.study_file import older_lines
from bayesrun.report.tracking import Synced
from bayesrun.store.folder import Store
from bayesrun.types import SCHEMA_VERSION, Cell, CheckedCell, Outcome, Plan, SamplerOptions, StudyOptions, Target
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
    assert captured.get().splitlines()[-1] == f"estimate: {told}"


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
    assert older_lines(store) == []
    for key, schema in (("a" * 16, 1), ("b" * 16, 1), ("c" * 16, SCHEMA_VERSION)):
        store.fit_folder(key).mkdir(parents=True)
        (store.fit_folder(key) / "outcome.json").write_text(json.dumps({"schema": schema}))
    store.write_study({"name": "s"})
    assert older_lines(store)[0].startswith("2 fits of an older format")
    store.write_study({"name": "s", "schema": SCHEMA_VERSION})
    assert older_lines(store) == []
