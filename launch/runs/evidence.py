"""Collect what is known of a run, for `launch.runs.diagnosis`."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dual_hpc.checkpoint import select
from dual_hpc.files.ownership import is_others, is_writable, owner
from dual_hpc.run import journal
from dual_hpc.run.directory import RunDir
from dual_hpc.run.goodput import goodput, timeline_of
from launch.cluster.slurm import Scheduler, available, with_accounting
from launch.cluster.state import State
from launch.records import submissions
from launch.records.job_output import output_of, read_job_output, tail_if_allowed
from launch.records.log_markers import JOB_END_MARKER, JOB_START_MARKER
from launch.runs.allocations import ended_allocations
from launch.runs.findings import FULL, Evidence
from launch.runs.progress import RunProgress
from launch.runs.state import RunRecords
from launch.runs.status import newest_failures, run_statuses, seconds_since_update

TIMEOUT = "Timeout ("  # how Python's watchdog begins: see dual_hpc/training/watchdog.py


def collect_evidence(run: RunDir, scheduler: Scheduler) -> Evidence:
    """Everything about a run: its records, its failures, its log, its checkpoints and Slurm.

    Raises:
        EnvironmentFault: its folder cannot be read.
    """
    now = time.time()
    status = run_statuses([run], scheduler, now, tolerant=True)[0]
    progress, entries = RunProgress(), journal.read(run.journal)
    progress.take(entries)
    used = goodput(timeline_of(run, now if status.state is State.RUNNING else None, entries))
    job_id, history = status.job_id, submissions.read(run.path)
    logs, segments = sorted(run.logs.glob("rank_*.log")), run.segments()
    asks = job_id is not None and not status.local and available()
    return Evidence(
        name=run.path.name,
        status=status,
        history=history,
        saved=RunRecords(segments, history).own_end is State.STOPPED,
        step=progress.step,
        total=progress.total,
        silent_seconds=seconds_since_update(run, now),
        past=with_accounting(status.slurm, scheduler.accounts([job_id]).get(job_id)) if job_id and asks else None,
        failures=newest_failures(run, history),
        hung=[log.stem for log in logs if hung(log)],
        checkpoint=max(select.steps(run.checkpoints), default=None),
        last_words=last_line(run.logs / "rank_0000.log") or last_line(output_of(run.path, history, job_id)),
        srun=read_job_output(run.path, history, job_id),
        allocations=ended_allocations(segments, history, progress.step, active=status.active),
        full=next((line for log in logs for line in since_start(log) if FULL.search(line)), "")[:200],
        owner=owner(run.path) if is_others(run.path) and not is_writable(run.path) else "",
        store=str(run.path.parent),
        free_bytes=free_bytes(run.path),
        now=now,
        bottleneck=progress.bottleneck,
        goodput=used.sentence(),
    )


def free_bytes(path: Path) -> int | None:
    """What a user may still write on a file system; None where it does not say."""
    try:
        usage = os.statvfs(path)
    except OSError:
        return None
    return usage.f_bavail * usage.f_frsize


def hung(log: Path) -> bool:
    """True if the watchdog ended this rank the last time that it ran."""
    return any(line.startswith(TIMEOUT) for line in since_start(log))


def since_start(log: Path) -> list[str]:
    """The lines of a rank's log since it was started last; of a long one, its end."""
    lines = tail_if_allowed(log, 1 << 18)
    begin = max((number for number, line in enumerate(lines) if line.startswith(JOB_START_MARKER)), default=0)
    return lines[begin:]


def last_line(log: Path) -> str:
    """The last line of a log that the work itself wrote, cut to 200 characters.

    Without half a character, where its writer was killed.
    """
    for line in reversed(tail_if_allowed(log, 20)):
        seen = line.strip().strip("\ufffd").strip()
        if seen and not seen.startswith(("srun:", JOB_END_MARKER)):
            return seen[:200]
    return ""
