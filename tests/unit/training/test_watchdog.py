"""A process that hangs ends itself and prints its stacks; one that makes progress does not."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys, time
from dual_hpc.heartbeat import beat, on_beat
from dual_hpc.training.watchdog import WARMUP_STEPS, Watchdog
dog = Watchdog(seconds=0.5, long_seconds=float(sys.argv[1]))
def wait_for_a_peer(): time.sleep(float(sys.argv[4]))
dog.waiting()
for _ in range(int(sys.argv[2])):
    dog.stepping()
with on_beat(dog.progressed):
    for _ in range(int(sys.argv[3])):
        time.sleep(0.1)
        beat()
wait_for_a_peer()
dog.close()
print("came through")
"""


def run(long_seconds: float, steps: int, pieces: int = 0, last_seconds: float = 3) -> subprocess.CompletedProcess[str]:
    """A process that does steps, then pieces of 0.1 seconds each, and then waits."""
    command = [sys.executable, "-c", SCRIPT, *map(str, (long_seconds, steps, pieces, last_seconds))]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_a_settled_step_that_hangs_ends_the_process_with_its_stacks() -> None:
    ended = run(600, 4)
    assert ended.returncode == 1 and "wait_for_a_peer" in ended.stderr and not ended.stdout


def test_the_first_steps_may_take_long() -> None:
    assert run(600, 3).stdout == "came through\n"


def test_nothing_takes_longer_than_the_long_limit() -> None:
    assert run(0.5, 0).returncode == 1


def test_what_makes_progress_may_take_much_longer_than_the_long_limit() -> None:
    assert run(1.0, 0, pieces=40, last_seconds=0).stdout == "came through\n"


def test_what_stops_making_progress_is_a_hang() -> None:
    ended = run(1.0, 0, pieces=20, last_seconds=10)
    assert ended.returncode == 1 and "wait_for_a_peer" in ended.stderr


def test_in_a_settled_step_progress_elsewhere_does_not_hide_a_hang() -> None:
    assert run(600, 4, pieces=40, last_seconds=0).returncode == 1
