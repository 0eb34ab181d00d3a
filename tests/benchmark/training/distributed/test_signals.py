"""Signals are noted while a run listens, and are what they were before when it has ended."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from benchmark.training.distributed.setup import CommonFlag
from benchmark.training.distributed.signals import (
    EXIT_NOT_FINITE,
    EXIT_STOPPED,
    NotFinite,
    StopAtOnce,
    Stopped,
    StopSignals,
    leave,
)


def test_the_first_signal_is_noted():
    """A second one changes nothing: the run is saving already."""
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        with StopSignals() as stop:
            assert stop.received is None
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.received == "SIGUSR1"
        assert heard == []
        os.kill(os.getpid(), signal.SIGUSR1)
        assert heard == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_closed_terminal_is_heard_unless_it_is_ignored():
    before = signal.getsignal(signal.SIGHUP)
    try:
        for handler, received in ((signal.SIG_DFL, "SIGHUP"), (signal.SIG_IGN, None)):
            signal.signal(signal.SIGHUP, handler)
            with StopSignals() as stop:
                os.kill(os.getpid(), signal.SIGHUP)
                assert stop.received == received
            assert signal.getsignal(signal.SIGHUP) is handler
    finally:
        signal.signal(signal.SIGHUP, before)


def test_work_in_short_parts_ends_at_once_and_says_so(capsys):
    """What it holds is cleaned up; a second signal does not interrupt that."""
    before = signal.getsignal(signal.SIGTERM)
    cleaned = []

    def work() -> None:
        with StopAtOnce():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                cleaned.append(True)

    with pytest.raises(Stopped) as stopped:
        work()
    assert (cleaned, stopped.value.exit_code) == ([True], EXIT_STOPPED)
    assert capsys.readouterr().out.startswith("SIGTERM: what is finished is kept")
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_hears_none():
    """Python allows handlers in the main thread only; a run elsewhere goes without."""
    before = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    def run() -> None:
        with StopSignals() as stop:
            found.append((stop.received, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [(None, before)]


def test_one_process_speaks_for_all(capsys):
    """A stop is news, steps that are not finite are an error; others leave without a word."""
    for end, speaks in (
        (Stopped("saved"), True),
        (NotFinite("error: x"), True),
        (Stopped(), False),
    ):
        with pytest.raises(type(end)):
            leave(end, speaks)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("saved\n", "error: x\n")
    assert (Stopped.exit_code, NotFinite.exit_code) == (EXIT_STOPPED, EXIT_NOT_FINITE) == (75, 3)


def test_a_single_process_acts_at_once():
    """Over several the answer is that of the call before (`test_killing`)."""
    flag = CommonFlag()
    assert [flag.seen(raised) for raised in (False, True, False)] == [False, True, False]
    flag.wait_for_all()
    assert not flag.settle()
