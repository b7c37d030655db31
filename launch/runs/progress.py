"""The progress of a run, read from its journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dual_hpc.evaluation.score_text import FIRST_KEY, VALIDATION_KEYS, score_text
from dual_hpc.modality import ALL_MODALITIES
from dual_hpc.run import journal
from dual_hpc.run.journal import Entry
from dual_hpc.run.timeline import STEP_KEY
from dual_hpc.training.schedule import is_better, may_choose


@dataclass
class RunProgress:
    """What the journal says about a run so far; no line is read twice.

    Attributes:
        step: the last optimiser step seen.
        total: optimiser steps of the whole run; None before the training has written it.
        samples: size of the training split; None of journals that do not say it.
        metrics: the last value of each metric.
        bottleneck: what the newest job has found to slow the training down; "" for nothing.
        selects: the score that selects the best weights, as the journal calls it.
        best: its best value so far, and after which step; None before the first validation.
        higher_is_better: in which direction.
        seen: the modalities that the model reads and its data have.
        selects_from: before this step only the first validation may be the best.
    """

    step: int = 0
    total: int | None = None
    samples: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    bottleneck: str = ""
    position: int = 0
    selects: str = FIRST_KEY
    best: tuple[float, int] | None = None
    higher_is_better: bool = True
    selects_from: int = 0
    seen: str = ALL_MODALITIES
    _began: tuple[float, int] | None = None  # when and after which step the newest job began to train
    _last: tuple[float, int] | None = None  # its last logged step

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
            self._note_best(entry)
            if isinstance(total := entry.fields.get("total_steps"), int):
                self.total = total
            if isinstance(samples := entry.fields.get("samples"), int) and entry.event == "start":
                self.samples = samples
            if STEP_KEY in entry.metrics and entry.step is not None:
                self._last = (entry.time_ms / 1000, entry.step)
            if entry.event == "start":
                self.bottleneck, self._began, self._last = "", (entry.time_ms / 1000, self.step), None
                self.selects = str(entry.fields.get("selects", self.selects))
                self.higher_is_better = entry.fields.get("higher_is_better", self.higher_is_better) is not False
                self.seen = str(entry.fields.get("reads", self.seen))
                if isinstance(first := entry.fields.get("selects_from"), int):
                    self.selects_from = first
            elif entry.event == "bottleneck":
                self.bottleneck = str(entry.fields.get("message", ""))

    def _note_best(self, entry: Entry) -> None:
        value = entry.metrics.get(self.selects)
        step, best = entry.step or 0, self.best[0] if self.best else None
        if value is None or not may_choose(step, self.selects_from, best):
            return
        if is_better(value, best, self.higher_is_better):
            self.best = (value, step)

    @property
    def epoch(self) -> float | None:
        """Passes over the training split; None before the first logged step."""
        return self.metrics.get("train/epoch")

    @property
    def epochs(self) -> float | None:
        """Passes of the whole run."""
        if self.total is None or not self.epoch or self._last is None or not self._last[1]:
            return None
        return self.epoch * self.total / self._last[1]

    @property
    def seconds_left(self) -> float | None:
        """Until the last step, as fast as the newest job was so far, its saves and validations included."""
        if self.total is None or self._began is None or self._last is None or self._last[1] <= self._began[1]:
            return None
        (then, before), (now, step) = self._began, self._last
        return max(0, self.total - step) * (now - then) / (step - before)

    def scores(self) -> list[str]:
        """The best score that selects, and the last validation's, as text: one meaning each."""
        best = [f"best {score_text(self.selects, self.best[0], self.seen)} at step {self.best[1]}"] if self.best else []
        return best + [
            f"last {score_text(k, self.metrics[k], self.seen)}" for k in VALIDATION_KEYS if k in self.metrics
        ]

    def line(self) -> str:
        """Epoch, loss and scores, as one line."""
        parts = [f"epoch {self.epoch:.1f}" + (f"/{self.epochs:.0f}" if self.epochs else "")] if self.epoch else []
        parts += [f"loss {self.metrics[STEP_KEY]:.3f}"] if STEP_KEY in self.metrics else []
        return "  ".join([*parts, *self.scores()[:1]])
