"""`python -m launch.aftermath RUN|SWEEP CODE`: what the batch script does when its ranks have failed.

A rank that is killed, or whose node is lost, decides nothing any more; the batch script is still there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dual_hpc.run import names
from launch.job import train_rank
from launch.job.requeue import go_on, incarnation
from launch.records import submissions
from launch.sweeps.grid import SweepDir


def job_id() -> str:
    """This job's id, as submitit spells it: an array's member is "123_4"."""
    array, member = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{member}" if array else os.environ["SLURM_JOB_ID"]


def run_of(folder: Path, job: str) -> Path:
    """The run of this job: the folder itself, or the member of a sweep that was submitted as this job."""
    if (folder / names.IDENTITY).exists():
        return folder
    sweep = SweepDir.open(folder.parents[1], folder.name)
    return next(run.path for run in sweep.runs() if job in submissions.jobs(submissions.read(run.path)))


if __name__ == "__main__":
    code = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    go_on(run_of(Path(sys.argv[1]), job_id()), job_id(), incarnation(), train_rank, failed=True, exit_code=code)
