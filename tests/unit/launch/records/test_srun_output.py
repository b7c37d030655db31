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
    assert read_srun_output([EXITED, END, "srun: error: n2: task 1: Killed"]) == SrunOutput(failed=True)
    terminating = "srun: Terminating StepId=7.0"
    assert read_srun_output([EXITED, terminating, "srun: error: n2: task 1: Killed"]).killed is None
    assert read_srun_output(["it was Killed", "srun: error: n2: task 1: Terminated"]) == SrunOutput()


def test_only_the_last_start_counts() -> None:
    earlier = ["srun: error: n1: task 0: Killed", f"{JOB_END_MARKER}: failure; it is requeued"]
    assert read_srun_output([*earlier, EXITED]) == SrunOutput(failed=True)
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
    said = read_srun_output(["#", f"{line}\n", EXITED]).unstarted
    assert said and line.endswith(said) and ": error: " not in said and "slurm_script" not in said


def test_the_batch_scripts_own_words_come_before_what_led_to_them() -> None:
    own = "dual-hpc: module load cuda/99 failed; correct `modules` of the profile"
    shell = "/spool/job7/slurm_script: line 20: module: command not found"
    assert read_srun_output([shell, own]).unstarted == own.removeprefix("dual-hpc: ")
    assert read_srun_output([shell]).unstarted == "line 20: module: command not found"


NO_PYTHON = "slurmstepd-n4: error: execve(): /env/bin/python: No such file or directory"
TERMINATING = "srun: launch/slurm: _step_signal: Terminating StepId=7.0"


@pytest.mark.parametrize(
    ("batch", "tasks", "unfit"),
    [
        (["srun: error: n4: task 1: Exited with exit code 2", TERMINATING], {1: [NO_PYTHON]}, {"n4": "execve()"}),
        ([NO_PYTHON, "srun: error: n4: task 0: Exited with exit code 2"], {}, {"n4": "execve()"}),
        # srun puts the nodes of equal ends together
        (
            ["srun: error: n[3-4]: tasks 2-3: Exited with exit code 2"],
            {2: [NO_PYTHON.replace("n4", "n3")], 3: [NO_PYTHON]},
            {"n3": "execve()", "n4": "execve()"},
        ),
        # written by launch/bootstrap.py
        (
            ["srun: error: n2: task 1: Exited with exit code 1"],
            {1: ["dual-hpc: node n2: no place for the code of the run: /tmp: No space left on device"]},
            {"n2": "no place for the code of the run: /tmp"},
        ),
        (
            ["srun: error: n2: task 5: Exited with exit code 1"],
            {5: ["Traceback", "ModuleNotFoundError: No module named 'submitit'"]},
            {"n2": "No module named 'submitit'"},
        ),
        # said at an earlier start, of another node
        (["srun: error: n1: task 1: Exited with exit code 1"], {1: [NO_PYTHON]}, {}),
        # ended by srun, not by itself
        ([TERMINATING, "srun: error: n4: task 1: Exited with exit code 2"], {1: [NO_PYTHON]}, {}),
        (["srun: error: n4: task 1: Exited with exit code 2"], {1: ["UserError: data.global_batch"]}, {}),
    ],
)
def test_a_node_that_lacks_something_is_told_from_the_others(
    batch: list[str], tasks: dict[int, list[str]], unfit: dict[str, str]
) -> None:
    found = read_srun_output(batch, lambda task: tasks.get(task, [])).unfit
    assert found.keys() == unfit.keys() and all(unfit[node] in found[node] for node in unfit)


def test_a_failure_is_told_from_a_signal_by_what_ended_first() -> None:
    """srun's exit code is the highest of all tasks: 143 where it has ended the others."""
    ended = [TERMINATING, "srun: error: n3: task 0: Terminated"]
    assert read_srun_output(["srun: error: n4: task 1: Exited with exit code 2", *ended]).failed
    assert read_srun_output(["srun: error: n4: task 1: Killed", *ended]).failed
    signalled = ["srun: error: n4: task 1: User defined signal 2", "srun: error: n3: task 0: Exited with exit code 1"]
    assert not read_srun_output(signalled).failed and not read_srun_output(ended).failed
