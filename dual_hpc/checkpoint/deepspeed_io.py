"""DeepSpeed's own files: hashed while they are written, and read only after they were verified.

DeepSpeed stores its state as pickles. They are read with torch's restricted unpickler, which builds tensors, plain
data and the few DeepSpeed classes named here, and only if the manifest lists them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, cast

import torch
from deepspeed.runtime.checkpoint_engine import CheckpointCommitInfo
from deepspeed.runtime.checkpoint_engine.checkpoint_engine import CheckpointEngine
from torch.utils.serialization import config as serialization

from dual_hpc.checkpoint.host_copy import tensors_of
from dual_hpc.checkpoint.manifest import Manifest
from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.digest import FileDigest, HashingWriter
from dual_hpc.files.regular_file import open_regular
from dual_hpc.heartbeat import beat

FOLDER = "deepspeed"
_IN_CACHE = 1 << 20  # bytes


def write_file(content: Any, path: Path) -> FileDigest:
    """Write one file and flush it to the disk.

    Raises:
        OSError: it cannot be written.
    """
    file = HashingWriter(path)
    try:
        # The digest protects more than a CRC-32 of each tensor, and costs less. The patch holds in this thread alone.
        with serialization.patch("save.compute_crc32", False):  # type: ignore[attr-defined]
            torch.save(content, cast(IO[bytes], file))
        return file.finish()
    except RuntimeError as error:  # torch hides the error of a failed write
        raise file.failure or OSError(f"writing {path.name} failed: {error}") from error
    finally:
        file.abandon()


class VerifiedFiles(CheckpointEngine):
    """The file layer of a DeepSpeed engine (its `checkpoint_engine`).

    It writes nothing: it captures what would be saved. DeepSpeed's save, which has barriers of its own, then does no
    file I/O, and files are written when and where the commit protocol says.
    """

    def __init__(self) -> None:
        super().__init__()
        self.name = "VerifiedFiles"
        self._copy: Callable[[Any], Any] = lambda state: state
        self._captured: dict[str, Any] = {}
        self._verified: set[Path] = set()
        self._mapped: set[int] = set()

    def create(self, info: CheckpointCommitInfo) -> None:
        """Begin a checkpoint."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing: folders are made by the code that writes the files."""

    def save(self, state_dict: Any, path: str) -> None:
        """Capture the content of one file."""
        self._captured[Path(path).as_posix()] = self._copy(state_dict)

    def commit(self, info: CheckpointCommitInfo) -> bool:
        """Nothing: `dual_hpc.checkpoint.commit` decides what becomes a checkpoint."""
        return True

    def capture(self, save: Callable[[str], Any], copy: Callable[[Any], Any]) -> dict[str, Any]:
        """The content that DeepSpeed's save would write in this process, by relative path.

        Args:
            save: calls DeepSpeed's `save_checkpoint` for the folder it is given.
            copy: applied to the content of every file as soon as it is known.
        """
        self._captured, self._copy = {}, copy
        save(".")
        captured, self._captured = self._captured, {}
        return captured

    def allow(self, folder: Path, manifest: Manifest) -> None:
        """Allow `load` of the files that `manifest` lists; the caller has verified them."""
        self._verified = {folder / name for name in manifest.files}

    def load(self, path: str, map_location: Any = None, mmap: bool = False) -> Any:
        """Read one file, as a map: its tensors are in the page cache, and take no memory of this process.

        What is kept of them longer than the file may lie there is to be copied: `copy_mapped`.

        Args:
            mmap: only a part of the tensors will be accessed; else all of the file is read at once.

        Raises:
            EnvironmentFault: it was not verified, or it holds objects that are not expected in it.
        """
        if Path(path) not in self._verified:
            raise EnvironmentFault(f"{path} is not verified by a checkpoint's manifest and is not read")
        try:
            if not mmap:
                _read_ahead(Path(path))
            with torch.serialization.safe_globals(_expected_classes()):
                content = torch.load(path, map_location=map_location, weights_only=True, mmap=True)
        except Exception as error:
            raise EnvironmentFault(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
        self._mapped |= {tensor.untyped_storage()._cdata for tensor in tensors_of(content) if not tensor.is_cuda}
        return content

    def copy_mapped(self, states: Iterable[dict[str, Any]]) -> None:
        """Copy the tensors of an optimizer's states that are still maps of files.

        torch's optimizers keep the tensors that they are given. A file that is mapped cannot be deleted on NFS, and a
        disk's error would end the process without a word.
        """
        for state in states:
            for key, value in state.items():
                if isinstance(value, torch.Tensor) and value.untyped_storage()._cdata in self._mapped:
                    state[key] = value.clone()
        self._mapped = set()


def _read_ahead(path: Path) -> None:
    """Bring a file into the page cache: in large pieces, each a sign of progress, with errors that can be told."""
    piece = memoryview(bytearray(_IN_CACHE))
    with open_regular(path) as file:
        while os.readv(file.fileno(), [piece]):
            beat()


def _expected_classes() -> list[Any]:
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return [DynamicLossScaler, LossScaler, ZeroStageEnum, fragment_address]
