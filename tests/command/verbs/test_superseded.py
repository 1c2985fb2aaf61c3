"""An edited file makes fits of the past: they are told, left out, brought back where asked for, and forgotten."""

import importlib
import json
import shutil
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest

from bayesrun.figures.nested import methods
from command_line import Ran, bayesrun

MODEL = """
    import pymc as pm

    def build(data, sigma=1.0):
        with pm.Model() as model:
            mu = pm.Normal("mu", SHIFT, sigma)
            pm.Normal("y_obs", mu, 1.0, observed=data["y"])
        return model
"""
OFF = ("dispatch=serial", "track=off")
COMMAND = (
    "--config-dir", "conf", "model=past", "data=csv", "data.path=y.csv", "study.name=s",
    "sampler._target_=fake_samplers.sample", "sampler.draws=20", "sampler.chains=2", "steps.figures=false",
    "steps.prior_predictive=false", "steps.posterior_predictive=false", "gate.rhat_max=null",
    "gate.ess_bulk_per_chain=null", "gate.ess_tail_per_chain=null", "gate.bfmi_min=null",
)  # fmt: skip
FITS = (*COMMAND, *OFF)
FAILING = (*FITS, "++sampler.extra.raise=no")
SIMULATED = (*COMMAND, "study=recovery", "study.ranks=10", "study.max_failed=1", "study.replicates=3")
CELL = "past/y/nuts"


@pytest.fixture
def project(workdir, interpreted):
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "y.csv").write_text("y\n0.3\n-0.2\n1.4\n0.9\n")
    edited(workdir)
    yield workdir
    unloaded()


def unloaded() -> None:
    """Modules are imported afresh, as by another command."""
    sys.modules.pop("past_model", None)
    importlib.invalidate_caches()


def edited(folder, shift="0.0", sigma="1.0") -> None:
    (folder / "past_model.py").write_text(textwrap.dedent(MODEL).replace("SHIFT", shift))
    (folder / "conf" / "model" / "past.yaml").write_text(f"_target_: past_model.build\nsigma: {sigma}\n")
    unloaded()


def run(*command: str) -> Ran:
    unloaded()
    return bayesrun(*command)


def told(*command: str) -> str:
    return run(*command).out


def cells(folder) -> dict[str, str]:
    facts = json.loads((folder / "studies" / "s" / "study.json").read_text())
    return {one["cell"]["label"]: one["superseded"] for one in facts["cells"]}


def table(folder, name="fits") -> pd.DataFrame:
    return pd.read_parquet(folder / "studies" / "s" / "tables" / f"{name}.parquet").reset_index()


def keys(folder) -> set[str]:
    return {path.parent.name for path in folder.glob("studies/s/fits/*/outcome.json")}


def test_the_failure_of_a_model_that_was_mended_fails_the_study_no_more(project):
    """The sampler diverges in its first call only, so that the same words fail and then pass."""
    words = (*FITS, "gate.n_divergent=0", "gate.fail=true", "++sampler.extra={diverge: 1, log: calls.txt}")
    assert run(*words).code == 1
    assert run("status", "s").code == 1
    edited(project, shift="0.5")
    ran = run(*words)
    assert ran.code == 0, ran
    assert cells(project) == {f"{CELL} (superseded)": "the model's mu", CELL: ""}
    assert list(table(project)["cell"]) == [CELL]
    assert run("status", "s").code == 0
    assert "study s: finished, pass" in told("status", "s")


def test_superseded_fits_are_told_and_brought_back_where_asked_for(project):
    assert run(*FITS).code == 0
    edited(project, shift="0.5")
    ran = run(*FITS)
    line = (
        f"superseded: {CELL} (1 fit): its words now mean another fit (the model's mu); "
        "bayesrun forget s --superseded removes it"
    )
    assert line in ran.out
    assert line in told("status", "s")
    assert "1 fits, 1 done" in told("status", "s")
    assert "(superseded)" not in told("compare", "s")
    assert f"{CELL} (superseded)" in told("compare", "s", "--superseded")
    assert list(table(project)["cell"]) == [CELL]


