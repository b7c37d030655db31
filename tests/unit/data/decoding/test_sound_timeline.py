"""Frames of sound by their time stamps: silence in gaps, overlaps cut, and no gigabytes for a lie."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.data.decoding.sound_timeline import SoundTimeline

RATE = 16_000
ONE = np.ones(1600, np.float32)  # 0.1 s


def placed(times: list[float], begin: float = 0.0, end: float | None = None, rate: int = RATE) -> SoundTimeline:
    timeline = SoundTimeline(begin, end)
    for number, seconds in enumerate(times, 1):
        timeline.add(seconds, rate, np.full(rate // 10, number, np.float32))
    return timeline


def runs(timeline: SoundTimeline) -> list[tuple[float, int]]:
    """(value, samples) of each stretch of equal samples."""
    wave = timeline.waveform()
    edges = [0, *(np.flatnonzero(np.diff(wave)) + 1).tolist(), wave.size]
    return [(float(wave[a]), b - a) for a, b in pairwise(edges)]


def test_frames_that_follow_each_other_are_one_sound() -> None:
    assert runs(placed([0.0, 0.1, 0.2])) == [(1, 1600), (2, 1600), (3, 1600)]


def test_a_gap_is_silent_and_what_follows_keeps_its_time() -> None:
    timeline = placed([0.0, 0.1, 1.2])
    assert runs(timeline) == [(1, 1600), (2, 1600), (0, 16_000), (3, 1600)]
    assert timeline.silence == pytest.approx(1.0)


def test_overlap_is_cut_from_the_later_frame() -> None:
    timeline = placed([0.0, 0.05, 0.15])
    assert runs(timeline) == [(1, 1600), (2, 800), (3, 1600)]
    assert timeline.overlap == pytest.approx(0.05)


def test_a_frame_that_lies_wholly_before_the_end_of_the_last_is_left_out() -> None:
    timeline = placed([5.0, 1.0, 5.1])
    assert runs(timeline)[-2:] == [(1, 1600), (3, 1600)] and timeline.overlap == pytest.approx(0.1)


@pytest.mark.parametrize("late", [0.25, 3.0, 12.0, 600.0])
def test_sound_that_starts_late_by_any_amount_is_late(late: float) -> None:
    assert runs(placed([late])) == [(0, round(late * RATE)), (1, 1600)]


def test_rounded_time_stamps_leave_neither_gaps_nor_cuts() -> None:
    timeline = placed([0.0, 0.109, 0.191, 0.3])
    assert runs(timeline) == [(1, 1600), (2, 1600), (3, 1600), (4, 1600)]
    assert timeline.silence == timeline.overlap == 0.0


def test_a_clock_that_drifts_is_followed() -> None:
    times = [0.1002 * number for number in range(600)]  # 120 ms in a minute
    wave = placed(times).waveform()
    for number in (0, 300, 599):
        first = int(np.argmax(wave == number + 1)) / RATE
        assert first == pytest.approx(times[number], abs=0.016)


def test_only_the_stretch_is_kept() -> None:
    assert runs(placed([0.0, 0.1, 0.2, 0.3], 0.15, 0.25)) == [(2, 800), (3, 800)]


def test_a_gap_over_the_whole_stretch_is_silence_and_the_end_of_the_sound_is_its_end() -> None:
    assert runs(placed([0.0, 2.0], 0.5, 1.0)) == [(0, 8000)]
    assert placed([0.0], 0.5, 1.0).waveform().size == 0
    assert placed([0.0, 0.1], 0.0, 1.0).waveform().size == 3200


def test_time_stamps_that_lie_cost_no_memory() -> None:
    assert placed([0.0, 80_000.0], 0.0, 40.0).waveform().size == 40 * RATE
    for end in (None, 40.0):
        with pytest.raises(ValueError, match=r"time stamps jump to 1e\+09 s"):
            placed([0.0, 1e9], 0.0, end)


def test_the_rate_may_change() -> None:
    timeline = SoundTimeline(0.0, None)
    timeline.add(0.0, 48_000, np.ones(4800, np.float32))
    timeline.add(0.1, 16_000, np.full(1600, 2, np.float32))
    wave = timeline.waveform()
    assert wave.size == 3200 and wave[800] == pytest.approx(1, abs=0.01) and wave[2400] == 2


@given(st.lists(st.floats(0, 5), min_size=1, max_size=8))
def test_no_frame_is_heard_at_another_time_than_its_own(times: list[float]) -> None:
    timeline = placed(times)
    wave = timeline.waveform()
    for number, seconds in enumerate(times, 1):
        heard = np.flatnonzero(wave == number) / RATE
        # A cut takes the beginning, so what is left lies inside the frame's own time.
        assert not heard.size or (heard[0] >= seconds - 0.016 and heard[-1] <= seconds + 0.116)
