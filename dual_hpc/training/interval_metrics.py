"""What is logged of a training: the losses of a step, and what the time since the last logged one went into."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dual_hpc.config.schema import RunConfig
from dual_hpc.data.workers.count import cores_of_rank
from dual_hpc.training.bottleneck import Judge
from dual_hpc.training.collective_hooks import hook_collectives
from dual_hpc.training.distributed import World
from dual_hpc.training.interval import Interval
from dual_hpc.training.memory import peak_memory
from dual_hpc.training.model_flops import ModelFlops
from dual_hpc.training.phase_times import PhaseTimes
from dual_hpc.training.rank_times import RankTimes, spread
from dual_hpc.training.reporter import Reporter
from dual_hpc.training.schedule import TrainingSchedule
from dual_hpc.training.slow_data import remedy
from dual_hpc.training.step import StepReport


class IntervalMetrics:
    """Measures this rank, and writes what all ranks have measured.

    Attributes:
        times: this rank's time by phase.
        ranks: the same, exchanged with the others.
        flops: of the model.
        learning_rate: of the step that is made now.
    """

    def __init__(
        self,
        config: RunConfig,
        world: World,
        schedule: TrainingSchedule,
        hosts: Sequence[str],
        step: int,
        writing: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        """
        Args:
            hosts: the node of each rank.
            step: done so far.
            writing: seconds that this rank has written checkpoints in this job.
        """
        self.times = PhaseTimes.on(world.device)
        hook_collectives(self.times)
        self.ranks = RankTimes(self.times, world.rank, world.size, writing)
        self.flops = ModelFlops.of(config.training, world.device, world.rank)
        self.learning_rate = 0.0
        self._world, self._schedule, self._clock = world, schedule, clock
        self._judge = Judge(hosts, remedy(config, cores_of_rank()))
        self._interval = Interval(clock(), step)

    def add(self, report: StepReport) -> None:
        """A step of the interval is done."""
        self._interval.add(report.correct, report.answered)

    def log(self, step: int, report: StepReport, padding: float, reporter: Reporter) -> None:
        """Write the metrics of a step and of the interval that it ends, and what slows the training down."""
        now = self._clock()
        interval, self._interval = self._interval, Interval(now, step)
        speed = (step - interval.step) * self._schedule.global_batch / (now - interval.time)
        values = {
            **report.losses,
            "accuracy": interval.accuracy,
            "lr": self.learning_rate,
            "grad_norm": report.grad_norm,
            "epoch": self._schedule.epoch(step),
            "samples_per_second": speed,
            "padding": padding,
            **self.flops.mfu(speed, self._world.size),
            **self.times.shares(),
            **peak_memory(self._world.device),
        }
        reporter.metrics(step, {f"train/{k}": v for k, v in values.items()} | spread(report.rank_seconds))
        reporter.bottleneck(step, self._judge.after_interval(step - interval.step, report.rank_seconds))