def test_going_back_fits_nothing(project):
    run(*FITS)
    edited(project, shift="0.5")
    run(*FITS)
    both = keys(project)
    edited(project)
    assert "1 done" in told(*FITS, "dry_run=true")
    assert run(*FITS).code == 0
    assert cells(project) == {CELL: "", f"{CELL} (superseded)": "the model's mu"}
    assert keys(project) == both


@pytest.mark.parametrize("change", ["source", "config", "data"])
def test_whichever_file_is_edited_the_words_are_the_same(project, change):
    run(*FITS)
    if change == "data":
        (project / "y.csv").write_text("y\n5.3\n-0.2\n1.4\n0.9\n")
    else:
        edited(project, **({"shift": "0.5"} if change == "source" else {"sigma": "2.0"}))
    run(*FITS)
    assert list(cells(project)) == [f"{CELL} (superseded)", CELL]
    reason = {"source": "the model's mu", "config": "sigma 1 -> 2", "data": "data: y, row 1 (0.3 -> 5.3)"}[change]
    assert cells(project) == {f"{CELL} (superseded)": reason, CELL: ""}


def test_a_changed_override_adds_a_cell_and_an_edit_supersedes_each(project):
    run(*FITS)
    run(*FITS, "model.sigma=2.5")
    assert cells(project) == {f"{CELL} sigma=1.0": "", f"{CELL} sigma=2.5": ""}
    edited(project, shift="0.5")
    ran = run("-m", *FITS, "model.sigma=1.0,2.5")
    assert ran.code == 0, ran
    assert set(cells(project).values()) == {"", "the model's mu"}
    assert sorted(table(project)["cell"]) == [f"{CELL} sigma=1.0", f"{CELL} sigma=2.5"]


def test_a_simulation_study_measures_and_draws_the_new_cells_only(project):
    sweep = ("-m", *SIMULATED, *OFF, "sampler.tune=10,20")
    assert run(*sweep).code == 0
    old = table(project)
    edited(project, shift="0.5")
    ran = run(*sweep)
    assert ran.code == 0, ran
    names = [f"{CELL} sampler.tune=10", f"{CELL} sampler.tune=20"]
    for name in ("design", "fits", "measures", "states"):
        assert list(dict.fromkeys(table(project, name)["cell"])) == names, name
    assert not set(table(project)["key"]) & set(old["key"])
    assert set(methods(table(project, "design"))) == {""}
    assert (project / "studies" / "s" / "figures" / "nested_loop.png").exists()
    assert f"superseded: {names[0]} (3 fits): its words now mean another fit (the model's mu)" in told("status", "s")
    again = run("report", "s", "--superseded")
    assert again.code == 0, again
    assert list(table(project, "design")["model"]) == ["past", "past", "past (superseded)", "past (superseded)"]
    assert set(methods(table(project, "design"))) == {"past", "past (superseded)"}
    assert "superseded: " not in again.out
    assert "superseded: " in told("report", "s")
    assert list(table(project, "design")["cell"]) == names
    assert run("replay", "s", old["key"].iloc[0], "--data").code == 0


def test_status_names_what_failed_and_what_is_not_done(project):
    run(*SIMULATED, *OFF, "++sampler.extra.raise=no")
    assert f"failed: {CELL} (3 fits)" in told("status", "s")
    edited(project)
    run(*FITS, "study.name=t", "++sampler.extra.raise=no")
    assert f"failed: {CELL} (1 fit)" in told("status", "t")
    (fit,) = project.glob("studies/t/fits/*/outcome.json")
    fit.unlink()
    assert f"not done: {CELL} (1 fit)" in told("status", "t")


def test_forget_superseded(project):
    run(*FITS)
    old = keys(project)
    edited(project, shift="0.5")
    run(*FITS)
    new = keys(project) - old
    refused = run("forget", "s", "--superseded")
    assert refused.code == 2
    assert "add --yes" in refused.err
    assert f"{CELL} (superseded): 1 fit" in refused.out
    assert keys(project) == old | new
    ran = run("forget", "s", "--superseded", "--yes")
    assert ran.code == 0, ran
    assert "MLflow keeps its runs" in ran.out
    assert keys(project) == new
    assert cells(project) == {CELL: ""}
    assert list(table(project)["cell"]) == [CELL]
    assert "no such fits" in told("forget", "s", "--superseded", "--yes")


