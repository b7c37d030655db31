"""What Slurm's commands print, and how rarely it is asked."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dual_hpc.errors import EnvironmentFault
from launch.cluster.accounting import parse_accounting
from launch.cluster.job_record import SlurmJob
from launch.cluster.slurm import Scheduler, parse_queue
from tests.unit.launch.fake_slurm import sacct, squeue

QUEUE = squeue("7|PENDING|Resources|\n8|RUNNING|None|n[1-2]\n9_3|COMPLETING|None|n4\n")
ACCOUNT = sacct(
    "5|REQUEUED|0:0|n[1-2]\n5.batch|CANCELLED|0:15|n1\n5.0|CANCELLED by 0|0:15|n[1-2]\n"
    "5|OUT_OF_MEMORY|0:125|n3\n5.batch|OUT_OF_MEMORY|0:125|n3\n5.0|FAILED|1:0|n3\n"
    "6|CANCELLED by 1000|0:0|None assigned\n"
)


def test_the_queue_is_understood() -> None:
    jobs = parse_queue(QUEUE)
    assert jobs["7"] == SlurmJob("7", "PENDING", "Resources")
    assert jobs["8"].nodes == "n[1-2]" and jobs["8"].reason == "" and jobs["9_3"].active


def test_accounting_gives_the_last_start_and_the_earlier_ones() -> None:
    jobs = parse_accounting(ACCOUNT)
    assert jobs["5"].state == "OUT_OF_MEMORY" and jobs["5"].earlier == ("REQUEUED",)
    assert jobs["5"].steps == ("OUT_OF_MEMORY", "FAILED") and jobs["5"].nodes == "n3"
    assert jobs["6"].state == "CANCELLED" and not jobs["6"].active


class Asked:
    def __init__(self, accounting: bool = True) -> None:
        self.commands: list[str] = []
        self.now = 0.0
        self.accounting = accounting

    def __call__(self, words: Sequence[str]) -> str:
        self.commands.append(words[0])
        if words[0] == "sacct" and not self.accounting:
            raise EnvironmentFault("sacct: Slurm accounting storage is disabled")
        return QUEUE if words[0] == "squeue" else ACCOUNT


def test_all_jobs_are_one_question_and_a_watcher_waits_for_the_next() -> None:
    asked = Asked()
    slurm = Scheduler(30, asked, lambda: asked.now)
    for now in range(60):
        asked.now = float(now)
        found = slurm.jobs(["7", "8", "5", "404"])
        assert sorted(found) == ["5", "7", "8"]
    assert asked.commands == ["squeue", "sacct"] * 2


def test_a_job_that_was_not_asked_for_yet_is_asked_for_at_once() -> None:
    asked = Asked()
    slurm = Scheduler(30, asked, lambda: asked.now)
    slurm.jobs(["7"])
    assert slurm.jobs(["8"])["8"].state == "RUNNING"
    assert asked.commands == ["squeue", "squeue"]


def test_a_member_of_an_array_that_left_no_trace_was_cancelled_while_it_waited() -> None:
    def slurm(queue: str, account: str = "") -> Scheduler:
        return Scheduler(0, lambda words: squeue(queue) if words[0] == "squeue" else sacct(account))

    in_queue = slurm("9_1|PENDING|JobArrayTaskLimit|\n9_0|RUNNING|None|n1\n").jobs(["9_0", "9_1", "9_2", "8_2", "7"])
    assert {job: found.state for job, found in in_queue.items()} == {
        "9_0": "RUNNING",
        "9_1": "PENDING",
        "9_2": "CANCELLED",
    }
    assert slurm("9|CANCELLED|None|\n").jobs(["9_2"])["9_2"].state == "CANCELLED"
    assert slurm("", "9_0|COMPLETED|0:0|n1\n").jobs(["9_2"])["9_2"].state == "CANCELLED"
    assert slurm("91_0|RUNNING|None|n1\n").jobs(["9_2"]) == {}


def test_a_cluster_without_accounting_knows_only_its_queue() -> None:
    assert sorted(Scheduler(0, Asked(accounting=False)).jobs(["7", "5"])) == ["7"]


def test_a_slurm_that_does_not_answer_is_not_pressed() -> None:
    now, asked = 0.0, 0

    def broken(words: Sequence[str]) -> str:
        nonlocal asked
        asked += 1
        if now < 60:
            raise EnvironmentFault("squeue: cannot be reached")
        return QUEUE

    slurm = Scheduler(30, broken, lambda: now)
    for second in range(60):
        now = float(second)
        with pytest.raises(EnvironmentFault, match="cannot be reached"):
            slurm.jobs(["7"])
    assert asked == 2
    now = 60.0
    assert slurm.jobs(["7"])["7"].state == "PENDING"


def test_slurm_is_not_asked_about_no_jobs() -> None:
    asked = Asked()
    assert Scheduler(0, asked).jobs([]) == {} and asked.commands == []
