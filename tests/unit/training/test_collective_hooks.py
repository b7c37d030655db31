"""The backend's collectives cut the phases of a step, also those that go on after their call."""

from __future__ import annotations

from typing import Any

import pytest

from dual_hpc.training.collective_hooks import hook
from dual_hpc.training.phase_times import HostCuts, PhaseTimes

now = [0.0]


class Work:
    """An asynchronous collective."""

    def is_completed(self) -> bool:
        return False

    def wait(self) -> str:
        now[0] += 4
        return "done"


class Backend:
    """Two of DeepSpeed's operations."""

    def all_reduce(self, tensor: int, async_op: bool = False) -> Work | None:
        now[0] += 2
        return Work() if async_op else None

    def broadcast(self, tensor: int) -> None:
        raise RuntimeError("connection closed")


def test_a_collective_and_the_wait_for_one_are_reduction_and_errors_pass() -> None:
    times, backend = PhaseTimes(HostCuts(lambda: now[0])), Backend()
    hook(backend, PhaseTimes(HostCuts()))
    hook(backend, times)  # another session of this process: the first is not told any more
    times.begin("backward")
    now[0] += 1
    assert backend.all_reduce(1) is None
    work: Any = backend.all_reduce(1, async_op=True)
    now[0] += 1
    assert not work.is_completed() and work.wait() == "done"
    with pytest.raises(RuntimeError, match="closed"):
        backend.broadcast(1)
    now[0] += 1
    times.end("backward")
    found = times.seconds()
    assert (found["backward"], found["reduction"]) == (3.0, 8.0)
