"""`python -m launch.aftermath RUN|SWEEP CODE`: what sbatch files call when their ranks have failed.

A permanent address (contract 11); see `launch.job.on_failure`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dual_hpc.run import names
from launch.job.on_failure import continue_failed_job, slurm_job_id
from launch.records import submissions
from launch.sweeps.grid import SweepDir


def run_of(folder: Path, job: str) -> Path:
    """The run of this job: the folder itself, or the member of a sweep that was submitted as this job."""
    if (folder / names.IDENTITY).exists():
        return folder
    sweep = SweepDir.open(folder.parents[1], folder.name)
    return next(run.path for run in sweep.runs() if job in submissions.jobs(submissions.read(run.path)))


if __name__ == "__main__":
    continue_failed_job(run_of(Path(sys.argv[1]), slurm_job_id()), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
