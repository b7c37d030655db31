"""How far a run is, out of its journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dual_hpc.run import journal


@dataclass
class RunProgress:
    """What the journal says about a run so far; fed with entries, it never reads a line twice.

    Attributes:
        step: the last optimiser step seen.
        total: optimiser steps of the whole run; None before the training has said so.
        metrics: the last value of each metric.
    """

    step: int = 0
    total: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    position: int = 0

    def update(self, path: Path) -> bool:
        """Take in what was appended since; True if there was anything."""
        entries = journal.read(path, self.position)
        for entry in entries:
            self.position = entry.end
            if entry.step is not None:
                self.step = entry.step
            self.metrics.update(entry.metrics)
            self.total = entry.fields.get("total_steps", self.total)
        return bool(entries)

    def line(self) -> str:
        """One line of words: the loss, and the last validation scores."""
        shown = {"train/loss": "loss", "val/av/ua": "UA{A,V}", "val/avt/ua": "UA{A,V,T}"}
        return "  ".join(f"{name} {self.metrics[key]:.3f}" for key, name in shown.items() if key in self.metrics)
