"""`index.json`: which samples a folder of shards holds, and where (contract 2).

Written last and atomically, so a folder without it is an unfinished data set. The dataset id is the hash of what the
shards contain: two folders with the same bytes are the same data set, and a changed shard is another one.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dual_hpc.atomic import write_atomically
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.file_kind import stand_in
from dual_hpc.regular_file import LARGE, read_bytes

FORMAT_VERSION = 1
INDEX_NAME = "index.json"


_Offset = Annotated[int, Field(ge=0, le=2**62)]  # bytes
_Crc32 = Annotated[int, Field(ge=0, lt=2**32)]
_Index = TypeVar("_Index", bound="ShardIndex")


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


class ShardIndex(BaseModel):
    """All shards of a folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT_VERSION
    dataset_id: str
    corpus: str
    kind: Literal["media", "features"] = "media"
    options: dict[str, str]  # packing options; for features also the encoders' identity
    shards: list[Shard]


def dataset_id(shards: list[Shard]) -> str:
    """Identity of a data set: a hash over the names and contents of its shards, in order."""
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(f"{shard.name}:{shard.sha256}\n".encode())
    return digest.hexdigest()[:32]


def write_index(folder: Path, index: ShardIndex) -> None:
    """Write `index.json` so that it appears complete or not at all."""
    content = index.model_dump(mode="json", exclude_none=True)
    write_atomically(folder / INDEX_NAME, json.dumps(content, ensure_ascii=False, separators=(",", ":")))


@overload
def read_index(folder: str | Path) -> ShardIndex: ...


@overload
def read_index(folder: str | Path, form: type[_Index]) -> _Index: ...


def read_index(folder: str | Path, form: type[Any] = ShardIndex) -> Any:
    """The index of a folder of shards.

    Args:
        form: a subclass that keeps something else of it.

    Raises:
        UserError: the folder is missing, empty or unfinished, or its index is not one of ours.
        EnvironmentFault: the index cannot be read.
    """
    folder = Path(folder)
    path = folder / INDEX_NAME
    if not os.path.isdir(folder):
        raise UserError(f"data.shards: the folder {folder} does not exist; pack a corpus there with `dual-hpc pack`")
    if not os.path.exists(path):
        raise UserError(f"data.shards: {folder} has no {INDEX_NAME} (empty or unfinished); run `dual-hpc pack` again")
    try:
        index = form.model_validate_json(read_bytes(path, LARGE))
    except OSError as error:
        raise EnvironmentFault(f"data.shards: cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "content"
        reason = stand_in(path) or f"is not a shard index ({where}: {first['msg']})"
        raise UserError(f"data.shards: {path} {reason}") from error
    if index.format_version != FORMAT_VERSION:
        raise UserError(f"data.shards: {path} has format {index.format_version}, this version reads {FORMAT_VERSION}")
    return index
