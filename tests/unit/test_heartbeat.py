"""Progress is counted, and told to those who listen."""

from __future__ import annotations

from dual_hpc.heartbeat import beat, beats, on_beat, relay


def test_a_beat_is_counted_and_told_and_that_of_another_process_is_only_told() -> None:
    told: list[int] = []
    before = beats()
    with on_beat(lambda: told.append(beats() - before)):
        beat()
        relay()
    beat()
    assert told == [1, 1] and beats() - before == 2
