"""Files in the releases that are not data: what macOS and interrupted copies leave."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def apple_double(path: Path) -> None:
    """Write the `._` companion that macOS leaves next to `path` on other file systems."""
    header = bytes.fromhex("0005160700020000") + b"Mac OS X        "
    path.with_name(f"._{path.name}").write_bytes(header + bytes(96))


def truncate(path: Path) -> None:
    """Cut a file to its first half: an MP4 then lacks its index and cannot be read."""
    os.truncate(path, path.stat().st_size // 2)


def link(source: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system has no hard links left."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
