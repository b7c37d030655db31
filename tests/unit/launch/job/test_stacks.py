"""The stacks of a job's ranks, at a signal that goes to those alone that print them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dual_hpc.run.this_job import JOB_ID
from launch.job.stacks import signal_ranks

RANK = """
import sys
from launch.job.stacks import listen_for_stacks
if sys.argv[2] == "listens":
    listen_for_stacks()
print("ready", flush=True)
sys.stdin.read()
"""


def test_the_ranks_of_the_job_print_their_stacks_and_go_on_and_nobody_else_is_touched(tmp_path: Path) -> None:
    def start(number: int, job: str, module: str, listens: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", RANK, module, listens]
        with open(tmp_path / f"{number}.log", "w") as log:
            process = subprocess.Popen(
                command,
                env=os.environ | {JOB_ID: job},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        return process

    rank = "submitit.core._submit"
    processes = [
        start(0, "4711", rank, "listens"),
        start(1, "4712", rank, "listens"),  # another job's
        start(2, "4711", "data worker", "listens"),  # not a rank
        start(3, "4711", rank, "of earlier code"),  # whom the signal would kill
    ]
    try:
        assert signal_ranks("4711") == [processes[0].pid]
        for process in processes:
            process.communicate("", timeout=60)
            assert process.returncode == 0
    finally:
        for process in processes:
            process.kill()
    logs = [(tmp_path / f"{number}.log").read_text() for number in range(4)]
    assert "most recent call first" in logs[0] and logs[1:] == ["", "", ""]
