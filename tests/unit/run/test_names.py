"""Names in a run directory, and what a job knows about itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from dual_hpc.run import jsonl
from dual_hpc.run.names import step_folder, step_of
from dual_hpc.run.this_job import job_id, restart_count


@pytest.mark.parametrize("step", [0, 7, 12345678, 1234567890])
def test_the_folder_of_a_step_names_it(step: int) -> None:
    assert step_of(Path("x") / step_folder(step)) == step


@pytest.mark.parametrize("name", ["step_9", "step_00000009.old", "step_00000009.abc.tmp", "latest", "step_0000000x"])
def test_nothing_else_is_the_folder_of_a_step(name: str) -> None:
    assert step_of(Path(name)) is None


def test_a_job_is_called_as_its_launcher_calls_it() -> None:
    assert job_id({"DUAL_JOB_ID": "7_1", "SLURM_JOB_ID": "8"}) == "7_1"
    assert job_id({"SLURM_JOB_ID": "8"}) == "8"
    assert job_id({}) == f"local-{os.getpid()}"


def test_a_job_that_slurm_has_not_started_before_has_no_restarts() -> None:
    assert [restart_count({"SLURM_RESTART_COUNT": text}) for text in ("", "0", "2")] == [0, 0, 2]
    assert restart_count({}) == 0


class Record(BaseModel):
    restart_count: int = Field(0, alias="incarnation")


def test_records_keep_their_written_names(tmp_path: Path) -> None:
    jsonl.append(tmp_path / "a.jsonl", Record(incarnation=3))
    assert (tmp_path / "a.jsonl").read_text() == '{"incarnation":3}\n'
    assert [record.restart_count for record in jsonl.read(tmp_path / "a.jsonl", Record)] == [3]
