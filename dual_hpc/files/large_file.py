"""Write a large file in pieces, which the disk gets while the next ones are made.

Few bytes wait in memory for the disk at any time, so a flush at the end is short, and what was written is dropped from
the page cache: nobody reads it soon, and it would displace data that will be read again.
"""

from __future__ import annotations

import os
from pathlib import Path

from dual_hpc.files.flush import end_write_back, flush_file, start_write_back
from dual_hpc.heartbeat import beat

PIECE = 1 << 25  # bytes
_ON_THEIR_WAY = 2  # pieces that the disk may have got in part


class LargeFileWriter:
    """A new file that is written from its beginning to its end; after an error every call raises it again."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._offset = 0
        self._failure: OSError | None = None

    def write(self, data: memoryview) -> None:
        """Append bytes.

        Raises:
            OSError: they, or earlier ones, could not be written.
        """
        self._check()
        try:
            while data:
                written = os.write(self._file, data[: PIECE - self._offset % PIECE])
                self._offset += written
                data = data[written:]
                if written and self._offset % PIECE == 0:
                    self._piece_is_full()
        except OSError as error:
            self._failure = error
            raise

    def finish(self) -> None:
        """Flush to the disk, and close.

        Raises:
            OSError: something could not be written.
        """
        self._check()
        try:
            flush_file(self._file)
        finally:
            self.close()

    def close(self) -> None:
        """Leave the file as it is; does nothing after `finish`."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _piece_is_full(self) -> None:
        start_write_back(self._file, self._offset - PIECE, PIECE)
        oldest = self._offset - (1 + _ON_THEIR_WAY) * PIECE
        if oldest >= 0:
            end_write_back(self._file, oldest, PIECE)
        beat()
