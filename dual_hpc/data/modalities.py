"""Batches with only some of their modalities: what evaluation of a subset sees."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

MODALITIES = "avt"

_KEYS = {
    "a": ("waveform", "waveform_lengths", "audio", "audio_lengths"),
    "v": ("frames", "frame_lengths", "video", "video_lengths"),
    "t": ("input_ids", "attention_mask", "text", "text_lengths"),
}


def keep(batch: dict[str, Any], modalities: Collection[str]) -> dict[str, Any]:
    """The batch with the modalities that are not in `modalities` blanked: length 0, content zero, shapes unchanged."""
    unknown = set(modalities) - set(MODALITIES)
    assert not unknown, f"unknown modalities {unknown}"
    blank = [key for m in MODALITIES if m not in modalities for key in _KEYS[m] if key in batch]
    return {**batch, **{key: torch.zeros_like(batch[key]) for key in blank}}


def of(modality: str) -> tuple[str, ...]:
    """The keys of a batch that carry one modality."""
    return _KEYS[modality]


def present(batch: Mapping[str, Any], modality: str) -> torch.Tensor:
    """Which rows have a modality, as media or as features: bool [B]."""
    extents = [batch[key] for key in _KEYS[modality] if key.endswith(("_lengths", "_mask")) and key in batch]
    return torch.stack([(extent if extent.dim() == 1 else extent.sum(1)) > 0 for extent in extents]).any(0)
