"""Other verbs as jobs: `dual-hpc submit ... -- pack iemocap RAW --out DIR`, as one task or an array of them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from submitit.core.utils import FailedJobError
from submitit.slurm.slurm import SlurmExecutor

from dual_hpc.config.schema import RunConfig
from dual_hpc.errors import EnvironmentFault, UserError
from launch.profiles import Profile
from launch.request import check
from launch.sbatch import python_command, sbatch_parameters
from launch.sbatch_job import without_allocation
from launch.snapshot import write_archive

SHARED = ("pack", "extract")  # verbs whose tasks fill the same folder: --array-index, --array-count
VERBS = (*SHARED, "evaluate")


def check_command(words: Sequence[str], tasks: int, config: RunConfig, profile: Profile) -> None:
    """Refuse what could not work, before it waits in a queue.

    Raises:
        UserError: the verb, the number of tasks, the request or the profile is wrong.
    """
    if not words or words[0] not in VERBS:
        raise UserError(f"behind -- stands one of {', '.join(VERBS)} with its arguments, not {' '.join(words[:1])!r}")
    if tasks < 1 or (tasks > 1 and words[0] not in SHARED):
        raise UserError(f"--tasks={tasks}: {words[0]} is {'at least ' if words[0] in SHARED else ''}one task")
    if profile.executor == "local":
        raise UserError(f"launch.profile={profile.name}: on this machine run `dual-hpc {words[0]}` itself")
    if config.launch.nodes * config.launch.ranks_per_node > 1:
        raise UserError(f"launch.nodes, launch.ranks_per_node: {words[0]} is one process; use --tasks N for more")
    check(config.launch, profile)


def submit_command(words: Sequence[str], tasks: int, config: RunConfig, profile: Profile) -> tuple[list[str], Path]:
    """Submit a checked command; each task works in this folder with this code.

    Returns:
        The job ids, and the folder of the job, with its logs.

    Raises:
        EnvironmentFault: Slurm refused the job.
    """
    folder = Path(config.store).absolute() / "jobs" / f"{words[0]}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    (folder / "logs").mkdir(parents=True)
    write_archive(folder)
    executor = SlurmExecutor(folder / "logs", python=python_command(sys.executable, folder))
    parameters = sbatch_parameters(profile, config.launch, folder, sys.executable)
    del parameters["teardown"]  # the next attempt is the user's
    executor.update_parameters(**parameters)
    try:
        with without_allocation(), executor.batch():
            jobs = [executor.submit(run_command, task_words(words, task, tasks)) for task in range(tasks)]
    except FailedJobError as error:
        raise EnvironmentFault(f"sbatch refused the job: {' '.join(str(error).split())}") from error
    return [job.job_id for job in jobs], folder


def task_words(words: Sequence[str], task: int, tasks: int) -> list[str]:
    """The command of one task."""
    share = [] if tasks == 1 else ["--array-index", str(task), "--array-count", str(tasks)]
    return [*words, *share]


def run_command(words: list[str]) -> None:
    """In the job: the command, with its exit code."""
    from launch.cli.main import main

    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2, signal.SIGTERM})  # see launch/bootstrap.py
    code = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    if code != 0:
        os._exit(code)
