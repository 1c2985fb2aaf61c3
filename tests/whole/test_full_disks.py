"""A disk that gets full in the middle of a study stops it in one sentence, and with room the same command completes."""

import json
from pathlib import Path

import pytest

from bayesrun.store.folder import Store
from command_line import bayesrun
from small_disks import Disk

COMMAND = (
    "-m", "model=linear", "data=csv", "data.path=y.csv", "data.columns={X:[x],y:y}", "study.name=s", "dispatch=serial",
    "sampler._target_=fake_samplers.sample", "sampler.draws=20,30,40", "sampler.chains=2", "steps.figures=false",
    "steps.prior_predictive=false", "steps.posterior_predictive=false", "track=off",
)  # fmt: skip


@pytest.fixture
def disk(workdir):
    (workdir / "y.csv").write_text("x,y\n0,0.3\n1,-0.2\n2,1.4\n3,0.9\n")
    (workdir / "studies").mkdir()
    made = Disk(workdir / "studies")
    yield made
    made.leave()


def test_a_study_goes_on_where_a_full_disk_stopped_it(disk, monkeypatch, interpreted):
    write, written = Store.write_fit, []

    def filling(store: Store, outcome, *arguments, **named):
        if written:
            disk.fill()
        found = write(store, outcome, *arguments, **named)
        written.append(outcome.key)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_fit", filling)
        ran = bayesrun(*COMMAND)
    assert ran.code == 1
    (stopped,) = (line for line in ran.out.splitlines() if line.startswith("stopped: "))
    assert "is full (" in stopped
    assert stopped.endswith("no fit after it could be written, so nothing more is started")
    assert "Traceback" not in ran.out + ran.err
    store = Store(Path("studies/s").absolute())
    assert [key for key in store.fit_keys() if store.done(key) is not None] == written
    assert len(written) == 1
    disk.free()
    again = bayesrun(*COMMAND)
    assert "3 fits, 1 done, 2 to do" in again.out
    assert again.code == 0, again.out
    assert store.done(written[0]) is not None
    found = json.loads(bayesrun("verify", "s", "--json").out)
    assert (found["whole"], found["found"]) == (True, [])


def test_a_study_on_a_disk_that_is_read_only_is_refused(disk, interpreted):
    disk.protect()
    ran = bayesrun(*COMMAND)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "read-only" in ran.err or "may not be written to" in ran.err
