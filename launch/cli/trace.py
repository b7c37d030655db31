"""Where tracebacks go: the user sees one line, the traceback is in this file."""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path

from dual_hpc.credentials import without_secrets, without_secrets_in_argument
from dual_hpc.printable import printable, printable_lines

LIMIT = 1 << 20  # bytes; an older log is replaced


def log_path() -> Path:
    """`dual-hpc.log` in the user's state folder (XDG)."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "dual_hpc" / "dual-hpc.log"


def keep_trace() -> str:
    """Append the exception being handled to the log; to standard error where the log cannot be written.

    Returns:
        Where the trace can be read.
    """
    what = printable(" ".join(map(without_secrets_in_argument, sys.argv)))
    trace = printable_lines(without_secrets(traceback.format_exc()))
    entry = f"--- {time.strftime('%Y-%m-%dT%H:%M:%S%z')} {what}\n{trace}"
    try:
        path = log_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = "a" if not path.exists() or path.stat().st_size < LIMIT else "w"
        with open(path, mode, encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(entry)
    except (OSError, RuntimeError, ValueError):  # also: no home folder, or a name that no file can have
        print(entry, file=sys.stderr)
        return "the lines above"
    return str(path)
