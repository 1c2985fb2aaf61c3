"""Real signals to processes of the tests' own: when the exception comes, what holds it back, what a second one does."""

import os
import pty
import signal
import subprocess
import sys
import textwrap
import time

import pytest

SCRIPT = """
import ctypes, os, signal, sys, time
from bayesrun.base import stop_signals
from bayesrun.base.stop_signals import Stopped, at_last, check, held, passed_on, renew, watched

def say(text):
    print(text, flush=True)

def compiled():
    # a mutex that is locked twice: no signal interrupts it
    lock, library = ctypes.create_string_buffer(256), ctypes.CDLL(None)
    library.pthread_mutex_lock(lock)
    library.pthread_mutex_lock(lock)

def main():
BODY

# a test that runs in the background inherits that interrupts are ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with watched():
        main()
except Stopped as stop:
    say(f"{stop}: {stop.sentence}")
    sys.exit(stop.code)
"""


def script(body: str) -> list[str]:
    """Write the command of a process whose main function has this body."""
    body = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return [sys.executable, "-c", SCRIPT.replace("BODY", body)]


def python(body: str, **options) -> subprocess.Popen:
    """Start a process, and wait until it says that it is ready."""
    process = subprocess.Popen(script(body), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()
    return process


def ended(process: subprocess.Popen, seconds: float = 20) -> tuple[int, list[str], str]:
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out.splitlines(), err


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGTERM, "SIGTERM: stopped by SIGTERM"),
        (signal.SIGHUP, "SIGHUP: stopped by SIGHUP"),
        (signal.SIGINT, "SIGINT: interrupted"),
    ],
)
def test_the_first_is_raised_through_handlers_of_exceptions_and_of_interrupts(number, words):
    process = python("""
        say("ready")
        try:
            time.sleep(60)
        except (Exception, KeyboardInterrupt, SystemExit):
            say("swallowed")
    """)
    process.send_signal(number)
    told = f"{words}; finished fits are kept, and the same command goes on from there"
    assert ended(process) == (128 + number, [told], "")


def test_what_is_held_comes_to_its_end_and_a_group_that_is_signalled_twice_is_so_once():
    process = python("""
        with held():
            say("ready")
            with held():
                time.sleep(1.5)
            time.sleep(0.2)
            say("end of what is held")
        say("not this")
    """)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        process.send_signal(number)
        time.sleep(0.2)
    code, lines, err = ended(process)
    assert (code, lines[0], err) == (143, "end of what is held", "")
    assert len(lines) == 2


def test_tidying_up_is_not_interrupted_and_a_lost_exception_is_raised_again():
    process = python("""
        class Loses:
            def __del__(self):
                with held():
                    os.kill(os.getpid(), signal.SIGTERM)
                    time.sleep(0.1)
        say("ready")
        Loses()
        say("goes on")
        try:
            check()
        finally:
            with held():
                say("tidied up")
            with held():
                say("wholly")
    """)
    code, lines, err = ended(process)
    assert (code, lines[:3]) == (143, ["goes on", "tidied up", "wholly"])
    assert "Stopped: SIGTERM" in err


@pytest.mark.parametrize("busy", ["time.sleep(60)", "compiled()"])
def test_a_second_one_ends_it_at_once_also_in_compiled_code(busy):
    process = python(f"""
        try:
            with held():
                say("ready")
                while True:
                    {busy}
        finally:
            say("not this")
    """)
    process.send_signal(signal.SIGTERM)
    time.sleep(1.3)
    process.send_signal(signal.SIGINT)
    assert ended(process, 5) == (130, [], "bayesrun: interrupted at once\n")


def test_compiled_code_that_does_not_return_is_left_after_what_is_to_be_done():
    process = python("""
        stop_signals.STUCK = 0.5
        with at_last(lambda: say("not this")):
            pass
        with at_last(lambda: say("runs are killed")):
            say("ready")
            compiled()
    """)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    code, lines, err = ended(process, 10)
    assert (code, lines) == (143, ["runs are killed"])
    assert err == "bayesrun: stopped by SIGTERM; finished fits are kept, and the same command goes on from there\n"


def test_a_study_is_given_back_also_by_a_command_that_is_stuck_in_compiled_code(tmp_path):
    process = python(f"""
        from pathlib import Path
        from bayesrun.store.folder import Store
        stop_signals.STUCK = 0.5
        with Store(Path({str(tmp_path)!r}) / "s").locked():
            say("ready")
            compiled()
    """)
    assert list((tmp_path / "s").glob("*.claim*"))
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert ended(process, 10)[0] == 143
    assert not list((tmp_path / "s").glob("*.claim*"))


def test_what_hangs_at_the_end_is_left_too():
    process = python("""
        stop_signals.STUCK = stop_signals.LAST = 0.3
        with at_last(lambda: time.sleep(60)):
            say("ready")
            compiled()
    """)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert ended(process, 10)[0] == 143


def test_signals_that_were_ignored_at_the_start_stay_ignored():
    body = """
        say("ready")
        time.sleep(1)
        say("end")
    """
    process = python(body, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))  # as nohup does
    process.send_signal(signal.SIGHUP)
    assert ended(process) == (0, ["end"], "")


def test_signals_are_taken_back_from_a_library_and_given_back_at_the_end():
    process = python("""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
        renew()
        say("ready")
        time.sleep(60)
    """)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143
    before = signal.getsignal(signal.SIGTERM)
    from bayesrun.base import stop_signals

    with stop_signals.watched():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    assert not stop_signals.asked()


def test_an_error_that_a_signal_brought_about_is_not_told():
    process = python("""
        try:
            with held():
                say("ready")
                time.sleep(1)
                raise OSError("the terminal is gone")
        finally:
            say("unwound")
    """)
    process.send_signal(signal.SIGHUP)
    code, lines, err = ended(process)
    assert (code, lines[0], err) == (129, "unwound", "")


def test_a_copy_of_the_process_ends_by_its_own_signals():
    process = python("""
        stop_signals.STUCK = 0.2
        child = os.fork()
        if not child:
            say("ready")
            time.sleep(60)
        time.sleep(0.5)
        os.kill(child, signal.SIGTERM)
        say(os.WTERMSIG(os.waitpid(child, 0)[1]))
        time.sleep(0.5)
    """)
    assert ended(process)[:2] == (0, ["15"])


def test_signals_are_passed_on_each_of_them():
    process = python("""
        stop_signals.STUCK = 0.2
        heard = []
        with passed_on(heard.append):
            say("ready")
            while len(heard) < 2:
                time.sleep(0.05)
            time.sleep(0.5)
        say(heard)
    """)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (0, ["[15, 2]"], "")


def test_a_terminal_that_was_closed_is_written_to_no_more():
    """The words go nowhere, and the exit code is that of the signal."""
    master, slave = pty.openpty()
    read, write = os.pipe()
    body = """
        print("ready", file=os.fdopen({write}, "w"), flush=True)
        try:
            time.sleep(60)
        finally:
            print("lost words", flush=True)
            sys.stderr.write("more of them")
    """.replace("{write}", str(write))
    process = subprocess.Popen(
        script(body), stdin=slave, stdout=slave, stderr=slave, pass_fds=[write], start_new_session=True
    )
    os.close(slave)
    os.close(write)
    with os.fdopen(read) as told:
        assert told.readline() == "ready\n"
    os.close(master)
    process.send_signal(signal.SIGHUP)
    assert process.wait(20) == 129
