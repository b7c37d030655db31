"""What srun says about a job's processes, in the log of the batch script: it knows how those ended that say nothing."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from launch.records.log_markers import JOB_END_MARKER

# As srun prints the end of tasks by a signal (`man 7 signal`, through strsignal).
_ENDS = {
    "Killed": signal.SIGKILL,
    "Segmentation fault": signal.SIGSEGV,
    "Bus error": signal.SIGBUS,
    "Aborted": signal.SIGABRT,
    "Illegal instruction": signal.SIGILL,
    "Floating point exception": signal.SIGFPE,
}
_KILLED = re.compile(rf"srun: error: (\S+): tasks? ([\d,-]+): ({'|'.join(_ENDS)})( \(core dumped\))?")
# From here on srun itself ends what is left.
_ENDING = re.compile(r"srun: (launch/slurm: _step_signal: )?Terminating|STEP \S+ ON \S+ CANCELLED|Force Terminated")
# A step, or a part of it, that did not begin.
_UNSTARTED = re.compile(
    r"couldn't chdir|execve\(\)|launch failed|Unable to create step|task_p_pre_launch|can't open file"
    r"|[Nn]o such file or directory|Unable to (confirm allocation|satisfy)|command not found|module: |ModuleCmd",
)


@dataclass(frozen=True)
class KilledTasks:
    """Tasks of one node that a signal ended, before srun ended the others."""

    node: str
    tasks: str
    signal: signal.Signals


@dataclass(frozen=True)
class SrunOutput:
    """The end of a job's last start.

    Attributes:
        killed: the first tasks that a signal ended.
        unstarted: the first line that says why something did not begin.
    """

    killed: KilledTasks | None = None
    unstarted: str = ""


def read_srun_output(lines: Iterable[str]) -> SrunOutput:
    """Read the log of a batch script, which holds all starts of its job."""
    mine = _last_start(list(lines))
    said = (line.strip() for line in mine if line.startswith("dual-hpc: ") or _UNSTARTED.search(line))
    unstarted = next(said, "")
    for line in mine:
        if _ENDING.search(line):
            break
        found = _KILLED.match(line.strip())
        if found:
            return SrunOutput(KilledTasks(found[1], found[2], _ENDS[found[3]]), unstarted)
    return SrunOutput(None, unstarted)


def _last_start(lines: Sequence[str]) -> Sequence[str]:
    """The lines of the last start: each earlier one ends with JOB_END_MARKER."""
    ends = [number for number, line in enumerate(lines[:-1]) if line.startswith(JOB_END_MARKER)]
    return lines[ends[-1] + 1 :] if ends else lines
