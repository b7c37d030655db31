"""One job's work on a run: the parts of a training, and what the loop does with them. See `build.build_session`."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dual_hpc.config import RunConfig
from dual_hpc.data.loader import EvalLoader, TrainLoader
from dual_hpc.errors import EnvironmentFault
from dual_hpc.evaluation.metrics import selecting_metric
from dual_hpc.monitor.node_monitor import NodeMonitor
from dual_hpc.run.directory import write_json
from dual_hpc.training.alignment_samples import AlignmentSamples
from dual_hpc.training.distributed import World, seed_everything
from dual_hpc.training.engine import Engine
from dual_hpc.training.exporter import Exporter, report_best
from dual_hpc.training.interval_metrics import IntervalMetrics
from dual_hpc.training.non_finite import format_keys, next_action, non_finite_error
from dual_hpc.training.optimizer import set_learning_rates
from dual_hpc.training.phase_times import REST
from dual_hpc.training.profiling import StepProfiler
from dual_hpc.training.reporter import Reporter
from dual_hpc.training.saving import Saver
from dual_hpc.training.schedule import TrainingSchedule, is_better, lr_factor, may_choose, save_by_clock, saves_now
from dual_hpc.training.state import TrainingState
from dual_hpc.training.step import RankRequests, StepReport, train_step
from dual_hpc.training.validation import Interrupted, selection_score, validate


@dataclass(kw_only=True)
class Session:
    """The parts of a training. All methods are collective, but `close` and those about the pending save.

    Attributes:
        state: after the last step done; `engine` holds the weights of the same step.
        loader: training batches after that step.
        validation_loader: the validation split, once per iteration.
        class_count: number of classes.
        dimensions: of the validation split, key -> values, where the protocol learns them.
        reports: the run's folder for reports.
        saved: what the newest checkpoint holds, or will once it is committed; None where there is none.
        hosts: the node of each rank.
        save_seconds: how long the run's last save took, from the copy to the commit; known to rank 0.
        node_monitor: samples what this node does; of one rank per node.
        clock: seconds.
    """

    config: RunConfig
    world: World
    engine: Engine
    schedule: TrainingSchedule
    state: TrainingState
    loader: TrainLoader
    validation_loader: EvalLoader
    class_count: int
    saver: Saver
    exporter: Exporter
    reporter: Reporter
    reports: Path
    hosts: Sequence[str] = ("this node",)
    dimensions: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    saved: TrainingState | None = None
    save_seconds: float = 0.0
    node_monitor: NodeMonitor | None = None
    clock: Callable[[], float] = time.monotonic

    _micro_batches: Iterator[dict[str, Any]] = field(init=False)
    _metrics: IntervalMetrics = field(init=False)
    _profiler: StepProfiler = field(init=False)
    _alignment: AlignmentSamples = field(init=False)
    _saved_at: float = field(init=False)
    _save_due: bool = field(init=False, default=False)
    _exported: tuple[int, float] | None = field(init=False, default=None)  # step and score of the pending export

    def __post_init__(self) -> None:
        self._micro_batches = self.loader.micro_batches()
        config, world, step = self.config, self.world, self.state.step
        self._metrics = IntervalMetrics(
            config, world, self.schedule, self.hosts, step, lambda: self.saver.writing_seconds, self.clock
        )
        training = config.training
        self._profiler = StepProfiler(self.reports.parent, world.rank, training.profile_steps, training.profile_ranks)
        self._alignment = AlignmentSamples(self.reports.parent, self.engine.family, world)
        self._saved_at = self.clock()

    @property
    def finished(self) -> bool:
        """True after the last step of the schedule."""
        return self.state.step >= self.schedule.total_steps

    def next_batch(self) -> Iterator[dict[str, Any]]:
        """The micro-batches of the next step, as they come. Seeds every generator before, from (seed, step, rank)."""
        seed_everything((self.config.seed, self.state.step + 1, self.world.rank))
        self._profiler.before_step(self.state.step + 1)
        self._metrics.times.end(REST)
        return itertools.islice(self._micro_batches, self.loader.accumulation)

    def update(self, batch: Iterator[dict[str, Any]], stop_asked: Callable[[], bool]) -> StepReport:
        """Make one optimizer step, and learn what the ranks ask for.

        Args:
            batch: what `next_batch` returned.
            stop_asked: True once this rank is asked to stop.
        """
        factor = lr_factor(self.state.step + 1, self.schedule.total_steps, self.config.optim)
        self._metrics.learning_rate = set_learning_rates(self.engine.deepspeed.optimizer, self.engine.peak_lrs, factor)

        def ask() -> RankRequests:
            return RankRequests(stop_asked(), self._clock_asks_for_save(), len(self.loader.bad_samples))

        metrics = self._metrics
        ranks = metrics.ranks if self.schedule.logs(self.state.step + 1) else None
        return train_step(self.engine, batch, self.world, ask, metrics.times, ranks, metrics.flops)

    def record(self, report: StepReport) -> None:
        """Advance the training state by one step, and write down what happened in it.

        Raises:
            UserError: too many samples cannot be decoded, or too many steps in a row are not finite.
        """
        self._profiler.after_step()
        state = self.state
        state.step, state.loader, state.score = state.step + 1, self.loader.state_dict(), None
        self._share_bad_samples(report.bad_samples)
        state.validation_pending = self.schedule.validates(state.step)
        state.skipped += not report.applied
        self._metrics.add(report)
        self.reporter.step(state.step, self.schedule, report.losses["loss"])
        self._handle_non_finite(report)
        if self.schedule.logs(state.step):
            self._metrics.log(state.step, report, self.loader.padding, self.reporter)

    def validate_if_pending(self, stop_asked: Callable[[], bool]) -> bool:
        """Score the validation split if it is due; weights with the best score so far are exported as `best`.

        The step is saved before: a job that ends in a validation, however it ends, has lost no step. Afterwards weights
        are exported while the training goes on; then the checkpoint gets the score, and the validation is done.

        Returns:
            False if a rank was asked to stop meanwhile; the validation is pending then.
        """
        if not self.state.validation_pending:
            return True
        state, config = self.state, self.config
        if not self._is_saved and not state.non_finite_steps:
            self.save(final=False)
        batches = self._alignment.seeing(self.reporter.validation(state.step, self.validation_loader))
        try:
            arguments = (self.class_count, self.world, stop_asked, self.dimensions)
            found = validate(self.engine.deepspeed, batches, config, *arguments)
        except Interrupted:
            return False
        self._alignment.write(self.engine.deepspeed, state.step, self.schedule.epoch(state.step))
        self._metrics.times.end("validation")
        self.reporter.metrics(state.step, found.scores)
        state.score = selection_score(found.scores, config)
        self._wait_for_export()  # of an earlier step, whose score is the best if it succeeded
        higher = selecting_metric(config.training.select_by).higher_is_better
        allowed = may_choose(state.step, self.schedule.selects_from, state.best_score)
        if allowed and is_better(state.score, state.best_score, higher):
            self._exported = (state.step, state.score)
            self.saver.export(self.exporter.take("best", state.step, found.confidence()))
        state.validation_pending = False
        if self._is_saved:
            self.save(final=False)
        return True

    def save_if_due(self, asked: bool) -> None:
        """Save this step if it is due by count, or if a rank `asked` for it; see `schedule.saves_now`."""
        step, last = self.state.step, self.schedule.is_last(self.state.step)
        self._save_due = self._save_due or self.schedule.saves(step) or asked
        if saves_now(self._save_due, bool(self.state.non_finite_steps), last):
            self.save(final=last)

    def save(self, final: bool) -> None:
        """Save this step, or of a step that is saved what has changed. A failure is only reported, unless it is the
        `final` save of this job.

        Returns when the checkpoint is committed if it is the final one or `checkpoint.asynchronous` is off, else as
        soon as the training can go on.

        Raises:
            EnvironmentFault: the final save failed.
        """
        self._metrics.times.end(REST)
        wait = final or not self.config.checkpoint.asynchronous
        if wait or not self._is_saved:
            self.wait_for_save()  # the one before, which may have been this step's own
        if not self._is_saved:
            self.saver.start(self.state)
            self._saved_at, self._save_due = self.clock(), False
        elif self.saved != self.state:
            best = {} if self._exported is None else {"best_score": self._exported[1]}
            self.saver.update(self.state, self.state.model_copy(update=best))
        self.saved = self.state.model_copy(deep=True)
        if wait:
            self.wait_for_save(final)
        self._metrics.times.end("save_stall")

    def poll_save(self) -> None:
        """Report the pending save if it is done."""
        if self.saver.done:
            self.wait_for_save()

    def wait_for_save(self, final: bool = False) -> None:
        """Wait for the pending export and save, if there are any, and report their results."""
        self._wait_for_export()
        if not self.saver.pending:
            return
        try:
            saved = self.saver.wait()
        except EnvironmentFault as error:
            self.saved = None
            if final:
                raise
            message = f"{error}; training goes on, earlier checkpoints are kept"
            self.reporter.warn("checkpoint_failed", self.state.step, message)
            return
        if saved.seconds is not None:
            self.save_seconds = saved.seconds
            self.reporter.event("checkpoint", saved.step, folder=saved.folder.name, seconds=round(saved.seconds, 3))
        if saved.prune_error:
            self.reporter.warn("checkpoint_kept", saved.step, saved.prune_error)

    def finish_save(self) -> None:
        """Wait for what is pending at the end of the job; never raises, so that it hides no other error."""
        try:
            self.wait_for_save()
        except Exception as error:  # another rank has ended
            self.reporter.warn("checkpoint_failed", self.state.step, f"a save or export was not finished: {error}")

    def report_stop(self, reason: str) -> None:
        """Note in the journal why this job stops."""
        self.reporter.event("stop", self.state.step, reason=reason)

    def export(self, name: str) -> None:
        """Publish the weights of this step as `name`, and wait for it.

        Raises:
            EnvironmentFault: on every rank, if rank 0 could not write them.
        """
        self.wait_for_save()
        self.exporter.export(name, self.state.step)

    def close(self, reason: str, finished: bool) -> None:
        """End the data workers and note how the job ended."""
        self._profiler.close()
        self.loader.close()
        self.validation_loader.close()
        model = self.exporter.root / "best" if finished else None
        if self.node_monitor is not None:
            self.node_monitor.stop()
        self.reporter.close(reason, model=model, decoders=self.loader.decoders.as_dict())

    @property
    def _is_saved(self) -> bool:
        """True if this step has a checkpoint, or will have it once the pending save is done."""
        return self.saved is not None and self.saved.step == self.state.step

    def _clock_asks_for_save(self) -> bool:
        """On rank 0 only: clocks differ, so one rank asks for all."""
        if self.world.rank != 0 or self.saver.pending:
            return False
        return save_by_clock(self.clock() - self._saved_at, self.config.checkpoint.every_minutes)

    def _share_bad_samples(self, known_by_all: int) -> None:
        """Merge the ranks' lists of samples that cannot be decoded, if one has met a new one; collective only then.

        Args:
            known_by_all: sum over the ranks of how many each knows.

        Raises:
            UserError: on every rank, if they are more than `data.bad_sample_limit`.
        """
        bad_samples = self.loader.bad_samples
        if known_by_all != self.world.size * len(self.state.bad_samples):
            for known in self.world.all_gather(bad_samples.known()):
                bad_samples.merge(known)
            self.state.bad_samples = bad_samples.state_dict()
            self.reporter.warn("bad_samples", self.state.step, f"{len(bad_samples)} samples cannot be decoded so far")
        bad_samples.check()

    def _handle_non_finite(self, report: StepReport) -> None:
        """Count consecutive non-finite steps; at `training.non_finite_limit` roll back, or stop.

        Raises:
            UserError: on every rank, if the loss stays non-finite; the keys of the samples are in the run's reports.
        """
        state, training = self.state, self.config.training
        if report.finite:
            state.non_finite_steps = {}
            return
        step, keys = state.step, report.suspect_keys
        state.non_finite_steps = {**state.non_finite_steps, step: keys}
        self.reporter.warn(
            "non_finite", step, f"step {step} was not finite and is skipped{format_keys(keys)}", samples=keys
        )
        steps = state.non_finite_steps
        rolled_back = state.rolled_back is not None
        action = next_action(len(steps), training.non_finite_limit, training.on_non_finite, rolled_back)
        if action == "continue":
            return
        file = self.reports / f"non_finite-{step}.json"
        if self.world.rank == 0:
            with contextlib.suppress(OSError):  # the journal has the keys as well
                write_json(file, {"steps": steps})
        restored = None
        if action == "roll back":
            self.wait_for_save()
            restored = self.saver.roll_back(min(steps) - 1)
        if restored is None:
            raise non_finite_error(steps, file, action, state.rolled_back)
        message = f"{len(steps)} steps in a row were not finite: back to the weights of step {restored}"
        self.reporter.warn("rollback", step, f"{message}; steps and data continue after step {step}", to=restored)
        state.rolled_back, state.non_finite_steps = restored, {}

    def _wait_for_export(self) -> None:
        """Report the pending export of the best weights, if there is one; a success makes its score the best."""
        if self._exported is None:
            return
        (step, score), self._exported = self._exported, None
        if report_best(self.saver.wait_for_export(), step, score, self.config, self.reporter):
            self.state.best_score = score
            if self.saved is not None and self.saved.step == step:
                self.saved.best_score = score  # the saver has written it as well
