"""Write a large file in large pieces, one of which is at the disk while the next is made.

They go past the page cache where the file system can (O_DIRECT): through it, each byte costs more processor time than
to copy and to hash it, which the training lacks meanwhile, and displaces data that will be read again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from dual_hpc.background import in_thread
from dual_hpc.files.flush import flush_file, start_write_back
from dual_hpc.heartbeat import beat

PIECE = 1 << 23  # bytes: a multiple of every file system's block
_DIRECT = getattr(os, "O_DIRECT", 0)


class LargeFileWriter:
    """A new file that is written from its beginning to its end; what a piece's write raises comes with a later call."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._filling, self._other = (memoryview(mmap.mmap(-1, PIECE)) for _ in range(2))  # aligned to pages
        self._filled = 0
        self._offset = 0
        self._may_be_direct, self._is_direct = bool(_DIRECT), False
        self._writing: Future[None] | None = None

    def write(self, data: memoryview) -> None:
        """Append bytes.

        Raises:
            OSError: an earlier piece could not be written.
        """
        while data:
            part = data[: PIECE - self._filled]
            self._filling[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            data = data[len(part) :]
            if self._filled == PIECE:
                self._wait()
                self._writing = in_thread(partial(self._put, self._filling))
                self._filling, self._other, self._filled = self._other, self._filling, 0

    def finish(self) -> None:
        """Write the rest, flush all to the disk and close.

        Raises:
            OSError: something could not be written.
        """
        try:
            self._wait()
            self._may_be_direct = False  # the end is of no aligned length
            self._put(self._filling[: self._filled])
            flush_file(self._file)
        finally:
            self.close()

    def close(self) -> None:
        """Leave the file as it is; does nothing after `finish`."""
        with contextlib.suppress(OSError):
            self._wait()  # another file may soon have this descriptor
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def _wait(self) -> None:
        """For the piece that is being written; raises what a former one raised, every time: a hole is no file."""
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def _put(self, data: memoryview) -> None:
        self._set_direct(self._may_be_direct)
        begin = self._offset
        while data:
            try:
                written = os.write(self._file, data)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._is_direct:
                    raise
                written = 0  # this file system takes the flag, but not such a write
            self._offset += written
            data = data[written:]
            if data and self._is_direct:  # the rest is not aligned any more
                self._may_be_direct = False
                self._set_direct(False)
        if not self._is_direct and self._offset - begin == PIECE:  # so that little is left to the flush at the end
            start_write_back(self._file, begin, PIECE)
        beat()

    def _set_direct(self, wanted: bool) -> None:
        if wanted == self._is_direct:
            return
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._file, fcntl.F_SETFL, flags | _DIRECT if wanted else flags & ~_DIRECT)
            self._is_direct = wanted
        except OSError:  # this file system has no such access
            if not wanted:
                raise
            self._may_be_direct = False
