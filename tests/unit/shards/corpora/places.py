"""What can stand where a file of a corpus should be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

NO_FILE: dict[str, Callable[[Path], None]] = {
    "absent": Path.unlink,
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path))[0],
    "a folder": lambda path: (path.unlink(), path.mkdir())[0],
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name))[0],
    "a link to nothing": lambda path: (path.unlink(), path.symlink_to("nowhere"))[0],
    "an AppleDouble file": lambda path: (path.rename(path.with_name("._" + path.name)), None)[1],
}
