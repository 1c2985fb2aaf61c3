"""Nothing half-written is ever taken for done, and nothing done is ever lost."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesrun.errors import StoreError
from bayesrun.store import Store, write_atomically
from bayesrun.types import Dataset, DiagnosticsOptions, Outcome, Steps

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


def test_a_posterior_changed_in_place_is_found_by_its_checksum(store):
    store.write_fit(OUTCOME, tree(), SUMMARY)
    path = store.fit_folder(KEY) / "posterior.nc"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert store.done(KEY) is not None
    assert not store.verify(KEY)


def test_a_failure_is_recorded_and_never_done(store):
    failed = Outcome(KEY, "c", 0, "failed", "error", "ValueError: no")
    store.write_failure(failed, "Traceback ...")
    assert store.done(KEY) is None
    assert store.read_outcome(KEY) == failed
    assert (store.fit_folder(KEY) / "error.txt").read_text() == "Traceback ..."
    store.write_fit(OUTCOME, tree(), SUMMARY)
    assert store.done(KEY) is not None
    assert not (store.fit_folder(KEY) / "error.txt").exists()


def test_a_failed_completion_keeps_what_was_done(store):
    written = store.write_fit(OUTCOME, tree(), SUMMARY)
    store.write_failure(Outcome(KEY, "c", 0, "failed", "error", "no"), "Traceback")
    assert store.done(KEY) == written


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


def test_tables_are_written_as_parquet_and_csv(store):
    store.write_table("fits", SUMMARY)
    pd.testing.assert_frame_equal(pd.read_parquet(store.tables / "fits.parquet"), SUMMARY)
    assert (store.tables / "fits.csv").read_text().startswith(",mean,sd")


def test_an_outcome_stays_small(store):
    store.write_fit(OUTCOME, tree(), SUMMARY)
    text = (store.fit_folder(KEY) / "outcome.json").read_text()
    assert len(text) < 4096
    assert json.loads(text)["schema"] == 1


def test_a_lost_worker_is_recorded_unless_its_fit_was_committed(store):
    lost = Outcome(KEY, "c", 0, "failed", "lost", "the worker died")
    assert store.keep(lost) == lost
    assert (store.fit_folder(KEY) / "error.txt").read_text() == "the worker died\n"
    written = store.write_fit(OUTCOME, tree(), SUMMARY)
    assert store.keep(lost) == written


def test_the_traceback_of_a_worker_is_not_replaced_by_a_line(store):
    failed = store.write_failure(Outcome(KEY, "c", 0, "failed", "error", "ValueError: no"), "Traceback ...")
    assert store.keep(failed) == failed
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
    assert store.keep(lost) == lost
