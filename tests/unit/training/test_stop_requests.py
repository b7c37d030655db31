"""A stop is asked for by a signal on any rank; the file and the end of the job's time are rank 0's to see."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.run.this_job import job_id
from dual_hpc.training.stop_requests import StopRequests, end_time, is_late
from dual_hpc.training.stopping import StopFlag

seconds = st.floats(0, 1e6)


def requests(folder: Path, rank: int = 0, flag: StopFlag | None = None, **environ: str) -> StopRequests:
    return StopRequests(flag or StopFlag(), folder, rank, environ, margin=60)


def test_by_default_nothing_asks_to_stop(tmp_path: Path) -> None:
    assert requests(tmp_path).reason() is None


def test_a_signal_counts_on_every_rank_and_names_the_reason(tmp_path: Path) -> None:
    for rank in (0, 1):
        flag = StopFlag()
        flag.reason = "SIGUSR2"
        assert requests(tmp_path, rank, flag).reason() == "SIGUSR2"


def test_the_stop_file_is_seen_by_rank_0_and_stays_for_the_launcher(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    assert requests(tmp_path).reason() == "stop file"
    assert requests(tmp_path, rank=1).reason() is None
    assert (tmp_path / "stop").exists()


def test_the_stop_file_is_looked_for_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    asked = requests(tmp_path)
    assert asked.reason() is None
    (tmp_path / "stop").touch()
    now += 0.9
    assert asked.reason() is None
    now += 0.2
    assert asked.reason() == "stop file"


def test_a_folder_that_cannot_be_read_does_not_ask_to_stop(tmp_path: Path) -> None:
    assert requests(tmp_path / ("x" * 300)).reason() is None


def test_the_end_of_the_jobs_time_leaves_room_for_two_saves(tmp_path: Path) -> None:
    asked = requests(tmp_path, SLURM_JOB_END_TIME=str(int(time.time()) + 200))
    assert asked.reason() is None
    asked.save_seconds = 100
    assert asked.reason() == "deadline"
    assert requests(tmp_path, rank=1, DUAL_END_TIME="0").reason() is None


def test_the_end_time_of_the_launcher_comes_before_slurms_and_an_invalid_one_is_ignored() -> None:
    assert end_time({"DUAL_END_TIME": "5", "SLURM_JOB_END_TIME": "7"}) == 5
    assert end_time({"DUAL_END_TIME": "soon", "SLURM_JOB_END_TIME": "7"}) == 7
    assert end_time({"SLURM_JOB_END_TIME": "UNLIMITED"}) is None


@given(now=seconds, left=seconds, save=seconds, margin=seconds)
def test_a_job_that_stops_in_time_has_time_for_its_save(now: float, left: float, save: float, margin: float) -> None:
    assert not is_late(now, None, save, margin)
    if not is_late(now, now + left, save, margin):
        assert left >= 2 * save + margin - 1e-3


def test_a_job_is_named_by_its_launcher_then_by_slurm() -> None:
    assert job_id({"DUAL_JOB_ID": "12_3", "SLURM_JOB_ID": "15"}) == "12_3"
    assert job_id({"SLURM_JOB_ID": "15"}) == "15"
    assert job_id({}).startswith("local-")


def test_the_deadline_can_be_ignored_but_not_what_somebody_asked_for(tmp_path: Path) -> None:
    late = requests(tmp_path, DUAL_END_TIME=str(time.time()))
    assert (late.reason(), late.reason(deadline=False)) == ("deadline", None)
    (tmp_path / "stop").touch()
    asked = requests(tmp_path, DUAL_END_TIME=str(time.time()))
    assert (asked.reason(), asked.reason(deadline=False)) == ("stop file", "stop file")
    assert requests(tmp_path, rank=1).reason() is None
