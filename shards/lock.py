"""One packer per output folder.

The kernel's lock on an open file ends with its process, however that ends. File systems that keep such locks per node
only are covered by a heartbeat: the holder touches the file, and who finds another host's lock watches it for a while
before taking it over. Watching compares the file with itself, so the hosts' clocks need not agree.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType

from dual_hpc.errors import EnvironmentFault, UserError

_BEAT = 15.0  # seconds between touches
_PATIENCE = 75.0  # seconds for which a lock of another host is watched: some beats, and a file system's cache
_LONG_DEAD = 3600.0  # seconds since the last beat after which nobody needs to watch, whatever the clocks say


class Held(UserError):
    """Another process holds the lock."""


class Lock:
    """Context manager; entering raises `Held` while another process holds the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stop = threading.Event()

    def __enter__(self) -> Lock:
        while True:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._acquire()
            except BaseException:
                os.close(self._descriptor)
                raise
            # The one before may have removed the file between our opening and our locking it.
            if self.path.exists() and os.path.samestat(os.fstat(self._descriptor), os.stat(self.path)):
                break
            os.close(self._descriptor)
        holder = json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, holder, 0)
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
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Held(_refusal(self.path, self._holder())) from None
        except OSError as error:
            raise EnvironmentFault(f"{self.path}: the file system cannot lock files ({error.strerror})") from error
        holder = self._holder()
        if holder.get("host") not in (None, socket.gethostname()) and self._beats():
            raise Held(_refusal(self.path, holder))

    def _beats(self) -> bool:
        """Watch the file: does someone touch it?"""
        last = os.fstat(self._descriptor).st_mtime_ns
        if time.time() - last / 1e9 > _LONG_DEAD:
            return False
        watched_until = time.monotonic() + _PATIENCE
        while time.monotonic() < watched_until:
            time.sleep(min(1.0, _PATIENCE / 10))
            if os.fstat(self._descriptor).st_mtime_ns != last:
                return True
        return False

    def _holder(self) -> dict[str, object]:
        try:
            holder = json.loads(os.pread(self._descriptor, 4096, 0) or b"{}")
        except ValueError:
            return {}
        return holder if isinstance(holder, dict) else {}

    def _beat(self) -> None:
        while not self._stop.wait(_BEAT):
            os.utime(self._descriptor)


def is_held(path: Path) -> bool:
    """True while another process holds the lock."""
    try:
        with Lock(path):
            return False
    except Held:
        return True


def _refusal(path: Path, holder: dict[str, object]) -> str:
    who = f"process {holder.get('pid', '?')} on {holder.get('host', 'this host')}"
    return f"--out: {path.parent.parent} is being packed by {who}; wait for it, or give another folder"
