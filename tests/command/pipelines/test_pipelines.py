"""What a pipeline states, and where it is found."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from bayesrun.command.pipelines import Gates, Pipeline, find, names
from bayesrun.command.verbs import call
from bayesrun.errors import ConfigError
from places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = ("nightly_calibration", "weekly_recovery")


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / "pipelines" / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


STATED = """
    from bayesrun.schedule import Pipeline
    PIPELINE = Pipeline(experiment="mine", about="Mine.", schedule="5 4 * * *")
"""


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_pipeline_names_a_shipped_experiment(name: str, workdir: Path) -> None:
    found = find(name)
    assert found.name == name
    assert (ROOT / "conf" / "experiment" / f"{found.experiment}.yaml").is_file()
    assert found.about.endswith(".")


def test_every_shipped_file_is_a_pipeline(workdir: Path) -> None:
    assert names() == tuple(sorted(p.stem for p in (ROOT / "pipelines").glob("*.py"))) == SHIPPED


def test_in_the_checkout_the_shipped_ones_are_no_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert find("nightly_calibration").name == "nightly_calibration"


def test_pipeline_of_the_working_directory_is_found_beside_the_shipped(workdir: Path) -> None:
    write(workdir, "mine", STATED)
    assert find("mine").experiment == "mine"
    assert set(names()) == {*SHIPPED, "mine"}


def test_list_shows_all(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(workdir, "mine", STATED)
    assert call("pipeline", ["list"]) == 0
    assert "mine  [5 4 * * *]  Mine." in capsys.readouterr().out.splitlines()


def test_unknown_name_is_answered_with_the_nearest(workdir: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean nightly_calibration"):
        find("nightly_calibraton")


def test_own_pipeline_that_hides_a_shipped_one_is_refused(workdir: Path) -> None:
    write(workdir, "nightly_calibration", STATED)
    with pytest.raises(ConfigError, match="bayesrun ships a pipeline of that name; rename yours"):
        find("nightly_calibration")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "it has no PIPELINE"),
        ("PIPELINE = 3", "it has no PIPELINE"),
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("PIPELINE =", "SyntaxError"),
        (STATED.replace("5 4 * * *", "5 24 * * *"), "schedule: got '24' for the hour"),
    ],
)
def test_file_that_states_none_is_refused_by_its_path(text: str, told: str, workdir: Path) -> None:
    path = write(workdir, "mine", text)
    with pytest.raises(ConfigError) as refused:
        find("mine")
    assert str(refused.value).startswith(f"{path}: ")
    assert told in str(refused.value)


@pytest.mark.parametrize("schedule", ["17 1 * * *", "*/15 0-6 1,15 * 1-5", "0 0 31 12 7", "0 8-18/2 * * 0"])
def test_schedule_that_cron_reads(schedule: str) -> None:
    assert Pipeline("e", "a", schedule).schedule == schedule


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ("17 1 * *", "wanted five fields"),
        ("60 1 * * *", "got '60' for the minute"),
        ("0 5-2 * * *", "got '5-2' for the hour"),
        ("0 1 0 * *", "got '0' for the day of the month"),
        ("0 1 * mar *", "got 'mar' for the month"),
        ("0 1 * * 1,,2", "got '1,,2' for the day of the week"),
        ("*/0 1 * * *", "got '\\*/0' for the minute"),
    ],
)
def test_schedule_that_cron_would_not_read_is_refused(schedule: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Pipeline("e", "a", schedule)


@pytest.mark.parametrize(
    ("gates", "told"),
    [
        ({"alpha": 0.0}, "gates.alpha"),
        ({"max_failed": 1.5}, "gates.max_failed"),
        ({"coverage": {95.0: 0.0}}, "gates.coverage: got {95.0: 0.0}"),
        ({"coverage": {0.95: -0.1}}, "gates.coverage"),
    ],
)
def test_gate_that_is_no_probability_is_refused(gates: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Gates(**gates)


@pytest.mark.parametrize("date", ["2026-11-31", "20261122", "2026-W47-7", "today"])
def test_date_that_is_none_is_refused(date: str, workdir: Path) -> None:
    with pytest.raises(ConfigError, match="wanted YYYY-MM-DD"):
        call("pipeline", ["run", "nightly_calibration", "--date", date])
