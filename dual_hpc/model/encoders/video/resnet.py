"""ResNet: a pretrained one of transformers, or a small residual network where no directory is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dual_hpc.model.encoders.base import Context, Encoder
from dual_hpc.model.encoders.image import IMAGENET, ImageEncoder, ImageKind
from dual_hpc.model.encoders.pretrained import Architecture
from dual_hpc.model.encoders.registry import VIDEO
from dual_hpc.model.encoders.small_cnn import SmallCnnEncoder

if TYPE_CHECKING:
    from dual_hpc.config.schema import EncoderConfig


class ResNetEncoder(ImageEncoder):
    """The pooled map of a ResNet."""

    def width(self) -> int:
        return int(self.backbone.config.hidden_sizes[-1])

    def layers(self) -> Sequence[nn.Module]:
        return [self.backbone.embedder, *self.backbone.encoder.stages]

    def pooled(self, images: torch.Tensor) -> torch.Tensor:
        return self.backbone(images).pooler_output.flatten(1)


class ResNetKind(ImageKind):
    """Without a directory `config` holds the arguments of `SmallCnnEncoder`, which has no `model_type`."""

    def describe(self, section: EncoderConfig, context: Context) -> dict[str, Any]:
        if section.path is None:
            return {"config": dict(section.config)}
        return super().describe(section, context)

    def build(self, spec: dict[str, Any], preprocessing: dict[str, Any]) -> Encoder:
        if "model_type" not in spec["config"]:
            return SmallCnnEncoder(**spec["config"])
        return super().build(spec, preprocessing)


VIDEO.register("resnet", ResNetKind(Architecture("resnet", "ResNet", {}), ResNetEncoder, IMAGENET))
