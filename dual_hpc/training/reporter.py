"""What a run reports while it trains: the journal, MLflow after it, and lines on standard error. Rank 0 only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dual_hpc.config import RunConfig
from dual_hpc.data.workers.count import cores_of_rank
from dual_hpc.durations import duration
from dual_hpc.errors import EnvironmentFault
from dual_hpc.evaluation.score_text import VALIDATION_KEYS, score_text
from dual_hpc.modality import ALL_MODALITIES
from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.goodput import goodput, submissions_of
from dual_hpc.run.journal import Entry, Journal, read
from dual_hpc.run.this_job import allocated_at, job_id
from dual_hpc.run.timeline import timeline
from dual_hpc.tracking.synchroniser import Synchroniser
from dual_hpc.training.bottleneck import Bottleneck
from dual_hpc.training.distributed import World
from dual_hpc.training.schedule import TrainingSchedule

T = TypeVar("T")
LINE_SECONDS = 15.0  # between two lines about progress
TOUCH_SECONDS = 30.0  # between two signs of progress that others see: the time of the journal


class Reporter:
    """On other ranks than 0 every method does nothing.

    Nothing is written to a run that another job has taken over: `metrics` and `event` raise then; warnings and the end
    of the job are only printed. A line that is written between the check and the takeover does no harm: it repeats, for
    its step, what the new owner writes, or is replaced by it.

    Attributes:
        silent: True on ranks other than 0.
    """

    def __init__(
        self,
        run: RunDir,
        config: RunConfig,
        world: World,
        check_ownership: Callable[[], None],
        hosts: Sequence[str] = (),
    ) -> None:
        """
        Args:
            check_ownership: raises once another job has taken over the run.
            hosts: the node of each rank.
        """
        self.silent = world.rank != 0
        self._check_ownership = check_ownership
        self._run, self._world, self._hosts = run, world, list(dict.fromkeys(hosts))
        self._job_id = job_id()
        self._step, self._seen = 0, ALL_MODALITIES
        self._began = (time.monotonic(), 0)
        self._last_line = self._last_touch = 0.0
        self._bottleneck: Bottleneck | None = None
        self._reported_failure: str | None = None  # the journal's failure that was printed last
        if self.silent:
            return
        self._journal = Journal(run.journal)
        tracking = config.tracking
        self._sync = Synchroniser(run, tracking.sync_seconds, tracking.also).start() if tracking.enabled else None

    def start(self, step: int, total_steps: int, **facts: Any) -> None:
        """This job starts to train after `step`."""
        if self.silent:
            return
        self._step = step
        self._seen = str(facts.get("reads", ALL_MODALITIES))
        self._began = (time.monotonic(), step)
        self._segment("start")
        self._journal.event("start", step, total_steps=total_steps, world_size=self._world.size, **facts)
        self._print(f"training: step {step} of {total_steps}, {self._world.size} rank(s)")

    def step(self, step: int, schedule: TrainingSchedule, loss: float) -> None:
        """A step is done; a line about it now and then: where it is, how fast, and how long it takes yet."""
        if self.silent:
            return
        self._step = step
        now = time.monotonic()
        if now - self._last_line > LINE_SECONDS:
            self._last_line = now
            self._print(progress_line(step, schedule, loss, step - self._began[1], now - self._began[0]))

    def validation(self, step: int, batches: Iterable[T]) -> Iterator[T]:
        """The batches of a validation, as they are done; a line about it now and then."""
        for number, batch in enumerate(batches):
            if not self.silent and time.monotonic() - self._last_line > LINE_SECONDS:
                self._last_line = time.monotonic()
                self._print(f"step {step}: validation, {number} batches so far")
            yield batch

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write values that belong to a step."""
        if not self.silent:
            self._check_ownership()
            self._journal.metrics(step, values)
            self._watch_journal()
            if scores := [score_text(key, values[key], self._seen) for key in VALIDATION_KEYS if key in values]:
                self._print(f"step {step}: validation, {', '.join(scores)}")

    def event(self, kind: str, step: int, **fields: Any) -> None:
        """Write an event."""
        if not self.silent:
            self._check_ownership()
            self._journal.event(kind, step, **fields)
            self._watch_journal()

    def warn(self, kind: str, step: int, message: str, **fields: Any) -> None:
        """Write an event and print a warning."""
        if not self.silent:
            if self._owns_run():
                self._journal.event(kind, step, message=message, **fields)
                self._watch_journal()
            self._print(f"WARNING: {message}")

    def bottleneck(self, step: int, found: Bottleneck | None) -> None:
        """What slows the training down: told when it is another one than before, or none any more."""
        before, self._bottleneck = self._bottleneck, found
        if (found.key if found else None) == (before.key if before else None):
            return
        if found is None:
            self.event("bottleneck", step, cause="none", message="")
        else:
            fields = {"cause": found.kind, "phase": found.phase, "rank": found.rank, "share": round(found.share, 4)}
            self.warn("bottleneck", step, found.sentence, **fields)

    def progressed(self) -> None:
        """Something long has done a piece of its work: keep the journal from looking like that of a hang."""
        if not self.silent and time.monotonic() - self._last_touch > TOUCH_SECONDS:
            self._last_touch = time.monotonic()
            self._journal.touch()

    def close(self, reason: str, model: Path | None = None, decoders: Mapping[str, int] | None = None) -> None:
        """The job ends: the segment, the last synchronisation.

        Args:
            model: the exported weights of a finished run.
            decoders: videos that this rank has decoded in the job, by decoder.
        """
        if self.silent:
            return
        if self._owns_run():
            facts = {"decoders": dict(decoders)} if decoders else {}
            self._report_goodput(reason)
            self._journal.event("end", self._step, reason=reason, **facts)
            try:
                self._segment("end", reason)
                self._journal.close()
            except EnvironmentFault as error:
                self._print(f"WARNING: the end of this job could not be written to the run: {error}")
            if self._sync is not None:
                self._sync.close(model=model)
        self._print(f"training {reason} at step {self._step}")

    def _watch_journal(self) -> None:
        """Print once when the journal cannot be written, and once when it can be written again."""
        if self._journal.failure != self._reported_failure:
            self._reported_failure = self._journal.failure
            if self._journal.failure:
                message = f"cannot be written ({self._journal.failure}): its lines wait in memory, training goes on"
                self._print(f"WARNING: {self._journal.path} {message}")
            else:
                self._print(f"{self._journal.path} is complete again")

    def _owns_run(self) -> bool:
        try:
            self._check_ownership()
        except EnvironmentFault:
            return False
        return True

    def _segment(self, event: Any, reason: str | None = None) -> None:
        segment = Segment(
            event=event,
            job_id=self._job_id,
            step=self._step,
            world_size=self._world.size,
            hosts=self._hosts if event == "start" else [],
            **(self._resources() if event == "start" else {}),
            reason=reason,
        )
        try:
            self._run.append_segment(segment)
        except OSError as error:
            raise EnvironmentFault(f"{self._run.segments_file} cannot be written: {error.strerror}") from error

    def _resources(self) -> dict[str, Any]:
        size, cuda = self._world.size, self._world.device.type == "cuda"
        return {"gpus": size if cuda else 0, "cores": size * cores_of_rank(), "allocated": allocated_at()}

    def _report_goodput(self, reason: str) -> None:
        """What this job, which ends now, and all before were used for; nothing that may fail the end of a job."""
        try:
            now = time.time()
            end = Segment(event="end", job_id=self._job_id, step=self._step, time=now, reason=reason)
            entries = read(self._run.journal)
            entries.append(Entry(int(1000 * now), entries[-1].end + 1, self._step, {}, "end", {}))
            slices = timeline([*self._run.segments(), end], submissions_of(self._run), entries)
            self._journal.metrics(self._step, goodput(slices).metrics())
        except Exception as error:
            self._print(f"WARNING: what the run's hours were used for is not known: {error}")

    @staticmethod
    def _print(line: str) -> None:
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}", file=sys.stderr, flush=True)


def progress_line(step: int, schedule: TrainingSchedule, loss: float, steps: int, seconds: float) -> str:
    """One line of the log about a step.

    Args:
        steps, seconds: what this job has done so far, and how long that took, with its saves and validations.
    """
    parts = [f"step {step}/{schedule.total_steps}", f"epoch {schedule.epoch(step):.1f}", f"loss {loss:.4f}"]
    if steps > 0 and seconds > 0:
        parts.append(f"{steps * schedule.global_batch / seconds:.3g} samples/s")
        parts.append(f"about {duration((schedule.total_steps - step) * seconds / steps)} left")
    return "  ".join(parts)


def last_save_seconds(journal: Path) -> float:
    """How long the run's last save took, from its journal; 0 if there was none.

    A new job must know it before its own first save, because its time may end before that.
    """
    found = [entry.fields.get("seconds") for entry in read(journal) if entry.event == "checkpoint"]
    return next((float(seconds) for seconds in reversed(found) if isinstance(seconds, (int, float))), 0.0)
