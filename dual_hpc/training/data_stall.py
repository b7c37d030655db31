"""A wait for data is not a hang: not of the rank that waits, nor of those that wait for it in a collective.

The loader watches its workers itself: it kills a decoder that hangs, and ends the job with the file's name when storage
does not answer for long. Until then this thread restarts the watchdog's timer. Every rank that waits for data counts up
a number that all ranks share, and a rank whose step takes long looks whether it grows.
"""

from __future__ import annotations

import threading
from typing import Protocol

from dual_hpc.data.workers.pool import Timeouts
from dual_hpc.heartbeat import data_wait_seconds
from dual_hpc.training.watchdog import Watchdog

PATIENCE_SECONDS = Timeouts().read + 2 * Timeouts().decode  # by then the loader itself has ended the job


class Counter(Protocol):
    """A number that all ranks share."""

    def add(self, amount: int) -> int:
        """Add to it; returns the sum."""


class StoreCounter:
    """One in the store of the process group, over a connection of its own: the other one may be busy.

    Raises:
        RuntimeError: there is no process group.
    """

    _KEY = "dual_hpc/waits_for_data"

    def __init__(self) -> None:
        from torch.distributed.distributed_c10d import _get_default_store

        self._store = _get_default_store().clone()  # type: ignore[attr-defined]  # missing in the stubs

    def add(self, amount: int) -> int:
        return int(self._store.add(self._KEY, amount))


def open_counter(ranks: int) -> Counter | None:
    """The counter of a process group of so many ranks."""
    return StoreCounter() if ranks > 1 else None


class DataStalls:
    """A thread that excuses waits for data to the watchdog; it does nothing while no step takes long.

    Args:
        tick: seconds between two looks; a fraction of the watchdog's limit.
        counter: shared with the other ranks; None where there are none.
    """

    def __init__(
        self, watchdog: Watchdog, tick: float, counter: Counter | None, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._watchdog, self._tick, self._counter, self._patience = watchdog, tick, counter, patience
        self._seen = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="data stalls", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, unless it waits for a store that does not answer."""
        self._closed.set()
        self._thread.join(timeout=self._tick)

    def _run(self) -> None:
        while not self._closed.wait(self._tick):
            try:
                if self._is_stalled():
                    self._watchdog.excuse()
            except RuntimeError:  # the store is gone, and with it rank 0: nothing is excused any more
                return

    def _is_stalled(self) -> bool:
        waited = data_wait_seconds()
        if waited is not None and waited > self._tick:
            if waited > self._patience:
                return False
            if self._counter is not None:
                self._counter.add(1)
            return True
        if self._counter is None or self._watchdog.seconds() < self._tick:
            return False
        before, self._seen = self._seen, self._counter.add(0)
        return self._seen > before
