"""A model: one sharpened linear answer to all modalities together, with a second loss that keeps the logits small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dual_hpc.config.schema import Section
from dual_hpc.model import EmotionConfig, EmotionModel
from dual_hpc.model.family import ModelFamily, register_family
from dual_hpc.model.masking import blank, prefix_mask
from dual_hpc.model.output import EmotionOutput


class Options(Section):
    """Of `model.options`."""

    sharpness: float = 1.0


class SumConfig(EmotionConfig):
    """Nothing of its own but the name."""

    model_type = "sum_of_modalities"


@dataclass
class SumOutput(EmotionOutput):
    """With the second loss."""

    loss_size: torch.Tensor | None = None


class SumOfModalities(EmotionModel):
    """The sum of the modalities' means, each projected to the same width; a missing one adds nothing."""

    config_class = SumConfig

    def __init__(self, config: SumConfig) -> None:
        super().__init__(config)
        encoders = {"audio": self.audio_encoder, "video": self.video_encoder, "text": self.text_encoder}
        widths = {name: encoder.output_size for name, encoder in encoders.items() if encoder is not None}
        self.project = nn.ModuleDict({name: nn.Linear(width, config.hidden_size) for name, width in widths.items()})
        self.head = nn.Linear(config.hidden_size, len(config.labels))
        self.sharpness = Options(**config.options).sharpness
        self.ready()

    def forward(self, *, labels: torch.Tensor | None = None, **batch: Any) -> SumOutput:
        total: Any = 0
        for name, (features, lengths) in self.encode(batch).items():
            projected = blank(self.project[name](features), prefix_mask(lengths, features.shape[1]))
            total = total + projected.sum(dim=1) / lengths.clamp_min(1).unsqueeze(1).to(projected.dtype)
        logits = self.sharpness * self.head(total).float()
        output = SumOutput(logits=logits)
        if labels is not None:
            output.loss_size = logits.square().mean()
            output.loss = self.classification_loss(logits, labels).mean() + 0.01 * output.loss_size
        return output


register_family(ModelFamily(SumConfig, SumOfModalities, losses=("loss", "loss_size"), options=Options))
