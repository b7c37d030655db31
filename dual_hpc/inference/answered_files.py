"""The output of `predict --watch`: JSON lines that also say which files are answered, whenever the program is ended.

Every line has the answer of `predict`, and besides
    "file": {"bytes": 48213, "ctime_ns": 1764253, "blake3": "af13..."}    which content was answered
    "window": 2, "windows": 7                                             the second of seven lines of this file
so that a file whose lines are not all there was interrupted: they are cut off, and it is answered again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dual_hpc.errors import UserError
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.locks import LocksUnsupported, try_lock
from dual_hpc.files.regular_file import check_regular, open_regular
from dual_hpc.printable import json_line

_LONGEST = 1 << 24  # bytes of a line


@dataclass(frozen=True)
class Content:
    """What a file held when it was answered.

    Attributes:
        size: bytes.
        changed: ctime, ns.
        digest: BLAKE3 in hexadecimal; empty of what could not be read.
    """

    size: int
    changed: int
    digest: str

    def to_json(self) -> dict[str, Any]:
        """As lines have it."""
        return {"bytes": self.size, "ctime_ns": self.changed, "blake3": self.digest}


class AnsweredFiles:
    """An output file that is open for appending, by one process at a time; see `open_answers`."""

    def __init__(self, descriptor: int, known: dict[str, Content]) -> None:
        self._descriptor, self._known = descriptor, known

    def content(self, name: str) -> Content | None:
        """What a file held when it was last answered; None of one that never was."""
        return self._known.get(name)

    def note(self, name: str, content: Content) -> None:
        """The same file, of the same content, was touched."""
        self._known[name] = content

    def append(self, name: str, content: Content, records: Sequence[Mapping[str, Any]]) -> None:
        """Write all answers of a file at once, onto the disk.

        Raises:
            OSError: they cannot be written.
        """
        about = {"file": content.to_json()}
        lines = [
            json_line({**record, **about, "window": number, "windows": len(records)}, "utf-8")
            for number, record in enumerate(records, 1)
        ]
        rest = memoryview("".join(f"{line}\n" for line in lines).encode())
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        os.fsync(self._descriptor)
        self._known[name] = content


@contextlib.contextmanager
def open_answers(path: Path) -> Iterator[AnsweredFiles]:
    """Open, or make, an output; what an interrupted program wrote of its last file is cut off.

    Raises:
        UserError: it holds something else, or another process appends to it.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    try:
        check_regular(descriptor, path)
        with contextlib.suppress(LocksUnsupported):
            if not try_lock(descriptor, path):
                raise UserError(f"--output: {path}: another process appends to it; end that, or choose another file")
        known, keep = read_answers(path)
        if keep < os.fstat(descriptor).st_size:
            os.ftruncate(descriptor, keep)
        if keep and os.pread(descriptor, 1, keep - 1) != b"\n":
            os.write(descriptor, b"\n")
        yield AnsweredFiles(descriptor, known)
    finally:
        os.close(descriptor)


def read_answers(path: Path) -> tuple[dict[str, Content], int]:
    """(file -> what it held when it was answered, bytes of the output that are complete).

    Raises:
        UserError: a line is no answer.
    """
    known: dict[str, Content] = {}
    begin = at = 0  # of the lines of a file that is not complete; of this line
    with open_regular(path) as lines:
        for number, raw in enumerate(iter(lambda: lines.readline(_LONGEST), b""), 1):
            record = _record(raw)
            if record is None:
                torn = len(raw) < _LONGEST and not raw.endswith(b"\n") and raw.startswith((b"{", b"\0"))
                if not torn:
                    raise UserError(f"--output: {path}:{number} was not written by predict; choose another file")
                return known, begin
            at += len(raw)
            if record.get("window", 1) == record.get("windows", 1):
                begin = at
                if (content := _content(record)) is not None:
                    known[str(record["input"])] = content
    return known, begin


def _record(raw: bytes) -> dict[str, Any] | None:
    try:
        found = parse_json(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "input" in found else None


def _content(record: Mapping[str, Any]) -> Content | None:
    match record.get("file"):
        case {"bytes": int(size), "ctime_ns": int(changed), "blake3": str(digest)}:
            return Content(size, changed, digest)
    return None
