"""The saver: asynchronous saves, and which checkpoints are kept."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dual_hpc.checkpoint import commit, select
from dual_hpc.checkpoint.manifest import load
from dual_hpc.checkpoint.select import VerifiedCheckpoint
from dual_hpc.errors import EnvironmentFault
from dual_hpc.group import SingleProcess
from dual_hpc.training import saving
from dual_hpc.training.state import TrainingState
from tests.unit.training.saver import Engine, save, saver


class Gate:
    """Blocks the saver at a failpoint until it is opened; notes the thread."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        self.thread = ""

    def __call__(self, point: str) -> None:
        if point == "made":
            self.thread = threading.current_thread().name
            self.reached.set()
            assert self.open.wait(600)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(commit, "failpoint", gate)
    yield gate
    gate.open.set()


def weight(folder: Path) -> float:
    return float(torch.load(folder / "deepspeed" / "weights.pt", weights_only=True))


def test_the_state_at_the_start_of_a_save_is_written_while_the_training_changes_it(tmp_path: Path, gate: Gate) -> None:
    engine, state = Engine(), TrainingState(step=3)
    one = saver(tmp_path, engine)
    one.start(state)
    assert gate.reached.wait(600) and one.pending and not one.done
    engine.weight += 1
    state.step, state.non_finite_steps[4] = 4, ["a"]
    gate.open.set()
    saved = one.wait()
    assert (saved.step, saved.folder.name, weight(saved.folder)) == (3, "step_00000003", 0)
    found = select.latest_verified(tmp_path, SingleProcess())
    assert found is not None and saving._state_of(found) == TrainingState(step=3)
    assert found.manifest.run_id == "f" * 32
    assert gate.thread == "background" and not one.pending and saved.seconds > 0


@pytest.mark.parametrize("asynchronous", [True, False])
def test_the_score_of_a_step_is_added_to_its_checkpoint_whether_that_is_pending_or_committed(
    tmp_path: Path, gate: Gate, asynchronous: bool
) -> None:
    one = saver(tmp_path, Engine(), asynchronous=asynchronous, keep_last=1, keep_best=1)
    if not asynchronous:
        gate.open.set()
    for step, score in ((3, 0.9), (4, 0.2)):
        one.start(TrainingState(step=step, validation_pending=True))
        if step == 4:
            one.wait()
        one.update(TrainingState(step=step, score=score))
        gate.open.set()
        saved = one.wait()
        assert saved.step == step and (saved.seconds is None) == (step == 4)
        found = select.latest_verified(tmp_path, SingleProcess())
        assert found is not None and saving._state_of(found) == TrainingState(step=step, score=score)
        assert weight(saved.folder) == 0 and not list(saved.folder.glob(".*"))
    assert select.steps(tmp_path) == [3, 4]  # the best and the last


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("failure", [None, EnvironmentFault("no space")])
def test_a_checkpoint_names_a_best_score_only_when_the_weights_are_exported(
    tmp_path: Path, asynchronous: bool, failure: EnvironmentFault | None
) -> None:
    one = saver(tmp_path, Engine(), asynchronous=asynchronous)
    pending, ended = TrainingState(step=3, validation_pending=True), threading.Event()
    folder, seen = save(one, pending), []

    def publish() -> EnvironmentFault | None:
        assert ended.wait(600)
        seen.append(state_in(folder))  # a job that is killed here has its validation still to do
        return failure

    if not asynchronous:
        ended.set()
    one.export(publish)
    assert one.done == (not asynchronous)
    one.update(TrainingState(step=3, score=0.5), TrainingState(step=3, score=0.5, best_score=0.5))
    ended.set()
    assert one.wait().step == 3 and one.wait_for_export() == failure
    assert seen == [pending]
    assert state_in(folder) == TrainingState(step=3, score=0.5, best_score=None if failure else 0.5)


