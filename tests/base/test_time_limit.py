"""A call is over after its time, whatever it does meanwhile, and one in time leaves no trace."""

import importlib
import signal
import sys
import threading
import time

import pytest

from bayesrun.base.time_limit import LateError, within


def swallow() -> None:
    """As a library that goes on without what an optimisation would have brought."""
    while True:
        try:
            time.sleep(60)
        except Exception:  # noqa: BLE001 - that is the point
            continue


def in_python() -> None:
    while True:
        pass


@pytest.mark.parametrize("call", [lambda: time.sleep(60), swallow, in_python])
def test_what_takes_longer_is_stopped_and_says_how_long_it_ran(call):
    with pytest.raises(LateError, match=r"^stopped after \d+\.\d s$") as caught:
        within(0.2, call)
    assert 0.2 <= caught.value.seconds < 30
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_it_rings_again_when_nobody_heard_it(monkeypatch):
    monkeypatch.setattr("bayesrun.base.time_limit.AGAIN", 0.1)
    heard = []

    def deaf():
        while True:
            try:
                time.sleep(60)
            except BaseException as error:
                heard.append(error)
                if len(heard) == 3:
                    raise

    with pytest.raises(LateError):
        within(0.1, deaf)
    assert len(heard) == 3


SLOW_MODULE = """
import time
ends = time.monotonic() + {seconds}
while time.monotonic() < ends:
    pass
whole = True
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module that is slow to import."""
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda seconds: (tmp_path / "slow_module.py").write_text(SLOW_MODULE.format(seconds=seconds))
    sys.modules.pop("slow_module", None)


def test_an_import_is_whole_before_the_call_that_needs_it_is_stopped(module):
    module(0.6)

    def call():
        import slow_module

        assert slow_module.whole
        time.sleep(60)

    with pytest.raises(LateError) as caught:
        within(0.1, call)
    assert caught.value.seconds >= 0.6
    assert sys.modules["slow_module"].whole
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_import_that_does_not_end_is_stopped_all_the_same(module, monkeypatch):
    monkeypatch.setattr("bayesrun.base.time_limit.PATIENCE", 0.2)
    module(60)
    with pytest.raises(LateError) as caught:
        within(0.1, lambda: importlib.import_module("slow_module"))
    assert 0.3 <= caught.value.seconds < 30


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_what_is_in_time_is_as_without_a_bound(seconds):
    before = signal.getsignal(signal.SIGALRM)
    assert within(seconds, lambda: 7) == 7
    with pytest.raises(ValueError, match="own"):
        within(seconds, lambda: int("own"))
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_another_thread_keeps_no_bound():
    found = []
    thread = threading.Thread(target=lambda: found.append(within(0.01, lambda: time.sleep(0.2) or "slept")))
    thread.start()
    thread.join()
    assert found == ["slept"]
