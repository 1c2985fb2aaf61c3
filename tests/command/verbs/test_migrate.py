"""Fits of the older format are kept where what they are can be shown, and stay where they are otherwise."""

import dataclasses
import importlib
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytensor
import pytest

from bayesrun.base.imports import make_importable
from bayesrun.command import migrate
from bayesrun.planning.former import former_key
from bayesrun.report import study_file
from bayesrun.samplers.metropolis import VERSION
from bayesrun.store.folder import Store
from command_line import Ran, bayesrun
from older_studies import drawn_as_before, make_older

MODEL = """
    import pymc as pm

    def build(data, sigma=1.0):
        with pm.Model() as model:
            mu = pm.Normal("mu", 0.5, sigma)
            pm.Deterministic("twice", TWO * mu)
            pm.Normal("y_obs", mu, 1.0, observed=data["y"])
        return model

    def share(draws, data):
        return draws["mu"] > 0.5
"""
COMMAND = (
    "--config-dir", "conf", "-m", "model=past", "model.sigma=1,2", "data=csv", "data.path=y.csv", "study.name=s",
    "sampler=metropolis", "sampler.draws=30", "sampler.tune=20", "sampler.chains=2", "steps.figures=false",
    "steps.prior_predictive=false", "steps.posterior_predictive=false", "dispatch=serial", "track=off",
)  # fmt: skip
ONE, TWO = (f"past/y/metropolis sigma={sigma}" for sigma in ("1.0", "2.0"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A folder with a study of two fits, as the older format wrote it down, and its keys by those of this format.

    The older format has the path of a data file from the root on, so that every test works in the same folder.
    """
    folder = tmp_path_factory.mktemp("older") / "work"
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "past.yaml").write_text("_target_: past_model.build\n")
    (folder / "y.csv").write_text("y,note\n0.3,a\n-0.2,b\n1.4,c\n0.9,d\n")
    edited(folder)
    with pytest.MonkeyPatch.context() as before, pytensor.config.change_flags(mode="FAST_COMPILE"):
        before.chdir(folder)
        drawn_as_before(before)
        ran = run(*COMMAND)
    assert ran.code == 0, ran
    keys = make_older(store(folder))
    shutil.copytree(folder, folder.with_name("kept"))
    return folder, keys


@pytest.fixture
def project(drawn, monkeypatch, interpreted) -> Iterator[Path]:
    """It, as it was at first, as the working directory."""
    shutil.rmtree(drawn[0])
    shutil.copytree(drawn[0].with_name("kept"), drawn[0])
    monkeypatch.chdir(drawn[0])
    unloaded()
    yield drawn[0]
    unloaded()


@pytest.fixture
def older(drawn, project) -> dict[str, str]:
    return drawn[1]


def unloaded() -> None:
    sys.modules.pop("past_model", None)
    importlib.invalidate_caches()


def edited(folder: Path, before: str = "", after: str = "") -> None:
    text = textwrap.dedent(MODEL).replace("TWO", "2.0")
    assert before in text
    (folder / "past_model.py").write_text(text.replace(before, after) if before else text)
    unloaded()


def store(folder: Path) -> Store:
    return Store(folder / "studies" / "s")


def run(*command: str) -> Ran:
    unloaded()
    return bayesrun(*command)


def told(*command: str) -> str:
    """What a command says, however its tables break the lines."""
    ran = run(*command)
    assert ran.code == 0, ran
    return " ".join(ran.out.split())


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in (folder / "studies").rglob("*")
        if path.is_file() and path.name != "study.lock"
    }


def posteriors(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in folder.glob("studies/s/fits/*/posterior.nc")}


def rewritten(path: Path, change) -> None:
    """Change a JSON file of an older version, which had no digest of it."""
    said = json.loads(path.read_text())
    said.pop("sha256", None)
    change(said)
    path.write_text(json.dumps(said))


def test_migrated_fits_are_found_done_and_drawn_again_as_they_were(project, older):
    had, before = files(project), posteriors(project)
    assert run(*COMMAND, "dry_run=true").out.startswith(
        "2 fits of an older format, whose keys and seeds were made in another way: bayesrun migrate s keeps those"
    )
    status = " ".join(run("status", "s").out.split())
    assert "superseded: of an older format (2 fits): bayesrun migrate s keeps what can be shown to be a fit" in status
    dry = told("migrate", "s", "--dry-run")
    for key in older.values():
        assert key in dry
    assert "2 of 2 fits can be migrated, 0 left nothing was written" in dry
    assert files(project) == had
    assert "study s: 2 of 2 fits migrated, 0 left" in told("migrate", "s")
    assert posteriors(project) == {new: before[old] for new, old in older.items()}
    assert "2 fits, 2 done" in told("status", "s")
    assert "has no fits of an older format" in told("migrate", "s")
    again = told(*COMMAND)
    assert "nothing to fit: every fit of this study is done" in again
    assert "older format" not in again
    assert "superseded" not in told("status", "s")
    for new, old in older.items():
        outcome = store(project).done(new)
        assert outcome.migrated["key"] == old
        replayed = told("replay", "s", new)
        assert f"drawn in format 1, as {old} with seed {outcome.migrated['fit_seed']}" in replayed
        assert "done: the stored draws" in replayed


def test_a_step_that_is_added_later_keeps_what_a_fit_was_drawn_with(project, older):
    run("migrate", "s")
    assert "2 done" not in told(*COMMAND, "steps.posterior_predictive=true").split("estimate")[0]
    for new, old in older.items():
        outcome = store(project).done(new)
        assert outcome.steps.posterior_predictive
        assert outcome.migrated["key"] == old
    assert "done: the stored draws" in told("replay", "s", new)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('"mu", 0.5', '"mu", 0.6', "the log density at a draw is"),
        ("2.0 * mu", "2.5 * mu", "twice is computed in another way now"),
        ('data["y"]', '2 * data["y"]', "y_obs has other values in observed_data"),
        ('"twice"', '"double"', "it has the variables mu, twice, and the model has mu, double now"),
        ("import pymc", "import nothing_of_this_name, pymc", "nothing_of_this_name"),
    ],
)
def test_another_model_now_moves_nothing(project, older, before, after, why):
    edited(project, before, after)
    had = files(project)
    found = told("migrate", "s")
    assert "study s: 0 of 2 fits migrated, 2 left" in found
    assert why in found
    assert files(project) == had


def test_what_is_left_is_announced_drawn_again_and_then_of_the_past(project, older):
    path = store(project).fit_folder(sorted(older.values())[0]) / "posterior.nc"
    path.write_bytes(path.read_bytes()[:-1])
    found = told("migrate", "s")
    assert "posterior.nc was changed after it was written" in found
    assert "study s: 1 of 2 fits migrated, 1 left" in found
    again = told(*COMMAND)
    assert again.startswith("1 fit of an older format")
    assert "study s: 2 fits, 1 done, 1 to do" in again
    assert "fit of an older format" not in told(*COMMAND)
    assert "its recipe was drawn again since, as" in told("migrate", "s")
    told("forget", "s", "--superseded", "--yes")
    assert set(posteriors(project)) == set(older)
    assert "2 fits, 2 done" in told("status", "s")


def test_another_sampler_moves_nothing(project, older):
    for change, why in (
        ({"sampler_version": 1}, "metropolis version 1 -> "),
        ({"sampler_version": "1-abc"}, "metropolis is known by its source, and by another digest now"),
        ({"sampler_version": VERSION, "sampler_options": ["draws", "tune"]}, "metropolis reads chains"),
    ):
        as_if_drawn_with(store(project), change)
        assert why in told("migrate", "s", "--dry-run")


def as_if_drawn_with(store: Store, change: dict[str, object]) -> None:
    """Change what the first cell says, and the key of its fit with it."""
    seed, _, (cell, *_) = study_file.read_design(store)
    before = store.fit_folder(former_key(cell, seed, 0))
    rewritten(store.study_file, lambda facts: facts["cells"][0].update(change))
    now = store.fit_folder(former_key(study_file.read_design(store)[2][0], seed, 0))
    before.rename(now)
    rewritten(now / "outcome.json", lambda said: said.update(key=now.name))


def test_lost_data_move_nothing(project, older):
    (data,) = (project / "studies" / "s" / "data").glob("*.nc")
    data.unlink()
    assert "is missing; the command of its study makes it again" in told("migrate", "s")
    assert len(posteriors(project)) == 2


@pytest.mark.parametrize("stopped", ["adopt", "write_study", "forget_fit"])
def test_a_move_that_is_stopped_loses_nothing_and_goes_on(project, older, monkeypatch, stopped):
    had = posteriors(project)
    real, calls = getattr(Store, stopped), []

    def killed(*arguments):
        calls.append(arguments)
        if stopped != "adopt" or len(calls) > 1:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as broken:
        broken.setattr(Store, stopped, killed)
        assert run("migrate", "s").code != 0
    assert had.items() <= posteriors(project).items()
    found = told("migrate", "s")
    assert ("2 moved before, whose old folders are removed" if stopped == "forget_fit" else "2 of 2 fits") in found
    assert set(posteriors(project)) == set(older)
    assert "2 fits, 2 done" in told("status", "s")


def test_a_folder_that_was_half_removed_is_removed(project, older):
    assert "2 of 2" in told("migrate", "s")
    half = store(project).fit_folder(next(iter(older.values())))
    half.mkdir()
    (half / "posterior.nc").write_bytes(b"rest")
    assert "1 moved before, whose old folders are removed" in told("migrate", "s")
    assert not half.exists()


def test_two_descriptions_of_one_fit_are_one_now(project, older):
    """As a default that was typed out, which was another key."""
    make_importable(project)
    first, second = migrate.fates(store(project))
    assert [first.cell, second.cell] == [ONE, TWO]
    typed = dataclasses.replace(first, key="f" * 16)
    kept, left = migrate._once([first, typed])
    assert kept == first
    assert (left.outcome, left.why) == (None, f"it and {first.key} are one fit now")


def test_failed_fits_and_folders_of_no_cell_stay(project, older):
    one, two = sorted(older.values())
    folder = store(project).fit_folder(one)
    (folder / "posterior.nc").unlink()
    rewritten(folder / "outcome.json", lambda said: said.update(status="failed", reason="error", checksum="", size=0))
    store(project).fit_folder(two).rename(store(project).fit_folder("f" * 16))
    found = told("migrate", "s")
    assert "it failed (error), and no draws are stored" in found
    assert "the design of the study has no cell whose fit this is" in found
    assert "0 of 2 fits migrated, 2 left" in found


def test_simulated_fits_stay(project, older):
    """Two replicates of a cell, whose datasets had seeds of their generator's."""
    generator = {"name": "past", "path": "past_model.build", "params": {}}
    as_if_drawn_with(store(project), {"simulation": {"generator": generator, "fingerprint": "f"}, "replicates": 2})
    seed, _, (cell, _) = study_file.read_design(store(project))
    one, two = (store(project).fit_folder(former_key(cell, seed, replicate)) for replicate in (0, 1))
    shutil.copytree(one, two)
    found = told("migrate", "s")
    assert found.count("2 fits") == 1
    assert "its data were drawn from a seed that no" in found
    assert "study s: 1 of 3 fits migrated, 2 left" in found
    assert {one.name, two.name} < set(posteriors(project))
    announced = study_file.older_lines(store(project), study_file.read(store(project)))
    assert announced[0].startswith("2 fits of an older format")


def test_quantities_are_made_anew_from_the_draws(project, older):
    """Their sources had other digests."""
    draws = posteriors(project)

    def asked(fields) -> None:
        fields["quantities"] = {"share": "past_model.share"}

    rewritten(store(project).study_file, lambda said: [asked(one["cell"]["diagnostics"]) for one in said["cells"]])
    for key in older.values():
        path = store(project).fit_folder(key) / "outcome.json"
        rewritten(path, lambda said: asked(said["diagnostics_options"]))
    assert "of its draws is made anew by the study's command" in told("migrate", "s")
    assert "diagnostics only" in told(*COMMAND, "diagnostics.quantities={share: past_model.share}")
    assert posteriors(project) == {new: draws[old] for new, old in older.items()}


def test_a_study_that_is_not_there_is_not_made(workdir):
    assert run("migrate", "nobody").code == 2
    assert not (workdir / "studies" / "nobody").exists()
