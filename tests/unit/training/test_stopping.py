"""Signals set a flag, in this process and inside `stop_signals`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from dual_hpc.training.stopping import SIGNALS, stop_signals


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_sets_the_flag_and_the_first_one_names_the_reason(number: signal.Signals) -> None:
    with stop_signals() as flag:
        assert flag.reason is None
        os.kill(os.getpid(), number)
        for other in SIGNALS:
            os.kill(os.getpid(), other)
        assert flag.reason == number.name


def test_former_handlers_are_restored() -> None:
    former = [signal.getsignal(number) for number in SIGNALS]
    with stop_signals():
        assert [signal.getsignal(number) for number in SIGNALS] != former
    assert [signal.getsignal(number) for number in SIGNALS] == former


def test_a_signal_sent_while_it_was_blocked_is_handled_and_the_mask_is_restored() -> None:
    former = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        # To this thread: one of the test runner's, which does not block it, would take it and end the process.
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
        with stop_signals() as flag:
            assert flag.reason == "SIGUSR2"
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == former | set(SIGNALS)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def test_a_forked_child_cannot_stop_the_run() -> None:
    with stop_signals() as flag:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(flag.reason is not None)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert flag.reason is None


# A process that never comes back to Python: a mutex locked twice acts like a collective whose peer is gone.
BLOCKED = """
import ctypes, sys
from dual_hpc.training.stopping import stop_signals
with stop_signals(float(sys.argv[1])):
    print("listening", flush=True)
    libc = ctypes.CDLL(None)
    mutex = ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)  # never comes back
"""


def blocked(give_up_seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BLOCKED, str(give_up_seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "listening\n"
    return process


@pytest.mark.timeout(600)
def test_a_blocked_process_ends_itself_when_the_time_to_stop_is_over_and_shows_where_it_was() -> None:
    process = blocked(0.5)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "asked to stop 0 s ago and not done" in said and "most recent call first" in said


@pytest.mark.timeout(600)
def test_later_signals_neither_end_a_process_that_saves_nor_give_it_more_time() -> None:
    process = blocked(4)
    began = time.monotonic()
    for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGUSR2, signal.SIGTERM, signal.SIGTERM):
        process.send_signal(number)
        time.sleep(0.6)
    assert process.poll() is None
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1 and "asked to stop 4 s ago and not done" in said
    assert time.monotonic() - began >= 4
