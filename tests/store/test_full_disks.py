"""A disk that is full or read-only costs the fit that is written, and nothing that was finished; then it goes on."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesrun.errors import DiskError, StoreError
from bayesrun.store import whole_files
from bayesrun.store.folder import Store
from bayesrun.store.turns import TABLES, take
from bayesrun.store.whole_files import ASIDE, share, write_atomically
from bayesrun.types import Outcome, Steps
from small_disks import Disk

KEY, NEXT = "0123456789abcdef", "fedcba9876543210"
SUMMARY = pd.DataFrame({"mean": [1.0]}, index=["mu"])


def outcome(key: str) -> Outcome:
    return Outcome(key, "linear/engel/nuts", 0, "done", steps=Steps(figures=False))


def tree(megabytes: float) -> xr.DataTree:
    draws = xr.Dataset({"mu": (("chain", "draw"), np.random.default_rng(1).normal(size=(2, int(65_536 * megabytes))))})
    return xr.DataTree.from_dict({"posterior": draws})


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk]:
    (tmp_path / "disk").mkdir()
    made = Disk(tmp_path / "disk")
    yield made
    made.leave()


@pytest.mark.parametrize("megabytes", [0.1, 20], ids=["written at once", "written piece by piece"])
def test_a_fit_that_finds_no_room_costs_nothing_but_itself(disk, megabytes):
    store = Store(disk.folder / "one")
    store.prepare()
    first = store.write_fit(outcome(KEY), tree(0.1), SUMMARY)
    before = files(store.root)
    disk.fill()
    with pytest.raises(DiskError, match=r"the disk of .* is full \(.* MiB are free\): make room there, and the same"):
        store.write_fit(outcome(NEXT), tree(megabytes), SUMMARY)
    with pytest.raises(DiskError, match="is full"):
        store.write_failure(dataclasses.replace(outcome(NEXT), status="failed", reason="disk"), "Traceback" * 1000)
    assert files(store.root) == before
    assert (store.done(KEY), store.verify(KEY), store.settled(NEXT)) == (first, True, None)
    disk.free()
    assert store.write_fit(outcome(NEXT), tree(megabytes), SUMMARY) == store.done(NEXT)


def test_what_a_file_was_before_the_disk_was_full_it_still_is(disk):
    store = Store(disk.folder / "one")
    store.prepare()
    store.write_study({"seed": 1})
    disk.fill()
    with pytest.raises(DiskError, match="is full"):
        store.write_study({"seed": 1, "cells": ["x" * 100] * 1000})
    assert store.read_study() == {"seed": 1}


def test_a_disk_that_is_read_only_is_called_that_and_can_be_read(disk):
    store = Store(disk.folder / "one")
    store.prepare()
    written = store.write_fit(outcome(KEY), tree(0.1), SUMMARY)
    disk.protect()
    told = "the disk of .* is read-only: mount it for writing, and the same command goes on; or choose another"
    with pytest.raises(DiskError, match=told):
        store.write_fit(outcome(NEXT), tree(0.1), SUMMARY)
    with pytest.raises(StoreError, match=f"cannot write to the study folder .*: {told}"), store.locked():
        raise AssertionError("nothing can be written")
    assert store.done(KEY) == written
    assert store.read_tree(KEY)["posterior"].sizes["chain"] == 2


def test_what_a_library_only_calls_an_error_is_the_disks_where_that_takes_nothing(tmp_path, monkeypatch):
    def write(_: Path) -> None:
        raise RuntimeError("NetCDF: HDF error")

    with pytest.raises(RuntimeError, match="HDF error"):
        write_atomically(tmp_path / "a.nc", write)
    monkeypatch.setattr(whole_files, "takes_nothing", lambda _: "the disk is full")
    with pytest.raises(DiskError, match="the disk is full"):
        write_atomically(tmp_path / "a.nc", write)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o002, 0o664, 0o775), (0o022, 0o644, 0o755), (0o077, 0o600, 0o700)]
)
def test_files_and_folders_have_the_modes_of_the_umask(tmp_path, umask, file, folder):
    before = os.umask(umask)
    try:
        store = Store(tmp_path / "studies" / "one")
        with store.locked(), take(store.root).at(TABLES):
            store.write_fit(outcome(KEY), tree(0.1), SUMMARY)
            store.write_table("fits", SUMMARY)
            store.write_study({"seed": 1})
            share(store.fit_folder(KEY) / "summary.parquet", store.root / "shared.parquet")
    finally:
        os.umask(before)
    paths = [tmp_path / "studies", *(tmp_path / "studies").rglob("*")]
    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in paths}
    assert modes == {(True, folder), (False, file)}


def test_what_is_being_written_has_a_name_that_tells(tmp_path):
    names = []
    write_atomically(tmp_path / "a.parquet", lambda aside: names.append(aside.name))
    assert ASIDE.fullmatch(names[0])
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
    assert ASIDE.fullmatch(".a1b2c3_4.nc"), "of earlier versions"
    for other in (".htaccess", ".password", ".summaries.arrow", ".turns", ".gitignore", "a.parquet", ".DS_Store"):
        assert not ASIDE.fullmatch(other)
