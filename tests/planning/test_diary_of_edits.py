"""A day of edits: what changes a posterior is fitted anew, and nothing else is.

Each edit is made to files and words of a user's study; keys say whether its fits are found again.
"""

import importlib
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import pytest

from bayesrun.command import study
from command_line import bayesrun

MODEL = """
    import numpy as np
    import pymc as pm
    import pytensor.tensor as pt
    from diary_helper import twice

    WIDTH = 3.0

    def density(value, mu):
        return -0.5 * (value - mu) ** 2

    def likely(mu, size):
        return pm.Normal.dist(mu, 1.5, size=size)

    def shifted(by):
        def shift(x):
            return x + by
        return shift

    def build(data, slope_sigma: float = 1.0):
        with pm.Model() as model:
            a = pm.Normal("a", 0.0, twice(WIDTH), initval=0.1)
            b = pm.Normal("b", shifted(0.5)(0.0), slope_sigma)
            pm.CustomDist("c", a, logp=density)
            pm.CustomDist("d", a, dist=likely)
            pm.Normal("y_obs", a + b * data["x"], 1.0, observed=data["y"])
        return model

    def pointwise(model, data):
        return {"y_obs": pm.logp(model["y_obs"], data["y"])}
"""
HELPER = "def twice(x):\n    return 2.0 * x\n\n\ndef other(x):\n    return x\n"
TABLE = "x,y,name\n0.1,1.2,ann\n0.5,1.9,bob\n0.9,2.2,eve\n1.4,3.1,dan\n"
QUANTITIES = "def doubled(draws, data):\n    return 2.0 * draws['a']\n"
YAML = "_target_: diary_model.build\n"
COMMON = (
    "--config-dir", "conf", "model=diary", "data=csv", "data.path=line.csv", "study.name=diary", "track=off",
    "dispatch=serial",
)  # fmt: skip
SMALL = (
    "sampler=advi_jax", "sampler.iterations=200", "sampler.draws=20", "sampler.chains=2", "steps.figures=false",
    "steps.prior_predictive=false", "steps.posterior_predictive=false",
)  # fmt: skip
BASE = (*COMMON, *SMALL, "diagnostics.quantities={doubled: diary_quantities.doubled}")
SIMULATED = (
    *COMMON, *SMALL, "study=recovery", "study.replicates=200", "study.ranks=10", "study.max_failed=1",
    "study.quantities={doubled: diary_quantities.doubled}",
)  # fmt: skip
FILES = {
    "diary_model.py": textwrap.dedent(MODEL),
    "diary_helper.py": HELPER,
    "diary_quantities.py": QUANTITIES,
    "line.csv": TABLE,
    "conf/model/diary.yaml": YAML,
}

# name: (file, old, new) or words that are added, and why the fits are made anew, as the plan has to say, if they are
EDITS: dict[str, tuple[tuple[str, ...], str]] = {
    "a prior": (("model.slope_sigma=2",), "slope_sigma 1 -> 2"),
    "a prior in the file": (("conf/model/diary.yaml", YAML, YAML + "slope_sigma: 2\n"), "slope_sigma 1 -> 2"),
    "a default typed out": (("model.slope_sigma=1",), ""),
    "a default in the file": (("diary_model.py", "sigma: float = 1.0", "sigma: float = 2.0"), "slope_sigma 1 -> 2"),
    "a row": (("line.csv", "0.5,1.9", "0.5,1.8"), "data: y, row 2 (1.9 -> 1.8)"),
    "one row less": (("line.csv", "0.9,2.2,eve\n", ""), "data: 3 rows instead of 4"),
    "the order of rows": (
        ("line.csv", "0.1,1.2,ann\n0.5,1.9,bob\n", "0.5,1.9,bob\n0.1,1.2,ann\n"), "data: rows in another order",
    ),
    "a column that no model uses": (("line.csv", "ann", "anne"), ""),
    "a comment": (("diary_model.py", "WIDTH = 3.0", "# how wide\nWIDTH = 3.0"), ""),
    "a docstring": (("diary_model.py", "    with pm.Model", '    """Line."""\n    with pm.Model'), ""),
    "a helper, same value": (("diary_helper.py", "2.0 * x", "x + x"), ""),
    "a helper, other value": (("diary_helper.py", "2.0 * x", "2.5 * x"), "the model's a"),
    "another function of the file": (("diary_model.py", "def pointwise", "def more(): ...\n\ndef pointwise"), ""),
    "another function of a helper": (("diary_helper.py", "return x\n", "return -x\n"), ""),
    "a Python variable's name": (("diary_model.py", "WIDTH", "BREADTH"), ""),
    "a global": (("diary_model.py", "WIDTH = 3.0", "WIDTH = 3.5"), "the model's a"),
    "a closure": (("diary_model.py", "shifted(0.5)", "shifted(0.6)"), "the model's b"),
    "what a closure does": (("diary_model.py", "return x + by", "return x - by"), "the model's b"),
    "a CustomDist's logp": (("diary_model.py", "-0.5 * (value", "-0.6 * (value"), "the model's c"),
    "a CustomDist's dist": (("diary_model.py", "mu, 1.5", "mu, 1.6"), "the model's d"),
    "a start": (("diary_model.py", "initval=0.1", "initval=0.2"), "coords, dims, starts or the order of variables"),
    "a variable's name": (("diary_model.py", '"b"', '"slope"'), "variable b renamed to slope"),
    "another variable": (("diary_model.py", "        b =", '        pm.Normal("z")\n        b ='), "variable z is new"),
    "a distribution": (("diary_model.py", 'pm.Normal("b"', 'pm.Laplace("b"'), "the model's b"),
    "a hook of pointwise terms": (("diary_model.py", 'pm.logp(model["y_obs"]', '0.0 + pm.logp(model["y_obs"]'), ""),
    "a quantity's source": (("diary_quantities.py", "2.0", "3.0"), ""),
    "draws": (("sampler.draws=30",), "draws 20 -> 30"),
    "iterations and draws": (("sampler.iterations=500", "sampler.draws=30"), "draws 20 -> 30, iterations 200 -> 500"),
    "figures": (("steps.figures=true",), ""),
    "a gate": (("gate.khat=0.9",), ""),
}  # fmt: skip
OTHERWISE = {
    "a row": "",  # the outcome is drawn
    "a CustomDist's logp": None,  # what has a density only cannot be drawn from
    "a quantity's source": "",
}
"""What differs from the above where data are simulated: nothing of it that is None can be tried."""


