"""Why a run failed: from the most certain cause to what only Slurm says."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from launch.cluster.job_record import SlurmJob, Usage
from launch.cluster.state import State
from launch.records.failures import LOST_PEER, Failure
from launch.records.srun_output import KilledTasks, SrunOutput
from launch.records.submissions import EVERY_NODE_BAD, Entry
from launch.runs.diagnosis import diagnose
from launch.runs.findings import Diagnosis, Evidence
from launch.runs.status import RunStatus

GB = 2**30
JOB = SlurmJob("7", "FAILED", nodes="n[1-2]", exit_code="1:0")


def why(past: SlurmJob = JOB, **more: Any) -> Diagnosis:
    status = RunStatus(State.FAILED, "7", past, local=False, active=False)
    return diagnose(Evidence("trial", status, step=12, total=40, past=past, store="/store/runs", **more))


def failure(message: str, *bad_nodes: str) -> Failure:
    found = Failure(job_id="7", rank=1, host="n2", message=message, exit_code=1, log="/l")
    return found.model_copy(update={"bad_nodes": list(bad_nodes)})


def test_a_killed_rank_comes_before_the_peers_that_noticed() -> None:
    killed = SrunOutput(KilledTasks("n1", "0", signal.SIGKILL))
    used = SlurmJob("7", "FAILED", usage=Usage(seconds=9, memory=4 * GB, peak_memory=3.9 * GB))
    found = why(used, srun=killed, failures=[failure("RuntimeError: connection closed by peer")])
    assert found.cause == "killed" and found.sentence == (
        "task 0 on n1 was killed by signal 9 (SIGKILL) at step 12 of 40, often because its node had no memory left "
        "(peak 3.9 GB of 4.0 GB)"
    )


@pytest.mark.parametrize(
    ("exits", "said"),
    [
        (("0:15", "0:11"), "a task (on n[1-2]) was killed by signal 11 (SIGSEGV)"),
        (("0:9",), "signal 9 (SIGKILL)"),
        (("1:0", "0:15"), "Slurm says failed (1:0)"),
        (("0:999", "x", ""), "Slurm says failed (1:0)"),
    ],
)
def test_accounting_knows_the_signal_where_srun_said_nothing(exits: tuple[str, ...], said: str) -> None:
    assert said in why(SlurmJob("7", "FAILED", nodes="n[1-2]", exit_code="1:0", step_exits=exits)).sentence


@pytest.mark.parametrize(
    "message",
    [
        "OSError: [Errno 28] No space left on device: '/store/runs/trial/checkpoints/12/x.pt'",
        "OSError: [Errno 122] Disk quota exceeded",
        "store: less than 1 GB are free on the file system of /store/runs/trial",
    ],
)
def test_a_full_store_is_named_with_what_is_free_now(message: str) -> None:
    for found in (why(failures=[failure(message)], free_bytes=5 * GB), why(full=message, free_bytes=5 * GB)):
        assert found.cause == "full" and message in found.sentence and "5.0 GB are free now" in found.sentence
        assert "doctor" in found.advice and "resume trial" in found.advice


def test_a_node_without_the_store_is_named() -> None:
    found = why(SlurmJob("7", "FAILED", nodes="n3", exit_code="0:53"))
    assert found.cause == "node" and "/store/runs is not there" in found.sentence and "node n3" in found.sentence
    assert "avoids n3" in found.advice
    line = "slurm_script: line 17: module: command not found"
    assert line in why(srun=SrunOutput(None, line)).sentence


def test_an_installation_and_nodes_that_are_all_bad_are_told_with_what_follows() -> None:
    wrong = failure("installation: torch 2.13.0+cpu is a build for the CPU").model_copy(update={"installation": True})
    killed = failure("killed by SIGKILL").model_copy(update={"killed": True})
    found = why(failures=[killed, wrong])
    assert found.cause == "installation" and "torch 2.13.0+cpu" in found.sentence
    assert "no node was excluded" in found.sentence and "dual-hpc doctor" in found.advice
    bad = failure("node n1, n2: /dev/shm has only 1 MB free").model_copy(update={"bad_nodes": ["n1", "n2"]})
    given_up = [Entry(event="leave", job_id="7", cause=EVERY_NODE_BAD)]
    left = why(failures=[bad], history=given_up)
    assert left.cause == "bad nodes" and left.sentence.count("n1, n2") == 1
    assert "no further one" not in why(failures=[bad]).sentence


@pytest.mark.parametrize(
    ("job", "more"),
    [
        (
            JOB,
            {"failures": [failure("node n2: /tmp, the folder for temporary files (TMPDIR), has only 0 MB free", "n2")]},
        ),
        (JOB, {"failures": [failure("node n2: /tmp/kernels/k.so: No space left on device", "n2")], "full": "No space"}),
        (JOB, {"srun": SrunOutput(unfit={"n2": "/tmp is full"})}),
        (JOB, {"srun": SrunOutput(unfit={"n2": "/tmp is full"}), "failures": [failure(f"{LOST_PEER}: gone")]}),
    ],
)
def test_an_unfit_node_is_named_with_its_folder_and_not_taken_for_the_store(
    job: SlurmJob, more: dict[str, Any]
) -> None:
    found = why(job, **more)
    assert found.cause == "node" and found.sentence.startswith("node n2 is not fit at step 12 of 40: /tmp")
    assert found.advice.endswith("it avoids n2") and "n2: " not in found.sentence


def test_nodes_that_are_all_unfit_are_a_fault_of_the_installation() -> None:
    both = SrunOutput(unfit=dict.fromkeys(("n1", "n2"), "execve(): /env/bin/python: No such file or directory"))
    found = why(srun=both)
    assert "node n1, n2 is not fit" in found.sentence and found.sentence.count("/env/bin/python") == 1
    assert "the job had no other" in found.sentence
    assert "check the installation" in found.advice and "avoids" not in found.advice
    alone = SlurmJob("7", "FAILED", nodes="n1", exit_code="2:0")
    assert "avoids n1" in why(alone, srun=SrunOutput(unfit={"n1": "execve()"})).advice


def test_a_batch_script_that_was_signalled_is_not_taken_for_a_node_without_memory() -> None:
    ended = SlurmJob("7", "FAILED", nodes="n4", exit_code="0:15", step_exits=("0:15", "0:9"))
    found = why(ended)
    assert found.cause == "signal" and "its batch script was ended by signal 15 (SIGTERM)" in found.sentence
    assert "memory" not in found.sentence and "scancel --full" in found.sentence
