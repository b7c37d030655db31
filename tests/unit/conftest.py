"""A small saved model for the rooms that use one: untrained, but real from config.json to tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest

LABELS = ["angry", "happy", "neutral", "sad"]
PREPROCESSING = {"sample_rate": 16_000, "image_size": 32, "video_hz": 5.0, "max_seconds": 2.0, "max_tokens": 16}


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a DUAL model over IEMOCAP's four classes."""
    import torch

    from dual_hpc.config.schema import ModelConfig
    from dual_hpc.model import build_model, build_tokenizer, save_model

    torch.manual_seed(0)
    tokenizer = build_tokenizer(["so it goes", "so it never goes"], minimum_count=1)
    config = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1)
    folder = tmp_path_factory.mktemp("model") / "dual"
    save_model(build_model(config, LABELS, PREPROCESSING, [10, 20, 40, 30], tokenizer), tokenizer, folder)
    return folder
