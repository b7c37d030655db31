"""One modality alone: what sound, pictures or words are worth without the others.

The families `audio_only`, `video_only` and `text_only`. A comparison needs them to say where a gain comes from, and
the reference that a model with text must beat to be worth its sound and pictures.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dual_hpc.model.baselines.configuration import BaselineConfig, BaselineOptions, check_width
from dual_hpc.model.baselines.matched import AsLargeAsDual, depth_of_dual
from dual_hpc.model.baselines.sequences import AllSteps, TokenSequence, encoders_of
from dual_hpc.model.baselines.tower import Tower
from dual_hpc.model.emotion_model import EmotionModel
from dual_hpc.model.family import ModelFamily, register_family
from dual_hpc.model.output import EmotionOutput


class AudioOnlyConfig(BaselineConfig):
    model_type = "audio_only"


class VideoOnlyConfig(BaselineConfig):
    model_type = "video_only"


class TextOnlyConfig(BaselineConfig):
    model_type = "text_only"


class SingleModality(EmotionModel):
    """Encoder, time grid (sound and pictures), self-attention, attention pooling, and a linear head.

    A sample that lacks the modality has the learned token alone, and so the same answer as all such samples.
    """

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__(config)
        options = config.option
        (self.modality,) = encoders_of(self)
        self.steps = AllSteps(self, options["width"])
        self.sequence = TokenSequence(options["width"])
        self.tower = Tower(options["width"], options["layers"], config.num_heads, config.dropout)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(options["width"], config.outputs))
        self.ready()

    def blocks(self) -> list[nn.Module]:
        return list(self.tower.layers)

    def forward(self, *, durations: torch.Tensor, labels: torch.Tensor | None = None, **batch: Any) -> EmotionOutput:
        """One batch of utterances.

        Args:
            durations: f32 [B] seconds.
            labels: i64 [B]; -100 = none.
            batch: tensors by name, as media or as features; see the table of a batch in docs/house.md.

        Returns:
            `logits` [B, C], and with labels `loss`.
        """
        steps = self.steps(self.encode(batch), durations)[self.modality]
        return self.answer(self.head(self.tower(*self.sequence(*steps))), labels)


class AudioOnly(SingleModality):
    """Sound alone."""

    config_class = AudioOnlyConfig


class VideoOnly(SingleModality):
    """Pictures alone."""

    config_class = VideoOnlyConfig


class TextOnly(SingleModality):
    """Words alone."""

    config_class = TextOnlyConfig


for _config, _model, _letter in (
    (AudioOnlyConfig, AudioOnly, "a"),
    (VideoOnlyConfig, VideoOnly, "v"),
    (TextOnlyConfig, TextOnly, "t"),
):
    register_family(
        ModelFamily(
            _config,
            _model,
            options=BaselineOptions,
            check=check_width,
            reads=_letter,
            complete=AsLargeAsDual(depth_of_dual),
        )
    )
