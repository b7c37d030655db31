"""One contestant in a process of its own: `python -m benchmarks.loader.measure NAME FOLDER BATCHES`, JSON on stdout.

Processor time of the whole process tree is what a busy machine cannot spoil; wall time is given beside it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.loader.peers import BATCH, CONTESTANTS

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
    for number in range(int(batches)):
        next(iterator)
        if number % (int(batches) // 4 + 1) == 0:
            peak = max(peak, memory())
    cpu, wall = cpu_seconds() - cpu, time.monotonic() - wall
    samples = int(batches) * BATCH
    print(json.dumps({"per_cpu_second": samples / cpu, "per_second": samples / wall, "memory_mb": peak}))
    sys.stdout.flush()
    os._exit(0)  # the contestants' own ways of shutting down are not measured


if __name__ == "__main__":
    main(*sys.argv[1:])
