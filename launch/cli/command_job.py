"""What each task of a submitted command runs: the verb itself, with its output in the task's log."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from launch.cli.main import main
from launch.commands.job_dir import JobDir, TaskEvent
from launch.job.rank import redirect_output


def run_in_job(folder: str, task: int, words: list[str]) -> None:
    """In the job: the command, with its exit code.

    The warning before the time limit is ignored, by the verb's processes too: none of them has anything to save, and
    the same command continues where this one ends. TERM ends it at once.
    """
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2, signal.SIGTERM})  # see launch/bootstrap.py
    job = JobDir(Path(folder))
    redirect_output(job.logs / f"task_{task:04d}.log")
    os.environ["DUAL_STORE"] = str(job.path.parents[1])
    job.record(TaskEvent(task=task, event="start"))
    try:
        code = main(words)
    except SystemExit as left:  # argparse
        code = left.code if isinstance(left.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    job.record(TaskEvent(task=task, event="end", exit_code=code))
    if code != 0:
        os._exit(code)
