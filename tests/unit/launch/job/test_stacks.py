"""The stacks of a job's ranks, at a signal that goes to those alone that print them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dual_hpc.run.this_job import JOB_ID
from launch.job.stacks import dump_with_py_spy, signal_ranks

RANK = """
import sys
from launch.job.stacks import listen_for_stacks
if sys.argv[2] == "listens":
    listen_for_stacks()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("job_id", "environment"),
    [
        ("4711", {JOB_ID: "4711"}),
        ("4711", {"SLURM_JOB_ID": "4711"}),
        ("4711", {"SUBMITIT_LOCAL_JOB_ID": "4711"}),  # a controller of this machine
        ("4700_3", {"SLURM_JOB_ID": "4711", "SLURM_ARRAY_JOB_ID": "4700", "SLURM_ARRAY_TASK_ID": "3"}),  # of a sweep
    ],
)
def test_the_ranks_of_the_job_print_their_stacks_and_go_on_and_nobody_else_is_touched(
    tmp_path: Path, job_id: str, environment: dict[str, str]
) -> None:
    def start(number: int, environment: dict[str, str], module: str, listens: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", RANK, module, listens]
        with open(tmp_path / f"{number}.log", "w") as log:
            process = subprocess.Popen(
                command,
                env=os.environ | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        return process

    rank = "submitit.core._submit"
    processes = [
        start(0, environment, rank, "listens"),
        start(1, {JOB_ID: "4712"}, rank, "listens"),  # another job's
        start(2, environment, "data worker", "listens"),  # not a rank
        start(3, environment, rank, "of earlier code"),  # whom the signal would kill
    ]
    try:
        assert signal_ranks(job_id) == [processes[0].pid]
        for process in processes:
            process.communicate("", timeout=60)
            assert process.returncode == 0
    finally:
        for process in processes:
            process.kill()
    logs = [(tmp_path / f"{number}.log").read_text() for number in range(4)]
    assert "most recent call first" in logs[0] and logs[1:] == ["", "", ""]


def test_py_spy_adds_what_it_sees_to_the_log_of_the_process_and_without_it_nothing_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "rank.log"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with log.open("a") as file:
        process = subprocess.Popen(["/bin/sleep", "60"], stderr=file)
    try:
        assert dump_with_py_spy([process.pid]) == 0 and log.read_text() == ""
        (tmp_path / "bin").mkdir()
        program = tmp_path / "bin" / "py-spy"
        program.write_text('#!/bin/sh\ncase "$*" in *--native*) exit 1;; esac\necho "saw $*"\n')
        program.chmod(0o755)
        assert dump_with_py_spy([process.pid, 2**22 + 1]) == 1  # the second has ended
        program.write_text('#!/bin/sh\necho "Permission denied" >&2\nexit 1\n')
        assert dump_with_py_spy([process.pid]) == 0
    finally:
        process.kill()
        process.wait()
    assert log.read_text() == f"py-spy:\nsaw dump --subprocesses --pid {process.pid}\npy-spy:\nPermission denied\n"
