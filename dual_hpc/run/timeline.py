"""What the jobs of a run did when: slices of time from its segments, its submissions and its journal. Pure.

A job lasts from the moment it was given its nodes to its end. Between two logged steps the shares that the journal has
of the interval (`train/save_stall`, `train/validation`) are saves and validation; the rest is steps, useful where they
were done for the first time, repeated where an earlier job had done them. What a job that ended unasked did since its
last line is lost, with what it had begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dual_hpc.run.directory import Segment
from dual_hpc.run.journal import Entry

Kind = Literal["useful", "repeated", "startup", "saves", "validation", "lost", "queue"]
KINDS: tuple[Kind, ...] = ("useful", "repeated", "startup", "saves", "validation", "lost", "queue")
STEP_KEY = "train/loss"  # in each line of the journal about a step
_SAVING = ("checkpoint", "checkpoint_failed", "checkpoint_kept", "best", "export_failed", "end")
_CLAIMS = ("submit", "requeue", "chain")  # what asks for nodes
_LEAVING = ("requeue", "chain", "leave")  # what a job writes itself at its end; the others are commands
_FAILED = "failed"  # why a segment ended, where nobody had asked for it
_SKEW = 1.0  # seconds by which two clocks may differ
_AFTERWARDS = 600.0  # seconds after training in which a job still submits its successor


class Submission(BaseModel):
    """What is needed here of a line of `submissions.jsonl`; see `launch.records.submissions`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    event: str
    job_id: str
    time: float
    allocated: float | None = None
    profile: dict[str, object] | None = None


@dataclass(frozen=True)
class Slice:
    """A part of a job's time, or of its time in the queue.

    Attributes:
        begin, end: Unix seconds.
        gpus, cores: that the job had, or asked for.
    """

    kind: Kind
    job_id: str
    begin: float
    end: float
    gpus: int
    cores: int

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass
class _Job:
    """One start of one job.

    Attributes:
        asked: when it began to wait for nodes; None where nobody knows.
        allocated: when it was given them.
        begin, end: of its work; `release` is when the nodes were free again.
        died: it did not end by itself, or failed.
        step: after which it began.
    """

    job_id: str
    asked: float | None
    allocated: float
    begin: float
    end: float
    release: float
    died: bool
    step: int
    gpus: int
    cores: int
    entries: list[Entry] = field(default_factory=list)


def timeline(
    segments: Sequence[Segment],
    history: Sequence[Submission],
    entries: Sequence[Entry],
    alive_at: float | None = None,
) -> list[Slice]:
    """Every second that the run had nodes, or waited for them, once, in order.

    Args:
        alive_at: now, in Unix seconds, where the newest job still works; None where no job does.
    """
    found: list[Slice] = []
    done = 0
    for job in _jobs(segments, history, entries, alive_at):
        cuts = [("queue", job.allocated)] if job.asked is not None else []
        cuts += [("lost" if job.died and not job.entries else "startup", job.begin)]
        work, done = _work(job, done)
        cuts += [*work, ("lost" if job.died else "startup", job.release)]
        at = job.asked if job.asked is not None else job.allocated
        for kind, end in cuts:
            if end > at:
                found.append(Slice(kind, job.job_id, at, end, job.gpus, job.cores))  # type: ignore[arg-type]
                at = end
    return found


def _jobs(
    segments: Sequence[Segment], history: Sequence[Submission], entries: Sequence[Entry], alive_at: float | None
) -> list[_Job]:
    starts = [number for number, one in enumerate(segments) if one.event == "start"]
    jobs: list[_Job] = []
    free = 0.0  # since when no job before has the nodes
    for place, number in enumerate(starts):
        start = segments[number]
        following = segments[starts[place + 1]] if place + 1 < len(starts) else None
        until = following.time if following is not None else float("inf")
        ended = next((one for one in segments[number + 1 : starts[place + 1] if following else None]), None)
        if ended is not None and ended.job_id != start.job_id:
            ended = None
        mine = [entry for entry in entries if start.time - _SKEW <= entry.time_ms / 1000 < until - _SKEW]
        end = _end(start, ended, mine, alive_at if following is None else None)
        end = min(max(end, start.time), until)
        leaving = [h for h in history if h.event in _LEAVING]
        after = [h.time for h in leaving if h.job_id == start.job_id or h.event == "chain"]
        release = max([end, *(time for time in after if end <= time < min(until, end + _AFTERWARDS))])
        asked, allocated = _asked(start, history, free, jobs[-1].job_id if jobs else None)
        died = (ended is None and (following is not None or alive_at is None)) or (
            ended is not None and ended.reason == _FAILED
        )
        jobs += _never_began(history, free, asked if asked is not None else allocated, start)
        gpus, cores = start.gpus or 0, start.cores or start.world_size or 1
        jobs.append(_Job(start.job_id, asked, allocated, start.time, end, release, died, start.step, gpus, cores, mine))
        free = release
    return jobs


