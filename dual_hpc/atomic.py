"""Small files that appear complete or not at all, whenever their writer is killed."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a temporary file next to it, flush it, rename it. One writer at a time.

    The temporary name is always the same, so that a killed writer's remains are written over by the next.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
