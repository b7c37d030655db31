"""The collectives that saving and loading a checkpoint needs of a process group, and a group of one process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from typing import Protocol, TypeVar

from dual_hpc.background import in_thread
from dual_hpc.heartbeat import beats, relay

T = TypeVar("T")
TICK_SECONDS = 1.0  # between two messages of a rank that still works


class Group(Protocol):
    """The ranks that save and load together. Every method is collective."""

    rank: int
    size: int

    def all_gather(self, value: T) -> list[T]:
        """Every rank's value, in rank order, on every rank."""

    def broadcast(self, value: T) -> T:
        """Rank 0's value on every rank."""


class SingleProcess:
    """A group of one process: for tools that read checkpoints without a process group."""

    rank = 0
    size = 1

    def all_gather(self, value: T) -> list[T]:
        """The value itself."""
        return [value]

    def broadcast(self, value: T) -> T:
        """The value itself."""
        return value


def gather_results(group: Group, work: Callable[[], T], tick: float = TICK_SECONDS) -> list[T]:
    """Run `work`, which calls no collective, on every rank, and gather what it returns. Collective.

    Ranks need not take equally long: those that are done exchange a message with the others every `tick` seconds, so
    that no collective times out while a rank still works, and the progress of one (`heartbeat`) is that of all.

    Raises:
        Whatever `work` raises on this rank: the other ranks are told nothing.
    """
    if group.size == 1:
        return [work()]
    future = in_thread(work)
    counts: list[int] = []
    while True:
        wait([future], timeout=tick)
        done = future.done()
        answers = group.all_gather((done, future.result() if done else None, beats()))
        if all(ended for ended, _, _ in answers):
            return [value for _, value, _ in answers]  # type: ignore[misc]
        if (now := [count for _, _, count in answers]) != counts:
            counts = now
            relay()
