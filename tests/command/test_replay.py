"""One fit again: the stored draws or how they differ, and what a model raises as the model's own."""

import functools
import json
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import fake_samplers
from bayesrun.base.imports import users_place
from bayesrun.command import wording
from bayesrun.command.replay import differences
from bayesrun.store.folder import Store
from command_line import bayesrun

MODEL = """
    from pathlib import Path
    import pymc as pm

    def build(data):
        if Path("broken").exists():
            raise LookupError("no such group")
        with pm.Model() as model:
            mu = pm.Normal("mu", 0.0, 1.0)
            pm.Deterministic("twice", 2.0 * mu)
            pm.Normal("y_obs", mu, 1.0, observed=data["y"])
        return model
"""
LINE = 7
STUDY = (
    "--config-dir", "conf", "model=own_means", "data=csv", "data.path=y.csv", "dispatch=serial", "track=off",
    "sampler._target_=fake_samplers.sample", "sampler.draws=20", "sampler.chains=2", "steps.figures=false",
    "study=recovery", "study.replicates=2", "study.ranks=10",
)  # fmt: skip


@pytest.fixture
def project(workdir, monkeypatch, no_study_figures):
    """A study of two replicates of a user's model, whose sampler draws in no time."""
    monkeypatch.delitem(sys.modules, "own_means", raising=False)
    (workdir / "own_means.py").write_text(textwrap.dedent(MODEL))
    conf = workdir / "conf" / "model"
    conf.mkdir(parents=True)
    (conf / "own_means.yaml").write_text("_target_: own_means.build\n")
    (workdir / "y.csv").write_text("y\n0.3\n-0.2\n1.4\n0.9\n")
    ran = bayesrun(*STUDY, "study.name=s")
    assert ran.err == "", ran
    return workdir


def test_the_stored_draws_are_told_and_others_end_with_one(project, monkeypatch):
    for arguments in (("replay", "s", "1"), ("replay", "s", "1", "verbose=true")):
        ran = bayesrun(*arguments)
        assert (ran.code, ran.err) == (0, "")
        assert "done: the stored draws" in ran.out
    real = fake_samplers._tree

    def moved(*arguments):
        tree = real(*arguments)
        tree["posterior"]["mu"][1, 3:5] += np.array([0.25, -0.5])
        return tree

    monkeypatch.setattr(fake_samplers, "_tree", moved)
    ran = bayesrun("replay", "s", "1")
    assert (ran.code, ran.err) == (1, "")
    told = ran.out.split("done: other draws than stored\n")[1].splitlines()
    assert told[0].strip() == "mu: 2 of 40 values differ, by up to 0.5"
    assert told[1].strip().startswith("they were stored by ")
    assert told[1].strip().endswith(" with the same versions of all packages")
    assert bayesrun("replay", "s", "1", "--data").code == 0
    for outcome in project.glob("studies/s/fits/*/outcome.json"):
        facts = json.loads(outcome.read_text())
        facts["versions"]["pymc"] = "1.0"
        del facts["sha256"]
        outcome.write_text(json.dumps(facts))
    assert " with pymc 1.0 (here " in bayesrun("replay", "s", "1").out


def test_draws_are_held_against_stored_ones_only_where_these_are_as_they_were_written(project):
    fits = pd.read_csv(project / "studies" / "s" / "tables" / "fits.csv").set_index("replicate")["key"]
    folder = Store(project / "studies" / "s").fit_folder(fits[1])
    (folder / "summary.parquet").unlink()
    assert "done: the stored draws" in bayesrun("replay", "s", "1").out
    content = bytearray((folder / "posterior.nc").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "posterior.nc").write_bytes(content)
    ran = bayesrun("replay", "s", "1")
    assert (ran.code, ran.err) == (1, "")
    assert "done: nothing stored to hold it against: posterior.nc was changed after it was written" in ran.out


def test_what_a_model_raises_is_shown_as_the_models(project):
    (project / "broken").touch()
    ran = bayesrun("replay", "s", "0")
    place = f"line {LINE} of {project / 'own_means.py'}"
    assert ran.code == 1
    assert f"failed: LookupError: no such group ({place})" in ran.out
    assert "Traceback" in ran.err
    assert 'raise LookupError("no such group")' in ran.err
    assert "defect" not in ran.err
    assert bayesrun("replay", "s", "9").code == 2


def test_what_a_quantity_raises_is_in_sight_too(project):
    (project / "own_quantities.py").write_text("def ratio(draws, data):\n    return draws['mu'] / {}['x']\n")
    again = (*STUDY, "study.name=q", "study.quantities={ratio: own_quantities.ratio}")
    assert "quantity ratio (own_quantities.ratio) failed" in bayesrun(*again).out
    ran = bayesrun("replay", "q", "0")
    assert ran.code == 1
    assert f"(line 2 of {project / 'own_quantities.py'})" in ran.out
    assert "return draws['mu'] / {}['x']" in ran.err


def test_posteriors_differ_in_values_shapes_or_variables():
    stored = xr.Dataset({"a": (("chain", "draw"), [[1.0, np.nan, 3.0]]), "k": (("chain", "draw"), [[1, 2, 3]])})
    assert differences(stored, stored.copy(deep=True)) == []
    drawn = stored.assign(k=stored["k"] + [0, 0, 4], new=stored["a"])
    assert differences(stored, drawn) == ["k: 1 of 3 values differ, by up to 4", "new: was not stored"]
    assert differences(stored, stored[["a"]].isel(draw=[0, 1])) == [
        "a: (1, 3) values are stored, and (1, 2) were drawn now",
        "k: is stored, and was not drawn now",
    ]


def test_a_users_exception_in_any_verb_has_its_file_and_line_and_ours_is_a_defect(capsys, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "users_hook.py").write_text("import json\n\ndef hook():\n    json.loads('{')\n")
    import users_hook

    assert wording.reported(users_hook.hook) == 1
    told = capsys.readouterr().err
    assert told.startswith("bayesrun: JSONDecodeError: Expecting property name")
    assert f"(line 4 of {tmp_path / 'users_hook.py'}); this is code of yours" in told
    assert wording.reported(functools.partial(json.loads, "{")) == 1
    assert "; this is a defect of bayesrun, and verbose=true shows where" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device", "/nowhere/a"), "bayesrun: the disk of /nowhere is full: make room"),
        (OSError(28, "No space left on device"), "bayesrun: a disk is full: make room there, be it that of "),
        (OSError(30, "Read-only file system"), "bayesrun: a disk is read-only: mount it for writing, be it that of "),
        (OSError(122, "Disk quota exceeded"), "bayesrun: the quota on a disk is used up: remove what is not "),
    ],
)
def test_a_disk_that_is_full_is_no_defect(capsys, error, told):
    def write():
        raise error

    assert wording.reported(write) == 1
    assert capsys.readouterr().err.startswith(told)


def test_the_place_is_the_innermost_of_the_users():
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    error = caught.value
    assert str(users_place(error)).endswith(f" of {__file__}")
    assert users_place(error.with_traceback(error.__traceback__.tb_next)) is None
