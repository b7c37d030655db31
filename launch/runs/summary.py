"""One run in one row, and what its jobs have used."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

from dual_hpc.run import journal
from dual_hpc.run.directory import RunDir
from dual_hpc.run.goodput import goodput, timeline_of
from launch.cluster.job_record import Usage
from launch.cluster.slurm import Scheduler, available
from launch.cluster.state import State
from launch.records import submissions
from launch.runs.progress import RunProgress
from launch.runs.report_scores import read_test_interval, read_test_scores
from launch.runs.status import RunStatus, is_local, seconds_since_update


@dataclass(frozen=True)
class RunSummary:
    """What `dual-hpc runs` shows of a run; scores are those of the last validation.

    Attributes:
        test_ua: UA without text on the test split; None before `dual-hpc evaluate` has scored it.
        test_ua_interval: its 95 % interval, where the report has one.
        age_seconds: since it wrote anything; None where its folder is gone.
        goodput: part of the hours that its jobs had that were useful steps, 0..1; None where there were none.
        goodput_sentence: what they were used for.
        bottleneck: what slows its training down; "" for nothing.
        nodes: of its newest job; as the job itself wrote them where Slurm does not say.
    """

    name: str
    path: str
    state: State
    step: int
    total: int | None
    loss: float | None
    ua_av: float | None
    ua_avt: float | None
    test_ua: float | None
    segments: int
    age_seconds: float | None
    job_id: str | None
    slurm_state: str | None
    slurm_reason: str | None
    nodes: str | None
    test_ua_interval: tuple[float, float] | None = None
    goodput: float | None = None
    goodput_sentence: str = ""
    bottleneck: str = ""


def summarize(run: RunDir, status: RunStatus, now: float) -> RunSummary:
    """Read the journal and the segments of a run; `now` in Unix seconds."""
    progress, entries = RunProgress(), journal.read(run.journal)
    progress.take(entries)
    used = goodput(timeline_of(run, now if status.state is State.RUNNING else None, entries))
    slurm, segments = status.slurm, run.segments()
    hosts = next((one.hosts for one in reversed(segments) if one.event == "start"), [])
    return RunSummary(
        name=run.path.name,
        path=str(run.path),
        state=status.state,
        step=progress.step,
        total=progress.total,
        loss=progress.metrics.get("train/loss"),
        ua_av=progress.metrics.get("val/av/ua"),
        ua_avt=progress.metrics.get("val/avt/ua"),
        test_ua=read_test_scores(run.reports).get("av", {}).get("ua"),
        segments=sum(segment.event == "start" for segment in segments),
        age_seconds=seconds_since_update(run, now),
        job_id=status.job_id,
        slurm_state=slurm.state if slurm else None,
        slurm_reason=slurm.reason if slurm else None,
        nodes=slurm.nodes if slurm else ",".join(hosts) or None,
        test_ua_interval=read_test_interval(run.reports, "av", "ua"),
        goodput=used.useful,
        goodput_sentence=used.sentence(),
        bottleneck=progress.bottleneck,
    )


def used_by(run: RunDir, scheduler: Scheduler) -> Usage:
    """What all jobs of a run have used, as accounting knows it."""
    history = submissions.read(run.path)
    if is_local(history) or not available():
        return Usage()
    jobs = scheduler.accounts(submissions.jobs(history)).values()
    return functools.reduce(operator.add, (job.usage for job in jobs), Usage())
