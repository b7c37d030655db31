"""A decoder's threads share a core while it works, and only then."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dual_hpc.data.decoding.pin_to_core import pin_to_core


@pytest.fixture
def allowed() -> Iterator[Any]:
    before = os.sched_getaffinity(0)
    yield before
    os.sched_setaffinity(0, before)


def test_the_thread_and_those_that_it_starts_stay_on_one_of_its_cores(allowed: Any) -> None:
    seen = []
    with pin_to_core():
        mine = os.sched_getaffinity(0)
        thread = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
        thread.start()
        thread.join()
    assert len(mine) == 1 and mine <= allowed and seen == [mine]
    assert os.sched_getaffinity(0) == allowed


def test_threads_that_were_there_before_keep_their_cores(allowed: Any) -> None:
    inside, done, seen = threading.Event(), threading.Event(), []

    def other() -> None:
        inside.wait(600)
        seen.append(os.sched_getaffinity(0))
        done.set()

    threading.Thread(target=other, daemon=True).start()
    with pin_to_core():
        inside.set()
        done.wait(600)
    assert seen == [allowed]


def test_cores_are_given_back_when_decoding_fails(allowed: Any) -> None:
    with pytest.raises(ValueError, match="damaged"), pin_to_core():
        raise ValueError("damaged")
    assert os.sched_getaffinity(0) == allowed


def test_a_job_that_may_use_one_core_uses_that_one(allowed: Any) -> None:
    only = {max(allowed)}
    os.sched_setaffinity(0, only)
    with pin_to_core():
        assert os.sched_getaffinity(0) == only
    assert os.sched_getaffinity(0) == only


def test_decoding_goes_on_where_cores_may_not_be_chosen(allowed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: int, cores: set[int]) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with pin_to_core():
        decoded = True
    assert decoded and os.sched_getaffinity(0) == allowed


def test_decoding_goes_on_where_nobody_says_which_core_it_is(allowed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dual_hpc.data.decoding.pin_to_core._libc", SimpleNamespace(sched_getcpu=lambda: -1))
    with pin_to_core():
        decoded = True
    assert decoded and os.sched_getaffinity(0) == allowed
