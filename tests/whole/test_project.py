"""The project's own files: what is promised in them holds."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bayesrun
from places import ROOT
from readme_commands import readme_commands, readme_files

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
LOCKED_EXTRAS = ("dev", "formula", "s3")


def run(command: list[str], cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# ---- the lock


def test_lock_is_exact_pins_without_address_or_path() -> None:
    pin = re.compile(r"[a-z0-9][a-z0-9-]*==[A-Za-z0-9.!+]+( ; [a-z_]+ [!=<>in ]+.*)?")
    assert len(LOCK) > 100
    assert [line for line in LOCK if not pin.fullmatch(line) or "/" in line or "@" in line] == []


def test_lock_holds_everything_that_the_project_asks_for() -> None:
    locked = {r.name: r.specifier for r in map(Requirement, LOCK)}
    extras = PYPROJECT["project"]["optional-dependencies"]
    wanted = [*PYPROJECT["project"]["dependencies"], *(r for extra in LOCKED_EXTRAS for r in extras[extra])]
    for text in wanted:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{name} is not locked: make lock"
        (pin,) = locked[name]
        assert requirement.specifier.contains(pin.version, prereleases=True), f"lock has {name} {pin}, not {text}"


# ---- make, CI, version


def test_help_lists_every_target_with_a_line_about_it(workdir: Path) -> None:
    printed = run(["make", "-f", str(ROOT / "Makefile"), "-C", str(ROOT), "--no-print-directory", "help"], workdir)
    listed = dict(re.findall(r"^  make ([a-z-]+) +(\S.*)$", printed, re.MULTILINE))
    assert set(listed) == TARGETS
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) == TARGETS


def test_ci_is_executable_and_runs_the_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    text = script.read_text(encoding="utf-8")
    assert re.search(r"\bmake test$", text, re.MULTILINE)
    assert "make test" in readme_commands()
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_version_is_one() -> None:
    assert bayesrun.__version__ == PYPROJECT["project"]["version"] == importlib.metadata.version("bayesrun")


def test_every_version_in_the_changelog_starts_with_what_it_invalidates() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert versions[0].split()[0] == bayesrun.__version__
    for version in versions:
        assert re.findall(r"^### (.*)$", version, re.MULTILINE)[0] == "Invalidating changes"


# ---- README


@pytest.mark.parametrize("command", readme_commands())
def test_readme_command_is_one_that_exists(command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "make":
        assert set(arguments) <= TARGETS
    else:
        assert program == "bayesrun" or program.endswith("/bayesrun"), f"{program} is not a command of this project"


def test_readme_shows_the_files_that_its_commands_need() -> None:
    assert {"mine.py", "conf/model/mine.yaml"} <= set(readme_files())
    compile(readme_files()["mine.py"], "mine.py", "exec")


# ---- the wheel


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built wheel unpacked, as an installer would lay it out."""
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)], folder)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_wheel_holds_the_package_its_configs_and_the_launcher(site: Path) -> None:
    shipped = {p.relative_to(ROOT).as_posix() for p in (ROOT / "conf").rglob("*.yaml")}
    assert "conf/config.yaml" in shipped
    held = {p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file()}
    assert {f"bayesrun/{name}" for name in shipped} <= held
    sources = {p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src").rglob("*.py")}
    assert "hydra_plugins/bayesrun_launcher/__init__.py" in sources
    assert "hydra_plugins/__init__.py" not in sources, "a file there hides the plugins of other packages"
    tables = {p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src/bayesrun/data/published").glob("*.csv")}
    assert tables
    assert sources | tables | {"bayesrun/py.typed"} <= held


def test_wheel_holds_the_pipelines_and_finds_them(site: Path, workdir: Path) -> None:
    shipped = {p.relative_to(ROOT).as_posix() for p in (ROOT / "pipelines").rglob("*") if p.is_file()}
    shipped = {name for name in shipped if "__pycache__" not in name}
    assert "pipelines/nightly_calibration.py" in shipped
    assert shipped <= {p.relative_to(site / "bayesrun").as_posix() for p in (site / "bayesrun").rglob("*")}
    program = (
        "import sys; from bayesrun.command.main import main; sys.argv[1:] = ['pipeline', 'list']; sys.exit(main())"
    )
    listed = run([sys.executable, "-P", "-c", program], workdir, PYTHONPATH=str(site))
    assert {"nightly_calibration", "weekly_recovery"} <= set(listed.split())


def test_configs_resolve_from_the_checkout_and_from_the_wheel(site: Path, workdir: Path) -> None:
    program = "import bayesrun, sys; print(bayesrun.__file__); from bayesrun.command.main import main; sys.exit(main())"
    command = [sys.executable, "-P", "-c", program, "--cfg", "job"]
    from_checkout, checkout_job = run(command, workdir).split("\n", 1)
    from_wheel, wheel_job = run(command, workdir, PYTHONPATH=str(site)).split("\n", 1)
    assert Path(from_checkout).is_relative_to(ROOT / "src")
    assert Path(from_wheel).is_relative_to(site)
    assert "sampler:" in checkout_job
    assert wheel_job == checkout_job
    assert not list(workdir.iterdir()), "--cfg job leaves files behind"


# ---- the matrix of faults


def test_every_fault_is_brought_about_by_a_test_that_is_there() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| fault ")]
    assert len(rows) > 20
    for row in rows:
        tests = re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", row.rsplit(" | ", 1)[-1])
        assert tests, row
        for path, name in tests:
            assert (ROOT / path).exists(), path
            assert not name or f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), (path, name)
