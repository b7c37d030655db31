"""Asked to stop by a signal: handlers only set a flag, which the ranks agree on in the step's reduction (contract 6).

Python runs handlers between bytecodes, so a rank that waits for another one inside a collective would not notice a
signal. What has to happen even then is done by a thread that Python's C handler wakes through a pipe: a second signal
ends the process at once, and so does the time given for stopping when it is over.
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
BURST_SECONDS = 2.0  # srun, its step daemon and the launcher each pass on the same signal


class StopFlag:
    """Set by a signal, read at the step's boundary.

    Attributes:
        reason: name of the first signal that came; None as long as none did.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._pid = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler. A forked child that inherits it has nothing to say about the run."""
        if os.getpid() == self._pid and self.reason is None:
            self.reason = signal.Signals(number).name


@contextmanager
def listening(give_up_seconds: float = 600.0) -> Iterator[StopFlag]:
    """Handle SIGUSR2 and SIGTERM as a wish to stop; everything is as before at the end.

    Those that came before us, while they were blocked, are heard now.

    Args:
        give_up_seconds: after the first signal; then the process ends itself, saved or not.
    """
    flag = StopFlag()
    ours, woken = socket.socketpair()
    woken.setblocking(False)
    former: dict[signal.Signals, Any] = {number: signal.signal(number, flag) for number in SIGNALS}
    former_descriptor = signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: _deafen(woken))
    impatient = threading.Thread(target=_wait_for_force, args=(ours, give_up_seconds, leave), daemon=True)
    impatient.start()
    former_mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        yield flag
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former_mask)
        signal.set_wakeup_fd(former_descriptor)
        for number, handler in former.items():
            signal.signal(number, handler)
        woken.shutdown(socket.SHUT_RDWR)  # ends the thread, even while a forked child holds a copy
        woken.close()
        impatient.join()
        ours.close()


def leave(reason: str) -> None:
    """End this process at once and say where it was; checkpoints on the disk are whole or absent at any moment."""
    print(f"ended by force: {reason}", file=sys.stderr, flush=True)
    faulthandler.dump_traceback(file=sys.__stderr__ or 2, all_threads=True)
    os._exit(1)


def _wait_for_force(wakes: socket.socket, give_up_seconds: float, leave: Callable[[str], None]) -> None:
    """Until the other end is closed: the first signal starts the clock, a later one or the clock ends the process."""
    first: float | None = None
    while True:
        wakes.settimeout(None if first is None else max(0.01, first + give_up_seconds - time.monotonic()))
        try:
            numbers = wakes.recv(64)
        except TimeoutError:
            return leave(f"asked to stop {give_up_seconds:.0f} s ago and not done")
        if not numbers:
            return None
        if not any(number in SIGNALS for number in numbers):
            continue
        if first is None:
            first = time.monotonic()
        elif time.monotonic() - first > BURST_SECONDS:
            return leave("a second signal")


def _deafen(woken: socket.socket) -> None:
    if woken.fileno() >= 0:  # listening still: a child's signals must not wake the parent
        signal.set_wakeup_fd(-1)
