"""What runs ahead, how far, and how it ends. No clock decides: threads meet at barriers and events."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest

from dual_hpc.data.run_ahead import RunAhead

PATIENCE = 60.0  # seconds, for what happens at once on an idle machine


def is_running() -> bool:
    return any(thread.name == "run ahead" for thread in threading.enumerate())


def test_the_next_item_is_made_while_the_one_before_is_used() -> None:
    both = threading.Barrier(2, timeout=PATIENCE)  # broken, and so an error, if one had to wait for the other

    def items() -> Iterator[int]:
        yield 0
        for number in range(1, 9):
            both.wait()
            yield number

    ahead = RunAhead(items(), depth=1)
    seen = []
    for number in ahead:
        seen.append(number)
        if number < 8:
            both.wait()
    assert seen == list(range(9))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_more_than_the_depth_is_made_ahead(depth: int) -> None:
    made = 0
    enough = threading.Semaphore(0)

    def items() -> Iterator[int]:
        nonlocal made
        while True:
            made += 1
            enough.release()
            yield made

    ahead = RunAhead(items(), depth)
    for taken in range(4):
        for _ in range(depth if taken == 0 else 1):
            assert enough.acquire(timeout=PATIENCE)
        assert not enough.acquire(timeout=0.05) and made == taken + depth
        assert next(ahead) == taken + 1
    ahead.close()


def test_an_error_comes_at_its_place_and_stays() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    ahead = RunAhead(items(), 4)
    assert next(ahead) == 1
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            next(ahead)
    ahead.close()
    assert not is_running()


def test_the_end_comes_after_the_last_item() -> None:
    assert list(RunAhead(iter("abc"), 2)) == ["a", "b", "c"]


def test_closing_interrupts_what_waits_and_leaves_no_thread() -> None:
    wake = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        wake.wait()

    ahead = RunAhead(items(), 2, wake.set)
    assert next(ahead) == 1
    ahead.close()
    assert not is_running()
    assert next(ahead, None) is None
    ahead.close()


def test_an_iterator_that_nobody_closed_ends_with_its_last_reference() -> None:
    source = (number for number in range(10**9))
    held = weakref.ref(source)
    ahead = RunAhead(source, 2)
    next(ahead)
    del source, ahead
    gc.collect()
    assert held() is None and not is_running()


def test_items_are_not_kept_once_they_are_taken() -> None:
    class Item:
        pass

    resumed = threading.Event()

    def items() -> Iterator[Item]:
        yield Item()
        resumed.wait(PATIENCE)
        yield Item()

    ahead = RunAhead(items(), 2, resumed.set)
    first = weakref.ref(next(ahead))
    assert first() is None
    ahead.close()


def test_a_process_ends_with_a_thread_that_nobody_closed() -> None:
    code = "import itertools; from dual_hpc.data.run_ahead import RunAhead; r = RunAhead(itertools.count(), 2); next(r)"
    assert subprocess.run([sys.executable, "-c", code], timeout=600).returncode == 0
