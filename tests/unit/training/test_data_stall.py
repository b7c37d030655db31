"""A wait for data is no hang, on the rank that waits and on those that wait for it; what else stands still is one."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys, threading, time
from dual_hpc.heartbeat import waiting_for_data
from dual_hpc.training.data_stall import DataStalls
from dual_hpc.training.watchdog import WARMUP_STEPS, Watchdog

class Counter:
    value = 0
    def add(self, amount):
        self.value += amount
        return self.value

def wait_for_storage():
    with waiting_for_data():
        time.sleep(4)

def wait_for_a_peer(): time.sleep(4)

def peer_waits_for_data():
    while True:
        time.sleep(0.1)
        counter.add(1)

def alone(): wait_for_storage()
def announced():
    wait_for_storage()
    assert counter.value >= 3, counter.value
def without_end(): wait_for_storage()
def in_a_collective(): wait_for_a_peer()
def behind_a_peer_that_waits_for_data():
    threading.Thread(target=peer_waits_for_data, daemon=True).start()
    wait_for_a_peer()
def while_the_store_is_gone():
    def add(amount): raise RuntimeError("connection closed")
    counter.add = add
    wait_for_a_peer()

counter = Counter()
dog = Watchdog(seconds=1.0, long_seconds=600)
stalls = DataStalls(dog, 0.2, None if sys.argv[1] == "alone" else counter, 0.5 if sys.argv[1] == "without_end" else 60)
for _ in range(WARMUP_STEPS + 1):
    dog.stepping()
globals()[sys.argv[1]]()
stalls.close()
dog.close()
print("came through")
"""


def run(what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", SCRIPT, what], capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("what", ["alone", "announced", "behind_a_peer_that_waits_for_data"])
def test_a_wait_for_data_may_take_longer_than_a_step_may(what: str) -> None:
    ended = run(what)
    assert ended.stdout == "came through\n", ended.stderr


@pytest.mark.parametrize("what", ["in_a_collective", "while_the_store_is_gone", "without_end"])
def test_what_waits_for_anything_else_or_for_ever_is_a_hang(what: str) -> None:
    ended = run(what)
    assert ended.returncode == 1 and "most recent call first" in ended.stderr and not ended.stdout
