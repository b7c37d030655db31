"""The messages between a data worker and its parent."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from dual_hpc.data.decoding.decoder import DecodeFailure, Request
from dual_hpc.data.layout import Layout
from dual_hpc.errors import DualError

IGNORED = (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
DUMP_SIGNAL = signal.SIGUSR1  # prints the stacks of all threads


@dataclass(frozen=True)
class Job:
    """One micro-batch to make."""

    number: int
    rows: list[Request]


@dataclass(frozen=True)
class Result:
    """One micro-batch; the memory of its layout follows."""

    job: int
    layout: Layout
    texts: list[str | None]
    failures: dict[int, DecodeFailure]  # by row, of those that are left blank
    decoders: dict[str, int]  # decoder -> videos


@dataclass(frozen=True)
class WorkerError:
    """The worker cannot continue; `error` is for the user."""

    error: DualError
