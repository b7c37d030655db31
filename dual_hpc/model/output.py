"""What a forward pass returns."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dual_hpc.model.torchaudio_stub import install

install()

from transformers.utils import ModelOutput  # noqa: E402


@dataclass
class EmotionOutput(ModelOutput):
    """What every model returns; one with more losses than `loss` adds them by name (see `ModelFamily.losses`).

    Attributes:
        loss: f32 scalar, the mean over all B samples; None without labels.
        logits: f32 [B, C].
        dimensions: f32 [B, D], valence and the like in the units of the corpus; None of a model without them.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    dimensions: torch.Tensor | None = None
