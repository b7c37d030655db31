"""One run in one row, from its files alone."""

from __future__ import annotations

from dataclasses import dataclass

from dual_hpc.tracking.run_dir import RunDir, Segment
from launch.follow import Glance


@dataclass(frozen=True)
class Overview:
    """What `dual-hpc runs` shows of a run; scores are those of the last validation."""

    name: str
    path: str
    state: str
    step: int
    total: int | None
    loss: float | None
    ua_av: float | None
    ua_avt: float | None
    segments: int
    age_seconds: float


def overview(run: RunDir, now: float) -> Overview:
    """Read the journal and the segments of a run; `now` in Unix seconds."""
    glance = Glance()
    glance.update(run.journal)
    segments = run.segments()
    touched = run.journal if run.journal.exists() else run.identity_file
    age = max(0.0, now - touched.stat().st_mtime)
    return Overview(
        name=run.path.name,
        path=str(run.path),
        state=state_of(segments, age),
        step=glance.step,
        total=glance.total,
        loss=glance.metrics.get("train/loss"),
        ua_av=glance.metrics.get("val/av/ua"),
        ua_avt=glance.metrics.get("val/avt/ua"),
        segments=sum(segment.event == "start" for segment in segments),
        age_seconds=age,
    )


def state_of(segments: list[Segment], age_seconds: float) -> str:
    """The state that the run's own records tell; a run that began and fell silent may have been killed."""
    if not segments:
        return "submitted"
    last = segments[-1]
    if last.event == "end":
        return last.reason or "ended"
    return "running" if age_seconds < 600 else "silent"