def test_what_is_forgotten_can_be_fitted_again(project):
    run(*FITS)
    (key,) = keys(project)
    draws = (project / "studies" / "s" / "fits" / key / "posterior.nc").stat().st_size
    ran = run("forget", "s", CELL, "--yes")
    assert f"{draws / 2**20:.1f} MiB" in ran.out
    assert "tables, figures and page were made of them" in ran.out
    assert cells(project) == {}
    assert not list(project.glob("studies/s/fits/*"))
    assert not list(project.glob("studies/s/tables/*.parquet"))
    assert "study s has no current cell" in run("status", "s").err
    assert run(*FITS).code == 0
    assert keys(project) == {key}
    assert cells(project) == {CELL: ""}


def data_of(folder) -> set[str]:
    return {path.name for path in folder.glob("studies/s/data/*")}


def test_data_that_no_other_fit_uses_are_forgotten_too(project):
    run(*FITS)
    old = data_of(project)
    (project / "y.csv").write_text("y\n5.3\n-0.2\n1.4\n0.9\n")
    run("-m", *FITS, "model.sigma=1.0,2.0")
    (new,) = data_of(project) - old
    (project / "studies" / "s" / "data" / "notes.nc").write_text("of the user")
    ran = run("forget", "s", "--superseded", "--yes")
    assert "  data that no other fit uses: 1 dataset, 0.0 MiB" in ran.out
    assert "of 1 cell, and 1 dataset, 0.0 MiB; MLflow keeps its runs" in ran.out
    assert data_of(project) == {new, "notes.nc"}
    for label, left in ((f"{CELL} sigma=2.0", {new, "notes.nc"}), (CELL, {"notes.nc"})):
        ran = run("forget", "s", label, "--yes")
        assert ran.code == 0, ran
        assert data_of(project) == left
        assert ("dataset" in ran.out) is (new not in left)
    assert run(*FITS).code == 0
    assert data_of(project) == {new, "notes.nc"}


def test_data_stay_while_a_fit_of_no_cell_may_have_been_fitted_to_them(project):
    run(*FITS)
    (key,), data = keys(project), data_of(project)
    fits = project / "studies" / "s" / "fits"
    shutil.copytree(fits / key, fits / "0123456789abcdef")
    assert run("forget", "s", CELL, "--yes").code == 0
    assert data_of(project) == data
    assert run("forget", "s", "--superseded", "--yes").code == 0
    assert data_of(project) == set()


def test_forget_by_key_and_failed_ones_only(project):
    run(*SIMULATED, *OFF)
    one, *others = table(project)["key"]
    (project / "other").mkdir()
    assert run("forget", "s", "--failed", "--yes").out.startswith("study s has no such fits")
    assert run("forget", "s", "--key", one, "--yes").code == 0
    assert keys(project) == set(others)
    assert not (project / "studies" / "s" / "report.html").exists()
    assert not list(project.glob("studies/s/figures/*.png"))
    assert cells(project) == {CELL: ""}
    assert f"not done: {CELL} (1 fit)" in told("status", "s")
    assert run(*SIMULATED, *OFF).code == 0
    assert keys(project) == {one, *others}


def test_forget_the_failed_fits_of_a_cell(project):
    run("-m", *FAILING, "model.sigma=1.0,2.0")
    assert len(keys(project)) == 2
    assert run("forget", "s", f"{CELL} sigma=1.0", "--failed", "--yes").code == 0
    assert list(cells(project)) == [CELL]
    assert len(keys(project)) == 1
    assert run("forget", "s", "--failed", "--yes").code == 0
    assert keys(project) == set()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "forget: nothing is named; wanted CELL, --key KEY, --superseded or --failed"),
        (("past/y/nutz",), f"has no cell 'past/y/nutz'; did you mean {CELL}? there are {CELL}"),
        (("--key", "0123"), "has no fit '0123'"),
        (("--key", "../../y.csv"), "has no fit '../../y.csv'"),
        (("--supersede",), "there is no option --supersede"),
    ],
)
def test_wrong_words_remove_nothing(project, words, message):
    run(*FITS)
    ran = run("forget", "s", *words, "--yes")
    assert ran.code == 2
    assert message in ran.err
    assert len(keys(project)) == 1


