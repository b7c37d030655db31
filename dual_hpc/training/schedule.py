"""Pure arithmetic of a run: how many steps, which learning rate, and when to look and to save."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dual_hpc.config.schema import OptimConfig


@dataclass(frozen=True)
class Plan:
    """The length of a run and its events; steps count from 1 (a step is done when it is counted).

    Attributes:
        samples: size of the training split.
        global_batch: samples per optimiser step over all ranks.
        total_steps: after which the run is finished.
        validate_every, save_every: in steps; 0 means at the end of every epoch.
    """

    samples: int
    global_batch: int
    total_steps: int
    validate_every: int = 0
    save_every: int = 0

    def epoch(self, step: int) -> float:
        """Passes over the training split after `step` steps."""
        return step * self.global_batch / self.samples

    def ends_epoch(self, step: int) -> bool:
        """True if an epoch was completed in this step, or the run is."""
        done, before = (n * self.global_batch // self.samples for n in (step, step - 1))
        return done > before or step == self.total_steps

    def validates(self, step: int) -> bool:
        """True if the model is validated after this step."""
        return self._due(step, self.validate_every)

    def saves(self, step: int) -> bool:
        """True if a checkpoint is due after this step (by count; the clock may ask for more)."""
        return self._due(step, self.save_every)

    def _due(self, step: int, every: int) -> bool:
        return self.ends_epoch(step) if not every else step % every == 0 or step == self.total_steps


def total_steps(samples: int, global_batch: int, epochs: int, max_steps: int | None) -> int:
    """Steps after which every sample was seen `epochs` times (the last batch runs on into the next pass)."""
    steps = math.ceil(samples * epochs / global_batch)
    return steps if max_steps is None else min(steps, max_steps)


def lr_factor(step: int, total: int, optim: OptimConfig) -> float:
    """Factor on the learning rate in step `step` (from 1): linear warm-up, then a cosine down to the final fraction."""
    warmup = round(total * optim.warmup_fraction)
    if step <= warmup:
        return step / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return optim.final_lr_fraction + (1 - optim.final_lr_fraction) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
