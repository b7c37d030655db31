"""Locks on files (flock): held through an open file, and freed by the kernel when its process ends, however it ends.

Not every file system has them, and some keep them per node only. What a caller does then is its own to decide; a run's
lease (`dual_hpc.run.lease`) must hold between nodes and therefore does not use them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dual_hpc.errors import EnvironmentFault
from dual_hpc.files.json_text import parse_json

POLL_SECONDS = 0.1
_BUSY = (errno.EAGAIN, errno.EACCES)


class LocksUnsupported(EnvironmentFault):
    """The file system cannot lock files."""


class LockTimeout(EnvironmentFault):
    """Another process kept the lock for longer than the caller waits."""


@dataclass(frozen=True)
class LockOwner:
    """Who wrote its name into a lock file; None where nobody did.

    Attributes:
        host: the host's name.
        pid: process id on that host.
    """

    host: str | None = None
    pid: int | None = None

    @property
    def is_remote(self) -> bool:
        """True if it is a process of another host."""
        return self.host not in (None, socket.gethostname())

    def __str__(self) -> str:
        return "another process" if self.pid is None else f"process {self.pid} on {self.host or 'this host'}"


def try_lock(descriptor: int, path: Path, *, shared: bool = False) -> bool:
    """Take the lock of an open file or folder if it is free; False while another process has one that excludes it.

    Args:
        path: of the file, for messages.
        shared: others may hold a shared lock at the same time.

    Raises:
        LocksUnsupported: the file system cannot lock files.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise LocksUnsupported(f"{path}: the file system cannot lock files ({error.strerror})") from error
    return True


@contextlib.contextmanager
def file_lock(path: Path, seconds: float = math.inf, *, required: bool = True) -> Iterator[None]:
    """Hold the lock of a file, which is made, or of an existing folder.

    Args:
        seconds: how long to wait for another process.
        required: False where a file system without locks is to be used without them.

    Raises:
        LockTimeout: another process kept it for so long.
        LocksUnsupported: see above.
    """
    with contextlib.ExitStack() as stack:
        try:
            is_folder = path.is_dir()
            descriptor = os.open(
                path, os.O_RDONLY if is_folder else os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666
            )
            stack.callback(os.close, descriptor)
            _wait(descriptor, path, seconds)
            if not is_folder:
                write_owner(descriptor)
        except (LocksUnsupported, OSError):
            if required:
                raise
        yield


def _wait(descriptor: int, path: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not try_lock(descriptor, path):
        if time.monotonic() > deadline:
            raise LockTimeout(f"{path}: {read_owner(descriptor)} has kept the lock for {seconds:.0f} s")
        time.sleep(POLL_SECONDS)


def write_owner(descriptor: int) -> None:
    """Write this process into the open lock file, for the messages of those who find it locked.

    Raises:
        OSError: it cannot be written whole; half a name is nobody's, and another host would take the lock for free.
    """
    owner = json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode()
    os.ftruncate(descriptor, 0)
    if os.pwrite(descriptor, owner, 0) < len(owner):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_owner(descriptor: int) -> LockOwner:
    """Who wrote its name into the open lock file; a folder, an empty or a damaged file names nobody."""
    try:
        found = parse_json(os.pread(descriptor, 4096, 0) or b"{}")
        host, pid = (found.get("host"), found.get("pid")) if isinstance(found, dict) else (None, None)
    except (OSError, ValueError):
        return LockOwner()
    return LockOwner(host if isinstance(host, str) else None, pid if isinstance(pid, int) else None)