def _end(start: Segment, ended: Segment | None, entries: Sequence[Entry], alive_at: float | None) -> float:
    if ended is not None:
        return ended.time
    last = entries[-1].time_ms / 1000 if entries else start.time
    return max(last, alive_at) if alive_at is not None else last


def _asked(
    start: Segment, history: Sequence[Submission], free: float, before: str | None
) -> tuple[float | None, float]:
    """When a job began to wait, if it is known, and when it was given its nodes."""
    claims = [h for h in history if h.event in _CLAIMS and h.time <= start.time + _SKEW]
    claim = next((h for h in reversed(claims) if h.job_id == start.job_id), claims[-1] if claims else None)
    waits_since = None
    if claim is not None and claim.time >= free - _AFTERWARDS:
        waits_since = max(claim.time, free)
    elif before == start.job_id:  # Slurm itself has started it again
        waits_since = free
    local = claim is not None and _is_local(claim, history)
    if start.allocated is not None and not local:
        allocated = min(max(start.allocated, free), start.time)
        return (min(waits_since, allocated) if waits_since is not None else None), allocated
    if local and waits_since is not None:
        return None, min(waits_since, start.time)
    return (min(waits_since, start.time) if waits_since is not None else None), start.time


def _is_local(claim: Submission, history: Sequence[Submission]) -> bool:
    asked = [h.profile for h in history if h.profile is not None and h.time <= claim.time]
    return bool(asked) and asked[-1].get("executor") == "local"


def _never_began(history: Sequence[Submission], free: float, until: float, like: Segment) -> list[_Job]:
    """Jobs between two others that had nodes and never trained: of a bad node, say."""
    found = []
    for h in history:
        if h.event in ("requeue", "chain", "leave") and h.allocated is not None and free < h.time <= until + _SKEW:
            begin, end = max(h.allocated, free), min(h.time, until)
            claim = next((c for c in reversed(history) if c.event in _CLAIMS and c.time <= begin), None)
            if end > begin:
                asked = min(max(claim.time, free), begin) if claim is not None else None
                gpus, cores = like.gpus or 0, like.cores or like.world_size or 1
                job_id = claim.job_id if claim is not None else h.job_id
                found.append(_Job(job_id, asked, begin, end, end, end, True, 0, gpus, cores))
                free = end
    return found


def _work(job: _Job, done: int) -> tuple[list[tuple[str, float]], int]:
    """What a job did until each moment, and the last step that the run has done by then.

    Args:
        done: the last step of all jobs before.
    """
    cuts: list[tuple[str, float]] = []
    at, step = job.begin, job.step
    logged = [entry for entry in job.entries if STEP_KEY in entry.metrics and entry.step is not None]
    usual = _seconds_per_step(job, logged)
    for number, entry in enumerate(logged):
        end, steps = min(max(entry.time_ms / 1000, at), job.end), max(0, (entry.step or 0) - step)
        if number == 0 and usual is not None:  # workers start, kernels are compiled
            start = max(at, end - usual * steps)
            cuts.append(("startup", start))
            at = start
        cuts += _interval(at, end, step, step + steps, done, entry)
        at, step = end, step + steps
        done = max(done, step)
    after = logged[-1].end if logged else 0
    for entry in job.entries:
        if entry.end <= after:
            continue
        end = min(max(entry.time_ms / 1000, at), job.end)
        if entry.event == "stop" and (steps := max(0, (entry.step or 0) - step)):
            cuts += _interval(at, end, step, step + steps, done, entry)
            step += steps
            done = max(done, step)
        elif entry.event == "stop":
            cuts.append(("lost", end))  # what the stop has interrupted, and the next job does again
        elif any(key.startswith("val/") for key in entry.metrics):
            cuts.append(("validation", end))
        elif entry.event in _SAVING:
            cuts.append(("saves", end))
        elif not logged:
            cuts.append(("startup", end))
        else:
            continue
        at = end
    rest = "lost" if job.died else "saves" if job.entries and job.entries[-1].event == "end" else "useful"
    return [*cuts, (rest if logged or job.died else "startup", job.end)], done


def _interval(at: float, end: float, first: int, last: int, done: int, entry: Entry) -> list[tuple[str, float]]:
    """The steps `first` + 1 to `last`, then the saves and the validation among them."""
    shares = [min(1.0, max(0.0, entry.metrics.get(key, 0.0))) for key in ("train/save_stall", "train/validation")]
    seconds = end - at
    saves, validation = (seconds * share for share in shares)
    steps = max(0.0, seconds - saves - validation)
    repeated = steps * min(max(done - first, 0), last - first) / max(1, last - first)
    return [
        ("repeated", at + repeated),
        ("useful", at + steps),
        ("saves", min(end, at + steps + saves)),
        ("validation", end),
    ]


def _seconds_per_step(job: _Job, logged: Sequence[Entry]) -> float | None:
    """Of the intervals but the first; None where there is no other."""
    rates = [
        (after.time_ms - before.time_ms) / 1000 / steps
        for before, after in pairwise(logged)
        if (steps := (after.step or 0) - (before.step or 0)) > 0
    ]
    return median(rates) if rates else None
