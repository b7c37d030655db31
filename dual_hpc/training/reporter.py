"""What a run says while it trains: the journal, MLflow behind it, and progress on standard error. Rank 0 only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dual_hpc.config import RunConfig
from dual_hpc.errors import EnvironmentFault
from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.journal import Journal, read
from dual_hpc.run.this_job import job_id
from dual_hpc.tracking.synchroniser import Synchroniser
from dual_hpc.training.distributed import World

LINE_SECONDS = 15.0  # between two lines where there is no terminal


class Reporter:
    """On other ranks than 0 every method does nothing.

    Nothing is written to a run that another job has taken over: `metrics` and `event` raise then, what is said at the
    end of a job is only said. A line that slips in between look and write does no harm: it repeats, for its step, what
    the new owner writes, or is replaced by that.

    Attributes:
        silent: True on those ranks.
    """

    def __init__(self, run: RunDir, config: RunConfig, world: World, fence: Callable[[], None]) -> None:
        """`fence` raises once another job has taken over the run."""
        self.silent = world.rank != 0
        self._fence = fence
        self._run, self._world = run, world
        self._job_id = job_id()
        self._step = 0
        self._last_line = 0.0
        self._told: str | None = None  # the journal's failure, as it was last said
        self._bar: Progress | None = None
        if self.silent:
            return
        self._journal = Journal(run.journal)
        self._sync = Synchroniser(run, config.tracking.sync_seconds).start() if config.tracking.enabled else None

    def begin(self, step: int, total_steps: int, **facts: Any) -> None:
        """This job starts, or goes on, behind `step`."""
        if self.silent:
            return
        self._step = step
        self._segment("start")
        self._journal.event("start", step, total_steps=total_steps, world_size=self._world.size, **facts)
        console = Console(stderr=True)
        if console.is_terminal:
            columns = (TextColumn("train"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[words]}"), console=console)
            self._task = self._bar.add_task("train", total=total_steps, completed=step, words="")
            self._bar.start()
        else:
            self._say(f"training: step {step} of {total_steps}, {self._world.size} rank(s)")

    def step(self, step: int, total_steps: int, loss: float) -> None:
        """A step is done: progress for those who watch."""
        if self.silent:
            return
        self._step = step
        if self._bar is not None:
            self._bar.update(self._task, completed=step, words=f"loss {loss:.3f}")
        elif time.monotonic() - self._last_line > LINE_SECONDS:
            self._last_line = time.monotonic()
            self._say(f"step {step}/{total_steps}  loss {loss:.4f}")

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write values that belong to a step."""
        if not self.silent:
            self._fence()
            self._journal.metrics(step, values)
            self._watch_journal()

    def event(self, kind: str, step: int, **fields: Any) -> None:
        """Write something that happened, without alarm."""
        if not self.silent:
            self._fence()
            self._journal.event(kind, step, **fields)
            self._watch_journal()

    def warn(self, kind: str, step: int, message: str, **fields: Any) -> None:
        """Write something that happened and say it loudly."""
        if not self.silent:
            if self._ours():
                self._journal.event(kind, step, message=message, **fields)
                self._watch_journal()
            self._say(f"WARNING: {message}")

    def close(self, reason: str, model: Path | None = None) -> None:
        """The job ends: the segment, the last sync. `model`: the exported weights of a finished run."""
        if self.silent:
            return
        if self._bar is not None:
            self._bar.stop()
        if self._ours():
            self._journal.event("end", self._step, reason=reason)
            try:
                self._segment("end", reason)
                self._journal.close()
            except EnvironmentFault as error:
                self._say(f"WARNING: how this job ended is not noted in the run: {error}")
            if self._sync is not None:
                self._sync.close(model=model)
        self._say(f"training {reason} at step {self._step}")

    def _watch_journal(self) -> None:
        """Say it once when the disk takes no more of the journal, and once when it does again."""
        if self._journal.failure != self._told:
            self._told = self._journal.failure
            if self._told:
                words = f"takes no more lines ({self._told}): they wait in memory, training goes on"
                self._say(f"WARNING: {self._journal.path} {words}")
            else:
                self._say(f"{self._journal.path} has all lines again")

    def _ours(self) -> bool:
        try:
            self._fence()
        except EnvironmentFault:
            return False
        return True

    def _segment(self, event: Any, reason: str | None = None) -> None:
        segment = Segment(
            event=event,
            job_id=self._job_id,
            step=self._step,
            world_size=self._world.size,
            reason=reason,
        )
        try:
            self._run.append_segment(segment)
        except OSError as error:
            raise EnvironmentFault(f"{self._run.segments_file} cannot be written: {error.strerror}") from error

    def _say(self, words: str) -> None:
        if self._bar is not None:
            self._bar.console.print(words)
        else:
            print(words, file=sys.stderr, flush=True)


def last_save_seconds(journal: Path) -> float:
    """How long the run's last save took, by its journal; 0 if none has succeeded.

    A new job must know it before its own first save, because its end may come earlier.
    """
    found = [entry.fields.get("seconds") for entry in read(journal) if entry.event == "checkpoint"]
    return next((float(seconds) for seconds in reversed(found) if isinstance(seconds, (int, float))), 0.0)
