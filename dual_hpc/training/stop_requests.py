"""Everything that asks a run to stop: a signal, a file in its directory, the end of the job's time."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from dual_hpc.run import names
from dual_hpc.training.stopping import StopFlag

LOOK_SECONDS = 1.0  # between two looks at the file: the file system is shared


class StopRequests:
    """What this rank knows. The file and the deadline are rank 0's to see: clocks differ, and one look is enough.

    Attributes:
        deadline: end of the job's time, Unix seconds; None if it has none.
        save_seconds: how long the last save took.
    """

    def __init__(self, flag: StopFlag, folder: Path, rank: int, environ: Mapping[str, str], margin: float) -> None:
        self._flag, self._file, self._rank = flag, folder / names.STOP_FILE, rank
        self._margin = margin
        self._looked_at = float("-inf")
        self._seen = False
        self.deadline = end_time(environ)
        self.save_seconds = 0.0

    def asked(self) -> bool:
        """True once there is a reason to stop."""
        return self.reason() is not None

    def told(self) -> bool:
        """True once somebody wants it, whatever the clock says."""
        return self._told() is not None

    def why(self) -> str:
        """Why the ranks stop together, as far as this one knows."""
        return self.reason() or "asked by another rank"

    def reason(self) -> str | None:
        """Why to stop now: a signal's name, "stop file" or "deadline"; None to go on."""
        late = self._rank == 0 and is_late(time.time(), self.deadline, self.save_seconds, self._margin)
        return self._told() or ("deadline" if late else None)

    def _told(self) -> str | None:
        now = time.monotonic()
        if self._rank == 0 and not self._seen and now - self._looked_at >= LOOK_SECONDS:
            self._looked_at, self._seen = now, os.path.exists(self._file)  # False as well where nobody can look
        return self._flag.reason or ("stop file" if self._seen else None)


def end_time(environ: Mapping[str, str]) -> float | None:
    """When the job's time is over, Unix seconds: DUAL_END_TIME, else Slurm's word, else never."""
    for name in ("DUAL_END_TIME", "SLURM_JOB_END_TIME"):
        try:
            return float(environ[name])
        except (KeyError, ValueError):
            continue
    return None


def is_late(now: float, deadline: float | None, save_seconds: float, margin: float) -> bool:
    """True once less is left than twice the last save and a margin (a step, the exit, Slurm's own slack)."""
    return deadline is not None and deadline - now < 2 * save_seconds + margin
