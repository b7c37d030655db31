"""A training that was killed or stopped ends as one that was not: weights and optimiser state, bit for bit."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from dual_hpc.checkpoint import choose
from dual_hpc.checkpoint.manifest import load
from dual_hpc.tracking.journal import read, replay
from dual_hpc.tracking.run_dir import RunDir

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(600)]
# Everything random switched on: dropout, augmentation, modality dropout.
RANDOM = (
    "model.dropout=0.1",
    "augment.enabled=true",
    "augment.drop_audio=0.2",
    "augment.drop_video=0.2",
    "augment.drop_text=0.3",
)


def final_state(run: RunDir) -> dict[str, Any]:
    """The proofs of everything in the last checkpoint, its position, the exported weights, the loss sequence."""
    step = choose.steps(run.checkpoints)[-1]
    manifest = load(run.checkpoints / f"step_{step:08d}")
    curves = replay(read(run.journal))
    return {
        "step": step,
        "state": manifest.state,
        "files": manifest.files,
        "weights": {name: (run.exports / name / "model.safetensors").read_bytes() for name in ("best", "last")},
        "curves": {key: curves[key] for key in ("train/loss", "train/grad_norm", "train/lr", "val/av/ua")},
    }


DEATHS = {2: [("made:2", 1), ("step:2", 0)], 3: [("manifest:2", 0)]}  # stage -> (point, rank) of each kill


@pytest.fixture(scope="module")
def undisturbed(make_run: Callable[..., RunDir], start_ranks: Callable[..., Any]) -> Callable[[int], dict[str, Any]]:
    """The final state of a run that nothing happened to, by ZeRO stage."""
    states: dict[int, dict[str, Any]] = {}

    def state(stage: int) -> dict[str, Any]:
        if stage not in states:
            run = make_run(f"whole{stage}", f"training.zero_stage={stage}", *RANDOM)
            start_ranks("train", 2, run.path).check()
            states[stage] = final_state(run)
        return states[stage]

    return state


@pytest.mark.parametrize("stage", list(DEATHS))
def test_kills_leave_no_trace_in_the_result(
    make_run: Callable[..., RunDir],
    start_ranks: Callable[..., Any],
    undisturbed: Callable[[int], dict[str, Any]],
    stage: int,
) -> None:
    run = make_run(f"killed{stage}", f"training.zero_stage={stage}", *RANDOM)
    for point, rank in DEATHS[stage]:
        codes = start_ranks("train", 2, run.path, point, DIES=str(rank)).wait()
        assert codes[rank] == -signal.SIGKILL, codes
    start_ranks("train", 2, run.path).check()
    assert final_state(run) == undisturbed(stage)


def test_signal_stop_file_and_deadline_each_save_on_all_ranks_and_the_next_job_goes_on(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any], undisturbed: Callable[[int], dict[str, Any]]
) -> None:
    run = make_run("stopped", "training.zero_stage=2", *RANDOM)
    ranks = start_ranks("train", 2, run.path)
    while not replay(read(run.journal)).get("train/loss"):
        assert all(process.poll() is None for process in ranks.processes)
        time.sleep(0.02)
    os.kill(ranks.processes[1].pid, signal.SIGUSR2)
    outputs = ranks.check()
    assert all(output.splitlines()[-1].endswith("stopped") for output in outputs)
    reached = choose.steps(run.checkpoints)[-1]
    assert reached < 5
    (run.path / "stop").touch()
    start_ranks("train", 2, run.path).check()
    (run.path / "stop").unlink()
    assert choose.steps(run.checkpoints)[-1] == reached + 1  # one step, then it looks
    start_ranks("train", 2, run.path, DUAL_END_TIME=str(time.time() + 30), DUAL_JOB_ID="77").check()
    assert choose.steps(run.checkpoints)[-1] == reached + 2
    assert run.segments()[-1].job_id == "77"
    start_ranks("train", 2, run.path).check()
    stops = [entry.fields["reason"] for entry in read(run.journal) if entry.event == "stop"]
    assert stops == ["asked by another rank", "stop file", "deadline"]
    assert run.segments()[-1].reason == "finished"
    assert final_state(run) == undisturbed(2)


def test_a_hang_ends_all_ranks_and_each_shows_where_it_stood(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any]
) -> None:
    run = make_run("hanging", "training.hang_minutes=0.1")
    ranks = start_ranks("train", 2, run.path, "hang:5", DIES="1")
    assert [process.wait(timeout=300) for process in ranks.processes] == [1, 1]  # nobody kills them
    waiting, hanging = (path.read_text() for path in ranks.outputs)
    assert "most recent call first" in waiting and "train_step" in waiting
    assert "in passed" in hanging


def test_a_damaged_newest_checkpoint_is_passed_over_loudly_and_two_are_refused(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any]
) -> None:
    run = make_run("damaged")
    start_ranks("train", 1, run.path, "step:7").wait()
    older, newest = (run.checkpoints / f"step_{step:08d}" for step in choose.steps(run.checkpoints))
    file = max(newest.rglob("*.pt"), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    output = start_ranks("train", 1, run.path, "step:1")
    output.wait()
    said = output.outputs[0].read_text()
    assert "WARNING: checkpoint passed over: step_00000006" in said and "another content" in said
    assert f"step {3} of 7" in said

    (older / "manifest.json").unlink()
    refused = start_ranks("train", 1, run.path)
    assert refused.wait() == [1]
    assert "no checkpoint in" in refused.outputs[0].read_text()
