"""Late fusion: each modality answers on its own, and the answers are averaged. The simplest model to compare with."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from dual_hpc.model.emotion_config import EmotionConfig
from dual_hpc.model.emotion_model import EmotionModel
from dual_hpc.model.family import ModelFamily, register_family
from dual_hpc.model.masking import blank, full_precision, prefix_mask
from dual_hpc.model.output import EmotionOutput


class LateFusionConfig(EmotionConfig):
    """Of the section `model` it takes the encoders, `use_*`, `dropout` and the loss; the rest is DUAL's."""

    model_type = "late_fusion"
    settings: ClassVar[tuple[str, ...]] = tuple(name for name in EmotionConfig.settings if name != "hidden_size")


class LateFusion(EmotionModel):
    """Encoder, mean over the valid steps, dropout and a linear head per modality; logits averaged over those present.

    A missing modality has length zero and weight zero in the average: every sample runs the same graph. A sample
    without any modality has equal logits.
    """

    config_class = LateFusionConfig

    def __init__(self, config: LateFusionConfig) -> None:
        super().__init__(config)
        encoders = {"audio": self.audio_encoder, "video": self.video_encoder, "text": self.text_encoder}
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Dropout(config.dropout), nn.Linear(encoder.output_size, len(config.labels)))
                for name, encoder in encoders.items()
                if encoder is not None
            }
        )
        self.ready()

    def forward(self, *, labels: torch.Tensor | None = None, **batch: Any) -> EmotionOutput:
        """One batch of utterances.

        Args:
            labels: i64 [B]; -100 = none.
            batch: tensors by name, as media or as features; see the table of a batch in docs/house.md.

        Returns:
            `logits` [B, C], and with labels `loss`.
        """
        answers, present = [], []
        for name, (features, lengths) in self.encode(batch).items():
            answers.append(self.heads[name](mean_over_steps(features, lengths)).float())
            present.append((lengths > 0).to(answers[-1].dtype))
        weights = torch.stack(present)  # [M, B]
        weights = weights / weights.sum(dim=0).clamp_min(1)
        logits = (torch.stack(answers) * weights.unsqueeze(-1)).sum(dim=0)
        output = EmotionOutput(logits=logits)
        if labels is not None:
            output.loss = self.classification_loss(logits, labels).mean()
        return output


def mean_over_steps(features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """[B, S, E] with valid lengths [B] -> [B, E]; zero where there is no step. Padding takes no part."""
    with full_precision(features):
        total = blank(features, prefix_mask(lengths, features.shape[1])).float().sum(dim=1)
        return (total / lengths.clamp_min(1).unsqueeze(1)).to(features.dtype)


register_family(ModelFamily(LateFusionConfig, LateFusion))
