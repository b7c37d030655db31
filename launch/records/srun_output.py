"""What srun says about a job's processes, in the log of the batch script: it knows how those ended that say nothing."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from launch.cluster.hostlist import expand_hosts
from launch.records.log_markers import JOB_END_MARKER, UNFIT_NODE

# As srun prints the end of tasks by a signal (`man 7 signal`, through strsignal).
_ENDS = {
    "Killed": signal.SIGKILL,
    "Segmentation fault": signal.SIGSEGV,
    "Bus error": signal.SIGBUS,
    "Aborted": signal.SIGABRT,
    "Illegal instruction": signal.SIGILL,
    "Floating point exception": signal.SIGFPE,
}
_END = re.compile(r"srun: error: (\S+): tasks? ([\d,-]+): (.+?)( \(core dumped\))?$")
_EXIT = re.compile(r"Exited with exit code \d+")
# From here on srun itself ends what is left.
_ENDING = re.compile(r"srun: (launch/slurm: _step_signal: )?Terminating|STEP \S+ ON \S+ CANCELLED|Force Terminated")
# A step, or a part of it, that did not begin.
_UNSTARTED = re.compile(
    r"couldn't chdir|execve\(\)|launch failed|Unable to create step|task_p_pre_launch|can't open file"
    r"|[Nn]o such file or directory|Unable to (confirm allocation|satisfy)|command not found|module: |ModuleCmd",
)
# What a process says that did not begin because its node lacks something which others may have.
_LACKS = re.compile(
    r"execve\(\)|couldn't chdir|can't open file|No module named|cannot open shared object file|Stale file handle"
    r"|Input/output error|Transport endpoint is not connected"
)
_OWN = re.compile(rf"{UNFIT_NODE} (\S+): (.+)")
_BY = re.compile(r"slurmstepd-(\S+?):")
_PREFIX = re.compile(r"^(slurmstepd\S*: |srun: )?error: |^dual-hpc: |^\S*slurm_script: (?=line \d)")

TaskLines = Callable[[int], Sequence[str]]


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
        unfit: nodes on which a process could not begin, each with what it lacks.
        failed: a task ended by itself, or was killed, before anybody asked the job to end.
    """

    killed: KilledTasks | None = None
    unstarted: str = ""
    unfit: dict[str, str] = field(default_factory=dict)
    failed: bool = False


def read_srun_output(lines: Iterable[str], of_task: TaskLines = lambda task: ()) -> SrunOutput:
    """Read the log of a batch script, which holds all starts of its job.

    Args:
        of_task: the last lines that a task wrote where it had no log of its own yet; that of task 0 is this one.
    """
    mine = [line.strip() for line in _last_start(list(lines))]
    own = (line for line in mine if line.startswith("dual-hpc: "))
    unstarted = next(own, None) or next((line for line in mine if _UNSTARTED.search(line)), "")
    killed, exited, failed = None, [], None
    for line in mine:
        if _ENDING.search(line):
            break
        if (found := _END.match(line)) is None:
            continue
        number = _ENDS.get(found[3])
        by_itself = number is not None or _EXIT.match(found[3]) is not None
        failed = by_itself if failed is None else failed
        if number is not None and killed is None:
            killed = KilledTasks(found[1], found[2], number)
        if number is None and by_itself:
            exited.append((found[1], found[2]))
    unfit = {found[1]: found[2] for line in mine if (found := _OWN.search(line))}
    for nodes, tasks in exited:
        unfit |= _unfit(expand_hosts(nodes), _numbers(tasks), mine, of_task)
    return SrunOutput(killed, _PREFIX.sub("", unstarted), unfit, bool(failed))


def _unfit(nodes: Sequence[str], tasks: Sequence[int], mine: Sequence[str], of_task: TaskLines) -> dict[str, str]:
    """Those of the nodes on which tasks ended that say they lack something."""
    found: dict[str, str] = {}
    for task in tasks[:64]:  # of a node; the others say the same
        for line in reversed(mine if task == 0 else of_task(task)):
            named = _OWN.search(line) or _BY.search(line)
            node = named[1] if named is not None else nodes[0] if len(nodes) == 1 else ""
            if node in nodes and (_OWN.search(line) or _LACKS.search(line)):
                found[node] = _PREFIX.sub("", _OWN.sub(r"\2", line.strip()))[:200]
                break
    return found


def _numbers(tasks: str) -> list[int]:
    """ "0,2-3" -> [0, 2, 3]."""
    found: list[int] = []
    for part in tasks.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            found += range(int(first), int(last if last.isdecimal() else first) + 1)
    return found


def _last_start(lines: Sequence[str]) -> Sequence[str]:
    """The lines of the last start: each earlier one ends with JOB_END_MARKER."""
    ends = [number for number, line in enumerate(lines[:-1]) if line.startswith(JOB_END_MARKER)]
    return lines[ends[-1] + 1 :] if ends else lines
