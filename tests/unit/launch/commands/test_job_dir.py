"""Jobs of other verbs: their folders, and what their tasks' words and Slurm's make of their state."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.errors import EnvironmentFault, UserError
from launch.cli.main import main
from launch.cluster.job_record import SlurmJob
from launch.cluster.slurm import Scheduler
from launch.commands import status
from launch.commands.diagnosis import diagnose_command
from launch.commands.job_dir import JobDescription, JobDir, TaskEvent, find_job, list_jobs
from launch.commands.status import command_statuses, task_state
from tests.unit.launch.fake_slurm import sacct, squeue


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "available", lambda: True)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def job(tmp_path: Path) -> JobDir:
    """Packing in two tasks."""
    made = JobDir.make(tmp_path, "pack")
    words = ["pack", "meld", "/my corpus"]
    made.save(JobDescription(words=words, job_ids=["7_0", "7_1"], folder="/", profile="dev", request=LaunchConfig()))
    return made


def answering(queue: str, account: str = "") -> Scheduler:
    return Scheduler(0, lambda words: squeue(queue) if words[0] == "squeue" else sacct(account))


def end(task: int, code: int | None) -> TaskEvent:
    return TaskEvent(task=task, event="end", exit_code=code)


def test_jobs_are_numbered_and_found_by_name_or_folder(job: JobDir, tmp_path: Path) -> None:
    second = JobDir.make(tmp_path, "pack")
    assert (job.name, second.name) == ("pack-1", "pack-2")
    assert find_job("pack-1", tmp_path) == job == find_job(str(job.path), tmp_path / "elsewhere")
    assert find_job("pack-2", tmp_path) is None, "nothing was submitted there"
    second.save(job.description())
    (tmp_path / "jobs" / "pack-9").mkdir()
    (tmp_path / "jobs" / "pack-9" / "job.json").write_text("{")
    assert [one.name for one in list_jobs(tmp_path)] == ["pack-1", "pack-2"]


@pytest.mark.parametrize(
    ("event", "slurm", "answers", "state"),
    [
        (None, "PENDING", True, "queued"),
        (None, "RUNNING", True, "running"),
        (None, "COMPLETING", True, "ending"),
        (None, None, True, "lost"),
        (None, None, False, "submitted"),
        (TaskEvent(task=0, event="start"), None, False, "running"),
        (TaskEvent(task=0, event="start"), "OUT_OF_MEMORY", True, "out of memory"),
        (TaskEvent(task=0, event="start"), "TIMEOUT", True, "out of time"),
        (TaskEvent(task=0, event="start"), "FAILED", True, "failed"),
        (TaskEvent(task=0, event="start"), "PENDING", True, "queued"),
        (end(0, 0), "COMPLETING", True, "finished"),
        (end(0, 0), None, True, "finished"),
        (end(0, 2), "RUNNING", True, "user error"),
        (end(0, 1), "RUNNING", True, "failed"),
        (end(0, 1), "OUT_OF_MEMORY", True, "out of memory"),
        (end(0, None), None, True, "failed"),
        (TaskEvent(task=0, event="start"), "COMPLETED", True, "failed"),
        (end(0, 1), "PENDING", True, "queued"),
    ],
)
def test_the_state_of_a_task(event: TaskEvent | None, slurm: str | None, answers: bool, state: str) -> None:
    assert task_state(event, None if slurm is None else SlurmJob("7", slurm), answers) == state


def test_one_task_failed_and_why_tells_which_and_what_it_said(job: JobDir) -> None:
    job.record(end(0, 0))
    job.record(TaskEvent(task=1, event="start"))
    job.record(end(1, 2))
    (job.logs / "task_0001.log").write_text("reading\ndual-hpc: error: /my corpus does not exist\n")
    seen = command_statuses([job], answering("7_0|COMPLETED|None|n1\n7_1|FAILED|None|n2\n"))[0]
    assert (seen.state, seen.tasks, seen.exit_codes) == ("user error", ["finished", "user error"], [0, 2])
    assert seen.nodes == "n1,n2" and seen.command == "dual-hpc pack meld '/my corpus'"
    why = diagnose_command(job, answering("7_1|FAILED|None|n2\n"))
    assert why.state == "user error" and "task 1 of 2 (job 7_1)" in why.sentence
    assert why.sentence.endswith("/my corpus does not exist") and seen.command in why.advice


def test_accounting_tells_a_kill_for_memory_from_a_failure(job: JobDir) -> None:
    account = "7_0|FAILED|1:0|n1\n7_0.0|OUT_OF_MEMORY|0:125|n1\n"
    job.record(TaskEvent(task=1, event="start"))
    job.record(end(1, 0))
    why = diagnose_command(job, answering("7_0|FAILED|None|n1\n", account))
    assert why.state == "out of memory" and "launch.cpus_per_rank" in why.advice


def test_a_silent_slurm_hides_no_job(job: JobDir, caplog: pytest.LogCaptureFixture) -> None:
    def silent(words: Sequence[str]) -> str:
        raise EnvironmentFault("squeue: cannot be reached")

    job.record(end(0, 0))
    assert command_statuses([job], Scheduler(0, silent))[0].tasks == ["finished", "submitted"]
    assert "the states are those the jobs wrote" in caplog.text


def test_what_slurm_wrote_stands_in_for_a_task_that_could_not_begin(job: JobDir) -> None:
    assert job.log(1) == job.logs / "task_0001.log"
    (job.logs / "7_1_0_log.out").write_text("No module named submitit")
    assert job.log(1).name == "7_1_0_log.out" and job.log(5).name == "task_0005.log"
    (job.logs / "task_0001.log").write_text("")
    assert job.log(1).name == "task_0001.log"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stop", "pack-1"], "pack-1 is a job of `pack`, not a run"),
        (["resume", "pack-1"], "not a run"),
        (["ckpt", "ls", "pack-1"], "not a run"),
        (["logs", "pack-1", "--rank", "2"], "pack-1 has the tasks 0 to 1"),
        (["logs", "pack-1", "--rank", "-1"], "must be 0 or more"),
        (["logs", "pack-1"], "no logs yet"),
        (["status", "pack-2"], "no run, sweep or job 'pack-2'"),
    ],
)
def test_verbs_of_runs_say_that_it_is_a_job(
    words: list[str], said: str, job: JobDir, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--store", str(tmp_path)]) == 2
    line = capfd.readouterr().err
    assert said in line and line.count("\n") == 1


def test_a_damaged_description_is_one_line(job: JobDir, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (job.path / "job.json").write_text("{}")
    for verb in ("status", "why", "logs", "cancel"):
        assert main([verb, "pack-1", "--store", str(tmp_path)]) == 2
        assert "not a valid description of a job" in capfd.readouterr().err
    with pytest.raises(UserError):
        job.description()


def test_a_task_leaves_its_exit_code_and_its_words(job: JobDir) -> None:
    """In a process of its own, which ends with the verb's exit code."""
    program = "import sys; from launch.cli.command_job import run_in_job; run_in_job(sys.argv[1], 0, sys.argv[2:])"
    for words, code in ((["inspect", "/nowhere"], 2), (["pack", "--help"], 0), (["pack", "nothing"], 2)):
        done = subprocess.run([sys.executable, "-c", program, job.path, *words], capture_output=True, text=True)
        assert done.returncode == code and done.stdout + done.stderr == ""
        assert (job.events()[0].event, job.events()[0].exit_code) == ("end", code)
    assert "the folder /nowhere does not exist" in job.log(0).read_text()


def test_runs_lists_jobs_and_runs_apart(job: JobDir, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for task in (0, 1):
        job.record(end(task, 0))
    assert main(["runs", "--json", "--store", str(tmp_path)]) == 0
    (line,) = capfd.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["kind"], told["name"], told["state"]) == ("job", "pack-1", "finished")


@pytest.mark.parametrize(("reason", "advised"), [("Priority", False), ("PartitionTimeLimit", True)])
def test_why_tells_what_a_task_waits_for_and_what_to_do_if_it_will_never_begin(
    job: JobDir, reason: str, advised: bool
) -> None:
    why = diagnose_command(job, answering(f"7_0|PENDING|{reason}|\n7_1|PENDING|{reason}|\n"))
    assert (why.state, why.sentence.split(";")[0]) == ("queued", f"task 0 of 2 (job 7_0) is queued ({reason})")
    assert (f"dual-hpc cancel {job.name}" in why.advice and "dual-hpc pack meld" in why.advice) == advised
