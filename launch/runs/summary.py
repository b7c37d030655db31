"""One run in one row, and what its jobs have used."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

from dual_hpc.durations import duration
from dual_hpc.evaluation.score_text import FIRST_KEY, score_number, score_text
from dual_hpc.modality import ALL_MODALITIES
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
    """What `dual-hpc runs` shows of a run. Scores are shares of one.

    Attributes:
        ua_av, ua_avt: of the last validation.
        selects: the score by which the best weights are chosen, as the journal calls it; `best` its best value so far,
            after step `best_step`; `higher_is_better` says in which direction.
        epoch, epochs: passes over the training split, so far and of the whole run.
        elapsed_seconds: of all its jobs, without their time in the queue.
        seconds_left: of a run that is trained now, as fast as its newest job was so far.
        stop_asked_seconds: since the job that works on it was asked to stop; None if it was not.
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
    selects: str = FIRST_KEY
    seen: str = ALL_MODALITIES
    best: float | None = None
    best_step: int | None = None
    higher_is_better: bool = True
    epoch: float | None = None
    epochs: float | None = None
    samples_per_second: float | None = None
    elapsed_seconds: float | None = None
    seconds_left: float | None = None
    stop_asked_seconds: float | None = None

    @property
    def best_text(self) -> str:
        """The best score that selects, in percent; with its name where it is not UA {A,V}."""
        number = score_number(self.selects or FIRST_KEY, self.best)
        return (
            number
            if not number or (self.selects or FIRST_KEY) == FIRST_KEY
            else score_text(self.selects, self.best or 0, self.seen)
        )

    @property
    def state_text(self) -> str:
        """The state, and since when it is asked to stop."""
        asked = self.stop_asked_seconds
        return self.state.value if asked is None else f"{self.state.value}, asked to stop {duration(asked)} ago"


def summarize(run: RunDir, status: RunStatus, now: float) -> RunSummary:
    """Read the journal and the segments of a run; `now` in Unix seconds."""
    progress, entries = RunProgress(), journal.read(run.journal)
    progress.take(entries)
    running = status.state is State.RUNNING
    slices = timeline_of(run, now if running else None, entries)
    used = goodput(slices)
    asked = submissions.stop_asked(submissions.read(run.path)) if status.active else None
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
        selects=progress.selects,
        seen=progress.seen,
        best=progress.best[0] if progress.best else None,
        best_step=progress.best[1] if progress.best else None,
        higher_is_better=progress.higher_is_better,
        epoch=progress.epoch,
        epochs=progress.epochs,
        samples_per_second=progress.metrics.get("train/samples_per_second"),
        elapsed_seconds=sum(one.seconds for one in slices if one.kind != "queue") if slices else None,
        seconds_left=progress.seconds_left if running else None,
        stop_asked_seconds=None if asked is None else max(0.0, now - asked),
    )


def used_by(run: RunDir, scheduler: Scheduler) -> Usage:
    """What all jobs of a run have used, as accounting knows it."""
    history = submissions.read(run.path)
    if is_local(history) or not available():
        return Usage()
    jobs = scheduler.accounts(submissions.jobs(history)).values()
    return functools.reduce(operator.add, (job.usage for job in jobs), Usage())
