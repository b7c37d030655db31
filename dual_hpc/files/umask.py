"""Who may write new files: the user's umask decides, but what a run writes is its user's alone (contract 4).

A job writes both: its run directory, and files that belong to all who use the store (MLflow's database). It therefore
takes the right to write from whatever it makes, and gives the few shared files what the umask had given.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

OTHERS_WRITE = 0o022
_given: int | None = None  # the umask before `keep_new_files_private`


def keep_new_files_private() -> None:
    """From now on nobody but this user can write what this process, or one that it starts, makes."""
    global _given
    _given = user_umask()
    os.umask(_given | OTHERS_WRITE)


def user_umask() -> int:
    """The umask that this process was started with."""
    if _given is not None:
        return _given
    try:  # os.umask can only be read by setting it, which other threads would notice
        with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
            return next(int(line.split()[1], 8) for line in status if line.startswith("Umask:"))
    except (OSError, StopIteration):
        return OTHERS_WRITE


def share(path: Path) -> None:
    """Give a file or folder that was just made the rights that the user's umask leaves.

    Raises:
        OSError: it is not there, or not this user's.
    """
    mode = path.stat().st_mode
    rights = (0o777 if stat.S_ISDIR(mode) else 0o666) & ~user_umask()
    path.chmod(stat.S_IMODE(mode) & ~0o777 | rights)  # the bits above, as setgid, stay
