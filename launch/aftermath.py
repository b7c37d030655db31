"""`python -m launch.aftermath RUN|SWEEP CODE`: what sbatch files call when their ranks have failed.

A permanent address (contract 11); see `launch.job.on_failure`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dual_hpc.errors import UserError
from dual_hpc.run import names
from launch.cli.exit_code import exit_code
from launch.job.on_failure import continue_failed_job, slurm_job_id
from launch.records import submissions
from launch.sweeps.grid import SweepDir


def run_of(folder: Path, job: str) -> Path:
    """The run of this job: the folder itself, or the member of a sweep that was submitted as this job."""
    if (folder / names.IDENTITY).exists():
        return folder
    sweep = SweepDir.open(folder.parents[1], folder.name)
    return next(run.path for run in sweep.runs() if job in submissions.jobs(submissions.read(run.path)))


def follow_up(words: list[str]) -> None:
    """Continue a failed job, or record why not."""
    if not words or len(words) > 2 or not all(code.isdecimal() for code in words[1:]):
        raise UserError("python -m launch.aftermath takes the folder of a run or sweep, and an exit code")
    continue_failed_job(run_of(Path(words[0]), slurm_job_id()), int(words[1]) if len(words) > 1 else 1)


if __name__ == "__main__":
    sys.exit(exit_code(lambda: follow_up(sys.argv[1:]), sys.argv[1:]))
