"""Room for the last words of each rank, taken while there is room: a full disk must not hide that it was full.

`logs/failures.reserved` is allocated when a job begins, with one slot per rank. A rank that cannot append to
`failures.jsonl` writes its failure over its slot, which needs no new block (but on file systems that copy on write).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from dual_hpc.files.regular_file import regular_descriptor

NAME = "failures.reserved"
SLOT = 2048  # bytes per rank


def reserve(logs: Path, ranks: int) -> None:
    """Allocate the slots of a job, empty; where there is no room already, nothing is reserved."""
    with contextlib.suppress(OSError):
        file = os.open(logs / NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        try:
            os.posix_fallocate(file, 0, ranks * SLOT)
            for rank in range(ranks):
                os.pwrite(file, b" " * SLOT, rank * SLOT)
            os.ftruncate(file, ranks * SLOT)
            os.fsync(file)
        finally:
            os.close(file)


def write(logs: Path, rank: int, record: BaseModel) -> None:
    """Write over the slot of a rank.

    Raises:
        OSError: nothing was reserved, or the disk fails.
        ValueError: the record is too long.
    """
    line = record.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n"
    if len(line) > SLOT:
        raise ValueError(f"{len(line)} bytes do not fit")
    file = os.open(logs / NAME, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if os.fstat(file).st_size < (rank + 1) * SLOT:
            raise OSError("no slot was reserved for this rank")
        os.pwrite(file, line.ljust(SLOT), rank * SLOT)
        os.fsync(file)
    finally:
        os.close(file)


def read(logs: Path) -> Iterator[bytes]:
    """What was written into slots, in the order of the ranks; nothing where nothing was reserved."""
    try:
        with os.fdopen(regular_descriptor(logs / NAME), "rb") as file:
            slots = iter(lambda: file.read(SLOT), b"")
            yield from (slot.strip() for slot in slots if slot.strip(b" \0\n"))
    except OSError:
        return
