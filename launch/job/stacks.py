"""Print the stack of every thread of a job's ranks into their logs: `dual-hpc stacks`, for a run that seems to hang.

`python -m launch.job.stacks JOB` signals the ranks on this machine; on a cluster it is a step of the job on each of its
nodes. It runs from the run's code archive, so that ranks of earlier code, which the signal would kill, are left alone.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from pathlib import Path

from dual_hpc.run.this_job import JOB_ID

_RANK = b"submitit.core._submit"  # in the command line of a rank and of what it forks


def listen_for_stacks() -> None:
    """At SIGUSR1, print the stacks of this process to its log, also while it is blocked in a collective."""
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)


def signal_ranks(job_id: str, processes: Path = Path("/proc")) -> list[int]:
    """Ask the ranks of a job on this machine for their stacks; their process ids."""
    found = [int(path.name) for path in processes.glob("[0-9]*") if _is_rank(path, job_id)]
    for pid in found:
        os.kill(pid, signal.SIGUSR1)
    return found


def _is_rank(process: Path, job_id: str) -> bool:
    """True for a process that calls `listen_for_stacks`: one that catches the signal."""
    try:
        environment = (process / "environ").read_bytes().split(b"\0")
        if f"{JOB_ID}={job_id}".encode() not in environment and f"SLURM_JOB_ID={job_id}".encode() not in environment:
            return False
        status = (process / "status").read_text()
        caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt:")).split()[1], 16)
        return _RANK in (process / "cmdline").read_bytes() and bool(caught >> (signal.SIGUSR1 - 1) & 1)
    except (OSError, StopIteration, ValueError):  # it has ended, or is another user's
        return False


if __name__ == "__main__":
    print(f"{len(signal_ranks(sys.argv[1]))} processes print their stacks")
