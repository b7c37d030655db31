"""ResNet and ViT of transformers, one vector per picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from dual_hpc.model.encoders.base import Encoder
from dual_hpc.model.encoders.frames import encode_valid
from dual_hpc.model.encoders.frozen_norm import freeze_batch_norms
from dual_hpc.model.encoders.transformer_kinds import PICTURES, new_backbone

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HALF = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


class PictureEncoder(Encoder):
    """A transformers picture model: the pooled map of a ResNet, the class token of a ViT.

    A ResNet's BatchNorm keeps the statistics it was trained with. A ViT's positions are interpolated when pictures are
    not of the size it was trained on.

    Args:
        kind: resnet or vit.
        config: complete configuration of that model.
        mean, std: per RGB channel, on the 0-1 scale.
    """

    def __init__(self, kind: str, config: dict[str, Any], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.kind = kind
        self.backbone = new_backbone(PICTURES[kind], config)
        freeze_batch_norms(self.backbone)
        self.mean, self.std = list(mean), list(std)
        sizes = self.backbone.config
        self.output_size = sizes.hidden_size if kind == "vit" else sizes.hidden_sizes[-1]

    def layers(self) -> Sequence[nn.Module]:
        if self.kind == "resnet":
            return [self.backbone.embedder, *self.backbone.encoder.stages]
        layers = self.backbone.layers if hasattr(self.backbone, "layers") else self.backbone.encoder.layer
        return [*layers[:-1], nn.ModuleList([layers[-1], self.backbone.layernorm])]

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """frames uint8 [B, F, 3, S, S], lengths [B] -> features [B, max(F, 1), E], zero beyond lengths."""
        return encode_valid(self._pictures, frames, lengths)

    def _pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        scaled = pictures.float() / 255
        mean, std = (scaled.new_tensor(value).view(1, 3, 1, 1) for value in (self.mean, self.std))
        scaled = ((scaled - mean) / std).to(self.dtype)
        if self.kind == "resnet":
            return self.backbone(scaled).pooler_output.flatten(1)
        return self.backbone(scaled, interpolate_pos_encoding=True).last_hidden_state[:, 0]
