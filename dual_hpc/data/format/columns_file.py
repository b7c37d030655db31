"""Columns in a file, which the ranks of a node map: what it takes of their memory, it takes once.

    magic | sha256 of all that follows | bytes of the header, u64 | header, JSON | arrays, aligned to 64 bytes

The header names the index that the columns were made of by its sha256: a file is believed only where both agree. All
numbers are little-endian. Nothing in it is code.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import stat
import time
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from dual_hpc.data.format.coded_column import CodedColumn
from dual_hpc.data.format.columns import CODED, Columns, ShardFile
from dual_hpc.data.format.text_column import TextColumn
from dual_hpc.files.regular_file import regular_descriptor
from dual_hpc.heartbeat import beat

COLUMNS_NAME = "index.columns"  # beside index.json
LEAST_INDEX = 8 << 20  # bytes: a smaller one is parsed in less than half a second by everyone who needs it
_MAGIC = b"dual_hpc columns 1\n"  # another number for another form: readers take a file of theirs or none
_PREFIX = len(_MAGIC) + hashlib.sha256().digest_size
_ALIGNMENT = 64
_LARGEST_HEADER = 1 << 28  # bytes
_LARGEST = 1 << 37
_PIECE = 1 << 24
_LEFT_OVER = 3600.0  # seconds after which a half-written file is nobody's

_Size = Annotated[int, Field(ge=0, le=_LARGEST)]
_DType = Literal["|u1", "<u2", "<u4", "<i4", "<i8", "<f8"]


class _Array(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: _DType
    shape: Annotated[list[_Size], Field(min_length=1, max_length=2)]
    offset: _Size  # from the first byte after the header, padded


class _Shard(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[^/]*[^/.][^/]*$")
    bytes: int
    sha256: str
    samples: _Size


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    index_sha256: str
    dataset_id: str
    corpus: str
    kind: Literal["media", "features"]
    options: dict[str, str]
    shards: list[_Shard]
    layouts: list[tuple[str, ...]]
    arrays: dict[str, _Array]


def write_columns(path: Path, columns: Columns, index_sha256: str) -> None:
    """Write a file that appears complete or not at all; others may write the same at the same time.

    Raises:
        OSError: it cannot be written.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in _arrays_of(columns).items()}
    described, end = {}, 0
    for name, array in arrays.items():
        described[name] = _Array(dtype=array.dtype.newbyteorder("<").str, shape=list(array.shape), offset=end)
        end = _aligned(end + array.nbytes)
    header = _Header(
        index_sha256=index_sha256,
        dataset_id=columns.dataset_id,
        corpus=columns.corpus,
        kind=columns.kind,
        options=columns.options,
        shards=[_Shard(**shard._asdict()) for shard in columns.shards],
        layouts=columns.layouts,
        arrays=described,
    )
    text = header.model_dump_json().encode()
    text = len(text).to_bytes(8, "little") + text
    text += bytes(_aligned(_PREFIX + len(text)) - _PREFIX - len(text))
    digest = hashlib.sha256(text)
    for array in arrays.values():
        for piece in _padded(array):
            digest.update(piece)
    _remove_left_over(path)
    temporary = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            os.fchmod(file.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode) & ~0o022)
            file.write(_MAGIC + digest.digest() + text)
            for array in arrays.values():
                for piece in _padded(array):
                    file.write(piece)
                    beat()
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read_columns(path: Path, index_sha256: str) -> Columns | None:
    """The columns of an index, mapped from a file; None if it is not the index's, or damaged.

    Raises:
        OSError: there is no such file, or it is none.
    """
    with os.fdopen(regular_descriptor(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        prefix = file.read(_PREFIX)
        if size > _LARGEST or prefix[: len(_MAGIC)] != _MAGIC:
            return None
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= _LARGEST_HEADER else b""
        begin = _aligned(file.tell())
        try:
            header = _Header.model_validate_json(text)
        except ValueError:
            return None
        if header.index_sha256 != index_sha256 or not _is_intact(file, prefix[len(_MAGIC) :]):
            return None
        try:
            whole = np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), np.uint8)[begin:]
            columns = _columns(header, {name: _array(whole, described) for name, described in header.arrays.items()})
        except (KeyError, ValueError):
            return None
    return columns if columns.is_sound() else None


