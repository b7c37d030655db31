"""Read files that may lie: only regular ones, only as large as they may be, and without waiting.

Under the name of a file may lie a pipe that nobody writes to, a terminal, or a link to `/dev/zero`. Opening or reading
such a thing never ends, so it is refused; opening some devices does something already, so they are not opened at all.
Every refusal is an `OSError` whose `strerror` says what is there, like that of a file that is missing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

SMALL = 1 << 28  # bytes of a file that is read whole: configurations, reports, code
LARGE = 1 << 31  # of those that grow with the data or the training: an index, a journal
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file, or a link to one, for reading bytes.

    Raises:
        OSError: there is none, or something else.
    """
    return os.fdopen(regular_descriptor(path), "rb")


def regular_descriptor(path: str | os.PathLike[str]) -> int:
    """As `open_regular`, the descriptor; the caller closes it."""
    name = os.fspath(path)
    try:
        _check(os.stat(name), name)
        file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:  # NUL, or half of a surrogate pair: no file has such a name
        raise OSError(errno.EINVAL, "no file can have this name", name) from error
    try:
        _check(os.fstat(file), name)
    except OSError:
        os.close(file)
        raise
    return file


def read_bytes(path: str | os.PathLike[str], limit: int = SMALL, start: int = 0) -> bytes:
    """The content of a regular file from byte `start` on, which is at most `limit` bytes.

    Raises:
        OSError: there is none, it is something else, or it is larger.
    """
    with open_regular(path) as file:
        size = max(0, os.fstat(file.fileno()).st_size - start)
        file.seek(start)
        data = file.read(limit + 1) if size <= limit else b""
    if size > limit or len(data) > limit:
        raise OSError(errno.EFBIG, f"is of {max(size, len(data)):,} bytes, more than such a file can have", str(path))
    return data


def read_text(path: str | os.PathLike[str], encoding: str = "utf-8", limit: int = SMALL) -> str:
    """As `read_bytes`, as text.

    Raises:
        UnicodeDecodeError: it is not text of this encoding.
    """
    return read_bytes(path, limit).decode(encoding)


def check_regular(descriptor: int, path: str | os.PathLike[str]) -> None:
    """Refuse to use what was opened for writing, unless it is a regular file: what `/dev/null` takes is lost.

    Raises:
        OSError: it is something else.
    """
    _check(os.fstat(descriptor), os.fspath(path))


def other_than_file(path: str | os.PathLike[str]) -> str | None:
    """What lies where a file should, such as `is a folder` or `is a link to nothing`; None: a file, or nothing."""
    try:
        if stat.S_ISDIR((found := os.stat(path)).st_mode):
            return "is a folder"
        kind = _kind(found)
        return None if kind is None else f"is {kind}"
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            if stat.S_ISLNK(os.lstat(path).st_mode):
                return "is a link to nothing"
    return None


def first_irregular(folder: str | os.PathLike[str]) -> str | None:
    """`NAME is a named pipe` of the first thing in a folder that is neither a file nor a folder; None if nothing is.

    For folders that other people's code reads.
    """
    try:
        entries = sorted(Path(folder).iterdir())
    except OSError:
        return None
    for entry in entries:
        try:
            found = entry.stat()
        except OSError:  # a link to nothing, or a circle of links: it fails at once when it is opened
            continue
        if not stat.S_ISDIR(found.st_mode) and (kind := _kind(found)) is not None:
            return f"{entry.name} is {kind}"
    return None


def _check(found: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if (kind := _kind(found)) is not None:
        raise OSError(errno.EINVAL, f"is {kind}, not a file", name)


def _kind(found: os.stat_result) -> str | None:
    """What something is that is neither a folder nor a file whose content lies somewhere."""
    if stat.S_ISREG(found.st_mode):
        return "one of the kernel's" if found.st_dev in _kernel_devices() else None
    return _KINDS.get(stat.S_IFMT(found.st_mode), "something else")


@lru_cache(maxsize=1)
def _kernel_devices() -> frozenset[int]:
    """The file systems whose files call themselves regular, and may be read without an end (`/proc/kmsg`)."""
    found = set()
    for place in ("/proc", "/sys"):
        with contextlib.suppress(OSError):
            if os.stat(place).st_dev != os.stat("/").st_dev:
                found.add(os.stat(place).st_dev)
    return frozenset(found)
