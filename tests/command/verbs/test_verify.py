"""Every harm to a file is named with what mends it, what belongs to nothing can be freed, and users' files never go."""

import dataclasses
import json
import os
import shutil
import struct
from pathlib import Path

import pytest

from bayesrun.store import locks
from bayesrun.store.folder import Store
from bayesrun.store.whole_files import facts_of
from command_line import bayesrun

FITS = (
    "model=linear", "data=csv", "data.path=y.csv", "data.columns={X:[x],y:y}", "sampler._target_=fake_samplers.sample",
    "sampler.draws=20", "sampler.chains=2", "steps.prior_predictive=false", "steps.posterior_predictive=false",
    "dispatch=serial", "track=off", "study.name=s",
)  # fmt: skip
KINDS = {
    "real": (*FITS, "steps.figures=false"),
    "simulated": (*FITS, "study=recovery", "study.ranks=10", "study.max_failed=1", "study.replicates=2"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """A study of real data and one of simulated data, made once."""
    import pytensor

    before, found = Path.cwd(), {}
    with pytensor.config.change_flags(mode="FAST_COMPILE"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesrun.figures.one_study.study_figures", lambda *_: ())
        for kind, command in KINDS.items():
            found[kind] = tmp_path_factory.mktemp(kind)
            os.chdir(found[kind])
            try:
                Path("y.csv").write_text("x,y\n0,0.3\n1,-0.2\n2,1.4\n3,0.9\n")
                ran = bayesrun(*command)
                assert "files: " in ran.out, ran
                _with_figure(Store(Path("studies/s").absolute()))
            finally:
                os.chdir(before)
    return found


def _with_figure(store: Store) -> None:
    """Give a fit a figure, which takes seconds to draw."""
    outcome = store.read_outcome(store.fit_keys()[0])
    picture = store.fit_folder(outcome.key) / "figures" / "trace.png"
    picture.parent.mkdir()
    picture.write_bytes(b"a picture")
    steps, files = dataclasses.replace(outcome.steps, figures=True), {"figures/trace.png": facts_of(picture)}
    store.write_outcome(dataclasses.replace(outcome, steps=steps, files={**outcome.files, **files}))


@pytest.fixture(params=KINDS)
def root(request, made, workdir) -> Path:
    shutil.copytree(made[request.param], workdir, dirs_exist_ok=True)
    return workdir / "studies" / "s"


@pytest.fixture
def simulated(made, workdir) -> Path:
    shutil.copytree(made["simulated"], workdir, dirs_exist_ok=True)
    return workdir / "studies" / "s"


def verified(code: int) -> dict:
    ran = bayesrun("verify", "s", "--json")
    assert (ran.code, ran.err) == (code, "")
    found = json.loads(ran.out)
    assert found["whole"] == (code == 0)
    return found


def said(found: dict) -> dict[str, tuple[str, str]]:
    return {one["path"]: (one["kind"], one["mend"]) for one in found["found"]}


def flip(path: Path) -> None:
    """Change one bit, and neither size nor time."""
    time, content = path.stat().st_mtime_ns, bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(time, time))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def test_a_study_that_was_just_made_is_whole_and_every_file_is_accounted_for(root):
    found = verified(0)
    assert found["found"] == []
    assert found["files"] == sum(path.is_file() for path in root.rglob("*"))
    assert (
        bayesrun("verify", "s").out
        == f"study s: {found['files']} files read, {found['bytes'] / 2**20:.1f} MiB, all whole\n"
    )
    assert bayesrun("prune", "s", "--yes").out == "study s has nothing that its design does not name\n"


HARMS = {"missing": Path.unlink, "truncated": cut, "altered": flip}


def test_every_harm_to_every_file_is_found(root):
    """Not to locks and turns, which say nothing about the study; spreads of true values may be missing."""
    paths = [path for path in sorted(root.rglob("*")) if path.is_file() and path.parent.name != ".turns"]
    paths = [path for path in paths if path.name != "study.lock"]
    assert {path.suffix for path in paths} >= {".nc", ".parquet", ".json", ".yaml", ".csv"}
    missed = []
    for path in paths:
        whole, name = path.read_bytes(), str(path.relative_to(root))
        for kind, harm in HARMS.items():
            if (path.parent.name, kind) == ("data", "altered") or (path.suffix, kind) == (".npz", "missing"):
                continue
            harm(path)
            ran = bayesrun("verify", "s", "--json")
            found = said(json.loads(ran.out))
            if ran.code != 1 or found.get(name, ("", ""))[0] != kind or not found[name][1]:
                missed.append((name, kind, found.get(name)))
            path.write_bytes(whole)
    assert missed == []
    assert verified(0)["found"] == []


def test_data_are_known_by_their_numbers(root):
    path = next((root / "data").glob("*.nc"))
    content = path.read_bytes()
    assert content.count(struct.pack("<d", 1.4)) == 1
    path.write_bytes(content.replace(struct.pack("<d", 1.4), struct.pack("<d", 1.5)))
    assert said(verified(1))[f"data/{path.name}"] == (
        "altered", "remove it, and the command of the study writes it again",
    )  # fmt: skip


def test_what_the_command_is_said_to_mend_it_mends(root, interpreted, no_study_figures):
    store = Store(root)
    key = store.fit_keys()[0]
    flip(store.fit_folder(key) / "posterior.nc")
    for table in (root / "tables").glob("*.csv"):
        cut(table)
    assert "bayesrun: " not in bayesrun("verify", "s").err
    kind = "simulated" if (root / "report.html").exists() else "real"
    told = bayesrun("verify", "s").out
    assert (
        f"altered: fits/{key}/posterior.nc: it was changed after it was written; the command of the study draws" in told
    )
    assert f"bayesrun {'report' if kind == 'simulated' else 'compare'} s makes it again" in told
    ran = bayesrun(*KINDS[kind])
    assert "1 to do" in ran.out
    assert [path for path, (kind, _) in said(verified(0)).items() if kind == "orphaned"] == [
        f"fits/{key}/figures/trace.png"  # which the command does not ask for
    ]
    assert bayesrun("prune", "s", "--yes").out.startswith("study s, to be removed:\n  1 figure of no fit, 0.0 MiB\n")
    assert verified(0)["found"] == []


def orphaned(root: Path) -> None:
    """What is of nothing by its name, and beside it files of users."""
    store = Store(root)
    key = store.fit_keys()[0]
    shutil.copytree(store.fit_folder(key), store.fit_folder("0123456789abcdef"))
    shutil.copy(next((root / "data").glob("*.nc")), root / "data" / "0123456789abcdef.nc")
    (root / "data" / "spread-0123456789abcdef.npz").write_bytes(b"x")
    (store.fit_folder(key) / ".aside-0123456789abcdef.nc").write_bytes(b"half")
    (root / "tables" / ".a1b2c3d4.parquet").write_bytes(b"half")
    (root / ".artifacts-x" / "y").mkdir(parents=True)
    (root / ".artifacts-x" / "y" / "z.json").write_text("half")


def users(root: Path) -> list[Path]:
    """Files and links of users at places where bayesrun has its own."""
    outside = root.parent.parent / "outside"
    outside.mkdir()
    (outside / "posterior.nc").write_text("mine")
    (outside / "outcome.json").write_text("mine")
    paths = [root / "notes.txt", root / "fits" / "0123456789abcdef" / "notes.txt", root / "data" / "raw.csv"]
    paths += [root / "figures" / "paper.pdf", root / "tables" / "mine.csv", root / ".htaccess"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (root / "fits" / "fedcba9876543210").symlink_to(outside)
    (root / "data" / "fedcba9876543210.nc").symlink_to(outside / "posterior.nc")
    return [*paths, outside / "posterior.nc", outside / "outcome.json"]


def test_what_belongs_to_nothing_is_named_and_freed_and_what_users_have_stays(root):
    orphaned(root)
    mine = users(root)
    found = verified(0)
    kinds = {one["kind"]: {o["path"] for o in found["found"] if o["kind"] == one["kind"]} for one in found["found"]}
    assert set(kinds) == {"orphaned", "unknown"}
    assert {"fits/0123456789abcdef/", "data/0123456789abcdef.nc", "data/spread-0123456789abcdef.npz"} < kinds[
        "orphaned"
    ]
    assert len(kinds["orphaned"]) == 6
    assert {"notes.txt", "fits/0123456789abcdef/notes.txt", "fits/fedcba9876543210", "data/raw.csv"} < kinds["unknown"]
    refused = bayesrun("prune", "s")
    assert (refused.code, "nothing was removed, since nobody can be asked here; add --yes" in refused.err) == (2, True)
    assert verified(0) == found
    ran = bayesrun("prune", "s", "--yes")
    assert ran.code == 0
    assert "  1 fit of no cell, " in ran.out
    assert "  3 files that were being written when a command ended, " in ran.out
    assert "  2 files of data that no cell uses, " in ran.out
    assert {one["kind"] for one in verified(0)["found"]} == {"unknown"}
    assert all(path.read_text() == "mine" for path in mine)
    assert (root / "fits" / "fedcba9876543210").is_symlink()
    assert not (root / ".artifacts-x").exists()


def test_a_disk_that_is_read_only_can_be_verified_and_a_study_without_its_design_too(root, monkeypatch):
    (root / "study.json").unlink()
    key = Store(root).fit_keys()[0]
    cut(root / "fits" / key / "posterior.nc")
    found = said(verified(1))
    assert {name: kind for name, (kind, _) in found.items()} == {
        "study.json": "missing", f"fits/{key}/posterior.nc": "truncated",
    }  # fmt: skip
    assert "there is no study" in bayesrun("prune", "s", "--yes").err
    (root / "study.json").write_text('{"seed": 1')
    assert said(verified(1))["study.json"][0] == "truncated"
    assert bayesrun("prune", "s", "--yes").code == 2
    assert (root / "fits" / key / "outcome.json").exists()


def test_a_fit_that_no_command_asks_for_any_more_is_mended_by_none(root):
    facts = Store(root).read_study()
    for cell in facts["cells"]:
        cell["superseded"] = "another prior"
    Store(root).write_study(facts)
    key = Store(root).fit_keys()[0]
    cut(root / "fits" / key / "posterior.nc")
    mend = said(verified(1))[f"fits/{key}/posterior.nc"][1]
    assert mend == f"no command asks for this fit any more: bayesrun forget --key {key} s removes it"
    assert "nothing that its design" in bayesrun("prune", "s", "--yes").out
    ran = bayesrun("prune", "s", "--superseded", "--yes")
    assert ran.code == 0
    assert not list(root.glob("fits/*/*"))
    assert not list(root.glob("data/*"))


def test_data_go_with_the_last_fit_that_uses_them_and_so_does_the_spread_of_their_truths(simulated):
    cell = json.loads((simulated / "study.json").read_text())["cells"][0]["cell"]["label"]
    assert len(list(simulated.glob("data/spread-*.npz"))) == 1
    ran = bayesrun("forget", "s", cell, "--yes")
    assert "  data that no other fit uses: 1 dataset and 1 spread of true values, " in ran.out
    assert not list(simulated.glob("data/*"))


def test_who_works_on_a_study_is_told_and_nothing_is_pruned_meanwhile(simulated):
    orphaned(simulated)
    with Store(simulated).locked():
        assert "process " in verified(0)["at_work"]
        assert bayesrun("verify", "s").out.startswith(f"note: at work on it is process {os.getpid()} on ")
        refused = bayesrun("prune", "s", "--yes")
    assert (refused.code, f"another command works on study s (process {os.getpid()} on " in refused.err) == (2, True)
    assert locks.holder_of(simulated / "study.lock") == ""


def test_tables_of_an_earlier_version_are_held_against_what_was_known_then(simulated):
    turns = simulated / ".turns" / "tables.json"
    facts = json.loads(turns.read_text())
    turns.write_text(json.dumps({name: value for name, value in facts.items() if name != "files"}))
    assert verified(0)["found"] == []
    flip(simulated / "tables" / "fits.parquet")
    cut(simulated / "report.html")
    cut(simulated / "tables" / "findings.json")
    found = said(verified(1))
    assert {kind for kind, _ in found.values()} == {"truncated"}  # without findings nobody knows of tables
    assert set(found) == {"report.html", "tables/findings.json"}


def test_a_study_that_is_not_there_is_refused_with_those_that_are(simulated):
    for verb in ("verify", "prune"):
        ran = bayesrun(verb, "t")
        assert (ran.code, "there is no study in" in ran.err, "has s" in ran.err) == (2, True, True)


def test_status_says_where_its_option_went(simulated):
    ran = bayesrun("status", "s", "--verify")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "bayesrun: status: there is no option --verify any more; every file is read, not only posteriors, by "
        "bayesrun verify s\n"
    )
