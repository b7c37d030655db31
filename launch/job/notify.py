"""Run the user's own command when a run ends for good: `launch.notify`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from dual_hpc.errors import one_line

NOTIFY_SECONDS = 60.0


def notify(command: str | None, run: Path, state: str, message: str = "") -> None:
    """Start it without a shell, and wait; that it fails is printed, and changes nothing.

    Args:
        command: words, quoted as in a shell; None for none.
        state: "finished", "stopped" or "failed": DUAL_STATE in its environment, with DUAL_RUN (the run's folder),
            DUAL_NAME and DUAL_MESSAGE.
    """
    if not command:
        return
    told = {"DUAL_RUN": str(run), "DUAL_NAME": run.name, "DUAL_STATE": state, "DUAL_MESSAGE": one_line(message, 500)}
    try:
        words = shlex.split(command)
        done = subprocess.run(
            words, env=os.environ | told, stdin=subprocess.DEVNULL, timeout=NOTIFY_SECONDS, check=False
        )
        problem = f"exit code {done.returncode}" if done.returncode else ""
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        problem = one_line(error, 200)
    if problem:
        print(f"launch.notify: the command failed ({problem})", file=sys.stderr, flush=True)
