"""Threads that pretend to be the ranks of a job: hundreds in one process, with the collectives that saving needs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_PATIENCE = 600.0


class ThreadGroup:
    """One rank of `dual_hpc.group.Group` among threads; a value is handed over, never copied."""

    def __init__(self, rank: int, slots: list[Any], barrier: threading.Barrier) -> None:
        self.rank, self.size = rank, len(slots)
        self._slots, self._barrier = slots, barrier

    def all_gather(self, value: T) -> list[T]:
        """Every rank's value, in rank order."""
        self._slots[self.rank] = value
        self._barrier.wait(_PATIENCE)
        values: list[T] = list(self._slots)
        self._barrier.wait(_PATIENCE)
        return values

    def broadcast(self, value: T) -> T:
        """Rank 0's value."""
        return self.all_gather(value)[0]


def on_threads(ranks: int, act: Callable[[ThreadGroup], T]) -> list[T]:
    """What `act` returns on each of `ranks` threads that work together.

    Raises:
        Whatever a rank raises; of several, the lowest rank's.
    """
    slots, barrier = [None] * ranks, threading.Barrier(ranks)
    answers: list[Any] = [None] * ranks
    errors: list[BaseException | None] = [None] * ranks

    def rank(number: int) -> None:
        try:
            answers[number] = act(ThreadGroup(number, slots, barrier))
        except BaseException as error:
            errors[number] = error
            barrier.abort()

    threads = [threading.Thread(target=rank, args=(number,), daemon=True) for number in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    causes = [error for error in errors if error is not None]
    if causes:
        raise next((cause for cause in causes if not isinstance(cause, threading.BrokenBarrierError)), causes[0])
    return answers
