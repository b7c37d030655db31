"""`dual-hpc ckpt export`: what comes out of a checkpoint predicts, and is what was trained, bit for bit."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.model import DualForEmotionClassification
from dual_hpc.run.directory import RunDir
from launch.cli import main as command

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]


def test_an_exported_checkpoint_predicts_and_equals_the_trained_weights(
    make_run: Callable[..., RunDir],
    start_ranks: Callable[..., Any],
    tiny_shards: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run("exported", "training.zero_stage=2", "training.max_steps=4", "checkpoint.every_steps=2")
    start_ranks("train", 2, run.path).check()
    newest, older = tmp_path / "newest", tmp_path / "older"
    assert command.main(["ckpt", "export", str(run.path), "--out", str(newest)]) == 0
    assert command.main(["ckpt", "export", str(run.path), "--step", "3", "--out", str(older)]) == 0
    assert capsys.readouterr().out.split() == [str(newest), str(older)]

    trained = DualForEmotionClassification.from_pretrained(run.exports / "last").state_dict()
    exported = DualForEmotionClassification.from_pretrained(newest).state_dict()
    assert trained.keys() == exported.keys()
    assert all(torch.equal(exported[name], value) for name, value in trained.items())
    earlier = DualForEmotionClassification.from_pretrained(older).state_dict()
    assert any(not torch.equal(earlier[name], value) for name, value in trained.items())

    with tarfile.open(tiny_shards / "tiny-00000.tar") as tar:
        tar.extract("u0_0.mp4", tmp_path, filter="data")
    clip = ["--input", str(tmp_path / "u0_0.mp4"), "--text", "it is angry", "--device", "cpu"]
    answers = []
    for model in (newest, run.exports / "last"):
        assert command.main(["predict", "--model", str(model), *clip]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1] and answers[0]["label"] in ("angry", "happy", "sad")