def _is_intact(file: BinaryIO, expected: bytes) -> bool:
    digest = hashlib.sha256()
    file.seek(_PREFIX)
    while piece := file.read(_PIECE):
        digest.update(piece)
        beat()
    return digest.digest() == expected


def _array(data: NDArray[np.uint8], described: _Array) -> NDArray[Any]:
    """An array of the file.

    Raises:
        ValueError: it would lie outside.
    """
    dtype = np.dtype(described.dtype)
    end = described.offset + dtype.itemsize * int(np.prod(described.shape, dtype=object))
    if described.offset % _ALIGNMENT or end > len(data):
        raise ValueError("an array lies outside of the file")
    return data[described.offset : end].view(dtype).reshape(described.shape)


def _arrays_of(columns: Columns) -> dict[str, NDArray[Any]]:
    texts = {"keys": columns.keys, "sources": columns.sources}
    texts |= {f"fields.{name}": field.texts for name, field in columns.fields.items()}
    return {
        **{f"{name}.offsets": text.offsets for name, text in texts.items()},
        **{f"{name}.data": text.data for name, text in texts.items()},
        **{f"fields.{name}.codes": field.codes for name, field in columns.fields.items()},
        **{name: getattr(columns, name) for name in ("durations", "layout_of", "member_end", "spans", "crc32")},
    }


_TYPES: dict[str, tuple[str, int]] = {
    **{"durations": ("<f8", 1), "layout_of": ("<i4", 1), "member_end": ("<i8", 1), "spans": ("<i8", 2)},
    "crc32": ("<u4", 1),
}


def _columns(header: _Header, arrays: dict[str, NDArray[Any]]) -> Columns:
    """The columns of these arrays.

    Raises:
        KeyError: one is missing.
        ValueError: one is of another type.
    """

    def text(name: str) -> TextColumn:
        return TextColumn(_typed(arrays, f"{name}.offsets", "<i8"), _typed(arrays, f"{name}.data", "|u1"))

    def coded(name: str) -> CodedColumn:
        codes = arrays[f"fields.{name}.codes"]
        if codes.dtype.kind != "u" or codes.ndim != 1:
            raise ValueError("codes of another type")
        return CodedColumn(codes, text(f"fields.{name}"))

    return Columns(
        dataset_id=header.dataset_id,
        corpus=header.corpus,
        kind=header.kind,
        options=header.options,
        shards=[ShardFile(shard.name, shard.bytes, shard.sha256, shard.samples) for shard in header.shards],
        keys=text("keys"),
        sources=text("sources"),
        fields={name: coded(name) for name in CODED},
        layouts=header.layouts,
        **{name: _typed(arrays, name, *expected) for name, expected in _TYPES.items()},
    )


def _typed(arrays: dict[str, NDArray[Any]], name: str, dtype: str, dimensions: int = 1) -> NDArray[Any]:
    array = arrays[name]
    if array.dtype != np.dtype(dtype) or array.ndim != dimensions:
        raise ValueError(f"{name} is of another type")
    return array


def _padded(array: NDArray[Any]) -> list[memoryview]:
    """The bytes of an array, and of the gap to the next."""
    data = array.reshape(-1).view(np.uint8).data
    gap = memoryview(bytes(_aligned(len(data)) - len(data)))
    return [*(data[at : at + _PIECE] for at in range(0, len(data), _PIECE)), gap]


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _remove_left_over(path: Path) -> None:
    """Files that killed writers of this one have not finished."""
    for other in path.parent.glob(f".{path.name}.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - other.stat().st_mtime > _LEFT_OVER:
                other.unlink()
