"""What to change when training waits for its data."""

from __future__ import annotations

from dual_hpc.config.schema import RunConfig
from dual_hpc.data.workers.count import worker_count
from dual_hpc.modality import Modality

LIMIT = 0.2  # share of the time


class SlowDataWarning:
    """Given once per job, and not of its first interval, in which the data workers start."""

    def __init__(self, config: RunConfig, cores: int) -> None:
        """`cores`: of this rank."""
        self._config, self._cores = config, cores
        self._intervals = 0
        self._given = False

    def after_interval(self, share: float) -> str | None:
        """The warning, if now is the time for it.

        Args:
            share: of the interval that ended, how much this rank waited for data.
        """
        self._intervals += 1
        if self._given or self._intervals < 2 or share <= LIMIT:
            return None
        self._given = True
        return f"training waits for data {share:.0%} of its time: {remedy(self._config, self._cores)}"


def remedy(config: RunConfig, cores: int) -> str:
    """The setting to change where data come too slowly."""
    encoders = [getattr(config.model, name) for name in Modality if getattr(config.model, f"use_{name}")]
    features = any(encoder.kind == "features" for encoder in encoders)
    workers, possible = (worker_count(count, cores, features) for count in (config.data.workers, "auto"))
    if workers < possible:
        return f"data.workers=auto would start {possible} for the {cores} cores of a rank ({workers} now)"
    if features:
        return "in a new run, a larger data.micro_batch moves more samples at a time"
    if all(encoder.trainable in ("none", 0) for encoder in encoders):
        return "no encoder learns here: `dual-hpc extract` computes their features once, for a new run"
    return f"its {workers} data workers use the {cores} cores of a rank: ask for more (launch.cpus_per_rank)"
