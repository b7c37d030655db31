"""Where Slurm writes what a job's batch script and its processes print before their ranks have logs of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dual_hpc.files.regular_file import open_regular
from dual_hpc.run import names
from launch.records import submissions
from launch.records.srun_output import SrunOutput, read_srun_output


def output_of(run: Path, history: Sequence[submissions.Entry], job_id: str | None, task: int = 0) -> Path:
    """The file; that of task 0 is the batch script's as well. A member of a sweep began in the sweep's folder."""
    mine = (entry.logs for entry in reversed(history) if entry.job_id == job_id and entry.logs is not None)
    return Path(next(mine, str(run / names.LOGS))) / f"{job_id}_{task}_log.out"


def read_job_output(run: Path, history: Sequence[submissions.Entry], job_id: str | None) -> SrunOutput:
    """What srun, and processes that did not begin, said in the last start of a job."""

    def of_task(task: int) -> list[str]:
        return tail_if_allowed(output_of(run, history, job_id, task), 20)

    return read_srun_output(tail_if_allowed(output_of(run, history, job_id), 2000), of_task)


def tail_if_allowed(path: Path, count: int) -> list[str]:
    """As `tail`; nothing of a log that only another user can read."""
    try:
        return tail(path, count)
    except PermissionError:
        return []


def tail(path: Path, count: int) -> list[str]:
    """The last `count` lines of a file; only its last 256 KiB are read. None where there is no such file."""
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - (1 << 18)))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
