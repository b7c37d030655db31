"""ResNet: a pretrained one of transformers, or a small residual network where no directory is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dual_hpc.model.encoders.base import Context, Encoder
from dual_hpc.model.encoders.image import ImageKind
from dual_hpc.model.encoders.kinds import PICTURE, ListedKind
from dual_hpc.model.encoders.pretrained import Architecture
from dual_hpc.model.encoders.registry import VIDEO
from dual_hpc.model.encoders.small_cnn import SmallCnnEncoder

if TYPE_CHECKING:
    from dual_hpc.config.encoder_section import EncoderConfig


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


VIDEO.register("resnet", ResNetKind(Architecture("resnet"), ListedKind(PICTURE)))
