"""One contestant in a process of its own: `python -m benchmarks.loader.measure NAME FOLDER BATCHES`, JSON on stdout.

Speed is in seconds of clips, as clips differ in length, per second of processor time of the whole process tree, which a
busy machine spoils least; per second of wall time beside it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.loader.peers import CONTESTANTS

_TICK = os.sysconf("SC_CLK_TCK")
_WARM = 4  # batches before the clock starts: imports, worker start, first reads
_WEIGHED = 8  # batches after it has stopped, with a look at memory after each
_SHARED = ("/dev/shm/", "/memfd:", "/dev/zero")


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
    """MB of the tree: the proportional set size, in which shared pages count once, and the shared memory behind it.

    A batch that waits in /dev/shm with its file open, or mapped but not yet looked at, is in no process's set.
    """
    total = 0
    segments: dict[int, int] = {}  # inode -> bytes
    for pid in tree():
        process = Path(f"/proc/{pid}")
        for line in _lines(process / "smaps_rollup"):
            sign = {"Pss:": 1, "Pss_Shmem:": -1}.get(line.split()[0], 0)
            total += sign * int(line.split()[1]) * 1024 if sign else 0
        for line in _lines(process / "maps"):
            addresses, _, _, _, inode, *name = line.split(maxsplit=5)
            if name and name[0].startswith(_SHARED):
                first, last = (int(address, 16) for address in addresses.split("-"))
                segments[int(inode)] = max(segments.get(int(inode), 0), last - first)
        for entry in os.listdir(process / "fd"):
            with suppress(OSError):
                file = process / "fd" / entry
                if os.readlink(file).startswith(_SHARED):
                    segments[file.stat().st_ino] = file.stat().st_blocks * 512
    return (total + sum(segments.values())) / 1e6


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # the process has ended
        return []


def main(name: str, folder: str, batches: str) -> None:
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
        peak = max(peak, memory())
    del batch
    print(json.dumps({"per_cpu_second": seconds / cpu, "per_second": seconds / wall, "memory_mb": peak}))
    sys.stdout.flush()
    os._exit(0)  # the contestants' own ways of shutting down are not measured


def _seconds(batch: Any) -> float:
    return float(sum(batch["durations"].tolist() if isinstance(batch, dict) else [one.duration for one in batch]))


if __name__ == "__main__":
    main(*sys.argv[1:])
