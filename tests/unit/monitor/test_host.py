"""Values of a node: what the kernel counts, under MLflow's names and in its units."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.monitor.host import Counters, cpu_ticks, meminfo, network_bytes, read_counters, values

STAT = "cpu  100 20 30 800 40 5 5 0 60 0\ncpu0 1 2 3 4 5 6 7 8\n"
NETWORK = """Inter-|   Receive                                                |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo: 999999 1 0 0 0 0 0 0 999999 1 0 0 0 0 0 0
  eth0: 1000 5 0 0 0 0 0 0 300 5 0 0 0 0 0 0
   ib0:5000 5 0 0 0 0 0 0 70 5 0 0 0 0 0 0
"""


def test_ticks_of_idle_cores_and_of_cores_that_wait_for_a_disk_are_not_busy() -> None:
    assert cpu_ticks(STAT) == (160, 1000)


@pytest.mark.parametrize("text", ["", "cpu", "intr 1 2 3 4 5\n"])
def test_a_system_without_such_a_file_has_no_ticks(text: str) -> None:
    assert cpu_ticks(text) == (0, 0)
    assert network_bytes(text) == (0, 0)


def test_all_networks_count_but_the_loopback() -> None:
    assert network_bytes(NETWORK) == (6000, 370)


def test_utilization_is_that_between_two_readings_and_traffic_that_of_the_job() -> None:
    begin, before = Counters(0, 0, 1_000_000, 0), Counters(100, 1000, 2_000_000, 0)
    now = Counters(175, 1100, 3_500_000, 250_000)
    found = values(begin, before, now, {"MemTotal": 8_000_000, "MemAvailable": 6_000_000}, "/")
    assert found["cpu_utilization_percentage"] == 75
    assert found["system_memory_usage_megabytes"] == 2 and found["system_memory_usage_percentage"] == 25
    assert (found["network_receive_megabytes"], found["network_transmit_megabytes"]) == (2.5, 0.25)
    assert 0 <= found["disk_usage_percentage"] <= 100


def test_what_cannot_be_asked_is_left_out(tmp_path: Path) -> None:
    zero = read_counters(tmp_path)
    assert zero == Counters(0, 0, 0, 0) and meminfo(tmp_path) == {}
    found = values(zero, zero, zero, {}, str(tmp_path / "gone"))
    assert set(found) == {"network_receive_megabytes", "network_transmit_megabytes"}


def test_the_names_are_those_of_mlflow() -> None:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    theirs: set[str] = set()
    for monitor in (CPUMonitor(), DiskMonitor(), NetworkMonitor()):
        monitor.collect_metrics()
        theirs |= monitor.metrics.keys()
    counters = read_counters()
    ours = values(counters, Counters(0, 0, 0, 0), counters, meminfo(), "/")
    assert theirs <= ours.keys()
    assert ours["system_memory_usage_percentage"] < 100
