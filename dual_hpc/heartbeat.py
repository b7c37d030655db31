"""Signs of progress: long work calls `beat` after each piece of it, and whoever watches for a hang is told.

One channel per process, because what works (hashing a file, reading an index, a batch of a validation) and what watches
(the training's watchdog) are far apart, and nothing between them has to know of it. Any thread may call it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_listeners: list[Callable[[], None]] = []
_count = 0
_waiting_since: float | None = None


def beat() -> None:
    """A piece of something long is done. Costs next to nothing: call it for every batch, file or few megabytes."""
    global _count
    _count += 1
    relay()


def relay() -> None:
    """Another process has made progress that this one waits for."""
    for listener in tuple(_listeners):
        listener()


def beats() -> int:
    """How many pieces this process has done: a number that grows while it makes progress."""
    return _count


@contextmanager
def waiting_for_data() -> Iterator[None]:
    """Around a wait for the data that this process needs next, whose makers are watched elsewhere."""
    global _waiting_since
    _waiting_since = time.monotonic()
    try:
        yield
    finally:
        _waiting_since = None


def data_wait_seconds() -> float | None:
    """How long this process has been waiting for data; None if it does not."""
    since = _waiting_since
    return None if since is None else time.monotonic() - since


@contextmanager
def on_beat(listener: Callable[[], None]) -> Iterator[None]:
    """Call `listener` at every `beat` and `relay`, in their thread; it must be quick and must not raise."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
