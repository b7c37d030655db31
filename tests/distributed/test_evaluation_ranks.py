"""One evaluation by 1, 2 and 3 processes at a time: the same predictions, byte for byte, each utterance once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dual_hpc.config.schema import ModelConfig
from dual_hpc.evaluation.prediction_file import read_predictions
from dual_hpc.model import build_model, build_tokenizer, save_model

pytestmark = pytest.mark.distributed
ROOT = Path(__file__).parents[2]
PREPROCESSING = {"image_size": 32, "max_seconds": 2.0, "max_tokens": 16, "video_hz": 5.0, "sample_rate": 16000}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    tokenizer = build_tokenizer(["so it goes", "so it never goes"], minimum_count=1)
    config = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1)
    folder = tmp_path_factory.mktemp("model") / "dual"
    save_model(build_model(config, ["angry", "happy", "sad"], PREPROCESSING, None, tokenizer), tokenizer, folder)
    return folder


def test_the_predictions_are_the_same_bytes_on_1_2_and_3_ranks(model: Path, tiny_shards: Path, tmp_path: Path) -> None:
    written = {}
    for count in (1, 2, 3):
        out = tmp_path / str(count)
        words = ["--model", model, "--shards", tiny_shards, "--protocol", "all", "--split", "all", "--out", out]
        command = [sys.executable, ROOT / "launch" / "evaluate.py", *words, "--robustness", "--array-count", str(count)]
        ranks = [
            subprocess.Popen(
                [*map(str, command), "--array-index", str(index)],
                env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for index in range(count)
        ]
        said = [rank.communicate(timeout=600)[0] for rank in ranks]
        assert [rank.returncode for rank in ranks] == [0] * count, said
        written[count] = {path.name: path.read_bytes() for path in out.iterdir()}
    assert written[1] == written[2] == written[3]
    found = read_predictions(tmp_path / "3" / "all_predictions.jsonl")
    keys = found.found["avt"].keys
    assert len(keys) == len(set(keys)) == 24 and (tmp_path / "3" / "all_robustness_predictions.jsonl").exists()
