"""Summaries of many fits as one table: the same whether they are read or kept."""

import hashlib
import os

import numpy as np
import pandas as pd
import pytest

from bayesrun.store import summaries
from bayesrun.store.folder import Store
from bayesrun.store.summaries import KEPT, read_summaries


def write(store: Store, key: str, *, columns: tuple[str, ...] = ("mean", "sd")) -> None:
    folder = store.fit_folder(key)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([*key.encode(), len(columns)])
    frame = pd.DataFrame(rng.normal(size=(3, len(columns))), columns=list(columns), index=["mu", "b[0]", "b[1]"])
    frame.to_parquet(folder / "summary.parquet")


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(summaries, "MANY", 4)
    store = Store(tmp_path / "s")
    for number in range(6):
        write(store, f"k{number}")
    return store


@pytest.fixture
def opened(monkeypatch):
    """Files that were read one by one."""
    names: list[str] = []
    read = summaries._read

    def counted(path, key, checksum):
        names.append(key)
        return read(path, key, checksum)

    monkeypatch.setattr(summaries, "_read", counted)
    return names


def read(store: Store, keys: list[str]) -> pd.DataFrame:
    return read_summaries(store, dict.fromkeys(keys, "")).table


def one_by_one(store: Store, keys: list[str]) -> pd.DataFrame:
    parts = []
    for key in keys:
        frame = pd.read_parquet(store.fit_folder(key) / "summary.parquet")
        parts.append(frame.rename_axis("variable").reset_index().assign(key=key))
    return pd.concat(parts, ignore_index=True)


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    order = ["key", "variable"]
    found, wanted = (frame.sort_values(order).reset_index(drop=True)[list(wanted)] for frame in (found, wanted))
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


KEYS = [f"k{number}" for number in range(6)]


def test_files_are_opened_once(store, opened):
    same(read(store, KEYS), one_by_one(store, KEYS))
    assert opened == KEYS
    opened.clear()
    same(read(store, KEYS), one_by_one(store, KEYS))
    assert not opened


def test_what_changed_is_read_again_and_what_is_not_asked_for_is_left_out(store, opened):
    read(store, KEYS)
    opened.clear()
    write(store, "k2", columns=("mean", "sd", "rhat"))
    write(store, "k6")
    (store.fit_folder("k4") / "summary.parquet").unlink()
    keys = ["k0", "k1", "k2", "k3", "k4", "k6"]
    found = read(store, keys)
    assert opened == ["k2", "k6"]
    same(found, one_by_one(store, [key for key in keys if key != "k4"]))
    assert found.loc[found["key"] != "k2", "rhat"].isna().all()


def test_a_file_of_the_same_size_with_another_time_is_read_again(store, opened):
    read(store, KEYS)
    opened.clear()
    path = store.fit_folder("k3") / "summary.parquet"
    os.utime(path, ns=(1, 1))
    read(store, KEYS)
    assert opened == ["k3"]


@pytest.mark.parametrize("content", [b"", b"no table", None])
def test_a_table_that_is_broken_or_gone_is_made_anew(store, opened, content):
    read(store, KEYS)
    opened.clear()
    kept = store.root / KEPT
    kept.unlink() if content is None else kept.write_bytes(content)
    same(read(store, KEYS), one_by_one(store, KEYS))
    assert opened == KEYS


def test_a_small_study_keeps_no_table(store):
    same(read(store, KEYS[:3]), one_by_one(store, KEYS[:3]))
    assert not (store.root / KEPT).exists()
    assert read(store, []).empty
    assert read(store, ["nobody"]).empty


@pytest.mark.parametrize("many", [1, 100])
def test_a_summary_that_is_not_as_it_was_written_has_no_row_and_is_named(store, monkeypatch, many):
    monkeypatch.setattr(summaries, "MANY", many)
    paths = {key: store.fit_folder(key) / "summary.parquet" for key in KEYS}
    sums = {key: hashlib.sha256(path.read_bytes()).hexdigest() for key, path in paths.items()}
    assert not read_summaries(store, sums).lacking
    paths["k1"].write_bytes(paths["k2"].read_bytes())
    paths["k3"].write_bytes(b"no table")
    paths["k4"].unlink()
    found = read_summaries(store, {**sums, "k3": ""})
    assert found.lacking == {
        "k1": "summary.parquet was changed after it was written",
        "k3": "summary.parquet is no table",
        "k4": "summary.parquet is missing",
    }
    same(found.table, one_by_one(store, ["k0", "k2", "k5"]))


def test_a_kept_table_in_which_a_number_changed_is_made_anew(store, opened):
    read(store, KEYS)
    opened.clear()
    kept = store.root / KEPT
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    same(read(store, KEYS), one_by_one(store, KEYS))
    assert opened == KEYS
