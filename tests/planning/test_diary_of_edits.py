"""A day of edits: what changes a posterior is fitted anew, and nothing else is.

Each edit is made to files and words of a user's study; keys say whether its fits are found again.
"""

import importlib
import sys
import textwrap
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
BASE = (*COMMON, "sampler.extra={cores: 1}", "diagnostics.quantities={doubled: diary_quantities.doubled}")
SIMULATED = (
    *COMMON, "study=recovery", "study.replicates=200", "sampler=advi_jax",
    "study.quantities={doubled: diary_quantities.doubled}",
)  # fmt: skip
FILES = {
    "diary_model.py": textwrap.dedent(MODEL),
    "diary_helper.py": HELPER,
    "diary_quantities.py": QUANTITIES,
    "line.csv": TABLE,
    "conf/model/diary.yaml": YAML,
}

# name: (file, old, new) or words that are added, and whether the fits are made anew
EDITS = {
    "a prior": (("model.slope_sigma=2",), True),
    "a prior in the file": (("conf/model/diary.yaml", YAML, YAML + "slope_sigma: 2\n"), True),
    "a default typed out": (("model.slope_sigma=1",), False),
    "a default in the file": (("diary_model.py", "slope_sigma: float = 1.0", "slope_sigma: float = 2.0"), True),
    "a row": (("line.csv", "0.5,1.9", "0.5,1.8"), True),
    "one row less": (("line.csv", "0.9,2.2,eve\n", ""), True),
    "the order of rows": (("line.csv", "0.1,1.2,ann\n0.5,1.9,bob\n", "0.5,1.9,bob\n0.1,1.2,ann\n"), True),
    "a column that no model uses": (("line.csv", "ann", "anne"), False),
    "a comment": (("diary_model.py", "WIDTH = 3.0", "# how wide\nWIDTH = 3.0"), False),
    "a docstring": (("diary_model.py", "    with pm.Model", '    """Line."""\n    with pm.Model'), False),
    "a helper, same value": (("diary_helper.py", "2.0 * x", "x + x"), False),
    "a helper, other value": (("diary_helper.py", "2.0 * x", "2.5 * x"), True),
    "another function of the file": (("diary_model.py", "def pointwise", "def more(): ...\n\ndef pointwise"), False),
    "another function of a helper": (("diary_helper.py", "return x\n", "return -x\n"), False),
    "a Python variable's name": (("diary_model.py", "WIDTH", "BREADTH"), False),
    "a global": (("diary_model.py", "WIDTH = 3.0", "WIDTH = 3.5"), True),
    "a closure": (("diary_model.py", "shifted(0.5)", "shifted(0.6)"), True),
    "what a closure does": (("diary_model.py", "return x + by", "return x - by"), True),
    "a CustomDist's logp": (("diary_model.py", "-0.5 * (value", "-0.6 * (value"), True),
    "a CustomDist's dist": (("diary_model.py", "mu, 1.5", "mu, 1.6"), True),
    "a start": (("diary_model.py", "initval=0.1", "initval=0.2"), True),
    "a variable's name": (("diary_model.py", '"b"', '"slope"'), True),
    "a distribution": (("diary_model.py", 'pm.Normal("b"', 'pm.Laplace("b"'), True),
    "a hook of pointwise terms": (("diary_model.py", 'pm.logp(model["y_obs"]', '0.0 + pm.logp(model["y_obs"]'), False),
    "a quantity's source": (("diary_quantities.py", "2.0", "3.0"), False),
    "draws": (("sampler.draws=500",), True),
    "cores": (("sampler.extra={cores: 2}",), False),
    "iterations, of another sampler": (("sampler.iterations=500",), False),
    "figures": (("steps.figures=false",), False),
    "a gate": (("gate.rhat_max=1.05",), False),
    "seed": (("study.seed=7",), True),
}  # fmt: skip


@pytest.fixture
def project(workdir):
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


def planned(*words: str) -> list[tuple[str, int, int]]:
    """Keys and seeds of all fits of a command."""
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
    return found


def edited(folder: Path, change: tuple[str, ...]) -> tuple[str, ...]:
    """Make an edit; words are returned."""
    if len(change) == 1:
        return change
    name, old, new = change
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    return ()


OTHERWISE = {
    "a row": False,  # the outcome is drawn
    "cores": None,  # advi_jax has none
    "a CustomDist's logp": None,  # what has a density only cannot be drawn from
    "draws": True,
    "iterations, of another sampler": True,
}
"""What differs from the above where data are simulated."""


@pytest.mark.parametrize(("command", "otherwise"), [(BASE, {}), (SIMULATED, OTHERWISE)], ids=["real", "simulated"])
def test_what_is_fitted_anew_after_an_edit(command, otherwise, project: Path) -> None:
    without = ('pm.CustomDist("c", a, logp=density)',) if command is SIMULATED else ()
    written(project, *without)
    first = planned(*command)
    assert len(set(first)) == len(first) == (200 if command is SIMULATED else 1)
    wrong = []
    for name, (change, real) in EDITS.items():
        anew = otherwise.get(name, real)
        if anew is None:
            continue
        words = edited(project, change)
        found = planned(*command, *words)
        if (set(found).isdisjoint(first) if anew else found == first) is not True:
            wrong.append(name)
        written(project, *without)
    assert not wrong
    assert planned(*command) == first
