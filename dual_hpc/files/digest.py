"""Size and hash of a file, computed while it is written or read.

Checkpoints, the largest files and the most often written, are hashed with BLAKE3, which is as hard to deceive as
sha256 and several times as fast; everything else, and checkpoints of earlier versions, with sha256.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_serializer, model_validator

from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.large_file import LargeFileWriter
from dual_hpc.files.regular_file import open_regular
from dual_hpc.heartbeat import beat

_IN_CACHE = 1 << 20  # bytes that are copied or read, and hashed before they leave the processor's cache
_MOST_THREADS = 8


class Hash(Protocol):
    """Of bytes so far."""

    def update(self, data: bytes | memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


Algorithm = Literal["sha256", "blake3"]


class FileDigest(BaseModel):
    """Size and hash that a file must have to be read; one hash, under the name of its algorithm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int = Field(ge=0)
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    blake3: str | None = Field(None, pattern="^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _has_one_hash(self) -> FileDigest:
        if (self.sha256 is None) == (self.blake3 is None):
            raise ValueError("a file has one hash, sha256 or blake3")
        return self

    @model_serializer
    def _written(self) -> dict[str, Any]:
        return {"bytes": self.bytes, self.algorithm: self.hash}

    @property
    def algorithm(self) -> Algorithm:
        """Of its hash."""
        return "sha256" if self.blake3 is None else "blake3"

    @property
    def hash(self) -> str:
        """In hexadecimal."""
        return self.blake3 or self.sha256 or ""

    @classmethod
    def of(cls, size: int, algorithm: Algorithm, value: Hash) -> FileDigest:
        """Of a file of so many bytes."""
        return cls.model_validate({"bytes": size, algorithm: value.hexdigest()})


def new_hash(algorithm: Algorithm) -> Hash:
    """Of no bytes yet.

    Raises:
        EnvironmentFault: BLAKE3 is not installed.
    """
    if algorithm == "sha256":
        return hashlib.sha256()
    try:
        from blake3 import blake3
    except ImportError as error:
        raise EnvironmentFault(
            "checkpoints are hashed with BLAKE3, which is not installed: pip install blake3"
        ) from error
    return blake3()


def _stay_inside(files: dict[str, FileDigest]) -> dict[str, FileDigest]:
    for name in files:
        if name.startswith("/") or ".." in Path(name).parts or "\0" in name:
            raise ValueError(f"{name} is outside the folder")
    return files


# What a manifest lists: path relative to its folder, and never out of it, -> digest.
FileDigests = Annotated[dict[str, FileDigest], AfterValidator(_stay_inside)]


class HashingWriter:
    """A new file of a checkpoint, which hashes what is written; `finish` flushes it and returns its digest.

    Attributes:
        failure: the first error of a write; torch replaces it by one that does not say the reason.
    """

    def __init__(self, path: Path) -> None:
        self._digest = new_hash("blake3")
        self._file = LargeFileWriter(path)
        self._bytes = 0
        self.failure: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Append; `torch.save` writes a zip archive sequentially, so nothing seeks."""
        rest = memoryview(data).cast("B")
        for start in range(0, len(rest), _IN_CACHE):
            part = rest[start : start + _IN_CACHE]
            try:
                self._file.write(part)
            except OSError as error:
                self.failure = self.failure or error
                raise
            self._digest.update(part)
        self._bytes += len(rest)
        return len(rest)

    def flush(self) -> None:
        """Part of what `torch.save` expects of a file; `finish` flushes."""

    def finish(self) -> FileDigest:
        """Flush to the disk, close, and return the digest of what was written."""
        self._file.finish()
        return FileDigest.of(self._bytes, "blake3", self._digest)

    def abandon(self) -> None:
        """Close without a digest, after an error; does nothing after `finish`."""
        self._file.close()


def hash_file(path: Path, algorithm: Algorithm = "sha256") -> FileDigest:
    """Size and hash of a file on the disk.

    Raises:
        OSError: it cannot be read.
    """
    digest, size, piece = new_hash(algorithm), 0, memoryview(bytearray(_IN_CACHE))
    with open_regular(path) as file:
        while count := os.readv(file.fileno(), [piece]):  # into the same memory: new memory costs as much as the hash
            digest.update(piece[:count])
            size += count
            beat()
    return FileDigest.of(size, algorithm, digest)


def find_damage(path: Path, expected: FileDigest) -> str | None:
    """How the file differs from `expected`; None if it does not."""
    try:
        size = path.stat().st_size
        if size != expected.bytes:
            return f"{path.name} has {size} bytes instead of {expected.bytes}"
        if hash_file(path, expected.algorithm).hash != expected.hash:
            return f"{path.name} has other content than was written"
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
    return None


def find_damages(folder: Path, expected: Mapping[str, FileDigest]) -> list[str]:
    """How files differ from what is expected of them, by path relative to `folder`; in the order of their names.

    Several are read at once, as many as this process has cores.
    """
    with ThreadPoolExecutor(min(_MOST_THREADS, len(os.sched_getaffinity(0)))) as pool:
        found = pool.map(lambda name: find_damage(folder / name, expected[name]), sorted(expected))
        return [reason for reason in found if reason]
