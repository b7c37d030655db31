"""The saver: asynchronous saves, which checkpoints are kept, and what is resumed, also of earlier versions."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.checkpoint import commit, select
from dual_hpc.checkpoint.deepspeed_io import VerifiedFiles
from dual_hpc.checkpoint.manifest import Manifest, load
from dual_hpc.checkpoint.select import VerifiedCheckpoint
from dual_hpc.config import RunConfig, validate
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.group import SingleProcess
from dual_hpc.training import saving
from dual_hpc.training.saving import Saver
from dual_hpc.training.state import TrainingState


class Rank(SingleProcess):
    """The only rank of a training."""

    def new_gloo_group(self) -> SingleProcess:
        return SingleProcess()


class Engine:
    """Its state is one number, which the training changes meanwhile."""

    found: str | None = "deepspeed"  # the folder that DeepSpeed reports as loaded

    def __init__(self) -> None:
        self.weight = torch.zeros(1)
        self.files = VerifiedFiles()
        self.deepspeed = self

    def load_checkpoint(self, *_: Any, **__: Any) -> tuple[str | None, None]:
        return self.found, None

    def checkpoint_files(self, folder: str, copy: bool) -> dict[str, Any]:
        return {f"{folder}/weights.pt": self.weight.clone() if copy else self.weight}


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


def config(**checkpoint: Any) -> RunConfig:
    return validate({"checkpoint": checkpoint})


def saver(root: Path, engine: Engine, **checkpoint: Any) -> Saver:
    return Saver(root, config(**checkpoint), engine, Rank(), run_id="f" * 32)  # type: ignore[arg-type]


def save(saver: Saver, state: TrainingState) -> Path:
    saver.start(state)
    return saver.wait().folder


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


def test_a_state_of_another_version_is_named_in_one_line(tmp_path: Path) -> None:
    manifest = Manifest(step=3, world_size=1, zero_stage=0, precision="fp32", state={"step": 3, "mood": 1}, files={})
    with pytest.raises(EnvironmentFault, match=r"step_00000003 was written by another version \(mood\)"):
        saving._state_of(VerifiedCheckpoint(tmp_path / "step_00000003", manifest))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("optim", "lr", 0.5),
        ("model", "hidden_size", 32),
        ("training", "zero_stage", 3),
        ("training", "precision", "fp32"),
        ("data", "micro_batch", 1),
    ],
)
def test_a_run_goes_on_with_what_it_began_with_or_the_setting_is_named(
    tmp_path: Path, section: str, key: str, value: object
) -> None:
    save(saver(tmp_path, Engine()), TrainingState(step=3))
    tree = {"checkpoint": {"keep_last": 9}, "data": {"shards": ["moved"], "workers": 7}, "name": "renamed"}
    tree[section] = {**tree.get(section, {}), key: value}  # type: ignore[dict-item]
    other = Saver(tmp_path, validate(tree), Engine(), Rank())  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"{section}.{key}.* the run began with|training.zero_stage, training.prec"):
        other.resume()


def test_where_things_lie_and_how_a_run_is_kept_alive_may_change(tmp_path: Path) -> None:
    save(saver(tmp_path, Engine()), TrainingState(step=3))
    tree = {"checkpoint": {"keep_last": 9}, "data": {"shards": ["moved"], "workers": 7}, "name": "renamed"}
    resumed = Saver(tmp_path, validate(tree), Engine(), Rank()).resume()  # type: ignore[arg-type]
    assert resumed is not None and resumed.state == TrainingState(step=3)


def test_a_checkpoint_that_deepspeed_finds_empty_is_no_fresh_start(tmp_path: Path) -> None:
    save(saver(tmp_path, Engine()), TrainingState(step=3))
    engine = Engine()
    engine.found = None
    with pytest.raises(EnvironmentFault, match="holds nothing that DeepSpeed loads"):
        saver(tmp_path, engine).resume()


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


# Literally what the code of commit 0813ad0 wrote, and the file `latest` that it put next to its checkpoints.
EARLIER = """\
{
 "digest": "f430fa6798f0f6e21f7654bc1d29b3cc050697df63800d40b26a5d8d0e2706ad",
 "files": {
  "deepspeed/x.pt": {
   "bytes": 3,
   "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
  }
 },
 "format_version": 1,
 "precision": "bf16",
 "run_id": "ffffffffffffffffffffffffffffffff",
 "state": {
  "bad_samples": [],
  "best_score": 0.5,
  "best_step": 2,
  "loader": {
   "epoch": 1,
   "samples_consumed": 48
  },
  "owes_validation": true,
  "rolled_back": 3,
  "score": null,
  "settings": {
   "optim.lr": 0.0001
  },
  "sick": {
   "4": [
    "u0"
   ]
  },
  "skipped": 2,
  "step": 4
 },
 "step": 4,
 "world_size": 1,
 "zero_stage": 1
}
"""


def written(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text()))


def test_a_checkpoint_of_an_earlier_version_is_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "step_00000004"
    (folder / "deepspeed").mkdir(parents=True)
    (folder / "deepspeed" / "x.pt").write_bytes(b"abc")
    (folder / "manifest.json").write_text(EARLIER)
    (tmp_path / "latest").write_text("step_00000004\n")
    one = Saver(tmp_path, validate({"optim": {"lr": 0.0001}}), Engine(), Rank())  # type: ignore[arg-type]
    resumed = one.resume()
    assert resumed is not None and (resumed.rejected, resumed.written_by) == ([], 1)
    assert resumed.state == TrainingState(
        step=4,
        loader={"epoch": 1, "samples_consumed": 48},
        best_score=0.5,
        validation_pending=True,
        skipped=2,
        non_finite_steps={4: ["u0"]},
        rolled_back=3,
    )
    one.update(resumed.state)  # the code that wrote it can still read it
    one.wait()
    assert {"format_version": 1, "files": json.loads(EARLIER)["files"]}.items() <= written(folder).items()
    resumed.state.step = 5
    assert written(save(one, resumed.state))["format_version"] == 2  # which code that knows no other hash names
    assert select.steps(tmp_path) == [4, 5] and (tmp_path / "latest").exists()
    other = Saver(tmp_path, validate({"optim": {"lr": 0.1}}), Engine(), Rank())  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"optim\.lr"):
        other.resume()
