"""Saving and taking up a training: the engine's state by the commit protocol, the position in the manifest."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dual_hpc.checkpoint import commit, reshard, select
from dual_hpc.checkpoint.background import aside, at_once
from dual_hpc.checkpoint.deepspeed_io import FOLDER, write_file
from dual_hpc.checkpoint.digest import FileProof
from dual_hpc.checkpoint.manifest import BadManifest, Manifest
from dual_hpc.checkpoint.manifest import load as load_manifest
from dual_hpc.checkpoint.retention import surplus
from dual_hpc.checkpoint.select import Choice
from dual_hpc.config import RunConfig, first_change, immutable_settings
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.run.names import step_folder
from dual_hpc.training.distributed import World
from dual_hpc.training.engine import Engine

SETTINGS = "settings"  # in a manifest's state, beside the progress: what must be unchanged to go on


class Progress(BaseModel):
    """Where a training stands. With the engine's state this is all there is: the random state is derived from it.

    Attributes:
        step: optimiser steps done, given up ones included.
        loader: state of the training loader (samples consumed and what must match).
        best_score, best_step: of `training.select_by` on the validation split; None before the first validation.
        score: of the weights of this very step; None if they were not validated.
        bad_samples: state of the loader's list of samples that cannot be decoded, as all ranks know it.
        owes_validation: this step's validation is still to be done (the job was stopped before it).
        skipped: updates given up so far.
        sick: the last steps in a row that were not finite, with the keys of their suspect samples.
        rolled_back: the step whose weights were taken again; None as long as that was not necessary.
    """

    model_config = ConfigDict(extra="forbid")

    step: int = 0
    loader: dict[str, Any] | None = None
    bad_samples: list[dict[str, Any]] = []
    best_score: float | None = None
    best_step: int | None = None
    score: float | None = None
    owes_validation: bool = False
    skipped: int = 0
    sick: dict[int, list[str]] = {}
    rolled_back: int | None = None


@dataclass(frozen=True)
class Resumed:
    """Where a training was taken up.

    Attributes:
        passed_over: why newer checkpoints were not used.
        written_by: how many ranks wrote the checkpoint.
    """

    progress: Progress
    passed_over: list[str]
    written_by: int


@dataclass(frozen=True)
class Saved:
    """A committed checkpoint.

    Attributes:
        seconds: from the copy of the state to the commit.
        kept_too_much: why old checkpoints could not be deleted; None if they were.
    """

    step: int
    folder: Path
    seconds: float
    kept_too_much: str | None = None


class Saver:
    """Checkpoints of one run.

    With `checkpoint.asynchronous` only the copy of the state is made in the training's thread. Files are written,
    flushed, hashed and committed in another one, by the same protocol, whose messages go through a process group that
    only these threads use. So the threads of the ranks wait for each other and the training's for its own saver at
    most, never a saver for a training: whatever happens to the steps meanwhile, nothing waits in a circle. One save is
    under way at a time, because `begin` waits for the one before; its end is the same on all ranks, as the protocol
    agrees on it.

    """

    def __init__(
        self,
        root: Path,
        config: RunConfig,
        engine: Engine,
        world: World,
        fence: Callable[[], None] = lambda: None,
        run_id: str = "",
    ) -> None:
        """Collective. `fence` raises on rank 0 once another job has taken over the run."""
        self._root, self._config, self._engine, self._world, self._fence = root, config, engine, world, fence
        self._run_id = run_id
        self._group = world.apart() if config.checkpoint.asynchronous else world
        self._flight: Future[Saved] | None = None

    @property
    def under_way(self) -> bool:
        """True from `begin` to `finish`."""
        return self._flight is not None

    @property
    def landed(self) -> bool:
        """True if `finish` would not wait; ranks may learn it at different steps."""
        return self._flight is not None and self._flight.done()

    def begin(self, progress: Progress) -> None:
        """Take the state of this step; it is saved when `finish` says so. Collective."""
        assert self._flight is None, "the save before has not been finished"
        apart = self._config.checkpoint.asynchronous
        began = time.monotonic()
        content = self._engine.content(FOLDER, copy=apart)
        work = partial(self._commit, content, progress.model_copy(deep=True), began)
        self._flight = (aside if apart else at_once)(work)

    def finish(self) -> Saved:
        """Wait for the save under way.

        Raises:
            EnvironmentFault: on all ranks alike; earlier checkpoints are as they were.
        """
        assert self._flight is not None, "nothing is being saved"
        flight, self._flight = self._flight, None
        return flight.result()

    def save(self, progress: Progress) -> Path:
        """Commit a checkpoint of this step, then let old ones go; as `begin` and `finish`."""
        self.begin(progress)
        return self.finish().folder

    def resume(self) -> Resumed | None:
        """Load the newest proven checkpoint, converted if other ranks wrote it; None if the run has none.

        Raises:
            EnvironmentFault: there are checkpoints, none of them usable.
            UserError: it was written with other settings.
        """
        if self._world.rank == 0:
            commit.sweep(self._root)
        choice = select.newest_proven(self._root, self._world)
        if choice is None:
            return None
        self._load(choice)
        progress = _progress(choice)
        return Resumed(progress, choice.passed_over, choice.manifest.world_size)

    def roll_back(self, up_to: int) -> int | None:
        """Load weights and optimizer state of the newest proven checkpoint up to a step; its step. Collective.

        The position of the training is the caller's. None, and nothing has changed, if there is no such checkpoint.

        Raises:
            EnvironmentFault: there are checkpoints of these steps, none of them usable.
        """
        assert self._flight is None, "the save under way has not been finished"
        choice = select.newest_proven(self._root, self._world, up_to)
        if choice is None:
            return None
        self._load(choice)
        return choice.manifest.step

    def _load(self, choice: Choice) -> None:
        self._check(choice.manifest)
        choice = reshard.for_ranks(choice, self._root / reshard.CACHE, self._world, self._world.size)
        self._engine.files.believe(choice.folder, choice.manifest)
        # The learning rate, the loader's position and the random state come from `Progress`, not from these files.
        loaded, _ = self._engine.deepspeed.load_checkpoint(
            str(choice.folder), tag=FOLDER, load_lr_scheduler_states=False
        )
        if loaded is None:  # DeepSpeed only warns, and would go on from fresh weights
            raise EnvironmentFault(f"{choice.folder} holds nothing that DeepSpeed loads")

    def _commit(self, content: dict[str, Any], progress: Progress, began: float) -> Saved:
        """In the saver's thread, if there is one."""
        folder = commit.save(
            self._root,
            self._group,
            partial(_write, content),
            step=progress.step,
            zero_stage=self._config.training.zero_stage,
            precision=self._config.training.precision,
            state={**progress.model_dump(mode="json"), SETTINGS: immutable_settings(self._config)},
            run_id=self._run_id,
            fence=self._fence,
        )
        seconds = time.monotonic() - began
        return Saved(progress.step, folder, seconds, self._prune(progress.step) if self._world.rank == 0 else None)

    def _prune(self, saved: int) -> str | None:
        """Those of later steps than what was just saved are damaged: passed over at the start, they prove nothing."""
        keep = self._config.checkpoint
        try:
            scores = _scores(self._root) if keep.keep_best else {}
            times = {step: time for step, time in select.saved_at(self._root).items() if step <= saved}
            for step in surplus(times, keep.keep_last, keep.keep_hours, scores, keep.keep_best):
                commit.remove(self._root / step_folder(step))
            reshard.forget(self._root / reshard.CACHE)
        except OSError as error:
            return f"old checkpoints cannot be deleted: {error.strerror or error}"
        return None

    def _check(self, manifest: Manifest) -> None:
        training = self._config.training
        if (manifest.zero_stage, manifest.precision) != (training.zero_stage, training.precision):
            raise UserError(
                f"training.zero_stage, training.precision: the run's checkpoint was written with {manifest.zero_stage} "
                f"and {manifest.precision}; a run keeps both"
            )
        if changed := first_change(manifest.state.get(SETTINGS, {}), self._config):
            raise UserError(changed)


def _progress(choice: Choice) -> Progress:
    try:
        return Progress.model_validate({key: value for key, value in choice.manifest.state.items() if key != SETTINGS})
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise EnvironmentFault(
            f"{choice.folder} was written by another version ({where}); go on with the code that wrote it"
        ) from error


def _write(content: dict[str, Any], folder: Path) -> dict[str, FileProof]:
    (folder / FOLDER).mkdir(exist_ok=True)
    proofs = {}
    for name in sorted(content):
        proofs[name] = write_file(content.pop(name), folder / name)  # and lets its memory go
    return proofs


def _scores(root: Path) -> dict[int, float]:
    found = {}
    for step in select.steps(root):
        with contextlib.suppress(BadManifest):
            score = load_manifest(root / step_folder(step)).state.get("score")
            if score is not None:
                found[step] = float(score)
    return found
