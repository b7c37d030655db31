"""Records in a file of JSON lines: appended with one write each, so that processes do not tear each other's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

Record = TypeVar("Record", bound=BaseModel)


def append(path: Path, record: BaseModel) -> None:
    """Add one line."""
    line = record.model_dump_json(exclude_none=True, by_alias=True) + "\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read(path: Path, kind: type[Record]) -> list[Record]:
    """The records in the order written; torn lines are left out, a missing file has none."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(kind.model_validate_json(line))
        except ValidationError:
            continue
    return found