def test_fits_of_no_cell_are_of_the_past_too(project):
    """As keys that an earlier version made are."""
    run(*FITS)
    (key,) = keys(project)
    fits = project / "studies" / "s" / "fits"
    shutil.copytree(fits / key, fits / "0123456789abcdef")
    assert "superseded: of no cell (1 fit)" in told("status", "s")
    assert run("forget", "s", "--superseded", "--yes").code == 0
    assert keys(project) == {key}
    assert "superseded" not in told("status", "s")


def test_a_study_that_is_not_there_is_not_made(project):
    assert run("forget", "nobody", "--failed", "--yes").code == 2
    assert not (project / "studies" / "nobody").exists()


def test_a_fit_that_is_half_removed_is_not_taken_for_whole(project, monkeypatch):
    unlink = Path.unlink

    def stopped(path: Path, missing_ok: bool = False) -> None:
        if path.name == "posterior.nc":
            raise OSError(5, "stopped")
        unlink(path, missing_ok)

    run(*FITS)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", stopped)
        ran = run("forget", "s", CELL, "--yes")
    assert ran.code == 2
    assert "counts for nothing" in ran.err
    assert keys(project) == set()
    assert "outcome.json is missing" in told("status", "s")
    assert "0 done" in told("status", "s")
    assert run("forget", "s", CELL, "--yes").code == 0
    assert not list(project.glob("studies/s/fits/*"))


def test_a_link_to_another_place_is_left_alone(project):
    run(*FITS)
    (fit,) = project.glob("studies/s/fits/*")
    fit.rename(project / "elsewhere")
    fit.symlink_to(project / "elsewhere")
    ran = run("forget", "s", CELL, "--yes")
    assert ran.code == 2
    assert "is a link to another place" in ran.err
    assert (project / "elsewhere" / "outcome.json").exists()


def test_on_a_terminal_it_is_asked(project, monkeypatch):
    run(*FITS)
    monkeypatch.setattr("bayesrun.command.verbs.stored_study.sys.stdin.isatty", lambda: True, raising=False)
    answers = iter([False, True])
    monkeypatch.setattr("click.confirm", lambda _: next(answers))
    assert "nothing is removed" in told("forget", "s", CELL)
    assert len(keys(project)) == 1
    assert "removed: 1 fit" in told("forget", "s", CELL)
    assert keys(project) == set()


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")  # MLflow's own use of SQLAlchemy
@pytest.mark.parametrize(
    ("command", "role"), [(COMMAND, "fit"), pytest.param(SIMULATED, "cell", marks=pytest.mark.slow)]
)
def test_mlflow_is_told_and_loses_nothing(project, command, role):
    from mlflow import MlflowClient

    def tags() -> dict[str, str]:
        client = MlflowClient(f"sqlite:///{project / 'studies' / 'mlflow.db'}")
        (experiment,) = (one for one in client.search_experiments() if one.name == "bayesrun")
        runs = client.search_runs([experiment.experiment_id], f"tags.`bayesrun.role` = '{role}'")
        return {run.data.tags["bayesrun.key"]: run.data.tags.get("bayesrun.superseded", "") for run in runs}

    tracked = (*command, "dispatch=serial", "track=mlflow")
    run(*tracked)
    (old,) = tags()
    edited(project, shift="0.5")
    run(*tracked)
    (new,) = set(tags()) - {old}
    assert tags() == {old: "true", new: ""}
    assert run("sync", "s").code == 0
    assert tags() == {old: "true", new: ""}
    assert run("forget", "s", "--superseded", "--yes").code == 0
    assert run("sync", "s").code == 0
    assert tags() == {old: "true", new: ""}
