"""One shard: a tar with the same bytes for the same samples, seen under its final name only when it is complete."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from dual_hpc.data.format.index import IndexedSample, Shard
from dual_hpc.data.format.sample import META, Utterance


@dataclass(frozen=True)
class Sample:
    """What one utterance becomes: its metadata and its other members by extension."""

    meta: Utterance
    members: dict[str, bytes]


def header(key: str, extension: str, size: int) -> bytes:
    """The header of a member in the tar, before its data: name and size, dated 1970, owned by root."""
    info = tarfile.TarInfo(f"{key}.{extension}")
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


class _HashingFile:
    """Hashes what it writes, so that no shard is read again for its sha256."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self.file.write(data)


class ShardWriter:
    """Writes `folder/name` through `temporary`; leaving the block by an exception leaves no shard.

    After the block, `shard` describes what was written; `commit` gives it its final name.
    """

    def __init__(self, folder: Path, name: str, temporary: Path) -> None:
        self.target, self.temporary = folder / name, temporary
        self.samples: list[IndexedSample] = []
        self.shard: Shard | None = None

    def __enter__(self) -> ShardWriter:
        self._raw = open(self.temporary, "wb")
        self._file = _HashingFile(self._raw)
        return self

    def add(self, sample: Sample) -> None:
        """Append one sample; its metadata come first."""
        meta = sample.meta.model_dump_json(exclude_none=True).encode()
        placed: dict[str, tuple[int, int]] = {}
        sums: dict[str, int] = {}
        for extension, data in [(META, meta), *sorted(sample.members.items())]:
            self._file.write(header(sample.meta.key, extension, len(data)))
            placed[extension], sums[extension] = (self._file.size, len(data)), zlib.crc32(data)
            self._file.write(data)
            self._file.write(b"\0" * (-len(data) % tarfile.BLOCKSIZE))
        self.samples.append(IndexedSample(meta=sample.meta, members=placed, crc32=sums))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abandon(error)
            return
        try:
            self._finish()
        except OSError as failed:
            self._abandon(failed)
            raise

    def _abandon(self, error: BaseException | None) -> None:
        self.temporary.unlink(missing_ok=True)
        with suppress(OSError):  # what is still buffered finds no room either
            self._raw.close()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(self.target)  # a failed write does not say where

    def _finish(self) -> None:
        end = 2 * tarfile.BLOCKSIZE
        self._file.write(b"\0" * (end + -(self._file.size + end) % tarfile.RECORDSIZE))
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        self.shard = Shard(
            name=self.target.name,
            bytes=self._file.size,
            sha256=self._file.digest.hexdigest(),
            samples=self.samples,
        )

    def commit(self) -> None:
        """Give the finished shard its final name."""
        assert self.shard is not None, "commit after the block"
        os.replace(self.temporary, self.target)
