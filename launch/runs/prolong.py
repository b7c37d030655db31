"""A run that is given more steps, finished or not: `dual-hpc resume RUN training.epochs=40`.

The learning rate keeps the schedule that the run was planned with, to its end; the steps that are added have its final
value. So what was trained is not touched, and a run that is made longer is at each step where a longer one would be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dual_hpc.config import RunConfig, is_prolonged
from dual_hpc.errors import UserError
from dual_hpc.run.directory import PROLONGED, RunDir, Segment
from dual_hpc.training.schedule import total_steps
from launch.runs.progress import RunProgress

if TYPE_CHECKING:
    from launch.runs.plan import PlannedRun


def prolongs(plan: PlannedRun) -> bool:
    """True if the plan gives a run that exists more steps."""
    return plan.continues and is_prolonged(RunDir(plan.path).config(), plan.config)


def with_planned_decay(run: RunDir, wanted: RunConfig) -> RunConfig:
    """The configuration of a run that is made longer, with `optim.decay_steps` of the run as it was planned.

    One that is not longer, or of a run that has not begun, comes back as it is.

    Raises:
        UserError: it would end at the same step.
    """
    was = run.config()
    if not is_prolonged(was, wanted):
        return wanted
    progress = RunProgress()
    progress.update(run.journal)
    if progress.total is None:
        return wanted
    training = wanted.training
    if progress.samples is not None:
        total = total_steps(progress.samples, wanted.data.global_batch, training.epochs, training.max_steps)
        if total <= progress.total:
            ends = "training.epochs" if training.epochs == was.training.epochs else "training.max_steps"
            value = training.epochs if ends == "training.epochs" else training.max_steps
            raise UserError(f"{ends}={value} still ends {run.path.name} at step {total}; raise it as well")
    wanted = wanted.model_copy(deep=True)
    wanted.optim.decay_steps = was.optim.decay_steps or progress.total
    return wanted


def reopen(run: RunDir) -> None:
    """Take back that a finished run is finished."""
    if run.has_finished():
        last = run.segments()[-1]
        run.append_segment(Segment(event="end", job_id=last.job_id, step=last.step, reason=PROLONGED))
