"""Watch a job from outside: its progress, read from the journal, and at the end the error if there is one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal

from submitit import Job
from submitit.local.local import LocalJob

from dual_hpc.errors import DualError, EnvironmentFault, UserError
from dual_hpc.progress import ProgressDisplay
from dual_hpc.run.directory import RunDir
from launch.cluster.slurm import LOOK_PATIENCE, WATCHER_SECONDS, Scheduler
from launch.cluster.state import State
from launch.records import failures, submissions
from launch.runs.diagnosis import diagnose
from launch.runs.evidence import collect_evidence
from launch.runs.progress import RunProgress
from launch.runs.status import run_statuses

POLL_SECONDS = 0.5


def follow(run: RunDir, job: Job[Any]) -> None:
    """Show the progress of a job, and of those that continue it, until none is left.

    Ctrl-C (or SIGTERM) asks a local job to save and stop, a second one kills it; a job of Slurm continues without its
    watcher.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when the local job has ended.
        DualError: the run did not finish; the message names the rank, what it said last and its log.
    """
    interrupted = 0
    scheduler = Scheduler(WATCHER_SECONDS, patience=LOOK_PATIENCE)
    progress = RunProgress()
    progress.update(run.journal)  # the speed is that of this job, without the steps of earlier ones
    with ProgressDisplay("train", progress.total, progress.step) as display, terminated_as_interrupted():
        while True:
            try:
                done = job.done() if isinstance(job, LocalJob) else _slurm_done(run, scheduler)
                progress.update(run.journal)
                display.update(progress.step, progress.total, progress.line())
                if done:
                    break
                time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:
                if not isinstance(job, LocalJob):
                    raise
                interrupted += 1
                display.say("killing the job" if interrupted > 1 else "saving and stopping (Ctrl-C again to kill)")
                interrupt(run, job, kill=interrupted > 1)
    failure = local_outcome(run, job) if isinstance(job, LocalJob) else slurm_outcome(run)
    if failure is not None and not (interrupted and failure.exit_code != 2):
        raise failure
    if interrupted:
        raise KeyboardInterrupt


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, which `timeout` and service managers send, is Ctrl-C: the job is in a session of its own."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _slurm_done(run: RunDir, scheduler: Scheduler) -> bool:
    try:
        status = run_statuses([run], scheduler, time.time())[0]
    except EnvironmentFault:  # its controller restarts now and then
        return False
    return status.state is State.FINISHED or not status.active


def slurm_outcome(run: RunDir) -> DualError | None:
    """The error of a run whose jobs of Slurm have ended, in one line; None if it is finished, or stopped on request."""
    found = diagnose(collect_evidence(run, Scheduler()))
    if found.state in (State.FINISHED, State.STOPPED):
        return None
    kind = UserError if found.state is State.USER_ERROR else EnvironmentFault
    return kind(f"{found.state}: {found.sentence}; {found.advice}")


def local_outcome(run: RunDir, job: LocalJob[Any]) -> DualError | None:
    """The error of an ended local job, in one line; None if all its ranks ended well."""
    cause = failures.root_cause(failures.read(run.logs, job.job_id))
    if cause is not None:
        kind = UserError if cause.exit_code == 2 else EnvironmentFault
        where = f"rank {cause.rank} on {cause.host}"
        return kind(f"{cause.message} [{where}; log: {cause.log}]")
    if job._process is not None and job._process.poll() not in (0, None):
        return EnvironmentFault(f"job {job.job_id} ended without a message; see {run.logs}")
    return None


def interrupt(run: RunDir, job: LocalJob[Any], kill: bool) -> None:
    """Ask a local job to save and stop; with `kill`, end its controller, and the kernel ends its ranks."""
    run.stop_file.touch()  # a rank that still starts up does not hear signals
    event: Literal["stop", "cancel"] = "cancel" if kill else "stop"
    submissions.record(run.path, submissions.Entry(event=event, job_id=job.job_id, cause=submissions.CTRL_C))
    if job._process is not None and job._process.poll() is None:
        os.kill(job._process.pid, signal.SIGKILL if kill else signal.SIGTERM)
