"""How processes ended that say nothing: srun's own lines, as Slurm 22.05 writes them."""

from __future__ import annotations

import signal

import pytest

from launch.records.log_markers import JOB_END_MARKER
from launch.records.srun_output import KilledTasks, SrunOutput, read_srun_output

END = "slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-11-26T12:00:00 ***"
EXITED = "srun: error: n1: task 0: Exited with exit code 1"


@pytest.mark.parametrize(
    ("line", "node", "tasks", "number"),
    [
        ("srun: error: n1: task 0: Killed", "n1", "0", signal.SIGKILL),
        ("srun: error: jean-zay-ia12: tasks 4-7: Killed", "jean-zay-ia12", "4-7", signal.SIGKILL),
        ("srun: error: n2: tasks 1,3: Segmentation fault (core dumped)", "n2", "1,3", signal.SIGSEGV),
        ("srun: error: n2: task 1: Bus error", "n2", "1", signal.SIGBUS),
    ],
)
def test_the_first_task_that_a_signal_killed_is_named(line: str, node: str, tasks: str, number: signal.Signals) -> None:
    expected = KilledTasks(node, tasks, number)
    others = ["srun: launch/slurm: _step_signal: Terminating StepId=7.0", END, "srun: error: n9: task 9: Killed"]
    assert read_srun_output(["loading", line, *others]).killed == expected
    assert read_srun_output([EXITED, line, *others]).killed == expected, "a peer may notice before srun does"


def test_tasks_that_srun_killed_itself_say_nothing() -> None:
    assert read_srun_output([EXITED, END, "srun: error: n2: task 1: Killed"]) == SrunOutput()
    terminating = "srun: Terminating StepId=7.0"
    assert read_srun_output([EXITED, terminating, "srun: error: n2: task 1: Killed"]).killed is None
    assert read_srun_output(["it was Killed", "srun: error: n2: task 1: Terminated"]) == SrunOutput()


def test_only_the_last_start_counts() -> None:
    earlier = ["srun: error: n1: task 0: Killed", f"{JOB_END_MARKER}: failure; it is requeued"]
    assert read_srun_output([*earlier, EXITED]) == SrunOutput()
    assert read_srun_output(earlier).killed is not None, "the mark itself belongs to the start that it ends"
    assert read_srun_output([]) == SrunOutput()


@pytest.mark.parametrize(
    "line",
    [
        "slurmstepd: error: couldn't chdir to `/store/runs': No such file or directory: going to /tmp instead",
        "slurmstepd: error: execve(): /env/bin/python: No such file or directory",
        "/env/bin/python: can't open file '/store/runs/trial/code.zip': [Errno 2] No such file or directory",
        "srun: error: Unable to create step for job 7: Job/step already completing or completed",
        "slurm_script: line 17: module: command not found",
        "dual-hpc: module load python/4 failed; correct `modules` of the profile",
    ],
)
def test_what_did_not_begin_is_quoted(line: str) -> None:
    assert read_srun_output(["#", f"{line}\n", EXITED]).unstarted == line
