"""Fixed encoders, so that a training takes seconds: what is compared is what the families make of the same features."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from dual_hpc.model.encoders.audio.logmel import LogMelEncoder
from dual_hpc.model.encoders.frozen import FrozenEncoders
from dual_hpc.model.masking import blank, pad_steps, prefix_mask
from dual_hpc.model.tokenizer import build_tokenizer

SIDE, GRID, WORD_WIDTH, MAX_TOKENS = 48, 12, 64, 32
VIDEO_HZ, MAX_SECONDS = 5.0, 6.0


class MelBands(nn.Module):
    """waveform f32 [B, N] and lengths [B] -> log power of 80 mel bands, 25 a second, f32 [B, S, 80], lengths [B]."""

    rate_hz = 25.0

    def __init__(self) -> None:
        super().__init__()
        self.logmel = LogMelEncoder()

    def forward(self, waveform: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        bands = self.logmel.spectrogram(waveform, lengths)
        bands = pad_steps(bands, bands.shape[1] + bands.shape[1] % 2).unflatten(1, (-1, 2)).mean(2)
        steps = torch.div(lengths, 2 * self.logmel.hop, rounding_mode="floor").clamp_min(1) * (lengths > 0)
        return blank(bands, prefix_mask(steps, bands.shape[1])), steps


class GreyPictures(nn.Module):
    """frames u8 [B, F, 3, S, S] and lengths [B] -> 12 x 12 greys, f32 [B, F, 144]."""

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        grey = frames.float().mean(2)
        coarse = functional.avg_pool2d((grey - 127.5) / 64, frames.shape[-1] // GRID).flatten(2)
        return blank(coarse, prefix_mask(lengths, coarse.shape[1]))


class WordVectors(nn.Module):
    """input_ids, attention_mask i64 [B, L] -> the same random vector for each word, f32 [B, L, 64], and bool mask."""

    def __init__(self, words: int, seed: int = 0) -> None:
        super().__init__()
        drawn = torch.randn(words, WORD_WIDTH, generator=torch.Generator().manual_seed(seed))
        self.vectors = nn.Embedding.from_pretrained(drawn)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = attention_mask.bool()
        return blank(self.vectors(input_ids), mask), mask


def fixed_encoders(texts: list[str]) -> FrozenEncoders:
    """What `shards.extraction.extract` takes; no weight of them was ever trained.

    Args:
        texts: of the training split, for the vocabulary.
    """
    tokenizer = build_tokenizer(texts)
    modules = {"audio": MelBands(), "video": GreyPictures(), "text": WordVectors(len(tokenizer))}
    preprocessing: dict[str, Any] = {
        "sample_rate": 16_000,
        "image_size": SIDE,
        "video_hz": VIDEO_HZ,
        "max_seconds": MAX_SECONDS,
        "max_tokens": MAX_TOKENS,
    }
    identity = {
        "audio": "80 mel bands, 25 Hz",
        "video": f"grey, {GRID} x {GRID}",
        "text": f"random word vectors, {len(tokenizer)} words",
    }
    return FrozenEncoders(modules, tokenizer, preprocessing, identity, torch.device("cpu"))
