"""What Slurm's commands print, in the words of a test."""

from __future__ import annotations

from launch.cluster.slurm import MARK


def squeue(text: str) -> str:
    """Lines of "JOB|STATE|REASON|NODES" as the queue prints them for `launch.cluster.slurm`."""
    return "".join(f"{MARK}|{line}" for line in text.splitlines(keepends=True))
