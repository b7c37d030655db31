"""A process that hangs ends itself and prints its stacks; one that makes progress does not."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys, time
from dual_hpc.training.watchdog import WARMUP_STEPS, Watchdog
dog = Watchdog(seconds=0.5, long_seconds=float(sys.argv[1]))
def wait_for_a_peer(): time.sleep(3)
dog.waiting()
for _ in range(int(sys.argv[2])):
    dog.stepping()
wait_for_a_peer()
dog.close()
print("came through")
"""


def run(long_seconds: float, steps: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, str(long_seconds), str(steps)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_a_settled_step_that_hangs_ends_the_process_with_its_stacks() -> None:
    ended = run(600, 4)
    assert ended.returncode == 1 and "wait_for_a_peer" in ended.stderr and not ended.stdout


def test_the_first_steps_may_take_long() -> None:
    assert run(600, 3).stdout == "came through\n"


def test_nothing_takes_longer_than_the_long_limit() -> None:
    assert run(0.5, 0).returncode == 1
