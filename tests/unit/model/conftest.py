"""Small models of every family of encoders, and batches with everything that goes wrong in real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dual_hpc.config.schema import ModelConfig
from dual_hpc.model import DualForEmotionClassification, build_model, build_tokenizer

LABELS = ["anger", "happiness", "neutral", "sadness"]
COUNTS = [10, 20, 40, 30]
PREPROCESSING = {"sample_rate": 16_000, "image_size": 32, "video_hz": 5.0, "max_seconds": 6.0, "max_tokens": 16}
TEXTS = ["hello you", "hello there , who are you", "who is there"] * 2
SPEECH = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
ENCODERS: dict[str, dict[str, Any]] = {
    "light": {
        "audio": {"kind": "logmel", "config": {"channels": 16, "blocks": 1}},
        "video": {"kind": "resnet", "config": {"channels": [8, 8], "output_size": 16}},
        "text": {"kind": "bert", "config": SMALL},
    },
    "melcnn": {
        "audio": {"kind": "melcnn", "config": {"channels": [8, 8, 16], "output_size": 16}},
        "video": {"kind": "resnet", "config": {"channels": [8, 8], "output_size": 16}},
        "text": {"kind": "bert", "config": SMALL},
    },
    "wav2vec2-vit-roberta": {
        "audio": {"kind": "wav2vec2", "config": SPEECH},
        "video": {"kind": "vit", "config": {**SMALL, "patch_size": 16}},
        "text": {"kind": "roberta", "config": SMALL},
    },
    "hubert": {
        "audio": {"kind": "hubert", "config": SPEECH},
        "video": {"kind": "resnet", "config": {"channels": [8], "output_size": 16}},
        "text": {"kind": "bert", "config": SMALL},
    },
    "wavlm": {
        "audio": {"kind": "wavlm", "config": {**SPEECH, "num_buckets": 16}},
        "video": {"kind": "resnet", "config": {"channels": [8], "output_size": 16}},
        "text": {"kind": "bert", "config": SMALL},
    },
    "features": {
        "audio": {"kind": "features", "config": {"width": 6, "rate_hz": 50.0, "encoder": "a"}},
        "video": {"kind": "features", "config": {"width": 10, "encoder": "v"}},
        "text": {"kind": "features", "config": {"width": 8, "encoder": "t"}},
    },
}
Make = Callable[..., DualForEmotionClassification]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return build_tokenizer(TEXTS)


@pytest.fixture(scope="session")
def make_model(tokenizer: Any) -> Make:
    """`make_model("light", use_sdm=False)`: a fresh model in evaluation mode, always with the same weights."""

    def make(encoders: str = "light", **settings: Any) -> DualForEmotionClassification:
        torch.manual_seed(0)
        tree = {"hidden_size": 16, "residual_layers": 1, "decoder_layers": 1, "num_heads": 2, **ENCODERS[encoders]}
        config = ModelConfig.model_validate({**tree, **settings})
        return build_model(config, LABELS, PREPROCESSING, COUNTS, tokenizer).eval()

    return make


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., dict[str, Any]]:
    """Clips of unlike lengths, as media and as features; `missing` names what each lacks ("a", "v", "t")."""

    def make(missing: tuple[str, ...] = ("", "", "", "a", "v", "t", "avt"), seed: int = 0) -> dict[str, Any]:
        random = torch.Generator().manual_seed(seed)
        size = len(missing)
        durations = torch.rand(size, generator=random) * 1.1 + 0.3
        samples, pictures = (durations * 16_000).long(), (durations * 5).long().clamp_min(1)
        words = torch.randint(2, 9, (size,), generator=random)
        for row, letters in enumerate(missing):
            samples[row] *= "a" not in letters
            pictures[row] *= "v" not in letters
            words[row] *= "t" not in letters
        longest = [int(lengths.max()) for lengths in (samples, pictures, words)]
        mask = torch.arange(longest[2]) < words.unsqueeze(1)
        waveform = torch.randn(size, longest[0], generator=random) * 0.1
        frames = torch.randint(0, 256, (size, longest[1], 3, 32, 32), generator=random, dtype=torch.uint8)
        heard = torch.div(samples, 320, rounding_mode="floor")  # 50 Hz
        features: dict[str, Any] = {}
        for name, lengths, width in (("audio", heard, 6), ("video", pictures, 10), ("text", words, 8)):
            values = torch.randn(size, int(lengths.max()), width, generator=random)
            valid = torch.arange(values.shape[1]) < lengths.unsqueeze(1)
            features |= {name: (values * valid.unsqueeze(2)).half(), f"{name}_lengths": lengths.clone()}
        return features | {
            "waveform": waveform * (torch.arange(longest[0]) < samples.unsqueeze(1)),
            "waveform_lengths": samples,
            "frames": frames,
            "frame_lengths": pictures,
            "durations": durations,
            "input_ids": torch.randint(4, 9, mask.shape, generator=random) * mask,
            "attention_mask": mask.long(),
            "labels": torch.randint(0, 4, (size,), generator=random),
        }

    return make
