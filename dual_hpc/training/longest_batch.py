"""A batch as large as any of so many samples can be: every modality present, at the longest that is not cut."""

from __future__ import annotations

import math

import torch

from dual_hpc.model.emotion_model import EmotionModel


def longest_batch(model: EmotionModel, size: int) -> dict[str, torch.Tensor]:
    """The tensors of such a batch, labels among them, on the CPU; shapes as in docs/house.md. Contents mean nothing."""
    made = model.config.preprocessing
    seconds, tokens, side = float(made["max_seconds"]), int(made["max_tokens"]), int(made["image_size"])
    pictures = math.ceil(seconds * made["video_hz"])

    def lengths(count: int) -> torch.Tensor:
        return torch.full((size,), count)

    batch = {"durations": torch.full((size,), seconds), "labels": torch.zeros(size, dtype=torch.long)}
    if not model.config.reads_features:
        samples = math.ceil(seconds * made["sample_rate"])
        return batch | {
            "waveform": torch.randn(size, samples) * 0.1,
            "waveform_lengths": lengths(samples),
            "frames": torch.zeros(size, pictures, 3, side, side, dtype=torch.uint8),
            "frame_lengths": lengths(pictures),
            "input_ids": torch.ones(size, tokens, dtype=torch.long),
            "attention_mask": torch.ones(size, tokens, dtype=torch.long),
        }
    steps = {"video": pictures, "text": tokens}
    for name in ("audio", "video", "text"):
        if (encoder := getattr(model, f"{name}_encoder")) is not None:
            count = steps[name] if name in steps else math.ceil(seconds * encoder.rate_hz)
            width = getattr(model.config, name)["config"]["width"]  # several layers of it may be mixed
            batch |= {name: torch.zeros(size, count, width), f"{name}_lengths": lengths(count)}
    return batch
