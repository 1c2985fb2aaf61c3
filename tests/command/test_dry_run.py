"""The dry run refuses what the run would refuse, in the same words, and writes nothing."""

from pathlib import Path

import pytest

from command_line import bayesrun

TABLE = "x,y\n" + "\n".join(f"{x}.0,{2 * x + 1 + (-1) ** x * 0.1:.1f}" for x in range(8)) + "\n"
MODEL = """
import pymc as pm

def build(data, *, sigma: float = 1.0):
    with pm.Model() as model:
        a = pm.Normal("a", 0.0, sigma)
        b = pm.Normal("b", 0.0, sigma)
        pm.Normal("y_obs", a + b * data["x"], 1.0, observed=data["y"])
    return model
"""
SMALL = (
    "model=straight", "data=csv", "data.path=my.csv", "sampler.draws=20", "sampler.tune=20", "sampler.chains=1",
    "dispatch=serial", "track=off", "study.name=s",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.csv").write_text(TABLE)
    (tmp_path / "straight_line.py").write_text(MODEL)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "straight.yaml").write_text("_target_: straight_line.build\nsigma: 1.0\n")
    (tmp_path / "afile").touch()
    return tmp_path


def refused_twice(*arguments: str) -> str:
    """Refuse a command in a dry run and in a run, by the same text."""
    dry = bayesrun("--config-dir", "conf", *SMALL, *arguments, "dry_run=true")
    assert not Path("studies").exists()
    run = bayesrun("--config-dir", "conf", *SMALL, *arguments)
    assert dry.code == run.code == 2, (dry, run)
    assert dry.err == run.err
    assert "defect of bayesrun" not in dry.err
    return dry.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("model.sigma=-1",),
            "model=straight: its log density cannot be evaluated at the start: ParameterValueError: ",
        ),
        (("study.reference=nutts",), "study.reference: no sampler or cell is called 'nutts'; did you mean nuts?"),
        (
            ("study.objective=ess",),
            "study.objective: no diagnostic is called 'ess'; did you mean study.objective=ess_bulk_min? there are ",
        ),
        (("output.dir=afile/studies",), "afile is a file; choose another: output.dir=DIR"),
        (("track=mlflow", "track.uri=http://127.0.0.1:9"), "no MLflow server answers at http://127.0.0.1:9"),
        (
            ("track=mlflow", "track.uri=sqlite:////proc/x/y.db"),
            "cannot write the tracking database /proc/x/y.db: No such file or directory; correct track.uri, or go ",
        ),
        (("dispatch=ray", "dispatch.address=127.0.0.1:9"), "dispatch.address: no Ray cluster at 127.0.0.1:9"),
        (("dispatch=ray", "sampler.resources.num_gpus=64"), "sampler.resources.num_gpus: got 64; this machine has "),
        (
            ("dispatch=ray", "sampler.resources.num_cpus=1000"),
            "sampler.resources.num_cpus: got 1000; this machine has ",
        ),
        (('diagnostics.decisions=["P(aa > 0 | y) > 0.9"]',), "'P(aa > 0 | y) > 0.9' is about aa, and model=straight"),
        (("diagnostics.quantities={q: straight_line.nosuch}",), "straight_line has no function 'nosuch'"),
    ],
)
def test_what_a_run_refuses_a_dry_run_refuses(folder, arguments, message):
    assert message in refused_twice(*arguments)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("sigma: [1.0\n  x: 2\n", "line 3, column 4", "expected ',' or ']', but got ':'; close what was opened with"),
        ("\tsigma: 1.0\n", "line 2, column 1", "cannot start any token; indent with blanks, not with tabs"),
        ("sigma: 1.0\nsigma: 2.0\n", "line 3, column 1", "found duplicate key sigma; leave one of them out"),
        ("sigma: `a`\n", "line 2, column 8", "found character '`' that cannot start any token; put texts with"),
    ],
)
def test_a_broken_config_is_said_with_its_place(folder, text, place, message):
    file = folder / "conf" / "model" / "straight.yaml"
    file.write_text("_target_: straight_line.build\n" + text)
    said = refused_twice()
    assert f"{file}, {place}: this is no YAML: " in said
    assert message in said


def test_a_reference_to_nothing_is_said_with_the_key_that_makes_it(folder):
    (folder / "conf" / "model" / "straight.yaml").write_text("_target_: straight_line.build\nsigma: ${no.such}\n")
    assert "model.sigma: the config cannot be resolved: Interpolation key 'no.such' not found" in refused_twice()


def test_a_dry_run_asks_a_database_that_is_there_and_makes_none(folder):
    ran = bayesrun("--config-dir", "conf", *SMALL, "track=mlflow", "dry_run=true")
    assert ran.code == 0, ran
    assert not (folder / "studies").exists()
    (folder / "my.db").write_text("this is no database")
    assert "is not a SQLite database" in refused_twice("track=mlflow", f"track.uri=sqlite:///{folder}/my.db")