@pytest.fixture
def project(workdir, no_study_figures):
    written(workdir)
    yield workdir
    forget()


def written(folder: Path, *without: str) -> None:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("".join(line for line in text.splitlines(True) if line.strip() not in without))
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.startswith("diary_")]:
        sys.modules.pop(name)
    importlib.invalidate_caches()


def planned(*words: str) -> tuple[list[tuple[str, int, int]], str]:
    """Keys and seeds of all fits of a command, and what its dry run says."""
    found: list[tuple[str, int, int]] = []
    expand = study.expand

    def kept(*given: object, **options: object) -> object:
        plan = expand(*given, **options)
        found.extend((spec.key, spec.fit_seed, spec.data_seed) for spec in plan.specs)
        return plan

    forget()
    with mock.patch.object(study, "expand", kept):
        ran = bayesrun(*words, "dry_run=true")
    assert ran.code == 0, ran.err
    return found, ran.out


def edited(folder: Path, change: tuple[str, ...]) -> tuple[str, ...]:
    """Make an edit; words are returned."""
    if "=" in change[0]:
        return change
    name, old, new = change
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    return ()


@pytest.mark.parametrize(
    ("command", "otherwise"),
    [pytest.param(BASE, {}, id="real"), pytest.param(SIMULATED, OTHERWISE, id="simulated", marks=pytest.mark.slow)],
)
def test_what_is_fitted_anew_after_an_edit(command, otherwise, project: Path) -> None:
    without = ('pm.CustomDist("c", a, logp=density)',) if command is SIMULATED else ()
    written(project, *without)
    forget()
    assert "0 done" in bayesrun(*command).out
    first, told = planned(*command)
    assert len(set(first)) == len(first) == (200 if command is SIMULATED else 1)
    assert f"{len(first)} done, 0 to do" in told
    wrong = {}
    for name, (change, real) in EDITS.items():
        reason = otherwise.get(name, real)
        if reason is None:
            continue
        found, told = planned(*command, *edited(project, change))
        why = [line.partition(": ")[2].partition(": ")[2] for line in told.splitlines() if line.startswith("anew: ")]
        if (why, set(found).isdisjoint(first)) != ([reason], True) if reason else (why, found) != ([], first):
            wrong[name] = why
        written(project, *without)
    assert wrong == {}
    assert planned(*command)[0] == first


@pytest.fixture
def upgraded(monkeypatch):
    """Makes another version of PyMC be installed, which writes a normal variable as `normal` does."""
    import pymc as pm

    from bayesrun.base import machine

    real, known = pm.Normal, machine.version

    def install(version: str, normal=None) -> None:
        monkeypatch.setattr(machine, "version", lambda name: version if name == "pymc" else known(name))
        machine.versions.cache_clear()
        if normal is not None:
            monkeypatch.setattr(pm, "Normal", lambda *args, **options: normal(real, *args, **options))

    yield install
    monkeypatch.undo()
    machine.versions.cache_clear()


def test_an_upgrade_that_changes_the_graph_is_the_reason_and_another_one_draws_nothing(project: Path, upgraded) -> None:
    import pytensor.tensor as pt

    written(project, 'pm.CustomDist("d", a, dist=likely)')  # which has code of the user's with a normal variable
    forget()
    before = version("pymc")
    assert "0 done" in bayesrun(*BASE).out
    first, _ = planned(*BASE)
    upgraded("99.1")
    found, told = planned(*BASE)
    assert (found, "anew" in told) == (first, False)
    assert "1 done, 0 to do" in told

    def normal(real, name, mu=0.0, sigma=1.0, **options):
        return real(name, mu, pt.sqrt(pt.square(pt.as_tensor(sigma))), **options)

    upgraded("99.2", normal)
    found, told = planned(*BASE)
    assert found != first
    assert f"diary/line/advi_jax: the graph is another one with pymc 99.2 (drawn with {before})" in told
    _, told = planned(*BASE, "model.slope_sigma=2")
    assert "slope_sigma 1 -> 2" in told
    assert bayesrun(*BASE).code == 0
    assert (
        f"another fit (the graph is another one with pymc 99.2 (drawn with {before}))"
        in bayesrun("status", "diary").out
    )


def test_where_chains_run_changes_no_fit(project: Path) -> None:
    first, _ = planned(*COMMON, "sampler.extra={cores: 1}")
    assert planned(*COMMON, "sampler.extra={cores: 2}")[0] == first
    assert planned(*COMMON, "sampler.iterations=500")[0] == first  # an option of other samplers
    assert planned(*COMMON, "sampler.extra={init: adapt_diag}")[0] != first
