"""A sweep that was submitted is changed as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError
from dual_hpc.run.directory import RunDir
from launch.cluster.profiles import load_profile
from launch.cluster.slurm import Scheduler
from launch.records import submissions
from launch.runs import status
from launch.sweeps import control
from launch.sweeps.grid import SweepDir, folder, grid
from tests.unit.launch.fake_slurm import squeue

QUEUE = "7_0|RUNNING|None|n1\n7_1|PENDING|JobArrayTaskLimit|\n9|RUNNING|None|n2\n"


def test_more_members_may_run_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(control, "call", lambda words: calls.append(list(words)))
    monkeypatch.setattr(status, "available", lambda: True)
    answer = {"squeue": squeue(QUEUE)}

    def run(words: Sequence[str]) -> str:
        return answer.get(words[0], "")

    monkeypatch.setattr(control, "Scheduler", lambda interval: Scheduler(interval, run))
    sweep = SweepDir(folder(tmp_path, "cv"), grid("cv", ["seeds=0..2"]))
    request = load_config("demo", ["launch.profile=dev"]).launch
    for job, member in zip(("7_0", "7_1", "9"), sweep.runs(), strict=True):
        RunDir.create(member.path, load_config("demo", [f"name={member.path.name}"]))
        entry = submissions.Entry(event="submit", job_id=job, request=request, profile=load_profile("dev"))
        submissions.record(member.path, entry)
    assert "12 members of cv run at a time" in control.change_parallel(sweep, 12)
    assert calls == [["scontrol", "update", "JobId=7", "ArrayTaskThrottle=12"]], "once per array"
    answer["squeue"] = squeue("9|RUNNING|None|n2\n")
    with pytest.raises(UserError, match="not a job array"):
        control.change_parallel(sweep, 12)
