"""Proof of a file's content: its size and sha256, taken while it is written or read."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field

_CHUNK = 1 << 22


class FileProof(BaseModel):
    """What a file must be to be believed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class ProvenFile:
    """A file opened for writing that hashes what passes through and is on the disk when its proof is given.

    Attributes:
        failure: the first error of a write; torch replaces it by one that does not say why.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115  closed by `close`
        self._digest = hashlib.sha256()
        self._bytes = 0
        self.failure: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Append; `torch.save` writes a zip archive in sequence, so nothing ever seeks."""
        try:
            written = self._file.write(data)
        except OSError as error:
            self.failure = self.failure or error
            raise
        self._digest.update(data)
        self._bytes += written
        return written

    def flush(self) -> None:
        """Part of what `torch.save` expects of a file."""
        self._file.flush()

    def finish(self) -> FileProof:
        """Flush to the disk, close, and say what was written."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()
        return FileProof(bytes=self._bytes, sha256=self._digest.hexdigest())

    def abandon(self) -> None:
        """Close without a proof, after an error; nothing if it is finished."""
        with contextlib.suppress(OSError):  # what its buffer still holds fails as well
            self._file.close()


def prove(path: Path) -> FileProof:
    """Hash a file as it stands.

    Raises:
        OSError: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileProof(bytes=size, sha256=digest.hexdigest())


def damage(path: Path, proof: FileProof) -> str | None:
    """Why the file is not what `proof` says; None if it is."""
    try:
        size = path.stat().st_size
        if size != proof.bytes:
            return f"{path.name} has {size} bytes instead of {proof.bytes}"
        if prove(path).sha256 != proof.sha256:
            return f"{path.name} has another content than was written"
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
    return None
