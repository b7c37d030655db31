"""Records in a file of JSON lines: appended by several processes, each record whole or reported as not written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from dual_hpc.files.regular_file import LARGE, check_regular, read_bytes

Record = TypeVar("Record", bound=BaseModel)


def append(path: Path, record: BaseModel) -> None:
    """Add one line, and flush it to the disk.

    One write, so that processes do not cut each other's lines. Where the disk takes only a part of it, the whole line
    is written again, once, on a line of its own; the part is left, and is skipped by `read`.

    Raises:
        OSError: it cannot be written (a full disk, a quota). The lines before and after it stay readable.
    """
    line = (record.model_dump_json(exclude_none=True, by_alias=True) + "\n").encode()
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        check_regular(file, path)
        data = b"\n" + line if _ends_in_a_torn_line(file) else line
        rest = data[os.write(file, data) :]
        if len(rest) > 1:
            rest = b"\n" + line
        while rest:  # in parts, if it must be: a disk that never takes a whole line would else be asked for ever
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(file)


def read(path: Path, kind: type[Record]) -> list[Record]:
    """The records in the order written; torn lines are left out, a missing file has none."""
    try:
        lines = read_bytes(path, LARGE).splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(kind.model_validate_json(line))
        except ValidationError:
            continue
    return found


def _ends_in_a_torn_line(file: int) -> bool:
    """True where a writer was killed, or its disk was full, in the middle of a line."""
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"
