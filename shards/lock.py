"""One packer per output folder.

The kernel's lock on an open file ends with its process, however that ends. File systems that keep such locks per node
only are covered by a heartbeat: the holder touches the file, and who finds another host's lock watches it for a while
before taking it over. Watching compares the file with itself, so the hosts' clocks need not agree.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from dual_hpc.errors import UserError
from dual_hpc.files.disk_error import naming
from dual_hpc.files.locks import LockOwner, read_owner, try_lock, write_owner
from dual_hpc.files.regular_file import regular_descriptor

_BEAT = 15.0  # seconds between touches
_PATIENCE = 75.0  # seconds for which a lock of another host is watched: some beats, and a file system's cache
_LONG_DEAD = 3600.0  # seconds since the last beat after which nobody needs to watch, whatever the clocks say


class LockHeld(UserError):
    """Another process holds the lock."""


class Lock:
    """Context manager; entering raises `LockHeld` while another process holds the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stop = threading.Event()

    def __enter__(self) -> Lock:
        while True:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self._acquire()
            except BaseException:
                os.close(self._descriptor)
                raise
            # The one before may have removed the file between our opening and our locking it.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._descriptor), os.stat(self.path)):
                    break
            os.close(self._descriptor)
        try:
            with naming(self.path):
                write_owner(self._descriptor)
        except OSError:
            os.close(self._descriptor)  # else this process holds it, and refuses its own next pack
            raise
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _acquire(self) -> None:
        free = try_lock(self._descriptor, self.path)
        owner = read_owner(self._descriptor)
        if not free or (owner.is_remote and _touched([self._descriptor]) is not None):
            raise LockHeld(_refusal(self.path, owner))

    def _beat(self) -> None:
        while not self._stop.wait(_BEAT):
            with suppress(OSError):  # a file system that fails now may answer at the next beat
                os.utime(self._descriptor)


def first_held_lock(paths: Iterable[Path]) -> Path | None:
    """One of several lock files that another process holds; None if nobody holds any.

    Asking hinders neither a holder nor others that ask at the same time, and all are watched at once.
    """
    watched: dict[int, Path] = {}
    with ExitStack() as opened:
        for path in paths:
            try:
                descriptor = regular_descriptor(path)
            except FileNotFoundError:
                continue
            opened.callback(os.close, descriptor)
            if not try_lock(descriptor, path, shared=True):
                return path
            if read_owner(descriptor).is_remote:
                watched[descriptor] = path
        touched = _touched(watched)
        return None if touched is None else watched[touched]


def _touched(descriptors: Iterable[int]) -> int | None:
    """Watch files: the first that someone touches; None if nobody does."""
    beats = {descriptor: os.fstat(descriptor).st_mtime_ns for descriptor in descriptors}
    beats = {descriptor: last for descriptor, last in beats.items() if time.time() - last / 1e9 <= _LONG_DEAD}
    watched_until = time.monotonic() + _PATIENCE
    while beats and time.monotonic() < watched_until:
        time.sleep(min(1.0, _PATIENCE / 10))
        for descriptor, last in beats.items():
            if os.fstat(descriptor).st_mtime_ns != last:
                return descriptor
    return None


def _refusal(path: Path, owner: LockOwner) -> str:
    return f"--out: {path.parent.parent} is being packed by {owner}; wait for it, or give another folder"
