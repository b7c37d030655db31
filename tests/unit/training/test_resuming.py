"""What a training is resumed from: its settings, and checkpoints of other and earlier versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.checkpoint import select
from dual_hpc.checkpoint.manifest import Manifest
from dual_hpc.checkpoint.select import VerifiedCheckpoint
from dual_hpc.config import validate
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.training import saving
from dual_hpc.training.saving import Saver
from dual_hpc.training.state import TrainingState
from tests.unit.training.saver import Engine, Rank, save, saver


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
