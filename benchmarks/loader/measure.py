"""One contestant in a process of its own: `python -m benchmarks.loader.measure NAME FOLDER BATCHES`, JSON on stdout.

Speed is in seconds of clips, as clips differ in length, per second of processor time of the whole process tree, which a
busy machine disturbs least, and per second of wall time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.loader.peers import CONTESTANTS

_TICK = os.sysconf("SC_CLK_TCK")
_WARM = 4  # batches before the clock starts: imports, worker start, first reads
_WEIGHED = 8  # batches after it has stopped, with a look at memory after each


def tree() -> list[int]:
    """This process and its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_seconds() -> float:
    """User and system time of the tree, with children that have ended."""
    total = 0
    for pid in tree():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / _TICK


def own_memory() -> float:
    """MB that the processes of the tree have for themselves, pages that a fork shares counted once.

    Without the pages of libraries, which all processes of a machine share, and without shared memory: a batch on its
    way to its process, or not looked at yet, is in no process's set.
    """
    total = 0
    for pid in tree():
        for line in _lines(Path(f"/proc/{pid}/smaps_rollup")):
            if line.startswith("Pss_Anon:"):
                total += int(line.split()[1])
    return total * 1024 / 1e6


def shared_memory() -> float:
    """MB of shared memory on this machine, whoever has it and whether or not it is mapped."""
    (line,) = (line for line in _lines(Path("/proc/meminfo")) if line.startswith("Shmem:"))
    return int(line.split()[1]) * 1024 / 1e6


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # the process has ended
        return []


def main(name: str, folder: str, batches: str) -> None:
    before = shared_memory()
    iterator = CONTESTANTS[name](Path(folder))
    for _ in range(_WARM):
        next(iterator)
    cpu, wall, seconds = cpu_seconds(), time.monotonic(), 0.0
    for _ in range(int(batches)):
        seconds += _seconds(next(iterator))
    cpu, wall = cpu_seconds() - cpu, time.monotonic() - wall
    peak = 0.0
    for _ in range(_WEIGHED):
        batch = next(iterator)
        peak = max(peak, own_memory() + shared_memory() - before)
    del batch
    print(json.dumps({"per_cpu_second": seconds / cpu, "per_second": seconds / wall, "memory_mb": peak}))
    sys.stdout.flush()
    os._exit(0)  # the contestants' own ways of shutting down are not measured


def _seconds(batch: Any) -> float:
    return float(sum(batch["durations"].tolist() if isinstance(batch, dict) else [one.duration for one in batch]))


if __name__ == "__main__":
    main(*sys.argv[1:])
