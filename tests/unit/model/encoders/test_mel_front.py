"""Log-mel features are those of transformers' own feature extractors, in a batch and alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from dual_hpc.model.encoders.mel_front import FRONTS

CONFIG = SimpleNamespace(
    num_mel_bins=80,
    max_source_positions=1_500,
    feature_projection_input_dim=160,
    subsampling_factor=8,
    subsampling_conv_kernel_size=3,
    subsampling_conv_stride=2,
)
LENGTHS = [32_000, 16_079, 4_000]


def waves() -> list[Any]:
    random = np.random.default_rng(0)
    return [(random.standard_normal(n) * 0.1).astype(np.float32) for n in LENGTHS]


@pytest.mark.parametrize("name", list(FRONTS))
def test_a_batch_gets_what_the_feature_extractor_makes_of_each_alone(name: str) -> None:
    extractor = getattr(transformers, name)()
    front = FRONTS[name](16_000, CONFIG, FRONTS[name].settings(extractor.to_dict()))
    batch = torch.zeros(3, max(LENGTHS))
    for row, wave in enumerate(waves()):
        batch[row, : len(wave)] = torch.from_numpy(wave)
    inputs, steps = front(batch, torch.tensor(LENGTHS))
    for row, wave in enumerate(waves()):
        theirs = extractor(wave, sampling_rate=16_000, return_tensors="pt")
        expected = theirs["input_features"][0]
        found = inputs["input_features"][row]
        valid = expected.shape[0]
        if name != "WhisperFeatureExtractor":  # which has one length only
            valid = int(theirs["attention_mask"].sum())
            assert int(inputs["attention_mask"][row].sum()) == valid
        torch.testing.assert_close(found[:valid], expected[:valid], atol=2e-3, rtol=1e-3)
    assert steps.tolist() == sorted(steps.tolist(), reverse=True) and int(steps.min()) > 0


@pytest.mark.parametrize("name", list(FRONTS))
def test_silence_and_the_shortest_clips_are_finite(name: str) -> None:
    front = FRONTS[name](16_000, CONFIG, {})
    inputs, steps = front(torch.zeros(3, 50), torch.tensor([0, 1, 50]))
    assert inputs["input_features"].isfinite().all() and steps.isfinite().all()
