"""The second model family by the commands of the first: `model.family=late_fusion` and nothing else changes."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dual_hpc.model import load_model
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from launch.cli import main as command
from tests.distributed.conftest import SMALLEST

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]
FAMILY = "model.family=late_fusion"


def curve(run: RunDir, key: str = "train/loss") -> dict[int, float]:
    return replay(read(run.journal)).get(key, {})


def test_the_losses_do_not_depend_on_ranks_and_stages(
    make_run: Callable[..., RunDir], start_ranks: Callable[..., Any]
) -> None:
    plain = make_run("plain", FAMILY, "training.zero_stage=0")
    start_ranks("train", 1, plain.path).check()
    assert len(set(curve(plain).values())) == 7
    assert not {"train/loss_static", "train/loss_dynamic", "train/loss_cls"} & set(replay(read(plain.journal)))
    for stage in (1, 3):
        run = make_run(f"zero{stage}", FAMILY, f"training.zero_stage={stage}")
        start_ranks("train", 2, run.path).check()
        for key in ("train/loss", "train/grad_norm", "val/av/ua"):
            assert curve(run, key) == pytest.approx(curve(plain, key), rel=2e-4, abs=1e-6), (stage, key)


def test_it_trains_exports_evaluates_predicts_and_reaches_mlflow(
    tiny_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DUAL_STORE", str(tmp_path))
    overrides = [one for one in SMALLEST if not one.startswith("tracking.")]
    words = ["--preset", "demo", "--shards", str(tiny_shards), "name=late", "training.zero_stage=2"]
    assert command.main(["train", *words, *overrides, FAMILY]) == 0
    run = RunDir.open(tmp_path / "runs" / "late")
    assert yaml.safe_load(run.config_file.read_text())["model"]["family"] == "late_fusion"
    assert [segment.reason for segment in run.segments()] == [None, "finished"]
    assert len(curve(run)) == 7 and min(curve(run).values()) < curve(run)[1]

    exported = tmp_path / "exported"
    assert command.main(["ckpt", "export", str(run.path), "--out", str(exported)]) == 0
    trained, again = (load_model(folder)[0].state_dict() for folder in (run.exports / "last", exported))
    assert trained.keys() == again.keys() and all(torch.equal(again[name], value) for name, value in trained.items())

    capsys.readouterr()
    evaluate = ["evaluate", "late", "--split", "validation", "--subsets", "a,v,t,av,avt", "--robustness", "--json"]
    assert command.main(evaluate) == 0
    assert "avt" in json.dumps(json.loads(capsys.readouterr().out))

    with tarfile.open(tiny_shards / "tiny-00000.tar") as tar:
        tar.extract("u0_0.mp4", tmp_path, filter="data")
    clip = ["--input", str(tmp_path / "u0_0.mp4"), "--text", "it is angry", "--device", "cpu"]
    assert command.main(["predict", "--model", str(run.exports / "best"), *clip]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["probabilities"]) == {"angry", "happy", "sad"} and answer["modalities"] == ["video", "text"]
    logged = [yaml.safe_load(file.read_text()) for file in tmp_path.glob("**/MLmodel")]
    folders = {Path(one["flavors"]["python_function"]["config"]["folder"]).resolve() for one in logged}
    assert folders == {(run.exports / name).resolve() for name in ("best", "last")}
