"""One command at a time at a place, whatever the file system does about locks, and nobody waits for who is gone."""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bayesrun.errors import StoreError
from bayesrun.store import locks
from bayesrun.store.locks import SILENT, claim_of, held, holder_of


def busy(who: str) -> StoreError:
    return StoreError(f"held by {who}")


def refused(*arguments) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def granted(*arguments) -> None:
    """A file server that keeps the locks of each host apart."""


KERNELS = {"locks": fcntl.flock, "refused": refused, "granted to everybody": granted}


@pytest.fixture(params=KERNELS)
def place(request, tmp_path, monkeypatch) -> Path:
    """A place on a file system that has locks, that refuses them, and that grants them to everybody."""
    monkeypatch.setattr(locks.fcntl, "flock", KERNELS[request.param])
    return tmp_path / "study.lock"


def claim_by(place: Path, *, age: float = 0.0, **fields) -> None:
    """Leave a claim of somebody else."""
    text = json.dumps(dataclasses.asdict(dataclasses.replace(locks._oneself(), **fields)))
    claim_of(place).write_text(text)
    then = time.time() - age
    os.utime(claim_of(place), (then, then))


ELSEWHERE = {"boot": "of another kernel", "host": "far", "user": "ann", "process": 12, "command": "bayesrun x"}


def test_the_second_is_refused_and_hears_who_holds_it(place):
    with held(place, busy):
        assert str(os.getpid()) in holder_of(place)
        told = rf"held by process {os.getpid()} on \S+ of \S+ since 20\d\d-\S+ \S+: "
        with pytest.raises(StoreError, match=told), held(place, busy):
            raise AssertionError("two at once")
    assert holder_of(place) == ""
    with held(place, busy):
        pass
    assert [path.name for path in place.parent.iterdir()] == ["study.lock"]


def test_a_process_that_was_killed_is_not_waited_for(place, capsys):
    code = "import pathlib, sys, time; from bayesrun.store.locks import held\n"
    code += (
        f"with held(pathlib.Path({str(place)!r}), lambda who: Exception(who)): print('in', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "in\n"
        with pytest.raises(StoreError, match=f"held by process {child.pid} on "), held(place, busy):
            pass
    finally:
        child.kill()
        child.communicate()
    with held(place, busy):
        assert f"process {os.getpid()} " in holder_of(place)
    said = capsys.readouterr().err
    assert re.search(rf"was held by process {child.pid} on .*, which is gone; it is taken over", said)


def test_the_number_of_a_process_that_another_one_has_now_says_nothing(place):
    claim_by(place, started="1")
    with held(place, busy):
        pass


def test_another_host_is_believed_for_some_minutes(place, capsys):
    claim_by(place, age=40, **ELSEWHERE)
    told = r"process 12 on far of ann since .*: bayesrun x; its last sign of life is 4\d s old, and after 5 minutes"
    with pytest.raises(StoreError, match=told), held(place, busy):
        pass
    claim_by(place, age=SILENT + 60, **ELSEWHERE)
    with held(place, busy):
        pass
    assert "gave no sign of life for 6 minutes; it is taken over" in capsys.readouterr().err


def test_a_host_that_was_started_anew_is_another_one(place):
    claim_by(place, boot="before")
    with pytest.raises(StoreError, match="its last sign of life"), held(place, busy):
        pass


def test_a_container_beside_this_one_is_known_by_the_lock_of_the_kernel_alone(tmp_path, monkeypatch):
    place = tmp_path / "study.lock"
    claim_by(place, space="pid:[1]")
    monkeypatch.setattr(locks.fcntl, "flock", refused)
    with pytest.raises(StoreError, match="held by"), held(place, busy):
        pass
    monkeypatch.setattr(locks.fcntl, "flock", granted)
    with held(place, busy):
        pass


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"token": "a", "process": "b"}', '{"later": 1}'])
def test_a_claim_that_cannot_be_read_counts_by_its_age(place, text):
    claim_of(place).write_text(text)
    with pytest.raises(StoreError, match="held by unknown process"), held(place, busy):
        pass
    os.utime(claim_of(place), (0, 0))
    with held(place, busy):
        pass


def test_a_file_system_without_links_makes_claims_too(place, monkeypatch):
    def link(*arguments):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(locks.os, "link", link)
    with held(place, busy), pytest.raises(StoreError, match=f"held by process {os.getpid()}"), held(place, busy):
        pass


def test_one_alone_takes_over_what_was_left_behind(place):
    """Many at once find a claim of nobody; never are two of them in."""
    claim_by(place, started="1")
    inside, most, turns = [], [], []

    def work() -> None:
        for _ in range(5):
            with contextlib.suppress(StoreError), held(place, busy):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.002)
                inside.pop()
                turns.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert turns
    assert [path.name for path in place.parent.iterdir()] == ["study.lock"]


def test_a_claim_is_touched_while_its_place_is_held_and_not_when_it_is_anothers(place, monkeypatch):
    monkeypatch.setattr(locks, "TOUCHED", 0.01)
    with held(place, busy):
        os.utime(claim_of(place), (0, 0))
        deadline = time.monotonic() + 5
        while claim_of(place).stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert claim_of(place).stat().st_mtime > 0
        claim_by(place, token="of another")
    assert json.loads(claim_of(place).read_text())["token"] == "of another"


def test_who_waits_comes_in_when_the_other_leaves(place):
    order = []

    def work() -> None:
        with held(place):
            order.append("second")

    with held(place):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_command_is_told_without_its_secrets(place, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/bin/bayesrun", "track.uri=https://me:pa55word@host/x", "a b" * 100])
    with held(place, busy):
        assert "pa55word" not in claim_of(place).read_text()
        words = holder_of(place)
    assert "bayesrun track.uri=https://host/x" in words
    assert words.endswith("...")


def test_a_folder_that_cannot_be_written_to_is_named_with_a_remedy(tmp_path):
    told = r"cannot write to .*none: .*; choose another folder: output\.dir=DIR"
    with pytest.raises(StoreError, match=told), held(tmp_path / "none" / "study.lock", busy):
        pass
