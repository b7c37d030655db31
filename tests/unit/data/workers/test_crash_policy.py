"""Who is to blame for a dead worker."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from dual_hpc.data.decoding.decoder import Request
from dual_hpc.data.format.reader import SampleRef
from dual_hpc.data.workers.crash_policy import CrashCounter
from dual_hpc.errors import EnvironmentFault


def request(number: int) -> Request:
    return Request(SampleRef(number, f"k{number}", "a.tar", 0, {}, 1.0))


@pytest.mark.parametrize("code, hung", [(-signal.SIGSEGV, False), (-signal.SIGABRT, False), (1, False), (-9, True)])
def test_the_second_crash_or_hang_on_a_sample_is_its_fault(code: Any, hung: bool) -> None:
    crashes = CrashCounter()
    assert crashes.blame(code, hung, request(1)) is None
    assert crashes.blame(code, hung, request(2)) is None
    crashes.reset()
    assert crashes.blame(code, hung, request(1)).startswith("its decoder ")


def test_a_kill_from_outside_is_no_samples_fault_and_in_the_end_the_machines() -> None:
    crashes = CrashCounter()
    for _ in range(5):
        assert crashes.blame(-signal.SIGKILL, False, request(1)) is None
    crashes.reset()
    for _ in range(5):
        assert crashes.blame(-signal.SIGKILL, False, request(1)) is None
    with pytest.raises(EnvironmentFault, match=r"6 data workers died in a row \(SIGKILL\), .*k1 of a\.tar.*memory"):
        crashes.blame(-signal.SIGKILL, False, request(1))


def test_deaths_while_nothing_is_decoded_end_the_run() -> None:
    crashes = CrashCounter()
    with pytest.raises(EnvironmentFault, match="exit code 1"):
        for _ in range(6):
            crashes.blame(1, False, None)


def test_many_bad_samples_are_not_a_row_of_vain_deaths() -> None:
    crashes = CrashCounter()
    for number in range(20):
        assert crashes.blame(-11, False, request(number)) is None
        assert crashes.blame(-11, False, request(number)) is not None
