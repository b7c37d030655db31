"""Size and sha256 of a file, computed while it is written or read."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dual_hpc.files.flush import flush_file
from dual_hpc.files.regular_file import open_regular
from dual_hpc.heartbeat import beat

_CHUNK = 1 << 22


class FileDigest(BaseModel):
    """Size and hash that a file must have to be read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


def _stay_inside(files: dict[str, FileDigest]) -> dict[str, FileDigest]:
    for name in files:
        if name.startswith("/") or ".." in Path(name).parts or "\0" in name:
            raise ValueError(f"{name} is outside the folder")
    return files


# What a manifest lists: path relative to its folder, and never out of it, -> digest.
FileDigests = Annotated[dict[str, FileDigest], AfterValidator(_stay_inside)]


class HashingWriter:
    """A file opened for writing that hashes what is written; `finish` flushes it to the disk and returns its digest.

    Attributes:
        failure: the first error of a write; torch replaces it by one that does not say the reason.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115  closed by `close`
        self._digest = hashlib.sha256()
        self._bytes = 0
        self.failure: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Append; `torch.save` writes a zip archive sequentially, so nothing seeks."""
        try:
            written = self._file.write(data)
        except OSError as error:
            self.failure = self.failure or error
            raise
        self._digest.update(data)
        self._bytes += written
        beat()
        return written

    def flush(self) -> None:
        """Part of what `torch.save` expects of a file."""
        self._file.flush()

    def finish(self) -> FileDigest:
        """Flush to the disk, close, and return the digest of what was written."""
        try:
            self._file.flush()
            flush_file(self._file.fileno())
        finally:
            self._file.close()
        return FileDigest(bytes=self._bytes, sha256=self._digest.hexdigest())

    def abandon(self) -> None:
        """Close without a digest, after an error; does nothing after `finish`."""
        with contextlib.suppress(OSError):  # writing the rest of its buffer fails as well
            self._file.close()


def hash_file(path: Path) -> FileDigest:
    """Size and sha256 of a file on the disk.

    Raises:
        OSError: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            beat()
    return FileDigest(bytes=size, sha256=digest.hexdigest())


def find_damage(path: Path, expected: FileDigest) -> str | None:
    """How the file differs from `expected`; None if it does not."""
    try:
        size = path.stat().st_size
        if size != expected.bytes:
            return f"{path.name} has {size} bytes instead of {expected.bytes}"
        if hash_file(path).sha256 != expected.sha256:
            return f"{path.name} has other content than was written"
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
    return None
