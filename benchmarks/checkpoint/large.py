"""Generated state of many gigabytes per rank, in the files of ZeRO 1: its rank's share of the optimizer, and on rank 0
the weights, a third of that. No model trains it; a step is so many products of matrices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from deepspeed.runtime.checkpoint_engine.checkpoint_engine import CheckpointEngine

from benchmarks.checkpoint.subject import config_with
from dual_hpc.checkpoint.deepspeed_io import FOLDER, VerifiedFiles
from dual_hpc.checkpoint.host_copy import host_copy
from dual_hpc.training.distributed import World
from dual_hpc.training.saving import Saver
from dual_hpc.training.state import TrainingState

PARTS = 8  # tensors in a file
PRODUCTS = 24  # of matrices, in a step


class Large:
    """As `Subject`, and the part of an `Engine` that a saver needs.

    Args:
        gib: the size of the optimizer's share.
    """

    def __init__(self, world: World, folder: Path, gib: float) -> None:
        generator = torch.Generator().manual_seed(world.rank)
        numel = int(gib * 2**30) // 4 // PARTS

        def noise(count: int) -> list[torch.Tensor]:
            return [torch.randn(count, generator=generator) for _ in range(PARTS)]

        self._content = {f"{FOLDER}/zero_pp_rank_{world.rank}_mp_rank_00_optim_states.pt": noise(numel)}
        if world.rank == 0:
            self._content[f"{FOLDER}/mp_rank_00_model_states.pt"] = noise(numel // 3)
        self.world, self.state, self.files_layer = world, TrainingState(), VerifiedFiles()
        self._matrix = torch.randn(1024, 1024, generator=generator)
        folder.mkdir(parents=True, exist_ok=True)
        configs = {
            mode: config_with(["training.zero_stage=1", "checkpoint.keep_last=1000"], mode) for mode in (False, True)
        }
        self.savers = {mode: Saver(folder, config, Engine(self), world) for mode, config in configs.items()}  # type: ignore[arg-type]

    def files(self) -> dict[str, Any]:
        return dict(self._content)

    def save_by(self, layer: CheckpointEngine, folder: Path) -> None:
        """What DeepSpeed does with these files: a folder, the files, a barrier."""
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        for name, content in self._content.items():
            layer.save(content, str(folder / name))
        self.world.all_gather(None)

    def load(self, folder: Path) -> None:
        """Read this rank's files, and those of all ranks, into the state."""
        for name in {*self._content, f"{FOLDER}/mp_rank_00_model_states.pt"}:
            for target, source in zip(
                self._content.get(name, ()), self.files_layer.load(str(folder / name)), strict=name in self._content
            ):
                target.copy_(source)

    def step(self) -> None:
        for _ in range(PRODUCTS):
            self._matrix = (self._matrix @ self._matrix).clamp_(-1, 1)
        self.world.all_gather(None)
        self.state.step += 1


class Engine:
    """What a saver calls."""

    def __init__(self, large: Large) -> None:
        self._large, self.files, self.deepspeed = large, large.files_layer, self
        self.optimizer = torch.optim.SGD([torch.zeros(1)])  # what is loaded is copied; nothing is kept

    def checkpoint_files(self, folder: str, copy: bool) -> dict[str, Any]:
        files = self._large.files()
        return dict(host_copy(files)) if copy else files

    def load_checkpoint(self, folder: str, **_: Any) -> tuple[str, None]:
        self._large.load(Path(folder))
        return folder, None
