"""Image models of transformers, one vector per frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from dual_hpc.errors import UserError
from dual_hpc.model.constants import constant
from dual_hpc.model.encoders.base import Context, Encoder, EncoderKind
from dual_hpc.model.encoders.frames import encode_valid
from dual_hpc.model.encoders.frozen_norm import freeze_batch_norms
from dual_hpc.model.encoders.pretrained import Architecture, complete_config, input_settings, load_weights, new_backbone

if TYPE_CHECKING:
    from dual_hpc.config.schema import EncoderConfig

Scale = dict[str, list[float]]  # "mean" and "std" per RGB channel, on the 0-1 scale
_LARGEST, _SMALLEST = 1e6, 1e-6  # of a mean and a deviation that an image model can have been trained with
IMAGENET: Scale = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HALF: Scale = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


class ImageEncoder(Encoder):
    """An image model of transformers; BatchNorm keeps the statistics it was trained with.

    A subclass says which vector is the image's (`pooled`), how wide it is (`width`) and what the layers are.

    Args:
        config: complete configuration of that model.
        mean, std: per RGB channel, on the 0-1 scale.

    Attributes:
        channels_last: convolve pictures whose channels lie side by side in memory, as GPUs do it fastest.
    """

    channels_last = False

    def __init__(
        self, architecture: Architecture, config: dict[str, Any], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.backbone = new_backbone(architecture, config)
        freeze_batch_norms(self.backbone)
        self.mean, self.std = list(mean), list(std)
        self.output_size = self.width()

    def width(self) -> int:
        """Size of the vector of one image."""
        raise NotImplementedError

    def pooled(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images [N, 3, S, S] -> [N, E]."""
        raise NotImplementedError

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """frames uint8 [B, F, 3, S, S], lengths [B] -> features [B, max(F, 1), E], zero beyond lengths."""
        return encode_valid(self._encode, frames, lengths)

    def _encode(self, images: torch.Tensor) -> torch.Tensor:
        scaled = images.float() / 255
        mean, std = (
            constant(tuple(values), scaled.dtype, scaled.device).view(1, 3, 1, 1) for values in (self.mean, self.std)
        )
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return self.pooled(((scaled - mean) / std).to(self.dtype, memory_format=layout))


class ImageKind(EncoderKind):
    """An image model of transformers, pretrained or small and new.

    Args:
        scale: of the inputs, where the pretrained directory does not say.
    """

    def __init__(self, architecture: Architecture, encoder: type[ImageEncoder], scale: Scale) -> None:
        self.architecture, self.encoder, self.scale = architecture, encoder, scale

    def describe(self, section: EncoderConfig, context: Context) -> dict[str, Any]:
        size = {"image_size": context.preprocessing["image_size"]}
        overrides = section.config if section.path else {**size, **section.config}
        config = complete_config(self.architecture, overrides, section.path, context.setting)
        scale = _scale(section.path, f"{context.setting}.path", self.scale)
        return {"config": config} if scale is None else {"config": config, "scale": scale}

    def build(self, spec: dict[str, Any], preprocessing: dict[str, Any]) -> Encoder:
        scale = spec.get("scale") or self.scale
        if not _is_usable(scale):
            raise UserError("scale: mean and std must be three numbers each, and the deviations above 0")
        return self.encoder(self.architecture, spec["config"], scale["mean"], scale["std"])

    def load(self, encoder: Any, path: str, setting: str) -> None:
        load_weights(self.architecture, encoder.backbone, path, setting)


def _scale(path: str | None, setting: str, default: Scale) -> Scale | None:
    """Mean and deviation per RGB channel that images had in pretraining; None: the default."""
    extractor = input_settings(path, setting, ("image_processor",))
    values = extractor.values
    mean, std = values.get("image_mean"), values.get("image_std")
    if values.get("do_normalize") is False:
        mean, std = [0.0] * 3, [1.0] * 3
    rescale = 1 if values.get("do_rescale") is False else values.get("rescale_factor", 1 / 255)
    if mean is None or std is None:
        if rescale == 1 / 255:
            return None
        mean, std = default["mean"], default["std"]
    try:
        factor = 255 * float(rescale)  # they hold for pixels times rescale_factor, ours for pixels / 255
        scale = {"mean": [float(value) / factor for value in mean], "std": [float(value) / factor for value in std]}
    except (TypeError, ValueError, ArithmeticError):
        scale = {}
    if not _is_usable(scale):
        raise UserError(
            f"{setting}: image_mean and image_std in {path}/{extractor.file} must be three numbers each, and the "
            "deviations and rescale_factor above 0"
        )
    return scale


def _is_usable(scale: Any) -> bool:
    """True for three finite numbers each, of which a float32 divided by 255 may be divided by the deviations."""
    if not isinstance(scale, dict) or not {"mean", "std"} <= scale.keys():
        return False
    for values in (scale["mean"], scale["std"]):
        numbers = isinstance(values, list) and all(isinstance(v, int | float) and abs(v) < _LARGEST for v in values)
        if not numbers or len(values) != 3:
            return False
    return min(scale["std"]) > _SMALLEST
