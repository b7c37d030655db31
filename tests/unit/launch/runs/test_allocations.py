"""How much of a run each allocation does."""

from __future__ import annotations

from typing import Any

import pytest

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.run.directory import Segment
from launch.cluster.profiles import Profile
from launch.records.submissions import Entry
from launch.runs.allocations import ended_allocations

SUBMIT = Entry(event="submit", job_id="7", time=100, request=LaunchConfig(hours=0.05), profile=Profile())  # 180 s


def again(time: float) -> Entry:
    return Entry(event="requeue", job_id="7", time=time, cause="time limit")


def work(begin: float, end: float | None, first: int, last: int) -> list[Segment]:
    started = Segment(event="start", job_id="7", time=begin, step=first)
    return [started] + ([Segment(event="end", job_id="7", time=end, step=last, reason="stopped")] if end else [])


@pytest.mark.parametrize(
    ("history", "segments", "step", "active", "said"),
    [
        ([], work(150, 250, 0, 3), 3, False, ""),
        ([SUBMIT], work(260, 270, 0, 3), 3, False, "3 steps per allocation, of which starting up took 94 %"),
        (
            [SUBMIT, again(280)],
            [*work(260, 270, 0, 3), *work(450, 460, 3, 8)],
            8,
            False,
            "4 steps per allocation, of which starting up took 94 %",
        ),
        (
            [SUBMIT, again(280)],
            [*work(110, 270, 0, 300), *work(450, None, 300, 0)],
            320,
            True,
            "300 steps per allocation",
        ),
        ([SUBMIT], work(120, None, 0, 0), 50, True, ""),
        ([SUBMIT], [], 0, False, "0 steps per allocation: starting up took longer than the limit of 3 minutes"),
        (
            [SUBMIT],
            work(10, 90, 0, 40),
            40,
            False,
            "0 steps per allocation: starting up took longer",
        ),
    ],
)
def test_a_limit_that_is_too_short_for_a_start_up_is_told(
    history: list[Entry], segments: list[Segment], step: int, active: bool, said: str
) -> None:
    found = ended_allocations(segments, history, step, active=active)
    assert found.sentence().startswith(said) and bool(found.sentence()) == bool(said)
    assert found.too_short == ("starting up" in said)


def test_a_node_that_was_lost_counts_what_was_kept() -> None:
    kept: list[Any] = [*work(110, None, 0, 0), *work(300, 380, 10, 30)]
    found = ended_allocations(kept, [SUBMIT, again(290)], 30, active=False)
    assert (found.count, found.steps, found.training_seconds) == (2, 30, 80)
