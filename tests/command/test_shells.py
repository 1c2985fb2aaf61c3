"""A shell completes verbs and their words, and the groups, keys, values and flags of Hydra: what bash runs is run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bayesrun.command.completion import FOLDERS
from bayesrun.command.overrides import VALUED, flags
from command_line import bayesrun

PROGRAMS = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
ASK = """
    eval "$(bayesrun --completion bash)"
    COMP_LINE=$1 COMP_POINT=${#1}
    _bayesrun_completion bayesrun
    printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(line: str, breaks: str = "\"'><=;|&(:") -> list[str]:
    """Complete a line as bash does, by the function that the printed script registers."""
    done = subprocess.run(
        ["bash", "--norc", "-c", f"COMP_WORDBREAKS=$2\n{ASK}", "bash", line, breaks],
        capture_output=True, text=True, check=True, env=os.environ | {"PATH": PROGRAMS},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.fixture
def folder(workdir):
    for name in ("mine", "mean-engel", "other"):
        (workdir / "studies" / name).mkdir(parents=True)
    for name in ("mine", "mean-engel"):
        (workdir / "studies" / name / "study.json").touch()
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "my_own.yaml").touch()
    return workdir


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bayesrun sta", ["status"]),
        ("bayesrun mod", ["model.", "model="]),
        ("bayesrun sampler.dr", ["sampler.draws="]),
        ("bayesrun model=hier", ["hierarchical"]),
        ("bayesrun -m model=linear sampler=nuts,adv", ["nuts,advi", "nuts,advi_jax"]),
        ("bayesrun +exp", ["+experiment="]),
        ("bayesrun +experiment=sbc", ["sbc_eight_schools"]),
        ("bayesrun model=formula model.formula='y ~ a + b' model.fam", ["model.family="]),
        ("bayesrun --config-dir conf model=my", ["my_own"]),
        ("bayesrun --config-d", ["--config-dir"]),
        ("bayesrun --cfg j", ["job"]),
        ("bayesrun status ", ["mean-engel", "mine"]),
        ("bayesrun status mi", ["mine"]),
        ("bayesrun verify mine --js", ["--json"]),
        ("bayesrun status --output-dir conf ", []),
        ("bayesrun plan coverage=0.01 --pilot mi", ["mine"]),
        ("bayesrun info sam", ["sampler="]),
        ("bayesrun info model=hier", ["hierarchical"]),
        ("bayesrun info --config-dir conf model=my", ["my_own"]),
        ("bayesrun info model=linear diag", ["diagnostics"]),
        ("bayesrun info +experiment=sbc", ["sbc_eight_schools"]),
        ("bayesrun pipeline r", ["run"]),
        ("bayesrun pipeline run nightly", ["nightly_calibration"]),
        ("bayesrun model=nosuch sampler.dr", []),
    ],
)
def test_a_line_is_completed(folder, line, words):
    assert completed(line) == (words or [""])


def test_the_first_word_is_a_verb_or_an_override_and_a_later_one_no_verb(folder):
    first = completed("bayesrun ")
    assert {"status", "pipeline", "model=", "sampler.", "sampler=", "dry_run=", "+experiment="} <= set(first)
    assert not [word for word in first if word.startswith("hydra")]
    assert "status" not in completed("bayesrun model=linear ")


def test_a_word_is_given_whole_to_a_shell_that_does_not_break_it(folder):
    assert completed("bayesrun model=hier", " ") == ["model=hierarchical"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script_that_asks_and_is_answered(shell, workdir, monkeypatch):
    script = bayesrun("--completion", shell)
    assert (script.code, script.err) == (0, "")
    assert f"_BAYESRUN_COMPLETE={shell}_complete" in script.out
    assert bayesrun(f"--completion={shell}").out == script.out
    line = {"bash": {"COMP_LINE": "bayesrun sta"}, "zsh": {"COMP_WORDS": "bayesrun\nsta", "COMP_CWORD": "1"}}
    asked = line.get(shell, {"COMP_WORDS": "bayesrun sta", "COMP_CWORD": "sta"})
    for name, value in (asked | {"_BAYESRUN_COMPLETE": f"{shell}_complete"}).items():
        monkeypatch.setenv(name, value)
    assert bayesrun().out.split() == {"zsh": ["plain", "status", "_"]}.get(shell, ["plain,status"])


def test_another_shell_is_refused_with_those_that_there_are(workdir):
    for words in (("--completion", "bsh"), ("--completion",)):
        ran = bayesrun(*words)
        assert (ran.code, ran.out) == (2, "")
        assert "there are bash, fish, zsh; as in: eval " in ran.err
    assert "did you mean bash? " in bayesrun("--completion", "bsh").err


def test_flags_are_those_of_hydra():
    known = set(flags())
    assert {"--help", "--multirun", "--cfg"} <= known
    assert {name for name in VALUED | FOLDERS if name.startswith("--")} <= known
