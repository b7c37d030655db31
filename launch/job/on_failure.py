"""What the batch script does when its ranks have failed: requeue the job, chain another one, or leave the run.

A rank that is killed, or whose node is lost, cannot decide anything; the batch script still can.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dual_hpc.run.this_job import restart_count
from launch.job import train_rank
from launch.job.requeue import Decision, requeue_or_chain


def slurm_job_id(environ: Mapping[str, str] = os.environ) -> str:
    """This job's id, as submitit spells it: an array's member is "123_4"."""
    array, member = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{member}" if array else environ["SLURM_JOB_ID"]


def continue_failed_job(run: Path, exit_code: int) -> Decision:
    """Continue the run of this job if its failure may be a passing one.

    Args:
        exit_code: of srun.
    """
    return requeue_or_chain(run, slurm_job_id(), restart_count(), train_rank, failed=True, exit_code=exit_code)
