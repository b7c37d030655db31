"""Small files that appear complete or not at all, whenever their writer is killed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dual_hpc.files.disk_error import naming


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a temporary file next to it, flush it, rename it. One writer at a time.

    Only its owner may write it afterwards, whatever the umask: others replace it, where they may write the folder.
    The temporary name is always the same, so that a killed writer's remains are written over by the next.

    Raises:
        OSError: it cannot be written; the error names `path`, or what in its folder could not be made.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with naming(path), open(temporary, "wb") as file:
        os.fchmod(file.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode) & ~0o022)
        file.write(content if isinstance(content, bytes) else content.encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
