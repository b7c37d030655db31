"""A saver of one process, whose engine's state is one number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dual_hpc.checkpoint.deepspeed_io import VerifiedFiles
from dual_hpc.config import RunConfig, validate
from dual_hpc.group import SingleProcess
from dual_hpc.training.saving import Saver
from dual_hpc.training.state import TrainingState


class Rank(SingleProcess):
    """The only rank of a training."""

    def new_gloo_group(self) -> SingleProcess:
        return SingleProcess()


class Engine:
    """Its state is one number, which the training changes meanwhile."""

    found: str | None = "deepspeed"  # the folder that DeepSpeed reports as loaded

    def __init__(self) -> None:
        self.weight = torch.zeros(1)
        self.optimizer = torch.optim.SGD([self.weight])
        self.files = VerifiedFiles()
        self.deepspeed = self

    def load_checkpoint(self, *_: Any, **__: Any) -> tuple[str | None, None]:
        return self.found, None

    def checkpoint_files(self, folder: str, copy: bool) -> dict[str, Any]:
        return {f"{folder}/weights.pt": self.weight.clone() if copy else self.weight}


def config(**checkpoint: Any) -> RunConfig:
    return validate({"checkpoint": checkpoint})


def saver(root: Path, engine: Engine, **checkpoint: Any) -> Saver:
    return Saver(root, config(**checkpoint), engine, Rank(), run_id="f" * 32)  # type: ignore[arg-type]


def save(saver: Saver, state: TrainingState) -> Path:
    saver.start(state)
    return saver.wait().folder
