"""Where a path leads, links followed; `Path.resolve` raises a RuntimeError for a circle of links before Python 3.13."""

from __future__ import annotations

import os
from pathlib import Path


def real_path(path: str | Path) -> Path:
    """The absolute path without links, of what need not exist; a circle of links stays, and opening it then says so."""
    return Path(os.path.realpath(path))
