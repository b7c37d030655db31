"""`index.json` shard by shard, so that an index may be larger than the memory of a rank.

`write_index` writes the shards last, each beginning with its name and nothing between them. A quote inside of a JSON
string is written as two characters, so the bytes at which a piece is cut stand between two shards or the text is not of
that form; and pieces that are JSON, one by one, say what the whole says. Whatever is written otherwise, by hand or by
another program, is parsed at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dual_hpc.data.format.columns import Columns
from dual_hpc.data.format.garbage_collector import garbage_collector_paused
from dual_hpc.data.format.index import FORMAT_VERSION, INDEX_NAME, Shard, ShardIndex, parse_index
from dual_hpc.files.regular_file import LARGE, open_regular, read_bytes
from dual_hpc.heartbeat import beat

_CHUNK = 1 << 24
_LARGEST_SHARD = 1 << 28  # bytes of its text
_LARGEST = 1 << 35  # of an index; some 7e7 utterances
_SHARDS, _END = b'"shards":[', b"]}"
_BETWEEN = b'},{"name":"'


def columns_of_index(folder: Path, setting: str = "data.shards") -> tuple[Columns, str]:
    """The columns of an index, and the sha256 of the bytes that they were made of.

    Raises:
        UserError: it is not one of ours.
        OSError: it cannot be read.
    """
    path = folder / INDEX_NAME
    with suppress(ValueError):
        return _streamed(path)
    data = read_bytes(path, LARGE)
    return Columns.of(parse_index(data, path, setting)), hashlib.sha256(data).hexdigest()


def sha256_of_index(folder: Path) -> str:
    """The sha256 of an index.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    for chunk in _chunks(folder / INDEX_NAME):
        digest.update(chunk)
    return digest.hexdigest()


def _streamed(path: Path) -> tuple[Columns, str]:
    """As `columns_of_index`.

    Raises:
        ValueError: the text is not of the form that `write_index` gives it, or is no index.
    """
    digest = hashlib.sha256()
    pieces = _pieces(path, digest)
    head = ShardIndex.model_validate_json(next(pieces) + _END)
    if head.format_version != FORMAT_VERSION:
        raise ValueError("another format")
    with garbage_collector_paused():
        columns = Columns.of(head, map(Shard.model_validate_json, pieces))
    return columns, digest.hexdigest()


def _pieces(path: Path, digest: hashlib._Hash) -> Iterator[bytes]:
    """All up to the first shard, then the text of each shard; `digest` takes the whole.

    Raises:
        ValueError: as `_streamed`.
    """
    rest, is_head = b"", True
    for chunk in _chunks(path):
        digest.update(chunk)
        rest, begin = rest + chunk, 0
        if is_head:
            if (begin := rest.find(_SHARDS) + len(_SHARDS)) < len(_SHARDS):
                break
            yield rest[:begin]
            is_head = False
        while (end := rest.find(_BETWEEN, begin)) >= 0:
            yield rest[begin : end + 1]
            begin = end + 2
        rest = rest[begin:]
        if len(rest) > _LARGEST_SHARD:
            break
    rest = rest.rstrip()
    if is_head or not rest.endswith(_END) or len(rest) > _LARGEST_SHARD:
        raise ValueError("not written by write_index")
    if shard := rest.removesuffix(_END):
        yield shard


def _chunks(path: Path) -> Iterator[bytes]:
    with open_regular(path) as file:
        _check_size(file)
        while chunk := file.read(_CHUNK):
            yield chunk
            beat()


def _check_size(file: BinaryIO) -> None:
    if (size := os.fstat(file.fileno()).st_size) > _LARGEST:
        raise OSError(errno.EFBIG, f"is of {size:,} bytes, more than an index can have", file.name)
