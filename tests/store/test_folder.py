"""Nothing half-written is ever taken for done, and nothing done is ever lost."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesrun.errors import StoreError
from bayesrun.store import whole_files
from bayesrun.store.folder import Store
from bayesrun.store.whole_files import write_atomically
from bayesrun.types import SCHEMA_VERSION, Dataset, DiagnosticsOptions, Outcome, Steps

KEY = "0123456789abcdef"
OUTCOME = Outcome(
    KEY,
    "linear/engel/nuts",
    0,
    "done",
    diagnostics={"rhat_max": 1.001},
    absent={"elpd_loo": "no log-likelihood"},
    warnings=("slow",),
    seconds={"sample": 1.5},
    attempts=({"target_accept": 0.9, "n_divergent": 1.0, "seconds": 2.0},),
    steps=Steps(figures=False),
    diagnostics_options=DiagnosticsOptions(ci_prob=0.5),
    versions={"pymc": "6"},
)
SUMMARY = pd.DataFrame({"mean": [1.0], "sd": [0.5]}, index=["mu"])


def tree() -> xr.DataTree:
    draws = xr.Dataset({"mu": (("chain", "draw"), np.arange(8.0).reshape(2, 4))})
    return xr.DataTree.from_dict({"posterior": draws})


@pytest.fixture
def store(tmp_path) -> Store:
    found = Store(tmp_path / "studies" / "one")
    found.prepare()
    return found


def test_a_committed_fit_reads_back_as_it_was(store):
    written = store.write_fit(OUTCOME, tree(), SUMMARY)
    assert store.read_outcome(KEY) == written
    assert store.done(KEY) == written
    assert written.size == (store.fit_folder(KEY) / "posterior.nc").stat().st_size
    assert store.verify(KEY)
    np.testing.assert_array_equal(store.read_tree(KEY)["posterior"]["mu"], np.arange(8.0).reshape(2, 4))
    pd.testing.assert_frame_equal(store.read_summary(KEY), SUMMARY)
    assert store.settled(KEY) == written


def test_a_posterior_without_its_outcome_is_not_done(store):
    store.write_fit(OUTCOME, tree(), SUMMARY)
    (store.fit_folder(KEY) / "outcome.json").unlink()
    assert store.done(KEY) is None
    with pytest.raises(StoreError, match=f"no finished fit {KEY}"):
        store.read_tree(KEY)


@pytest.mark.parametrize("text", ["", "{", '{"schema": 0}'])
def test_a_torn_or_foreign_outcome_is_not_done(store, text):
    store.write_fit(OUTCOME, tree(), SUMMARY)
    (store.fit_folder(KEY) / "outcome.json").write_text(text)
    assert store.done(KEY) is None


def test_a_truncated_posterior_is_not_done(store):
    store.write_fit(OUTCOME, tree(), SUMMARY)
    path = store.fit_folder(KEY) / "posterior.nc"
    os.truncate(path, path.stat().st_size - 100)
    assert store.done(KEY) is None


def flip(path: Path, *, unseen: bool = False) -> None:
    """Change one bit of a file, whose time of change is later than before, or with `unseen` the same."""
    time = path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(time, time if unseen else time + 10**9))


FILES = ("posterior.nc", "summary.parquet", "figures/trace.png")
HARM = {
    "removed": (Path.unlink, "is missing"),
    "cut": (lambda path: os.truncate(path, path.stat().st_size - 3), "bytes, and was written with"),
    "changed": (flip, "was changed after it was written"),
}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("name", FILES)
def test_a_fit_is_whole_with_all_its_files(store, name, harm):
    figure = store.fit_folder(KEY) / "figures" / "trace.png"
    figure.parent.mkdir(parents=True)
    figure.write_bytes(b"a picture")
    written = store.write_fit(dataclasses.replace(OUTCOME, steps=Steps()), tree(), SUMMARY)
    assert store.done(KEY) == store.drawn(KEY) == written
    assert store.damage(KEY) == ""
    do, told = HARM[harm]
    do(store.fit_folder(KEY) / name)
    assert store.done(KEY) is store.settled(KEY) is None
    assert store.damage(KEY).startswith(Path(name).name)
    assert told in store.damage(KEY)
    assert (store.drawn(KEY) is None) == (name == "posterior.nc")


def test_what_was_never_fitted_is_not_damaged(store):
    assert store.damage(KEY) == ""
    store.write_config(KEY, "a: 1")
    assert store.damage(KEY) == ""
    store.write_failure(Outcome(KEY, "c", 0, "failed", "error", "no"), "Traceback")
    assert store.damage(KEY) == ""


def test_a_change_that_no_time_tells_is_found_when_the_file_is_opened_and_known_from_then_on(store):
    store.write_fit(OUTCOME, tree(), SUMMARY)
    flip(store.fit_folder(KEY) / "posterior.nc", unseen=True)
    flip(store.fit_folder(KEY) / "summary.parquet", unseen=True)
    assert store.done(KEY) is not None
    with pytest.raises(StoreError, match=r"summary\.parquet was changed after it was written; the command of its"):
        store.read_summary(KEY)
    assert store.done(KEY) is None
    with pytest.raises(StoreError, match=r"posterior\.nc was changed after it was written; the command of its study"):
        store.read_tree(KEY)
    assert store.drawn(KEY) is None
    assert not store.verify(KEY)


def test_a_study_that_was_copied_is_read_once(store, monkeypatch):
    """The times of a copy say nothing; what is as it was written is not read a second time."""
    written = store.write_fit(OUTCOME, tree(), SUMMARY)
    for name in ("posterior.nc", "summary.parquet"):
        os.utime(store.fit_folder(KEY) / name)
    os.utime(store.fit_folder(KEY) / "outcome.json", ns=(0, 0))
    read = []
    checksum = whole_files.checksum_of
    monkeypatch.setattr(whole_files, "checksum_of", lambda path: read.append(path.name) or checksum(path))
    assert store.done(KEY) == written
    assert read == ["posterior.nc", "summary.parquet"]
    assert store.done(KEY) == written
    assert len(read) == 2


def test_an_outcome_that_was_edited_is_not_believed_and_an_older_one_without_checksums_is(store):
    store.write_fit(OUTCOME, tree(), SUMMARY)
    path = store.fit_folder(KEY) / "outcome.json"
    whole = path.read_text()
    path.write_text(whole.replace("1.001", "1.009"))
    assert store.read_outcome(KEY) is None
    assert store.damage(KEY) == "outcome.json is not as it was written"
    path.write_bytes(b"\xff" + whole.encode())
    assert store.read_outcome(KEY) is None
    fields = {name: value for name, value in json.loads(whole).items() if name not in ("sha256", "files")}
    path.write_text(json.dumps(fields))
    assert store.done(KEY) == dataclasses.replace(OUTCOME, size=fields["size"], checksum=fields["checksum"])
    (store.fit_folder(KEY) / "summary.parquet").unlink()
    assert store.done(KEY) is None


def test_a_posterior_that_stays_is_not_written_again(store):
    written = store.write_fit(OUTCOME, tree(), SUMMARY)
    before = (store.fit_folder(KEY) / "posterior.nc").stat()
    again = store.write_fit(dataclasses.replace(written, warnings=()), None, SUMMARY.assign(sd=2.0))
    after = (store.fit_folder(KEY) / "posterior.nc").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert store.done(KEY) == again
    assert store.read_summary(KEY)["sd"].tolist() == [2.0]


def test_a_failure_is_recorded_and_never_done(store):
    failed = Outcome(KEY, "c", 0, "failed", "error", "ValueError: no")
    store.write_failure(failed, "Traceback ...")
    assert store.done(KEY) is None
    assert store.read_outcome(KEY) == failed
    assert (store.fit_folder(KEY) / "error.txt").read_text() == "Traceback ..."
    store.write_fit(OUTCOME, tree(), SUMMARY)
    assert store.done(KEY) is not None
    assert not (store.fit_folder(KEY) / "error.txt").exists()


def test_a_failed_completion_is_a_failure_and_keeps_the_draws(store):
    written = store.write_fit(OUTCOME, tree(), SUMMARY)
    failed = store.write_failure(Outcome(KEY, "c", 0, "failed", "error", "no"), "Traceback")
    assert store.done(KEY) is None
    assert store.settled(KEY) == store.drawn(KEY) == failed
    assert (failed.status, failed.message, failed.diagnostics) == ("failed", "no", {})
    assert (failed.checksum, failed.steps, failed.seconds) == (written.checksum, written.steps, written.seconds)
    np.testing.assert_array_equal(store.read_tree(KEY)["posterior"]["mu"], np.arange(8.0).reshape(2, 4))


def test_a_failure_of_a_fit_whose_draws_are_lost_has_none(store):
    store.write_fit(OUTCOME, tree(), SUMMARY)
    (store.fit_folder(KEY) / "posterior.nc").unlink()
    failed = Outcome(KEY, "c", 0, "failed", "error", "no")
    assert store.write_failure(failed, "Traceback") == failed
    assert store.drawn(KEY) is None


def test_a_crash_while_writing_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def crash(aside: Path) -> None:
        aside.write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_atomically(path, crash)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_refused_with_a_remedy(tmp_path):
    (tmp_path / "studies").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot write to the study folder .*choose another: output\.dir=DIR"):
        Store(tmp_path / "studies" / "one").prepare()


def test_data_are_kept_once_under_their_digest_and_checked_when_read(store):
    dataset = Dataset({"y": np.array([1.0, 2.0])}, {"y": ("obs",)}, {"obs": ("a", "b")})
    name = store.write_data(dataset)
    before = store.data_file(name).stat().st_mtime_ns
    assert store.write_data(dataset) == name
    assert store.data_file(name).stat().st_mtime_ns == before
    assert store.read_data(name).digest() == name
    store.data_file("f" * 16).write_bytes(store.data_file(name).read_bytes())
    with pytest.raises(StoreError, match="was changed after it was written"):
        store.read_data("f" * 16)


def test_study_facts_survive_and_a_broken_file_says_so(store):
    assert store.read_study() == {}
    store.write_study({"seed": 1, "cells": ("a", "b")})
    assert store.read_study() == {"seed": 1, "cells": ["a", "b"]}
    store.study_file.write_text("{")
    with pytest.raises(StoreError, match=r"study\.json is not JSON"):
        store.read_study()
    store.write_study({"seed": 1})
    store.study_file.write_text(store.study_file.read_text().replace('"seed": 1', '"seed": 2'))
    with pytest.raises(StoreError, match=r"study\.json is damaged: its content was changed .* delete it: the next"):
        store.read_study()


def test_tables_are_written_as_parquet_and_csv(store):
    store.write_table("fits", SUMMARY)
    pd.testing.assert_frame_equal(pd.read_parquet(store.tables / "fits.parquet"), SUMMARY)
    assert (store.tables / "fits.csv").read_text().startswith(",mean,sd")


def test_an_outcome_stays_small(store):
    store.write_fit(OUTCOME, tree(), SUMMARY)
    text = (store.fit_folder(KEY) / "outcome.json").read_text()
    assert len(text) < 4096
    assert json.loads(text)["schema"] == SCHEMA_VERSION


def test_a_lost_worker_is_recorded_unless_its_fit_was_committed(store):
    lost = Outcome(KEY, "c", 0, "failed", "lost", "the worker died")
    assert store.keep(lost, lambda _: True) == lost
    assert (store.fit_folder(KEY) / "error.txt").read_text() == "the worker died\n"
    written = store.write_fit(OUTCOME, tree(), SUMMARY)
    assert store.keep(lost, lambda _: True) == written
    # the worker was lost while it did more for a fit that was done before
    assert store.keep(lost, lambda _: False).status == "failed"
    assert store.drawn(KEY).checksum == written.checksum


def test_the_traceback_of_a_worker_is_not_replaced_by_a_line(store):
    failed = store.write_failure(Outcome(KEY, "c", 0, "failed", "error", "ValueError: no"), "Traceback ...")
    assert store.keep(failed, lambda _: True) == failed
    assert (store.fit_folder(KEY) / "error.txt").read_text() == "Traceback ..."


def test_one_command_at_a_time_works_on_a_study(store):
    refusal = pytest.raises(StoreError, match=rf"works on study one \(process {os.getpid()} on ")
    with store.locked(), refusal, store.locked():
        raise AssertionError("two commands at once")
    with store.locked():
        assert (store.root / "study.lock").exists()


def test_a_disk_that_is_full_loses_no_outcome(store, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "write_failure", full)
    lost = Outcome(KEY, "c", 0, "failed", "lost", "the worker died")
    assert store.keep(lost, lambda _: True) == lost
