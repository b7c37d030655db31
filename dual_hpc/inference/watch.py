"""`predict --watch`: each new file of a folder is answered once, when it is complete."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dual_hpc.files.digest import hash_file
from dual_hpc.inference.answered_files import AnsweredFiles, Content

LOOK_SECONDS = 0.5  # from one look at the folder to the next
# What programs write, download and edit under, until a file is complete.
_TEMPORARY = (
    *(".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".opdownload", ".aria2", ".!ut"),
    *(".swp", ".swx", ".bak", ".lock", ".writing", ".incomplete", ".inprogress", ".uploading", "~"),
)


def is_temporary(name: str) -> bool:
    """True of a name under which a file is not complete yet, and of hidden ones."""
    return name.startswith((".", "~", "#")) or name.lower().endswith(_TEMPORARY)


@dataclass(frozen=True)
class Look:
    """How a file was at one look; while it is written, two looks differ.

    Attributes:
        size: bytes; -1 of what cannot be looked at, as a link that leads nowhere.
        written, changed: mtime and ctime, ns.
    """

    size: int
    written: int
    changed: int


def look_at(path: Path) -> Look:
    """The file as it is now."""
    try:
        found = path.stat()
    except OSError:
        return Look(-1, 0, 0)
    return Look(found.st_size if stat.S_ISREG(found.st_mode) else 0, found.st_mtime_ns, found.st_ctime_ns)


def files_of(folder: Path, without: Path | None = None) -> Iterator[Path]:
    """Everything in a folder, and below it, that may become a clip, in order of name; no folders.

    Args:
        without: a file that is not meant, as the output.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_temporary(name))
        for name in sorted(names):
            path = Path(place, name)
            if not is_temporary(name) and path != without:
                yield path


@dataclass
class Settling:
    """Which files have been as they are for long enough.

    Args:
        seconds: for how long.
    """

    seconds: float
    _since: dict[Path, tuple[Look, float]] = field(default_factory=dict)

    def settled(self, looks: Mapping[Path, Look], now: float) -> list[Path]:
        """The files of this look that have not changed for `seconds`, in their order.

        Args:
            now: seconds of a clock that never goes back.
        """
        before = self._since
        self._since = {
            path: before[path] if path in before and before[path][0] == look else (look, now)
            for path, look in looks.items()
        }
        return [path for path, (_, since) in self._since.items() if now - since >= self.seconds]


@dataclass
class Watch:
    """A folder that is watched.

    Args:
        folder: absolute.
        answers: where answers go, which says what was answered before.
        answer: a file -> its records.
        seconds: for which a file must have been the same to be complete.
        without: a file in the folder that is not meant.

    Attributes:
        answered, failed: files so far.
    """

    folder: Path
    answers: AnsweredFiles
    answer: Callable[[Path], Sequence[Mapping[str, Any]]]
    seconds: float
    without: Path | None = None
    answered: int = 0
    failed: int = 0

    def __post_init__(self) -> None:
        self._settling = Settling(self.seconds)
        self._seen: dict[Path, Look] = {}  # answered, as they are

    def run(self) -> None:
        """Look and answer until something is raised, as by Ctrl-C."""
        while True:
            self.look()
            time.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Answer what has become complete since the last look."""
        looks = {path: look_at(path) for path in files_of(self.folder, self.without)}
        self._seen = {path: look for path, look in self._seen.items() if path in looks}
        new = {path: look for path, look in looks.items() if self._seen.get(path) != look}
        for path in self._settling.settled(new, time.monotonic()):
            if look_at(path) == new[path]:
                self._take(path, new[path])

    def _take(self, path: Path, look: Look) -> None:
        name, before = str(path), self.answers.content(str(path))
        if before is not None and (before.size, before.changed) == (look.size, look.changed):
            self._seen[path] = look
            return
        content = Content(look.size, look.changed, _digest(path))
        if before is not None and content.digest and before.digest == content.digest:
            self.answers.note(name, content)
            self._seen[path] = look
            return
        records = self.answer(path)
        if look_at(path) != look:
            return  # it was written, or deleted, meanwhile: an answer about half of it is none
        self.answers.append(name, content, records)
        self._seen[path] = look
        if any("error" in record and "start" not in record for record in records):
            self.failed += 1
        else:
            self.answered += 1


def _digest(path: Path) -> str:
    """Empty of what is no file, or cannot be read."""
    try:
        return hash_file(path, "blake3").hash
    except OSError:
        return ""
