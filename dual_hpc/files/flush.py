"""Flush files and folders to the disk, a large file in pieces: each is a sign of progress (`dual_hpc.heartbeat`)."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from dual_hpc.heartbeat import beat

PIECE = 1 << 28  # bytes: at 1 MB/s four minutes
_WRITE = 2  # SYNC_FILE_RANGE_WRITE
_WAIT_WRITE_WAIT = 1 | _WRITE | 4  # SYNC_FILE_RANGE_WAIT_BEFORE, ..., SYNC_FILE_RANGE_WAIT_AFTER
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP)


def flush_file(file: int) -> None:
    """Flush an open file; returns when the disk has it.

    Raises:
        OSError: the disk is full, over its quota, or fails.
    """
    size = os.fstat(file).st_size
    for offset in range(0, size - PIECE, PIECE):
        if not _write_back(file, offset, PIECE, _WAIT_WRITE_WAIT):
            break
        beat()
    os.fsync(file)
    beat()


def start_write_back(file: int, offset: int, count: int) -> None:
    """Let the system begin to write a part of a file to the disk, where it has such a call; `flush_file` must follow.

    Raises:
        OSError: the disk is full, over its quota, or fails.
    """
    _write_back(file, offset, count, _WRITE)


def end_write_back(file: int, offset: int, count: int) -> None:
    """Wait until the disk has a part of a file, where the system can, and drop it from the page cache.

    Raises:
        OSError: the disk is full, over its quota, or fails.
    """
    if _write_back(file, offset, count, _WAIT_WRITE_WAIT) and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, offset, count, os.POSIX_FADV_DONTNEED)


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk: a file survives a crash of its node only together with its name."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """Flush every file and folder below a folder, and itself."""
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            flush_folder(path)
        else:
            with open(path, "rb") as file:
                flush_file(file.fileno())


def _write_back(file: int, offset: int, count: int, how: int) -> bool:
    """Write a part of a file to the disk, without its metadata; False where this system has no such call.

    Its error is raised here, because Linux tells an error of writing once per open file: `fsync` would not have it.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if call is None:
        return False
    arguments = (ctypes.c_int(file), ctypes.c_int64(offset), ctypes.c_int64(count), ctypes.c_uint(how))
    if call(*arguments) == 0:
        return True
    if (number := ctypes.get_errno()) in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number))
