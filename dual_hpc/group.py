"""The collectives that saving and loading a checkpoint needs of a process group, and a group of one process."""

from __future__ import annotations

from typing import Protocol, TypeVar

T = TypeVar("T")


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