def test_weights_are_exported_although_the_save_before_has_failed(tmp_path: Path, gate: Gate) -> None:
    one = saver(tmp_path / "root", Engine())
    one.start(TrainingState(step=3))
    assert gate.reached.wait(600)
    exported: list[bool] = []
    one.export(lambda: exported.append(gate.open.is_set()))
    one.update(TrainingState(step=3, score=0.5))
    shutil.rmtree(tmp_path / "root")
    gate.open.set()
    with pytest.raises(EnvironmentFault, match="checkpoint of step 3 was not saved"):
        one.wait()
    assert one.wait_for_export() is None and exported == [True]  # after the save


def state_in(folder: Path) -> TrainingState:
    return saving._state_of(VerifiedCheckpoint(folder, load(folder)))


def test_a_score_that_cannot_be_written_is_a_failure_and_the_checkpoint_stays_as_it_was(tmp_path: Path) -> None:
    one = saver(tmp_path, Engine())
    folder = save(one, TrainingState(step=3, validation_pending=True))
    (folder / ".manifest.json.tmp").mkdir()
    one.update(TrainingState(step=3, score=0.5))
    with pytest.raises(EnvironmentFault, match="checkpoint of step 3 was not saved"):
        one.wait()
    found = select.latest_verified(tmp_path, SingleProcess())
    assert found is not None and saving._state_of(found) == TrainingState(step=3, validation_pending=True)


def test_a_synchronous_save_is_done_when_start_returns(tmp_path: Path, gate: Gate) -> None:
    gate.open.set()
    one = saver(tmp_path, Engine(), asynchronous=False)
    one.start(TrainingState(step=3))
    assert one.done and gate.thread == threading.current_thread().name
    assert one.wait().folder.is_dir()


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_failure_is_raised_by_wait_and_the_next_save_succeeds(tmp_path: Path, asynchronous: bool) -> None:
    one = saver(tmp_path / "root", Engine(), asynchronous=asynchronous)
    (tmp_path / "root").write_text("in the way")
    one.start(TrainingState(step=3))
    with pytest.raises(EnvironmentFault, match="checkpoint of step 3 was not saved"):
        one.wait()
    (tmp_path / "root").unlink()
    assert save(one, TrainingState(step=4)).name == "step_00000004"


def test_a_second_save_never_overtakes_the_first(tmp_path: Path, gate: Gate) -> None:
    one = saver(tmp_path, Engine())
    one.start(TrainingState(step=3))
    with pytest.raises(AssertionError):
        one.start(TrainingState(step=4))
    gate.open.set()
    assert one.wait().step == 3


def test_the_best_validated_stay_and_the_rest_goes(tmp_path: Path) -> None:
    one = saver(tmp_path, Engine(), keep_last=1, keep_best=2)
    for step, score in enumerate([0.3, 0.9, None, 0.5, 0.4, None], start=1):
        save(one, TrainingState(step=step, score=score))
    assert select.steps(tmp_path) == [2, 4, 6]


def test_a_damaged_later_checkpoint_never_pushes_out_what_was_just_saved(tmp_path: Path) -> None:
    one = saver(tmp_path, Engine(), keep_last=1, keep_hours=1.0)
    for step in (3, 6):
        save(one, TrainingState(step=step))
    (tmp_path / "step_00000006" / "manifest.json").unlink()  # so the next job goes on from step 3, and stops soon
    save(one, TrainingState(step=4))
    assert select.steps(tmp_path) == [3, 4, 6]
    found = select.latest_verified(tmp_path, SingleProcess())
    assert found is not None and found.manifest.step == 4
    save(one, TrainingState(step=7))
    assert select.steps(tmp_path) == [3, 7]


def test_old_checkpoints_that_cannot_be_deleted_cost_no_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(folder: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(saving.commit, "remove", stuck)
    one = saver(tmp_path, Engine(), keep_last=1)
    save(one, TrainingState(step=3))
    one.start(TrainingState(step=6))
    assert one.wait().prune_error == "old checkpoints cannot be deleted: Device or resource busy"
    assert select.steps(tmp_path) == [3, 6]
