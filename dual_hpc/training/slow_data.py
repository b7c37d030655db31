"""What to change when training waits for its data."""

from __future__ import annotations

from dual_hpc.config.schema import RunConfig
from dual_hpc.data.workers.count import worker_count
from dual_hpc.modality import Modality


def remedy(config: RunConfig, cores: int) -> str:
    """The setting to change where data come too slowly."""
    encoders = [getattr(config.model, name) for name in Modality if getattr(config.model, f"use_{name}")]
    features = any(encoder.kind == "features" for encoder in encoders)
    workers, possible = (worker_count(count, cores, features) for count in (config.data.workers, "auto"))
    if workers < possible:
        return f"raise data.workers ({workers} of {cores} cores used; auto would start {possible})"
    if features:
        return "in a new run, a larger data.micro_batch moves more samples at a time"
    if all(encoder.trainable in ("none", 0) for encoder in encoders):
        return "no encoder learns here: `dual-hpc extract` computes their features once, for a new run"
    return f"its {workers} data workers use the {cores} cores of a rank: ask for more (launch.cpus_per_rank)"
