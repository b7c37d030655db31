"""What a node does, read from the files of its Linux kernel. Names and units are those of MLflow's system metrics."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_MEGA = 1e6


class Counters(NamedTuple):
    """What only grows: two of them give a rate.

    Attributes:
        busy, total: processor time, in ticks of the kernel's clock, over all cores.
        received, sent: bytes over all networks but the node's own loopback.
    """

    busy: int
    total: int
    received: int
    sent: int


def read_counters(proc: Path = Path("/proc")) -> Counters:
    """The counters now; zero for what this system does not have."""
    busy, total = cpu_ticks(_text(proc / "stat"))
    received, sent = network_bytes(_text(proc / "net/dev"))
    return Counters(busy, total, received, sent)


def values(
    begin: Counters, before: Counters, now: Counters, memory: Mapping[str, int], folder: str
) -> dict[str, float]:
    """Metrics of the time between two readings.

    Args:
        begin: the first reading of the job, since which network traffic is counted.
        memory: `meminfo` of the node.
        folder: whose file system is reported; left out where it cannot be asked.
    """
    found: dict[str, float] = {}
    if now.total > before.total:
        found["cpu_utilization_percentage"] = 100 * (now.busy - before.busy) / (now.total - before.total)
    if total := memory.get("MemTotal"):
        used = total - memory.get("MemAvailable", memory.get("MemFree", total))
        found["system_memory_usage_megabytes"] = used / _MEGA
        found["system_memory_usage_percentage"] = 100 * used / total
    found["network_receive_megabytes"] = max(0, now.received - begin.received) / _MEGA
    found["network_transmit_megabytes"] = max(0, now.sent - begin.sent) / _MEGA
    try:
        disk = os.statvfs(folder)
    except OSError:
        return found
    size, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    taken = size - disk.f_bfree * disk.f_frsize
    if size:
        found["disk_usage_percentage"] = 100 * taken / (taken + free) if taken + free else 0.0
        found["disk_usage_megabytes"] = taken / _MEGA
        found["disk_available_megabytes"] = free / _MEGA
    return found


def cpu_ticks(stat: str) -> tuple[int, int]:
    """(busy, total) of the first line of `/proc/stat`; waiting for a disk is not busy, guests count once."""
    words = stat.partition("\n")[0].split()
    if len(words) < 5 or words[0] != "cpu":
        return 0, 0
    ticks = [int(word) for word in words[1:9]]  # user nice system idle iowait irq softirq steal
    return sum(ticks) - sum(ticks[3:5]), sum(ticks)


def network_bytes(table: str) -> tuple[int, int]:
    """(received, sent) of `/proc/net/dev` over all interfaces but the loopback."""
    received = sent = 0
    for line in table.splitlines():
        name, colon, numbers = line.partition(":")
        words = numbers.split()
        if colon and name.strip() != "lo" and len(words) >= 9:
            received, sent = received + int(words[0]), sent + int(words[8])
    return received, sent


def meminfo(proc: Path = Path("/proc")) -> dict[str, int]:
    """`/proc/meminfo` in bytes."""
    found: dict[str, int] = {}
    for line in _text(proc / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal():
            found[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
