"""ViT of transformers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dual_hpc.model.encoders.image import HALF, ImageEncoder, ImageKind
from dual_hpc.model.encoders.pretrained import Architecture
from dual_hpc.model.encoders.registry import VIDEO

SMALL = {
    "hidden_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 192,
    "patch_size": 8,
}


class ViTEncoder(ImageEncoder):
    """The class token of a ViT; its positions are interpolated for images not of the size it was trained on."""

    def width(self) -> int:
        return int(self.backbone.config.hidden_size)

    def layers(self) -> Sequence[nn.Module]:
        layers = self.backbone.layers if hasattr(self.backbone, "layers") else self.backbone.encoder.layer
        return [*layers[:-1], nn.ModuleList([layers[-1], self.backbone.layernorm])]

    def pooled(self, images: torch.Tensor) -> torch.Tensor:
        return self.backbone(images, interpolate_pos_encoding=True).last_hidden_state[:, 0]


VIDEO.register("vit", ImageKind(Architecture("vit", "ViT", SMALL, {"add_pooling_layer": False}), ViTEncoder, HALF))
