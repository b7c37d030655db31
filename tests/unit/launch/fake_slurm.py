"""What Slurm's commands print, in the words of a test."""

from __future__ import annotations

from launch.cluster.accounting import FIELDS
from launch.cluster.slurm import MARK


def squeue(text: str) -> str:
    """Lines of "JOB|STATE|REASON|NODES[|START]" as the queue prints them for `launch.cluster.slurm`."""
    return "".join(f"{MARK}|{line}{'' if line.count('|') == 4 else '|N/A'}\n" for line in text.splitlines())


def sacct(text: str) -> str:
    """Lines of "JOB|STATE|EXIT CODE|NODES[|SECONDS|TRES|RSS|SUBMIT|START|COUNT]" as accounting prints them."""
    return "".join(line + "|" * (len(FIELDS) - 1 - line.count("|")) + "\n" for line in text.splitlines())
