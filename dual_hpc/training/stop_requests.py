"""Everything that asks a run to stop: a signal, a file in its directory, the end of the job's time."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from dual_hpc.run import names
from dual_hpc.training.stopping import StopFlag

CHECK_SECONDS = 1.0  # between two checks for the file: the file system is shared


class StopRequests:
    """What this rank knows. Only rank 0 checks the file and the deadline: clocks differ, and one check is enough.

    Attributes:
        deadline: end of the job's time, Unix seconds; None if it has none.
        save_seconds: how long the last save took.
    """

    def __init__(self, flag: StopFlag, folder: Path, rank: int, environ: Mapping[str, str], margin: float) -> None:
        """`folder`: the run directory; `margin`: `checkpoint.margin_seconds`."""
        self._flag, self._file, self._rank = flag, folder / names.STOP_FILE, rank
        self._margin = margin
        self._checked_at = float("-inf")
        self._file_seen = False
        self.deadline = end_time(environ)
        self.save_seconds = 0.0

    def reason(self, deadline: bool = True) -> str | None:
        """Why to stop now: a signal's name, "stop file" or "deadline"; None to go on.

        Args:
            deadline: False ignores the deadline: only what somebody asked for counts.
        """
        if self._flag.reason is not None:
            return self._flag.reason
        if self._stop_file_exists():
            return "stop file"
        late = deadline and self._rank == 0 and is_late(time.time(), self.deadline, self.save_seconds, self._margin)
        return "deadline" if late else None

    def _stop_file_exists(self) -> bool:
        now = time.monotonic()
        if self._rank == 0 and not self._file_seen and now - self._checked_at >= CHECK_SECONDS:
            # `exists` is False as well if the folder cannot be read
            self._checked_at, self._file_seen = now, os.path.exists(self._file)
        return self._file_seen


def end_time(environ: Mapping[str, str]) -> float | None:
    """When the job's time ends, Unix seconds: from DUAL_END_TIME, else from Slurm; None if it does not end."""
    for name in ("DUAL_END_TIME", "SLURM_JOB_END_TIME"):
        try:
            return float(environ[name])
        except (KeyError, ValueError):
            continue
    return None


def is_late(now: float, deadline: float | None, save_seconds: float, margin: float) -> bool:
    """True once less time is left than two saves and a margin (for a step, the exit, and Slurm's own delay)."""
    return deadline is not None and deadline - now < 2 * save_seconds + margin
