"""A training that was killed or stopped ends like one that was not: weights and optimizer state, bit for bit."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.checkpoint import select
from dual_hpc.checkpoint.manifest import load
from dual_hpc.errors import EnvironmentFault
from dual_hpc.group import SingleProcess
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from dual_hpc.run.names import step_folder, step_of
from tests.distributed.fork_server import ForkServer
from tests.distributed.history import final_state, samples

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]
# Everything random switched on: dropout, augmentation, modality dropout.
RANDOM = (
    "model.dropout=0.1",
    "augment.enabled=true",
    "augment.drop_audio=0.2",
    "augment.drop_video=0.2",
    "augment.drop_text=0.3",
)


# ZeRO stage -> (point, rank) of each kill: together every point of the protocol, a step, and a moment by chance.
KILLS = {
    1: [("renamed:1", 0), ("chance", 1)],
    2: [("made:2", 1), ("step:2", 0), ("renamed:2", 0)],
    3: [("manifest:2", 0), ("written:1", 1)],
}


@pytest.fixture(scope="module")
def whole(make_run: Callable[..., RunDir], start_ranks: Callable[..., Any]) -> Iterator[Callable[[int], RunDir]]:
    """A run that nothing happened to, by ZeRO stage, from processes that hash otherwise than those of the killed."""
    runs: dict[int, RunDir] = {}
    fork_server = ForkServer(PYTHONHASHSEED="7")

    def run(stage: int) -> RunDir:
        if stage not in runs:
            runs[stage] = make_run(f"whole{stage}", f"training.zero_stage={stage}", *RANDOM)
            start_ranks("train", 2, runs[stage].path, fork_server=fork_server, SAMPLES=str(runs[stage].path)).check()
        return runs[stage]

    yield run
    fork_server.close()


@pytest.mark.parametrize("stage", list(KILLS))
def test_kills_leave_no_trace_in_the_result(
    make_run: Callable[..., RunDir],
    start_ranks: Callable[..., Any],
    whole: Callable[[int], RunDir],
    stage: int,
) -> None:
    asynchronous = f"checkpoint.asynchronous={'false' if stage == 2 else 'true'}"
    run = make_run(f"killed{stage}", f"training.zero_stage={stage}", asynchronous, *RANDOM)
    noted = {"SAMPLES": str(run.path)}
    for point, rank in KILLS[stage]:
        if point == "chance":
            ranks = start_ranks("train", 2, run.path, **noted)
            wait_for_a_step(run, ranks)
            time.sleep(random.uniform(0, 0.05))
            ranks.processes[rank].kill()
        else:
            ranks = start_ranks("train", 2, run.path, point, DIES=str(rank), **noted)
        codes = ranks.wait()
        assert codes[rank] == -signal.SIGKILL, codes
    start_ranks("train", 2, run.path, **noted).check()
    assert final_state(run) == final_state(whole(stage))
    assert samples(run)[1] == samples(whole(stage))[1]


def wait_for_a_step(run: RunDir, ranks: Any) -> None:
    """Until this job has done its first step; `run` has done none before."""
    while not replay(read(run.journal)).get("train/loss"):
        assert all(process.poll() is None for process in ranks.processes)
        time.sleep(0.02)


def test_signal_stop_file_and_deadline_each_save_on_all_ranks_and_the_next_job_goes_on(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any], whole: Callable[[int], RunDir]
) -> None:
    run = make_run("stopped", "training.zero_stage=2", *RANDOM)
    outputs = start_ranks("train", 2, run.path, "signal:1", DIES="1").check()
    assert all(output.splitlines()[-1].endswith("stopped") for output in outputs)
    assert select.steps(run.checkpoints) == [1]
    (run.path / "stop").touch()
    start_ranks("train", 2, run.path).check()
    (run.path / "stop").unlink()
    assert select.steps(run.checkpoints) == [1, 2]  # one step, then it looks
    start_ranks("train", 2, run.path, DUAL_END_TIME=str(time.time() + 30), DUAL_JOB_ID="77").check()
    assert select.steps(run.checkpoints) == [2, 3]
    assert run.segments()[-1].job_id == "77"
    start_ranks("train", 2, run.path).check()
    stops = [entry.fields["reason"] for entry in read(run.journal) if entry.event == "stop"]
    assert stops == ["asked by another rank", "stop file", "deadline"]
    assert run.segments()[-1].reason == "finished"
    assert final_state(run) == final_state(whole(2))


def test_a_stop_interrupts_the_validation_and_the_next_job_does_it(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any], whole: Callable[[int], RunDir]
) -> None:
    run = make_run("validating", "training.zero_stage=2", *RANDOM)
    scored = [entry.step for entry in read(whole(2).journal) if "val/av/ua" in entry.metrics]
    start_ranks("train", 2, run.path, "validating:1", DIES="1").check()  # in the validation of the first epoch
    assert select.steps(run.checkpoints) == scored[:1]
    start_ranks("train", 2, run.path, "validating:1", DIES="0").check()  # during the pending validation
    assert select.steps(run.checkpoints) == scored[:1] and not run.exports.exists()
    start_ranks("train", 2, run.path).check()
    history = read(run.journal)
    assert [(e.step, e.fields["reason"]) for e in history if e.event == "stop"] == [
        (scored[0], "asked by another rank"),
        (scored[0], "SIGUSR2"),
    ]
    assert [entry.step for entry in history if "val/av/ua" in entry.metrics] == scored
    assert final_state(run) == final_state(whole(2))


def test_a_continued_run_goes_on_counting_its_bad_samples(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any], tiny_shards: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    shutil.copytree(tiny_shards, folder)
    path = folder / "tiny-00000.tar"
    data = bytearray(path.read_bytes())
    for key in ("u0_0", "u0_1"):  # both are of the training split
        with tarfile.open(path) as tar:
            member = tar.getmember(f"{key}.flac")
        data[member.offset_data : member.offset_data + member.size] = bytes(member.size)
    path.write_bytes(data)
    run = make_run("bad", f"data.shards=[{folder}]", "data.bad_sample_limit=2", "augment.drop_audio=0")
    start_ranks("train", 2, run.path, "signal:4", DIES="1").check()  # an epoch is two steps
    start_ranks("train", 1, run.path).check()
    history = read(run.journal)
    met = [entry.step or 0 for entry in history if entry.event == "bad_samples"]
    assert met and max(met) <= 2 and run.segments()[-1].reason == "finished"
    newest = run.checkpoints / step_folder(select.steps(run.checkpoints)[-1])
    state = load(newest).state["bad_samples"]
    assert [(bad["line"].split(": ")[1], bad["faults"][0]["members"]) for bad in state] == [
        ("u0_0", ["flac"]),
        ("u0_1", ["flac"]),
    ]


def test_a_hang_ends_all_ranks_and_each_prints_its_stacks(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any]
) -> None:
    run = make_run("hanging", "training.hang_minutes=0.1")
    ranks = start_ranks("train", 2, run.path, "hang:5", DIES="1")
    assert [process.wait(timeout=300) for process in ranks.processes] == [1, 1]  # nobody kills them
    waiting, hanging = (path.read_text() for path in ranks.outputs)
    assert "most recent call first" in waiting and "train_step" in waiting
    assert "in passed" in hanging


def test_storage_that_stalls_for_one_rank_is_a_hang_of_none(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any]
) -> None:
    settings = ("training.hang_minutes=0.1", "data.workers=1", "training.validate_every=100")  # six seconds
    run = make_run("stalling", *settings)
    ranks = start_ranks("train", 2, run.path, "stall:10", DIES="1")  # two micro-batches per step
    assert [process.wait(timeout=300) for process in ranks.processes] == [0, 0]
    assert run.segments()[-1].reason == "finished"
    curves = replay(read(run.journal))
    # Rank 0, which keeps the journal, waited for the other one, where it met it first.
    assert curves["train/rank_wait"][5] + curves["train/reduction"][5] > 0.5 > curves["train/data_wait"][5]


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flipped(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("stage", [1, 3])
@pytest.mark.parametrize("damage", [truncated, flipped, Path.unlink])
def test_damage_to_any_file_of_the_newest_checkpoint_falls_back_and_to_all_checkpoints_refuses(
    whole: Callable[[int], RunDir], tmp_path: Path, stage: int, damage: Callable[[Path], None]
) -> None:
    root = tmp_path / "checkpoints"
    shutil.copytree(whole(stage).checkpoints, root)
    older, newest = (root / f"step_{step:08d}" for step in select.steps(root))
    files = sorted(path for path in newest.rglob("*") if path.is_file())
    assert len(files) == (4 if stage == 1 else 5)  # the manifest, model states, and what each rank's optimizer holds
    for file in files:
        kept = file.read_bytes()
        damage(file)
        choice = select.latest_verified(root, SingleProcess())
        assert choice is not None and choice.folder == older
        assert choice.rejected and choice.rejected[0].startswith(f"{newest.name}: ")
        assert file.name in choice.rejected[0] or file.name == "manifest.json"
        file.write_bytes(kept)
    assert select.latest_verified(root, SingleProcess()).folder == newest
    damage(files[0])
    damage(older / "manifest.json")
    with pytest.raises(EnvironmentFault, match=f"no checkpoint in .* is usable.*{newest.name}.*{older.name}"):
        select.latest_verified(root, SingleProcess())


def test_a_damaged_newest_checkpoint_is_skipped_with_a_warning_and_two_are_an_error(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any]
) -> None:
    run = make_run("damaged", "checkpoint.asynchronous=false")
    start_ranks("train", 1, run.path, "renamed:2").wait()
    older, newest = (run.checkpoints / f"step_{step:08d}" for step in select.steps(run.checkpoints))
    file = max(newest.rglob("*.pt"), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    output = start_ranks("train", 1, run.path, "step:1")
    output.wait()
    said = output.outputs[0].read_text()
    assert f"WARNING: damaged checkpoint skipped: {newest.name}" in said and "other content" in said
    assert f"step {step_of(older)} of 7" in said

    (older / "manifest.json").unlink()
    refused = start_ranks("train", 1, run.path)
    assert refused.wait() == [1]
    assert "no checkpoint in" in refused.outputs[0].read_text()
