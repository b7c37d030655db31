"""One contestant in a process of its own: `python -m benchmarks.loader.measure NAME FOLDER BATCHES`, JSON on stdout.

Speed is in seconds of clips, as clips differ in length, per second of processor time of the whole process tree, which a
busy machine spoils least; per second of wall time beside it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.loader.peers import CONTESTANTS

_TICK = os.sysconf("SC_CLK_TCK")
_WARM = 4  # batches before the clock starts: imports, worker start, first reads


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


def memory() -> float:
    """Proportional set size of the tree, in MB: shared pages are counted once."""
    total = 0
    for pid in tree():
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1e3


def main(name: str, folder: str, batches: str) -> None:
    iterator = CONTESTANTS[name](Path(folder))
    for _ in range(_WARM):
        next(iterator)
    peak = 0.0
    cpu, wall = cpu_seconds(), time.monotonic()
    seconds = 0.0
    for number in range(int(batches)):
        batch = next(iterator)
        durations = batch["durations"].tolist() if isinstance(batch, dict) else [one.duration for one in batch]
        seconds += sum(durations)
        if number % (int(batches) // 4 + 1) == 0:
            peak = max(peak, memory())
    cpu, wall = cpu_seconds() - cpu, time.monotonic() - wall
    print(json.dumps({"per_cpu_second": seconds / cpu, "per_second": seconds / wall, "memory_mb": peak}))
    sys.stdout.flush()
    os._exit(0)  # the contestants' own ways of shutting down are not measured


if __name__ == "__main__":
    main(*sys.argv[1:])
