"""What `dual-hpc watch` shows of a run: read as it grows, no line of the journal twice."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from dual_hpc.errors import EnvironmentFault
from dual_hpc.evaluation.score_text import FIRST_KEY, VALIDATION_KEYS, score_text
from dual_hpc.modality import ALL_MODALITIES
from dual_hpc.run import journal
from dual_hpc.run.directory import RunDir
from dual_hpc.run.goodput import goodput, timeline_of
from dual_hpc.run.journal import Entry
from dual_hpc.run.names import SYSTEM, rank_log
from launch.cluster.slurm import LOOK_PATIENCE, WATCHER_SECONDS, Scheduler
from launch.cluster.state import State
from launch.records.job_output import tail_if_allowed
from launch.runs.progress import RunProgress
from launch.runs.status import RunStatus, run_statuses

_EVENTS, _POINTS, _LINES = 50, 200, 200
_NODE_TAIL = 1 << 16  # bytes of a node's journal that are read
_GOODPUT_SECONDS = 30.0  # between two looks at all of its jobs


@dataclass(frozen=True)
class Event:
    """One line about something that happened."""

    time: float
    step: int | None
    text: str


@dataclass
class View:
    """What is known of a run now.

    Attributes:
        metrics: the last value of each.
        losses: the last ones, oldest first.
        selects, best: as of `RunProgress`.
        step_seconds: of a step, over the last lines of the journal; None before the second.
        nodes: name -> the last value of each of its system metrics, without prefix.
        log: the end of the log of `rank`.
        ranks: those that have logs.
        updated: Unix seconds.
    """

    name: str
    state: State = State.NOT_SUBMITTED
    active: bool = False
    step: int = 0
    total: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    step_seconds: float | None = None
    selects: str = FIRST_KEY
    seen: str = ALL_MODALITIES
    best: tuple[float, int] | None = None
    bottleneck: str = ""
    goodput: str = ""
    events: list[Event] = field(default_factory=list)
    nodes: dict[str, dict[str, float]] = field(default_factory=dict)
    rank: int = 0
    ranks: list[int] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    updated: float = 0.0


class RunWatcher:
    """Reads what a run has written since the last look; Slurm is asked twice a minute."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._scheduler = Scheduler(WATCHER_SECONDS, patience=LOOK_PATIENCE)
        self._progress = RunProgress()
        self._losses: deque[float] = deque(maxlen=_POINTS)
        self._events: deque[Event] = deque(maxlen=_EVENTS)
        self._steps: deque[tuple[float, int]] = deque(maxlen=6)
        self._status: RunStatus | None = None
        self._goodput = (float("-inf"), "")

    def look(self, rank: int = 0) -> View:
        """Everything as it is now; with the log of this rank, or of the nearest one that there is."""
        now = time.time()
        entries = journal.read(self._run.journal, self._progress.position)
        self._progress.take(entries)
        for entry in entries:
            self._take(entry)
        with contextlib.suppress(EnvironmentFault):  # Slurm's controller restarts now and then: what was known stays
            self._status = run_statuses([self._run], self._scheduler, now, tolerant=True)[0]
        status, progress = self._status, self._progress
        ranks = sorted(int(path.stem.split("_")[1]) for path in self._run.logs.glob("rank_*.log"))
        shown = min(ranks, key=lambda one: abs(one - rank), default=0)
        return View(
            name=self._run.path.name,
            state=status.state if status is not None else State.UNREADABLE,
            active=status.maybe_active if status is not None else True,
            step=progress.step,
            total=progress.total,
            metrics=dict(progress.metrics),
            losses=list(self._losses),
            step_seconds=self._step_seconds(),
            selects=progress.selects,
            seen=progress.seen,
            best=progress.best,
            bottleneck=progress.bottleneck,
            goodput=self._hours(now),
            events=list(self._events),
            nodes=node_metrics(self._run.path / SYSTEM),
            rank=shown,
            ranks=ranks,
            log=tail_if_allowed(self._run.logs / rank_log(shown), _LINES),
            updated=now,
        )

    def _take(self, entry: Entry) -> None:
        moment = entry.time_ms / 1000
        if (loss := entry.metrics.get("train/loss")) is not None:
            self._losses.append(loss)
            if self._steps and (entry.step or 0) <= self._steps[-1][1]:
                self._steps.clear()  # another job does them again
            self._steps.append((moment, entry.step or 0))
        scores = {key: value for key, value in entry.metrics.items() if key in VALIDATION_KEYS}
        if scores:
            self._events.append(Event(moment, entry.step, "validation " + _named(scores, self._progress.seen)))
        if entry.event == "best" and isinstance(score := entry.fields.get("score"), float):
            self._events.append(
                Event(moment, entry.step, f"best {score_text(self._progress.selects, score, self._progress.seen)}")
            )
        elif entry.event is not None:
            self._events.append(Event(moment, entry.step, described(entry)))

    def _step_seconds(self) -> float | None:
        if len(self._steps) < 2:
            return None
        (first, begin), (last, end) = self._steps[0], self._steps[-1]
        return (last - first) / (end - begin)

    def _hours(self, now: float) -> str:
        if now - self._goodput[0] > _GOODPUT_SECONDS:
            running = self._status is not None and self._status.state is State.RUNNING
            self._goodput = (now, goodput(timeline_of(self._run, now if running else None)).sentence())
        return self._goodput[1]


def described(entry: Entry) -> str:
    """An event in a few words."""
    fields = entry.fields
    if isinstance(fields.get("message"), str) and fields["message"]:
        return f"{entry.event}: {fields['message']}"
    shown = {key: value for key, value in fields.items() if isinstance(value, (str, int, float)) and value != ""}
    return " ".join([str(entry.event), *(f"{key}={value}" for key, value in shown.items())])


def node_metrics(folder: Path) -> dict[str, dict[str, float]]:
    """The newest values of each node's journal; none where the job writes no such journals."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        try:
            entries = journal.read(path, max(0, path.stat().st_size - _NODE_TAIL))
        except OSError:
            continue
        values = {key.rsplit("/", 1)[-1]: value for entry in entries for key, value in entry.metrics.items()}
        if values:
            found[path.stem] = values
    return found


def _named(scores: dict[str, float], seen: str) -> str:
    return ", ".join(score_text(key, value, seen) for key, value in scores.items())
