"""DeepSpeed's own files, written with a proof and read only with one.

DeepSpeed keeps its state as pickles. They are read with torch's restricted unpickler, which builds tensors, plain
data and the few DeepSpeed classes named here, and only after the manifest has proven their content.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, cast

import torch
from deepspeed.runtime.checkpoint_engine import CheckpointCommitInfo
from deepspeed.runtime.checkpoint_engine.checkpoint_engine import CheckpointEngine

from dual_hpc.checkpoint.manifest import Manifest
from dual_hpc.checkpoint.proof import FileProof, ProvenFile
from dual_hpc.errors import EnvironmentFault

FOLDER = "deepspeed"


class ProvenFiles(CheckpointEngine):
    """The file layer of a DeepSpeed engine (its `checkpoint_engine`)."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "ProvenFiles"
        self._written: dict[Path, FileProof] = {}
        self._failure: OSError | None = None
        self._proven: set[Path] = set()

    def create(self, info: CheckpointCommitInfo) -> None:
        """Begin a checkpoint."""

    def save(self, state_dict: Any, path: str) -> None:
        """Write one file. A failure is kept for `collect`: DeepSpeed's save has barriers that all ranks must reach."""
        if self._failure is not None:
            return
        try:
            file = ProvenFile(Path(path))
            try:
                torch.save(state_dict, cast(IO[bytes], file))
            except BaseException:
                file.abandon()
                raise
            self._written[Path(path)] = file.finish()
        except OSError as error:
            self._failure = error
        except RuntimeError as error:  # what torch makes of a failed write
            self._failure = OSError(f"writing {Path(path).name} failed: {error}")

    def commit(self, info: CheckpointCommitInfo) -> bool:
        """Nothing: `dual_hpc.checkpoint.commit` decides what becomes a checkpoint."""
        return True

    def collect(self, folder: Path) -> dict[str, FileProof]:
        """The proofs of what was written since the last call, by path relative to `folder`.

        Raises:
            OSError: a write failed.
        """
        written, failure = self._written, self._failure
        self._written, self._failure = {}, None
        if failure is not None:
            raise failure
        return {path.relative_to(folder).as_posix(): proof for path, proof in written.items()}

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
