"""Pure arithmetic of a run: how many steps, which learning rate, and after which steps it logs, validates and saves."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dual_hpc.config.schema import OptimConfig, RunConfig


@dataclass(frozen=True)
class TrainingSchedule:
    """The length of a run and what is due after which step; steps count from 1.

    Attributes:
        samples: size of the training split.
        global_batch: samples per optimizer step over all ranks.
        total_steps: number of steps after which the run is finished.
        validate_every, save_every: in steps; 0 means at the end of every epoch.
        log_every: in steps; the first and the last step are logged as well.
        selects_from: before this step only the first validation may choose the best weights.
    """

    samples: int
    global_batch: int
    total_steps: int
    validate_every: int = 0
    save_every: int = 0
    log_every: int = 1
    selects_from: int = 0

    @classmethod
    def of(cls, config: RunConfig, samples: int) -> TrainingSchedule:
        """The schedule of a run on `samples` training samples."""
        training, batch = config.training, config.data.global_batch
        total = total_steps(samples, batch, training.epochs, training.max_steps)
        return cls(
            samples=samples,
            global_batch=batch,
            total_steps=total,
            validate_every=training.validate_every,
            save_every=config.checkpoint.every_steps,
            log_every=training.log_every,
            selects_from=math.ceil(training.select_from * total),
        )

    def epoch(self, step: int) -> float:
        """Passes over the training split after `step` steps."""
        return step * self.global_batch / self.samples

    def ends_epoch(self, step: int) -> bool:
        """True if an epoch, or the run, is complete after this step."""
        done, before = (n * self.global_batch // self.samples for n in (step, step - 1))
        return done > before or self.is_last(step)

    def is_last(self, step: int) -> bool:
        """True if the run is finished after this step."""
        return step == self.total_steps

    def logs(self, step: int) -> bool:
        """True if the metrics of this step are written."""
        return step % self.log_every == 0 or step == 1 or self.is_last(step)

    def validates(self, step: int) -> bool:
        """True if the model is validated after this step."""
        return self._due(step, self.validate_every)

    def saves(self, step: int) -> bool:
        """True if a checkpoint is due after this step (by count; the clock may ask for more)."""
        return self._due(step, self.save_every)

    def _due(self, step: int, every: int) -> bool:
        return self.ends_epoch(step) if not every else step % every == 0 or self.is_last(step)


def total_steps(samples: int, global_batch: int, epochs: int, max_steps: int | None) -> int:
    """Steps after which every sample was read `epochs` times (the last batch continues into the next pass)."""
    steps = math.ceil(samples * epochs / global_batch)
    return steps if max_steps is None else min(steps, max_steps)


def lr_factor(step: int, total: int, optim: OptimConfig) -> float:
    """Factor of the learning rate in step `step` (from 1): linear warm-up, then cosine decay to the final fraction.

    It follows from `optim.decay_steps` alone where that is set: what a prolonged run did in its first steps is what it
    would have done without, and the steps that were added have the final rate.
    """
    total = optim.decay_steps or total
    warmup = round(total * optim.warmup_fraction)
    if step <= warmup:
        return step / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return optim.final_lr_fraction + (1 - optim.final_lr_fraction) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def save_by_clock(seconds_since_last: float, every_minutes: float) -> bool:
    """True if a checkpoint is due because the last one is old."""
    return seconds_since_last > 60 * every_minutes


def saves_now(due: bool, non_finite: bool, last: bool) -> bool:
    """True if a due checkpoint is saved after this step; not after a non-finite step, which changed no weights.
    Args:
        due: it became due after this step, or after an earlier one that was not finite.
        last: the last step of the run is saved in any case.
    """
    return due and (last or not non_finite)


def is_better(score: float, best: float | None, higher_is_better: bool = True) -> bool:
    """True if a validation score is better than the best before; NaN is never better than a number."""
    return best is None or math.isnan(best) or (score > best if higher_is_better else score < best)


def may_choose(step: int, selects_from: int, best: float | None) -> bool:
    """True if the validation of this step may choose the best weights: the first one, and those late enough."""
    return best is None or math.isnan(best) or step >= selects_from
