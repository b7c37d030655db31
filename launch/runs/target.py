"""What `status`, `why`, `logs`, `stop` and `cancel` ask of whatever they are given; and how a run answers.

A command's job answers in `launch.commands.target`, a sweep in `launch.sweeps.target`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dual_hpc.durations import duration
from dual_hpc.errors import EnvironmentFault
from dual_hpc.evaluation.score_text import FIRST_KEY, VALIDATION_KEYS, score_number, score_text
from dual_hpc.run.directory import RunDir
from dual_hpc.run.names import rank_log
from launch.cluster.slurm import LOOK_PATIENCE, WATCHER_SECONDS, Scheduler
from launch.records import submissions
from launch.records.job_output import output_of
from launch.runs.control import cancel_runs, stop_runs
from launch.runs.diagnosis import diagnose
from launch.runs.evidence import collect_evidence
from launch.runs.findings import Diagnosis
from launch.runs.status import run_statuses
from launch.runs.submit import is_finished
from launch.runs.summary import RunSummary, summarize, used_by


@dataclass(frozen=True)
class StatusReport:
    """What `dual-hpc status` shows.

    Attributes:
        data: for --json; "kind" is run, job or sweep.
        lines: label -> text; empty ones are left out.
        rows: the members of a sweep.
    """

    data: dict[str, object]
    lines: dict[str, str]
    rows: Sequence[RunSummary] = ()


@dataclass(frozen=True)
class LogSource:
    """A log that may still be written.

    Attributes:
        path: where it is now; another file may take its place.
        active: asks whether a job may still write to it.
    """

    path: Callable[[], Path]
    active: Callable[[], bool]

    def numbers(self) -> list[int]:
        """The ranks, or tasks, that have logs in the same folder."""
        path = self.path()
        return sorted(int(found.stem.split("_")[1]) for found in path.parent.glob(f"{path.stem.split('_')[0]}_*.log"))


class Target(Protocol):
    """A run, a command's job, or a sweep."""

    @property
    def name(self) -> str: ...

    def status(self) -> StatusReport:
        """Its state, and what is known of it."""

    def diagnose(self) -> Diagnosis:
        """Why it waits, failed or stopped, and what to do."""

    def log(self, rank: int) -> LogSource:
        """What a rank of a run, or a task of a command, writes.

        Raises:
            UserError: there is no such rank or task, or a sweep has several members.
        """

    def jobs(self) -> list[str]:
        """The ids of its newest jobs."""

    def stop(self) -> list[str]:
        """Save a checkpoint and stop; one line for each job.

        Raises:
            UserError: nothing runs or waits, or it has no checkpoints.
        """

    def cancel(self) -> list[str]:
        """End its jobs at once; one line for each job.

        Raises:
            UserError: nothing runs or waits.
        """


def progress_lines(row: RunSummary) -> dict[str, str]:
    """How far a run is, how fast, and how good, for `status`: label -> text."""
    epochs = f" of {row.epochs:.0f}" if row.epochs else ""
    step = f"{row.step} of {row.total}" if row.total else str(row.step)
    speed = None if row.samples_per_second is None else f"{row.samples_per_second:.3g} samples/s"
    times = [
        None if row.elapsed_seconds is None else f"{duration(row.elapsed_seconds)} so far",
        None if row.seconds_left is None else f"about {duration(row.seconds_left)} left",
        speed,
    ]
    best = (
        None
        if row.best is None
        else f"{score_text(row.selects, row.best, row.seen)} on validation, at step {row.best_step}"
    )
    last = zip(VALIDATION_KEYS, (row.ua_av, row.ua_avt), strict=True)
    scores = [score_text(key, value, row.seen) for key, value in last if value is not None]
    test = "" if row.test_ua is None else score_text(FIRST_KEY, row.test_ua, row.seen)
    if row.test_ua is not None and row.test_ua_interval is not None:
        test += " [{}, {}]".format(*(score_number(FIRST_KEY, bound) for bound in row.test_ua_interval))
    return {
        "step": step if row.epoch is None else f"{step}, epoch {row.epoch:.1f}{epochs}",
        "time": ", ".join(filter(None, times)),
        "best": best or "",
        "last": "  ".join([*([] if row.loss is None else [f"loss {row.loss:.3f}"]), *scores]),
        "test": test,
    }


@dataclass(frozen=True)
class RunTarget:
    """A run and its newest job."""

    run: RunDir

    @property
    def name(self) -> str:
        return self.run.path.name

    def status(self) -> StatusReport:
        now = time.time()
        scheduler = Scheduler(patience=LOOK_PATIENCE)
        status = run_statuses([self.run], scheduler, now, tolerant=True)[0]
        row = summarize(self.run, status, now)
        slurm = " ".join(filter(None, (row.slurm_state, row.slurm_reason and f"({row.slurm_reason})", row.nodes)))
        lines = {
            "run": row.path,
            "state": row.state_text,
            **progress_lines(row),
            "job": f"{row.job_id or 'none'}  {slurm}".rstrip(),
            "segments": str(row.segments),
            "used": str(used_by(self.run, scheduler)),
            "goodput": row.goodput_sentence.removeprefix("goodput "),
            "slow": row.bottleneck,
        }
        return StatusReport({"kind": "run", **dataclasses.asdict(row)}, lines)

    def diagnose(self) -> Diagnosis:
        return diagnose(collect_evidence(self.run, Scheduler(patience=LOOK_PATIENCE)))

    def log(self, rank: int) -> LogSource:
        """What the rank writes; where it could not begin, what Slurm has of it."""
        scheduler = Scheduler(WATCHER_SECONDS, patience=LOOK_PATIENCE)

        def active() -> bool:
            try:
                return run_statuses([self.run], scheduler, time.time())[0].active
            except EnvironmentFault:  # Slurm's controller restarts now and then
                return not is_finished(self.run.path)

        def path() -> Path:
            own = self.run.logs / rank_log(rank)
            history = submissions.read(self.run.path)
            slurm = output_of(self.run.path, history, submissions.last_job(history), rank)
            return slurm if slurm.exists() and not own.exists() else own

        return LogSource(path, active)

    def jobs(self) -> list[str]:
        newest = submissions.last_job(submissions.read(self.run.path))
        return [newest] if newest is not None else []

    def stop(self) -> list[str]:
        return stop_runs([(self.run, run_statuses([self.run], Scheduler(), time.time(), tolerant=True)[0])])

    def cancel(self) -> list[str]:
        return cancel_runs([(self.run, run_statuses([self.run], Scheduler(), time.time())[0])])
