"""The ways of saving that are compared. Each begins a save and returns what waits for its end.

DeepSpeed's own save flushes and hashes nothing; the variants of it do what a checkpoint that is to be trusted after a
crash of its node needs. torch's `async_save` flushes its files as it is.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol, cast

import torch
from blake3 import blake3
from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine
from torch.distributed.checkpoint import FileSystemWriter, async_save
from torch.distributed.checkpoint._extension import StreamTransformExtension

from dual_hpc.training.distributed import World
from dual_hpc.training.saving import Saver
from dual_hpc.training.state import TrainingState

Begin = Callable[[], Callable[[], Any]]
DEEPSPEED, TORCH = "DeepSpeed save_checkpoint", "torch async_save"


class Saved(Protocol):
    """What is saved."""

    world: World
    savers: dict[bool, Saver]
    state: TrainingState

    def files(self) -> dict[str, Any]:
        """The content of this rank's files by name: the state itself."""

    def save_by(self, layer: TorchCheckpointEngine, folder: Path) -> None:
        """DeepSpeed's `save_checkpoint` with this file layer."""


def contestants(subject: Saved, folder: Path, group: Any) -> dict[str, Begin]:
    """By name; `folder` is where the others write, `group` is torch's."""
    return {
        "nothing": lambda: lambda: None,
        "ours, synchronous": lambda: by_us(subject, False),
        "ours, asynchronous": lambda: by_us(subject, True),
        DEEPSPEED: lambda: by_deepspeed(subject, folder, TorchCheckpointEngine()),
        f"{DEEPSPEED} + fsync": lambda: by_deepspeed(subject, folder, Flushing(hashes=False)),
        f"{DEEPSPEED} + fsync + BLAKE3": lambda: by_deepspeed(subject, folder, Flushing(hashes=True)),
        TORCH: lambda: by_torch(subject, folder, group, []),
        f"{TORCH} + BLAKE3": lambda: by_torch(subject, folder, group, [Hashing()]),
    }


def by_us(subject: Saved, asynchronous: bool) -> Callable[[], Any]:
    saver = subject.savers[asynchronous]
    saver.start(subject.state)
    return saver.wait


def by_deepspeed(subject: Saved, folder: Path, layer: TorchCheckpointEngine) -> Callable[[], Any]:
    subject.save_by(layer, folder)
    return lambda: None


def by_torch(subject: Saved, folder: Path, group: Any, extensions: list[Any]) -> Callable[[], Any]:
    state = {f"{subject.world.rank}/{name}": value for name, value in subject.files().items()}
    writer = FileSystemWriter(folder, _extensions=extensions)
    future: Any = async_save(state, storage_writer=writer, process_group=group)
    return future.result


class Flushing(TorchCheckpointEngine):
    """DeepSpeed's file layer, which flushes each file and its folder, and hashes what it writes if asked to."""

    def __init__(self, hashes: bool) -> None:
        super().__init__()
        self._hashes = hashes

    def save(self, state_dict: Any, path: str) -> None:
        with open(path, "wb") as file:
            torch.save(state_dict, cast(IO[bytes], HashedStream(file)) if self._hashes else file)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


class HashedStream(io.RawIOBase):
    """Hashes what is written to a file that somebody else closes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._digest = file, blake3()

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return self._file.write(data)

    def writable(self) -> bool:
        return True


class Hashing(StreamTransformExtension):
    """Of torch's files."""

    def transform_to(self, output: IO[bytes]) -> Any:
        return HashedStream(output)

    def transform_from(self, input: IO[bytes]) -> IO[bytes]:
        return input

    def get_descriptor(self) -> str:
        return "hashed/1"

    @staticmethod
    def registry_name() -> str:
        return "hashed"

    @staticmethod
    def from_descriptor(version: str) -> Hashing:
        return Hashing()
