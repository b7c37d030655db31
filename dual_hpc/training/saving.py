"""Saving and taking up a training: the engine's state by the commit protocol, the position in the manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from dual_hpc.checkpoint import choose, commit, convert
from dual_hpc.checkpoint.deepspeed_files import FOLDER
from dual_hpc.checkpoint.manifest import Manifest, folder_name
from dual_hpc.checkpoint.proof import FileProof
from dual_hpc.checkpoint.retention import surplus
from dual_hpc.config import RunConfig
from dual_hpc.errors import UserError
from dual_hpc.training.engine import Engine
from dual_hpc.training.world import World


class Progress(BaseModel):
    """Where a training stands. With the engine's state this is all there is: the random state is derived from it.

    Attributes:
        step: optimiser steps done, given up ones included.
        loader: state of the training loader (samples consumed and what must match).
        best_score, best_step: of `training.select_by` on the validation split; None before the first validation.
        owes_validation: this step's validation is still to be done (the job was stopped before it).
        skipped: updates given up so far.
        sick_in_row: how many of the last steps in a row were not finite.
    """

    model_config = ConfigDict(extra="forbid")

    step: int = 0
    loader: dict[str, Any] | None = None
    best_score: float | None = None
    best_step: int | None = None
    owes_validation: bool = False
    skipped: int = 0
    sick_in_row: int = 0


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


class Saver:
    """Checkpoints of one run; `save` and `resume` are collective."""

    def __init__(
        self, root: Path, config: RunConfig, engine: Engine, world: World, fence: Callable[[], None] = lambda: None
    ) -> None:
        self._root, self._config, self._engine, self._world, self._fence = root, config, engine, world, fence

    def save(self, progress: Progress) -> Path:
        """Commit a checkpoint of this step, then let old ones go.

        Raises:
            EnvironmentFault: on all ranks alike; earlier checkpoints are as they were.
        """
        folder = commit.save(
            self._root,
            self._world,
            self._write,
            step=progress.step,
            zero_stage=self._config.training.zero_stage,
            precision=self._config.training.precision,
            state=progress.model_dump(mode="json"),
            fence=self._fence,
        )
        if self._world.rank == 0:
            keep = self._config.checkpoint
            for step in surplus(choose.saved_at(self._root), keep.keep_last, keep.keep_hours):
                commit.remove(self._root / folder_name(step))
            convert.forget(self._root / convert.CACHE)
        return folder

    def resume(self) -> Resumed | None:
        """Load the newest proven checkpoint, converted if other ranks wrote it; None if the run has none.

        Raises:
            EnvironmentFault: there are checkpoints, none of them usable.
            UserError: it was written with another ZeRO stage or precision.
        """
        if self._world.rank == 0:
            commit.sweep(self._root)
        choice = choose.newest_proven(self._root, self._world)
        if choice is None:
            return None
        written_by = choice.manifest.world_size
        self._check(choice.manifest)
        choice = convert.for_ranks(choice, self._root / convert.CACHE, self._world, self._world.size)
        self._engine.files.believe(choice.folder, choice.manifest)
        # The learning rate, the loader's position and the random state come from `Progress`, not from these files.
        self._engine.deepspeed.load_checkpoint(str(choice.folder), tag=FOLDER, load_lr_scheduler_states=False)
        return Resumed(Progress.model_validate(choice.manifest.state), choice.passed_over, written_by)

    def _write(self, folder: Path) -> dict[str, FileProof]:
        self._engine.deepspeed.save_checkpoint(str(folder), tag=FOLDER, save_latest=False)
        if self._world.rank == 0:
            for script in folder.glob("*.py"):  # DeepSpeed's recovery scripts: programs don't belong to the data
                script.unlink()
        return self._engine.files.collect(folder)

    def _check(self, manifest: Manifest) -> None:
        training = self._config.training
        if (manifest.zero_stage, manifest.precision) != (training.zero_stage, training.precision):
            raise UserError(
                f"training.zero_stage, training.precision: the run's checkpoint was written with {manifest.zero_stage} "
                f"and {manifest.precision}; a run keeps both"
            )
