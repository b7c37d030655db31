"""Stop signals: handlers only set a flag, which the ranks agree on in the step's reduction (contract 6).

Python runs handlers between bytecodes, so a rank that waits for another one inside a collective would not notice a
signal. A thread, which Python's C handler wakes through a pipe, ends the process even then, when the time given for
stopping is over.

Further signals change nothing: two in one job are normal (a user's `stop` and then the warning before the time limit,
that warning and then SIGTERM, a preemption and then the limit), and none of them may end a save half-way.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGUSR2, signal.SIGTERM)


class StopFlag:
    """Set by a signal, read between steps.

    Attributes:
        reason: name of the first signal received; None before.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._pid = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler. It does nothing in a forked child that inherits it."""
        if os.getpid() == self._pid and self.reason is None:
            self.reason = signal.Signals(number).name


@contextmanager
def stop_signals(give_up_seconds: float = 600.0) -> Iterator[StopFlag]:
    """Handle SIGUSR2 and SIGTERM as a request to stop; restores the former handlers at the end.

    Signals that were sent before, while they were blocked, are handled now.

    Args:
        give_up_seconds: after the first signal; then the process ends itself, whether it has saved or not.
    """
    flag = StopFlag()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    former: dict[signal.Signals, Any] = {number: signal.signal(number, flag) for number in SIGNALS}
    former_descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: clear_wakeup_fd(writer))
    arguments = (reader, give_up_seconds, exit_now)
    force_exit_thread = threading.Thread(target=_exit_if_forced, args=arguments, daemon=True)
    force_exit_thread.start()
    former_mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        yield flag
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former_mask)
        signal.set_wakeup_fd(former_descriptor)
        for number, handler in former.items():
            signal.signal(number, handler)
        writer.shutdown(socket.SHUT_RDWR)  # ends the thread, even while a forked child holds a copy
        writer.close()
        force_exit_thread.join()
        reader.close()


def exit_now(reason: str) -> None:
    """End this process at once and print its stacks; checkpoints on the disk are complete or absent at any moment."""
    print(f"ended by force: {reason}", file=sys.stderr, flush=True)
    faulthandler.dump_traceback(file=sys.__stderr__ or 2, all_threads=True)
    os._exit(1)


def _exit_if_forced(wakeups: socket.socket, give_up_seconds: float, exit_now: Callable[[str], None]) -> None:
    """Until the other end is closed: the first signal starts the clock, whose end calls `exit_now`.

    Args:
        wakeups: receives the number of every signal.
    """
    first: float | None = None
    while True:
        wakeups.settimeout(None if first is None else max(0.01, first + give_up_seconds - time.monotonic()))
        try:
            numbers = wakeups.recv(64)
        except TimeoutError:
            return exit_now(f"asked to stop {give_up_seconds:.0f} s ago and not done")
        if not numbers:
            return None
        if first is None and any(number in SIGNALS for number in numbers):
            first = time.monotonic()


def clear_wakeup_fd(writer: socket.socket) -> None:
    """In a forked child: its signals must not wake the parent's thread."""
    if writer.fileno() >= 0:  # still in `stop_signals`
        signal.set_wakeup_fd(-1)
