"""Print the stack of every thread of a job's ranks into their logs: `dual-hpc stacks`, for a run that seems to hang.

`python -m launch.job.stacks JOB` signals the ranks on this machine; on a cluster it is a step of the job on each of its
nodes. It runs from the run's code archive, so that ranks of earlier code, which the signal would kill, are left alone.
Where py-spy is installed, it adds what Python's own handler does not show: C functions, and the data workers.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from dual_hpc.run.this_job import JOB_ID

_PATIENCE = 30.0  # seconds for one rank and its data workers
_LOCAL_JOB_ID = "SUBMITIT_LOCAL_JOB_ID"
_RANK = b"submitit.core._submit"  # in the command line of a rank and of what it forks


def listen_for_stacks() -> None:
    """At SIGUSR1, print the stacks of this process to its log, also while it is blocked in a collective."""
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)


def signal_ranks(job_id: str, processes: Path = Path("/proc")) -> list[int]:
    """Ask the ranks of a job on this machine for their stacks; their process ids."""
    found = [int(path.name) for path in processes.glob("[0-9]*") if _is_rank(path, job_id)]
    for pid in found:
        os.kill(pid, signal.SIGUSR1)
    return found


def dump_with_py_spy(ranks: Iterable[int]) -> int:
    """Append what py-spy sees of these processes and their children to their logs; returns how many it could look at.

    None where it is not installed. It may not look where the kernel forbids it (`kernel.yama.ptrace_scope`): the log
    says so then.
    """
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    program = shutil.which("py-spy", path=os.pathsep.join(places))
    done = 0
    for pid in ranks if program is not None else ():
        command = [str(program), "dump", "--subprocesses", "--pid", str(pid)]
        try:
            found = subprocess.run([*command, "--native"], capture_output=True, timeout=_PATIENCE)
            if found.returncode:  # not on this machine, or of this build of Python
                found = subprocess.run(command, capture_output=True, timeout=_PATIENCE)
            text = found.stdout if not found.returncode else found.stderr[-300:]
            log = os.open(f"/proc/{pid}/fd/2", os.O_WRONLY | os.O_APPEND)
        except (OSError, subprocess.TimeoutExpired):  # it has ended, or another user's
            continue
        with open(log, "ab") as file:
            file.write(b"py-spy:\n" + text.rstrip() + b"\n")
        done += not found.returncode
    return done


def _is_rank(process: Path, job_id: str) -> bool:
    """True for a process that calls `listen_for_stacks`: one that catches the signal."""
    try:
        words = (process / "environ").read_bytes().decode(errors="replace").split("\0")
        if job_id not in _job_ids(dict(word.partition("=")[::2] for word in words)):
            return False
        status = (process / "status").read_text()
        caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt:")).split()[1], 16)
        return _RANK in (process / "cmdline").read_bytes() and bool(caught >> (signal.SIGUSR1 - 1) & 1)
    except (OSError, StopIteration, ValueError):  # it has ended, or is another user's
        return False


def _job_ids(environment: Mapping[str, str]) -> set[str]:
    """What the job of a process is called in the environment that it was started with: a rank's own changes of it, as
    `DUAL_JOB_ID`, are not seen from outside."""
    array = (environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID"))
    found = {environment.get(name, "") for name in (JOB_ID, "SLURM_JOB_ID", _LOCAL_JOB_ID)} - {""}
    return found | ({"_".join(map(str, array))} if all(array) else set())


if __name__ == "__main__":
    asked = signal_ranks(sys.argv[1])
    print(f"{len(asked)} processes print their stacks, {dump_with_py_spy(asked)} of them seen by py-spy")
