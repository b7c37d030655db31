"""Sound by two encoders side by side: extracted, trained on together, exported with both, and clips are answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.config import load_config
from dual_hpc.model import build_model, save_model
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from launch.cli.main import main

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]
SETTINGS = ("model.use_text=false", "data.image_size=32", "data.max_seconds=2.0")
MADE = {"sample_rate": 16_000, "image_size": 32, "video_hz": 5.0, "max_seconds": 2.0, "max_tokens": 64}


def answers(model: Path, shards: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[float]]:
    capsys.readouterr()
    assert main(["predict", "--model", str(model), "--input", str(shards)]) == 0, capsys.readouterr().err
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {row["input"]: list(row["probabilities"].values()) for row in found}


def test_two_encoders_of_sound_are_extracted_trained_exported_and_answer_clips(
    make_run: Callable[..., RunDir],
    start_ranks: Callable[..., Any],
    tiny_shards: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    features = tmp_path / "features"
    kinds = {"base": (), "slow": ("model.audio.kind=melcnn", "model.use_video=false")}
    for seed, (name, further) in enumerate(kinds.items()):
        torch.manual_seed(seed)
        config = load_config("demo", [*SETTINGS, *further])
        save_model(build_model(config.model, ["a", "b"], MADE, None, None), None, tmp_path / name)
        arguments = ["--model", str(tmp_path / name), "--out", str(features / name)]
        assert main(["extract", str(tiny_shards), *arguments, "--dtype", "float32"]) == 0
    shards = [f"data.shards=[{features}]", "data.global_batch=4", "training.max_steps=2", *SETTINGS]
    run = make_run("sets", *shards, "model.audio.features=[base,slow]")
    start_ranks("train", 2, run.path).check()
    assert list(replay(read(run.journal))["train/loss"]) == [1, 2]
    out = tmp_path / "model"
    assert main(["ckpt", "export", str(run.path), "--with-encoders", "--out", str(out)]) == 0
    for name in kinds:
        (tmp_path / name).rename(tmp_path / f"{name}-away")
    expected = answers(out, features, capsys)
    found = answers(out, tiny_shards, capsys)
    assert found.keys() == expected.keys() and len({*map(tuple, expected.values())}) > 1
    assert max(abs(a - b) for key in found for a, b in zip(found[key], expected[key], strict=True)) < 1e-5
