"""What a GPU's memory held when a rank ran out of it, as a file beside the rank's log."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from dual_hpc.run.names import memory_snapshot

EVENTS = 100_000  # allocations and releases that are remembered; the latest


@contextmanager
def snapshot_when_out_of_memory(logs: Path, rank: int, device: torch.device, history: bool) -> Iterator[None]:
    """Write torch's snapshot of the GPU's memory if the block runs out of it: every piece, its size and its place;
    `torch.cuda._memory_viz` and torch's page of the same name draw it.

    On other devices than CUDA, and for other errors, nothing happens.

    Args:
        logs: the folder of the rank's log.
        history: also note from now on which code asks for memory, and what was released.
    """
    if device.type != "cuda":
        yield
        return
    if history:
        torch.cuda.memory._record_memory_history(max_entries=EVENTS, stacks="python")
    try:
        yield
    except torch.OutOfMemoryError:
        _write(logs / memory_snapshot(rank))
        raise


def _write(target: Path) -> None:
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        torch.cuda.memory._dump_snapshot(str(unfinished))
        unfinished.replace(target)
        print(f"what the GPU's memory held is in {target} (python -m torch.cuda._memory_viz)", file=sys.stderr)
    except Exception as error:  # the error that counts is that of the training
        print(f"WARNING: no snapshot of the GPU's memory: {error}", file=sys.stderr)
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
