"""Each verb has its sentence, a help with examples and an answer to wrong words; none is imported before its time."""

import re
import shlex
import subprocess
import sys
import textwrap

import click
import pytest

from bayesrun.command.verbs import VERBS, command
from command_line import bayesrun


def commands():
    """Every command that can be typed: the verbs, and what is below them."""
    for name in VERBS:
        found = command(name)
        yield name, found
        for below, part in getattr(found, "commands", {}).items():
            yield f"{name} {below}", part


@pytest.mark.parametrize("name", VERBS)
def test_a_file_of_the_verbs_name_has_its_command(name):
    found = command(name)
    assert isinstance(found, click.Command)
    assert (found.name, found.short_help) == (name, VERBS[name])


def test_the_help_lists_every_verb_with_its_sentence_and_the_groups_of_hydra(workdir):
    ran = bayesrun("--help")
    assert ran.code == 0
    listed = dict(re.findall(r"^  bayesrun ([a-z]+) +([A-Z].*)$", ran.out, re.MULTILINE))
    assert listed == dict(VERBS)
    assert "sampler: advi, advi_jax" in ran.out
    assert "target_accept: 0.95" in ran.out


def test_every_command_has_a_help_with_examples_that_its_own_words_allow(workdir):
    for name, found in commands():
        ran = bayesrun(*name.split(), "--help")
        assert (ran.code, ran.err) == (0, "")
        assert bayesrun(*name.split(), "-h").out == ran.out
        told, shown = ran.out.split("Examples:\n")
        assert " ".join(told.split()).startswith(f"Usage: bayesrun {name}")
        examples = [shlex.split(line) for line in shown.splitlines() if line]
        assert examples
        for program, *words in examples:
            verb = name.split()
            assert (program, words[: len(verb)]) == ("bayesrun", verb)
            found.make_context(name, words[len(verb) :])  # refuses words that are none of the command's


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("status", "status: STUDY is missing; wanted bayesrun status [OPTIONS] STUDY; bayesrun status --help has "),
        ("verify --jsn x", "verify: there is no option --jsn; did you mean --json? there are --help, "),
        ("status -v x", "status: there is no option -v; there are --help, --output-dir; "),
        ("status a b", "status: got unexpected extra argument (b); wanted bayesrun status [OPTIONS] STUDY; "),
        ("verify x --json=1", "verify: --json takes no value; wanted --json; "),
        ("status x --verify", "status: there is no option --verify any more; every file is read, not only posteriors"),
        ("prune x", "there is no study in "),
        ("status x", "there is no study in "),
        ("compare x --reference", "compare: --reference has no value; wanted --reference SAMPLER; "),
        ("replay x", "replay: FIT is missing; wanted bayesrun replay [OPTIONS] STUDY FIT; "),
        ("plan", "plan: MEASURE=MCSE... is missing; wanted bayesrun plan [OPTIONS] MEASURE=MCSE...; "),
        ("plan coverage", "coverage: wanted MEASURE=MCSE, for instance coverage=0.01"),
        ("plan cverage=1", "there is no measure 'cverage'. did you mean coverage? "),
        ("sync x --url=1", "sync: there is no option --url; did you mean --uri? there are "),
        ("pipeline", "pipeline: missing command; there are list, run; bayesrun pipeline --help has an example"),
        ("pipeline rnu", "pipeline: rnu: no verb of that name; did you mean run? there are list, run; "),
        ("pipeline list x", "pipeline list: got unexpected extra argument (x); wanted bayesrun pipeline list "),
        ("pipeline run", "pipeline run: NAME is missing; wanted bayesrun pipeline run [OPTIONS] NAME [OVERRIDES...]; "),
        ("pipeline run --daet 1", "pipeline run: there is no option --daet; did you mean --date? there are "),
        ("pipeline run nightly_calibration --date", "pipeline run: --date has no value; wanted --date YYYY-MM-DD; "),
        ("pipeline run nightly", "nightly: there is no pipeline of that name; did you mean nightly_calibration? "),
    ],
)  # fmt: skip
def test_wrong_words_are_refused_in_one_line_with_the_remedy(workdir, typed, told):
    ran = bayesrun(*typed.split())
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("bayesrun: ")
    assert told in ran.err
    assert not list(workdir.iterdir())


def test_tracebacks_are_asked_for_at_any_place(workdir):
    with pytest.raises(Exception, match="wanted MEASURE=MCSE"):
        bayesrun("plan", "verbose=true", "coverage")
    assert bayesrun("plan", "coverage=0.01", "verbose=true").code == 0


def test_no_verb_and_no_click_is_imported_before_it_is_called(workdir):
    program = """
        import sys
        from bayesrun.command.main import main
        try:
            main()
        except SystemExit:
            print(*[name for name in sys.modules if name == "click" or name.startswith("bayesrun.command.verbs.")])
    """

    def imported(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), *arguments], capture_output=True, text=True, check=True
        )
        return set(done.stdout.splitlines()[-1].split())

    assert imported("--help") == imported("--cfg", "job") == imported("--version") == set()
    verbs = {f"bayesrun.command.verbs.{name}" for name in VERBS}
    assert imported("ui", "--help") & verbs == {"bayesrun.command.verbs.ui"}


def test_whoever_reads_only_the_first_line_sees_no_error(workdir):
    line = f"{shlex.quote(sys.executable)} -m bayesrun --help | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("bayesrun: many fits")
    assert (done.returncode, done.stderr) == (0, "")
