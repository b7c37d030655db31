"""What an MLflow model says of its inputs is what the model reads, be it media or features."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dual_hpc.config.schema import ModelConfig
from dual_hpc.inference.served_model import ServedDual
from dual_hpc.model import build_model, save_model
from dual_hpc.tracking.mlflow_model import read_config, signature

SIZES = {"waveform": (16_000,), "frames": (5, 3, 32, 32), "audio": (50, 6), "video": (5, 10), "durations": ()}


@pytest.fixture(scope="module")
def features_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of audio and video features; it reads no text."""
    config = ModelConfig.model_validate(
        {
            **{"hidden_size": 16, "num_heads": 2, "residual_layers": 1, "decoder_layers": 1, "use_text": False},
            "audio": {"kind": "features", "config": {"width": 6, "rate_hz": 50.0}},
            "video": {"kind": "features", "config": {"width": 10}},
        }
    )
    folder = tmp_path_factory.mktemp("model") / "features"
    save_model(build_model(config, ["angry", "happy", "neutral", "sad"], {}, None, None), None, folder)
    return folder


@pytest.mark.parametrize("which", ["saved_model", "features_model"])
def test_a_batch_made_from_the_signature_is_answered(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    inputs = signature(read_config(folder)).inputs.inputs
    batch: dict[str, Any] = {}
    for tensor in inputs:
        size = SIZES.get(tensor.name, () if tensor.name.endswith("_lengths") else (3,))
        assert all(said in (-1, is_) for said, is_ in zip(tensor.shape, (2, *size), strict=True)), tensor.name
        batch[tensor.name] = np.ones((2, *size), tensor.type)
    assert ("audio" in batch) == (which == "features_model") != ("waveform" in batch)
    assert "text" not in batch
    served = ServedDual()
    served.load_context(SimpleNamespace(artifacts={"model": str(folder)}))
    answer = served.predict(None, batch)
    assert answer.shape == (2, 4)
    np.testing.assert_allclose(answer.sum(1), 1, rtol=1e-5)
