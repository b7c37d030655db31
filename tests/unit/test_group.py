"""Results of work that takes some ranks longer than others."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from dual_hpc.group import SingleProcess, gather_results
from dual_hpc.heartbeat import beat, on_beat


class Threads:
    """A rank of a group whose ranks are threads, with a collective that waits only so long."""

    def __init__(self, rank: int, slots: list[Any], barrier: threading.Barrier, seconds: float) -> None:
        self.rank, self.size = rank, len(slots)
        self._slots, self._barrier, self._seconds = slots, barrier, seconds
        self.calls = 0

    def all_gather(self, value: Any) -> list[Any]:
        self.calls += 1
        self._slots[self.rank] = value
        self._barrier.wait(self._seconds)
        values = list(self._slots)
        self._barrier.wait(self._seconds)
        return values

    def broadcast(self, value: Any) -> Any:
        return self.all_gather(value)[0]


def together(work: Any, timeout: float = 5.0) -> tuple[list[list[Any]], list[Threads]]:
    """`work(rank)` on three ranks: what each has gathered, and the ranks."""
    slots, barrier = [None] * 3, threading.Barrier(3)
    ranks = [Threads(n, slots, barrier, timeout) for n in range(3)]
    found: list[list[Any]] = [[]] * 3

    def run(rank: Threads) -> None:
        found[rank.rank] = gather_results(rank, lambda: work(rank.rank), tick=0.1)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in ranks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found, ranks


def test_one_process_works_by_itself() -> None:
    assert gather_results(SingleProcess(), lambda: 7) == [7]


def test_a_rank_may_work_longer_than_a_collective_waits_and_all_get_all_results() -> None:
    found, ranks = together(lambda rank: time.sleep(1.5 if rank == 0 else 0) or rank, timeout=0.8)
    assert found == [[0, 1, 2]] * 3 and ranks[1].calls > 3


def test_quick_work_costs_one_message() -> None:
    assert max(rank.calls for rank in together(lambda rank: rank, timeout=60)[1]) <= 2


@pytest.mark.parametrize("progresses", [True, False])
def test_the_progress_of_one_rank_is_told_on_all_and_without_any_nothing_is_told(progresses: bool) -> None:
    told: list[float] = []

    def work(rank: int) -> None:
        for _ in range(15 if rank == 0 else 0):
            time.sleep(0.1)
            if progresses:
                beat()

    with on_beat(lambda: told.append(time.monotonic())):
        together(work)
    assert (len(told) > 15) if progresses else len(told) <= 3  # each rank's first message
