"""Another number of ranks goes on where the others were: same samples, same weights, same losses up to rounding."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.checkpoint import reshard, select
from dual_hpc.group import SingleProcess
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from tests.distributed.history import samples

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]
CASES = ("0:bf16", "1:fp32", "1:bf16", "2:bf16", "3:fp32", "3:bf16")
SIZES = (2, 1, 3, 2)


@pytest.fixture(scope="module")
def toys(start_ranks: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """The folder of the small networks, and the results of each job; frozen layer and buffer included."""
    root = tmp_path_factory.mktemp("elastic")
    results = []
    for size in SIZES:
        start_ranks("toy", size, root, *(f"elastic:{case}" for case in CASES)).check()
        results.append(json.loads((root / "results.json").read_text()))
    return root, results


@pytest.fixture(scope="module")
def steady(start_ranks: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same on two ranks throughout: eight steps."""
    root = tmp_path_factory.mktemp("steady")
    start_ranks("toy", 2, root, *(f"curve8:{case}" for case in CASES)).check()
    return json.loads((root / "results.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_two_then_one_then_three_then_two_ranks_follow_two_ranks(
    toys: tuple[Path, list[Any]], steady: Any, case: str
) -> None:
    tolerance = 1e-5 if "fp32" in case else 2e-2
    whole = steady[f"curve8:{case}"]
    parts = [result[f"elastic:{case}"] for result in toys[1]]
    losses = [loss for part in parts for loss in part["losses"]]
    assert losses == pytest.approx(whole["losses"], rel=tolerance)
    for name, value in whole["weights"].items():
        assert parts[-1]["weights"][name] == pytest.approx(value, rel=tolerance, abs=tolerance), name
    for name in ("frozen.weight", "frozen.bias", "shift"):
        assert parts[-1]["weights"][name] == whole["weights"][name]


@pytest.mark.parametrize("case", CASES[1:])
def test_a_conversion_and_its_way_back_change_no_bit(toys: tuple[Path, list[Any]], tmp_path: Path, case: str) -> None:
    original = select.latest_verified(toys[0] / f"elastic-{case.replace(':', '-')}" / "checkpoints", SingleProcess())
    assert original is not None and original.manifest.world_size == 2
    there = reshard.reshard(original, tmp_path / "there", SingleProcess(), 5)
    assert there.manifest.world_size == 5 and there.manifest.state == original.manifest.state
    back = reshard.reshard(there, tmp_path / "back", SingleProcess(), 2)
    assert set(back.manifest.files) == set(original.manifest.files)
    for name in back.manifest.files:
        assert _same(_load(original.folder / name), _load(back.folder / name)), name


def test_a_conversion_is_made_once_unless_it_is_damaged(toys: tuple[Path, list[Any]], tmp_path: Path) -> None:
    original = select.latest_verified(toys[0] / "elastic-3-fp32" / "checkpoints", SingleProcess())
    assert original is not None
    first = reshard.reshard(original, tmp_path, SingleProcess(), 4)
    file = first.folder / next(iter(first.manifest.files))
    made = file.stat().st_ino
    assert reshard.reshard(original, tmp_path, SingleProcess(), 4) == first and file.stat().st_ino == made
    file.write_bytes(b"flaws")
    again = reshard.reshard(original, tmp_path, SingleProcess(), 4)
    assert not select.verify(again.folder) and again.manifest == first.manifest


def test_a_training_goes_on_with_any_number_of_ranks_and_says_so(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any]
) -> None:
    settings = ("training.zero_stage=3", "model.text.trainable=none")
    steady, run = make_run("steady", *settings), make_run("elastic", *settings)
    start_ranks("train", 2, steady.path, SAMPLES=str(steady.path)).check()
    noted = {"SAMPLES": str(run.path)}
    for size in (2, 1, 4):
        start_ranks("train", size, run.path, DUAL_END_TIME=str(time.time()), **noted).check()  # a step, then it stops
    said = start_ranks("train", 2, run.path, **noted).check()[0]
    assert "was written by 4 rank(s), this job has 2: it was converted" in said
    assert samples(run) == samples(steady)  # no step repeated, the same global batches
    curves, expected = replay(read(run.journal)), replay(read(steady.journal))
    for name in ("train/loss", "train/grad_norm", "val/av/ua"):
        assert curves[name] == pytest.approx(expected[name], rel=2e-4), name
    assert not (run.checkpoints / reshard.CACHE).exists()  # the next checkpoint has made it useless


def _load(path: Path) -> Any:
    return torch.load(path, weights_only=False)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return bool(torch.equal(a, b)) and a.dtype == b.dtype
    if isinstance(a, dict):
        # Where parameters lie in the cut is not kept; DeepSpeed's loader does not ask.
        keys = set(a) - {"param_slice_mappings"}
        return keys == set(b) - {"param_slice_mappings"} and all(_same(a[key], b[key]) for key in keys)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b) or type(a).__name__ == type(b).__name__ == "LossScaler"
