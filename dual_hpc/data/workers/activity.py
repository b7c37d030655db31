"""What a worker is doing, in a page that it shares with its parent: readable while it hangs and after it died."""

from __future__ import annotations

import mmap
from typing import NamedTuple

import numpy as np

IDLE, READING, DECODING = 0, 1, 2
BYTES = 64


class Activity(NamedTuple):
    """One thread's state: phase, and which row of which job."""

    phase: int
    job: int
    row: int


class Status:
    """Both threads' activity in the shared memory behind `descriptor`."""

    def __init__(self, descriptor: int):
        self._cells = np.frombuffer(mmap.mmap(descriptor, BYTES), np.int64).reshape(2, 4)[:, :3]

    def reading(self, job: int, row: int, phase: int) -> None:
        """Called by the reading thread before and after each sample."""
        self._cells[0] = (phase, job, row)

    def decoding(self, job: int, row: int, phase: int) -> None:
        """Called by the decoding thread before and after each sample."""
        self._cells[1] = (phase, job, row)

    def activity(self) -> tuple[Activity, Activity]:
        """Reader's and decoder's activity."""
        reader, decoder = (Activity(*cells) for cells in self._cells.tolist())
        return reader, decoder
