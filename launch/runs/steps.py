"""Steps within the job of a run: a shell on one of its nodes, and the stacks of its ranks."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence

from dual_hpc.errors import UserError
from dual_hpc.files.regular_file import open_regular
from dual_hpc.run.directory import RunDir
from launch.cluster.client import call
from launch.cluster.sbatch import python_command
from launch.cluster.state import State
from launch.job.stacks import dump_with_py_spy, signal_ranks
from launch.records import submissions
from launch.runs.status import RunStatus

_WRITING = 2.0  # seconds that ranks get to print


def shell_command(run: RunDir, status: RunStatus, node: str | None, command: Sequence[str]) -> list[str]:
    """The command that begins a step within the run's job, beside its ranks.

    Args:
        node: where; None for the job's first.
        command: empty for a login shell.

    Raises:
        UserError: no job of Slurm runs it.
    """
    job_id = _running_job(run, status)
    if status.local:
        raise UserError(f"{run.path.name} is trained by processes of this machine: there is no other node to go to")
    where = [f"--nodelist={node}"] if node else []
    words = list(command) or [os.environ.get("SHELL") or "/bin/sh", "-l"]
    return [
        "srun",
        f"--jobid={job_id}",
        "--overlap",
        *(["--pty"] if sys.stdin.isatty() else []),
        "--nodes=1",
        "--ntasks=1",
        *where,
        *words,
    ]


def collect_stacks(run: RunDir, status: RunStatus) -> dict[str, str]:
    """Ask every rank for the stacks of its threads; what each wrote, by the name of its log.

    Raises:
        UserError: no job runs it.
        EnvironmentFault: Slurm does not start the step.
    """
    job_id = _running_job(run, status)
    before = {log: log.stat().st_size for log in sorted(run.logs.glob("rank_*.log"))}
    if status.local:
        dump_with_py_spy(signal_ranks(job_id))
    else:
        python = shlex.split(python_command(sys.executable, run.path))
        requested = submissions.last_request(submissions.read(run.path))
        nodes = requested[0].nodes if requested is not None else 1
        words = ["srun", f"--jobid={job_id}", "--overlap", f"--nodes={nodes}", f"--ntasks={nodes}"]
        call([*words, *python, "-m", "launch.job.stacks", job_id], patience=0)
    time.sleep(_WRITING)
    found = {}
    for log, size in before.items():
        with open_regular(log) as file:
            file.seek(size)
            found[log.name] = file.read().decode(errors="replace")
    return found


def _running_job(run: RunDir, status: RunStatus) -> str:
    if status.state is not State.RUNNING or status.job_id is None or not status.active:
        raise UserError(f"no job of {run.path.name} runs ({status.state}); `dual-hpc why {run.path.name}` explains it")
    return status.job_id
