"""Of several commands on one study the one that read last has the last word, and no reader sees half of its tables."""

import os
import threading

import pytest

from bayesrun.errors import StoreError
from bayesrun.store.turns import TABLES, half_made, made, take, whole
from bayesrun.store.whole_files import facts_of


def test_what_was_read_earlier_never_replaces_what_was_read_later(tmp_path):
    slow, quick = take(tmp_path), take(tmp_path)
    with quick.at(TABLES) as latest:
        assert latest
    with slow.at(TABLES) as latest:
        assert not latest
    with quick.at(TABLES) as latest:  # the same command again
        assert latest
    with take(tmp_path).at(TABLES) as latest:
        assert latest


def test_places_have_orders_of_their_own(tmp_path):
    first, second = take(tmp_path), take(tmp_path)
    with second.at(TABLES) as latest:  # a report tells no server
        assert latest
    with first.at("http://server") as latest:
        assert latest


def test_an_order_survives_the_loss_of_its_count(tmp_path):
    for _ in range(5):
        last = take(tmp_path)
    with last.at(TABLES):
        pass
    (tmp_path / ".turns" / "last.json").write_text("{")
    with take(tmp_path).at(TABLES) as latest:
        assert latest


def test_half_a_set_of_tables_is_not_read(tmp_path):
    with pytest.raises(OSError, match="disk"), take(tmp_path).at(TABLES):
        raise OSError("disk")
    with pytest.raises(StoreError, match="half new and half old"), whole(tmp_path):
        pass
    with take(tmp_path).at(TABLES):
        pass
    with whole(tmp_path):
        pass


def test_a_folder_of_an_earlier_version_is_read_as_it_is(tmp_path):
    with whole(tmp_path):
        assert not (tmp_path / ".turns").exists()


def test_a_reader_waits_for_the_writer(tmp_path):
    seen, begun = [], threading.Event()

    def read():
        begun.set()
        with whole(tmp_path):
            seen.append((tmp_path / "a").read_text() + (tmp_path / "b").read_text())

    reader = threading.Thread(target=read)
    with take(tmp_path).at(TABLES):
        (tmp_path / "a").write_text("new ")
        reader.start()
        begun.wait()
        reader.join(0.1)
        assert seen == []
        (tmp_path / "b").write_text("new")
    reader.join()
    assert seen == ["new new"]


def test_what_was_made_in_a_turn_is_written_down_and_nothing_else(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "mine.csv").write_text("mine")
    os.utime(tmp_path / "tables" / "mine.csv", (1, 1))
    assert made(tmp_path) is None
    with take(tmp_path).at(TABLES):
        (tmp_path / "tables" / "fits.csv").write_text("fits")
        (tmp_path / "report.html").write_text("page")
        (tmp_path / "notes.txt").write_text("notes")
        assert half_made(tmp_path)
        assert made(tmp_path) is None
    assert not half_made(tmp_path)
    assert made(tmp_path) == {name: facts_of(tmp_path / name) for name in ("tables/fits.csv", "report.html")}
    with take(tmp_path).at("http://server"):
        pass
    assert len(made(tmp_path)) == 2
