"""Slurm's commands as they fail in real life: programs of their names that time out, lie, and print foreign lines."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dual_hpc.errors import EnvironmentFault
from launch.cluster import client
from launch.cluster.client import SlurmSilent, call, clean_environment, is_transient, retry
from launch.cluster.job_facts import facts
from launch.cluster.slurm import MARK, Scheduler
from tests.unit.launch.fake_slurm import sacct

Program = Callable[[str, str], None]

# As Slurm 20 to 25 print them.
PASSING = [
    "slurm_load_jobs error: Socket timed out on send/recv operation",
    "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
    "slurm_load_jobs error: Zero Bytes were transmitted or received",
    "scontrol: error: slurm_receive_msg: Zero Bytes were transmitted or received",
    "squeue: error: Slurm temporarily unable to accept job, sleeping and retrying",
    "sbatch: error: Slurm controller not responding, sleeping and retrying.",
    "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent connection: Connection refused",
    "sacct: error: Sending PersistInit msg: Connection timed out",
    "error: If munged is up, restart with --num-threads=10\nerror: Munge encode failed: Failed to access socket",
    "slurm_load_jobs error: Slurm backup controller in standby mode",
    "error: slurm_get_msg: RPC rate limit exceeded 10 times with 1 in the last second, backing off",
    "slurm_load_jobs error: Unexpected message received",
]
REFUSALS = [
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
    "slurm_load_jobs error: Invalid job id specified",
    "scancel: error: Kill job error on job id 7: Access/permission denied",
    "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
    "sbatch: error: QOSMaxSubmitJobPerUserLimit",
    "Job violates accounting/QOS policy (job submit limit, size and/or time limits)",
    "sacct: error: Slurm accounting storage is disabled",
    "scontrol: Requested operation is presently disabled for job 7",
    "",
]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Put a shell script in the place of one of Slurm's commands."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)

    def put(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return put


@pytest.mark.parametrize("message", PASSING)
def test_what_may_pass_is_told_from_a_refusal(message: str) -> None:
    assert is_transient(message)


@pytest.mark.parametrize("message", REFUSALS)
def test_a_refusal_is_not_asked_for_again(message: str, program: Program, tmp_path: Path) -> None:
    program("scontrol", f"echo x >> {tmp_path}/calls; echo '{message}' >&2; exit 1")
    with pytest.raises(EnvironmentFault) as refused:
        call(["scontrol", "requeue", "7"], 60)
    assert not isinstance(refused.value, SlurmSilent) and (tmp_path / "calls").read_text() == "x\n"


def test_a_call_that_fails_once_or_twice_succeeds(
    program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = tmp_path / "calls"
    fails = f'echo x >> {calls}; [ $(wc -l < {calls}) -gt 2 ] || {{ echo "{PASSING[0]}" >&2; exit 1; }}'
    program("scontrol", f'{fails}; echo "JobId=7 JobState=RUNNING Restarts=1 Reason=None"')
    found = facts("7", 60)
    assert (found.state, found.restarts) == ("RUNNING", 1)
    assert capsys.readouterr().err.count("\n") == 1, "said once, however often it is tried"


def test_patience_ends_and_the_pauses_grow() -> None:
    now, pauses = 0.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        pauses.append(seconds)
        now += seconds

    def silent() -> str:
        raise SlurmSilent("Slurm does not answer")

    with pytest.raises(SlurmSilent):
        retry(silent, 100, lambda: now, sleep)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 9] and now == 100


def test_a_command_that_hangs_is_ended(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CALL_SECONDS", 0.2)
    program("squeue", "exec sleep 60")
    with pytest.raises(SlurmSilent, match="squeue took more than"):
        call(["squeue"], 0)


def test_foreign_lines_and_bytes_change_no_answer(program: Program) -> None:
    notice = r"printf 'CLUSTER: jz\n\xff\xfe maintenance | on | Monday | all | day\n\n'"
    program("squeue", f"{notice}; echo '{MARK}|7|RUNNING|None|n1|N/A'; {notice}; echo '{MARK}|torn'")
    known = sacct("8|FAILED|1:0|n2\n8.batch|FAILED|1:0|n2\na|b|c|d\n")
    program("sacct", f"{notice}; echo '{known}'; echo '8|x'")
    jobs = Scheduler().jobs(["7", "8"])
    assert {job: one.state for job, one in jobs.items()} == {"7": "RUNNING", "8": "FAILED"}
    program("scontrol", f"{notice}; echo 'JobId=7 JobState=RUNNING Restarts=0'")
    assert facts("7", 0).state == "RUNNING"


def test_jobs_are_asked_for_by_number_and_unknown_ones_are_no_fault(program: Program) -> None:
    unknown = 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1'
    program("squeue", f'case "$*" in *--jobs=7,8*) {unknown};; esac; exit 9')
    program("sacct", "exit 0")
    assert Scheduler().jobs(["7", "7_3", "8_1"]) == {}


def test_accounts_that_do_not_answer_are_told_from_accounts_that_know_nothing(program: Program) -> None:
    program("squeue", "exit 0")
    program("sacct", f"echo '{PASSING[6]}' >&2; exit 1")
    asked = Scheduler(patience=0)
    assert asked.jobs(["7"]) == {} and asked.accounting_silent
    program("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    assert asked.jobs(["7"]) == {} and not asked.accounting_silent


def test_the_users_own_variables_do_not_reach_slurms_commands() -> None:
    theirs = {"SQUEUE_FORMAT": "%i", "SACCT_FORMAT": "JobID", "SQUEUE_STATES": "PD", "SLURM_TIME_FORMAT": "relative"}
    kept = {"SLURM_CONF": "/c", "SLURM_CLUSTERS": "jz", "SLURM_JWT": "t", "HOME": "/h", "SBATCH_ACCOUNT": "a"}
    assert clean_environment(theirs | kept) == kept


@pytest.mark.parametrize("umask", [0o002, 0o027])
def test_a_job_that_a_job_submits_gets_the_umask_of_its_user(umask: int, tmp_path: Path) -> None:
    (tmp_path / "sbatch").write_text("#!/bin/sh\numask\n")
    (tmp_path / "sbatch").chmod(0o755)
    program = (
        "from dual_hpc.files.umask import keep_new_files_private; keep_new_files_private()\n"
        "from launch.cluster.client import call; print(call(['sbatch'], 0).strip())"
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, umask=umask, env=environment
    )
    assert int(done.stdout, 8) == umask
