"""One rank of `benchmarks.checkpoint`: `rank.py save FOLDER ROUNDS` or `rank.py start FOLDER`; rank 0 prints JSON."""

from __future__ import annotations

import ctypes
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.checkpoint import STEPS
from benchmarks.checkpoint.subject import Subject, by_deepspeed, by_torch, by_us
from dual_hpc.training.distributed import init_distributed


def main(action: str, folder: str, rounds: str = "1") -> None:
    with init_distributed(10) as world:
        subject = Subject(world, Path(folder) / "ours")
        answer = start(subject) if action == "start" else save(subject, Path(folder), int(rounds))
        if world.rank == 0:
            print("RESULT" + json.dumps(answer), flush=True)


def start(subject: Subject) -> float:
    """When the first step was done: the clock, so that the parent can subtract when it began."""
    subject.savers[True].resume()
    subject.step()
    return time.time()


def save(subject: Subject, folder: Path, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Each way of saving in turn, so many times; figures of the slower rank."""
    import torch.distributed as dist

    group = dist.new_group(backend="gloo")
    ways: dict[str, Callable[[], Callable[[], Any]]] = {
        "nothing": lambda: lambda: None,
        "ours, synchronous": lambda: by_us(subject, asynchronous=False),
        "ours, asynchronous": lambda: by_us(subject, asynchronous=True),
        "DeepSpeed save_checkpoint": lambda: by_deepspeed(subject, folder / "peer"),
        "torch async_save": lambda: by_torch(subject, folder / "peer", group),
    }
    for _ in range(3):
        subject.step()
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for number in range(rounds):
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            figures[name].append(measure(subject, ways[name]))
            if subject.world.rank == 0:
                shutil.rmtree(folder / "peer", ignore_errors=True)
    return figures


def measure(subject: Subject, begin: Callable[[], Callable[[], Any]]) -> dict[str, float]:
    """Save once and go on with steps.

    Returns:
        blocked: seconds until the training may go on, and again at the end if the save is not through by then.
        total: seconds of the save and the steps together.
        memory: bytes that the process had at most, above what it had before.
    """
    world = subject.world
    world.all_gather(None)
    reset_peak()
    before, began = memory("VmRSS"), time.perf_counter()
    end = begin()
    blocked = time.perf_counter() - began
    for _ in range(STEPS):
        subject.step()
    waited = time.perf_counter()
    end()
    now = time.perf_counter()
    mine = {
        "blocked": blocked + now - waited,
        "total": now - began,
        "memory": memory("VmHWM") - before,
    }
    every = world.all_gather(mine)
    return {key: max(figures[key] for figures in every) for key in mine}


def reset_peak() -> None:
    """Linux then counts the process's peak from here; what was freed and is only kept for later is given back first."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def memory(what: str) -> float:
    """Of this process, bytes."""
    words = Path("/proc/self/status").read_text().split(f"{what}:")[1].split()
    return 1024 * float(words[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
