"""One run in one row."""

from __future__ import annotations

from dataclasses import dataclass

from dual_hpc.run.directory import RunDir
from launch.runs.progress import Glance
from launch.runs.status import Standing, silence


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
    job_id: str | None
    slurm_state: str | None
    slurm_reason: str | None
    nodes: str | None


def overview(run: RunDir, standing: Standing, now: float) -> Overview:
    """Read the journal and the segments of a run; `now` in Unix seconds."""
    glance = Glance()
    glance.update(run.journal)
    slurm = standing.slurm
    return Overview(
        name=run.path.name,
        path=str(run.path),
        state=standing.state,
        step=glance.step,
        total=glance.total,
        loss=glance.metrics.get("train/loss"),
        ua_av=glance.metrics.get("val/av/ua"),
        ua_avt=glance.metrics.get("val/avt/ua"),
        segments=sum(segment.event == "start" for segment in run.segments()),
        age_seconds=silence(run, now),
        job_id=standing.job_id,
        slurm_state=slurm.state if slurm else None,
        slurm_reason=slurm.reason if slurm else None,
        nodes=slurm.nodes if slurm else None,
    )
