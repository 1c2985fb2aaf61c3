"""Every command that README.md shows runs as it stands there, only shorter: fewer draws, no figures, no cluster."""

import shlex

import pytest

from command_line import bayesrun
from readme_commands import readme_commands, readme_files

# MLflow's SQL store uses a relationship that SQLAlchemy deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")

VERBS = (
    "diff", "status", "compare", "sync", "ui", "report", "plan", "forget", "migrate", "info", "show", "verify", "prune",
)  # fmt: skip
SHORTER = (
    "dispatch=serial", "sampler.draws=60", "sampler.tune=150", "sampler.chains=2", "sampler.iterations=500",
    "steps.figures=false", "steps.prior_predictive=false", "steps.posterior_predictive=false",
)  # fmt: skip
STUDIES = ("study.replicates=3", "study.ranks=99", "study.max_failed=1")
COMMANDS = [command for command in readme_commands() if command.startswith("bayesrun ")]
LONG = ("data.n=20,50,200", "sampler=nuts,advi,fullrank_advi", "+ (1|firm)", "parameterization=centered,noncentered")
"""What the commands have that take half a minute each: only planned, but for the slow tests."""


def is_long(command: str) -> bool:
    return any(word in command for word in LONG)


def test_there_are_commands():
    # the rest are targets of make: .ci/run runs `make test` and `make demo`
    assert len(COMMANDS) >= 10
    assert set(readme_commands()) - set(COMMANDS) == {"make demo", "make test"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with the files that README.md shows, shared by all commands as by a reader who tries them in turn."""
    folder = tmp_path_factory.mktemp("reader")
    for name, text in readme_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.usefixtures("no_study_figures")
@pytest.mark.parametrize(
    ("command", "planned"),
    [pytest.param(command, True, id=f"plan of {command}") for command in COMMANDS if is_long(command)]
    + [pytest.param(c, False, id=c, marks=[pytest.mark.slow] if is_long(c) else []) for c in COMMANDS],
)
def test_a_command_of_the_readme(project, monkeypatch, command, planned):
    monkeypatch.chdir(project)
    words = shlex.split(command)[1:]
    own = {word.split("=")[0] for word in words}
    shorter = [] if words[0] in VERBS else [word for word in SHORTER if word.split("=")[0] not in own]
    simulated = any(word.startswith(("study=", "+experiment=")) for word in words)
    if simulated:
        words = [word for word in words if not word.startswith("study.replicates=")]
        shorter += STUDIES
    ran = bayesrun(*words, *shorter, *(["dry_run=true"] if planned else []))
    # a handful of replicates may look like anything
    assert ran.code in ((0, 1) if simulated or words[0] == "report" else (0,)), ran
    assert ran.err == ""
