"""One job's work on a run: everything the loop holds, and what it does besides stepping."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from dual_hpc.checkpoint.export import gather_weights, publish
from dual_hpc.config import RunConfig
from dual_hpc.errors import EnvironmentFault
from dual_hpc.model import DualConfig, build_model
from dual_hpc.run.directory import RunDir, write_json
from dual_hpc.training.consistency import agree
from dual_hpc.training.data import TrainingData
from dual_hpc.training.distributed import World, seed_everything
from dual_hpc.training.engine import Engine
from dual_hpc.training.export import write_description, write_model
from dual_hpc.training.non_finite import named, too_sick, verdict
from dual_hpc.training.reporter import Reporter, last_save_seconds
from dual_hpc.training.saving import Progress, Resumed, Saver
from dual_hpc.training.schedule import Plan, total_steps
from dual_hpc.training.step import StepReport
from dual_hpc.training.validation import Interrupted, choosing_score, validate


class Session:
    """A run taken up where its newest proven checkpoint stands. All methods but `close` and those about the
    save under way are collective.

    Attributes:
        plan: the run's length and events.
        progress: where it stands.
        loader: training batches from there on.
        save_seconds: how long the last save of the run took, from the copy to the commit; known to rank 0.
    """

    def __init__(self, run: RunDir, config: RunConfig, world: World, fence: Callable[[], None]) -> None:
        """`fence` raises once another job has taken over the run."""
        self._data = data = TrainingData.open(config, world, run.tokenizer)
        self.config, self.world, self._fence = data.config, world, fence
        self._exports: Path = run.exports
        self._reports: Path = run.reports
        config = data.config
        samples, batch = len(data.train), config.data.global_batch
        steps = total_steps(samples, batch, config.training.epochs, config.training.max_steps)
        self.plan = Plan(samples, batch, steps, config.training.validate_every, config.checkpoint.every_steps)

        seed_everything((config.seed,))
        self._model = build_model(config.model, data.labels, data.preprocessing(), data.class_counts, data.tokenizer)
        agree(config, self._model, world)
        if world.rank == 0:
            write_description(run, cast(DualConfig, self._model.config))
        self.engine = Engine(self._model, config, world.size, data.micro_batches())
        self._saver = Saver(run.checkpoints, config, self.engine, world, fence, run.identity().run_id)
        resumed = self._saver.resume()
        self.progress = resumed.progress if resumed is not None else Progress()
        self.loader, self._validation = data.train_loader(self.progress.loader), data.validation_loader()
        self.loader.bad_samples.load_state_dict(self.progress.bad_samples)
        self._saved_at = time.monotonic()
        self.save_seconds = last_save_seconds(run.journal) if world.rank == 0 else 0.0

        self.reporter = Reporter(run, config, world, fence)
        self.reporter.begin(self.progress.step, steps, samples=samples, zero_stage=config.training.zero_stage)
        if resumed is not None:
            self._tell(resumed)

    def _tell(self, resumed: Resumed) -> None:
        step, ranks = self.progress.step, self.world.size
        for reason in resumed.passed_over:
            self.reporter.warn("damaged_checkpoint", step, f"checkpoint passed over: {reason}")
        if resumed.written_by != ranks:
            words = f"the checkpoint of step {step} was written by {resumed.written_by} rank(s), this job has {ranks}"
            self.reporter.warn("converted", step, f"{words}: it was converted, the samples stay the same")

    def validate(self, asked: Callable[[], bool]) -> bool:
        """Score the validation split; weights better than all before are exported as `best`.

        False if a rank was `asked` to stop meanwhile: the validation is still owed then.
        """
        progress, config = self.progress, self.config
        try:
            found = validate(self.engine.deepspeed, self._validation, config, len(self._data.labels), self.world, asked)
        except Interrupted:
            return False
        self.reporter.metrics(progress.step, found)
        score = progress.score = choosing_score(found, config)
        if progress.best_score is None or math.isnan(progress.best_score) or score > progress.best_score:
            self._export_best(score)
        progress.owes_validation = False
        return True

    def _export_best(self, score: float) -> None:
        """A failure is survived: the best stays what `export/best` holds, and the next better one is tried again."""
        progress = self.progress
        try:
            self.export("best")
        except EnvironmentFault as error:
            self.reporter.warn("export_failed", progress.step, f"{error}; training goes on, the best before stands")
            return
        progress.best_score, progress.best_step = score, progress.step
        self.reporter.event("best", progress.step, score=score)

    def save(self, last_chance: bool) -> None:
        """Save this step. A failure is survived, unless nothing will be saved after this.

        Returns when the checkpoint is committed if it is the last chance or `checkpoint.asynchronous` is off, else as
        soon as the training can go on.

        Raises:
            EnvironmentFault: it failed and this was the last chance.
        """
        self.settle()
        self._saver.begin(self.progress)
        self._saved_at = time.monotonic()
        if last_chance or not self.config.checkpoint.asynchronous:
            self.settle(last_chance)

    def watch_save(self) -> None:
        """Tell of the save under way if it has come to an end."""
        if self._saver.landed:
            self.settle()

    def settle(self, last_chance: bool = False) -> None:
        """Wait for the save under way, if there is one, and tell its end."""
        if not self._saver.under_way:
            return
        try:
            saved = self._saver.finish()
        except EnvironmentFault as error:
            if last_chance:
                raise
            words = f"{error}; training goes on, earlier checkpoints stand"
            self.reporter.warn("checkpoint_failed", self.progress.step, words)
            return
        self.save_seconds = saved.seconds
        self.reporter.event("checkpoint", saved.step, folder=saved.folder.name, seconds=round(saved.seconds, 3))
        if saved.kept_too_much:
            self.reporter.warn("checkpoint_kept", saved.step, saved.kept_too_much)

    def end_save(self) -> None:
        """Let the save under way come to its end; never raises, because what ends the training matters more."""
        try:
            self.settle()
        except Exception as error:  # a peer is gone
            self.reporter.warn("checkpoint_failed", self.progress.step, f"a checkpoint was not finished: {error}")

    def agree_on_bad_samples(self, known_together: int) -> None:
        """Tell each other which samples cannot be decoded, if a rank has met a new one; collective then.

        Args:
            known_together: the sum over the ranks of what each knows.

        Raises:
            UserError: on every rank, if they are more than `data.bad_sample_limit`.
        """
        faults = self.loader.bad_samples
        if known_together != self.world.size * len(self.progress.bad_samples):
            for known in self.world.gather(faults.known()):
                faults.merge(known)
            self.progress.bad_samples = faults.state_dict()
            self.reporter.warn("bad_samples", self.progress.step, f"{len(faults)} samples cannot be decoded so far")
        faults.check()

    def care(self, report: StepReport) -> None:
        """Note how healthy the step was; at `training.non_finite_limit` in a row go back, or stop.

        Raises:
            UserError: on every rank, if the run stays sick; the keys of the samples are in its reports.
        """
        progress, training = self.progress, self.config.training
        if report.healthy:
            progress.sick = {}
            return
        step, keys = progress.step, report.suspects
        progress.sick = {**progress.sick, step: keys}
        self.reporter.warn("non_finite", step, f"step {step} was not finite and is skipped{named(keys)}", samples=keys)
        decided = verdict(
            len(progress.sick), training.non_finite_limit, training.on_non_finite, progress.rolled_back is not None
        )
        if decided == "go on":
            return
        file, since = self._reports / f"non_finite-{step}.json", min(progress.sick)
        if self.world.rank == 0:
            with contextlib.suppress(OSError):  # the journal has them as well
                write_json(file, {"steps": progress.sick})
        back = None
        if decided == "roll back":
            self.settle()
            back = self._saver.roll_back(since - 1)
        if back is None:
            raise too_sick(progress.sick, file, decided, progress.rolled_back)
        words = f"{len(progress.sick)} steps in a row were not finite: back to the weights of step {back}"
        self.reporter.warn("rollback", step, f"{words}; steps and data go on behind step {step}", to=back)
        progress.rolled_back, progress.sick = back, {}

    def wants_save(self) -> bool:
        """True on rank 0 when the clock asks for a checkpoint: clocks differ, so one rank speaks for all."""
        if self.world.rank != 0 or self._saver.under_way:
            return False
        return time.monotonic() - self._saved_at > 60 * self.config.checkpoint.every_minutes

    def export(self, name: str) -> None:
        """Publish the weights of this step under `name`.

        Raises:
            EnvironmentFault: on every rank, if rank 0 could not write them.
        """
        weights = gather_weights(self.engine.deepspeed.module, self.world.rank)
        failure = None
        if self.world.rank == 0:
            config, tokenizer = cast(DualConfig, self._model.config), self._data.tokenizer
            try:
                self._fence()
                publish(
                    self._exports,
                    name,
                    self.progress.step,
                    lambda folder: write_model(folder, config, weights, tokenizer),
                )
            except EnvironmentFault as error:
                failure = error
        failure = self.world.broadcast(failure)
        if failure is not None:
            raise failure

    def close(self, reason: str, finished: bool) -> None:
        """End the data workers and say how the job ended."""
        self.loader.close()
        self._validation.close()
        self.reporter.close(reason, model=self._exports / "best" if finished else None)
