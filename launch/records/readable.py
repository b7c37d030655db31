"""Read many folders of a store of which some may be damaged, so that none hides the others."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from dual_hpc.errors import DualError, one_line

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Folder(Protocol):
    """A run's directory, or a job's."""

    @property
    def path(self) -> Path: ...


Entry = TypeVar("Entry", bound=Folder)
Found = TypeVar("Found")


def partition(runs: Iterable[Entry], read: Callable[[Entry], Found]) -> tuple[dict[Path, Found], dict[Path, str]]:
    """What `read` makes of each folder, by its path, and the reason of each of which it makes nothing.

    Nothing is known of what is wrong with a file in a store, which many may write, so every kind of error counts.
    """
    found, broken = {}, {}
    for run in runs:
        try:
            found[run.path] = read(run)
        except Exception as error:
            broken[run.path] = _reason(error)
    return found, broken


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        where = f"{Path(os.fsdecode(error.filename)).name}: " if error.filename else ""
        return one_line(f"{where}{error.strerror or error}", 300)
    name = "" if isinstance(error, DualError) else f"{type(error).__name__}: "
    return one_line(f"{name}{error}", 300)


def folders_with(root: Path, name: str) -> Iterator[Path]:
    """The folders in `root` that hold something called `name`, and those that may not be looked into; in order."""
    try:
        there = sorted(root.iterdir())
    except FileNotFoundError:
        return
    for path in there:
        try:
            os.lstat(path / name)
        except OSError as error:
            if error.errno in _NOT_THERE:
                continue
        yield path
