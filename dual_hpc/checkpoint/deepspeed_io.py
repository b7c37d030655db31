"""DeepSpeed's own files, written with a proof and read only with one.

DeepSpeed keeps its state as pickles. They are read with torch's restricted unpickler, which builds tensors, plain
data and the few DeepSpeed classes named here, and only after the manifest has proven their content.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import torch
from deepspeed.runtime.checkpoint_engine import CheckpointCommitInfo
from deepspeed.runtime.checkpoint_engine.checkpoint_engine import CheckpointEngine

from dual_hpc.checkpoint.digest import FileProof, ProvenFile
from dual_hpc.checkpoint.manifest import Manifest
from dual_hpc.errors import EnvironmentFault

FOLDER = "deepspeed"


def write_file(content: Any, path: Path) -> FileProof:
    """Write one file, flushed to the disk.

    Raises:
        OSError: it cannot be written.
    """
    file = ProvenFile(path)
    try:
        torch.save(content, cast(IO[bytes], file))
        return file.finish()
    except RuntimeError as error:  # what torch makes of a failed write
        raise file.failure or OSError(f"writing {path.name} failed: {error}") from error
    finally:
        file.abandon()


class ProvenFiles(CheckpointEngine):
    """The file layer of a DeepSpeed engine (its `checkpoint_engine`). It writes nothing: it takes what would be saved.

    So DeepSpeed's save, which has barriers of its own, never meets a file system, and files are written when and where
    the commit protocol says.
    """

    def __init__(self) -> None:
        super().__init__()
        self.name = "ProvenFiles"
        self._copy: Callable[[Any], Any] = lambda state: state
        self._taken: dict[str, Any] = {}
        self._proven: set[Path] = set()

    def create(self, info: CheckpointCommitInfo) -> None:
        """Begin a checkpoint."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing: folders are made by who writes."""

    def save(self, state_dict: Any, path: str) -> None:
        """Take the content of one file."""
        self._taken[Path(path).as_posix()] = self._copy(state_dict)

    def commit(self, info: CheckpointCommitInfo) -> bool:
        """Nothing: `dual_hpc.checkpoint.commit` decides what becomes a checkpoint."""
        return True

    def take(self, save: Callable[[str], Any], copy: Callable[[Any], Any]) -> dict[str, Any]:
        """What DeepSpeed's save would write here, by relative path.

        Args:
            save: calls DeepSpeed's `save_checkpoint` for the folder it is given.
            copy: applied to the content of every file as soon as it is known.
        """
        self._taken, self._copy = {}, copy
        save(".")
        taken, self._taken = self._taken, {}
        return taken

    def believe(self, folder: Path, manifest: Manifest) -> None:
        """Allow `load` of the files that `manifest` names; the caller has verified them."""
        self._proven = {folder / name for name in manifest.files}

    def load(self, path: str, map_location: Any = None, mmap: bool = False) -> Any:
        """Read one file; with `mmap` only those of its tensors that are looked at.

        Raises:
            EnvironmentFault: the manifest does not prove it, or it holds objects that are not expected there.
        """
        if Path(path) not in self._proven:
            raise EnvironmentFault(f"{path} is not proven by the checkpoint's manifest and is not read")
        try:
            with torch.serialization.safe_globals(_expected_classes()):
                return torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
        except Exception as error:
            raise EnvironmentFault(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def _expected_classes() -> list[Any]:
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return [DynamicLossScaler, LossScaler, ZeroStageEnum, fragment_address]
