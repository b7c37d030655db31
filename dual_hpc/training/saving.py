"""Saving and resuming a training: the engine's state by the commit protocol, the training state in the manifest."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dual_hpc.background import in_thread, inline
from dual_hpc.checkpoint import commit, reshard, select
from dual_hpc.checkpoint.deepspeed_io import FOLDER, write_file
from dual_hpc.checkpoint.manifest import BadManifest, Manifest
from dual_hpc.checkpoint.manifest import load as load_manifest
from dual_hpc.checkpoint.retention import steps_to_delete
from dual_hpc.checkpoint.select import VerifiedCheckpoint
from dual_hpc.config import RunConfig, first_change, immutable_settings
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.evaluation.metrics import selecting_metric
from dual_hpc.files.digest import FileDigest
from dual_hpc.group import gather_results
from dual_hpc.run.names import step_folder
from dual_hpc.training.distributed import World
from dual_hpc.training.engine import Engine
from dual_hpc.training.exporter import Publish
from dual_hpc.training.state import TrainingState

SETTINGS = "settings"  # key in a manifest's state, next to the training state: settings that a run cannot change


@dataclass(frozen=True)
class Resumed:
    """What a training was resumed from.

    Attributes:
        rejected: newer checkpoints that are damaged, each with the reason.
        written_by: number of ranks that wrote the checkpoint.
    """

    state: TrainingState
    rejected: list[str]
    written_by: int


@dataclass(frozen=True)
class Saved:
    """A committed checkpoint.

    Attributes:
        seconds: from the copy of the state to the commit; None where only the training state was written again.
        prune_error: why old checkpoints could not be deleted; None if they were.
    """

    step: int
    folder: Path
    seconds: float | None
    prune_error: str | None = None


class Saver:
    """Checkpoints of one run.

    With `checkpoint.asynchronous` only the copy of the state is made in the training's thread. Files are written,
    flushed, hashed and committed in another thread, by the same protocol, whose collectives use a process group that
    only these threads use. The threads of the ranks wait for each other, and a training waits at most for its own
    saver, but a saver never waits for a training: so there is no deadlock, whatever happens in the steps meanwhile.
    Only one save is pending at a time, because `start` requires that the save before was waited for; its result is the
    same on all ranks, because the protocol agrees on it. An export of weights is done by the same threads, between a
    save and what is added to it.

    Attributes:
        writing_seconds: how long this rank has written its own files, of all saves.
    """

    def __init__(
        self,
        root: Path,
        config: RunConfig,
        engine: Engine,
        world: World,
        check_ownership: Callable[[], None] = lambda: None,
        run_id: str = "",
    ) -> None:
        """Collective. `check_ownership` raises on rank 0 once another job has taken over the run."""
        self._root, self._config, self._engine, self._world = root, config, engine, world
        self._check_ownership, self._run_id = check_ownership, run_id
        self._group = world.new_gloo_group() if config.checkpoint.asynchronous else world
        self._run = in_thread if config.checkpoint.asynchronous else inline
        self._future: Future[Saved] | None = None
        self._exported: Future[EnvironmentFault | None] | None = None
        self.writing_seconds = 0.0

    @property
    def pending(self) -> bool:
        """True from `start` to `wait`."""
        return self._future is not None

    @property
    def done(self) -> bool:
        """True if something is pending and waiting for all of it would return at once; ranks may see it at different
        steps.
        """
        futures = [future for future in (self._future, self._exported) if future is not None]
        return bool(futures) and all(future.done() for future in futures)

    def start(self, state: TrainingState) -> None:
        """Start to save this step; returns as soon as the training may go on. Collective."""
        assert self._future is None and self._exported is None, "what is pending was not waited for"
        asynchronous = self._config.checkpoint.asynchronous
        started = time.monotonic()
        files = self._engine.checkpoint_files(FOLDER, copy=asynchronous)
        work = partial(self._commit, files, state.model_copy(deep=True), started)
        self._future = self._run(work)

    def export(self, publish: Publish) -> None:
        """Publish weights after the pending save, however that ends. Collective.

        Args:
            publish: called on every rank; rank 0's answer is that of `wait_for_export`.
        """
        assert self._exported is None, "the export before was not waited for"
        before = self._future

        def act() -> EnvironmentFault | None:
            if before is not None:
                wait([before])
            return gather_results(self._group, publish)[0]

        self._exported = self._run(act)

    def wait_for_export(self) -> EnvironmentFault | None:
        """Why the pending export has failed; the same on all ranks."""
        assert self._exported is not None, "no export is pending"
        exported, self._exported = self._exported, None
        return exported.result()

    def update(self, state: TrainingState, if_exported: TrainingState | None = None) -> None:
        """Write the training state of a step again, into its checkpoint: its validation is done. Collective.

        If its save is still pending, this happens after it, and the two have one result.

        Args:
            if_exported: written instead of `state` if the pending export succeeds, and not before.
        """
        before, exported = self._future, self._exported
        state, if_exported = state.model_copy(deep=True), (if_exported or state).model_copy(deep=True)

        def act() -> Saved:
            success = exported is not None and exported.result() is None
            return self._update(if_exported if success else state, before.result() if before is not None else None)

        self._future = self._run(act)

    def wait(self) -> Saved:
        """Wait for the pending save.

        Raises:
            EnvironmentFault: on all ranks alike; earlier checkpoints are as they were.
        """
        assert self._future is not None, "no save is pending"
        future, self._future = self._future, None
        return future.result()

    def resume(self) -> Resumed | None:
        """Load the latest verified checkpoint, resharded if another number of ranks wrote it; None if there is none.

        Raises:
            EnvironmentFault: there are checkpoints, but none of them is usable.
            UserError: it was written with other settings.
        """
        gather_results(self._world, lambda: commit.remove_unfinished(self._root) if self._world.rank == 0 else None)
        checkpoint = select.latest_verified(self._root, self._world)
        if checkpoint is None:
            return None
        self._load(checkpoint)
        return Resumed(_state_of(checkpoint), checkpoint.rejected, checkpoint.manifest.world_size)

    def roll_back(self, up_to: int) -> int | None:
        """Load weights and optimizer state of the latest verified checkpoint up to a step; its step. Collective.

        The training state is left to the caller. None, and nothing has changed, if there is no such checkpoint.

        Raises:
            EnvironmentFault: there are checkpoints of these steps, but none of them is usable.
        """
        assert self._future is None, "the pending save was not waited for"
        checkpoint = select.latest_verified(self._root, self._world, up_to)
        if checkpoint is None:
            return None
        self._load(checkpoint)
        return checkpoint.manifest.step

    def _load(self, checkpoint: VerifiedCheckpoint) -> None:
        self._check_settings(checkpoint.manifest)
        fitting = reshard.reshard(checkpoint, self._root / reshard.CACHE, self._world, self._world.size)
        self._engine.files.allow(fitting.folder, fitting.manifest)
        # Learning rate, loader state and random state come from `TrainingState`, not from these files.
        loaded, _ = self._engine.deepspeed.load_checkpoint(
            str(fitting.folder), tag=FOLDER, load_lr_scheduler_states=False
        )
        if loaded is None:  # DeepSpeed only warns, and would continue with the initial weights
            raise EnvironmentFault(f"{fitting.folder} holds nothing that DeepSpeed loads")
        self._engine.files.copy_mapped(self._engine.optimizer.state.values())

    def _commit(self, files: dict[str, Any], state: TrainingState, started: float) -> Saved:
        """Write, commit and prune; in the saver's thread, if there is one."""
        folder = commit.save(
            self._root,
            self._group,
            partial(self._write, files),
            step=state.step,
            zero_stage=self._config.training.zero_stage,
            precision=self._config.training.precision,
            state=self._manifest_state(state),
            run_id=self._run_id,
            check_ownership=self._check_ownership,
        )
        seconds = time.monotonic() - started
        return Saved(state.step, folder, seconds, self._prune(state.step) if self._world.rank == 0 else None)

    def _write(self, files: dict[str, Any], folder: Path) -> dict[str, FileDigest]:
        (folder / FOLDER).mkdir(exist_ok=True)
        digests, began = {}, time.monotonic()
        for name in sorted(files):
            digests[name] = write_file(files.pop(name), folder / name)  # `pop` frees the memory of the copy
        self.writing_seconds += time.monotonic() - began
        return digests

    def _update(self, state: TrainingState, saved: Saved | None) -> Saved:
        folder = self._root / step_folder(state.step)
        commit.replace_state(folder, self._group, self._manifest_state(state), self._check_ownership)
        seconds = saved.seconds if saved is not None else None
        return Saved(state.step, folder, seconds, self._prune(state.step) if self._world.rank == 0 else None)

    def _manifest_state(self, state: TrainingState) -> dict[str, Any]:
        return {**state.to_manifest(), SETTINGS: immutable_settings(self._config)}

    def _prune(self, saved: int) -> str | None:
        """Delete old checkpoints; why that failed, or None.

        Checkpoints of later steps than the one just saved are damaged (they were rejected at the start): they must not
        count as the newest.
        """
        keep = self._config.checkpoint
        try:
            metric = selecting_metric(self._config.training.select_by)
            found = _scores(self._root) if keep.keep_best else {}
            scores = {step: metric.oriented(score) for step, score in found.items()}
            times = {step: time for step, time in select.saved_at(self._root).items() if step <= saved}
            for step in steps_to_delete(times, keep.keep_last, keep.keep_hours, scores, keep.keep_best):
                commit.remove(self._root / step_folder(step))
            reshard.clear_cache(self._root / reshard.CACHE)
        except OSError as error:
            return f"old checkpoints cannot be deleted: {error.strerror or error}"
        return None

    def _check_settings(self, manifest: Manifest) -> None:
        training = self._config.training
        if (manifest.zero_stage, manifest.precision) != (training.zero_stage, training.precision):
            raise UserError(
                f"training.zero_stage, training.precision: the run's checkpoint was written with {manifest.zero_stage} "
                f"and {manifest.precision}; a run keeps both"
            )
        if changed := first_change(manifest.state.get(SETTINGS, {}), self._config):
            raise UserError(changed)


def _state_of(checkpoint: VerifiedCheckpoint) -> TrainingState:
    written = {key: value for key, value in checkpoint.manifest.state.items() if key != SETTINGS}
    try:
        return TrainingState.from_manifest(written)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise EnvironmentFault(
            f"{checkpoint.folder} was written by another version ({where}); resume with the code that wrote it"
        ) from error


def _scores(root: Path) -> dict[int, float]:
    found = {}
    for step in select.steps(root):
        with contextlib.suppress(BadManifest):
            score = load_manifest(root / step_folder(step)).state.get("score")
            if score is not None:
                found[step] = float(score)
    return found
