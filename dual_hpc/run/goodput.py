"""What a run's GPU-hours were used for: pure, over the slices of its timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dual_hpc.run import jsonl, names
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import Entry, read
from dual_hpc.run.timeline import KINDS, Kind, Slice, Submission, timeline

NAMES: dict[Kind, str] = {
    "useful": "useful steps",
    "repeated": "repeated steps",
    "startup": "start-up",
    "saves": "saves",
    "validation": "validation",
    "lost": "lost to failures",
    "queue": "queue",
}


@dataclass(frozen=True)
class Goodput:
    """Hours by kind: of GPUs, or of cores where the run had no GPU. Those of the queue are the waiting time of what was
    asked for; nobody pays for them.

    Attributes:
        unit: "GPU-hours" or "core-hours".
    """

    hours: dict[Kind, float]
    unit: str

    @property
    def held(self) -> float:
        """Hours that the jobs had, without the queue."""
        return sum(hours for kind, hours in self.hours.items() if kind != "queue")

    @property
    def useful(self) -> float | None:
        """Part of the hours held that were useful steps, 0..1; None where there were none."""
        return self.hours["useful"] / self.held if self.held > 0 else None

    def shares(self) -> dict[Kind, float]:
        """Percent of all hours, the queue's included: together 100; all 0 of a run without any."""
        total = self.held + self.hours["queue"]
        return {kind: 100 * self.hours[kind] / total if total > 0 else 0.0 for kind in KINDS}

    def sentence(self) -> str:
        """ "goodput 83 %: of 12.4 GPU-hours 10.3 were useful steps, 1.1 start-up, 0.6 repeated steps; 3.1 in the
        queue"; "" where nothing is known."""
        if self.useful is None:
            return ""
        others = sorted((k for k in KINDS if k not in ("useful", "queue")), key=lambda k: -self.hours[k])
        told = [f"{self.hours[k]:.3g} {NAMES[k]}" for k in others if self.hours[k] >= 0.005 * self.held]
        parts = ", ".join([f"{self.hours['useful']:.3g} were useful steps", *told])
        queue = f"; {self.hours['queue']:.3g} in the queue" if self.hours["queue"] >= 0.005 * self.held else ""
        return f"goodput {self.useful:.0%}: of {self.held:.3g} {self.unit} {parts}{queue}"

    def metrics(self) -> dict[str, float]:
        """For the journal: `goodput/KIND_hours`, `goodput/KIND_percent`, and `goodput/percent` of the hours held."""
        found = {f"goodput/{kind}_hours": hours for kind, hours in self.hours.items()}
        found |= {f"goodput/{kind}_percent": share for kind, share in self.shares().items()}
        return found | {"goodput/held_hours": self.held, "goodput/percent": 100 * (self.useful or 0.0)}


def goodput(slices: Sequence[Slice]) -> Goodput:
    """The sums. In GPU-hours if any job had a GPU; the cores of a job without one do not count then."""
    on_gpus = any(one.gpus for one in slices)
    hours: dict[Kind, float] = dict.fromkeys(KINDS, 0.0)
    for one in slices:
        hours[one.kind] += one.seconds / 3600 * (one.gpus if on_gpus else one.cores)
    return Goodput(hours, "GPU-hours" if on_gpus else "core-hours")


def timeline_of(run: RunDir, alive_at: float | None = None, entries: Sequence[Entry] | None = None) -> list[Slice]:
    """The slices of a run, read from its files; `entries` of its journal, if they were read already."""
    entries = read(run.journal) if entries is None else entries
    return timeline(run.segments(), submissions_of(run), entries, alive_at)


def submissions_of(run: RunDir) -> list[Submission]:
    """When its jobs asked for nodes."""
    return jsonl.read(run.path / names.SUBMISSIONS, Submission)
