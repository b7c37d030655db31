"""The progress of a run, read from its journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dual_hpc.run import journal
from dual_hpc.run.journal import Entry


@dataclass
class RunProgress:
    """What the journal says about a run so far; no line is read twice.

    Attributes:
        step: the last optimiser step seen.
        total: optimiser steps of the whole run; None before the training has written it.
        metrics: the last value of each metric.
        bottleneck: what the newest job has found to slow the training down; "" for nothing.
    """

    step: int = 0
    total: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    bottleneck: str = ""
    position: int = 0

    def update(self, path: Path) -> bool:
        """Read what was appended since the last call; True if there was anything."""
        entries = journal.read(path, self.position)
        self.take(entries)
        return bool(entries)

    def take(self, entries: Iterable[Entry]) -> None:
        """What follows what was taken before."""
        for entry in entries:
            self.position = entry.end
            if entry.step is not None:
                self.step = entry.step
            self.metrics.update(entry.metrics)
            if isinstance(total := entry.fields.get("total_steps"), int):
                self.total = total
            if entry.event == "start":
                self.bottleneck = ""
            elif entry.event == "bottleneck":
                self.bottleneck = str(entry.fields.get("message", ""))

    def line(self) -> str:
        """The loss and the last validation scores, as one line."""
        shown = {"train/loss": "loss", "val/av/ua": "UA{A,V}", "val/avt/ua": "UA{A,V,T}"}
        return "  ".join(f"{name} {self.metrics[key]:.3f}" for key, name in shown.items() if key in self.metrics)
