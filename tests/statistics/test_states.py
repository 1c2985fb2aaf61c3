"""One function says in which state a study is: the README's table, row by row, and what every verb ends with."""

import re

import pytest

from bayesrun.base import verb_hints
from bayesrun.planning.config import shipped_conf
from bayesrun.statistics import gates, states
from bayesrun.statistics.states import EXIT_CODES, WORDS, Standing, cell_state, sentence, study_state
from bayesrun.track.fit_runs import run_status
from bayesrun.types import Gate
from places import README


@pytest.mark.parametrize(
    ("standing", "finding", "state"),
    [
        (Standing(60), "pass", "pass"),
        (Standing(60), "note", "note"),
        (Standing(60), "fail", "fail"),
        (Standing(60, missing=57), "pass", "unfinished"),
        (Standing(60, missing=60), "note", "unfinished"),
        (Standing(60, missing=1), "fail", "unfinished"),  # what is missing may say otherwise
        (Standing(60, failed=59, missing=1, enough=False), "pass", "unfinished"),
        (Standing(60, not_converged=2), "pass", "pass"),
        (Standing(60, not_converged=2, strict=True), "pass", "fail"),
        (Standing(60, failed=2, strict=True), "pass", "fail"),
        (Standing(60, strict=True), "pass", "pass"),
        (Standing(60, failed=3), "note", "note"),
        (Standing(60, failed=4, enough=False), "pass", "fail"),
        (Standing(60, failed=60), "pass", "fail"),  # also where all may fail, nothing is known
        (Standing(1, failed=1, enough=False), "pass", "fail"),
    ],
)
def test_state_of_a_cell(standing, finding, state):
    assert cell_state(standing, finding) == state


@pytest.mark.parametrize(
    ("cells", "state"),
    [
        (["pass", "pass"], "pass"),
        (["pass", "note"], "note"),
        (["fail", "note"], "fail"),
        (["fail", "unfinished", "pass"], "unfinished"),
        ([], "unfinished"),
    ],
)
def test_a_study_is_in_the_worst_state_of_its_cells(cells, state):
    assert study_state(cells) == state
    assert study_state(cells, refused=1) == ("unfinished" if state == "unfinished" else "fail")


def test_the_table_of_the_readme_is_what_is_done():
    """State, words, exit codes and the status of MLflow stand there once."""
    lines = README.read_text().splitlines()
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines if re.match(r"\| `\w+` \|", line)]
    table = {state: rest for state, *rest in rows if state in WORDS}
    assert set(table) == set(WORDS)
    for state, (words, _when, code, pipeline, status) in table.items():
        assert words == WORDS[state]
        assert code == str(EXIT_CODES[state])
        assert pipeline == {"unfinished": "2"}.get(state, code)
        assert status == run_status(state)


def test_the_sentence_counts_what_is_missing():
    cells = [Standing(60, missing=57), Standing(60)]
    assert sentence("s", "unfinished", cells) == (
        "study s: unfinished: 57 of 120 fits are not there; the command that asked for them goes on from there"
    )
    assert sentence("s", "fail", [Standing(60)]) == "study s: finished, fail"
    assert sentence("s", "fail", [Standing(60)], 2) == "study s: finished, fail: 2 datasets are not fitted"
    assert states.ORDER == ("pass", "note", "fail", "unfinished")


def test_thresholds_that_nobody_asked_for_are_those_of_the_configs():
    from omegaconf import OmegaConf

    conf = shipped_conf()
    default = dict(OmegaConf.load(conf / "gate" / "default.yaml"))
    assert Gate(**default) == Gate()
    for kind in ("sbc", "recovery", "power"):
        own = dict(OmegaConf.load(conf / "study" / f"{kind}.yaml")["gate"])
        assert Gate(**(default | own)) == gates.SIMULATED


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        ("studies/s", "bayesrun sync s"),
        ("elsewhere/s", "bayesrun sync s --output-dir {here}/elsewhere"),
        ("studies/deep/s", "bayesrun sync s --output-dir {here}/studies/deep"),
        ("my studies/s", "bayesrun sync s --output-dir '{here}/my studies'"),
    ],
)
def test_a_hint_names_the_folder_where_it_is_not_the_default(workdir, folder, command):
    assert verb_hints.verb("sync", workdir / folder) == command.format(here=workdir)
