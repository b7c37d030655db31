"""The folder where recordings lie while they are answered: empty before and after, whatever ends the server."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dual_hpc.files.locks import LocksUnsupported, try_lock

_PREFIX = "dual-hpc-serve-"


@contextlib.contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder of this process, for its user alone, which is deleted in the end.

    A server that was killed could not delete its own: those whose lock nobody holds are deleted first.

    Args:
        parent: default: that of Python's `tempfile` (TMPDIR).
    """
    where = Path(tempfile.gettempdir()) if parent is None else parent
    _delete_left_behind(where)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(LocksUnsupported):
            try_lock(lock, folder)
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def _delete_left_behind(parent: Path) -> None:
    for folder in sorted(parent.glob(f"{_PREFIX}*")):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # another user's, or gone
        try:
            if os.fstat(lock).st_uid == os.getuid() and try_lock(lock, folder):
                shutil.rmtree(folder, ignore_errors=True)
        except LocksUnsupported:
            continue  # nobody knows whether its server still runs
        finally:
            os.close(lock)
