"""One job as Slurm knows it, and what it used."""

from __future__ import annotations

from dataclasses import dataclass, field

from launch.cluster.state import ACTIVE, State, from_slurm


@dataclass(frozen=True)
class Usage:
    """What a job used, all its starts together.

    Attributes:
        seconds: on its nodes.
        waited: seconds in the queue.
        core_seconds, gpu_seconds: allocated, whether used or not.
        memory: bytes allocated per node in the last start; 0 where unknown.
        peak_memory: bytes of the largest process; accounting samples it, twice a minute as a rule. 0 where unknown.
    """

    seconds: float = 0.0
    waited: float = 0.0
    core_seconds: float = 0.0
    gpu_seconds: float = 0.0
    memory: float = 0.0
    peak_memory: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.seconds + other.seconds,
            self.waited + other.waited,
            self.core_seconds + other.core_seconds,
            self.gpu_seconds + other.gpu_seconds,
            other.memory or self.memory,
            max(self.peak_memory, other.peak_memory),
        )

    def __str__(self) -> str:
        """ "1.2 GPU-hours, 12 core-hours, 0.3 h in the queue, peak memory 3.1 GB of 4.0 GB"; "" if unknown."""
        if not self.seconds:
            return ""
        parts = [f"{self.gpu_seconds / 3600:.2f} GPU-hours"] if self.gpu_seconds else []
        parts += [f"{self.core_seconds / 3600:.2f} core-hours", f"{self.waited / 3600:.2f} h in the queue"]
        if self.peak_memory:
            of = f" of {memory_text(self.memory)}" if self.memory else ""
            parts.append(f"peak memory {memory_text(self.peak_memory)}{of}")
        return ", ".join(parts)


def memory_text(size: float) -> str:
    """Bytes as "3.1 GB", or "80 MB"."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"


@dataclass(frozen=True)
class SlurmJob:
    """One job as Slurm knows it.

    Attributes:
        state: PENDING, RUNNING, COMPLETED, CANCELLED, TIMEOUT, NODE_FAIL, OUT_OF_MEMORY, PREEMPTED ...
        reason: why it waits, or "" .
        start: when Slurm expects a waiting job to begin, in its own form; "" where it does not say.
        exit_code: "code:signal" of a job that has ended.
        steps: the states of its steps in accounting.
        step_exits: "code:signal" of each of them.
        earlier: the states of its earlier starts, oldest first.
        usage: of all its starts.
    """

    job_id: str
    state: str
    reason: str = ""
    nodes: str = ""
    exit_code: str = ""
    steps: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    start: str = ""
    step_exits: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)

    @property
    def active(self) -> bool:
        return self.as_state() in ACTIVE

    def as_state(self) -> State:
        """The state as `dual-hpc status` calls it."""
        return from_slurm(self.state, self.steps)
