"""Random access to the samples of plain tars, through offsets and `pread`.

A sample's members are adjacent, so one read fetches them together with their tar headers; the headers verify that the
index and the tar still belong together.
"""

from __future__ import annotations

import os
import zlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType

from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.files.regular_file import regular_descriptor

_BLOCK = 512  # a tar header
_NAME_BYTES = 100  # its name field
_KEPT = 1 << 24  # bytes of a sample whose memory is used for the next
_GAP = 1 << 16  # members farther apart than this are read one by one


@dataclass(frozen=True)
class SampleRef:
    """Address of one sample in one tar.

    Members of other tars, those of the sets that it is joined of (`feature_sets.py`), are called SET/EXTENSION.
    """

    number: int  # in its ShardDataset
    key: str
    path: str
    shard_bytes: int
    members: dict[str, tuple[int, int]]  # extension -> (offset, bytes)
    duration: float  # seconds
    crc32: dict[str, int] = field(default_factory=dict)  # of the members, where the index has it
    beside: dict[str, tuple[str, int]] = field(default_factory=dict)  # set -> its tar with this sample, and its bytes


class SampleReader:
    """Reads samples; keeps the most recently used tars open. Not for use by two threads at once."""

    def __init__(self, open_files: int = 32):
        self._limit = open_files
        self._open: OrderedDict[str, int] = OrderedDict()
        self._memory = memoryview(b"")

    def read(self, ref: SampleRef, wanted: Collection[str] | None = None) -> dict[str, bytes]:
        """The sample's members, extension -> bytes; only those in `wanted` if given.

        Raises:
            EnvironmentFault: the tar is gone, unreadable, or shorter or longer than its index says.
            UserError: the index does not belong to this tar.
        """
        spans = {e: span for e, span in ref.members.items() if wanted is None or e in wanted}
        if not spans:
            return {}
        return {extension: bytes(data) for extension, data in self.views(ref, spans)}

    def views(self, ref: SampleRef, spans: Mapping[str, tuple[int, int]]) -> Iterator[tuple[str, memoryview]]:
        """Each of these members of the sample, and its bytes, which are good until the next is asked for.

        Raises:
            As `read`.
        """
        if ref.beside:
            for name in dict.fromkeys(extension.rpartition("/")[0] for extension in spans):
                own = {e.rpartition("/")[2]: span for e, span in spans.items() if e.rpartition("/")[0] == name}
                path, size = ref.beside.get(name, (ref.path, ref.shard_bytes))
                for extension, data in self.views(replace(ref, path=path, shard_bytes=size, beside={}), own):
                    yield f"{name}/{extension}" if name else extension, data
            return
        file = self._file(ref)
        begin = min(offset for offset, _ in spans.values()) - _BLOCK
        end = max(offset + size for offset, size in spans.values())
        if begin < 0 or end > ref.shard_bytes:
            raise _mismatch(ref)
        if end - begin > sum(size for _, size in spans.values()) + _GAP:
            for extension, (offset, size) in spans.items():
                block = self._block(file, size + _BLOCK, offset - _BLOCK, ref.path)
                _check_header(block, ref, extension)
                yield extension, block[_BLOCK:]
            return
        block = self._block(file, end - begin, begin, ref.path)
        for extension, (offset, _) in spans.items():
            _check_header(block[offset - _BLOCK - begin :], ref, extension)
        for extension, (offset, size) in spans.items():
            yield extension, block[offset - begin : offset - begin + size]

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def __enter__(self) -> SampleReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self.close()

    def _block(self, file: int, size: int, offset: int, path: str) -> memoryview:
        """Bytes of a tar, in memory that is used again and again: that of a new object would be new to the kernel."""
        memory = self._memory
        if len(memory) < size:
            memory = memoryview(bytearray(size + size // 4))
            if size <= _KEPT:
                self._memory = memory
        _read_into(file, memory[:size], offset, path)
        return memory[:size]

    def _file(self, ref: SampleRef) -> int:
        if ref.path in self._open:
            self._open.move_to_end(ref.path)
            return self._open[ref.path]
        try:
            file = regular_descriptor(ref.path)
        except OSError as error:
            raise EnvironmentFault(f"cannot open shard {ref.path}: {error.strerror}") from error
        size = os.fstat(file).st_size
        if size != ref.shard_bytes:
            os.close(file)
            raise EnvironmentFault(
                f"shard {ref.path} has {size} bytes, its index says {ref.shard_bytes}: pack it again"
            )
        self._open[ref.path] = file
        if len(self._open) > self._limit:
            os.close(self._open.popitem(last=False)[1])
        return file


def is_intact(ref: SampleRef, extension: str, data: bytes | memoryview) -> bool:
    """False if the bytes of a member are not those that were packed, as far as the index has checksums."""
    return extension not in ref.crc32 or zlib.crc32(data) == ref.crc32[extension]


def _read_into(file: int, block: memoryview, offset: int, path: str) -> None:
    """Fill the block from `offset` on."""
    end = offset + len(block)
    try:
        while block:  # network file systems may return less than was asked for
            count = os.preadv(file, [block], offset)
            if not count:
                raise EnvironmentFault(f"shard {path} ends before byte {end}, inside a sample: pack it again")
            block, offset = block[count:], offset + count
    except OSError as error:
        raise EnvironmentFault(f"cannot read shard {path}: {error.strerror}") from error


def _check_header(header: memoryview, ref: SampleRef, extension: str) -> None:
    name = bytes(header[:_NAME_BYTES]).rstrip(b"\0")
    if name != f"{ref.key}.{extension}".encode()[:_NAME_BYTES]:
        raise _mismatch(ref)


def _mismatch(ref: SampleRef) -> UserError:
    return UserError(
        f"data.shards: index.json does not belong to {ref.path} (sample {ref.key} is not where it says); "
        "check with `dual-hpc inspect --verify` and pack again"
    )
