"""Shares of phases: of a thread's clock, and of a device that works behind it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dual_hpc.run.phases import PHASES
from dual_hpc.training.phase_times import REST, HostCuts, PhaseTimes


class Device:
    """A device whose work is queued: it reaches a moment `lag` seconds after the thread, or when it is idle."""

    behind = True

    def __init__(self) -> None:
        self.host = self.busy_until = 0.0
        self.read: list[float] = []

    def work(self, seconds: float) -> None:
        self.busy_until = max(self.busy_until, self.host) + seconds

    def now(self) -> float:
        return max(self.busy_until, self.host)

    def has_passed(self, moment: float) -> bool:
        return moment <= self.host

    def seconds(self, before: float, after: float) -> float:
        assert self.has_passed(after), "this would wait for the device"
        return after - before


def test_shares_are_of_the_time_since_the_last_call_and_the_rest_belongs_to_no_phase() -> None:
    now = [0.0]
    times = PhaseTimes(HostCuts(lambda: now[0]))
    for phase, seconds in [("data_wait", 1), ("forward", 2), ("data_wait", 1), (REST, 3), ("save_stall", 1), (None, 2)]:
        now[0] += seconds
        if phase is not None:
            times.end(phase)
    expected = dict.fromkeys(PHASES, 0.0) | {"data_wait": 0.2, "forward": 0.2, "save_stall": 0.1}
    assert times.shares() == pytest.approx(expected)
    now[0] += 4
    times.end("validation")
    assert times.shares() == pytest.approx(dict.fromkeys(PHASES, 0.0) | {"validation": 1.0})


def test_no_time_at_all_is_no_error() -> None:
    assert set(PhaseTimes(HostCuts(lambda: 5.0)).shares().values()) == {0.0}


def test_of_a_device_the_wait_for_data_is_what_it_idles_and_nothing_is_waited_for() -> None:
    device: Any = Device()
    times = PhaseTimes(device)
    for step in range(6):
        device.host += 2.0  # the thread waits for data, but in the first step it finds the device busy with nothing
        times.end("data_wait")
        device.work(3.0)
        times.end("forward")  # the device will be there three seconds later
        device.work(1.0)
        times.end("backward")
        device.host += 3.0 if step % 2 else 1.0
    device.host = device.busy_until
    found = times.shares()
    # Busy for 24 s; it idled 2 s before the first step, and afterwards when the thread came later than its work ended.
    total = device.busy_until
    assert found["forward"] == pytest.approx(18 / total) and found["backward"] == pytest.approx(6 / total)
    assert found["data_wait"] == pytest.approx((total - 24) / total) and found["data_wait"] < 6 * 2.0 / total


def test_what_the_device_has_not_done_yet_counts_in_the_next_interval() -> None:
    device: Any = Device()
    times = PhaseTimes(device)
    device.work(5.0)
    times.end("forward")
    assert set(times.shares().values()) == {0.0}
    device.host = 10.0
    assert times.shares()["forward"] == pytest.approx(0.5)


def test_the_device_of_the_rank_decides_what_is_cut() -> None:
    import torch

    assert isinstance(PhaseTimes.on(torch.device("cpu"))._cuts, HostCuts)
    events: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: str) -> None:
            events.append(f"record on {stream}")

        def query(self) -> bool:
            events.append("query")
            return True

        def elapsed_time(self, other: Any) -> float:
            return 250.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "Event", Event)
        patch.setattr(torch.cuda, "current_stream", lambda device: "the computing stream")
        times = PhaseTimes.on(SimpleNamespace(type="cuda"))  # type: ignore[arg-type]
        times.end("forward")
        assert times.shares()["forward"] == 0.5 and set(events) == {"record on the computing stream", "query"}


def test_on_a_cpu_a_collective_is_a_phase_of_its_own_wherever_it_comes() -> None:
    now = [0.0]
    times = PhaseTimes(HostCuts(lambda: now[0]))

    def collective(seconds: float) -> None:
        times.enter_collective()
        times.enter_collective()  # one that calls another
        now[0] += seconds
        times.leave_collective()
        times.leave_collective()

    for phase in ("forward", "backward", "optimizer"):
        times.begin(phase)
        now[0] += 1
        collective(2)
        now[0] += 3
        times.end(phase)
    collective(5)  # of a save, which has begun no phase of a step
    times.end("save_stall")
    expected = {"forward": 4.0, "backward": 4.0, "optimizer": 4.0, "reduction": 6.0, "save_stall": 5.0, REST: 0.0}
    assert times.seconds() == expected


def test_on_a_device_a_backward_pass_is_its_own_until_the_first_bucket_is_ready() -> None:
    device: Any = Device()
    times = PhaseTimes(device)
    for buckets in (2, 0):  # the second is of a micro-batch that reduces nothing
        times.begin("backward")
        device.work(1.0)
        for _ in range(buckets):
            times.enter_collective()
            times.leave_collective()
            device.work(2.0)
        times.end("backward")
    device.host = 100.0
    found = times.seconds()
    assert (found["backward"], found["reduction"]) == (2.0, 4.0)
