"""What the batch script does when its ranks have failed: requeue the job, chain another one, or leave the run.

A rank that is killed, or whose node is lost, cannot decide anything; the batch script still can.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from dual_hpc.errors import one_line
from dual_hpc.run.directory import RunDir
from dual_hpc.run.this_job import restart_count
from dual_hpc.tracking.mlflow_sync import sync
from launch.job import train_rank
from launch.job.requeue import REQUEUED_BY_SLURM, Decision, requeue_or_chain
from launch.records import submissions


def slurm_job_id(environ: Mapping[str, str] = os.environ) -> str:
    """This job's id, as submitit spells it: an array's member is "123_4"."""
    array, member = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{member}" if array else environ["SLURM_JOB_ID"]


def continue_failed_job(run: Path, exit_code: int) -> Decision:
    """Continue the run of this job if its failure may be a passing one.

    Args:
        exit_code: of srun.
    """
    decision = requeue_or_chain(run, slurm_job_id(), restart_count(), train_rank, failed=True, exit_code=exit_code)
    if decision.action == "leave" and decision.cause != REQUEUED_BY_SLURM:
        end_in_mlflow(RunDir(run), "cancelled" if decision.cause in ("cancelled", submissions.BY_USER) else "failed")
    return decision


def end_in_mlflow(run: RunDir, state: str) -> None:
    """A rank that was killed could not say there that the run does not go on; where MLflow is away, nobody does."""
    try:
        if run.config().tracking.enabled:
            sync(run, artifacts=False, state=state)
    except Exception as error:  # MLflow's clients raise exceptions of any kind
        print(f"MLflow is not up to date ({one_line(error, 200)}); `dual-hpc sync` repairs it", file=sys.stderr)
