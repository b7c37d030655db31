"""One rank of `benchmarks.checkpoint`: `rank.py save|read|start FOLDER ROUNDS GIB STEPS`; rank 0 prints JSON.

GIB: 0 for a model that trains, else the size of generated state.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.checkpoint.contestants import Begin, contestants
from benchmarks.checkpoint.large import Large
from benchmarks.checkpoint.reading import ways_to_read
from benchmarks.checkpoint.subject import Subject
from dual_hpc.checkpoint import commit, select
from dual_hpc.run.names import step_folder
from dual_hpc.training.distributed import init_distributed


def main(action: str, folder: str, rounds: str = "1", gib: str = "0", steps: str = "1") -> None:
    with init_distributed(10) as world:
        ours = Path(folder) / "ours"
        subject = Large(world, ours, float(gib)) if float(gib) else Subject(world, ours)
        actions: dict[str, Callable[[], Any]] = {
            "start": lambda: start(subject),
            "save": lambda: save(subject, Path(folder), int(rounds), int(steps)),
            "read": lambda: read(subject, ours, int(rounds)),
        }
        answer = actions[action]()
        if world.rank == 0:
            print("RESULT" + json.dumps(answer), flush=True)


def start(subject: Subject | Large) -> float:
    """When the first step was done: the clock, so that the parent can subtract when it began."""
    subject.savers[True].resume()
    subject.step()
    return time.time()


def save(subject: Subject | Large, folder: Path, rounds: int, steps: int) -> dict[str, list[dict[str, float]]]:
    """Each way of saving in turn, so many times; figures of the slower rank."""
    import torch.distributed as dist

    ways = contestants(subject, folder / "peer", dist.new_group(backend="gloo"))
    for _ in range(3):
        subject.step()

    def clear() -> None:
        """Delete what was saved, and of ours what is older: nobody's time to delete counts."""
        if subject.world.rank == 0:
            shutil.rmtree(folder / "peer", ignore_errors=True)
            for step in select.steps(folder / "ours")[:-1]:
                commit.remove(folder / "ours" / step_folder(step))

    return in_turn(subject, ways, rounds, steps, clear)


def read(subject: Subject | Large, root: Path, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Verify and resume the checkpoint that `save` left, with each hash in turn."""
    return in_turn(subject, ways_to_read(subject, root), rounds, 0, lambda: None)


def in_turn(
    subject: Subject | Large, ways: dict[str, Begin], rounds: int, steps: int, after: Callable[[], None]
) -> dict[str, list[dict[str, float]]]:
    """The figures of each way, of every round; who is first in a round changes."""
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for number in range(rounds):
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            found = measure(subject, ways[name], steps)
            after()
            if steps:  # steps alone differ by more processor time than a save takes
                alone = measure(subject, ways[name], 0)
                found |= {"processor": alone["processor"], "alone": alone["total"]}
                after()
            figures[name].append(found)
    return figures


def measure(subject: Subject | Large, begin: Begin, steps: int) -> dict[str, float]:
    """Begin something and go on with steps.

    Returns:
        blocked: seconds until the training may go on, and again at the end if the save is not through by then.
        total: seconds of the save and the steps together.
        processor: seconds of processor time in this process, the kernel's for it included; of a save, without steps.
        alone: seconds of a save without steps.
        memory: bytes that the process had at most, above what it had before.
    """
    world = subject.world
    world.all_gather(None)
    reset_peak()
    before, began, used = memory("VmRSS"), time.perf_counter(), time.process_time()
    end = begin()
    blocked = time.perf_counter() - began
    for _ in range(steps):
        subject.step()
    waited = time.perf_counter()
    end()
    now = time.perf_counter()
    mine = {
        "blocked": blocked + now - waited,
        "total": now - began,
        "processor": time.process_time() - used,
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
