"""`index.json`: which samples a folder of shards holds, and where (contract 2).

Written last and atomically, so a folder without it is an unfinished data set. The dataset id is the hash of what the
shards contain: two folders with the same bytes are the same data set, and a changed shard is another one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dual_hpc.data.format.columns import Columns
from dual_hpc.data.format.columns_file import COLUMNS_NAME, LEAST_INDEX, write_columns
from dual_hpc.data.format.garbage_collector import garbage_collector_paused
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.file_kind import other_kind, stand_in
from dual_hpc.files.regular_file import LARGE, read_bytes
from dual_hpc.heartbeat import beat

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
INDEX_NAME = "index.json"
UNFINISHED = ".pack"  # the folder beside it until it is written
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")


_Offset = Annotated[int, Field(ge=0, le=2**62)]  # bytes
_Crc32 = Annotated[int, Field(ge=0, lt=2**32)]


class IndexedSample(BaseModel):
    """One sample of a shard: its metadata and where each member's bytes lie in the tar."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    meta: Utterance
    members: dict[str, tuple[_Offset, _Offset]]  # extension -> (offset of the data in the tar, bytes)
    crc32: dict[str, _Crc32] = {}  # of each member: a damaged shard's sha256 does not say which sample is damaged


class Shard(BaseModel):
    """One tar."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[^/]*[^/.][^/]*$", description="of a file in the index's own folder")
    bytes: int
    sha256: str
    samples: list[IndexedSample]


class NamedShard(Protocol):
    """What the identity of a data set depends on."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...


class ShardIndex(BaseModel):
    """All shards of a folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT_VERSION
    dataset_id: str
    corpus: str
    kind: Literal["media", "features"] = "media"
    options: dict[str, str]  # packing options; for features also the encoders' identity
    shards: list[Shard]


def dataset_id(shards: Iterable[NamedShard]) -> str:
    """Identity of a data set: a hash over the names and contents of its shards, in order."""
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(f"{shard.name}:{shard.sha256}\n".encode())
    return digest.hexdigest()[:32]


def write_index(folder: Path, index: ShardIndex) -> None:
    """Write `index.json` so that it appears complete or not at all; for a large one its columns, before it."""
    content = index.model_dump(mode="json", exclude_none=True)
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    del content
    columns = folder / COLUMNS_NAME
    if len(data) >= LEAST_INDEX:
        try:
            write_columns(columns, Columns.of(index), hashlib.sha256(data).hexdigest())
        except OSError as error:  # readers make their own
            log.warning("%s cannot be written: %s", columns, error.strerror)
    else:
        with suppress(OSError):
            columns.unlink()
    write_atomically(folder / INDEX_NAME, data)


def read_index(folder: str | Path, setting: str = "data.shards") -> ShardIndex:
    """The index of a folder of shards.

    Args:
        setting: what the user named the folder by.

    Raises:
        UserError: the folder is missing, empty or unfinished, or its index is not one of ours.
        EnvironmentFault: the index cannot be read.
    """
    folder = Path(folder)
    path = folder / INDEX_NAME
    if not os.path.exists(path):
        raise UserError(f"{setting}: {_why_no_index(folder)}")
    try:
        data = read_bytes(path, LARGE)
    except OSError as error:
        raise EnvironmentFault(f"{setting}: cannot read {path}: {error.strerror}") from error
    return parse_index(data, path, setting)


def parse_index(data: bytes, path: Path, setting: str) -> ShardIndex:
    """The index that these bytes of `path` are.

    Raises:
        UserError: it is not one of ours.
    """
    try:
        with garbage_collector_paused():
            index = ShardIndex.model_validate_json(data)
        beat()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "content"
        reason = stand_in(path) or f"is not a shard index ({where}: {first['msg']})"
        raise UserError(f"{setting}: {path} {reason}") from error
    if index.format_version != FORMAT_VERSION:
        raise UserError(f"{setting}: {path} has format {index.format_version}, this version reads {FORMAT_VERSION}")
    return index


def _why_no_index(folder: Path) -> str:
    """What a path is that holds no index, and what to do."""
    if not os.path.lexists(folder):
        return f"the folder {folder} does not exist; pack a corpus there with `dual-hpc pack`"
    if not folder.is_dir():
        kind = stand_in(folder) or other_kind(folder) or "is a file"
        beside = folder.parent / INDEX_NAME
        give = f"give its folder {folder.parent}" if beside.exists() else f"give a folder with an {INDEX_NAME}"
        return f"{folder} {kind}, not a folder of shards; {give}"
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        return f"{folder} cannot be listed: {error.strerror}"
    if not names:
        return f"{folder} has no {INDEX_NAME}: it is empty; pack a corpus there with `dual-hpc pack`"
    if UNFINISHED in names:
        return f"{folder} has no {INDEX_NAME}: its packing is unfinished; give the same `dual-hpc pack` command again"
    inside = [name for name in names if os.path.exists(folder / name / INDEX_NAME)]
    if inside:
        return f"{folder} has no {INDEX_NAME}, but folders in it have: {', '.join(inside[:5])}; give one of them"
    tars = [name for name in names if name.endswith(TAR_SUFFIXES)]
    if tars:
        return (
            f"{folder} has {len(tars)} tar files and no {INDEX_NAME}: dual-hpc did not write them, or their index was "
            "removed; only shards with the index that `dual-hpc pack` writes can be read"
        )
    return f"{folder} has no {INDEX_NAME} and no tar files: it holds no shards; pack a corpus with `dual-hpc pack`"
