"""What the commit protocol needs from the ranks: a number, and three ways to agree."""

from __future__ import annotations

from typing import Protocol, TypeVar

T = TypeVar("T")


class Group(Protocol):
    """The ranks that save and load together. Every method but the attributes is collective."""

    rank: int
    size: int

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in rank order, on every rank."""

    def broadcast(self, value: T) -> T:
        """Rank 0's value on every rank."""


class Alone:
    """A group of one: tools that read checkpoints without a process group."""

    rank = 0
    size = 1

    def gather(self, value: T) -> list[T]:
        """The value itself."""
        return [value]

    def broadcast(self, value: T) -> T:
        """The value itself."""
        return value
