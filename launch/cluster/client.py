"""Call one of Slurm's commands: the one place that does, but for the srun of a shell that its user types into.

A controller that is busy or restarts answers the next call, so an answer that may be another one next time is asked for
again, for as long as the caller can wait. The user's own variables (`SQUEUE_FORMAT`, `SACCT_FORMAT` ...) would change
what a command prints, or hide jobs, and are not passed on; those that say which cluster is asked, and as whom, are.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from dual_hpc.errors import EnvironmentFault, one_line
from dual_hpc.files.umask import user_umask

PATIENCE = 60.0  # seconds that a command of a user waits for Slurm
CALL_SECONDS = 60.0  # of one call; Slurm's own time-out is 10 s, on many clusters up to 60 s
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0

# What Slurm's commands print when the controller, its database or the network is at fault, and not the question.
TRANSIENT = re.compile(
    r"timed out|time[- ]?out|unable to contact|connect(ion)? (failure|refused|reset)|connection failed|broken pipe"
    r"|communication (connection|shutdown) failure|zero bytes were transmitted|temporarily (un|not )|try(ing)? again"
    r"|standby mode|not responding|unable to establish control machine|no route to host|network is unreachable"
    r"|sleeping and retrying|resource temporarily|too many (rpc|requests)|rate limit|persist_conn|sending persistinit"
    r"|database (is busy|connection)|munge (decode|encode) failed|protocol authentication error|slurm_receive_msg"
    r"|in the process of (re)?start|unexpected message received|error receiving",
    re.IGNORECASE,
)

# Options that commands read from the environment, and what changes how they print.
_OPTIONS = ("SQUEUE_", "SACCT_", "SCANCEL_", "SCONTROL_", "SINFO_", "SPRIO_", "SSTAT_")
_PRINTING = ("SLURM_TIME_FORMAT", "SLURM_BITSTR_LEN", "SLURM_JSON", "SLURM_YAML", "SLURM_DEBUG_FLAGS", "SLURM_VERBOSE")


class SlurmSilent(EnvironmentFault):
    """Slurm did not answer in the time that the caller could wait; the same question may be answered later."""


def call(words: Sequence[str], patience: float = PATIENCE) -> str:
    """Run a command of Slurm; its standard output.

    Args:
        patience: seconds during which a failure that may pass is tried again; 0 tries once.

    Raises:
        SlurmSilent: it did not answer, or failed for a reason that may pass, until then.
        EnvironmentFault: it refused.
    """
    return retry(lambda: _once(words), patience)


def retry(
    ask: Callable[[], str],
    patience: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Call `ask` until it does not raise SlurmSilent, with growing pauses, for `patience` seconds; see `call`."""
    end, pause, told = clock() + patience, FIRST_PAUSE, False
    while True:
        try:
            return ask()
        except SlurmSilent as error:
            left = end - clock()
            if left <= 0:
                raise
            if not told:
                print(f"dual-hpc: {error}; trying again for up to {left:.0f} s", file=sys.stderr, flush=True)
                told = True
            sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)


def _once(words: Sequence[str]) -> str:
    # What sbatch inherits is the job's environment, and its umask.
    environ = dict(os.environ) if words[0] == "sbatch" else clean_environment(os.environ)
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CALL_SECONDS,
            env=environ,
            umask=user_umask(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SlurmSilent(f"Slurm does not answer ({words[0]} took more than {CALL_SECONDS:.0f} s)") from error
    except OSError as error:
        raise EnvironmentFault(f"{words[0]} cannot be started: {error.strerror}") from error
    if done.returncode == 0:
        return done.stdout
    said = one_line(done.stderr) or one_line(done.stdout) or f"exit code {done.returncode}"
    if is_transient(done.stderr):
        raise SlurmSilent(f"Slurm does not answer ({words[0]}: {said})")
    raise EnvironmentFault(f"{words[0]}: {said}")


def is_transient(message: str) -> bool:
    """True if a command that printed this may succeed when it is called again."""
    return TRANSIENT.search(message) is not None


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Without the variables that change what Slurm's commands ask for or print."""
    return {key: value for key, value in environ.items() if not key.startswith(_OPTIONS) and key not in _PRINTING}
