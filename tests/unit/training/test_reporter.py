"""What a job writes while it owns the run, and that a zombie writes nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch

from dual_hpc.config import load_config
from dual_hpc.errors import EnvironmentFault
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from dual_hpc.training.distributed import World
from dual_hpc.training.reporter import Reporter, last_save_seconds, progress_line
from dual_hpc.training.schedule import TrainingSchedule


class Lease:
    """Ours until it is lost."""

    lost = False

    def check(self) -> None:
        if self.lost:
            raise EnvironmentFault("this run was taken over by job 8")


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "run", load_config("demo", [f"store={tmp_path}", "tracking.enabled=false"]))


def reporter(run: RunDir, lease: Lease, rank: int = 0) -> Reporter:
    made = Reporter(run, run.config(), World(rank, 2, torch.device("cpu")), lease.check)
    made.start(0, 10)
    return made


def test_a_zombie_writes_nothing_into_the_run_that_another_job_has_taken_over(
    run: RunDir, capfd: pytest.CaptureFixture[str]
) -> None:
    lease = Lease()
    zombie = reporter(run, lease)
    zombie.metrics(1, {"train/loss": 1.0})
    zombie.event("checkpoint", 1)
    before = (run.journal.read_bytes(), run.segments_file.read_bytes())
    lease.lost = True
    with pytest.raises(EnvironmentFault, match="taken over"):
        zombie.metrics(2, {"train/loss": 1.0})
    with pytest.raises(EnvironmentFault, match="taken over"):
        zombie.event("checkpoint", 2)
    zombie.warn("checkpoint_failed", 2, "not saved")
    zombie.close("failed")
    assert (run.journal.read_bytes(), run.segments_file.read_bytes()) == before
    said = capfd.readouterr().err
    assert "WARNING: not saved" in said and "training failed" in said


def test_the_events_of_a_job_end_with_its_end(run: RunDir) -> None:
    owner = reporter(run, Lease())
    owner.warn("non_finite", 3, "step 3 was not finite", samples=["a", "b"])
    owner.close("stopped")
    entries = read(run.journal)
    assert [(e.event, e.step) for e in entries if e.event] == [("start", 0), ("non_finite", 3), ("end", 0)]
    assert entries[-1].event == "end"
    assert entries[1].fields["samples"] == ["a", "b"]
    assert [segment.reason for segment in run.segments()] == [None, "stopped"]


def test_what_the_hours_were_used_for_is_in_the_journal_before_the_end(run: RunDir) -> None:
    owner = reporter(run, Lease())
    owner.metrics(5, {"train/loss": 1.0})
    owner.close("finished")
    found = read(run.journal)[-2].metrics
    kinds = [key for key in found if key.endswith("_percent")]
    assert len(kinds) == 7 and sum(found[key] for key in kinds) == pytest.approx(100)
    assert found["goodput/held_hours"] > 0
    start, _ = run.segments()
    assert start.gpus == 0 and start.cores is not None and start.cores >= 2  # two ranks


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_reported_once_and_ends_neither_the_training_nor_its_end(
    run: RunDir, capfd: pytest.CaptureFixture[str]
) -> None:
    owner = reporter(run, Lease())
    file, full = owner._journal._file, os.open("/dev/full", os.O_WRONLY)
    kept = os.dup(file)
    os.dup2(full, file)
    for step in (1, 2):
        owner.metrics(step, {"train/loss": 1.0})
        owner.event("checkpoint", step)
    said = capfd.readouterr().err
    assert said.count("WARNING") == 1 and "No space left on device): its lines wait in memory, training goes on" in said
    os.dup2(kept, file)
    owner.metrics(3, {"train/loss": 1.0})
    assert "is complete again" in capfd.readouterr().err
    assert list(replay(read(run.journal))["train/loss"]) == [1, 2, 3]
    os.dup2(full, file)
    owner.close("failed")
    assert "the end of this job could not be written to the run" in capfd.readouterr().err
    for handle in (kept, full):
        os.close(handle)


def test_segments_that_cannot_be_written_are_the_environments_fault(run: RunDir) -> None:
    run.segments_file.mkdir()
    with pytest.raises(EnvironmentFault, match=r"segments\.jsonl cannot be written"):
        reporter(run, Lease())


def test_other_ranks_are_silent(run: RunDir) -> None:
    other = reporter(run, Lease(), rank=1)
    other.metrics(1, {"train/loss": 1.0})
    other.close("finished")
    assert not run.journal.exists() and not run.segments()


def test_a_new_job_knows_from_the_journal_how_long_a_save_takes(run: RunDir) -> None:
    assert last_save_seconds(run.journal) == 0
    owner = reporter(run, Lease())
    for step, seconds in ((3, 20.5), (6, 31.0)):
        owner.event("checkpoint", step, folder=f"step_{step:08d}", seconds=seconds)
    owner.event("checkpoint", 9, folder="step_00000009")  # of an earlier version
    owner.close("stopped")
    assert last_save_seconds(run.journal) == 31.0


def test_the_nodes_of_all_ranks_are_in_the_segment_that_begins(run: RunDir) -> None:
    world = World(0, 4, torch.device("cpu"))
    owner = Reporter(run, run.config(), world, Lease().check, ["n2", "n2", "n1", "n1"])
    owner.start(0, 10)
    owner.close("stopped")
    assert [segment.hosts for segment in run.segments()] == [["n2", "n1"], []]
    with open(run.segments_file, "a") as file:  # as earlier versions wrote it
        file.write('{"event":"start","job_id":"9","time":1.0,"step":0}\n')
    assert run.segments()[-1].hosts == []


def test_the_log_says_when_how_far_how_fast_and_how_good(
    run: RunDir, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = TrainingSchedule(samples=40, global_batch=8, total_steps=100)
    assert progress_line(20, schedule, 0.51234, 10, 5.0) == (
        "step 20/100  epoch 4.0  loss 0.5123  16 samples/s  about 40 s left"
    )
    assert progress_line(20, schedule, 0.5, 0, 0.0) == "step 20/100  epoch 4.0  loss 0.5000"
    made = reporter(run, Lease())
    made.step(1, schedule, 1.5)
    made.metrics(1, {"val/av/ua": 0.643, "val/avt/ua": 0.7, "val/av/loss": 0.9})
    lines = capfd.readouterr().err.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines)
    assert lines[-1].endswith("step 1: validation, UA {A,V} 64.3 %, UA {A,V,T} 70.0 %")
    assert "step 1/100  epoch 0.2  loss 1.5000" in lines[-2]
