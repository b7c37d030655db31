"""The wav2vec 2.0 family."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from dual_hpc.model.encoders.level import normalize_level
from dual_hpc.model.encoders.pretrained import Architecture
from dual_hpc.model.encoders.speech import SpeechEncoder, standardize

WAV2VEC2 = Architecture("wav2vec2")
CONFIG: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


def test_an_unpadded_clip_gives_what_transformers_gives() -> None:
    encoder = SpeechEncoder(WAV2VEC2, CONFIG, 16_000, normalize=False).eval()
    theirs = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**CONFIG)).eval()
    theirs.load_state_dict(encoder.backbone.state_dict(), strict=False)
    waveform = torch.randn(1, 8_000)
    with torch.no_grad():
        features, lengths = encoder(waveform, torch.tensor([8_000]))
        expected = theirs(waveform).last_hidden_state
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)
    assert lengths.tolist() == [expected.shape[1]] and encoder.rate_hz == 50


def test_the_shortest_clip_still_makes_a_frame() -> None:
    encoder = SpeechEncoder(WAV2VEC2, CONFIG, 16_000)
    assert encoder.shortest == 400
    _, lengths = encoder(torch.randn(4, 720), torch.tensor([0, 1, 400, 720]))
    assert lengths.tolist() == [0, 1, 1, 2]


def test_a_soft_recording_is_what_transformers_makes_of_a_good_one() -> None:
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    wave = 0.1 * torch.randn(8_000)
    expected = torch.tensor(extractor(wave.numpy(), sampling_rate=16_000).input_values[0])
    for gain in (1.0, 0.01, 0.001):
        soft = normalize_level(gain * wave.unsqueeze(0), torch.tensor([8_000]))
        torch.testing.assert_close(standardize(soft, torch.tensor([8_000]))[0], expected, atol=1e-4, rtol=1e-4)


def test_standardising_ignores_padding() -> None:
    wave = torch.cat([torch.randn(1, 50) * 5 + 3, torch.zeros(1, 30)], dim=1)
    out = standardize(wave, torch.tensor([50]))
    assert abs(float(out[0, :50].mean())) < 1e-5
    assert abs(float(out[0, :50].std(correction=0)) - 1) < 1e-4
    assert not out[0, 50:].any()
    assert standardize(torch.ones(1, 4), torch.tensor([4])).isfinite().all()
