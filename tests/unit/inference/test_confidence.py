"""Answers have a confidence where the model's was measured, and say when they are unsure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.errors import UserError
from dual_hpc.inference.predictor import Predictor
from dual_hpc.model.confidence import FILE, Confidence, read_confidence, write_confidence
from dual_hpc.model_manifest import write_manifest
from launch.cli.main import main


@pytest.fixture
def measured(saved_model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(saved_model, folder)
    write_confidence(Confidence(temperature=2.0, thresholds=[0.95, 0.2], risks=[0.1, 0.5], count=9), folder)
    write_manifest(folder)
    return folder


def test_an_answer_is_unsure_at_a_low_risk_only(measured: Path, clips: Path, capsys: Any) -> None:
    asked = ["predict", "--model", str(measured), "--input", str(clips / "sound.wav"), "--device", "cpu"]
    for risk, unsure in (("0.1", True), ("0.5", False), ("0", True)):
        assert main([*asked, "--format", "jsonl", "--unsure", risk]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["unsure"] is unsure and 0.25 <= answer["confidence"] < max(answer["probabilities"].values())
    assert main([*asked, "--format", "table", "--unsure", "0.1"]) == 0
    assert "unsure: " in capsys.readouterr().out
    assert main([*asked, "--unsure", "7"]) == 2


def test_a_model_whose_confidence_was_not_measured_says_what_to_do(saved_model: Path, clips: Path, capsys: Any) -> None:
    asked = ["predict", "--model", str(saved_model), "--input", str(clips / "sound.wav"), "--device", "cpu"]
    assert main([*asked, "--unsure", "0.1"]) == 2
    assert "evaluate RUN --split validation" in capsys.readouterr().err
    assert "confidence" not in Predictor.from_pretrained(saved_model, "cpu").predict(clips / "sound.wav").to_json()


@pytest.mark.parametrize("content", ["", "{}", '{"temperature": 0}', '{"temperature": NaN}', "[]"])
def test_a_damaged_file_is_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(UserError, match="damaged"):
        read_confidence(tmp_path)
